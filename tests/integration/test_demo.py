"""The demonstration, run as `make demo` runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from examples.demo import QUESTIONS, Answer, is_traced

ROOT = Path(__file__).parents[2]
ID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
CAUSES = ("missing_trace", "invalid_trace", "conflicting_trace")
ROUTES = ("/orders/{number}", "/orders/<int:number>")


@pytest.mark.contract("E3", "F3", "H3")
def test_the_demonstration_shows_the_answers_the_events_the_hour_and_a_locked_gate() -> None:
    """On a terminal of 80 columns; a setting of the person who runs it changes nothing."""
    run = subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80", "TRACEGATE_MODE": "no such mode"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr
    assert [line for line in run.stdout.splitlines() if len(line) > 80] == []
    both_services_answer_every_question(run.stdout)
    the_store_holds_the_events(run.stdout)
    the_hours_come_to_what_was_asked(run.stdout)
    the_gate_is_locked(run.stdout)


def both_services_answer_every_question(shown: str) -> None:
    """By four real servers; what the bare ones lose, the gated ones have."""
    lines = shown.splitlines()
    for question in QUESTIONS:
        assert sum(line.startswith(f"{question.words}  ") for line in lines) == 2
    assert len(re.findall(r" no id  ", shown)) == 2 * 8
    assert shown.count(" 409 missing_trace_id new id\n") == 2
    assert shown.count(" 409 trace_overwrite_refused your id\n") == 2
    assert shown.count(" 200 your id, 3/3, cut\n") == 2
    assert "without their trace id: 0" in shown


def the_store_holds_the_events(shown: str) -> None:
    """One for each refusal and each broken stream, with its trace."""
    part = shown.partition("the store now holds 10 events")[2].partition("\n\n")[0]
    kinds = Counter(re.findall(rf"^(\w+) +{ID} ", part, flags=re.MULTILINE))

    assert kinds == dict.fromkeys((*CAUSES, "trace_overwrite_refused", "stream_broken"), 2)


def the_hours_come_to_what_was_asked(shown: str) -> None:
    """One, or two where the clock has just struck: every reply traced, every refusal counted."""
    lines = re.findall(r"^\d{4}-\d\d-\d\d \d\d:00 +(.*)$", shown, flags=re.MULTILINE)
    hours = [[float(value) for value in line.split()] for line in lines]
    requests, replies, traced, _, refused, broken, _ = (sum(column) for column in zip(*hours, strict=True))

    assert (requests, replies, traced) == (2 * len(QUESTIONS),) * 3
    assert (refused, broken) == (8, 2)
    assert {coverage for _, answered, _, coverage, *_ in hours if answered} == {100}


def the_gate_is_locked(shown: str) -> None:
    """What locked it, by the traces that stand in the list of events, and the status that a pipeline gets."""
    events, _, gate = shown.partition("\n$ python -m tracegate gate check --service orders\n")
    told = re.sub(r"\n {6}", " ", gate)

    assert told.startswith("orders: locked\n")
    for cause in CAUSES:
        for route in ROUTES:
            found = re.search(rf"  1 × {re.escape(route)}:{cause}, first trace ({ID})\n", told)
            assert found is not None
            assert f"{cause:23} {found[1]} " in events
    assert "\nexit code 1: no\n" in gate


def test_the_demonstration_would_notice_a_missing_id() -> None:
    """Its own check is no ornament: a reply without an id, or an untraced event, counts."""
    assert not is_traced(Answer(200, [], "text/plain", b"", whole=True))
    assert not is_traced(Answer(404, ["a"], "application/json", b'{"trace_id":"b"}', whole=True))
    assert not is_traced(Answer(200, ["a"], "text/event-stream", b"", whole=True, events=[("x", False)]))
    assert is_traced(Answer(404, ["a"], "application/json", b'{"trace_id":"a"}', whole=True))
