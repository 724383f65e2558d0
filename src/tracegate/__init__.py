"""One trace id on every reply, every error JSON and every SSE event."""

from tracegate.context import bind_trace, current_trace, require_trace, trace_scope
from tracegate.core.policy import Policy
from tracegate.core.trace import Trace
from tracegate.errors import (
    ConfigurationError,
    InvalidTraceIdError,
    MissingTraceError,
    ReplyAbortedError,
    ReplyError,
    StoreError,
    TracegateError,
    TraceOverwriteError,
)

__all__ = [
    "ConfigurationError",
    "InvalidTraceIdError",
    "MissingTraceError",
    "Policy",
    "ReplyAbortedError",
    "ReplyError",
    "StoreError",
    "Trace",
    "TraceOverwriteError",
    "TracegateError",
    "bind_trace",
    "current_trace",
    "require_trace",
    "trace_scope",
]
