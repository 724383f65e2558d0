"""Which headers must an outbound call carry?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracegate.core.w3c import RANDOM, SAMPLED, format_traceparent, parse_tracestate

if TYPE_CHECKING:
    from tracegate.core.trace_id import TraceId
    from tracegate.core.w3c import TraceContext

__all__ = ["outgoing_headers"]


def outgoing_headers(
    trace: TraceId,
    parent_id: str,
    *,
    inbound: TraceContext | None = None,
    minted: bool = False,
    header: str = "X-Trace-Id",
) -> list[tuple[str, str]]:
    """Return the headers that carry *trace* to the next service: its spelling, a ``traceparent`` and a ``tracestate``.

    A request that brought a ``traceparent`` is continued: with its trace id, its sampled and random flags, and its
    ``tracestate``. (That trace id is the number of *trace*, unless the policy let a mesh name another one: clause B2.)
    Otherwise the ``traceparent`` begins here, and is flagged as

    * sampled, because samplers follow their parent by default: ``00`` would silence every service behind this one,
      though nobody decided so, and a service that records all or nothing records the same under ``01``;
    * random only where the gate *minted* the id: nobody vouches for the bits of a number that a caller chose.

    Args:
        trace: The bound trace.
        parent_id: The span of this call, new for each: 16 lower-case hex digits, not all zero.
        inbound: What the request brought, where it was valid and trusted.
        minted: Whether the gate made *trace* itself.
        header: The name under which the spelling travels.

    Returns:
        Pairs of name and value, ASCII; each value can stand in a header field as it is.

    Raises:
        ValueError: *parent_id* or a part of *inbound* is not what it must be; nothing malformed is ever sent.

    Source: contract clauses A1, A2 and G5; Trace Context level 2 sections 3.2.2.5, 3.4 and 3.5.
    """
    if inbound is None:
        flags = SAMPLED | RANDOM if minted else SAMPLED
        return [(header, trace.text), ("traceparent", format_traceparent(trace.w3c, parent_id, flags))]
    headers = [
        (header, trace.text),
        ("traceparent", format_traceparent(inbound.parent.trace_id, parent_id, inbound.parent.flags)),
    ]
    if inbound.tracestate is not None:
        if parse_tracestate((inbound.tracestate.encode("ascii", "replace"),)) != inbound.tracestate:
            raise ValueError(f"not a tracestate: {inbound.tracestate[:80]!a}")
        headers.append(("tracestate", inbound.tracestate))
    return headers
