"""Does every adapter treat event streams as the table says?"""

from __future__ import annotations

import pytest

from tests.contract.rows_streams import BROKEN, ENCODED, EVENTS
from tests.contract.table import Row, judge, params
from tests.property.drivers.record import Transport


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
