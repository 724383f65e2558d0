"""What does the core ask of the world?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from tracegate.core.events import Event
    from tracegate.core.trace_id import TraceId

__all__ = ["Clock", "Mint", "Sink"]


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the current time, aware, UTC, microseconds."""
        ...  # pragma: no cover


class Mint(Protocol):
    """Makes ids."""

    def trace_id(self) -> TraceId:
        """Return a new random trace id (clause A4)."""
        ...  # pragma: no cover

    def event_id(self) -> str:
        """Return a new id for an event: canonical UUID text, version 7."""
        ...  # pragma: no cover


class Sink(Protocol):
    """Takes events."""

    def __call__(self, event: Event, /) -> None:
        """Take one event. What it raises is counted, never shown to a request (F4)."""
        ...  # pragma: no cover
