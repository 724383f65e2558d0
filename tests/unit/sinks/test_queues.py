"""Which events does the store get next, and which the spool?

Clauses F3, F4. What holds in any order of steps stands in tests/property/test_spool_laws.py.
"""

from __future__ import annotations

import math
from concurrent.futures import Future

import pytest

from tests.unit.sinks.fakes import event_of
from tracegate.sinks.queues import Parcel, Queues

pytestmark = pytest.mark.contract("F3", "F4")


def parcel_of(number: int, deadline: float | None = None) -> Parcel:
    """Return one event; with a deadline somebody waits for it."""
    if deadline is None:
        return Parcel((event_of(number),))
    return Parcel((event_of(number),), Future(), deadline)


def test_who_waits_for_the_spool_takes_no_place_from_those_who_wait_for_the_store() -> None:
    """A disk that hangs is no reason to send anybody there."""
    queues = Queues(spools=True, max_queued=9, max_waiters=1, batch=9)
    late = parcel_of(1, deadline=5)
    queues.admit(late)
    assert queues.next_deadline == 5
    queues.overdue(5)
    assert (queues.next_deadline, queues.for_spool()) == (math.inf, [late])
    queues.store_took(queues.for_store())
    queues.answering = True
    queues.admit(parcel_of(2, deadline=7))

    assert (queues.store_has_work, queues.spool_has_work, queues.next_deadline) == (True, False, 7)


@pytest.mark.parametrize("waits", [True, False])
def test_nothing_is_passed_on_to_a_queue_that_is_full(*, waits: bool) -> None:
    """What the store gives back while the disk hangs is lost, rather than kept without bound; who waits hears it."""
    queues = Queues(spools=True, max_queued=2, max_waiters=9, batch=1)
    parcels = [parcel_of(number, deadline=5 if waits else None) for number in range(4)]
    for parcel in parcels:
        queues.admit(parcel)
    at_store = queues.for_store()
    queues.store_refused(at_store)

    assert at_store == parcels[:1]
    assert (queues.backlog, queues.lost, queues.obituaries) == (3, 1, list(parcels[0].events))
    assert [durable for _, durable in queues.answers] == [False] * waits
    assert queues.for_store() == parcels[1:2]


def test_who_is_late_while_the_spool_is_full_hears_that_nobody_knows() -> None:
    """The store may still take it; the watch does not turn round and round."""
    queues = Queues(spools=True, max_queued=1, max_waiters=9, batch=9)
    for parcel in (parcel_of(1, deadline=5), parcel_of(2)):
        queues.admit(parcel)
    queues.overdue(6)
    assert ([durable for _, durable in queues.answers], queues.next_deadline) == ([False], math.inf)
    queues.store_took(queues.for_store())

    assert (queues.backlog, queues.lost) == (1, 0)


def test_a_parcel_that_is_larger_than_a_queue_finds_room_in_an_empty_one() -> None:
    """It is in memory already."""
    queues = Queues(spools=False, max_queued=2, max_waiters=9, batch=2)
    large = Parcel(tuple(event_of(number) for number in range(5)))
    queues.admit(large)
    queues.admit(parcel_of(9))

    assert (queues.for_store(), queues.lost) == ([large], 1)
