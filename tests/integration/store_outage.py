"""What do good requests, the deploy gate and the refusals notice when the store, or the disk, goes away in a storm?

``python -m tests.integration.store_outage --write docs/reliability.md`` measures; ``make test`` looks at the accounts
only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from bisect import bisect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from math import ceil
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql

from tests.integration.postgres import Server, database
from tests.integration.store_service import (
    PATIENCE_SECONDS,
    ROOT,
    Service,
    Storm,
    count_traces,
    make_tables,
    processes_of,
    wait_until,
)
from tests.integration.wire import Connection, NoReplyError, request

__all__ = ["OUTAGES", "Found", "Outage", "suffer"]

_LOST = re.compile(r"an event is lost: \S+ \S+ (\S+)")
_VERDICTS = {0: "open", 1: "locked", 3: "inconclusive"}
_GOOD_A_SECOND = 100
_GOOD_CLIENTS = 4
_OK = 200
_ROUNDS = 5
_SECONDS = 2.5
_KINDS = ("uvicorn", "gunicorn-gthread")
_PROMISED = 1.5
_HEAD = """# When the store goes away

Good requests ({good} a second, each timed from the moment it was due) and a storm of refusals (four clients, each with
its next request 20 ms after its last reply) at one worker of a real server. Calm and outage take turns of
{seconds:g} s, {rounds} of each, in one run; an outage lasts until everything is replayed. `durability` is
`before_reply`.

- *good, p99*: of good requests, in calm and in outages, and their ratio; promised is at most {promised:g}.
- *gate*: what `python -m tracegate gate check` said during an outage, and at the end.
- *answered*: refusals whose whole reply a client has read; *stored*: those of them in the store at the end; *lost*:
  those that the log names as lost, and that the deploy gate counts; *unaccounted*: all others.

Hung: all processes of the server get SIGSTOP, later SIGCONT. Read-only: `default_transaction_read_only`. Locked:
another process holds the write lock of the file. Full: `write` of the spool's files fails with ENOSPC, half done (a
fake within the server's process; a limit of the system itself, RLIMIT_FSIZE, is met in
tests/integration/test_spool_crash.py).

Written by `make bench-outages` on {date} at commit {commit}: CPython {python}, SQLite {sqlite}, {servers}; {cores}
cores, shared with other work, with a load of {load:.1f} at the start.

