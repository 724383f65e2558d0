"""Does every adapter treat faults as the table says: raises early, raises late, client leaves, server dies?"""

from __future__ import annotations

import pytest

from tests.contract.rows_faults import EARLY, LATE, LENGTHS, LOST
from tests.contract.table import ADAPTERS, JSON, Row, judge, params
from tests.property.drivers.gates import play
from tests.property.drivers.record import Interruption, Staging, Transport
from tests.property.laws import obey
from tests.property.plan import Plan, Shape


@pytest.mark.contract("C4", "E1")
@pytest.mark.parametrize(("adapter", "row"), params(EARLY))
def test_a_fault_before_the_reply_is_one_traced_500(adapter: Transport, row: Row) -> None:
    """And the same exception comes out after it; interrupts pass with nothing sent."""
    judge(adapter, row)


@pytest.mark.contract("C4", "C5")
@pytest.mark.parametrize(("adapter", "row"), params(LATE))
def test_a_fault_after_the_start_leaves_the_body_unterminated(adapter: Transport, row: Row) -> None:
    """And is recorded; after the last message the reply is whole."""
    judge(adapter, row)


@pytest.mark.contract("C5")
@pytest.mark.parametrize(("adapter", "row"), params(LENGTHS))
def test_a_body_of_another_length_is_no_clean_end(adapter: Transport, row: Row) -> None:
    """Shorter or longer than declared."""
    judge(adapter, row)


@pytest.mark.contract("C5")
@pytest.mark.parametrize(("adapter", "row"), params(LOST))
def test_a_lost_client_or_a_dead_server_is_no_missing_trace(adapter: Transport, row: Row) -> None:
    """The server's error reaches the application and comes out again; nothing more is sent."""
    judge(adapter, row)


@pytest.mark.contract("C8")
@pytest.mark.parametrize("taken", [0, 1, 2])
def test_a_server_that_stops_asking_closes_the_iterable_once(taken: int) -> None:
    """Even before the first item."""
    plan = Plan(chunks=(b"a", b"b"), shape=Shape(body_as="closeable"))
    outcome = play("wsgi", plan, staging=Staging(interruption=Interruption("gone", taken)))
    assert outcome.notes.closed == 1
    assert outcome.reply.body == b"ab"[:taken]
    assert not outcome.reply.raised


@pytest.mark.contract("C5", "D5")
@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("declared", [0, 1, 6, 8, 500])
def test_an_error_that_is_held_is_never_cut_to_its_declared_length(adapter: Transport, declared: int) -> None:
    """It is known to be wrong before its head leaves: nobody may take a part of it for the whole."""
    obey(adapter, Plan(404, (*JSON, (b"content-length", b"%d" % declared)), (b'{"a":1}',)))
