"""Does ``python -m tracegate store`` do for a person what it says, on each store, and leave with the right status?"""

# ruff: noqa: S608 - a test writes the SQL itself

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text

import tracegate
from tests.contract.stores import NOON, an_event, opened
from tracegate.cli import main
from tracegate.store import doctor
from tracegate.store.engine import is_postgresql, reading, writing
from tracegate.store.events import EventQuery, EventStore
from tracegate.store.schema import api_metric_hourly, reply_count
from tracegate.store.traffic import CountRow, put_counts
from tracegate.store.upgrade import REVISIONS, state

SECRET = "tr4ce"  # noqa: S105 - the start of the test server's password


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it as a user does."""
    source = str(Path(tracegate.__file__).parents[1])
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TRACEGATE_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "tracegate", "store", *arguments],
        env={**inherited, "PYTHONPATH": source, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.contract("H1")
def test_a_store_is_made_examined_and_taken_down(empty_url: str) -> None:
    """As processes, by the URL of the environment; nothing but the answer is printed, and never the URL."""
    done = [run(*step.split(), TRACEGATE_STORE_URL=empty_url) for step in (
        "doctor", "upgrade", "doctor", "retain --keep-days 180", "downgrade base",
    )]  # fmt: skip

    assert [one.returncode for one in done] == [1, 0, 0, 0, 0]
    assert "there are no tables; run: python -m tracegate store upgrade" in done[0].stdout
    assert done[1].stdout == "the tables are made\n"
    assert "fault" not in done[2].stdout
    assert "audit rows are kept" in done[3].stdout
    assert all(one.stderr == "" and SECRET not in one.stdout and empty_url not in one.stdout for one in done)


def test_a_store_that_is_not_there_is_one_line_and_status_1() -> None:
    """No traceback, no secret."""
    done = run("upgrade", "--url", "postgresql://ada:geheim@127.0.0.1:1/x")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "the event store did not do it: it cannot be reached\n"


def test_without_a_url_it_leaves_with_2() -> None:
    """As with any argument that is missing."""
    done = run("upgrade")

    assert done.returncode == 2
    assert "TRACEGATE_STORE_URL" in done.stderr


# In process


def test_upgrade_says_whether_there_was_something_to_do(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A second time is no fault."""
    assert main(["store", "upgrade", "--url", url]) == 0
    assert capsys.readouterr().out == "nothing to do: the tables are those of this version\n"