| outage | server | good, p99: calm | outage | ratio | gate, then | answered | stored | lost | unaccounted |
| --- | --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |
"""


class Outage:
    """A store that can go away and come back.

    Args:
        url: Where it is.
        server: The PostgreSQL, where it is one.

    Attributes:
        full: The file whose presence fills the disk of the spool.
    """

    losing = False
    """Whether events may be lost: the disk is full as well."""

    def __init__(self, url: str, server: Server | None = None) -> None:
        self.url = url
        self.server = server
        self.full = Path()

    def begin(self) -> None:
        """Take it away."""
        raise NotImplementedError

    def end(self) -> None:
        """Bring it back."""
        raise NotImplementedError

    @property
    def postgres(self) -> Server:
        """The server."""
        assert self.server is not None
        return self.server


class _Stopped(Outage):
    def begin(self) -> None:
        self.postgres.stop()

    def end(self) -> None:
        self.postgres.start()


class _Hung(Outage):
    def begin(self) -> None:
        self._signal(signal.SIGSTOP)

    def end(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for process in processes_of(self.postgres.pid):
            with suppress(ProcessLookupError):
                os.kill(process, number)


class _ReadOnly(Outage):
    def begin(self) -> None:
        self._switch("on")
        with psycopg.connect(self.postgres.dsn, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tracegate'"
            )

    def end(self) -> None:
        self._switch("off")  # for sessions that begin from now on: those that are there stay as they are

    def _switch(self, value: str) -> None:
        name = psycopg.conninfo.conninfo_to_dict(self.url)["dbname"]
        with psycopg.connect(self.postgres.dsn, autocommit=True) as connection:
            statement = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}")
            connection.execute(statement.format(sql.Identifier(str(name)), sql.Literal(value)))


class _Full(_Stopped):
    losing = True

    def begin(self) -> None:
        self.full.touch()
        super().begin()

    def end(self) -> None:
        self.full.unlink()
        super().end()


class _Locked(Outage):
    _holder: sqlite3.Connection

    def begin(self) -> None:
        self._holder = sqlite3.connect(
            self.url.removeprefix("sqlite:///"), timeout=60, isolation_level=None, check_same_thread=False
        )
        self._holder.execute("BEGIN IMMEDIATE")

    def end(self) -> None:
        self._holder.close()


OUTAGES: dict[str, type[Outage]] = {
    "PostgreSQL stopped": _Stopped,
    "PostgreSQL hung": _Hung,
    "PostgreSQL read-only": _ReadOnly,
    "PostgreSQL stopped, disk full": _Full,
    "SQLite locked": _Locked,
}


@dataclass(frozen=True, slots=True)
class Found:
    """What was found.

    Attributes:
        calm: How long good requests took, in seconds.
        outage: The same, in outages.
        failed: How many good requests were not answered as such.
        gate: What the deploy gate said before, during an outage, and at the end.
        answered: The traces of the refusals that were seen answered.
        stored: Those of them that the store has.
        lost: Those that the log names as lost.
        doubled: How many the store has more than once.
        marked: How many lost events the spool's marks say.
        spooled: How many events waited in the spool during an outage.
    """

    calm: list[float]
    outage: list[float]
    failed: int
    gate: tuple[str, str, str]
    answered: set[str]
    stored: set[str]
    lost: set[str]
    doubled: int
    marked: int
    spooled: int

    @property
    def unaccounted(self) -> set[str]:
        """Those that are neither in the store nor said to be lost."""
        return self.answered - self.stored - self.lost


class _Good:
    """Clients with a trace, at a steady pace, in a process of their own; a context manager.

    Attributes:
        failed: How many requests were not answered as good ones; after the block.
    """

    def __init__(self, port: int) -> None:
        self.failed = 0
        self._turns: list[tuple[float, str]] = []
        self._asked: list[tuple[float, float]] = []
        command = [sys.executable, "-m", "tests.integration.store_outage", "--good", str(port)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def turn(self, phase: str) -> None:
        """Have what is due from now on belong to *phase*."""
        self._turns.append((time.monotonic(), phase))

    def taken(self, phase: str) -> list[float]:
        """Return how long the requests took that were due in *phase*; after the block."""
        starts = [moment for moment, _ in self._turns]
        phases = ["", *(name for _, name in self._turns)]
        return [seconds for due, seconds in self._asked if phases[bisect(starts, due)] == phase]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        said, _ = self._process.communicate(timeout=PATIENCE_SECONDS)
        if not any(_error):
            self._asked, self.failed = json.loads(said)


def ask_well(port: int) -> None:
    """Ask with a trace until the standard input ends, then print when each request was due, and how long it took."""
    over = threading.Event()
    asked: list[tuple[float, float]] = []
    failed: list[str] = []

    def ask(offset: float) -> None:
        due = time.monotonic() + offset
        with Connection(port) as connection:
            while not over.wait(max(0.0, due - time.monotonic())):
                connection.send(request("GET", "/", (f"X-Trace-Id: {uuid.uuid4()}".encode(),)))
                try:
                    status = connection.read_reply().status
                except NoReplyError as error:
                    failed.append(str(error))
                    return
                if status != _OK:
                    failed.append(str(status))
                asked.append((due, time.monotonic() - due))
                due += _GOOD_CLIENTS / _GOOD_A_SECOND

    threads = [threading.Thread(target=ask, args=(n / _GOOD_A_SECOND,)) for n in range(_GOOD_CLIENTS)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    print(json.dumps([asked, len(failed)]))


def suffer(name: str, kind: str, *, rounds: int, seconds: float, **settings: str) -> Found:
    """Have the outage *name* come and go *rounds* times while a server of *kind* serves and refuses."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        outage = stack.enter_context(_outage(name, folder))
        make_tables(outage.url)
        service = stack.enter_context(Service(kind, folder, outage.url, workers=1, **settings))
        outage.full = service.full
        before = _gate(service, outage.url)
        with _Good(service.port) as good, Storm(service.port, clients=4, pause_seconds=0.02) as storm:
            wait_until(lambda: len(storm.answered) > 4)
            for number in range(rounds):
                good.turn("calm")
                time.sleep(seconds)
                good.turn("outage")
                outage.begin()
                time.sleep(seconds)
                if number == rounds - 1:
                    good.turn("asking")  # takes a second of a core
                    if not outage.losing:  # until then all that came waits, unanswered
                        wait_until(lambda: service.spool.pending() > 0)
                    spooled = service.spool.pending()
                    during = _gate(service, outage.url)
                    good.turn("outage")
                outage.end()
                _await_replay(service)
        _await_replay(service)
        service.stop()
        after = _gate(service, outage.url)
        counts = count_traces(outage.url)
        answered = {*storm.answered}
        assert not storm.odd, storm.odd
        return Found(
            calm=good.taken("calm"),
            outage=good.taken("outage"),
            failed=good.failed,
            gate=(before, during, after),
            answered=answered,
            stored=answered & counts.keys(),
            lost=answered & {*_LOST.findall(service.log)},
            doubled=sum(count > 1 for count in counts.values()),
            marked=service.spool.lost(),
            spooled=spooled,
        )


