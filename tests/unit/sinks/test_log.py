"""Is an event one line of JSON with every column of F2?"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

import pytest

from tests.unit.fakes import OWN
from tracegate.core.events import Event, Severity
from tracegate.sinks.log import LogSink, as_json

EVENT = Event(
    kind="invalid_trace",
    severity="error",
    component="tracegate.gate",
    message="The request's trace id does not parse: 'a\n\u2028b'",
    trace_id=OWN,
    stage="request",
).stamped(
    id="7", time=datetime(2026, 11, 23, 12, 0, 0, 5, UTC), service="shop", instance="pod", tenant="t", route="/r/{id}"
)
COLUMNS = [
    "id",
    "time",
    "kind",
    "severity",
    "component",
    "message",
    "trace_id",
    "client_trace_id",
    "parent_trace_id",
    "method",
    "transport",
    "stage",
    "status",
    "refused_status",
    "mode",
    "detail",
    "would_refuse",
    "route",
    "tenant",
    "service",
    "instance",
]


@pytest.mark.contract("F2", "F5")
def test_an_event_is_one_line_with_all_its_columns_in_a_fixed_order() -> None:
    """Empty ones too: who reads the log need not guess."""
    line = as_json(EVENT)
    document = json.loads(line)

    assert list(document) == COLUMNS
    assert "\n" not in line
    assert document["message"] == EVENT.message
    assert document["time"] == "2026-11-23T12:00:00.000005Z"
    assert (document["status"], document["would_refuse"], document["tenant"]) == (None, False, "t")


@pytest.mark.contract("F5")
@pytest.mark.parametrize(
    ("severity", "level"),
    [("info", logging.INFO), ("warning", logging.WARNING), ("error", logging.ERROR), ("critical", logging.CRITICAL)],
)
def test_it_is_logged_at_the_level_of_its_severity(
    severity: Severity, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    """By the logger ``tracegate.events``, or the given one; a percent sign in it is text."""
    event = Event(
        kind="missing_trace", severity=severity, component="c", message="100 %s", trace_id=OWN, stage="context"
    )
    with caplog.at_level(logging.DEBUG):
        LogSink()(event)
        LogSink(logging.getLogger("own"))(event)

    assert caplog.record_tuples == [("tracegate.events", level, as_json(event)), ("own", level, as_json(event))]
