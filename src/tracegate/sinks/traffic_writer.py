"""How do counts get into the store, while no request waits for it?"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import uuid
from typing import TYPE_CHECKING, Final

from tracegate.errors import StoreError
from tracegate.runtime import SystemClock
from tracegate.sinks.fork import begin_anew_after_fork
from tracegate.sinks.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from tracegate.core.policy import Policy
    from tracegate.core.ports import Clock
    from tracegate.sinks.traffic import Minute

__all__ = ["TrafficWriter"]

_log = logging.getLogger("tracegate.sinks")

_BATCH: Final = 1_000
_EXIT_SECONDS: Final = 5.0
_MINUTE_SECONDS: Final = 60.0
_AFTER_THE_TURN: Final = 0.005


class TrafficWriter:
    """Reads the counts of this process and writes them, from one thread of its own.

    The thread starts with the first request of a process, in that process. It reads at each turn of a minute, and
    writes every so many seconds, even where nothing happened: that says that somebody is there. While the store is away
    counts wait, within a bound. At the end of the interpreter the last ones are written.

    Args:
        policy: Says who is a tenant.
        put: Writes what one process, by its name, has counted in its minutes; the same may be written again. From this
            thread; it may raise and it may hang.
        clock: Tells the minute; None: the machine's.
        every_seconds: How often is written at least.

    Attributes:
        traffic: What counts.
    """

    _thread: threading.Thread | None

    def __init__(
        self,
        policy: Policy,
        put: Callable[[str, Sequence[Minute]], object],
        *,
        clock: Clock | None = None,
        every_seconds: float = 10.0,
    ) -> None:
        self._put = put
        self._clock = clock or SystemClock()
        self._every_seconds = every_seconds
        self.begin_anew()
        begin_anew_after_fork(self)
        self.traffic = Traffic(policy, self.start)

    def start(self) -> None:
        """Start the thread, unless this process has started it."""
        if not self._first.acquire(blocking=False):
            return
        thread = threading.Thread(target=self._run, name="tracegate_traffic", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads, or none so late
            _log.warning("traffic is not counted: there is no thread for it")
            return
        self._thread = thread
        _running.add(self)

    def flush(self) -> None:
        """Write the counts of until now, from this thread, while the store takes them."""
        if self._thread is not None:
            self._write()

    def close(self, timeout_seconds: float = _EXIT_SECONDS) -> None:
        """Write the last counts, and end the thread; what the store does not take in this time is lost."""
        self._ends.set()
        _running.discard(self)
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    def begin_anew(self) -> None:
        """Forget, in a forked child, the parent's thread and name."""
        self._first = threading.Lock()
        self._one_at_a_time = threading.Lock()
        self._ends = threading.Event()
        self._thread = None
        self._name: str = uuid.uuid4().hex
        self._fails = False

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ends.is_set():
            if time.monotonic() >= due:
                self._write()
                due = time.monotonic() + self._every_seconds
            else:  # not every process of a service shall write at the turn of a minute
                self._read()
            self._ends.wait(min(due - time.monotonic(), _to_next_minute(self._clock.now())))
        self._write()

    def _read(self) -> None:
        with self._one_at_a_time:
            self.traffic.read(self._clock.now())

    def _write(self) -> None:
        with self._one_at_a_time:
            self._write_alone()

    def _write_alone(self) -> None:
        try:
            self.traffic.read(self._clock.now())
            minutes = self.traffic.minutes()
            for start in range(0, len(minutes), _BATCH):
                batch = minutes[start : start + _BATCH]
                self._put(self._name, batch)
                self.traffic.forget(batch)
        except BaseException as failure:  # noqa: BLE001 - a thread that ends counts nothing any more
            if not self._fails:
                reason = failure.reason if isinstance(failure, StoreError) else type(failure).__name__
                _log.warning("the store does not take counts of replies: %s", reason)
            self._fails = True
        else:
            if self._fails:
                _log.info("the store takes counts of replies again")
            self._fails = False


def _to_next_minute(now: datetime) -> float:
    return _MINUTE_SECONDS - now.second - now.microsecond / 1_000_000 + _AFTER_THE_TURN


_running: set[TrafficWriter] = set()
"""Those of this process that have a thread."""


def _end_all() -> None:
    for writer in list(_running):
        writer.close()


atexit.register(_end_all)
os.register_at_fork(after_in_child=_running.clear)
