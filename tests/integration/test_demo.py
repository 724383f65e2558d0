"""The demonstration, run as `make demo` runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from examples.demo import QUESTIONS, Answer, is_traced

ROOT = Path(__file__).parents[2]


def test_the_demonstration_shows_both_services_and_misses_no_id() -> None:
    """Every question is answered by four real servers, and no gated answer lacks its id."""
    run = subprocess.run(
        [sys.executable, "-m", "examples.demo"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )

    assert run.returncode == 0, run.stdout + run.stderr
    for question in QUESTIONS:
        assert run.stdout.count(f"  {question.words} ") == 2
    assert run.stdout.count("(no trace id)") >= 2 * 8
    assert run.stdout.count("missing_trace_id") == 2
    assert "without their trace id: 0" in run.stdout


def test_the_demonstration_would_notice_a_missing_id() -> None:
    """Its own check is no ornament: a reply without an id, or an untraced event, counts."""
    assert not is_traced(Answer(200, [], "text/plain", b"", whole=True))
    assert not is_traced(Answer(404, ["a"], "application/json", b'{"trace_id":"b"}', whole=True))
    assert not is_traced(Answer(200, ["a"], "text/event-stream", b"", whole=True, events=[("x", False)]))
    assert is_traced(Answer(404, ["a"], "application/json", b'{"trace_id":"a"}', whole=True))
