"""What does a client get that cannot be given the rest of its stream, and what is recorded of that?

Source: contract clauses D8, E1 and E2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from tracegate.core.events import Event
from tracegate.core.refusal import CODES_BY_KIND, REFUSED_STATUS, ErrorObject, refusal_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracegate.core.trace import Trace

__all__ = ["UNTRACED", "ResumeFault", "resume_error", "resume_event", "untraced_error", "untraced_event"]

ResumeFault = Literal["unknown", "ambiguous", "superseded", "expired", "gap", "broken", "unavailable"]
"""Why a stream cannot be resumed. Whether another tenant or principal has the event is not told: it is unknown."""

UNTRACED: Final = "stream_event_trace_id_missing"
"""The detail of the refusal of a stream without a trace (E2)."""

_KIND: Final = "sse_resume_failed"
_COMPONENT: Final = "tracegate.recorder"
_MESSAGES: Final[Mapping[ResumeFault, str]] = {
    "unknown": "This stream has no event of that id. Ask for it from its beginning.",
    "ambiguous": "More than one event of this stream has that id. Ask for it from its beginning.",
    "superseded": "This stream has begun anew since the event of that id. Ask for it from its beginning.",
    "expired": "The event of that id is too old. Ask for the stream from its beginning.",
    "gap": "Not all events after the one of that id were recorded. Ask for the stream from its beginning.",
    "broken": "This stream broke off after the event of that id. Ask for it from its beginning.",
    "unavailable": "The recorded events of this stream cannot be read now. Try again later.",
}


def resume_error(fault: ResumeFault, trace: Trace) -> ErrorObject:
    """Return the standard error object of a stream that cannot be resumed.

    Args:
        fault: Why; it is the only detail.
        trace: The resuming request's.
    """
    return ErrorObject(REFUSED_STATUS, CODES_BY_KIND[_KIND], _MESSAGES[fault], trace, (fault,))


def resume_event(fault: ResumeFault, trace: Trace, method: str, mode: str | None) -> Event:
    """Return the event of a stream that cannot be resumed; what the client sent is not in it."""
    return Event(
        kind=_KIND,
        severity="error" if fault == "unavailable" else "warning",
        component=_COMPONENT,
        message=f"A stream could not be resumed: {fault}.",
        trace_id=trace.trace_id,
        client_trace_id=trace.client_trace_id,
        parent_trace_id=trace.parent_trace_id,
        method=method,
        transport="http",
        stage="stream",
        status=REFUSED_STATUS,
        mode=mode,
        detail=fault,
    )


def untraced_error(trace: Trace, header: str, refused_status: int | None) -> ErrorObject:
    """Return the standard error object of a stream that no trace is bound for.

    Args:
        trace: One minted for this reply (E3).
        header: The trace header's name.
        refused_status: The status that the application had chosen, or None.
    """
    return refusal_object(UNTRACED, trace, header, refused_status)


def untraced_event(trace: Trace, method: str, refused_status: int | None) -> Event:
    """Return the event of a stream that no trace is bound for."""
    return Event(
        kind="missing_trace",
        severity="error",
        component=_COMPONENT,
        message="An event stream was to be recorded, and no trace is bound: the recorder stands inside no gate.",
        trace_id=trace.trace_id,
        method=method,
        transport="http",
        stage="stream",
        status=REFUSED_STATUS,
        refused_status=refused_status,
        detail=UNTRACED,
    )
