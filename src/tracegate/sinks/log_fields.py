"""What are an event's facts called in a line of the log? By tracegate's names, Elastic's, or OpenTelemetry's.

Source: Elastic Common Schema 8.11, field reference; OpenTelemetry, "Logs Data Model", version 1.55; contract clause F2.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tracegate.core.events import KIND_BY_DETAIL, Event
from tracegate.core.trace_id import parse_trace_id
from tracegate.sinks.opentelemetry import ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["MEMBERS"]

_FIRST: Final = ("id", "time", "kind", "severity")
_IN_WORDS: Final = ("metric_value",)  # the message says it
_COLUMNS: Final = (*_FIRST, *(item.name for item in fields(Event) if item.name not in (*_FIRST, *_IN_WORDS)))

_ECS_VERSION: Final = "8.11.0"
_REFUSED: Final = "SYS-004-409-TRACE"
_ECS: Final[Mapping[str, str]] = {
    "id": "event.id",
    "kind": "event.action",
    "detail": "event.reason",
    "component": "event.provider",
    "service": "service.name",
    "instance": "service.node.name",
    "method": "http.request.method",
    "status": "http.response.status_code",
}
_ECS_LABELS: Final = (
    *("trace_id", "client_trace_id", "parent_trace_id", "tenant", "route", "transport", "stage", "mode"),
    *("refused_status", "would_refuse"),
)
"""What the schema has no field for. Labels are keywords: their values are strings."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_OTEL_RESOURCE: Final[Mapping[str, str]] = {"service": "service.name", "instance": "service.instance.id"}
_OTEL_ATTRIBUTES: Final = {column: name for column, name in ATTRIBUTES.items() if column not in _OTEL_RESOURCE}


class _Severity(NamedTuple):
    text: str
    number: int


_OTEL_SEVERITY: Final[Mapping[str, _Severity]] = {
    "info": _Severity("INFO", 9),
    "warning": _Severity("WARN", 13),
    "error": _Severity("ERROR", 17),
    "critical": _Severity("FATAL", 21),
}


def _own(event: Event, _formats: tuple[str, ...]) -> dict[str, Any]:
    """Return all columns of F2 in a fixed order, the empty ones too."""
    return {name: getattr(event, name) for name in _COLUMNS}


def _ecs(event: Event, formats: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of the Elastic Common Schema, dotted; what is empty is left out.

    ``trace.id`` is the number, as Elastic's tracing writes it; ``labels.trace_id`` is the caller's spelling.
    """
    members = {
        "@timestamp": event.time,
        "log.level": event.severity,
        "message": event.message,
        "ecs.version": _ECS_VERSION,
        "event.kind": "event",
        "event.category": ["web"] if event.transport else None,
        "event.type": ["error"] if event.transport else None,
        "event.dataset": "tracegate.events",
        "error.code": _REFUSED if event.detail in KIND_BY_DETAIL else None,
        "trace.id": _number(event.trace_id, formats),
        **{name: getattr(event, column) for column, name in _ECS.items()},
    }
    labels = {f"labels.{name}": _keyword(getattr(event, name)) for name in _ECS_LABELS}
    return _filled((members | labels).items())


def _otel(event: Event, formats: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of the log data model; what is empty is left out.

    Names of attributes are those of :mod:`tracegate.sinks.opentelemetry`. ``Timestamp`` counts nanoseconds, as a
    string, because JSON readers lose digits of such a number. ``TraceId`` is the number (clause A2).
    """
    severity = _OTEL_SEVERITY[event.severity]
    attributes = _filled((name, getattr(event, column)) for column, name in _OTEL_ATTRIBUTES.items())
    members = {
        "Timestamp": None if event.time is None else str((event.time - _EPOCH) // _MICROSECOND * 1_000),
        "TraceId": _number(event.trace_id, formats),
        "SeverityText": severity.text,
        "SeverityNumber": severity.number,
        "Body": event.message,
        "EventName": f"tracegate.{event.kind}",
        "Attributes": attributes,
        "Resource": _filled((name, getattr(event, column)) for column, name in _OTEL_RESOURCE.items()),
        "InstrumentationScope": {"Name": "tracegate"},
    }
    return _filled(members.items())


MEMBERS: Final[Mapping[str, Callable[[Event, tuple[str, ...]], dict[str, Any]]]] = {
    "tracegate": _own,
    "ecs": _ecs,
    "otel": _otel,
}
"""By the names that a policy's ``log_fields`` can have: from an event, and the formats in which its ids may be spelled,
to the members of its line."""


def _filled(members: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in members if value not in (None, "")}


def _keyword(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else None
    return None if value is None else str(value)


def _number(trace_id: str, formats: tuple[str, ...]) -> str | None:
    """Return 32 hex digits, or None where there is no trace, or one in a format that is not accepted here."""
    parsed = parse_trace_id(trace_id.encode("utf-8", "surrogatepass"), formats)
    return None if parsed is None else parsed.w3c