def test_downgrade_drops_nothing_that_it_was_not_told_to(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Events and audit rows are not lost to a slip of the keyboard."""
    with opened(url) as engine:
        EventStore(engine).append([an_event()])
        assert main(["store", "downgrade", "base", "--url", url]) == 1
        assert "--discard" in capsys.readouterr().err
        assert main(["store", "downgrade", REVISIONS[0], "--url", url]) == 0
        assert state(engine) == "behind"
        assert main(["store", "downgrade", "nonsense\n", "--url", url]) == 1
        assert len(capsys.readouterr().err.splitlines()) == 1
        assert main(["store", "downgrade", "base", "--discard", "--url", url]) == 0
        assert state(engine) == "empty"


def test_retain_drops_what_is_older(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By the number of days to keep, or by the first day to keep; what may not go is said in one line."""
    today = datetime.now(UTC)
    with opened(url) as engine:
        store = EventStore(engine)
        days = (9, 8, 2, 0)
        store.append([an_event(number, mode="mint", time=today - timedelta(days=number)) for number in days])
        assert main(["store", "retain", "--keep-days", "8", "--url", url]) == 0
        assert capsys.readouterr().out.startswith("1 events before ")
        assert main(["store", "retain", "--before", f"{today - timedelta(days=1):%Y-%m-%d}", "--url", url]) == 0
        assert capsys.readouterr().out.startswith("2 events before ")
        store.append([an_event(1, time=NOON - timedelta(days=30))])
        assert main(["store", "retain", "--keep-days", "0", "--url", url]) == 1
        assert "deploy gate of: orders" in capsys.readouterr().err
        assert store.count(EventQuery()) == 2


@pytest.mark.parametrize(
    "given", [["--before", "soon"], ["--before", "9999-12-31"], ["--keep-days", "-1"], ["--keep-days", "999999"], []]
)
def test_days_that_are_none_leave_with_2(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Before the store is asked."""
    with pytest.raises(SystemExit) as left:
        main(["store", "retain", "--url", "sqlite:///x.db", *given])
    assert left.value.code == 2
    assert capsys.readouterr().out == ""


def metrics(url: str) -> dict[str, float]:
    """Return the hourly rows of all tenants and hours, by key."""
    with opened(url) as engine, reading(engine) as connection:
        rows = connection.execute(select(api_metric_hourly.c.metric_key, api_metric_hourly.c.metric_value))
        return {row.metric_key: row.metric_value for row in rows}


@pytest.mark.contract("H1")
def test_rollup_brings_the_hours_up_to_date(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What has come since the last time, or the hours that are named."""
    with opened(url) as engine:
        EventStore(engine).append([an_event()])
        put_counts(engine, "orders", "host-1:4711/1", [CountRow("default", NOON, 4, 4, 3, 0)])
    assert main(["store", "rollup", "--url", url]) == 0
    assert capsys.readouterr().out == "1 hours are up to date\n"
    assert metrics(url) == {
        "requests_total": 4,
        "replies_total": 4,
        "traced_replies_total": 3,
        "trace_coverage_pct": 75,
        "sse_events_total": 0,
        "missing_trace_event_count": 1,
        "refusals_total": 1,
        "refusals_total.missing_trace": 1,
        "error_code_total.SYS-004-409-TRACE": 1,
        "broken_streams_total": 0,
    }
    assert main(["store", "rollup", "--since", "2026-11-23T13", "--url", url]) == 0
    assert capsys.readouterr().out == "nothing to do: nothing has come\n"
    assert main(["store", "rollup", "--since", "2026-11-23T12:30+00:00", "--until", "2026-11-24", "--url", url]) == 0
    assert capsys.readouterr().out == "1 hours are up to date\n"


@pytest.mark.contract("H1")
def test_retain_rolls_up_before_it_drops(url: str) -> None:
    """The hours outlive what they were computed from, and stay what they were."""
    with opened(url) as engine:
        put_counts(engine, "orders", "host-1:4711/1", [CountRow("default", NOON - timedelta(days=9), 4, 4, 4, 0)])
    assert main(["store", "retain", "--before", "2026-11-20", "--url", url]) == 0
    before = metrics(url)
    assert before["trace_coverage_pct"] == 100
    with opened(url) as engine, reading(engine) as connection:
        assert connection.execute(select(reply_count)).all() == []
    assert main(["store", "rollup", "--since", "2026-11-01", "--url", url]) == 0
    assert metrics(url) == before


@pytest.mark.parametrize("given", [["--until", "2026-11-23"], ["--since", "yesterday"]])
def test_a_time_that_is_none_leaves_with_2(given: list[str]) -> None:
    """And an end without a beginning."""
    with pytest.raises(SystemExit) as left:
        main(["store", "rollup", "--url", "sqlite:///x.db", *given])
    assert left.value.code == 2


def examined(url: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, tuple[str, str]]]:
    """Return the status of the doctor, and what it says of each subject."""
    status = main(["store", "doctor", "--format", "json", "--url", url])
    found = json.loads(capsys.readouterr().out)
    return status, {one["subject"]: (one["verdict"], one["says"]) for one in found}


def test_the_doctor_finds_a_healthy_store_healthy(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With an event of now in it."""
    with opened(url) as engine:
        EventStore(engine).append([an_event(time=datetime.now(UTC))])
    status, found = examined(url, capsys)

    assert status == 0
    assert {verdict for subject, (verdict, _) in found.items() if subject != "sqlite library"} == {"ok"}
    assert {"installation", "reachable", "migrations", "append-only", "clock"} <= set(found)
    assert ("partitions" in found) == url.startswith("postgresql")


@pytest.mark.contract("H1")
def test_the_doctor_misses_a_trigger(engine: Engine, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Dropped, or disabled, on the whole table or on one day."""
    if is_postgresql(engine):
        EventStore(engine).append([an_event()])
        harm = [
            (
                "ALTER TABLE tb_ops_event_20261123 DISABLE TRIGGER ALL",
                "ALTER TABLE tb_ops_event_20261123 ENABLE TRIGGER ALL",
            ),
            (
                "ALTER TABLE tb_audit_log DISABLE TRIGGER tb_audit_log_no_truncate",
                "ALTER TABLE tb_audit_log ENABLE TRIGGER ALL",
            ),
            ("DROP TRIGGER tb_audit_log_no_change ON tb_audit_log", "SELECT 1"),
        ]
    else:
        harm = [("DROP TRIGGER tb_audit_log_no_delete", "SELECT 1")]
    for done, undone in harm:
        with writing(engine) as connection:
            connection.execute(text(done))
        status, found = examined(url, capsys)
        assert (status, found["append-only"][0]) == (1, "fault")
        with writing(engine) as connection:
            connection.execute(text(undone))


def test_the_doctor_notices_a_clock_that_is_ahead(
    store: EventStore, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A writer's, by the newest event."""
    store.append([an_event(time=datetime.now(UTC) + timedelta(hours=1))])
    status, found = examined(url, capsys)

    assert (status, found["clock"][0]) == (1, "fault")
    assert "future" in found["clock"][1]


def test_the_doctor_notices_its_own_clock(
    engine: Engine, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the server's; an SQLite file has the machine's own."""

    class Slow(datetime):
        """A clock that is an hour late."""

        @classmethod
        def now(cls, _tz: object = None) -> datetime:  # type: ignore[override]  # a fake
            return datetime.now(UTC) - timedelta(hours=1)

    monkeypatch.setattr(doctor, "datetime", Slow)
    status, found = examined(url, capsys)

    assert found["clock"][0] == ("fault" if is_postgresql(engine) else "ok")
    assert status == int(is_postgresql(engine))
    assert "differ by 3600 s" in found["clock"][1] or not is_postgresql(engine)


def test_the_doctor_notices_who_else_owns_the_package(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two distributions with one package: to remove one guts the other."""
    monkeypatch.setattr(doctor, "packages_distributions", lambda: {"tracegate": ["tracegate-http", "tracegate"]})
    status, found = examined(url, capsys)

    assert status == 1
    assert found["installation"] == ("fault", "the package tracegate also comes from tracegate: remove it")


def test_the_doctor_says_what_an_old_or_newer_store_needs(
    engine: Engine, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Behind: an upgrade; ahead: nothing that this version could do."""
    for revision, says in (("0001", "older than this version; run: python -m tracegate store upgrade"), ("9", "newer")):
        with writing(engine) as connection:
            connection.execute(text(f"UPDATE tb_tracegate_version SET version_num = '{revision}'"))
        status, found = examined(url, capsys)
        assert (status, found["migrations"][0]) == (1, "fault")
        assert says in found["migrations"][1]
