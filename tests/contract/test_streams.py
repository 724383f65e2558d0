"""Does every adapter treat event streams as the table says?"""

from __future__ import annotations

import pytest

from tests.contract.rows_streams import BROKEN, ENCODED, EVENTS
from tests.contract.table import ADAPTERS, SSE, Row, judge, params
from tests.property.drivers.record import Transport
from tests.property.laws import obey
from tests.property.plan import OTHER, Plan


@pytest.mark.contract("D6")
@pytest.mark.parametrize(("adapter", "row"), params(EVENTS))
def test_each_event_is_marked_and_nothing_else_changes(adapter: Transport, row: Row) -> None:
    """Objects inside their line, everything else by a field line with the block's own ending."""
    judge(adapter, row)


@pytest.mark.contract("D6")
@pytest.mark.parametrize(("adapter", "row"), params(ENCODED))
def test_an_encoded_stream_is_decoded_as_it_comes(adapter: Transport, row: Row) -> None:
    """Whatever the chunks."""
    judge(adapter, row)


@pytest.mark.contract("B4", "C3", "C5", "D7", "E4", "F3")
@pytest.mark.parametrize(("adapter", "row"), params(BROKEN))
def test_a_stream_that_fails_says_so_and_does_not_end_cleanly(adapter: Transport, row: Row) -> None:
    """Before the first byte it is a real error; later one error event, and no clean end."""
    judge(adapter, row)


@pytest.mark.contract("D7", "E2", "E4")
@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("cut", [0, 5, 20, 56])
def test_a_first_event_that_names_another_trace_never_leaves(adapter: Transport, cut: int) -> None:
    """Held, it is a 409; started, it is an error event: never a whole reply, never the other id."""
    event = b'data: {"trace_id":"%s"}\n\n' % OTHER
    outcome = obey(adapter, Plan(200, SSE, (event[:cut], event[cut:])))
    assert OTHER not in outcome.reply.body
    assert b'"trace_overwrite_refused"' in outcome.reply.body
    assert outcome.reply.clean == (outcome.reply.status == 409)
