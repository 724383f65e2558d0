"""What leaves, and what is recorded, when the gate does not let a request in, or lets it in against its will?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracegate.core.events import KIND_BY_DETAIL, Event
from tracegate.core.gate import Refused
from tracegate.core.refusal import REFUSED_STATUS, refusal_object

if TYPE_CHECKING:
    from tracegate.core.head import Headers
    from tracegate.core.terms import Terms
    from tracegate.core.trace import Trace

__all__ = ["inbound_event", "refusal_reply"]


def refusal_reply(
    terms: Terms, refused: Refused, method: str, headers: Headers, path: str
) -> tuple[int, Headers, bytes]:
    """Return status, header lines and body of the reply to a request that was refused (clauses E2, E3).

    Args:
        terms: The gate's.
        refused: The gate's decision.
        method: The request's method.
        headers: The request's header lines.
        path: The request's decoded path.
    """
    error = refusal_object(refused.detail, refused.trace, terms.policy.header)
    lines, body = terms.own_headers(error, headers, [], method, path)
    return REFUSED_STATUS, lines, body


def inbound_event(decision: Trace | Refused, mode: str, method: str, *, transport: str = "http") -> Event | None:
    """Return the one event of an inbound fault, or None where there was none (clauses B4, F3).

    Args:
        decision: The gate's.
        mode: The mode in force for the request's path.
        method: The request's method.
        transport: ``http`` or ``websocket``.
    """
    if isinstance(decision, Refused):
        trace, detail, rejected = decision.trace, decision.detail, decision.rejected
    elif decision.fault is not None:
        trace, detail, rejected = decision, decision.fault, decision.rejected
    else:
        return None
    delivered = trace is decision
    return Event(
        kind=KIND_BY_DETAIL[detail],
        severity="warning" if delivered else "error",
        component="tracegate.gate",
        message=f"{_MESSAGES[detail]} {rejected}".rstrip(),
        trace_id=trace.trace_id,
        method=method,
        transport=transport,
        stage="request",
        status=None if delivered else REFUSED_STATUS,
        mode=mode,
        detail=detail,
        would_refuse=delivered,
    )


_MESSAGES = {
    "missing_trace_id": "The request named no trace.",
    "invalid_trace_id_format": "The request's trace id does not parse:",
    "conflicting_trace_id": "The request named more than one trace:",
}
