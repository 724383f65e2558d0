"""Is what comes out stamped with all that only the runtime knows?

Clauses A4, F2, G2, G3.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.fakes import OTHER, OWN, OWN_TRACE, Collector, CountingMint, SteppingClock, minted
from tracegate import context
from tracegate.context import bind_trace, binding, require_trace, trace_scope
from tracegate.core.cors import CorsRules
from tracegate.core.events import Event
from tracegate.core.policy import Policy
from tracegate.errors import MissingTraceError, TraceOverwriteError
from tracegate.runtime import Runtime, SystemClock, SystemMint

FACT = Event(kind="invalid_trace", severity="error", component="c", message="m", trace_id=OWN, stage="request")


@pytest.fixture(autouse=True)
def _no_observer_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has its own observers of faults."""
    monkeypatch.setattr(context, "_fault_observers", [])
    binding.set(None)
    yield
    binding.set(None)


def runtime(policy: Policy | None = None) -> tuple[Runtime, Collector]:
    """Return a runtime on fakes, and its sink."""
    sink = Collector()
    return Runtime(policy, sink=sink, clock=SteppingClock(), mint=CountingMint()), sink


@pytest.mark.contract("F2", "F3")
def test_each_event_is_stamped_and_given_to_the_sink_once() -> None:
    """In order, each with an id and a time of its own."""
    made, sink = runtime(Policy(service="shop", instance="pod-7"))
    made.record([FACT, FACT], route="/orders/{id}")

    assert [event.id for event in sink.events] == ["event-1", "event-2"]
    first, second = (event.time for event in sink.events)
    assert first is not None
    assert second is not None
    assert second - first == timedelta(microseconds=1)
    assert first.tzinfo is UTC
    assert {(e.service, e.instance, e.tenant, e.route, e.kind, e.trace_id) for e in sink.events} == {
        ("shop", "pod-7", "default", "/orders/{id}", "invalid_trace", OWN)
    }
    assert FACT.id == ""


@pytest.mark.contract("F2")
@pytest.mark.parametrize(
    ("policy", "named", "tenant"),
    [
        (Policy(), None, "default"),
        (Policy(default_tenant="main"), None, "main"),
        (Policy(), "anyone", "anyone"),
        (Policy(tenants=("a", "b")), "a", "a"),
        (Policy(tenants=("a", "b")), "b", "b"),
        (Policy(tenants=("a", "b")), "c", "unknown"),
        (Policy(tenants=("a", "b")), "", "unknown"),
        (Policy(tenants=("a", "b")), None, "default"),
    ],
)
def test_unknown_tenants_collapse_to_one_value(policy: Policy, named: str | None, tenant: str) -> None:
    """So that no caller can fill the store with names."""
    made, sink = runtime(policy)
    made.record([FACT], tenant=named)

    assert (sink.events[0].tenant, sink.events[0].route) == (tenant, None)


@pytest.mark.contract("F2")
def test_an_instance_without_a_name_is_host_and_process() -> None:
    """That is what tells processes apart."""
    made, sink = runtime()
    made.record([FACT])

    assert sink.events[0].instance == f"{socket.gethostname()}:{os.getpid()}"
    assert sink.events[0].service == ""


def test_without_a_sink_events_are_dropped_unstamped() -> None:
    """No id is made for them."""
    mint = CountingMint()
    made = Runtime(mint=mint)
    made.record([FACT])

    assert (mint.events, made.sink) == (0, None)
    assert made.policy == Policy()


@pytest.mark.contract("F3", "G3")
def test_code_that_requires_a_trace_where_none_is_causes_one_event() -> None:
    """Under an id made for it: an event has one always."""
    _, sink = runtime()
    with pytest.raises(MissingTraceError):
        require_trace()
    (event,) = sink.events

    assert (event.kind, event.detail, event.severity, event.stage) == (
        "missing_trace",
        "trace_id_missing",
        "error",
        "context",
    )
    assert (event.trace_id, event.component, event.id) == (minted(1), "tracegate.context", "event-1")
    assert event.message == "require_trace() found no bound trace"


@pytest.mark.contract("F3", "G2")
def test_code_that_tries_to_bind_another_trace_causes_one_event() -> None:
    """Under the one that stays bound."""
    _, sink = runtime()
    with trace_scope(OWN_TRACE), pytest.raises(TraceOverwriteError):
        bind_trace(OTHER)
    (event,) = sink.events

    assert (event.kind, event.detail, event.trace_id) == ("trace_overwrite_refused", "trace_overwrite_refused", OWN)


def test_the_terms_of_a_shell_have_its_spelling_of_the_header() -> None:
    """And the application's CORS rules."""
    rules = CorsRules(origins=("*",))
    made, _ = runtime(Policy(header="X-Own"))
    terms = made.terms(b"x-own", rules)

    assert (terms.header, terms.cors, terms.policy) == (b"x-own", rules, made.policy)
    assert made.terms(b"x-own").cors is None
    assert terms.gate.decide([], "GET", "/").trace.trace_id == minted(1)  # type: ignore[union-attr]


# The machine's own clock and generator


@pytest.mark.contract("F2")
def test_the_systems_clock_tells_utc() -> None:
    """Aware, and now."""
    before = datetime.now(UTC)
    now = SystemClock().now()

    assert now.tzinfo is UTC
    assert before <= now <= datetime.now(UTC)


@pytest.mark.contract("A4")
def test_a_minted_trace_id_is_a_random_uuid_of_version_4() -> None:
    """Lower case, dashes, and never the same."""
    made = [SystemMint().trace_id().text for _ in range(200)]

    assert len(set(made)) == 200
    assert all(
        re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", text) for text in made
    )


@pytest.mark.contract("F2")
def test_an_events_id_is_a_uuid_of_version_7_that_sorts_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Milliseconds since 1970 first (RFC 9562, section 5.7), then random bits."""
    mint = SystemMint()
    now = 1_795_435_200_123_456_789
    made: list[str] = []
    for step in range(64):
        monkeypatch.setattr(time, "time_ns", lambda at=now + step * 1_000_000: at)
        made.append(mint.event_id())

    assert all(
        re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", text) for text in made
    )
    assert made == sorted(made)
    assert [int(text.replace("-", "")[:12], 16) for text in made] == [now // 1_000_000 + step for step in range(64)]
    assert len({text[15:18] for text in made}) > 32
    assert {text[19] for text in made} == set("89ab")
    assert len({text[20:] for text in made}) == 64
