"""Are refusals coming faster than they used to? One event when a surge begins (contract clause F1).

Only refusals are counted, so a good request pays nothing. Each process judges its own; for a whole fleet there are the
Prometheus rules in ``deploy/prometheus``.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from tracegate.core.events import KIND_BY_DETAIL
from tracegate.runtime import SystemMint
from tracegate.sinks.fork import begin_anew_after_fork

if TYPE_CHECKING:
    from tracegate.core.events import Event
    from tracegate.core.ports import Mint, Sink

__all__ = ["Rule", "Surge", "SurgeSink"]

_MINUTE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Rule:
    """When is it a surge?

    Attributes:
        least: At least so many refusals in a minute.
        times: And at least so many times the base, which is the median of the last full minutes.
        minutes: How many of those are looked at.
        calm: A surge ends after so many full minutes in a row with less than half of what would begin one.
    """

    least: int = 20
    times: float = 5.0
    minutes: int = 30
    calm: int = 3


@dataclass(slots=True)
class Surge:
    """Refusals, minute by minute, and whether there is a surge. Pure: the time is given.

    Attributes:
        rule: When there is one.
        count: Refusals in this minute.
        is_on: Whether there is one.
    """

    rule: Rule = field(default_factory=Rule)
    count: int = 0
    is_on: bool = False
    _minute: int | None = None
    _past: tuple[int, ...] = ()
    _calm: int = 0

    def __post_init__(self) -> None:
        self._past = (0,) * self.rule.minutes  # of what was before it knows nothing, and takes it for quiet

    @property
    def base(self) -> float:
        """How many refusals a minute had, as a rule."""
        ordered, last = sorted(self._past), len(self._past) - 1
        return (ordered[last // 2] + ordered[-(last // 2) - 1]) / 2  # the module of that name takes 10 ms to import

    @property
    def threshold(self) -> float:
        """How many refusals in a minute begin a surge."""
        return max(self.rule.least, self.rule.times * self.base)

    def add(self, minute: int) -> bool:
        """Count one refusal.

        Args:
            minute: Of its time, since any fixed moment. One before the newest is taken for the newest: clocks step.

        Returns:
            Whether a surge begins with it.
        """
        self._go_to(minute)
        self.count += 1
        if self.is_on or self.count < self.threshold:
            return False
        self.is_on, self._calm = True, 0
        return True

    def _go_to(self, minute: int) -> None:
        """Close the minutes before *minute*."""
        if self._minute is None:
            self._minute = minute
        # After a silence of the whole past and the calm, nothing is left of what was before: more makes no difference.
        first = max(self._minute, minute - self.rule.minutes - self.rule.calm)
        for _ in range(first, minute):
            self._close()
        self._minute = max(self._minute, minute)

    def _close(self) -> None:
        if self.is_on:
            self._calm = self._calm + 1 if 2 * self.count < self.threshold else 0
            self.is_on = self._calm < self.rule.calm
        self._past = (*self._past, self.count)[-self.rule.minutes :]
        self.count = 0


class SurgeSink:
    """Watches the refusals among the events it gets, and gives an event to another sink when a surge begins.

    Args:
        sink: Gets ``trace_refusal_surge``, whose trace is that of the refusal with which it began.
        tenant: The tenant of that event: a surge is not one tenant's.
        rule: When there is one.
        mint: Makes the event's id.
    """

    def __init__(
        self, sink: Sink, *, tenant: str = "default", rule: Rule | None = None, mint: Mint | None = None
    ) -> None:
        self._sink = sink
        self._tenant = tenant
        self._rule = rule or Rule()
        self._mint = mint or SystemMint()
        self.begin_anew()
        begin_anew_after_fork(self)

    def __call__(self, event: Event, /) -> None:
        """Look at *event*."""
        if event.detail not in KIND_BY_DETAIL or event.would_refuse or event.time is None:
            return
        with self._lock:
            begins = self._surge.add(int(event.time.timestamp()) // _MINUTE_SECONDS)
            count, base = self._surge.count, self._surge.base
        if begins:
            self._sink(self._told(event, count, base))

    def begin_anew(self) -> None:
        """Know nothing, in a forked child, of the parent's refusals."""
        self._lock = threading.Lock()
        self._surge = Surge(self._rule)

    def _told(self, event: Event, count: int, base: float) -> Event:
        return replace(
            event,
            id=self._mint.event_id(),
            kind="trace_refusal_surge",
            severity="critical",
            component="tracegate.surge",
            message=f"{count} refusals in this minute already, where a minute had {base:g}.",
            metric_value=count,
            tenant=self._tenant,
            client_trace_id=None,
            parent_trace_id=None,
            method=None,
            transport=None,
            route=None,
            mode=None,
            status=None,
            refused_status=None,
            detail=None,
        )
