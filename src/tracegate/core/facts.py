"""How does what happened to a reply become an event?"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

from tracegate.core.events import Event

if TYPE_CHECKING:
    from tracegate.core.events import Kind, Stage
    from tracegate.core.exchange import Exchange

__all__ = ["Facts", "reply_event"]


class Facts(TypedDict, total=False):
    """Columns of an event that not every event of a reply has (clause F2).

    Attributes:
        status: The status that left, or None.
        refused_status: The status that the application had chosen, where it was refused.
        detail: The refusal's detail (E2).
        would_refuse: Whether the policy delivered what it would otherwise have refused.
    """

    status: int | None
    refused_status: int | None
    detail: str | None
    would_refuse: bool


def reply_event(exchange: Exchange, kind: Kind, stage: Stage, message: str, **facts: Unpack[Facts]) -> Event:
    """Return the event of something that happened to the reply of *exchange*."""
    trace = exchange.trace
    return Event(
        kind=kind,
        severity="warning" if facts.get("would_refuse") else "error",
        component="tracegate.exchange",
        message=message,
        trace_id=trace.trace_id,
        client_trace_id=trace.client_trace_id,
        parent_trace_id=trace.parent_trace_id,
        method=exchange.method,
        transport=exchange.transport,
        stage=stage,
        mode=exchange.terms.gate.mode_of(exchange.path, exchange.raw_path),
        **facts,
    )
