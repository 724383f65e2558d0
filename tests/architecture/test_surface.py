"""Which names do users rely on? A change here is a change for every one of them."""

from __future__ import annotations

import tracegate
from tracegate import errors

PUBLIC = {
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
}


def test_the_root_offers_these_names_and_no_others() -> None:
    """`tracegate.__all__` is pinned; whoever changes it changes this list, the changelog and the docs."""
    assert set(tracegate.__all__) == PUBLIC
    assert all(hasattr(tracegate, name) for name in PUBLIC)


def test_every_exception_is_offered_at_the_root_and_has_one_ancestor() -> None:
    """`except tracegate.TracegateError` catches all that tracegate raises."""
    assert set(errors.__all__) <= PUBLIC
    assert all(issubclass(getattr(errors, name), tracegate.TracegateError) for name in errors.__all__)
