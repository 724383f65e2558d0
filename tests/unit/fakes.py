"""What does the core ask of the world, in tests? Fakes of the three ports, which count and remember."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tracegate.core.events import Event
from tracegate.core.ports import Clock, Mint, Sink
from tracegate.core.trace import Trace
from tracegate.core.trace_id import TraceId

__all__ = [
    "HEX",
    "OTHER",
    "OTHER_HEX",
    "OWN",
    "OWN_TRACE",
    "Collector",
    "CountingMint",
    "Refusing",
    "SteppingClock",
    "minted",
]

OWN = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
HEX = "4bf92f3577b34da6a3ce929d0e0e4736"
OTHER = "0af76519-16cd-43dd-8448-eb211c80319c"
OTHER_HEX = "0af7651916cd43dd8448eb211c80319c"
OWN_TRACE = Trace.of(TraceId.from_text(OWN), "header")


def minted(count: int) -> str:
    """Return the spelling of the *count*-th id that a :class:`CountingMint` makes, from 1."""
    return f"00000000-0000-4000-8000-{count:012x}"


class CountingMint:
    """Makes ids that count up, so that a test can say which one was used, and how many were."""

    def __init__(self) -> None:
        self.traces = 0
        self.events = 0

    def trace_id(self) -> TraceId:
        self.traces += 1
        return TraceId.from_text(minted(self.traces))

    def event_id(self) -> str:
        self.events += 1
        return f"event-{self.events}"


class SteppingClock:
    """Tells a time that goes on by a microsecond with each look."""

    def __init__(self) -> None:
        self.looks = 0

    def now(self) -> datetime:
        self.looks += 1
        return datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC) + timedelta(microseconds=self.looks)


class Collector:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event, /) -> None:
        self.events.append(event)


class Refusing:
    """A sink that takes nothing."""

    def __call__(self, event: Event, /) -> None:
        raise OSError(f"no room for {event.kind}")


PORTS: tuple[type[Clock], type[Mint], type[Sink]] = (
    SteppingClock,
    CountingMint,
    Collector,
)  # the fakes are what is asked for
