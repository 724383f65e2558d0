"""What do type checkers see of tracegate? Read by mypy and pyright, never run."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import assert_type

import tracegate
from tracegate.core.trace_id import TraceId

POLICY = tracegate.Policy(mode="mint", exempt_paths=("/healthz",), on_conflict="keep")
assert_type(POLICY, tracegate.Policy)

tracegate.Policy(mode="sometimes")  # type: ignore[arg-type]  # no such mode


def read() -> None:
    """Read the bound trace, with and without the chance that there is none."""
    trace = tracegate.current_trace()
    assert_type(trace, tracegate.Trace | None)
    print(trace.trace_id)  # type: ignore[union-attr]  # it may be None

    required = tracegate.require_trace()
    assert_type(required, tracegate.Trace)
    assert_type(required.trace_id, str)
    assert_type(required.w3c, str)
    assert_type(required.minted, bool)
    assert_type(required.id, TraceId)
    assert_type(required.id.number, int)


def bind(trace_id: TraceId) -> None:
    """Bind from text and from an id; nothing else will do."""
    assert_type(tracegate.bind_trace("3f2504e0-4f89-41d3-9a0c-0305e82c3301"), tracegate.Trace)
    assert_type(tracegate.bind_trace(trace_id), tracegate.Trace)
    tracegate.bind_trace(7)  # type: ignore[arg-type]  # a number has no spelling


def scope() -> None:
    """Run a job under one trace."""
    opened = tracegate.trace_scope()
    accepted: AbstractContextManager[tracegate.Trace] = opened
    with accepted as trace:
        assert_type(trace, tracegate.Trace)
    with tracegate.trace_scope("3f2504e0-4f89-41d3-9a0c-0305e82c3301") as trace:
        assert_type(trace, tracegate.Trace)


def catch(error: tracegate.TraceOverwriteError, faults: tracegate.ConfigurationError) -> None:
    """Read what the errors carry."""
    assert_type(error.bound, str)
    assert_type(error.attempted, str)
    assert_type(faults.faults, tuple[tuple[str, str], ...])
