"""Which trace am I in?

A context variable holds the *binding*: the exchange or scope that the code runs in. Only shells and scopes set it;
anyone reads. No token is kept: a binding restores what it found only where it is still the current one, so that a
coroutine which ends in a foreign context leaves that context alone (clause G2).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from os import urandom
from typing import TYPE_CHECKING, Protocol

from tracegate.core.trace import Trace
from tracegate.core.trace_id import TraceId, mint_trace_id
from tracegate.errors import MissingTraceError, TraceOverwriteError

if TYPE_CHECKING:
    from collections.abc import Generator
    from concurrent.futures import Future
    from contextvars import Token

__all__ = ["Binding", "bind_trace", "binding", "current_trace", "on_fault", "require_trace", "trace_scope", "unbind"]


class Binding(Protocol):
    """Something that code runs under: an exchange, or a job's scope."""

    @property
    def trace(self) -> Trace:
        """The trace of everything that runs under it."""
        ...  # pragma: no cover


class _Scope:
    """A job's binding (clause G3), and what it was opened under."""

    __slots__ = ("found", "trace")

    def __init__(self, trace: Trace, found: Binding | None = None) -> None:
        self.trace = trace
        self.found = found


binding: ContextVar[Binding | None] = ContextVar("tracegate.binding", default=None)
"""The current binding. Set by shells and scopes only."""

_Observer = Callable[[str, str | None, str], "tuple[Future[bool], float] | None"]
_fault_observers: list[_Observer] = []


def on_fault(observer: _Observer) -> None:
    """Have *observer* called where code lacks a trace or tries to replace one, instead of the former observer.

    Args:
        observer: Gets the event's kind, the spelling of the bound trace or None, and a message; returns what a refusal
            waits for, if anything, and for how many seconds. Set by the runtime.
    """
    _fault_observers[:] = [observer]


def unbind(bound: Binding, token: Token[Binding | None]) -> None:
    """Bring back what *token* found where *bound* is current, or a scope that was left open under it; for shells.

    In any other context nothing changes, be it a copy of the one in which *bound* was set.

    Source: contract clause G2.
    """
    current = binding.get()
    while current is not bound and isinstance(current, _Scope):
        current = current.found
    if current is bound:
        with suppress(ValueError):  # a copy of the context in which *bound* was set keeps it
            binding.reset(token)


def current_trace() -> Trace | None:
    """Return the bound trace, or None where none is bound.

    Source: contract clause G1.
    """
    bound = binding.get()
    return None if bound is None else bound.trace


def require_trace() -> Trace:
    """Return the bound trace.

    Raises:
        MissingTraceError: None is bound; an event was recorded. Unhandled, it ends the request with a 409.

    Source: contract clause G3.
    """
    bound = binding.get()
    if bound is None:
        kept = _report("missing_trace", None, "require_trace() found no bound trace")
        raise MissingTraceError(recorded=bool(_fault_observers), kept=kept)
    return bound.trace


def bind_trace(trace: Trace | TraceId | str) -> Trace:
    """Bind *trace* where none is bound; a no-op where an equal one is.

    Args:
        trace: A trace, its id, or the id's spelling.

    Returns:
        The bound trace: where one was bound before, that one with its own spelling.

    Raises:
        InvalidTraceIdError: The text is not a trace id.
        TraceOverwriteError: Another trace is bound; it stays bound, and an event was recorded.

    Source: contract clause G2.
    """
    wanted = _trace_of(trace)
    bound = binding.get()
    if bound is None:
        binding.set(_Scope(wanted))
        return wanted
    if bound.trace != wanted:
        _report("trace_overwrite_refused", bound.trace.trace_id, "code tried to bind another trace")
        raise TraceOverwriteError(bound.trace.trace_id, wanted.trace_id)
    return bound.trace


@contextmanager
def trace_scope(trace: Trace | TraceId | str | None = None) -> Generator[Trace]:
    """Open a scope for a job, and leave the context as it was found.

    Args:
        trace: The job's trace; None mints one.

    Yields:
        The trace that the block runs under. Within the block it is write-once, whatever was bound outside.

    Raises:
        InvalidTraceIdError: The text is not a trace id.

    Source: contract clauses G2 and G3.
    """
    found = binding.get()
    scope = _Scope(Trace.of(mint_trace_id(urandom(16)), "minted") if trace is None else _trace_of(trace), found)
    binding.set(scope)
    try:
        yield scope.trace
    finally:
        if binding.get() is scope:
            binding.set(found)


def _trace_of(trace: Trace | TraceId | str) -> Trace:
    if isinstance(trace, Trace):
        return trace
    return Trace.of(trace if isinstance(trace, TraceId) else TraceId.from_text(trace), "scope")


def _report(kind: str, trace_id: str | None, message: str) -> tuple[Future[bool], float] | None:
    return next((observer(kind, trace_id, message) for observer in _fault_observers), None)
