"""What does one exchange run under, and where did it come from?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import msgspec

from tracegate.core.trace_id import TraceId

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracegate.core.w3c import TraceParent

__all__ = ["Origin", "Trace"]

Origin = Literal["header", "traceparent", "query", "minted", "scope"]
"""Who named the trace: a request source (clauses B1, B7), tracegate itself (B4), or a job's scope (G3)."""


class Trace(msgspec.Struct, frozen=True, eq=False, gc=False):
    """The bound trace: one id, and where it came from.

    Equality of traces is equality of their ids (clause A1). One is made for each request, so it holds the id's fields
    itself; :meth:`of` makes one of an id.

    Attributes:
        raw: The id's spelling, as in :class:`~tracegate.core.trace_id.TraceId`.
        origin: Who named it.
        spelled_in: The spelling's format, as in :class:`~tracegate.core.trace_id.TraceId`.
        traceparent: The request's parsed ``traceparent`` (for flags and links), or None.
        tracestate: The request's cleaned ``tracestate`` as one line, or None.
        client_trace_id: The spelling of a valid id that an untrusted caller sent, or None (B6).
        parent_trace_id: The 32 hex digits of a ``traceparent`` that named another trace, or None (B2).
        fault: The detail for which mode ``observe`` did not refuse, or None (B4).
        rejected: What was rejected then, escaped and bounded, for the event only (E3).
    """

    raw: bytes
    origin: Origin
    spelled_in: str = ""
    traceparent: TraceParent | None = None
    tracestate: str | None = None
    client_trace_id: str | None = None
    parent_trace_id: str | None = None
    fault: str | None = None
    rejected: str = ""

    @classmethod
    def of(cls, trace_id: TraceId, origin: Origin, **facts: Any) -> Self:  # noqa: ANN401 - the other attributes
        """Return the trace of an id that was checked."""
        return cls(trace_id.raw, origin, trace_id.spelled_in, **facts)

    @property
    def id(self) -> TraceId:
        """The id."""
        return TraceId(self.raw, self.spelled_in)

    @property
    def trace_id(self) -> str:
        """The id as the caller spelled it, ASCII."""
        return self.raw.decode("ascii")

    @property
    def w3c(self) -> str:
        """The same number as 32 lower-case hex digits: the W3C and OpenTelemetry trace id (A2)."""
        return self.id.w3c

    @property
    def minted(self) -> bool:
        """Whether tracegate made the id (B4)."""
        return self.origin == "minted"

    def __str__(self) -> str:
        return self.trace_id

    def __repr__(self) -> str:
        return f"<Trace {self.trace_id} from {self.origin}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trace) and self.id == other.id

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Callable[[TraceId, dict[str, Any]], Trace], tuple[TraceId, dict[str, Any]]]:
        """Copy and unpickle by way of the id, which is parsed again."""
        facts = {name: getattr(self, name) for name in self.__struct_fields__ if name not in _OF_THE_ID}
        return _restored, (self.id, facts)


_OF_THE_ID = ("raw", "spelled_in")


def _restored(trace_id: TraceId, facts: dict[str, Any]) -> Trace:
    return Trace.of(trace_id, **facts)
