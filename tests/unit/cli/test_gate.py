"""Does ``tracegate gate`` ask for what it needs, and tell its verdict in each form?"""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tracegate.cli import main
from tracegate.core.events import Event
from tracegate.store.engine import open_engine
from tracegate.store.events import EventStore
from tracegate.store.upgrade import upgrade

pytestmark = pytest.mark.contract("H3")

TRACE = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
HOSTILE = '/a"<b>&\x1b[31m\x00\ud800'


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give a store with its tables, as the environment's."""
    found = f"sqlite:///{tmp_path}/events.db"
    engine = open_engine(found)
    upgrade(engine)
    engine.dispose()
    monkeypatch.setenv("TRACEGATE_STORE_URL", found)
    return found


def put_event(url: str, **facts: Any) -> None:  # noqa: ANN401 - any fact of an event
    """Have an event in the store."""
    known: Mapping[str, Any] = {
        "kind": "missing_trace", "severity": "error", "component": "c", "message": "m", "trace_id": TRACE,
        "stage": "request", "mode": "require", "route": "/orders", "service": "orders", "id": "1",
    }  # fmt: skip
    engine = open_engine(url)
    EventStore(engine).append([Event(**{**known, "time": datetime.now(UTC), **facts})])
    engine.dispose()


def gate(*arguments: str) -> int:
    """Run one step for the service ``orders``."""
    return main(["gate", arguments[0], "--service", "orders", *arguments[1:]])


