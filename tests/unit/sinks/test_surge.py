"""When is it a surge, and what is told of it?

Contract clause F1.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from statistics import median
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.fakes import OWN, Collector, CountingMint, SteppingClock
from tests.unit.sinks.fakes import event_of
from tracegate.adapters.wiring import wired
from tracegate.core.events import Event
from tracegate.core.policy import Policy
from tracegate.sinks.fanout import Fanout
from tracegate.sinks.surge import Rule, Surge, SurgeSink

pytestmark = pytest.mark.contract("F1")

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
REFUSAL = replace(event_of(1), detail="missing_trace_id", status=409, route="/orders", mode="require", tenant="north")


def begun(surge: Surge, counts: list[int], minute: int = 0) -> list[int]:
    """Have so many refusals in each minute, and return the minutes in which a surge began."""
    return [minute + number for number, count in enumerate(counts) for _ in range(count) if surge.add(minute + number)]


@pytest.mark.parametrize(
    ("counts", "minutes"),
    [
        ([19], []),
        ([20], [0]),
        ([500], [0]),
        ([0, 0, 19, 19, 19], []),
        ([4] * 30 + [19], []),
        ([4] * 30 + [20], [30]),
        ([10] * 30 + [49], []),
        ([10] * 30 + [50], [30]),
        ([10] * 30 + [50, 60, 300, 9], [30]),
        ([0] * 16 + [100] * 14 + [20], [16]),
    ],
)
def test_a_surge_is_many_and_many_times_what_was_usual(counts: list[int], minutes: list[int]) -> None:
    """At least 20 in a minute, and five times the median of the half hour before; told once."""
    assert begun(Surge(), counts) == minutes


@pytest.mark.parametrize(
    ("quiet", "again"),
    [([0, 0], False), ([9, 9], False), ([9, 10, 9, 9], False), ([0, 0, 0], True), ([9, 9, 9], True), ([9] * 9, True)],
)
def test_it_ends_after_minutes_of_calm(quiet: list[int], again: bool) -> None:  # noqa: FBT001 - a column of the table
    """Three full ones in a row below half of what begins one; before that nothing begins."""
    surge = Surge()
    assert begun(surge, [1] + [0] * 29 + [20], 100) == [130]
    assert begun(surge, quiet, 131) == []
    assert bool(begun(surge, [20], 131 + len(quiet))) == again


def test_what_lasts_becomes_what_is_usual() -> None:
    """A new level is told of once, and a surge above it again."""
    surge = Surge()
    assert begun(surge, [0] * 30 + [100] * 40) == [30]
    assert not surge.is_on
    assert begun(surge, [499], 70) == []
    assert begun(surge, [500], 71) == [71]


def test_silence_counts_as_minutes_without_refusals() -> None:
    """However long it was."""
    surge = Surge()
    assert begun(surge, [40] * 30) == [0]
    assert begun(surge, [20], 10_000_000) == [10_000_000]


def test_a_clock_that_steps_back_is_not_followed() -> None:
    """Refusals of a minute before the newest are the newest's."""
    surge = Surge()
    begun(surge, [10], 100)
    assert begun(surge, [9], 7) == []
    assert surge.add(100)


@given(st.lists(st.one_of(st.integers(0, 8), st.sampled_from((18, 19, 20, 21, 40, 99, 100, 101))), max_size=80))
def test_a_surge_begins_and_ends_as_the_rule_says(counts: list[int]) -> None:
    """Against the rule written down once more, over whole minutes: the median is asked of the lists themselves."""
    expected: list[int] = []
    is_on, calm = False, 0
    for number, count in enumerate(counts):
        past = ([0] * 30 + counts)[number : number + 30]
        threshold = max(20.0, 5.0 * median(past))
        if not is_on and count >= threshold:
            expected.append(number)
            is_on, calm = True, 0
        if is_on:
            calm = calm + 1 if count * 2 < threshold else 0
            is_on = calm < 3
    assert begun(Surge(), counts) == expected


# The sink


def told(events: list[Event], rule: Rule | None = None) -> list[Event]:
    """Return what is told of *events*."""
    collector = Collector()
    sink = SurgeSink(collector, rule=rule, mint=CountingMint())
    for event in events:
        sink(event)
    return collector.events


def at(seconds: float, **facts: object) -> Event:
    """Return a refusal of that time."""
    return replace(REFUSAL, time=NOON + timedelta(seconds=seconds), **facts)  # type: ignore[arg-type]


def test_a_surge_is_one_event_with_the_trace_that_began_it() -> None:
    """And the number of refusals as its metric's value; nothing of the one request in it."""
    (surge,) = told([at(number, trace_id=OWN if number == 19 else "x") for number in range(40)])
    assert surge == Event(
        kind="trace_refusal_surge",
        severity="critical",
        component="tracegate.surge",
        message="20 refusals in this minute already, where a minute had 0.",
        trace_id=OWN,
        stage=REFUSAL.stage,
        service=REFUSAL.service,
        instance=REFUSAL.instance,
        tenant="default",
        id="event-1",
        time=NOON + timedelta(seconds=19),
        metric_value=20,
    )


@pytest.mark.parametrize("facts", [{"detail": None}, {"detail": "gap"}, {"would_refuse": True}])
def test_only_refusals_count(facts: dict[str, object]) -> None:
    """What was delivered, or broke, or was refused for another reason than its trace, is none."""
    assert told([at(1, **facts) for _ in range(100)]) == []
    assert told([replace(REFUSAL, time=None)] * 100) == []


def test_it_stands_beside_the_sinks_that_it_tells() -> None:
    """As a gate wires it: they get the refusals from the fan-out, and the surge from here, which is none itself."""
    collector = Collector()
    kept = Fanout(collector, strict=True)
    fanout = Fanout(collector, SurgeSink(kept, rule=Rule(least=2)), strict=True)
    for number in range(3):
        fanout(at(number))
    kinds = [event.kind for event in collector.events]
    assert kinds == ["missing_trace", "missing_trace", "trace_refusal_surge", "missing_trace"]


def test_threads_tell_of_one_surge() -> None:
    """However many refuse at once."""
    collector = Collector()
    sink = SurgeSink(collector)

    def refuse() -> None:
        for _ in range(200):
            sink(at(1))

    threads = [Thread(target=refuse) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.kind for event in collector.events] == ["trace_refusal_surge"]


def test_a_forked_child_knows_nothing_of_its_parents_refusals() -> None:
    """It would tell of a surge that the parent had."""
    collector = Collector()
    sink = SurgeSink(collector)
    for _ in range(19):
        sink(at(1))
    child = os.fork()
    if child == 0:
        sink(at(2))
        os._exit(len(collector.events))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    sink(at(2))
    assert len(collector.events) == 1


def test_a_gate_tells_of_surges_unless_somebody_wired_it_otherwise(caplog: pytest.LogCaptureFixture) -> None:
    """In the log, where its refusals are."""
    runtime = wired(Policy())
    runtime.clock = SteppingClock()
    fact = replace(REFUSAL, id="", time=None)
    for _ in range(25):
        runtime.record([fact])
    kinds = [json.loads(record.getMessage())["kind"] for record in caplog.records]
    assert kinds == ["missing_trace"] * 20 + ["trace_refusal_surge"] + ["missing_trace"] * 5
