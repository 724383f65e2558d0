"""How does the deploy gate hear of events that were recorded nowhere? By a mark beside the spool."""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import TYPE_CHECKING

from tracegate.errors import StoreError

if TYPE_CHECKING:
    from tracegate.sinks.spool import Spool

__all__ = ["Losses", "reason_of"]

_log = logging.getLogger("tracegate.sinks")

_EVERY_SECONDS = 1.0
"""How often a mark is made, or tried; the log has each event at once."""


class Losses:
    """Counts what one process has lost, and marks it. Safe for threads.

    Args:
        spool: What takes the marks; None: the log alone knows.

    Attributes:
        due_at: When :meth:`mark` has something to do; seconds of the monotonic clock.
    """

    def __init__(self, spool: Spool | None) -> None:
        self._spool = spool
        self._lock = threading.Lock()
        self._unmarked = 0
        self._tried_at = -math.inf
        self.due_at = math.inf

    def add(self, count: int) -> None:
        """Note that *count* more events are lost; waits for no disk."""
        with self._lock:
            self._unmarked += count
            if self._spool is not None:
                self.due_at = max(time.monotonic(), self._tried_at + _EVERY_SECONDS)

    def mark(self, *, at_once: bool = False) -> None:
        """Mark what has not been marked, where it is time for it; a disk that does not take that is asked again."""
        with self._lock:
            count = self._unmarked
            if self._spool is None or not count or not (at_once or time.monotonic() >= self.due_at):
                return
            self._unmarked = 0
            self.due_at = math.inf
            self._tried_at = time.monotonic()
        try:
            self._spool.mark_lost(count)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the log has said what is lost
            _log.warning("%d lost events are not marked for the deploy gate: %s", count, reason_of(failure))
            self.add(count)


def reason_of(failure: BaseException) -> str:
    """Say why, without what a driver's message may hold: the store's address."""
    return failure.reason if isinstance(failure, StoreError) else type(failure).__name__