def test_an_incident_from_the_lock_to_the_unlock(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As an operator types it; each action tells how the gate stands then."""
    put_event(url)
    assert gate("check", "--min-replies", "0") == 1
    assert f"  1 × /orders:missing_trace, first trace {TRACE}\n" in capsys.readouterr().out
    assert gate("override", "--actor", "ana", "--reason", "the fix", "--hours", "0.5") == 0
    assert capsys.readouterr().out.startswith("orders: open until 20")
    assert gate("check") == 0
    capsys.readouterr()
    unlock = ("unlock", "--actor", "ana", "--incident", "INC-1", "--trace", TRACE)
    assert gate(*unlock) == 1
    assert "/orders:missing_trace still arrives" in capsys.readouterr().err
    assert gate(*unlock, "--accept", "/orders:missing_trace", "--min-replies", "0") == 0
    assert gate("lock", "--actor", "bob") == 0
    assert "  last action: lock by bob, 20" in capsys.readouterr().out
    assert gate("check", "--min-replies", "0") == 1
    assert gate("status", "--min-replies", "0") == 0
    assert "orders: locked\n  locked by bob\n" in capsys.readouterr().out


@pytest.mark.usefixtures("url")
def test_a_first_release_is_let_out_by_init(capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing else opens the gate of a service that nobody has seen."""
    assert gate("check") == 3
    assert "(0 replies were seen in the last 15 minutes, not 1)" in capsys.readouterr().out
    assert gate("init", "--actor", "ana") == 0
    assert gate("check") == 0


def test_what_does_not_lock_is_shown(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With its mode."""
    put_event(url, route=None)
    assert gate("check", "--min-replies", "0") == 0
    assert f"  does not lock: 1 × -:missing_trace, first trace {TRACE}, mode require\n" in capsys.readouterr().out


def told(form: str, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """Return what is printed in *form*."""
    capsys.readouterr()
    assert gate("status", "--format", form, *more) == 0
    return capsys.readouterr().out


def test_scripts_get_json(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """All that is known; times in UTC."""
    put_event(url)
    put_event(url, id="2", mode="mint")
    assert gate("override", "--actor", "ana", "--reason", "the fix") == 0
    document = json.loads(told("json", capsys))

    assert (document["service"], document["state"], document["reasons"]) == ("orders", "open", ["overridden by ana"])
    (cause,), (shown,), (action,) = document["causes"], document["shown"], document["actions"]
    assert (cause["route"], cause["kind"], cause["count"], cause["trace_id"]) == ("/orders", "missing_trace", 1, TRACE)
    assert (shown["mode"], action["kind"], action["reason"]) == ("mint", "override", "the fix")
    assert document["until"] == action["until"]
    assert datetime.fromisoformat(document["at"]).tzinfo == UTC


@pytest.mark.parametrize(
    ("state", "more", "element"),
    [("open", ["--min-replies", "0"], None), ("inconclusive", [], "error"), ("locked", [], "failure")],
)
def test_pipelines_get_junit(
    url: str, state: str, more: list[str], element: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A test case that passes only where the gate is open; hostile routes stay text."""
    if state == "locked":
        put_event(url, route=HOSTILE)
    suite = ET.fromstring(told("junit", capsys, *more))  # noqa: S314 - our own
    cases = suite.findall("testcase")

    assert {case.get("classname") for case in cases} == {"tracegate.gate.orders"}
    assert {child.tag for case in cases for child in case} == ({element} if element else set())
    assert suite.get("tests") == str(len(cases))
    assert (suite.get("failures"), suite.get("errors")) == (
        str(len(cases) * (element == "failure")),
        str(len(cases) * (element == "error")),
    )
    if state == "locked":
        assert '1 × /a"<b>&\\x1b[31m\\x00\\ud800:missing_trace' in (cases[0].get("name") or "")


@pytest.mark.parametrize(("state", "more"), [("open", ["--min-replies", "0"]), ("inconclusive", []), ("locked", [])])
def test_code_scanners_get_sarif(url: str, state: str, more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A result for each reason against the release, of a rule that is declared."""
    if state == "locked":
        put_event(url, route=HOSTILE)
    document = json.loads(told("sarif", capsys, *more))
    (run,) = document["runs"]

    assert document["version"] == "2.1.0"
    assert {result["ruleId"] for result in run["results"]} == (set() if state == "open" else {state})
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {"locked", "inconclusive"}
    assert run["invocations"][0]["executionSuccessful"] == (state != "inconclusive")


def test_nothing_of_a_route_acts_on_a_terminal(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What does not print is escaped, in every form."""
    put_event(url, route=HOSTILE)
    put_event(url, route=HOSTILE, id="2", mode="mint\x1b")
    for form in ("text", "json", "junit", "sarif"):
        assert {"\x1b", "\x00"}.isdisjoint(told(form, capsys))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["open"],
        ["check"],
        ["check", "--service", ""],
        ["check", "--service", "a\x1bb"],
        ["check", "--service", "a" * 501],
        ["check", "--service", "a", "--min-replies", "-1"],
        ["check", "--service", "a", "--min-replies", "1" * 10],
        ["check", "--service", "a", "--format", "yaml"],
        ["check", "--service", "a", "--url", "mysql://ada:geheim@host/x"],
        ["check", "--service", "a"],
        ["watch", "--service", "a", "--format", "junit"],
        ["watch", "--service", "a", "--until", "inconclusive"],
        *(["watch", "--service", "a", "--interval", seconds] for seconds in ("0", "-1", "nan", "inf", "86401", "x")),
        ["watch", "--service", "a", "--timeout", "0"],
        ["lock", "--service", "a"],
        ["init", "--service", "a"],
        ["unlock", "--service", "a", "--actor", "b", "--incident", "I"],
        ["unlock", "--service", "a", "--actor", "b", "--trace", TRACE],
        ["override", "--service", "a", "--actor", "b"],
        *(
            ["override", "--service", "a", "--actor", "b", "--reason", "c", "--hours", hours]
            for hours in ("0", "-1", "4.01", "nan", "inf", "x")
        ),
    ],
)
def test_what_is_wrong_with_the_arguments_leaves_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a pipeline can tell a typing error from a verdict; no secret is repeated."""
    monkeypatch.delenv("TRACEGATE_STORE_URL", raising=False)
    with pytest.raises(SystemExit) as left:
        main(["gate", *arguments])
    printed = capsys.readouterr()

    assert left.value.code == 2
    assert printed.out == ""
    assert "usage: " in printed.err
    assert "geheim" not in printed.err


def test_an_action_that_the_store_does_not_take_leaves_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line."""
    assert gate("lock", "--actor", "ana", "--url", f"sqlite:///{tmp_path}/no/such.db") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "the event store did not do it: its file cannot be opened (SQLITE_CANTOPEN)\n"


@pytest.mark.parametrize(("step", "status"), [("check", 3), ("watch", 3), ("status", 0), ("lock", 1)])
def test_without_sqlalchemy_nobody_knows(
    step: str, status: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate is not open, and one line says what to install."""
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:  # noqa: ANN401 - as the built-in
        if name.startswith(("tracegate.ops.gate_watch", "tracegate.ops.gate_actions")):
            raise ModuleNotFoundError("No module named 'sqlalchemy'", name="sqlalchemy")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    actor = ["--actor", "ana"] if step == "lock" else []
    assert gate(step, "--url", "sqlite:///x.db", *actor) == status
    assert capsys.readouterr().err == 'sqlalchemy is not installed; run: pip install "tracegate-http[store]"\n'


def test_the_help_says_what_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """And what the exit codes mean."""
    with pytest.raises(SystemExit):
        main(["gate", "check", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "0 only where the gate is open: 1 locked, 3 inconclusive" in shown
    assert "how many replies of the service must have been seen (1); 0 leaves traffic unjudged" in shown
    assert "within how many minutes until now (15)" in shown


@pytest.mark.parametrize("minutes", ["0", "0.5", "1441", "nan", "soon"])
def test_a_window_has_its_bounds(minutes: str, capsys: pytest.CaptureFixture[str]) -> None:
    """From a minute to a day: counts are kept by the minute."""
    with pytest.raises(SystemExit) as left:
        main(["gate", "check", "--service", "orders", "--window", minutes])
    assert left.value.code == 2
    assert "is not a number of minutes from 1 up to 1440" in capsys.readouterr().err
