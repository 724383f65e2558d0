"""What happens to a request when a sink fails? Nothing: this is the one place that swallows exceptions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from tracegate.core.events import Event
    from tracegate.core.ports import Sink

__all__ = ["Fanout"]

_log = logging.getLogger("tracegate.sinks")


class Fanout:
    """Gives each event to several sinks; a failing one is counted and never seen by a request (clauses F4, F5).

    Args:
        sinks: In the order they are called.
        strict: Whether the first failure is raised after all sinks were called; for tests.

    Attributes:
        failures: How many calls of a sink failed.
    """

    __slots__ = ("_first", "_sinks", "_strict", "failures")

    def __init__(self, *sinks: Sink, strict: bool = False) -> None:
        self._sinks = sinks
        self._strict = strict
        self.failures = 0
        self._first: Exception | None = None

    def __call__(self, event: Event, /) -> None:
        """Give *event* to every sink."""
        for sink in self._sinks:
            self._give(sink, event)
        self._complain()

    def submit(self, events: Sequence[Event], timeout_seconds: float) -> Future[bool] | None:
        """Give *events* to every sink; return what the last one that keeps events answers, None where none does.

        Args:
            events: Facts, stamped.
            timeout_seconds: How long such a sink may take.
        """
        pending: Future[bool] | None = None
        for sink in self._sinks:
            submit: Callable[[Sequence[Event], float], Future[bool]] | None = getattr(sink, "submit", None)
            if submit is None:
                for event in events:
                    self._give(sink, event)
            else:
                pending = submit(events, timeout_seconds)
        self._complain()
        return pending

    def _give(self, sink: Sink, event: Event) -> None:
        try:
            sink(event)
        except Exception as failure:  # noqa: BLE001 - whatever a sink raises is no request's fault
            self.failures += 1
            _log.exception("a sink failed; the event was: %s %s %s", event.kind, event.trace_id, event.message)
            self._first = self._first or failure

    def _complain(self) -> None:
        first, self._first = self._first, None
        if self._strict and first is not None:
            raise first
