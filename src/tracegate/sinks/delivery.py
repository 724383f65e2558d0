"""How do events reach the store, and the spool when the store is away or hangs, while nobody waits for a thread?

Two threads: one gives events to the store, and may hang there; the other one watches it, and writes to the spool.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tracegate.sinks.losses import Losses, reason_of
from tracegate.sinks.refused import is_final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from tracegate.core.events import Event
    from tracegate.sinks.queues import Parcel, Queues
    from tracegate.sinks.spool import Spool

__all__ = ["Delivery"]

_log = logging.getLogger("tracegate.sinks")

_LOOK_EVERY_SECONDS = 30.0
"""How often an idle process looks for what another one left in the spool when it was killed."""


_MARK_SECONDS = 1.0
"""How long an end waits for the mark of what was lost."""

_EXIT_SECONDS = 5.0
"""How long the end of the interpreter waits for the store, and then for the spool."""

_LATE_SECONDS = 1.0
"""How long the store may be at the same events; then what waits for it goes to the spool as well, awaited or not."""

_CAUGHT_UP = 1_000
"""A replay that found fewer events than this is about to catch up with those that come."""


class _AwayError(Exception):
    """The store did not take what the spool gave it."""

    def __init__(self, failure: BaseException) -> None:
        self.failure = failure
        super().__init__()


class Delivery:
    """The queues of one process, and the two threads that empty them.

    Args:
        take: Writes to the store; recognises by their ids the events that it has.
        spool: Where events go while the store is away; None: nowhere, what the store refuses is lost.
        queues: Empty ones.
        retry_seconds: How long a store that failed is left alone.
    """

    def __init__(
        self, take: Callable[[Sequence[Event]], object], spool: Spool | None, queues: Queues, retry_seconds: float
    ) -> None:
        self._take = take
        self._spool = spool
        self._queues = queues
        self._retry_seconds = retry_seconds
        lock = threading.RLock()
        self._lock = lock
        self._store_turn = threading.Condition(lock)
        self._spool_turn = threading.Condition(lock)
        self._progress = threading.Condition(lock)
        self._threads: list[threading.Thread] = []
        self._stopped = False
        self._spooled = False
        self._spool_fails = False
        self._recovering = False
        self._telling = 0
        self._look_at = 0.0 if spool is not None else math.inf  # a process before this one may have left something
        self._wake_at = -math.inf
        self._late_at = math.inf
        self._losses = Losses(spool)

    def accept(self, parcel: Parcel) -> None:
        """Queue *parcel*. Waits for nothing, unless the system gives no thread: the spool is written at once then."""
        with self._exclusive() as queues:
            queues.admit(parcel)
            started = not self._stopped and self._start()
            if queues.store_has_work:
                self._store_turn.notify()
            if queues.spool_has_work or parcel.deadline < self._wake_at:
                self._spool_turn.notify()
        if not started:
            self._rescue()

    def start(self) -> None:
        """Start the threads, where they do not run yet."""
        with self._lock:
            self._start()

    def flush(self, timeout_seconds: float) -> None:
        """Wait for the store, then as long for the spool, until all that is queued is durable, or lost and logged."""
        with self._exclusive() as queues:
            if not self._progress.wait_for(self._is_done, timeout_seconds):
                queues.hurry()
                self._spool_turn.notify()
                self._progress.wait_for(self._is_done, timeout_seconds)

    def stop(self) -> None:
        """End the threads, as soon as they are done with what they are at; what is still queued is lost."""
        with self._exclusive() as queues:
            queues.give_up()
            self._stopped = True
            _running.discard(self)
            self._store_turn.notify_all()
            self._spool_turn.notify_all()
        for thread in self._threads[1:]:
            thread.join(_MARK_SECONDS)

    def _is_done(self) -> bool:
        return not self._queues.backlog and not self._telling and time.monotonic() < self._losses.due_at

    def _start(self) -> bool:
        loops = (self._feed_store, self._feed_spool)[len(self._threads) :]
        for loop in loops:
            thread = threading.Thread(target=loop, name=f"tracegate{loop.__name__}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads, or none so late: the interpreter ends
                return False
            self._threads.append(thread)
            _running.add(self)
        return True

    def _rescue(self) -> None:
        with self._exclusive() as queues:
            queues.hurry()
        while True:
            with self._exclusive() as queues:
                parcels = queues.for_spool()
            if not parcels:
                break
            self._write_spool(parcels)
        with self._exclusive() as queues:
            if self._stopped:
                queues.give_up()
        self._losses.mark()

    def _feed_store(self) -> None:
        while (parcels := self._for_store()) is not None:
            try:
                replayed = self._replay()
                if parcels:
                    self._take([event for parcel in parcels for event in parcel.events])
            except BaseException as failure:  # noqa: BLE001 - a thread that ends takes nothing any more
                self._store_failed(parcels, failure)
            else:
                self._store_answered(parcels, replayed)

    def _for_store(self) -> list[Parcel] | None:
        with self._exclusive() as queues:
            while not (self._stopped or queues.store_has_work or time.monotonic() >= self._look_at):
                self._store_turn.wait(_seconds_until(self._look_at))
            if self._recovering and not self._stopped:
                # What came before the store was back is on its way to the spool, and is taken before what came after.
                self._recovering = False
                self._store_turn.wait_for(lambda: queues.spool_is_idle, self._retry_seconds)
            if self._stopped:
                return None
            self._late_at = time.monotonic() + _LATE_SECONDS
            if self._late_at < self._wake_at:
                self._spool_turn.notify()
            return queues.for_store()

    def _replay(self) -> int:
        """Give the store what is in the spool, if anything may be. A spool that cannot be read keeps nothing back."""
        with self._lock:
            due = self._spooled or time.monotonic() >= self._look_at
            self._spooled = False
        if self._spool is None or not due:
            return 0
        try:
            return self._spool.replay(self._give)
        except _AwayError as away:
            raise away.failure from None
        except Exception as failure:  # noqa: BLE001 - a broken disk must not keep the store from taking what comes
            _log.warning("the spool is not replayed: %s", reason_of(failure))
            return 0

    def _give(self, events: Sequence[Event]) -> None:
        try:
            self._take(events)
        except BaseException as failure:
            if is_final(failure):
                raise
            raise _AwayError(failure) from failure

    def _store_answered(self, parcels: list[Parcel], replayed: int) -> None:
        with self._exclusive() as queues:
            self._late_at = math.inf
            queues.store_took(parcels)
            was_away = not queues.answering
            # Nothing was given to it while something is on its way to the spool: that will show whether it is back.
            shown = bool(parcels or replayed) or (queues.spool_is_idle and not self._spooled)
            self._recovering = was_away and shown and replayed < _CAUGHT_UP
            queues.answering = queues.answering or self._recovering
            if self._spool is not None:
                again = 0.0 if shown or self._spooled else self._retry_seconds
                self._look_at = time.monotonic() + (again if was_away or self._spooled else _LOOK_EVERY_SECONDS)
            self._progress.notify_all()
        if was_away and queues.answering:
            _log.info("the event store gets events again")

    def _store_failed(self, parcels: list[Parcel], failure: BaseException) -> None:
        with self._exclusive() as queues:
            self._late_at = math.inf
            first = queues.answering
            queues.store_refused(parcels)
            if self._spool is not None:
                self._spooled = True
                self._look_at = time.monotonic() + self._retry_seconds
            self._spool_turn.notify()
            self._progress.notify_all()
        if first:
            _log.warning("the event store does not take events: %s", reason_of(failure))

    def _feed_spool(self) -> None:
        while (parcels := self._for_spool()) is not None:
            self._write_spool(parcels)
            self._mark(at_once=False)
        self._mark(at_once=True)

    def _for_spool(self) -> list[Parcel] | None:
        with self._exclusive() as queues:
            self._offer_overdue(queues)
            wake_at = min(queues.next_deadline, self._late_at, self._losses.due_at)
            if not (self._stopped or queues.spool_has_work or queues.answers or time.monotonic() >= wake_at):
                self._wake_at = wake_at
                self._spool_turn.wait(_seconds_until(wake_at))
                self._wake_at = -math.inf
                self._offer_overdue(queues)
            return None if self._stopped else queues.for_spool()

    def _offer_overdue(self, queues: Queues) -> None:
        now = time.monotonic()
        queues.overdue(now)
        if now >= self._late_at:
            queues.late()
            self._late_at = now + _LATE_SECONDS

    def _write_spool(self, parcels: list[Parcel]) -> None:
        if self._spool is None or not parcels:
            return
        try:
            self._spool.append([event for parcel in parcels for event in parcel.events])
        except BaseException as failure:  # noqa: BLE001 - as with the store
            self._spool_failed(parcels, failure)
        else:
            self._spool_took(parcels)

    def _spool_took(self, parcels: list[Parcel]) -> None:
        with self._exclusive() as queues:
            queues.spool_took(parcels)
            self._spool_fails = False
            self._spooled = True
            if queues.answering:
                self._look_at = 0.0
            self._store_turn.notify()
            self._progress.notify_all()

    def _spool_failed(self, parcels: list[Parcel], failure: BaseException) -> None:
        with self._exclusive() as queues:
            first, self._spool_fails = not self._spool_fails, True
            queues.spool_refused(parcels)
            self._store_turn.notify()
            self._progress.notify_all()
        if first:
            _log.warning("the spool does not take events: %s", reason_of(failure))

    def _mark(self, *, at_once: bool) -> None:
        if at_once or time.monotonic() >= self._losses.due_at:
            self._losses.mark(at_once=at_once)
            with self._lock:
                self._progress.notify_all()

    @contextmanager
    def _exclusive(self) -> Generator[Queues]:
        """Hold the lock; then, without it, tell the log what was lost, and who waits."""
        with self._lock:
            yield self._queues
            answers, self._queues.answers = self._queues.answers, []
            lost, self._queues.obituaries = self._queues.obituaries, []
            self._telling += bool(lost)
        for event in lost:
            _log.error("an event is lost: %s %s %s %s", event.id, event.kind, event.trace_id, event.message)
        for answer, durable in answers:
            answer.set_result(durable)
        if lost:
            self._losses.add(len(lost))
            with self._lock:
                self._telling -= 1
                self._spool_turn.notify()
                self._progress.notify_all()


_running: set[Delivery] = set()
"""Those of this process that have threads: they outlive the writer that made them."""


def _end_all() -> None:
    for delivery in list(_running):
        delivery.flush(_EXIT_SECONDS)
        delivery.stop()


atexit.register(_end_all)
os.register_at_fork(after_in_child=_running.clear)


def _seconds_until(moment: float) -> float | None:
    return None if moment == math.inf else max(0.0, moment - time.monotonic())
