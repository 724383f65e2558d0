"""Is an hour's row what the events and counts of that hour come to, whatever came late and wherever a run ended?

The oracle counts by hand, from lists; it shares nothing with the statements that it is compared to.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, select

from tests.contract.stores import STORES, Templates, an_event, opened
from tracegate.core.events import Event
from tracegate.store import rollup as rolling
from tracegate.store.engine import reading
from tracegate.store.events import EventStore
from tracegate.store.retain import retain
from tracegate.store.rollup import roll_up_new, rollup
from tracegate.store.schema import api_metric_hourly
from tracegate.store.traffic import CountRow, drop_counts, put_counts

START = datetime(2026, 11, 20, 22, tzinfo=UTC)
Rows = dict[tuple[str, datetime, str], float]


class CrashError(Exception):
    """The process is gone."""


@pytest.fixture(scope="module", params=STORES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Give a store with its tables; what the examples leave in it must not disturb them."""
    templates = Templates(tmp_path_factory.mktemp("stores"))
    with templates.upgraded(request.param) as url, opened(url) as found:
        yield found
    templates.close()


@pytest.fixture(autouse=True)
def _runs_see_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the margin for slow writers, of which there are none, each run looks at what has come since the last."""
    monkeypatch.setattr(rolling, "_MARGIN", timedelta(milliseconds=5))


@contextmanager
def crashing(engine: Engine, statements: int) -> Generator[list[str]]:
    """End the process before the next statement after so many, commits counted too."""
    said: list[str] = []

    def note(what: str) -> None:
        if len(said) == statements:
            raise CrashError
        said.append(what)

    def on_statement(*given: Any) -> None:  # noqa: ANN401 - what SQLAlchemy passes
        note(given[2])

    def on_commit(_connection: object) -> None:
        note("COMMIT")

    event.listen(engine, "before_cursor_execute", on_statement)
    event.listen(engine, "commit", on_commit)
    try:
        yield said
    finally:
        event.remove(engine, "before_cursor_execute", on_statement)
        event.remove(engine, "commit", on_commit)


@dataclass
class Kept:
    """What was given to the store, as lists.

    Attributes:
        engine: The store.
        prefix: Of its tenants, which nobody else has.
    """

    engine: Engine
    prefix: str
    events: list[Event] = field(default_factory=list[Event])
    counts: dict[tuple[str, str, datetime], CountRow] = field(default_factory=dict[tuple[str, str, datetime], CountRow])

    def happen(self, facts: dict[str, Any], minutes: float) -> None:
        """Have an event, at that time."""
        happened = an_event(
            **{**facts, "tenant": self.prefix + facts["tenant"]},
            id=str(uuid.uuid4()),
            time=START + timedelta(minutes=minutes),
        )
        self.events.append(happened)
        EventStore(self.engine).append([happened])

    def count(self, tenant: str, instance: str, minute: int, counts: tuple[int, int, int, int]) -> None:
        """Have a process write what it has counted so far."""
        row = CountRow(self.prefix + tenant, START + timedelta(minutes=minute), *counts)
        before = self.counts.get((row.tenant, instance, row.minute), CountRow("", START, 0, 0, 0, 0))
        most = CountRow(row.tenant, row.minute, *map(max, before[2:], row[2:]))
        self.counts[row.tenant, instance, row.minute] = most
        put_counts(self.engine, "orders", instance, [row])

    def expected(self) -> Rows:
        """Count by hand."""
        found: Counter[tuple[str, datetime, str]] = Counter()
        seen: set[tuple[str, datetime]] = set()
        for row in self.counts.values():
            at = row.tenant, hour_of(row.minute)
            seen.add(at)
            for name, value in zip(("requests", "replies", "traced_replies", "sse_events"), row[2:], strict=True):
                found[*at, f"{name}_total"] += value
        coverage = {
            (*at, "trace_coverage_pct"): found[*at, "traced_replies_total"] * 100.0 / found[*at, "replies_total"]
            for at in seen
            if found[*at, "replies_total"]
        }
        for one in self.events:
            assert one.time is not None
            at = one.tenant, hour_of(one.time)
            seen.add(at)
            found[*at, "missing_trace_event_count"] += one.kind == "missing_trace"
            found[*at, "broken_streams_total"] += one.kind == "stream_broken"
            if one.detail is not None:
                found[
                    *at, f"error_code_total.{'SSE-003-409-RESUME' if one.detail == 'gap' else 'SYS-004-409-TRACE'}"
                ] += 1
            if one.detail not in (None, "gap") and not one.would_refuse:
                found[*at, "refusals_total"] += 1
                found[*at, f"refusals_total.{one.kind}"] += 1
        for at in seen:
            for name in ("missing_trace_event_count", "refusals_total", "broken_streams_total"):
                found[*at, name] += 0
        return {**{key: float(value) for key, value in found.items()}, **coverage}

    def rows(self) -> dict[tuple[str, datetime, str], tuple[float, datetime, str]]:
        """Return what the table has."""
        metric = api_metric_hourly.c
        wanted = select(*api_metric_hourly.columns).where(metric.tenant_id.startswith(self.prefix))
        with reading(self.engine) as connection:
            found = connection.execute(wanted).all()
        keyed = {
            (row.tenant_id, row.hour_bucket_utc, row.metric_key): (row.metric_value, row.updated_at, row.id)
            for row in found
        }
        assert len(keyed) == len(found)
        return keyed

    def values(self) -> Rows:
        """Return the values alone."""
        return {key: row[0] for key, row in self.rows().items()}


def hour_of(time: datetime) -> datetime:
    """Return its hour, by way of text."""
    return datetime.fromisoformat(time.isoformat()[:13] + ":00:00+00:00")


def settle() -> None:
    """Let what was written be older than the run that comes."""
    time.sleep(0.006)


TENANTS = st.sampled_from(("north", "south"))
FACTS = st.sampled_from((
    {"kind": "missing_trace", "detail": "missing_trace_id"},
    {"kind": "missing_trace", "detail": "missing_trace_id", "would_refuse": True, "mode": "observe"},
    {"kind": "conflicting_trace", "detail": "conflicting_trace_id"},
    {"kind": "trace_overwrite_refused", "detail": "trace_overwrite_refused"},
    {"kind": "stream_broken", "detail": None},
    {"kind": "sse_resume_failed", "detail": "gap"},
))  # fmt: skip
MINUTES = st.one_of(st.sampled_from((0, 59, 60, 119, 120, 121)), st.integers(0, 179))
NUMBERS = st.integers(0, 5)
STEPS = st.one_of(
    st.tuples(st.just("happen"), FACTS, TENANTS, MINUTES.map(float) | st.floats(0, 179.99)),
    st.tuples(st.just("count"), TENANTS, st.sampled_from("ab"), MINUTES, st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS)),
    st.tuples(st.just("run"), st.sampled_from((None, None, *range(25)))),
)
_numbers = itertools.count()


def do(kept: Kept, step: tuple[Any, ...]) -> None:
    """Do one step."""
    match step:
        case ("happen", facts, tenant, minutes):
            kept.happen({**facts, "tenant": tenant}, minutes)
        case ("count", tenant, instance, minute, counts):
            kept.count(tenant, instance, minute, counts)
        case _:
            _, crash = step
            settle()
            with suppress(CrashError), crashing(kept.engine, -1 if crash is None else crash):
                roll_up_new(kept.engine)


@pytest.mark.contract("H1")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=14))
def test_an_hour_is_what_its_events_and_counts_come_to(engine: Engine, steps: list[tuple[Any, ...]]) -> None:
    """In whatever order they come, with runs between them of which some end early; and once more changes nothing."""
    kept = Kept(engine, f"{next(_numbers)}-")
    for step in (*steps, ("run", None)):
        do(kept, step)
    assert kept.values() == kept.expected()
    before = kept.rows()
    do(kept, ("run", None))
    rollup(engine, START, START + timedelta(hours=5))
    assert kept.rows() == before


@pytest.mark.contract("H1")
def test_a_run_may_end_between_any_two_statements(engine: Engine) -> None:
    """What the next run finds is one of what was and what shall be, hour by hour; it brings all of it up."""
    kept = Kept(engine, "crash-")
    statements = None
    for at in itertools.count():
        kept.happen({"kind": "missing_trace", "detail": "missing_trace_id", "tenant": "north"}, at % 2 * 70.0)
        kept.count("south", str(at), at % 3 * 60, (at, at, at, 0))
        settle()
        before, after = kept.values(), kept.expected()
        with crashing(engine, at) as said:
            try:
                roll_up_new(engine)
            except CrashError:
                statements = at
        halfway = kept.values()
        for hour in {key[1] for key in after}:
            of_hour = [{key: row for key, row in rows.items() if key[1] == hour} for rows in (halfway, before, after)]
            assert of_hour[0] in of_hour[1:]
        settle()
        roll_up_new(engine)
        assert kept.values() == after
        if statements != at:
            assert said[-1] == "COMMIT"
            break
    assert statements is not None
    assert statements > 10


@pytest.mark.contract("H1")
def test_a_run_looks_at_what_has_come_since_the_last(engine: Engine) -> None:
    """And at nothing where nothing has."""
    kept = Kept(engine, "since-")
    kept.happen({"kind": "stream_broken", "detail": None, "tenant": "north"}, 5)
    settle()
    assert roll_up_new(engine) >= 1
    settle()
    assert roll_up_new(engine) == 0
    kept.count("north", "a", 70, (1, 1, 1, 0))
    settle()
    assert roll_up_new(engine) == 1
    assert kept.values() == kept.expected()


@pytest.mark.contract("H1")
def test_runs_at_once_leave_the_right_rows(engine: Engine) -> None:
    """Each hour is computed by one at a time, from what is there then."""
    kept = Kept(engine, "once-")
    failures: list[BaseException] = []

    def run() -> None:
        try:
            for _ in range(4):
                roll_up_new(engine)
        except BaseException as failure:
            failures.append(failure)
            raise

    threads = [Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(30):
        kept.happen({"kind": "missing_trace", "detail": "missing_trace_id", "tenant": "north"}, number * 5.0)
        kept.count("north", "a", number * 5, (number, number, number, number))
    for thread in threads:
        thread.join()
    settle()
    roll_up_new(engine)
    assert failures == []
    assert kept.values() == kept.expected()


@pytest.mark.contract("H1")
def test_what_retention_has_dropped_stays_rolled_up(engine: Engine) -> None:
    """An hour without its events is not computed again, whatever comes late."""
    kept = Kept(engine, "old-")
    old = -4320.0
    kept.happen({"kind": "stream_broken", "detail": None, "tenant": "north"}, old)
    kept.count("north", "a", int(old), (3, 2, 1, 0))
    settle()
    roll_up_new(engine)
    before = kept.rows()
    assert kept.values() == kept.expected()
    retain(engine, (START - timedelta(days=2)).date())
    drop_counts(engine, START - timedelta(days=2))
    kept.happen({"kind": "stream_broken", "detail": None, "tenant": "north"}, old + 1)
    settle()
    roll_up_new(engine)
    rollup(engine, START - timedelta(days=9), START)
    assert kept.rows() == before
