"""Which events does the store get next, and which the spool? Bookkeeping without threads, clocks and disks.

Events go to the store; to the spool while the store does not answer, or while too many wait for it. Who cannot keep
them passes them on to the other. What waits too long for the store is offered to the spool as well, and is durable as
soon as either has it. An event is lost when both refused it, or when neither queue had room for it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Future

    from tracegate.core.events import Event

__all__ = ["Parcel", "Queues"]


@dataclass(slots=True, eq=False)
class Parcel:
    """Events that become durable together.

    Attributes:
        events: At least one.
        answer: Who waits for them: gets True when they are durable, False when they are lost or it cannot be told yet.
        deadline: From when on the spool is asked as well; seconds of a monotonic clock.
        refused: Whether the store or the spool could not keep them.
        settled: Whether they are durable or lost.
    """

    events: Sequence[Event]
    answer: Future[bool] | None = None
    deadline: float = math.inf
    refused: bool = False
    settled: bool = False


class _Lane:
    """What waits for one of the two, and what it is at.

    Attributes:
        held: All of it.
        size: How many events that is.
    """

    __slots__ = ("_queue", "held", "size")

    def __init__(self) -> None:
        self._queue: deque[Parcel] = deque()
        self.held: set[Parcel] = set()
        self.size = 0

    @property
    def waiting(self) -> bool:
        return bool(self._queue)

    def offer(self, parcel: Parcel) -> None:
        self.held.add(parcel)
        self.size += len(parcel.events)
        self._queue.append(parcel)

    def release(self, parcel: Parcel) -> None:
        self.held.remove(parcel)
        self.size -= len(parcel.events)

    def next(self, most: int) -> list[Parcel]:
        """Take out the first parcels, up to *most* events of them; what was settled meanwhile is released."""
        parcels: list[Parcel] = []
        while self._queue and (not parcels or len(self._queue[0].events) <= most):
            parcel = self._queue.popleft()
            if parcel.settled:
                self.release(parcel)
            else:
                parcels.append(parcel)
                most -= len(parcel.events)
        return parcels

    def withdraw(self) -> list[Parcel]:
        """Take out all that waits, and release it."""
        parcels = list(self._queue)
        self._queue.clear()
        for parcel in parcels:
            self.release(parcel)
        return parcels


class Queues:
    """The two queues of one process. Not safe for threads: the caller has a lock.

    Args:
        spools: Whether there is a spool.
        max_queued: How many events may wait for the store; as many again may wait for the spool.
        max_waiters: How many parcels with an answer may wait for the store.
        batch: How many events one call gives out; a larger parcel is not cut.

    Attributes:
        answering: Whether the store answered the last time, and in time.
        backlog: How many events are neither durable nor lost.
        lost: How many events were lost.
        answers: What is to be told to whom; the caller takes them out, and tells.
        obituaries: Lost events that nobody has heard of; the caller takes them out, and tells.
    """

    def __init__(self, *, spools: bool, max_queued: int, max_waiters: int, batch: int) -> None:
        self._spools = spools
        self._max_queued = max_queued
        self._max_waiters = max_waiters
        self._batch = batch
        self._store = _Lane()
        self._spool = _Lane()
        self._open: dict[Parcel, None] = {}
        self._awaited: dict[Parcel, None] = {}
        self.answering = True
        self.backlog = 0
        self.lost = 0
        self.answers: list[tuple[Future[bool], bool]] = []
        self.obituaries: list[Event] = []

    @property
    def store_has_work(self) -> bool:
        """Whether something waits for a store that answers."""
        return self.answering and self._store.waiting

    @property
    def spool_has_work(self) -> bool:
        """Whether something waits for the spool."""
        return self._spool.waiting

    @property
    def spool_is_idle(self) -> bool:
        """Whether nothing waits for the spool, and it is at nothing."""
        return not self._spool.held

    @property
    def next_deadline(self) -> float:
        """When the store is late with something; infinite: nobody waits for it."""
        return min((parcel.deadline for parcel in self._awaited), default=math.inf)

    def admit(self, parcel: Parcel) -> None:
        """Queue *parcel* where it belongs now."""
        self._open[parcel] = None
        self.backlog += len(parcel.events)
        crowded = parcel.answer is not None and len(self._awaited) >= self._max_waiters
        detour = self._spools and (crowded or not self.answering or not self._has_room(self._store, parcel))
        choices = (self._spool, self._store) if detour else (self._store,)
        lane = next((lane for lane in choices if self._has_room(lane, parcel)), None)
        if lane is None:
            self._settle(parcel, durable=False)
            return
        if lane is self._store and parcel.answer is not None:
            self._awaited[parcel] = None
        lane.offer(parcel)

    def for_store(self) -> list[Parcel]:
        """Take out what the store gets now; the caller says afterwards how it went."""
        return self._store.next(self._batch)

    def for_spool(self) -> list[Parcel]:
        """Take out what the spool gets now; the caller says afterwards how it went."""
        return self._spool.next(self._batch)

    def store_took(self, parcels: Iterable[Parcel]) -> None:
        """Note that *parcels* are in the store."""
        for parcel in parcels:
            self._store.release(parcel)
            self._settle(parcel, durable=True)

    def spool_took(self, parcels: Iterable[Parcel]) -> None:
        """Note that *parcels* are in the spool."""
        for parcel in parcels:
            self._spool.release(parcel)
            self._settle(parcel, durable=True)

    def store_refused(self, parcels: Iterable[Parcel]) -> None:
        """Note that the store did not take *parcels*; all that waits for it moves on to the spool, if there is one."""
        for parcel in parcels:
            self._store.release(parcel)
            self._pass_on(parcel, self._spool)
        if self._spools:
            self.answering = False
            for parcel in self._store.withdraw():
                if parcel.refused or not self._has_room(self._spool, parcel):
                    self._store.offer(parcel)
                elif parcel not in self._spool.held:
                    self._offer_spool(parcel)

    def spool_refused(self, parcels: Iterable[Parcel]) -> None:
        """Note that the spool did not take *parcels*; who waits for them hears that they are not durable."""
        for parcel in parcels:
            self._spool.release(parcel)
            self._pass_on(parcel, self._store)
            self._tell(parcel, durable=False)

    def overdue(self, now: float) -> None:
        """Offer to the spool as well what the store should have taken before *now*; without room, nobody can tell."""
        for parcel in [parcel for parcel in self._awaited if parcel.deadline <= now]:
            if self._spools and self._has_room(self._spool, parcel):
                self._hurry(parcel)
            else:
                self._tell(parcel, durable=False)

    def late(self) -> None:
        """Offer to the spool as well all that it has room for: the store is late, and who knows for how long."""
        for parcel in self._open if self._spools else ():
            if self._has_room(self._spool, parcel):
                self._hurry(parcel)

    def hurry(self) -> None:
        """Offer to the spool as well all that is not durable yet, room or not: nothing more will come."""
        for parcel in self._open if self._spools else ():
            self._hurry(parcel)

    def give_up(self) -> None:
        """Count as lost what is not durable yet."""
        for parcel in list(self._open):
            self._settle(parcel, durable=False)

    def _hurry(self, parcel: Parcel) -> None:
        if not parcel.refused and parcel not in self._spool.held:
            self.answering = False
            self._offer_spool(parcel)

    def _has_room(self, lane: _Lane, parcel: Parcel) -> bool:
        return not lane.size or lane.size + len(parcel.events) <= self._max_queued

    def _offer_spool(self, parcel: Parcel) -> None:
        self._awaited.pop(parcel, None)
        self._spool.offer(parcel)

    def _pass_on(self, parcel: Parcel, other: _Lane) -> None:
        """Give what one of the two cannot keep to the other one, unless that has it, or cannot keep it either."""
        asked_both, parcel.refused = parcel.refused, True
        if parcel.settled or parcel in other.held:
            return
        if asked_both or not self._spools or not self._has_room(other, parcel):
            self._settle(parcel, durable=False)
        else:
            self._awaited.pop(parcel, None)
            other.offer(parcel)

    def _settle(self, parcel: Parcel, *, durable: bool) -> None:
        if parcel.settled:
            return
        parcel.settled = True
        del self._open[parcel]
        self.backlog -= len(parcel.events)
        if not durable:
            self.lost += len(parcel.events)
            self.obituaries.extend(parcel.events)
        self._tell(parcel, durable=durable)

    def _tell(self, parcel: Parcel, *, durable: bool) -> None:
        self._awaited.pop(parcel, None)
        if parcel.answer is not None:
            self.answers.append((parcel.answer, durable))
            parcel.answer = None
