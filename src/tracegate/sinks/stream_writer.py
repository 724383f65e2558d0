"""How do recorded streams reach the store, many in one transaction, while no stream waits for a disk?"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from tracegate.core.streams.recording import RecordedEvent
from tracegate.errors import StoreError
from tracegate.sinks.fork import begin_anew_after_fork

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tracegate.core.streams.recording import Beginning, Ending, Step, Trimming

__all__ = ["StreamWriter"]

_log = logging.getLogger("tracegate.sinks")

_EXIT_SECONDS = 5.0
_TIDY_SECONDS = 600.0
_GATHER_SECONDS = 0.005
"""How long events gather before they are given to the store, where nobody waits for them: to wake a thread costs more
than to record an event."""


class _Store(Protocol):
    def write(self, steps: Sequence[Step]) -> None: ...  # pragma: no cover

    def beat(self, recordings: Iterable[str]) -> None: ...  # pragma: no cover

    def tidy(self, max_age_seconds: float) -> None: ...  # pragma: no cover


class StreamWriter:
    """Writes what recorders see, from a thread of its own that starts with the first stream.

    What does not fit in the queue is dropped, and never a later step instead of an earlier one: a recording then has a
    gap in its numbers, which is seen when it is read. A store that fails gets the same again until it takes it, and
    meanwhile nobody waits for it (contract clause F4). A forked child starts anew.

    Args:
        store: Takes steps: durable when it returns, harmless to repeat. It may raise, and it may hang.
        lease_seconds: The store hears three times in this that the recordings of this process are alive.
        max_age_seconds: What is older is dropped from the store, now and then.
        max_queued: How many steps may wait.
        max_queued_bytes: How many bytes of events may wait.
        batch: How many steps the store gets at once.
        retry_seconds: How long a store that failed is left alone.

    Attributes:
        dropped: How many events of this process did not fit, or were refused by the store.
    """

    def __init__(  # noqa: PLR0913 - one part, two times and four bounds, each with a default
        self,
        store: _Store,
        *,
        lease_seconds: float = 15.0,
        max_age_seconds: float = 86_400.0,
        max_queued: int = 20_000,
        max_queued_bytes: int = 16 << 20,
        batch: int = 1_000,
        retry_seconds: float = 1.0,
    ) -> None:
        self._store = store
        self._beat_seconds = lease_seconds / 3
        self._max_age_seconds = max_age_seconds
        self._max_queued = max_queued
        self._max_queued_bytes = max_queued_bytes
        self._batch = batch
        self._retry_seconds = retry_seconds
        self.begin_anew()
        begin_anew_after_fork(self)
        _alive.add(self)

    def begin_anew(self) -> None:
        """Forget, in a forked child, what the parent records: the parent does so."""
        self._turn = threading.Condition()
        self._queue: deque[tuple[Step, Future[bool] | None]] = deque()
        self._queued_bytes = 0
        self._in_hand = 0
        self._open: set[str] = set()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._awaited = False
        self._answering = True
        self._given_at = 0.0
        self._beat_at = 0.0
        self._tidy_at = time.monotonic() + _TIDY_SECONDS / 10
        self.dropped = 0

    def begin(self, beginning: Beginning) -> bool:
        """Queue the beginning of a recording; return whether it fits. If not, nothing else of it may be queued."""
        with self._turn:
            if self._is_full() or self._stopped:
                return False
            self._open.add(beginning.recording)
            self._put(beginning, None)
            return True

    def add(self, event: RecordedEvent, *, awaited: bool = False) -> Future[bool] | None:
        """Queue *event*: never waits, never raises.

        Returns:
            Where it is *awaited*, what is done when the event is durable; from another thread, so callbacks must not
            block. None: it did not fit, or the store does not answer, and nobody should wait for it.
        """
        size = len(event.payload)
        with self._turn:
            if self._is_full() or (self._queued_bytes and self._queued_bytes + size > self._max_queued_bytes):
                self.dropped += 1
                return None
            self._queued_bytes += size
            late = self._in_hand and time.monotonic() - self._given_at > self._retry_seconds
            done: Future[bool] | None = None
            if awaited and self._answering and not late:
                done = Future()
                self._awaited = True
                done.set_running_or_notify_cancel()
            self._put(event, done)
            return done

    def trim(self, trimming: Trimming) -> None:
        """Queue the end of the first events of a recording, if it fits; the next one makes up for it."""
        with self._turn:
            if not self._is_full():
                self._put(trimming, None)

    def end(self, ending: Ending) -> None:
        """Queue the end of a recording that has begun. There is always room: it is one step for each beginning."""
        with self._turn:
            self._open.discard(ending.recording)
            self._put(ending, None)

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all that is queued is durable; return whether it is."""
        with self._turn:
            self._awaited = True
            self._turn.notify_all()
            return self._turn.wait_for(lambda: not self._queue and not self._in_hand, timeout_seconds)

    def close(self, timeout_seconds: float = _EXIT_SECONDS) -> bool:
        """Flush, and end the thread; return what flush does. A later stream starts anew, unless the store hangs."""
        flushed = self.flush(timeout_seconds)
        with self._turn:
            self._stopped = True
            self._turn.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_seconds)
        if thread is None or not thread.is_alive():
            self.begin_anew()
        return flushed

    def _is_full(self) -> bool:
        return len(self._queue) + self._in_hand >= self._max_queued

    def _put(self, step: Step, done: Future[bool] | None) -> None:
        self._queue.append((step, done))
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="tracegate_record_streams", daemon=True)
            with suppress(RuntimeError):  # no more threads: the next step asks again
                thread.start()
                self._thread = thread
        if len(self._queue) == 1 or done is not None:  # else the thread is at it already, or about to be
            self._turn.notify_all()

    def _run(self) -> None:
        turn = self._turn
        while True:
            with turn:
                while not (self._stopped or self._queue or (self._open and time.monotonic() >= self._beat_at)):
                    turn.wait(max(0.0, self._beat_at - time.monotonic()) if self._open else None)
                turn.wait_for(lambda: self._stopped or self._awaited or not self._queue, _GATHER_SECONDS)
                self._awaited = False
                if self._stopped:
                    return
                taken = [self._queue.popleft() for _ in range(min(self._batch, len(self._queue)))]
                self._in_hand, self._given_at = len(taken), time.monotonic()
                alive = tuple(self._open)
            took = self._give(taken, alive)
            with turn:
                self._settle(taken, took=took)
                if not took:
                    turn.wait_for(lambda: self._stopped, self._retry_seconds)

    def _give(self, taken: list[tuple[Step, Future[bool] | None]], alive: tuple[str, ...]) -> bool:
        """Give the store what was taken, and say who is alive; return whether it answered."""
        try:
            if taken:
                self._write([step for step, _ in taken])
            if time.monotonic() >= self._beat_at and alive:
                self._beat_at = time.monotonic() + self._beat_seconds
                self._store.beat(alive)
            if time.monotonic() >= self._tidy_at:
                self._tidy_at = time.monotonic() + _TIDY_SECONDS
                self._store.tidy(self._max_age_seconds)
        except StoreError as failure:
            if self._answering:
                _log.warning("streams are not recorded: %s", failure.reason)
            return False
        return True

    def _write(self, steps: list[Step]) -> None:
        """Write *steps*; what the store is well and refuses nevertheless is left out, stream by stream."""
        try:
            self._store.write(steps)
        except Exception as failure:
            if isinstance(failure, StoreError) and not failure.final:
                raise
            for step in steps:
                self._write_alone(step)

    def _write_alone(self, step: Step) -> None:
        try:
            self._store.write([step])
        except Exception as failure:
            if isinstance(failure, StoreError) and not failure.final:
                raise
            self.dropped += isinstance(step, RecordedEvent)
            _log.exception("the store refuses a step of a recorded stream")

    def _settle(self, taken: list[tuple[Step, Future[bool] | None]], *, took: bool) -> None:
        self._in_hand = 0
        self._answering = took
        if not took:
            self._queue.extendleft(reversed(taken))
            return
        for step, done in taken:
            if isinstance(step, RecordedEvent):
                self._queued_bytes -= len(step.payload)
            if done is not None:
                done.set_result(True)
        self._turn.notify_all()


_alive: WeakSet[StreamWriter] = WeakSet()


def _end_all() -> None:
    for writer in list(_alive):
        writer.close()


atexit.register(_end_all)
