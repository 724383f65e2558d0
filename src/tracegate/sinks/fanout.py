"""What happens to a request when a sink fails? Nothing: this is the one place that swallows exceptions."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from tracegate.core.events import Event
    from tracegate.core.ports import Sink

__all__ = ["Fanout"]

_log = logging.getLogger("tracegate.sinks")
_Answer = TypeVar("_Answer")


class Fanout:
    """Gives each event to several sinks; a failing one is counted and never seen by a request (clauses F4, F5).

    Args:
        sinks: In the order they are called.
        strict: Whether the first failure is raised after all sinks were called; for tests.

    Attributes:
        failures: How many calls of a sink failed.
    """

    __slots__ = ("_sinks", "_strict", "failures")

    def __init__(self, *sinks: Sink, strict: bool = False) -> None:
        self._sinks = sinks
        self._strict = strict
        self.failures = 0

    def __call__(self, event: Event, /) -> None:
        """Give *event* to every sink."""
        self._raise([self._tried(partial(sink, event), event)[1] for sink in self._sinks])

    def submit(self, events: Sequence[Event], timeout_seconds: float) -> Future[bool] | None:
        """Give *events* to every sink; return what the last one that keeps events answers, None where none does.

        Args:
            events: Facts, stamped.
            timeout_seconds: How long such a sink may take.
        """
        pending: Future[bool] | None = None
        failures: list[Exception | None] = []
        for sink in self._sinks:
            submit: Callable[[Sequence[Event], float], Future[bool]] | None = getattr(sink, "submit", None)
            if submit is None:
                failures += [self._tried(partial(sink, event), event)[1] for event in events]
            else:
                answer, failure = self._tried(partial(submit, events, timeout_seconds), *events)
                pending = answer or pending
                failures.append(failure)
        self._raise(failures)
        return pending

    def _tried(self, call: Callable[[], _Answer], *events: Event) -> tuple[_Answer | None, Exception | None]:
        """Return what *call* returns, or the exception that it raised over *events*, counted and logged."""
        try:
            return call(), None
        except Exception as failure:  # noqa: BLE001 - whatever a sink raises is no request's fault
            self.failures += 1
            for event in events:
                _log.exception("a sink failed; the event was: %s %s %s", event.kind, event.trace_id, event.message)
            return None, failure

    def _raise(self, failures: Sequence[Exception | None]) -> None:
        first = next((failure for failure in failures if failure is not None), None)
        if self._strict and first is not None:
            raise first
