"""Does every adapter treat heads and message shapes as the table says?"""

from __future__ import annotations

import pytest

from tests.contract.rows_bodies import FILES
from tests.contract.rows_heads import CORS, EVERY_STATUS, ILLEGAL, OPTED_IN, OWN_ID, SHAPES
from tests.contract.table import Row, judge, params
from tests.property.drivers.record import Transport


@pytest.mark.contract("C1")
@pytest.mark.parametrize(("adapter", "row"), params(EVERY_STATUS))
def test_every_status_and_method_carries_one_id(adapter: Transport, row: Row) -> None:
    """From 200 to 511, also without a body."""
    judge(adapter, row)


@pytest.mark.contract("C4", "C10", "E1")
@pytest.mark.parametrize(("adapter", "row"), params(ILLEGAL))
def test_an_illegal_head_becomes_a_traced_500(adapter: Transport, row: Row) -> None:
    """Header injection and impossible statuses never reach the server."""
    judge(adapter, row)


@pytest.mark.contract("A1", "B4", "C3", "E2", "E3", "F3")
@pytest.mark.parametrize(("adapter", "row"), params(OWN_ID))
def test_an_application_can_repeat_the_id_and_not_replace_it(adapter: Transport, row: Row) -> None:
    """An equal number stays as spelled; anything else is refused, kept or observed as the policy says."""
    judge(adapter, row)


@pytest.mark.contract("C6")
@pytest.mark.parametrize(("adapter", "row"), params(CORS))
def test_a_browser_can_read_the_id_of_a_cors_reply(adapter: Transport, row: Row) -> None:
    """Merged into what is exposed, never added to a reply that is not CORS; the gate's own replies carry CORS."""
    judge(adapter, row)


@pytest.mark.contract("C7")
@pytest.mark.parametrize(("adapter", "row"), params(OPTED_IN))
def test_further_trace_headers_are_opt_in(adapter: Transport, row: Row) -> None:
    """Appended, without touching what is there."""
    judge(adapter, row)


@pytest.mark.contract("C8", "D3")
@pytest.mark.parametrize(("adapter", "row"), params([*SHAPES, *FILES]))
def test_every_legal_shape_of_a_reply_is_the_same_to_the_gate(adapter: Transport, row: Row) -> None:
    """Containers, endings, extensions, iterables and files pass as they came."""
    judge(adapter, row)
