"""How does an event lie on a disk, so that a torn or a changed line is noticed when it is read again?"""

from __future__ import annotations

import json
from dataclasses import replace
from zlib import crc32

import pytest

from tests.unit.fakes import OTHER
from tests.unit.sinks.fakes import event_of, events_of
from tracegate.sinks.wire import Reading, decode, encode


@pytest.mark.contract("F2", "F3")
def test_every_column_comes_back_as_it_was() -> None:
    """Full ones, empty ones, times to the microsecond; line feeds inside an event are no end of a line."""
    full = replace(
        event_of(1, message='a\n"b"\u2028 \0 é'),
        client_trace_id=OTHER,
        parent_trace_id=OTHER,
        method="GET",
        transport="http",
        status=409,
        refused_status=200,
        mode="require",
        detail="missing_trace_id",
        would_refuse=True,
    )
    unstamped = replace(event_of(2), id="", time=None, route=None)

    assert decode(encode([full, unstamped])) == Reading([full, unstamped], 0, 0)
    assert encode([full]).count(b"\n") == 1


def test_nothing_is_nothing() -> None:
    """No events, no bytes."""
    assert encode([]) == b""
    assert decode(b"") == Reading([], 0, 0)


def test_text_that_is_no_unicode_is_escaped_rather_than_refused() -> None:
    """A lone surrogate can come in by a header; the event has to be written all the same."""
    odd = event_of(1, message="a\udcff b é")

    assert decode(encode([odd])).events == [event_of(1, message="a\\udcff b é")]


def test_a_line_that_another_version_wrote_is_read_or_reported_never_guessed() -> None:
    """Unknown columns are left out; one that must be there and is not makes the line unreadable."""
    columns = json.loads(encode(events_of(1))[9:])

    def line(document: object) -> bytes:
        payload = json.dumps(document).encode()
        return b"%08x %b\n" % (crc32(payload), payload)

    newer = line({**columns, "column_of_tomorrow": 1})
    older = line({name: value for name, value in columns.items() if name != "stage"})
    foreign = line([1, 2]) + line({**columns, "time": "yesterday"})

    assert decode(newer) == Reading(events_of(1), 0, 0)
    assert decode(older + foreign + encode(events_of(2))) == Reading(events_of(2), 3, 0)
