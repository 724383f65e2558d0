"""How does an event become an OpenTelemetry log record and a count?

Only the API is needed: without an SDK nothing happens; with one, records and counts go where its exporters send them.
The API's log part is still underscored, so it may move: this is the only file that names it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, get_args

from tracegate.core.events import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider

    from tracegate.core.events import Event

__all__ = ["ATTRIBUTES", "COUNTED", "COUNTERS", "OpenTelemetrySink"]

_SCOPE = "tracegate"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
ATTRIBUTES: Mapping[str, str] = {
    "id": "tracegate.event_id",
    "component": "tracegate.component",
    "trace_id": "tracegate.trace_id",
    "client_trace_id": "tracegate.client_trace_id",
    "parent_trace_id": "tracegate.parent_trace_id",
    "tenant": "tracegate.tenant",
    "service": "tracegate.service",
    "instance": "tracegate.instance",
    "route": "http.route",
    "method": "http.request.method",
    "transport": "tracegate.transport",
    "stage": "tracegate.stage",
    "status": "http.response.status_code",
    "refused_status": "tracegate.refused_status",
    "mode": "tracegate.mode",
    "detail": "tracegate.detail",
    "would_refuse": "tracegate.would_refuse",
}
"""What the columns of an event are called, by the semantic conventions where they have a name."""

COUNTERS: Mapping[Kind, str] = {kind: f"{kind}_event_count" for kind in get_args(Kind)}
"""What counts the events of each kind."""

COUNTED = ("service", "route", "mode", "detail", "would_refuse")
"""What a count is told apart by: columns of few values. Never an id, nor a tenant, of which there may be many."""


class OpenTelemetrySink:
    """Emits each event as a log record named ``tracegate.<kind>``, and counts it in ``<kind>_event_count`` (clause F5).

    ``missing_trace_event_count`` counts the missing traces (clause F1). Attributes are the columns of F2 that are not
    empty, by the semantic conventions' names where there are any.

    Args:
        logger_provider: Where records go; None: the process's provider, even one that is set later.
        meter_provider: Where counts go; None: the same.
    """

    __slots__ = ("_counters", "_logger", "_severities")

    def __init__(
        self, *, logger_provider: LoggerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        from opentelemetry._logs import SeverityNumber, get_logger  # noqa: PLC0415 - who has another sink never pays
        from opentelemetry.metrics import get_meter  # noqa: PLC0415 - same

        self._logger = get_logger(_SCOPE, logger_provider=logger_provider)
        meter = get_meter(_SCOPE, meter_provider=meter_provider)
        self._counters = {
            kind: meter.create_counter(name, unit="{event}", description=f"Events of kind {kind}")
            for kind, name in COUNTERS.items()
        }
        self._severities = {
            "info": SeverityNumber.INFO,
            "warning": SeverityNumber.WARN,
            "error": SeverityNumber.ERROR,
            "critical": SeverityNumber.FATAL,
        }

    def __call__(self, event: Event, /) -> None:
        """Emit *event*, and count it."""
        severity = self._severities[event.severity]
        self._logger.emit(
            timestamp=None if event.time is None else (event.time - _EPOCH) // _MICROSECOND * 1_000,
            severity_number=severity,
            severity_text=severity.name,
            body=event.message,
            attributes=_attributes(event, ATTRIBUTES),
            event_name=f"{_SCOPE}.{event.kind}",
        )
        self._counters[event.kind].add(1, _attributes(event, COUNTED))


def _attributes(event: Event, columns: Iterable[str]) -> dict[str, str | int | bool]:
    values = {column: getattr(event, column) for column in columns}
    return {ATTRIBUTES[column]: value for column, value in values.items() if value not in (None, "")}
