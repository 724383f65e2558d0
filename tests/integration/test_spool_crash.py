"""Is anything lost, or there twice, when a process is killed, forks, or ends?

Clause F3.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.spool_crash import Site, run, start, storm
from tests.unit.sinks.fakes import PATIENCE_SECONDS, events_of
from tracegate.sinks.spool import Spool

pytestmark = pytest.mark.contract("F3")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A store and a spool, both empty."""
    site = Site(tmp_path)
    site.prepare()
    return site


def test_a_process_killed_at_any_step_of_an_append_or_a_replay_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Before each system call, in the middle of each write, before and after each commit of the store."""
    said = run("killed_at_every_step", tmp_path).splitlines()
    assert len(said) == 2
    assert all(int(line.split()[0]) > 40 for line in said)


def test_storms_killed_at_random_moments_leave_each_acknowledged_event_exactly_once(tmp_path: Path) -> None:
    """The store fails, hangs and comes back meanwhile; each process finds what the one before it left."""
    promised, stored = storm(tmp_path, runs=3)
    assert 0 < promised <= stored


def test_two_processes_that_replay_at_once_share_the_work(site: Site) -> None:
    """Neither gives what the other one gives: the store would refuse it."""
    for number in range(60):
        Spool(site.spool).append(events_of(number))
    processes = [start("replaying", site.database.parent) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    given = [int(process.communicate(timeout=PATIENCE_SECONDS)[0]) for process in processes]

    assert [process.returncode for process in processes] == [0, 0]
    assert sum(given) == 60
    assert sorted(site.recover()) == list(range(60))


def test_a_writer_works_in_every_forked_child_and_goes_on_in_the_parent(site: Site) -> None:
    """Forked before the child's first use and after the parent's, while threads hold locks: gunicorn's way."""
    run("forking", site.database.parent)
    stored = site.recover()

    assert len(stored) == len(set(stored))
    assert set(stored) == set(range(5)) | {index + use for index in range(10, 100, 10) for use in range(3)}


def test_the_end_of_the_interpreter_flushes(site: Site) -> None:
    """Into the store; nothing is spooled."""
    run("ending", site.database.parent)
    assert sorted(site.stored()) == list(range(500))
    assert not list(site.spool.parent.glob("spool/*"))


def test_the_end_of_the_interpreter_spools_what_the_store_does_not_take(site: Site) -> None:
    """For the next process."""
    run("ending_without_store", site.database.parent)
    assert site.stored() == []
    assert site.recover() == list(range(500))


def test_a_disk_that_is_full_takes_nothing_and_keeps_what_it_has(site: Site) -> None:
    """The system refuses in the middle of a write; when there is room again, the spool goes on."""
    assert run("filling", site.database.parent) == "the spool cannot be written: File too large\n"
    promised = site.promised()
    assert len(promised) > 10
    assert site.recover() == sorted(promised)
