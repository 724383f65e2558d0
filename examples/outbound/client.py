"""How does a call to another service carry this request's trace? One hook on the HTTP client that you already use."""

import secrets

import httpx

from tracegate import require_trace
from tracegate.core.outgoing import outgoing_headers
from tracegate.core.w3c import TraceContext

__all__ = ["add_trace", "async_client", "client"]


def add_trace(request: httpx.Request) -> None:
    """Put ``X-Trace-Id``, a ``traceparent`` with a span of its own, and the inbound ``tracestate`` on *request*.

    Headers that the caller set itself are left alone.

    Raises:
        tracegate.errors.MissingTraceError: No trace is bound here: an untraced call must not leave.
    """
    trace = require_trace()
    inbound = TraceContext(trace.traceparent, trace.tracestate) if trace.traceparent else None
    for name, value in outgoing_headers(trace.id, _span_id(), inbound=inbound, minted=trace.minted):
        request.headers.setdefault(name, value)


def client() -> httpx.Client:
    """Return an HTTP client whose every request carries the bound trace."""
    return httpx.Client(event_hooks={"request": [add_trace]})


def async_client() -> httpx.AsyncClient:
    """Return the same for ``async`` code."""
    return httpx.AsyncClient(event_hooks={"request": [_add_trace_async]})


async def _add_trace_async(request: httpx.Request) -> None:
    add_trace(request)


def _span_id() -> str:
    """Return 64 random bits, never zero, as 16 lower-case hex digits."""
    return f"{secrets.randbelow(2**64 - 1) + 1:016x}"
