"""Does ``gate watch`` tell each change of a verdict, and leave as it should?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pytest
from sqlalchemy import Engine

import tracegate
from tracegate.cli import main
from tracegate.core.events import Event
from tracegate.ops.deploy_gate import Action, Cause, Evidence, judge
from tracegate.ops.evidence import Found
from tracegate.ops.gate_actions import Wish, act
from tracegate.ops.gate_watch import Seen, tell, watch
from tracegate.store.engine import open_engine
from tracegate.store.events import EventStore
from tracegate.store.upgrade import upgrade

pytestmark = pytest.mark.contract("H3")

TRACE = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
INTERVAL = ("--min-replies", "0", "--interval", "0.1")


# The loop, by a clock that only it moves.


class SteppingTimer:
    """Stands still but for what is slept."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float, /) -> None:
        self.slept.append(seconds)
        self.time += seconds


def locked(count: int) -> Seen:
    """Return a verdict of so many events."""
    cause = Cause("/orders", "missing_trace", TRACE, NOW, NOW, count)
    found = Found(Evidence(NOW, (cause,)))
    return Seen(judge(found.evidence), found)


def opened() -> Seen:
    """Return the verdict without any event."""
    return Seen(judge(Evidence(NOW)), Found(Evidence(NOW)))


def overridden(hours: int) -> Seen:
    """Return the verdict under an override."""
    override = Action("override", NOW, NOW + timedelta(hours=hours), actor="ana")
    found = Found(Evidence(NOW, actions=(override,)))
    return Seen(judge(found.evidence), found)


def told(answers: Iterable[Seen], timer: SteppingTimer, **ends: Any) -> list[str]:  # noqa: ANN401 - as the arguments
    """Return what is told of *answers*, the last of which is given for ever."""
    waiting = iter(answers)
    last: list[Seen] = []

    def ask() -> Seen:
        last[:] = [next(waiting, *last)]
        return last[0]

    return [tell("orders", seen) for seen in watch(ask, interval_seconds=5, timer=timer, **ends)]


def test_only_what_is_new_is_told() -> None:
    """Events that go on arriving are the same verdict; after each answer it waits its interval."""
    timer = SteppingTimer()
    answers = [opened(), opened(), locked(1), locked(2), locked(30), opened()]

    assert told(answers, timer, timeout_seconds=25) == [
        "2026-11-23T12:00:00Z orders: open: no reply without its trace",
        f"2026-11-23T12:00:00Z orders: locked: 1 × /orders:missing_trace, first trace {TRACE}",
        "2026-11-23T12:00:00Z orders: open: no reply without its trace",
    ]
    assert timer.slept == [5] * 5


def test_it_ends_with_the_verdict_that_it_waits_for() -> None:
    """At once where the first one is it."""
    timer = SteppingTimer()
    assert len(told([opened(), locked(1)], timer, until="open")) == 1
    assert timer.slept == []
    assert len(told([opened(), opened(), locked(1)], timer, until="locked", timeout_seconds=99)) == 2
    assert timer.slept == [5, 5]


def test_the_last_question_is_asked_when_the_time_is_over() -> None:
    """Not before: what changes in the last moment counts."""
    timer = SteppingTimer()
    assert len(told([opened(), opened(), locked(1)], timer, timeout_seconds=7)) == 2
    assert timer.slept == [5, 2]


def test_until_when_it_is_open_is_part_of_a_verdict() -> None:
    """Who waits sees that an override was made longer, and that it has ended."""
    answers = [overridden(1), overridden(2), overridden(2), locked(1)]

    assert [said.split(maxsplit=1)[1] for said in told(answers, SteppingTimer(), timeout_seconds=20)] == [
        "orders: open until 2026-11-23T13:00:00.000000Z: overridden by ana",
        "orders: open until 2026-11-23T14:00:00.000000Z: overridden by ana",
        f"orders: locked: 1 × /orders:missing_trace, first trace {TRACE}",
    ]


