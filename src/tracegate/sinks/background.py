"""How does a request hand over its events without waiting for a disk, or wait for it exactly as long as it must?"""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

from tracegate.sinks.delivery import Delivery
from tracegate.sinks.fork import begin_anew_after_fork
from tracegate.sinks.queues import Parcel, Queues

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tracegate.core.events import Event
    from tracegate.sinks.spool import Spool

__all__ = ["BackgroundWriter"]


class BackgroundWriter:
    """Writes events to a store, many in one transaction, and to the spool while the store is away (clauses F3, F4).

    All that wait go in one call of *take*. While it runs, the next ones gather. A store that fails, or is late for
    someone who waits, gets no new events until it answers again; they go to the spool, and the spool is replayed before
    new ones are taken. Its threads start with the first event, in the process that has it; a forked child starts its
    own. At the end of the interpreter what is queued is flushed.

    Args:
        take: Keeps events: durable when it returns, idempotent by their ids, from a thread of this writer. It may raise
            and it may hang. After a fork it is called in the child too.
        spool: Where events go while the store is away; None: what *take* refuses is lost.
        max_queued: How many events may wait for the store; as many again may wait for the spool.
        batch: How many events one call of *take* gets; more only where they were committed together.
        max_waiters: How many commits may wait for the store; more go to the spool at once.
        retry_seconds: How long a store that failed is left alone.
    """

    def __init__(  # noqa: PLR0913 - two parts and four bounds, each with a default
        self,
        take: Callable[[Sequence[Event]], object],
        spool: Spool | None,
        *,
        max_queued: int = 10_000,
        batch: int = 1_000,
        max_waiters: int = 256,
        retry_seconds: float = 1.0,
    ) -> None:
        self._take = take
        self._spool = spool
        self._max_queued = max_queued
        self._batch = batch
        self._max_waiters = max_waiters
        self._retry_seconds = retry_seconds
        self.begin_anew()
        begin_anew_after_fork(self)

    @property
    def lost(self) -> int:
        """How many events of this process neither the store nor the spool took; each is in the log, with its id."""
        return self._lost_before + self._queues.lost

    @property
    def backlog(self) -> int:
        """How many events of this process are neither durable nor lost."""
        return self._queues.backlog

    def __call__(self, event: Event, /) -> None:
        """Queue *event*: never waits, never raises."""
        self._delivery.accept(Parcel((event,)))

    def commit(self, events: Sequence[Event], timeout_seconds: float) -> bool:
        """Wait until *events* are durable.

        Args:
            events: One transaction takes them all, perhaps with others'.
            timeout_seconds: How long the store is waited for; after that, as long for the spool.

        Returns:
            Whether they are in the store or in the spool. False: neither has taken them, yet; what neither will take
            is counted in :attr:`lost`.
        """
        try:
            return self.submit(events, timeout_seconds).result(2 * timeout_seconds)
        except TimeoutError:
            return False

    def submit(self, events: Sequence[Event], timeout_seconds: float) -> Future[bool]:
        """Begin what :meth:`commit` does, for who must not block, such as an event loop (``asyncio.wrap_future``).

        Returns:
            Gets the result of :meth:`commit`; from another thread, so callbacks must not block. It is never cancelled
            and never fails. Where the disk of the spool hangs it may stay open.
        """
        answer: Future[bool] = Future()
        answer.set_running_or_notify_cancel()  # who stops waiting does not call back what is on its way
        if events:
            self._delivery.accept(Parcel(tuple(events), answer, time.monotonic() + timeout_seconds))
        else:
            answer.set_result(True)
        return answer

    def start(self) -> None:
        """Start now rather than with the first event: the spool may hold what an earlier process left there."""
        self._delivery.start()

    def flush(self, timeout_seconds: float = 5.0) -> None:
        """Wait until all that is queued is durable, or lost and logged: so long for the store, then for the spool."""
        self._delivery.flush(timeout_seconds)

    def close(self, timeout_seconds: float = 5.0) -> bool:
        """Flush, and end the threads; a later event starts new ones.

        Args:
            timeout_seconds: How long the store is waited for; after that, as long for the spool.

        Returns:
            Whether everything is durable; what is not is counted in :attr:`lost`.
        """
        lost = self.lost
        self._delivery.flush(timeout_seconds)
        self._delivery.stop()
        total = self.lost
        self.begin_anew()
        self._lost_before = total
        return total == lost

    def begin_anew(self) -> None:
        """Forget, in a forked child, the parent's queues and threads: the parent writes what it queued."""
        self._lost_before = 0
        self._queues: Queues = Queues(
            spools=self._spool is not None,
            max_queued=self._max_queued,
            max_waiters=self._max_waiters,
            batch=self._batch,
        )
        self._delivery: Delivery = Delivery(self._take, self._spool, self._queues, self._retry_seconds)
