"""What does a treated body do next? The words that treatments and the exchange share."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tracegate.core.head import Headers

__all__ = ["Fate", "Step"]


class Fate(Enum):
    """How a step leaves the reply."""

    MORE = auto()
    """It goes on."""
    END = auto()
    """It ends cleanly."""
    OVERWRITE = auto()
    """It named another trace and must be refused."""
    UNREADABLE = auto()
    """It cannot be read; the standard error object stands in for it, with the same status."""
    BROKEN = auto()
    """It can end neither marked nor as it is."""


class Step(NamedTuple):
    """What leaves now.

    Attributes:
        data: Body bytes.
        headers: The lines of the head, where it leaves now (before *data*).
        fate: How the reply goes on.
        kept: Whether another trace was delivered because the policy says so.
    """

    data: bytes = b""
    headers: Headers | None = None
    fate: Fate = Fate.MORE
    kept: bool = False