# The command.


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Give a store with its tables, as the environment's."""
    monkeypatch.setenv("TRACEGATE_STORE_URL", url := f"sqlite:///{tmp_path}/events.db")
    made = open_engine(url)
    upgrade(made)
    yield made
    made.dispose()


def put_event(engine: Engine) -> None:
    """Have an event that locks the gate."""
    facts: dict[str, Any] = {"component": "c", "message": "m", "mode": "require", "route": "/orders", "id": "1"}
    event = Event(kind="missing_trace", severity="error", trace_id=TRACE, stage="request", service="orders", **facts)
    EventStore(engine).append([event.stamped(
        id="1", time=datetime.now(UTC), service="orders", instance="i", tenant="t", route="/orders"
    )])  # fmt: skip


def unlock(engine: Engine) -> None:
    """Say that it is dealt with."""
    accepts = frozenset(("/orders:missing_trace",))
    wish = Wish(kind="unlock", service="orders", actor="ana", incident="INC-1", trace_id=TRACE, accepts=accepts)
    assert act(engine, wish) == ()


@contextmanager
def watching(*options: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command as an operator does; the timeout is there for a test that would wait in vain."""
    step = [sys.executable, "-m", "tracegate", "gate", "watch", "--service", "orders"]
    command = [*step, *INTERVAL, "--timeout", "60", *options]
    environ = {**os.environ, "PYTHONPATH": str(Path(tracegate.__file__).parents[1])}
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line(stream: IO[str] | None) -> str:
    """Return the next line, without its time."""
    assert stream is not None
    return stream.readline().partition(" ")[2].rstrip("\n")


@pytest.mark.contract("F4")
def test_a_person_sees_the_gate_open_lock_and_open_and_the_store_come_and_go(engine: Engine, tmp_path: Path) -> None:
    """One process, from a store that is moved away under it to Ctrl-C."""
    file = tmp_path / "events.db"
    with watching() as process:
        assert line(process.stdout) == "orders: open: no reply without its trace"
        put_event(engine)
        assert line(process.stdout) == f"orders: locked: 1 × /orders:missing_trace, first trace {TRACE}"
        unlock(engine)
        assert line(process.stdout) == "orders: open: no reply without its trace"
        engine.dispose()
        file.rename(tmp_path / "away")
        file.mkdir()
        assert line(process.stdout).startswith("orders: inconclusive: the store cannot be reached; (")
        file.rmdir()
        (tmp_path / "away").rename(file)
        assert line(process.stdout) == "orders: open: no reply without its trace"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "")
        assert process.returncode == 0


def test_an_orchestrator_ends_it_and_reads_the_last_verdict(engine: Engine) -> None:
    """SIGTERM leaves no trace of its own; the lines are JSON, each whole."""
    put_event(engine)
    with watching("--format", "json") as process:
        assert process.stdout is not None
        document = json.loads(process.stdout.readline())
        assert (document["state"], document["causes"][0]["trace_id"]) == ("locked", TRACE)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=30) == ("", "")
        assert process.returncode == 1


def test_who_stops_reading_ends_it(engine: Engine) -> None:
    """As ``gate watch | head -1`` does: no message, and the status of what was told."""
    with watching() as process:
        assert line(process.stdout) == "orders: open: no reply without its trace"
        assert process.stdout is not None
        process.stdout.close()
        put_event(engine)
        assert process.wait(30) == 1
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("setup", "options", "status"),
    [
        (lambda _engine: None, ["--until", "open"], 0),
        (put_event, ["--until", "locked"], 1),
        (put_event, ["--until", "open", "--timeout", "0.1"], 1),
        (lambda engine: engine.dispose(), ["--url", "sqlite:////no/such/folder.db", "--timeout", "0.1"], 3),
    ],
)
def test_a_pipeline_waits_for_a_verdict(
    setup: Callable[[Engine], object],
    options: list[str],
    status: int,
    engine: Engine,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It leaves as ``check`` would; the handlers of signals are then those of before."""
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    setup(engine)

    assert main(["gate", "watch", "--service", "orders", *INTERVAL, *options]) == status
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
