"""What happens to a request when a sink fails? Nothing: this is the one place that swallows exceptions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

    __slots__ = ("_sinks", "_strict", "failures")

    def __init__(self, *sinks: Sink, strict: bool = False) -> None:
        self._sinks = sinks
        self._strict = strict
        self.failures = 0

    def __call__(self, event: Event, /) -> None:
        """Give *event* to every sink."""
        first: Exception | None = None
        for sink in self._sinks:
            try:
                sink(event)
            except Exception as failure:  # noqa: BLE001 - whatever a sink raises is no request's fault
                self.failures += 1
                _log.exception("a sink failed; the event was: %s %s %s", event.kind, event.trace_id, event.message)
                first = first or failure
        if self._strict and first is not None:
            raise first
