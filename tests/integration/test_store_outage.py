"""What becomes of refusals, and of the deploy gate, when the store or the disk goes away in a storm?

Clauses F3, F4, H3. What good requests notice is measured by ``make bench-outages``: no test here measures time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.conftest import templates
from tests.contract.stores import STORES, Templates, an_event, opened, some_events
from tests.integration.postgres import Server, database
from tests.integration.store_outage import OUTAGES, suffer
from tests.integration.store_service import ROOT, make_tables, processes_of, wait_until
from tests.unit.sinks.fakes import PATIENCE_SECONDS, events_of
from tracegate.errors import StoreError
from tracegate.sinks.background import BackgroundWriter
from tracegate.sinks.spool import Spool
from tracegate.store import silence
from tracegate.store.events import EventQuery, EventStore

__all__ = ["templates"]

RULES = {
    "sqlite": "CREATE TRIGGER no_twin BEFORE INSERT ON tb_ops_event WHEN new.service = 'twin'"
    " BEGIN SELECT RAISE(ABORT, 'no'); END",
    "postgresql": "ALTER TABLE tb_ops_event ADD CONSTRAINT no_twin CHECK (service <> 'twin')",
}
KINDS = ("uvicorn", "gunicorn-gthread")


@pytest.mark.contract("F3", "F4", "H3")
@pytest.mark.parametrize(
    ("name", "kind"), [(name, KINDS[number % 2]) for number, name in enumerate(OUTAGES)], ids=list(OUTAGES)
)
def test_in_an_outage_the_gate_is_inconclusive_and_every_answered_refusal_is_accounted_for(
    name: str, kind: str
) -> None:
    """In the store in the end; where the disk was full as well, lost, and said so in the log and by the gate."""
    found = suffer(name, kind, rounds=1, seconds=0.5, commit_wait_seconds="5")
    assert (len(found.unaccounted), found.doubled, found.failed) == (0, 0, 0)
    assert len(found.stored) > 0
    if OUTAGES[name].losing:
        assert found.marked >= len(found.lost) > 0
        assert found.gate == ("open", "inconclusive", "inconclusive")
    else:
        assert (found.lost, found.marked, found.gate) == (set(), 0, ("open", "inconclusive", "open"))


@pytest.fixture
def silent_postgres() -> Iterator[tuple[str, Server]]:
    """A store of a server that the test may stop; it goes on afterwards."""
    with Server() as server, database(server.dsn) as url:
        make_tables(url)
        yield url, server
        for process in processes_of(server.pid):
            os.kill(process, signal.SIGCONT)


@pytest.mark.contract("F3", "H1")
def test_a_server_that_keeps_silent_is_given_up(
    silent_postgres: tuple[str, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an insert, and in a copy; where it goes on, so does the store, on a new connection."""
    url, server = silent_postgres
    with opened(url) as engine:
        store = EventStore(engine)
        for count in (1, 200):
            monkeypatch.setattr(silence, "SILENCE_SECONDS", 60.0)
            assert store.append(some_events(1, start=count * 1000)) == 1
            processes = processes_of(server.pid)
            for process in processes:
                os.kill(process, signal.SIGSTOP)
            monkeypatch.setattr(silence, "SILENCE_SECONDS", 0.2)
            with pytest.raises(StoreError, match="cannot be reached"):
                store.append(some_events(count))
            for process in processes:
                os.kill(process, signal.SIGCONT)
            monkeypatch.setattr(silence, "SILENCE_SECONDS", 60.0)
            assert store.append(some_events(count)) == count - (count > 1)


@pytest.mark.contract("F3", "H1", "H3")
@pytest.mark.parametrize("kind", STORES)
def test_an_event_that_breaks_a_rule_of_its_table_is_set_aside_alone(
    kind: str, templates: Templates, tmp_path: Path
) -> None:
    """A rule that an operator has added; what stood around the event in the spool, in large parts, is in the store."""
    with templates.upgraded(kind) as url, opened(url) as engine:
        with engine.begin() as connection:
            connection.exec_driver_sql(RULES[kind])
        store, spool = EventStore(engine), Spool(tmp_path / "spool")
        around = some_events(300)
        spool.append([*around[:150], an_event(1000, service="twin"), *around[150:]])
        assert spool.replay(store.append) == 301
        assert (spool.pending(), spool.refused(), store.count(EventQuery())) == (0, 1, 300)


@pytest.mark.contract("F3")
def test_a_process_that_is_told_to_end_leaves_what_a_late_store_has_not_taken_on_the_disk(tmp_path: Path) -> None:
    """SIGTERM without a handler runs nothing of the interpreter's end: what is older than a second is safe by then."""
    command = [sys.executable, "-m", "tests.integration.test_store_outage", str(tmp_path / "spool")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "spooled\n"
    process.terminate()
    assert process.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    process.stdout.close()
    assert Spool(tmp_path / "spool").pending() == 50


def write_to_a_store_that_hangs(directory: Path) -> None:
    """Queue events in the background, and say when none of them is in memory only."""
    writer = BackgroundWriter(lambda _events: threading.Event().wait(), Spool(directory))
    for event in events_of(*range(50)):
        writer(event)
    wait_until(lambda: writer.backlog == 0)
    print("spooled", flush=True)
    signal.pause()


if __name__ == "__main__":
    write_to_a_store_that_hangs(Path(sys.argv[1]))
