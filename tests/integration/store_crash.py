"""Is a refusal that a client saw answered ever lost, or there twice, when its worker is killed?

Workers of real servers are killed by ``kill -9`` in a storm of refusals; then the whole server is, and one that is
started anew replays what was left. ``python -m tests.integration.store_crash --write docs/proof/crash.md`` kills twenty
times for each store; ``make test`` twice.
"""

from __future__ import annotations

import argparse
import platform
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import text

from tests.contract.stores import opened
from tests.integration.postgres import Server, database
from tests.integration.store_service import COMMANDS, Service, count_traces, make_tables, provoked, wait_until

__all__ = ["CASES", "Found", "crash"]

CASES = ("SQLite", "PostgreSQL", "spool, then SQLite", "spool, then PostgreSQL")
NewStore = Callable[[str], AbstractContextManager[str]]
"""Gives the URL of an empty store, of ``sqlite`` or ``postgresql``."""
_RUNS = 20
_HEAD = """# Killed in the middle of a storm

In each run clients without a trace keep two workers of a real server busy; one worker is killed by `kill -9` at a
random moment, and goes on as a new one; at the end the whole server is killed the same way. A server that is started
anew replays what the spool holds. "Spool" means that the store has no tables during the storm; the worker that replays
them, once they are there, is killed as well. `durability` is `before_reply`, `commit_wait_seconds` the default.

*answered* are the refusals whose whole reply a client has read; *lost* those of them that are not in the store at the
end; *twice* the events that are there more than once. The store may hold more than was answered: events whose client
was cut off by the kill.

Written by `make proof-crash` on {date} at commit {commit}: CPython {python}, SQLite {sqlite}, PostgreSQL {postgresql},
{servers}.

| store | server | runs | kills | answered | in the store | lost | twice |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
"""


class Found(NamedTuple):
    """What was found after one run, or many."""

    kills: int = 0
    answered: int = 0
    stored: int = 0
    lost: int = 0
    twice: int = 0

    def plus(self, other: Found) -> Found:
        """Return the sums."""
        return Found(*map(sum, zip(self, other, strict=True)))


def crash(case: str, kind: str, new_store: NewStore, chance: random.Random, **settings: str) -> Found:
    """Kill a worker of a server in a storm, then the server, and let another one replay.

    Args:
        case: One of :data:`CASES`.
        kind: The server.
        new_store: Makes the store.
        chance: Says when.
        settings: Of the server's gates.
    """
    spooling = case.startswith("spool")
    with new_store(case.rsplit(maxsplit=1)[-1].lower()) as url, tempfile.TemporaryDirectory() as folder:
        if not spooling:
            make_tables(url)
        service = Service(kind, Path(folder), url, **settings)
        try:
            service.start()
            with provoked(service, chance.uniform(0, 0.5)) as storm:
                service.kill_worker()
                time.sleep(chance.uniform(0, 0.5))
                service.stop(signal.SIGKILL)
            kills = 2
            if spooling:
                make_tables(url)
                kills += _kill_a_replay(service, chance)
            service.start()
            with provoked(service, 0) as after:  # the first event has the spool replayed
                wait_until(lambda: service.spool.pending() == 0)
            service.stop()
            service.spool.replay(_nothing)
        finally:
            service.stop(signal.SIGKILL)
        answered = {*storm.answered, *after.answered}
        assert not storm.odd, storm.odd
        assert service.spool.damaged() == service.spool.refused() == service.spool.lost() == 0
        counts = count_traces(url)
    twice = sum(count - 1 for count in counts.values())
    return Found(kills, len(answered), len(counts), len(answered - counts.keys()), twice)


def _kill_a_replay(service: Service, chance: random.Random) -> int:
    service.start()
    with provoked(service, chance.uniform(0, 0.05)):
        service.stop(signal.SIGKILL)
    return 1


def _nothing(events: object) -> None:
    raise AssertionError(events)


@contextmanager
def _stores() -> Iterator[NewStore]:
    """Give what makes stores: files, and databases of a server of its own."""
    with Server() as server:

        @contextmanager
        def new_store(kind: str) -> Iterator[str]:
            if kind == "postgresql":
                with database(server.dsn) as url:
                    yield url
            else:
                with tempfile.TemporaryDirectory() as folder:
                    yield f"sqlite:///{folder}/events.db"

        yield new_store


def _versions(new_store: NewStore) -> dict[str, str]:
    described = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    with new_store("postgresql") as url, opened(url) as engine, engine.connect() as connection:
        postgresql = str(connection.scalar(text("SHOW server_version")))
    return {
        "date": str(datetime.now(UTC).date()),
        "commit": described.stdout.strip() or "?",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "postgresql": postgresql.split(maxsplit=1)[0],
        "servers": ", ".join(f"{name} {version(name)}" for name in ("uvicorn", "gunicorn")),
    }


def main() -> int:
    """Kill them all, print or write the page, and return 1 if anything is lost or there twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.store_crash")
    parser.add_argument("--runs", type=int, default=_RUNS, help="for each store (%(default)s)")
    parser.add_argument("--write", type=Path, help="write the page there instead of printing it")
    options = parser.parse_args()
    found: dict[tuple[str, str], list[Found]] = {}
    chance = random.Random("store_crash")  # noqa: S311 - no secret
    kinds = list(COMMANDS)
    with _stores() as new_store:
        page = _HEAD.format(**_versions(new_store))
        for number in range(options.runs):
            for case in (CASES[0], CASES[1], CASES[2 + number % 2]):
                kind = kinds[number // 2 % len(kinds)]
                found.setdefault((case, kind), []).append(crash(case, kind, new_store, chance))
                sys.stderr.write(f"{number + 1} {case}, {kind}: {found[case, kind][-1]}\n")
    total = Found()
    for (case, kind), runs in sorted(found.items()):
        sums = Found()
        for one in runs:
            sums = sums.plus(one)
        total = total.plus(sums)
        page += f"| {case} | {kind} | {len(runs)} | " + " | ".join(f"{figure:,}" for figure in sums) + " |\n"
    page += f"| all | | {sum(map(len, found.values()))} | " + " | ".join(f"{figure:,}" for figure in total) + " |\n"
    if options.write:
        options.write.write_text(page, encoding="utf-8")
    print(page)
    return int(bool(total.lost or total.twice))


if __name__ == "__main__":
    sys.exit(main())