def _await_replay(service: Service) -> None:
    while service.spool.pending():
        time.sleep(0.1)  # to look is work that good requests could notice


@contextmanager
def _outage(name: str, folder: Path) -> Iterator[Outage]:
    make = OUTAGES[name]
    if name.startswith("SQLite"):
        yield make(f"sqlite:///{folder}/events.db")
        return
    with Server() as server, database(server.dsn) as url:
        yield make(url, server)


def _gate(service: Service, url: str) -> str:
    """Return what the command says whose exit code a pipeline looks at."""
    command = [sys.executable, "-m", "tracegate", "gate", "check", "--service", "storm", "--min-replies", "0"]
    command += ["--spool", str(service.spool_directory)]
    environment = {**os.environ, "TRACEGATE_STORE_URL": url, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    return _VERDICTS.get(done.returncode, done.stderr)


def percentile(values: list[float], share: float) -> float:
    """Return the smallest of *values* that so large a share of them does not exceed."""
    return sorted(values)[ceil(share * len(values)) - 1]


def _row(name: str, kind: str, found: Found) -> str:
    calm, bad = percentile(found.calm, 0.99), percentile(found.outage, 0.99)
    figures = [f"{calm * 1e3:.1f} ms", f"{bad * 1e3:.1f} ms", f"{bad / calm:.2f}", ", ".join(found.gate[1:])]
    sizes = [len(found.answered), len(found.stored), len(found.lost), len(found.unaccounted)]
    return f"| {' | '.join([name, kind, *figures, *(f'{size:,}' for size in sizes)])} |\n"


def _is_sound(found: Found) -> bool:
    return not (found.unaccounted or found.doubled or found.failed) and found.gate[1] == "inconclusive"


def main(show: Callable[[str], object] = sys.stderr.write) -> int:
    """Suffer them all, print or write the page, and return 1 if anything is unaccounted for."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.store_outage")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="of each outage (%(default)s)")
    parser.add_argument("--write", type=Path, help="write the page there instead of printing it")
    parser.add_argument("--good", type=int, metavar="PORT", help="only ask with a trace there, until the input ends")
    options = parser.parse_args()
    if options.good is not None:
        ask_well(options.good)
        return 0
    described = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    page = _HEAD.format(
        good=_GOOD_A_SECOND,
        seconds=_SECONDS,
        rounds=options.rounds,
        promised=_PROMISED,
        date=datetime.now(UTC).date(),
        commit=described.stdout.strip() or "?",
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        servers=", ".join(f"{name} {version(name)}" for name in ("uvicorn", "gunicorn")),
        cores=os.cpu_count(),
        load=os.getloadavg()[0],
    )
    sound = True
    for name in OUTAGES:
        for kind in _KINDS:
            found = suffer(name, kind, rounds=options.rounds, seconds=_SECONDS)
            sound &= _is_sound(found)
            page += _row(name, kind, found)
            show(_row(name, kind, found))
    if options.write:
        options.write.write_text(page, encoding="utf-8")
    print(page)
    return int(not sound)


if __name__ == "__main__":
    sys.exit(main())
