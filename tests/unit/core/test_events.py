"""Which facts come out, and who stamps them?"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict
from datetime import UTC, datetime
from typing import get_args

import pytest

from tests.unit.fakes import OWN
from tracegate.core.events import KIND_BY_DETAIL, Event, Kind


@pytest.mark.contract("E2", "F1")
def test_every_refusal_has_its_kind() -> None:
    """Missing by request or by code is the kind that is counted."""
    assert KIND_BY_DETAIL == {
        "missing_trace_id": "missing_trace",
        "invalid_trace_id_format": "invalid_trace",
        "conflicting_trace_id": "conflicting_trace",
        "trace_overwrite_refused": "trace_overwrite_refused",
        "trace_id_missing": "missing_trace",
        "stream_event_trace_id_missing": "missing_trace",
    }
    assert set(KIND_BY_DETAIL.values()) < set(get_args(Kind))


@pytest.mark.contract("F1", "D8")
def test_the_kinds_are_those_of_the_contract() -> None:
    """All eight, the one that issue 3 adds for D8, and no other."""
    assert set(get_args(Kind)) == {
        "missing_trace",
        "invalid_trace",
        "conflicting_trace",
        "trace_overwrite_refused",
        "untraced_log",
        "stream_broken",
        "context_bleed",
        "trace_refusal_surge",
        "sse_resume_failed",
    }


@pytest.mark.contract("F2")
def test_stamping_adds_what_only_the_runtime_knows() -> None:
    """In a new event; everything that the core said stays."""
    event = Event(
        kind="invalid_trace", severity="error", component="c", message="m", trace_id=OWN, stage="request", status=409
    )
    time = datetime(2026, 11, 23, tzinfo=UTC)

    stamped = event.stamped(id="7", time=time, service="s", instance="i", tenant="t", route="/r/{id}")

    assert asdict(stamped) == {
        **asdict(event), "id": "7", "time": time, "service": "s", "instance": "i", "tenant": "t", "route": "/r/{id}",
    }  # fmt: skip
    assert (event.id, event.time, event.tenant, event.route) == ("", None, "", None)
    with pytest.raises(FrozenInstanceError):
        stamped.id = "8"  # type: ignore[misc]
