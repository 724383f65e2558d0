"""Does a log line say the same in each spelling of its fields, whatever the event's texts hold?"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.fakes import HEX, OWN
from tracegate.adapters.wiring import wired
from tracegate.core.events import Event, Kind, Severity, Stage
from tracegate.core.policy import Policy
from tracegate.errors import ConfigurationError
from tracegate.settings import load_policy
from tracegate.sinks.log import LogSink, as_json

DOCS = Path(__file__).parents[3] / "docs" / "events.md"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ODD = "a\n\r\t\0\x1b[31m\x7f\x85\x9b\u2028\u2029\ud800\\ud800\"'%s{}\U0001f680"

# Where each fact stands, written down by hand: what reads a line shares no code with what writes it.

ECS = {
    "id": "event.id",
    "time": "@timestamp",
    "kind": "event.action",
    "severity": "log.level",
    "component": "event.provider",
    "message": "message",
    "trace_id": "labels.trace_id",
    "client_trace_id": "labels.client_trace_id",
    "parent_trace_id": "labels.parent_trace_id",
    "method": "http.request.method",
    "transport": "labels.transport",
    "stage": "labels.stage",
    "status": "http.response.status_code",
    "refused_status": "labels.refused_status",
    "mode": "labels.mode",
    "detail": "event.reason",
    "would_refuse": "labels.would_refuse",
    "route": "labels.route",
    "tenant": "labels.tenant",
    "service": "service.name",
    "instance": "service.node.name",
}
OTEL = {
    "id": "Attributes.tracegate.event_id",
    "time": "Timestamp",
    "kind": "EventName",
    "severity": "SeverityText",
    "component": "Attributes.tracegate.component",
    "message": "Body",
    "trace_id": "Attributes.tracegate.trace_id",
    "client_trace_id": "Attributes.tracegate.client_trace_id",
    "parent_trace_id": "Attributes.tracegate.parent_trace_id",
    "method": "Attributes.http.request.method",
    "transport": "Attributes.tracegate.transport",
    "stage": "Attributes.tracegate.stage",
    "status": "Attributes.http.response.status_code",
    "refused_status": "Attributes.tracegate.refused_status",
    "mode": "Attributes.tracegate.mode",
    "detail": "Attributes.tracegate.detail",
    "would_refuse": "Attributes.tracegate.would_refuse",
    "route": "Attributes.http.route",
    "tenant": "Attributes.tracegate.tenant",
    "service": "Resource.service.name",
    "instance": "Resource.service.instance.id",
}
OWN_NAMES = {name: name for name in ECS}
EMPTY = {"would_refuse": False, "tenant": "", "service": "", "instance": "", "id": "", "message": "", "trace_id": ""}
IN_TRACEGATE: dict[str, Callable[[Any], object]] = {"time": datetime.fromisoformat}
IN_ECS: dict[str, Callable[[Any], object]] = {
    "time": datetime.fromisoformat,
    "refused_status": int,
    "would_refuse": {"true": True}.__getitem__,
}
IN_OTEL: dict[str, Callable[[Any], object]] = {
    "time": lambda text: EPOCH + timedelta(microseconds=int(text) // 1000),
    "kind": lambda name: name.removeprefix("tracegate."),
    "severity": {"INFO": "info", "WARN": "warning", "ERROR": "error", "FATAL": "critical"}.__getitem__,
}


def facts(line: str, names: str) -> dict[str, object]:
    """Return what *line* says, by the columns of F2."""
    document = json.loads(line)
    flat = {
        name if part is None else f"{name}.{part}": value
        for name, member in document.items()
        for part, value in (member.items() if isinstance(member, dict) else [(None, member)])
    }
    where = {"tracegate": OWN_NAMES, "ecs": ECS, "otel": OTEL}[names]
    reads = {"tracegate": IN_TRACEGATE, "ecs": IN_ECS, "otel": IN_OTEL}[names]
    found: dict[str, object] = {}
    for column, name in where.items():
        value = flat.get(name)
        found[column] = EMPTY.get(column) if value is None else reads.get(column, _same)(value)
    return found


def _same(value: object) -> object:
    return value


def said(event: Event) -> dict[str, object]:
    """Return what *event* says; a lone surrogate stands as a backslash and its number."""
    values = {name: getattr(event, name) for name in OWN_NAMES}
    return {
        name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in values.items()
    }


texts = st.text(st.characters(), max_size=20) | st.just(ODD)
ids = st.uuids().map(str) | st.uuids().map(lambda made: made.hex) | texts
statuses = st.integers(100, 599)
events = st.builds(
    Event,
    kind=st.sampled_from(get_args(Kind)),
    severity=st.sampled_from(get_args(Severity)),
    component=texts.filter(bool),
    message=texts,
    trace_id=ids,
    client_trace_id=st.none() | ids.filter(bool),
    parent_trace_id=st.none() | ids.filter(bool),
    method=st.none() | texts.filter(bool),
    transport=st.sampled_from((None, "http", "websocket")),
    stage=st.sampled_from(get_args(Stage)),
    status=st.none() | statuses,
    refused_status=st.none() | statuses,
    mode=st.sampled_from((None, "require", "mint", "observe")),
    detail=st.sampled_from((None, "missing_trace_id", "trace_overwrite_refused")),
    would_refuse=st.booleans(),
    route=st.none() | texts.filter(bool),
    tenant=texts,
    service=texts,
    instance=texts,
    id=texts,
    time=st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - as it demands
)
FULL = Event(
    kind="trace_overwrite_refused", severity="critical", component="tracegate.exchange", message=ODD, trace_id=OWN,
    client_trace_id=ODD, parent_trace_id=HEX, method="GET", transport="http", stage="head", status=409,
    refused_status=200, mode="require", detail="trace_overwrite_refused", would_refuse=True, route=ODD, tenant=ODD,
    service="shop", instance="host:1", id=str(uuid.UUID(int=1)), time=datetime(2026, 11, 23, 12, 0, 0, 5, UTC),
)  # fmt: skip


@pytest.mark.contract("F2", "F5")
@pytest.mark.parametrize("names", ["tracegate", "ecs", "otel"])
@given(event=events)
@example(event=FULL)
def test_every_fact_stands_in_the_line(names: str, event: Event) -> None:
    """In each spelling, and whatever a text holds: one line, UTF-8, nothing that acts on a terminal."""
    line = as_json(event, names)

    assert facts(line, names) == said(event)
    assert line.splitlines() == [line]
    assert line.encode().decode() == line
    assert re.search("[\x00-\x1f\x7f-\x9f]", line) is None


@pytest.mark.contract("A2", "F5")
def test_elastic_finds_its_own_fields() -> None:
    """Those of the schema that are no column of ours; the number as its tracing writes it."""
    document = json.loads(as_json(FULL, "ecs"))

    assert document["@timestamp"] == "2026-11-23T12:00:00.000005Z"
    assert document["trace.id"] == HEX
    assert document["error.code"] == "SYS-004-409-TRACE"
    assert (document["event.kind"], document["event.category"], document["event.type"]) == ("event", ["web"], ["error"])
    assert document["ecs.version"] == "8.11.0"
    assert {type(value) for name, value in document.items() if name.startswith("labels.")} == {str}
    assert type(document["http.response.status_code"]) is int


@pytest.mark.contract("A2", "F5")
def test_what_is_no_web_event_is_not_filed_as_one() -> None:
    """An event of a job has no category that the schema knows, and no code of a refusal."""
    event = Event(kind="context_bleed", severity="info", component="c", message="m", trace_id="", stage="context")
    document = json.loads(as_json(event, "ecs"))

    assert {"event.category", "event.type", "error.code", "trace.id", "@timestamp"}.isdisjoint(document)


@pytest.mark.contract("A2", "F5")
def test_opentelemetry_finds_a_record_of_its_data_model() -> None:
    """Nanoseconds, the number, and the severity by number."""
    document = json.loads(as_json(FULL, "otel"))

    assert document["Timestamp"] == "1795435200000005000"
    assert document["TraceId"] == HEX
    assert (document["SeverityText"], document["SeverityNumber"]) == ("FATAL", 21)
    assert document["EventName"] == "tracegate.trace_overwrite_refused"
    assert document["Resource"] == {"service.name": "shop", "service.instance.id": "host:1"}


@pytest.mark.contract("A2", "A3")
@pytest.mark.parametrize(("names", "member"), [("ecs", "trace.id"), ("otel", "TraceId")])
def test_a_spelling_that_is_not_accepted_here_gives_no_number(names: str, member: str) -> None:
    """The policy's formats decide which number a token is."""
    event = Event(kind="missing_trace", severity="error", component="c", message="m", trace_id="job-7", stage="context")

    assert member not in json.loads(as_json(event, names))
    assert re.fullmatch("[0-9a-f]{32}", json.loads(as_json(event, names, ("opaque",)))[member])


