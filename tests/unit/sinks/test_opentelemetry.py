"""How does an event become an OpenTelemetry log record and a count?

Clauses F1, F5.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

import pytest
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Sum

from tests.unit.fakes import OTHER, OWN
from tests.unit.sinks.fakes import event_of
from tracegate.core.events import Kind, Severity
from tracegate.sinks.opentelemetry import OpenTelemetrySink

pytestmark = pytest.mark.contract("F5")

EVENT = replace(event_of(5), mode="require", method="GET", status=409, detail="missing_trace_id", transport="http")


class Backend:
    """An SDK that keeps what it gets."""

    def __init__(self) -> None:
        self._records = InMemoryLogRecordExporter()
        self._reader = InMemoryMetricReader()
        self.loggers = LoggerProvider()
        self.loggers.add_log_record_processor(SimpleLogRecordProcessor(self._records))
        self.meters = MeterProvider([self._reader])
        self.sink = OpenTelemetrySink(logger_provider=self.loggers, meter_provider=self.meters)

    def close(self) -> None:
        self.loggers.shutdown()
        self.meters.shutdown()

    def records(self) -> list[ReadableLogRecord]:
        return list(self._records.get_finished_logs())

    def counts(self) -> dict[str, list[tuple[float, Mapping[str, object]]]]:
        data = self._reader.get_metrics_data()
        found: dict[str, list[tuple[float, Mapping[str, object]]]] = {}
        for resource in data.resource_metrics if data else ():
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                assert isinstance(metric.data, Sum)
                assert metric.data.is_monotonic
                found[metric.name] = [(point.value, dict(point.attributes or {})) for point in metric.data.data_points]
        return found


@pytest.fixture
def backend() -> Iterator[Backend]:
    """An SDK of this test's own; the process has none."""
    backend = Backend()
    yield backend
    backend.close()


@pytest.mark.contract("F2")
def test_an_event_is_a_named_log_record_with_its_columns(backend: Backend) -> None:
    """Those that say something, by the names of the semantic conventions where there are any."""
    backend.sink(EVENT)
    (data,) = backend.records()
    record = data.log_record

    assert (record.event_name, record.body, record.severity_text) == ("tracegate.missing_trace", "no id", "ERROR")
    assert record.timestamp == int(datetime(2026, 11, 23, tzinfo=UTC).timestamp()) * 10**9 + 5_000
    assert dict(record.attributes or {}) == {
        "tracegate.event_id": "5",
        "tracegate.component": "tracegate.gate",
        "tracegate.trace_id": OWN,
        "tracegate.tenant": "t",
        "tracegate.service": "shop",
        "tracegate.instance": "pod",
        "http.route": "/orders/{id}",
        "http.request.method": "GET",
        "tracegate.transport": "http",
        "tracegate.stage": "request",
        "http.response.status_code": 409,
        "tracegate.mode": "require",
        "tracegate.detail": "missing_trace_id",
        "tracegate.would_refuse": False,
    }
    assert data.instrumentation_scope is not None
    assert data.instrumentation_scope.name == "tracegate"


def test_what_is_known_of_other_traces_and_statuses_is_in_the_record(backend: Backend) -> None:
    """And an event that was never stamped has no time of its own."""
    backend.sink(replace(EVENT, time=None, client_trace_id=OTHER, parent_trace_id=OTHER, refused_status=200))
    (data,) = backend.records()
    attributes = dict(data.log_record.attributes or {})

    assert data.log_record.timestamp is None
    assert attributes["tracegate.client_trace_id"] == attributes["tracegate.parent_trace_id"] == OTHER
    assert attributes["tracegate.refused_status"] == 200


@pytest.mark.parametrize(
    ("severity", "number"), [("info", 9), ("warning", 13), ("error", 17), ("critical", 21)], ids=str
)
def test_the_severity_is_the_conventions_number(backend: Backend, severity: Severity, number: int) -> None:
    """INFO, WARN, ERROR and FATAL, each the first of its four."""
    backend.sink(replace(EVENT, severity=severity))
    found = backend.records()[0].log_record.severity_number

    assert found is not None
    assert found.value == number


@pytest.mark.contract("F1")
def test_each_kind_has_a_counter_and_missing_traces_the_one_that_the_runbook_names(backend: Backend) -> None:
    """Told apart by columns of few values: a flood of ids or tenants makes no flood of series."""
    backend.sink(EVENT)
    backend.sink(replace(EVENT, id="6", trace_id=OTHER, tenant="u", instance="pod-2", status=200))
    for kind in get_args(Kind):
        backend.sink(replace(EVENT, kind=kind, detail=None, route=None))
    counts = backend.counts()
    few = {"tracegate.service": "shop", "tracegate.mode": "require", "tracegate.would_refuse": False}

    assert sorted(counts) == sorted(f"{kind}_event_count" for kind in get_args(Kind))
    assert (2, {**few, "http.route": "/orders/{id}", "tracegate.detail": "missing_trace_id"}) in counts[
        "missing_trace_event_count"
    ]
    assert all((1, few) in points for points in counts.values())


def test_without_an_sdk_nothing_happens_and_without_this_sink_nothing_is_loaded() -> None:
    """The API alone is silent; its logs part is imported when the sink is made."""
    program = (
        "import sys, tracegate.sinks.opentelemetry as module\n"
        "assert 'opentelemetry._logs' not in sys.modules\n"
        "from tests.unit.sinks.fakes import event_of\n"
        "module.OpenTelemetrySink()(event_of(1))\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry.sdk')]\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)
