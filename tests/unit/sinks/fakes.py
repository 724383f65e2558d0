"""What do sinks write to, in tests? Events by number, and a store that fails, hangs and comes back on command."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from tests.unit.fakes import OWN
from tracegate.core.events import Event
from tracegate.errors import StoreError

__all__ = ["PATIENCE_SECONDS", "FakeStore", "event_of", "events_of", "numbers_of"]

PATIENCE_SECONDS = 60.0
"""How long a test waits for what must happen, before it fails; it never waits that long when all is well."""


def event_of(number: int, message: str = "no id") -> Event:
    """Return the event whose id is *number*."""
    return Event(
        kind="missing_trace",
        severity="error",
        component="tracegate.gate",
        message=message,
        trace_id=OWN,
        stage="request",
    ).stamped(
        id=str(number),
        time=datetime(2026, 11, 23, tzinfo=UTC) + timedelta(microseconds=number % 10**9),
        service="shop",
        instance="pod",
        tenant="t",
        route="/orders/{id}",
    )


def events_of(*numbers: int) -> list[Event]:
    """Return the events of *numbers*."""
    return [event_of(number) for number in numbers]


def numbers_of(events: Sequence[Event]) -> list[int]:
    """Return the numbers of *events*."""
    return [int(event.id) for event in events]


class FakeStore:
    """Takes events, unless it was told to fail or to hang; remembers each call.

    Attributes:
        calls: The numbers of each call that succeeded.
        tries: How many calls there were.
        failing: What each call raises.
        entered: Set as soon as a call is there; clear it to wait for the next one.
        go_on: Cleared: calls hang.
    """

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.tries = 0
        self.failing: BaseException | None = None
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, events: Sequence[Event]) -> None:
        self.tries += 1
        self.entered.set()
        assert self.go_on.wait(PATIENCE_SECONDS)
        if self.failing is not None:
            raise self.failing
        self.calls.append(numbers_of(events))

    @property
    def taken(self) -> list[int]:
        """The numbers of all events, in the order they were taken."""
        return [number for call in self.calls for number in call]

    def go_away(self) -> None:
        """Fail from now on."""
        self.failing = StoreError("the store is away")

    def come_back(self) -> None:
        """Take events again."""
        self.failing = None