@pytest.mark.contract("F5")
def test_names_that_are_none_are_a_fault_of_the_configuration() -> None:
    """With the setting's name: in a policy, in the environment, and at the sink."""
    for make, setting in (
        (lambda: Policy(log_fields="elastic"), "log_fields"),  # type: ignore[arg-type]
        (lambda: load_policy({"TRACEGATE_LOG_FIELDS": "elastic"}), "TRACEGATE_LOG_FIELDS"),
        (lambda: LogSink(names="elastic"), "log_fields"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert caught.value.faults == ((setting, "'elastic' is not one of tracegate, ecs, otel"),)


@pytest.mark.contract("F5", "A3")
def test_a_gate_logs_as_its_policy_says(caplog: pytest.LogCaptureFixture) -> None:
    """The names, and the formats in which its ids may be spelled."""
    runtime = wired(Policy(log_fields="otel", formats=("opaque",)))
    event = Event(kind="missing_trace", severity="error", component="c", message="m", trace_id="job-7", stage="context")
    with caplog.at_level("ERROR", "tracegate.events"):
        runtime.record([event])

    document = json.loads(caplog.messages[-1])
    assert document["EventName"] == "tracegate.missing_trace"
    assert re.fullmatch("[0-9a-f]{32}", document["TraceId"])


@pytest.mark.contract("F2")
def test_the_page_of_events_says_where_each_fact_stands() -> None:
    """Its table has one row for each column, as the lines are; and every kind has its row."""
    page = DOCS.read_text(encoding="utf-8")
    for column in OWN_NAMES:
        assert f"| `{column}` | `{ECS[column]}` | `{OTEL[column]}` |" in page
    for kind in get_args(Kind):
        assert f"| `{kind}` |" in page
