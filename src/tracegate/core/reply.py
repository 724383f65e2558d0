"""Where does a reply stand, and what does a shell send next?"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tracegate.core.head import Headers

__all__ = ["Part", "Signal", "Start", "State"]


class State(IntEnum):
    """Where a reply stands. Up to EMPTY nothing has left.

    What leads from one to the next::

        OPEN ──start──> PASSING                               a success: the shell sends it straight through
          ├────start──> HELD ──first step──> TREATED          error JSON is read before its head leaves
          │               └──end──> DONE
          ├────start──> WAITING ──data or time──> TREATED     an event stream waits for its first bytes,
          │               └──end──> EMPTY ──return or time──> DONE
          │             TREATED ──end──> DONE
          │               └──end of events──> CLOSING ──return or time──> DONE     and for the application's return
          └────start──> REPLACED                              the gate answered; what the application sends is swallowed
        before the head left ──fault──> REPLACED              one complete traced error
        after the head left ──fault──> ABORTED                never a clean end
    """

    OPEN = 0
    HELD = 1
    WAITING = 2
    EMPTY = 3
    PASSING = 4
    TREATED = 5
    CLOSING = 6
    REPLACED = 7
    DONE = 8
    ABORTED = 9


class Signal(IntEnum):
    """How a body ends."""

    END = 0
    ABORT = 1


class Start(NamedTuple):
    """A head to send, and whether trailers follow its body."""

    status: int
    headers: Headers
    trailers: bool = False


Part = Start | bytes | Signal
"""What a shell sends, in order: a head, body bytes, and how the body ends."""
