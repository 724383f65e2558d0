"""What do type checkers see of tracegate? Read by mypy and pyright, never run."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import assert_type

import tracegate
from tracegate.core.trace import Trace
from tracegate.core.trace_id import TraceId

POLICY = tracegate.Policy(mode="mint", exempt=("/healthz",), on_conflict="keep")
assert_type(POLICY, tracegate.Policy)

tracegate.Policy(mode="sometimes")  # type: ignore[arg-type]  # no such mode  # pyright: ignore[reportArgumentType]


def read() -> None:
    """Read the bound trace, with and without the chance that there is none."""
    trace = tracegate.current_trace()
    assert_type(trace, Trace | None)
    trace.id  # type: ignore[union-attr]  # it may be None  # noqa: B018  # pyright: ignore

    required = tracegate.require_trace()
    assert_type(required, Trace)
    assert_type(required.id, TraceId)
    assert_type(required.id.text, str)
    assert_type(required.id.number, int)
    assert_type(required.id.w3c, str)


def bind(trace_id: TraceId) -> None:
    """Bind from text and from an id; nothing else will do."""
    assert_type(tracegate.bind_trace("3f2504e0-4f89-41d3-9a0c-0305e82c3301"), Trace)
    assert_type(tracegate.bind_trace(trace_id), Trace)
    tracegate.bind_trace(7)  # type: ignore[arg-type]  # a number has no spelling  # pyright: ignore[reportArgumentType]


def scope() -> None:
    """Run a job under one trace."""
    opened = tracegate.trace_scope()
    accepted: AbstractContextManager[Trace] = opened
    with accepted as trace:
        assert_type(trace, Trace)
    with tracegate.trace_scope("3f2504e0-4f89-41d3-9a0c-0305e82c3301") as trace:
        assert_type(trace, Trace)


def catch(error: tracegate.TraceOverwriteError, faults: tracegate.ConfigurationError) -> None:
    """Read what the errors carry."""
    assert_type(error.bound, str)
    assert_type(error.attempted, str)
    assert_type(faults.faults, tuple[tuple[str, str], ...])
