"""How much traffic was there? Counts of one process, for each tenant and minute, until a store has them.

To count takes no lock, no clock and no look at the minute: whoever reads the counts gives what came since the last
reading to the minute that had begun then. So a reading at each turn of a minute keeps the minutes apart; one that is
late gives the new minute's first requests to the old one, and loses none.

Source: docs/metrics.md; contract clause H1.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final
from weakref import ref

from tracegate.core.rewrite.event_body import EventBody
from tracegate.runtime import UNKNOWN_TENANT, recorded_tenant
from tracegate.sinks.fork import begin_anew_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from tracegate.core.exchange import Exchange
    from tracegate.core.policy import Policy

__all__ = ["Counts", "Minute", "Traffic"]

_MOST_TENANTS: Final = 1_000
"""How many tenants one process tells apart; what comes after them is counted as unknown."""

_MOST_KEPT: Final = 20_000
"""How many minutes of tenants wait for a store that is away: for one tenant, two weeks."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted.

    Attributes:
        requests: That came in, whatever became of them.
        traced: Replies that left with the bound trace.
        untraced: Replies that left with another one, as configured, or with none.
        sse_events: Events of streams that were marked with the trace.
    """

    requests: int = 0
    traced: int = 0
    untraced: int = 0
    sse_events: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Return both together."""
        return Counts(
            self.requests + other.requests,
            self.traced + other.traced,
            self.untraced + other.untraced,
            self.sse_events + other.sse_events,
        )


@dataclass(frozen=True, slots=True)
class Minute:
    """What was counted for one tenant in one minute; so far, if it has not ended.

    Attributes:
        tenant: As recorded.
        start: UTC.
        counts: All of them, not what was added.
    """

    tenant: str
    start: datetime
    counts: Counts


class _Counter:
    """Counts from any thread without a lock: its one step is one call into the interpreter's own code."""

    __slots__ = ("_looks", "add")

    def __init__(self) -> None:
        self.add: Callable[[], int] = count().__next__
        self._looks = 0

    def value(self) -> int:
        """Return how often was counted. For one reader: to look is to count, so looks are taken off again."""
        looks = self._looks
        self._looks += 1
        return self.add() - looks


class _Stream:
    """Counts the events of one stream until nobody keeps it."""

    __slots__ = ("__weakref__", "_counted", "_exchange", "_tally")

    def __init__(self, tally: _Tally, exchange: Exchange) -> None:
        self._tally = tally
        self._exchange = exchange
        self._counted = 0

    def take(self) -> int:
        """Return how many events were marked since the last call."""
        before, self._counted = self._counted, _marked(self._exchange)
        return self._counted - before

    def __del__(self) -> None:
        self._tally.ended.append(self.take())


def _marked(exchange: Exchange) -> int:
    body = exchange._treated  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - the core counts, and has no door to it
    if not isinstance(body, EventBody):
        return 0
    return body._machine.events  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - same


class _Tally:
    """The counters of one tenant."""

    __slots__ = ("_requests", "_seen", "_streams", "_traced", "_untraced", "ended", "request", "traced", "untraced")

    request: Callable[..., object]
    traced: Callable[..., object]
    untraced: Callable[..., object]

    def __init__(self) -> None:
        self._requests, self._traced, self._untraced = _Counter(), _Counter(), _Counter()
        self.request, self.traced, self.untraced = self._requests.add, self._traced.add, self._untraced.add
        self.ended: deque[int] = deque()  # events of streams that nobody keeps any more
        self._streams: deque[ref[_Stream]] = deque()
        self._seen = (0, 0, 0)

    def stream(self, exchange: Exchange) -> _Stream:
        """Return what counts the marked events of a stream, for as long as it is kept."""
        found = _Stream(self, exchange)
        self._streams.append(ref(found))
        return found

    def count_at_once(self) -> Callable[[], int]:
        """Have requests counted without further ado; return what counts them."""
        self.request = self._requests.add
        return self._requests.add

    def take(self) -> Counts:
        """Return what was counted since the last call. For one reader."""
        before, self._seen = self._seen, (self._requests.value(), self._traced.value(), self._untraced.value())
        requests, traced, untraced = (now - then for now, then in zip(self._seen, before, strict=True))
        return Counts(requests, traced, untraced, self._take_events())

    def _take_events(self) -> int:
        events = 0
        for _ in range(len(self._streams)):
            known = self._streams.popleft()
            stream = known()
            if stream is not None:
                events += stream.take()
                self._streams.append(known)
        while self.ended:
            events += self.ended.popleft()
        return events


class Traffic:
    """Counts requests and replies of one process; a forked child begins at nothing.

    Args:
        policy: Says who is a tenant.
        on_first: Called by the first request of each process, from its thread; it must not wait.
    """

    def __init__(self, policy: Policy, on_first: Callable[[], object]) -> None:
        self._policy = policy
        self._on_first = on_first
        self._tallies: dict[str, _Tally] = {}
        self._started = False
        self._minute: datetime | None = None
        self._kept: dict[tuple[datetime, str], Counts] = {}
        self.lost = 0
        begin_anew_after_fork(self)

    def tally(self, named: str | None) -> _Tally:
        """Return what counts for the tenant that a request names, if any."""
        tenant = recorded_tenant(self._policy, named)
        found = self._tallies.get(tenant)
        if found is not None:
            return found
        if len(self._tallies) >= _MOST_TENANTS:
            tenant = UNKNOWN_TENANT
        return self._tallies.setdefault(tenant, self._new())

    def read(self, now: datetime) -> None:
        """Give what was counted since the last reading to the minute of that reading. For one thread.

        Args:
            now: Aware, UTC.
        """
        minute = now.replace(second=0, microsecond=0)
        of = self._minute or minute
        for tenant, tally in list(self._tallies.items()):
            counts = tally.take()
            if counts != _NOTHING:
                self._kept[of, tenant] = self._kept.get((of, tenant), _NOTHING) + counts
        self._minute = minute
        self._kept.setdefault((minute, self._policy.default_tenant), _NOTHING)  # nothing happened, and somebody looked
        while len(self._kept) > _MOST_KEPT:
            del self._kept[min(self._kept)]
            self.lost += 1

    def minutes(self) -> list[Minute]:
        """Return what the store may not have yet, and the minute that is not over."""
        return [Minute(tenant, start, counts) for (start, tenant), counts in sorted(self._kept.items(), key=_by_key)]

    def forget(self, stored: Iterable[Minute]) -> None:
        """Drop what the store has, but for the minute that is not over."""
        for minute in stored:
            if minute.start != self._minute:
                self._kept.pop((minute.start, minute.tenant), None)

    def begin_anew(self) -> None:
        """Count nothing, in a forked child, that the parent counted."""
        self._started, self._minute, self.lost = False, None, 0
        self._kept.clear()
        for tally in self._tallies.values():
            tally.take()
            tally.request = self._first_request(tally)

    def _new(self) -> _Tally:
        tally = _Tally()
        if not self._started:
            tally.request = self._first_request(tally)
        return tally

    def _first_request(self, tally: _Tally) -> Callable[[], object]:
        """Return what counts the first request of this process, and from then on is out of the way."""

        def request() -> None:
            tally.count_at_once()()
            if not self._started:
                self._started = True
                self._on_first()

        return request


_NOTHING: Final = Counts()


def _by_key(item: tuple[tuple[datetime, str], Counts]) -> tuple[datetime, str]:
    return item[0]
