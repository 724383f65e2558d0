"""Does every adapter decide about inbound ids as the table says?"""

from __future__ import annotations

import pytest

from tests.contract.rows_ids import EDGES, FORMATS, HOSTILE, PARENTS, SOURCES
from tests.contract.table import Row, judge, params
from tests.property.drivers.record import Transport


@pytest.mark.contract("A1", "B1", "B2", "B3", "B4", "E1", "E2", "E3", "F1", "F3")
@pytest.mark.parametrize(("adapter", "row"), params(SOURCES))
def test_the_sources_of_a_request_decide(adapter: Transport, row: Row) -> None:
    """Sources that agree bind the caller's spelling; the others are refused, each with one event."""
    judge(adapter, row)


@pytest.mark.contract("A3", "B3", "E3")
@pytest.mark.parametrize(("adapter", "row"), params(HOSTILE))
def test_a_hostile_id_is_refused_and_never_reflected(adapter: Transport, row: Row) -> None:
    """What does not parse is refused whole; the reply and the event show none of it, or a bounded, escaped part."""
    judge(adapter, row)


@pytest.mark.contract("A2", "B1", "B3")
@pytest.mark.parametrize(("adapter", "row"), params(PARENTS))
def test_a_traceparent_is_read_as_w3c_says(adapter: Transport, row: Row) -> None:
    """Level 2: strict in version 00, open for higher ones, absent where it does not parse or is repeated."""
    judge(adapter, row)


@pytest.mark.contract("B5", "B6", "B7")
@pytest.mark.parametrize(("adapter", "row"), params(EDGES))
def test_paths_peers_and_queries_bear_on_the_decision(adapter: Transport, row: Row) -> None:
    """Exempt paths and preflights mint, untrusted peers name nothing, an opt-in query parameter is one more source."""
    judge(adapter, row)


@pytest.mark.contract("A3")
@pytest.mark.parametrize(("adapter", "row"), params(FORMATS))
def test_other_formats_are_opt_in_and_whole(adapter: Transport, row: Row) -> None:
    """Each named format is accepted only where the policy names it, and spelled as it came."""
    judge(adapter, row)
