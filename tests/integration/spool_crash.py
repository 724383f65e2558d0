"""Is anything lost, or there twice, when a process is killed? Processes that write, fork, end, and are killed.

``python -m tests.integration.spool_crash 20`` kills twenty storms, and a process at every step; ``make test`` three.
What stands here runs in processes of its own: tests/integration/test_spool_crash.py starts them.
"""

from __future__ import annotations

import fcntl
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.unit.sinks.fakes import PATIENCE_SECONDS, event_of, events_of
from tracegate.core.events import Event
from tracegate.errors import StoreError
from tracegate.sinks import delivery
from tracegate.sinks.background import BackgroundWriter
from tracegate.sinks.spool import Spool

__all__ = ["Site", "run", "start", "storm"]

ROOT = Path(__file__).parents[2]
_QUICK = "PRAGMA synchronous=OFF"  # a kill is no power cut: what was written is there
STEPS = ("open", "write", "fsync", "unlink", "close")


class Site:
    """The directory of one test: a store, a spool, and a list of what was acknowledged."""

    def __init__(self, directory: Path) -> None:
        self.spool = directory / "spool"
        self.database = directory / "events.sqlite"
        self.acknowledged = directory / "acknowledged"

    def take(self, events: Sequence[Event]) -> None:
        """Keep *events*, those that are there already only once."""
        self._insert("INSERT OR IGNORE INTO event (id) VALUES (?)", events)

    def take_once(self, events: Sequence[Event]) -> None:
        """Keep *events*; fail where one is there already."""
        self._insert("INSERT INTO event (id) VALUES (?)", events)

    def acknowledge(self, *numbers: int, write: Callable[[int, bytes], int] = os.write) -> None:
        """Note that somebody was told that *numbers* are durable; a kill cannot take that back."""
        descriptor = os.open(self.acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        write(descriptor, "".join(f"{number}\n" for number in numbers).encode())
        os.close(descriptor)

    def promised(self) -> set[int]:
        """Return what was acknowledged."""
        return {int(line) for line in self.acknowledged.read_text().split()} if self.acknowledged.exists() else set()

    def stored(self) -> list[int]:
        """Return what the store has, in the order it came."""
        with sqlite3.connect(self.database) as connection:
            return [int(row[0]) for row in connection.execute("SELECT id FROM event ORDER BY rowid")]

    def recover(self) -> list[int]:
        """Replay all that processes left, and return what the store has then."""
        spool = Spool(self.spool)
        spool.replay(self.take)
        assert (spool.pending(), spool.damaged()) == (0, 0)
        assert not list(self.spool.glob("*"))
        return self.stored()

    def prepare(self) -> None:
        """Make the store."""
        with sqlite3.connect(self.database) as connection:
            connection.execute(_QUICK)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS event (id TEXT PRIMARY KEY)")

    def _insert(self, statement: str, events: Sequence[Event]) -> None:
        connection = sqlite3.connect(self.database, timeout=PATIENCE_SECONDS)
        try:
            connection.execute(_QUICK)
            with connection:
                connection.executemany(statement, [(event.id,) for event in events])
        finally:
            connection.close()


def start(verb: str, directory: Path) -> subprocess.Popen[str]:
    """Start a process that does *verb* there; close its standard input to let it begin."""
    command = [sys.executable, "-m", "tests.integration.spool_crash", verb, str(directory)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def run(verb: str, directory: Path) -> str:
    """Run a process that does *verb* there, and return what it says; it must succeed."""
    process = start(verb, directory)
    said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, said
    return said


def storm(directory: Path, runs: int) -> tuple[int, int]:
    """Kill a process full of commits, *runs* times, at random moments; the next one finds what it left.

    Returns:
        How many events were acknowledged, and how many the store has after the last replay.
    """
    site, chance = Site(directory), random.Random(directory.name)  # noqa: S311 - no secret
    site.prepare()
    for _ in range(runs):
        process = start("storming", directory)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        assert process.stdout.readline() == "under way\n"
        time.sleep(chance.uniform(0, 0.4))
        process.kill()
        process.wait(PATIENCE_SECONDS)
        process.stdout.close()
    stored = site.recover()
    assert len(stored) == len(set(stored))
    assert site.promised() <= set(stored)
    return len(site.promised()), len(stored)


def storming(site: Site) -> None:
    """Commit from many threads, while the store comes and goes; until killed."""

    def take(events: Sequence[Event]) -> None:
        weather = int(time.monotonic() * 30) % 3
        if weather == 1:
            raise StoreError("away")
        if weather == 2:
            time.sleep(0.05)
        site.take(events)

    writer = BackgroundWriter(take, Spool(site.spool), max_waiters=4, retry_seconds=0.02)

    def refuse(first: int) -> None:
        for number in range(first, first + 1_000_000, 2):
            writer(event_of(number))
            if writer.commit(events_of(number + 1), 0.02):
                site.acknowledge(number + 1)

    for index in range(8):
        first = (time.time_ns() << 16) + index * 1_000_000
        threading.Thread(target=refuse, args=(first,), daemon=True).start()
    while not site.acknowledged.exists():
        time.sleep(0.001)
    print("under way", flush=True)
    time.sleep(PATIENCE_SECONDS)


def killed_at_every_step(site: Site) -> None:
    """Fork a child for each step of appends and replays, which is killed there; recover, and look what is there."""
    for torn in (False, True):
        step = 0
        while True:
            step += 1
            here = Site(site.database.parent / f"{step}-{torn}")
            here.database.parent.mkdir()
            here.prepare()
            child = os.fork()
            if child == 0:
                _append_and_replay(here, step, torn=torn)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            stored = here.recover()
            assert here.promised() <= set(stored) <= {1, 2, 3, 4, 5}, (step, torn, here.promised(), stored)
            assert stored == sorted(stored), (step, torn, stored)
            if os.waitstatus_to_exitcode(status) == 0:
                assert here.promised() == {1, 2, 3, 4, 5}
                break
            assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
        print(step - 1, "kills", "in the middle of writes" if torn else "between steps")


def _append_and_replay(site: Site, last_step: int, *, torn: bool) -> None:
    write, steps = os.write, iter(range(1, last_step))

    def step(call: Callable[..., object]) -> Callable[..., object]:
        def stepping(*arguments: object, **options: object) -> object:
            if next(steps, None) is None:
                if torn and call is write:
                    descriptor, data = arguments
                    assert isinstance(descriptor, int)
                    assert isinstance(data, memoryview)
                    write(descriptor, data[: len(data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return stepping

    spool, take = Spool(site.spool), step(site.take)
    taken = step(lambda: None)

    def take_in_steps(events: Sequence[Event]) -> None:
        take(events)
        taken()

    os.fsync = lambda _descriptor: None
    for name in STEPS:
        setattr(os, name, step(getattr(os, name)))
    fcntl.flock = step(fcntl.flock)
    for numbers in ([1, 2], [3]):
        spool.append(events_of(*numbers))
        site.acknowledge(*numbers, write=write)
    spool.replay(take_in_steps)
    spool.append(events_of(4, 5))
    site.acknowledge(4, 5, write=write)
    spool.replay(take_in_steps)


def replaying(site: Site) -> None:
    """Replay, once told to begin, into a store that takes no event a second time."""
    print("ready", flush=True)
    sys.stdin.read()
    spool, given = Spool(site.spool), 0
    while spool.pending():
        given += spool.replay(site.take_once)
    print(given)


def forking(site: Site) -> None:
    """Use spool and writer, from threads too; fork like gunicorn; go on in the parent and in every child."""
    spool = Spool(site.spool)
    writer = BackgroundWriter(site.take, spool)
    spool.append(events_of(0))
    assert writer.commit(events_of(1), PATIENCE_SECONDS)
    done = threading.Event()

    def keep_locks_busy() -> None:
        while not done.is_set():
            spool.append(events_of(2))
            writer(event_of(3))

    busy = [threading.Thread(target=keep_locks_busy) for _ in range(2)]
    for thread in busy:
        thread.start()
    children: list[int] = []
    for index in range(10, 100, 10):
        child = os.fork()
        if child == 0:
            signal.alarm(int(PATIENCE_SECONDS))
            assert not delivery._running  # the parent's: to flush it at the end would wait for the parent's threads
            spool.append(events_of(index))
            assert writer.lost == writer.backlog == 0
            assert writer.commit(events_of(index + 1), PATIENCE_SECONDS)
            writer(event_of(index + 2))
            sys.exit(0)  # as gunicorn's worker does: through the interpreter's end
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * len(children)
    done.set()
    for thread in busy:
        thread.join(PATIENCE_SECONDS)
    assert writer.commit(events_of(4), PATIENCE_SECONDS)


def ending(site: Site) -> None:
    """Queue events and end, without a word."""
    writer = BackgroundWriter(site.take, Spool(site.spool))
    for number in range(500):
        writer(event_of(number))


def ending_without_store(site: Site) -> None:
    """Queue events for a store that is away, and end."""

    def away(_events: Sequence[Event]) -> None:
        raise StoreError("away")

    writer = BackgroundWriter(away, Spool(site.spool))
    for number in range(500):
        writer(event_of(number))


def filling(site: Site) -> None:
    """Append until the system lets no file grow; then let it, and go on."""
    spool, number = Spool(site.spool), 0
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
    try:
        while True:
            spool.append(events_of(number, number + 1))
            number += 2
    except StoreError as failure:
        print(failure)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    spool.append(events_of(number))
    site.acknowledge(*range(number + 1))


def main() -> None:
    """Do what the command line says: a number of storms to kill, or one of the above, in a directory."""
    if len(sys.argv) == 2:
        with tempfile.TemporaryDirectory() as directory:
            promised, stored = storm(Path(directory), int(sys.argv[1]))
            print(f"{sys.argv[1]} kills: {promised} acknowledged, {stored} stored, none of them lost or doubled")
            steps = Path(directory) / "steps"
            steps.mkdir()
            print(run("killed_at_every_step", steps), end="")
    else:
        globals()[sys.argv[1]](Site(Path(sys.argv[2])))


if __name__ == "__main__":
    main()
