"""Where does a reply stand, and what does a shell send next?"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from tracegate.core.head import Headers

__all__ = ["Part", "Signal", "Start", "State"]


class State(IntEnum):
    """Where a reply stands. Up to EMPTY nothing has left."""

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
