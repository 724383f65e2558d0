"""Which of many events does a store refuse for good, while it would take the others?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracegate.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tracegate.core.events import Event

__all__ = ["give", "is_final"]


def give(take: Callable[[Sequence[Event]], object], events: Sequence[Event]) -> list[Event]:
    """Give *events* to *take*, in order, and return those that it refuses for good, found by halving.

    Raises:
        Exception: What *take* raises for another reason; some may have been taken then.
    """
    try:
        take(events)
    except Exception as failure:
        if not is_final(failure):
            raise
        if len(events) == 1:
            return [*events]
        half = len(events) // 2
        return [*give(take, events[:half]), *give(take, events[half:])]
    return []


def is_final(failure: BaseException) -> bool:
    """Return whether what was given is at fault, so that to give it again is no use."""
    if isinstance(failure, StoreError):
        return failure.final
    return isinstance(failure, ValueError | TypeError | OverflowError)
