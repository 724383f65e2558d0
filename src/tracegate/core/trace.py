"""What does one exchange run under, and where did it come from?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from tracegate.core.trace_id import TraceId
    from tracegate.core.w3c import TraceParent

__all__ = ["Origin", "Trace"]

Origin = Literal["header", "traceparent", "query", "minted", "scope"]
"""Who named the trace: a request source (clauses B1, B7), tracegate itself (B4), or a job's scope (G3)."""


class Trace(msgspec.Struct, frozen=True, eq=False, gc=False):
    """The bound trace: one id, and where it came from.

    Attributes:
        id: The id; equality of traces is equality of this number (clause A1).
        origin: Who named it.
        traceparent: The request's parsed ``traceparent`` (for flags and links), or None.
        tracestate: The request's cleaned ``tracestate`` as one line, or None.
        client_trace_id: The spelling of a valid id that an untrusted caller sent, or None (B6).
        parent_trace_id: The 32 hex digits of a ``traceparent`` that named another trace, or None (B2).
        fault: The detail for which mode ``observe`` did not refuse, or None (B4).
        rejected: What was rejected then, escaped and bounded, for the event only (E3).
    """

    id: TraceId
    origin: Origin
    traceparent: TraceParent | None = None
    tracestate: str | None = None
    client_trace_id: str | None = None
    parent_trace_id: str | None = None
    fault: str | None = None
    rejected: str = ""

    @property
    def trace_id(self) -> str:
        """The id as the caller spelled it, ASCII."""
        return self.id.text

    @property
    def w3c(self) -> str:
        """The same number as 32 lower-case hex digits: the W3C and OpenTelemetry trace id (A2)."""
        return self.id.w3c

    @property
    def minted(self) -> bool:
        """Whether tracegate made the id (B4)."""
        return self.origin == "minted"

    def __str__(self) -> str:
        return self.id.text

    def __repr__(self) -> str:
        return f"<Trace {self.id.text} from {self.origin}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trace) and self.id == other.id

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.id)
