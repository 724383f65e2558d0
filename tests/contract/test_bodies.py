"""Does every adapter treat bodies as the table says?"""

from __future__ import annotations

import pytest

from tests.contract.rows_bodies import CODINGS, ENVELOPED, LONG, MARKED, REFUSED, SPARED
from tests.contract.table import Row, judge, params
from tests.property.drivers.record import Transport


@pytest.mark.contract("D1", "D5")
@pytest.mark.parametrize(("adapter", "row"), params(MARKED))
def test_an_error_object_gets_its_member_and_keeps_every_other_byte(adapter: Transport, row: Row) -> None:
    """Absent: spliced in; null or empty: replaced in place; equal: untouched."""
    judge(adapter, row)


@pytest.mark.contract("B4", "C3", "D1", "E2", "E3", "F3")
@pytest.mark.parametrize(("adapter", "row"), params(REFUSED))
def test_an_error_object_that_names_another_trace_is_refused(adapter: Transport, row: Row) -> None:
    """Another value, another type or an unequal duplicate is never delivered, unless the policy keeps it."""
    judge(adapter, row)


@pytest.mark.contract("D2", "E1")
@pytest.mark.parametrize(("adapter", "row"), params(ENVELOPED))
def test_other_error_json_stands_inside_the_standard_error(adapter: Transport, row: Row) -> None:
    """With the same status, a code and a message by status, and the original value."""
    judge(adapter, row)


@pytest.mark.contract("C8", "D3", "D4", "D5")
@pytest.mark.parametrize(("adapter", "row"), params(SPARED))
def test_other_bodies_stay_as_they_are(adapter: Transport, row: Row) -> None:
    """Header only, unless the policy says more."""
    judge(adapter, row)


@pytest.mark.contract("D5", "E2")
@pytest.mark.parametrize(("adapter", "row"), params(CODINGS))
def test_codings_and_signatures_are_no_way_around(adapter: Transport, row: Row) -> None:
    """Known codings are decoded within a bound; what cannot be read becomes the standard error with its status."""
    judge(adapter, row)


@pytest.mark.contract("D5", "E4")
@pytest.mark.parametrize(("adapter", "row"), params(LONG))
def test_a_body_above_the_bound_is_marked_as_it_streams(adapter: Transport, row: Row) -> None:
    """Without Content-Length; a fault that is found late ends it without a clean end."""
    judge(adapter, row)
