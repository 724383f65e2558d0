"""Which facts come out?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["KIND_BY_DETAIL", "Event", "Kind", "Severity", "Stage"]

Kind = Literal[
    "missing_trace",
    "invalid_trace",
    "conflicting_trace",
    "trace_overwrite_refused",
    "untraced_log",
    "stream_broken",
    "context_bleed",
    "trace_refusal_surge",
    "sse_resume_failed",
]
Severity = Literal["info", "warning", "error", "critical"]
Stage = Literal["request", "head", "body", "stream", "context"]

KIND_BY_DETAIL: dict[str, Kind] = {
    "missing_trace_id": "missing_trace",
    "invalid_trace_id_format": "invalid_trace",
    "conflicting_trace_id": "conflicting_trace",
    "trace_overwrite_refused": "trace_overwrite_refused",
    "trace_id_missing": "missing_trace",
    "stream_event_trace_id_missing": "missing_trace",
}
"""The kind of event (clause F1) of each refusal detail (E2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact about one exchange (clause F2). The core fills what it knows; the runtime stamps the rest.

    Attributes:
        kind: One of the kinds of clause F1.
        severity: How bad it is.
        component: Which part of tracegate saw it.
        message: One English sentence; rejected text in it is escaped and bounded (E3).
        trace_id: The spelling of the trace that the reply carries; empty only for ``untraced_log``.
        client_trace_id: What an untrusted caller sent, or None (B6).
        parent_trace_id: The other trace of ``traceparent_mismatch="parent"``, or None (B2).
        method: The request's method, or None outside a request.
        transport: ``http`` or ``websocket``, or None outside a request.
        stage: Where in the exchange it happened.
        status: The status that left, or None where none did.
        refused_status: The status the application had chosen before it was refused, or None.
        mode: The mode in force, or None outside a request.
        detail: The refusal's detail (E2), or None.
        would_refuse: True where the policy delivered what it would otherwise have refused.
        route: The route's template, stamped by the runtime; None where no route matched.
        tenant: Stamped by the runtime.
        service: Stamped by the runtime.
        instance: Stamped by the runtime.
        id: UUIDv7 text, stamped by the runtime; empty before.
        time: UTC, microseconds, stamped by the runtime; None before.
        metric_value: What the event adds to its metric: 1, or for a surge its refusals in a minute.
    """

    kind: Kind
    severity: Severity
    component: str
    message: str
    trace_id: str
    client_trace_id: str | None = None
    parent_trace_id: str | None = None
    method: str | None = None
    transport: str | None = None
    stage: Stage
    status: int | None = None
    refused_status: int | None = None
    mode: str | None = None
    detail: str | None = None
    would_refuse: bool = False
    route: str | None = None
    tenant: str = ""
    service: str = ""
    instance: str = ""
    id: str = ""
    time: datetime | None = None
    metric_value: int = 1

    def stamped(  # noqa: PLR0913 - the six facts that only the runtime knows
        self,
        *,
        id: str,  # noqa: A002 - the column's name
        time: datetime,
        service: str,
        instance: str,
        tenant: str,
        route: str | None,
    ) -> Event:
        """Return the same fact with what only the runtime knows."""
        return replace(self, id=id, time=time, service=service, instance=instance, tenant=tenant, route=route)
