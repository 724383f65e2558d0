"""Is a row all of an event, in the order in which processes do not block each other?"""

from __future__ import annotations

import random
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.contract.stores import NOON, an_event, some_events
from tracegate.core.events import Event
from tracegate.store.rows import COLUMNS, EVENT_COLUMNS, days_of, event_from, rows_of
from tracegate.store.schema import ops_event


@pytest.mark.contract("F2")
def test_every_field_of_an_event_has_a_column() -> None:
    """A field that the core adds must not be dropped on its way to the store."""
    assert len(EVENT_COLUMNS) == len(fields(Event))
    assert set(COLUMNS) <= {column.name for column in ops_event.columns}
    kept = {column.name for column in ops_event.columns if column.name not in COLUMNS}
    assert kept == {"created_at", "incident_id"}


@pytest.mark.contract("F2")
def test_a_row_gives_its_event_back() -> None:
    """Whatever a field holds."""
    event = an_event(client_trace_id="\x00", would_refuse=True, refused_status=200)
    (row,) = rows_of([event], time_as_text=False)

    assert event_from(row[: len(EVENT_COLUMNS)]) == event


def test_rows_stand_in_the_order_of_their_key_and_each_once() -> None:
    """Two processes with the same events in another order then never wait for each other in a circle."""
    events = some_events(50)
    shuffled = random.Random(7).sample([*events, *events], 100)  # noqa: S311 - an order, not a secret

    assert rows_of(shuffled, time_as_text=False) == rows_of(events, time_as_text=False)
    assert rows_of(shuffled, time_as_text=True) == rows_of(events, time_as_text=True)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (NOON, "2026-11-23T12:00:00.000000Z"),
        (NOON.astimezone(timezone(timedelta(hours=9))), "2026-11-23T12:00:00.000000Z"),
        (datetime(1, 1, 1, microsecond=1, tzinfo=UTC), "0001-01-01T00:00:00.000001Z"),
    ],
)
def test_times_are_text_whose_order_is_theirs(time: datetime, text: str) -> None:
    """27 characters, always."""
    (row,) = rows_of([an_event(time=time)], time_as_text=True)
    assert text in row


def test_days_are_those_of_utc() -> None:
    """Half past eight in the morning in Tokyo is still the day before."""
    tokyo = datetime(2026, 11, 24, 8, 30, tzinfo=timezone(timedelta(hours=9)))
    assert days_of(rows_of([an_event(time=tokyo)], time_as_text=False)) == {datetime(2026, 11, 23, tzinfo=UTC).date()}


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"detail": "trace_overwrite_refused"}, "SYS-004-409-TRACE"),
        ({"detail": "invalid_trace_id_format"}, "SYS-004-409-TRACE"),
        ({"detail": None}, None),
        ({"detail": "something else"}, None),
    ],
)
def test_a_refusal_has_its_error_code(facts: dict[str, str | None], code: str | None) -> None:
    """Which a keyword finds (clause F1); other events have none."""
    (row,) = rows_of([an_event(**facts)], time_as_text=True)
    assert row[COLUMNS.index("error_code")] == code
