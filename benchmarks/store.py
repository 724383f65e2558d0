"""What does it cost to keep events? ``python -m benchmarks.store [--quick] [--write docs]``."""

import argparse
import sqlite3
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, Final

import psycopg

from benchmarks.rounds import markdown_table, versions
from benchmarks.store_latency import latency_section
from benchmarks.targets import Target, target_table
from tests.integration.postgres import Server, database
from tracegate.core.events import Event
from tracegate.runtime import SystemMint
from tracegate.store.engine import open_engine
from tracegate.store.events import EventStore
from tracegate.store.rows import COLUMNS, rows_of
from tracegate.store.upgrade import upgrade

__all__ = ["main"]

Write = Callable[[Sequence[Sequence[Event]]], float]
"""Write the batches, each durable before the next one; return the seconds it took."""

_BATCHES: Final = {1: 40, 100: 20, 1000: 8}
"""Events in a batch, and how many batches a turn writes."""
_PROMISED: Final = 0.5
_NAMES: Final = ", ".join(COLUMNS)
_PAGE: Final = "store-benchmarks.md"
_numbers = count()


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few turns only: for a look, not for figures")
    parser.add_argument("--write", type=Path, metavar="DOCS", help=f"write DOCS/{_PAGE}")
    options = parser.parse_args(arguments)
    with Server(fsync="on") as server, database(server.dsn) as url:
        rates = {name: _measure(name, url, turns=3 if options.quick else 12) for name in ("SQLite", "PostgreSQL")}
        latency = latency_section(url, turns=1 if options.quick else 4)
    targets = [
        Target(f"{name}, 1,000 events: of raw", rate[1000][0] / rate[1000][1], _PROMISED, "at least")
        for name, rate in rates.items()
    ]
    command = "python -m benchmarks.store" + (" --quick" if options.quick else "")
    parts = [_heading(command), "## What is promised", target_table(targets), *_rates(rates), latency]
    page = "\n\n".join(parts) + "\n"
    print(page)
    if options.write:
        (options.write / _PAGE).write_text(page, encoding="utf-8")
    return 0


def _heading(command: str) -> str:
    machine = versions("sqlalchemy", "psycopg", "uvicorn")
    return f"""# What it costs to keep events

Written by `{command} --write docs` on {datetime.now(UTC).date()}: {machine}; SQLite {sqlite3.sqlite_version}.

Compare ratios only: absolute times are those of one shared machine and its disk on one day."""


def _rates(rates: dict[str, dict[int, tuple[float, float]]]) -> Iterator[str]:
    yield """## Durable events per second

`EventStore.append` beside the bare driver, which writes rows that were made before the clock started, into the same
table with its indexes and triggers: `sqlite3` by `executemany` (WAL, `synchronous=FULL`), psycopg by `COPY` (`fsync`
on). Each batch is a transaction of its own. Both take turns; medians over all turns."""
    rows = [
        [name, f"{batch:,}", f"{ours:,.0f}", f"{raw:,.0f}", f"{ours / raw:.2f}"]
        for name, found in rates.items()
        for batch, (ours, raw) in found.items()
    ]
    yield markdown_table(["store", "events in a batch", "tracegate, events/s", "bare driver, events/s", "ratio"], rows)


def _measure(name: str, postgres: str, *, turns: int) -> dict[int, tuple[float, float]]:
    """Return for each size of a batch how many events a second the store takes, and the bare driver."""
    with ExitStack() as stack:
        writers = [stack.enter_context(opened(postgres)) for opened in _WRITERS[name]]
        found: dict[int, tuple[float, float]] = {}
        for batch, batches in _BATCHES.items():
            order, seconds = deque(range(len(writers))), [list[float]() for _ in writers]
            for turn in range(turns + 1):  # the first one warms up
                for index in order:
                    taken = writers[index]([_events(batch) for _ in range(batches)])
                    if turn:
                        seconds[index].append(taken)
                order.rotate()
            ours, raw = (batch * batches / median(each) for each in seconds)
            found[batch] = ours, raw
        return found


def _events(size: int) -> list[Event]:
    mint, now = SystemMint(), datetime.now(UTC)
    return [
        Event(
            kind="missing_trace",
            severity="error",
            component="tracegate.gate",
            message="The request has no trace id; send X-Trace-Id with a UUID.",
            trace_id=str(uuid.uuid4()),
            method="POST",
            transport="http",
            stage="request",
            status=409,
            mode="require",
            detail="missing_trace_id",
        ).stamped(
            id=mint.event_id(),
            time=now.replace(microsecond=next(_numbers) % 1_000_000),
            service="orders",
            instance="host-1:4711",
            tenant="default",
            route="/v1/orders/{order_id}",
        )
        for _ in range(size)
    ]


@contextmanager
def _store(url: str) -> Iterator[Write]:
    engine = open_engine(url)
    upgrade(engine)
    store = EventStore(engine)

    def write(batches: Sequence[Sequence[Event]]) -> float:
        start = time.perf_counter()
        for batch in batches:
            store.append(batch)
        return time.perf_counter() - start

    yield write
    engine.dispose()


@contextmanager
def _sqlite(_postgres: str) -> Iterator[Write]:
    with tempfile.TemporaryDirectory() as folder, _store(f"sqlite:///{folder}/events.db") as write:
        yield write


@contextmanager
def _bare_sqlite(_postgres: str) -> Iterator[Write]:
    with tempfile.TemporaryDirectory() as folder, _store(f"sqlite:///{folder}/events.db"):
        connection = sqlite3.connect(f"{folder}/events.db", isolation_level=None)
        connection.execute("PRAGMA synchronous=FULL")
        insert = f"INSERT INTO tb_ops_event ({_NAMES}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - names of ours

        def write(batches: Sequence[Sequence[Event]]) -> float:
            made = [rows_of(batch, time_as_text=True) for batch in batches]
            start = time.perf_counter()
            for rows in made:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(insert, rows)
                connection.execute("COMMIT")
            return time.perf_counter() - start

        yield write
        connection.close()


@contextmanager
def _bare_postgresql(url: str) -> Iterator[Write]:
    with psycopg.connect(url) as connection:

        def write(batches: Sequence[Sequence[Event]]) -> float:
            made: list[list[tuple[Any, ...]]] = [rows_of(batch, time_as_text=False) for batch in batches]
            start = time.perf_counter()
            for rows in made:
                with connection.cursor() as cursor, cursor.copy(f"COPY tb_ops_event ({_NAMES}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
                connection.commit()
            return time.perf_counter() - start

        yield write


_WRITERS: Final = {"SQLite": (_sqlite, _bare_sqlite), "PostgreSQL": (_store, _bare_postgresql)}


if __name__ == "__main__":
    sys.exit(main())
