"""Does an id ever cross to another request, or stay behind? Many requests on few connections, clients that leave.

``python -m tests.integration.streams --write docs/proof/streams.md`` runs the full size; ``make test`` a hundredth.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.servers import SERVERS, run_server
from tests.integration.wire import Connection, Reply, ask, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.integration.servers import RunningServer

__all__ = [
    "ABORTED",
    "ASKED",
    "REQUESTS",
    "STREAMS",
    "Abandoned",
    "Answered",
    "abandon",
    "count_left",
    "keep_alive",
    "main",
    "pipeline",
    "running",
]

FASTAPI = "tests.integration.applications.endless_fastapi:app"
FLASK = "tests.integration.applications.endless_flask:app"
ASKED = (
    "uvicorn-h11",
    "uvicorn-httptools",
    "hypercorn",
    "granian-asgi",
    "gunicorn-asgi",
    "gunicorn-gthread",
    "waitress",
)
ABORTED = (
    ("uvicorn-h11", "/text"),
    ("uvicorn-h11", "/sse"),
    ("uvicorn-h11", "/sse-native"),
    ("uvicorn-httptools", "/text-threads"),
    ("uvicorn-httptools", "/sse-threads"),
    ("gunicorn-gthread", "/text"),
    ("gunicorn-gthread", "/sse"),
    ("gunicorn-gthread", "/sse-context"),
)
HEAD = """# Streams and connections

Requests on one connection each come back under their own id: in the header, in the handler, and in a task of the
handler. Clients that leave an endless stream (before its head, after it, after the first bytes; by close or by reset)
leave no generator open, no trace in any live context of any thread or task, and nothing in the server's log.

Written by `make proof-streams` on {date} at commit {commit}, CPython {python}.

| server | what | size | found |
| --- | --- | --- | --- |
"""
BODY = b"b" * 70_000
REQUESTS = 1_000
STREAMS = 10_000
BATCH = 20
SETTLE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Answered:
    """How many of the requests came back under their own id, in header and body; ``log`` is what the server wrote."""

    asked: int
    right: int
    distinct: int
    log: str


@dataclass(frozen=True, slots=True)
class Abandoned:
    """What is left after clients went away: contexts that hold a trace, streams that were not closed, and the log."""

    asked: int
    opened: int
    unclosed: int
    residue: int
    log: str


def _application(name: str) -> str:
    return FASTAPI if SERVERS[name].protocol == "asgi" else FLASK


def running(name: str) -> AbstractContextManager[RunningServer]:
    """Return the gated service on the server *name*; uvicorn runs on asyncio's loop, where contexts leaked before."""
    options = "--loop asyncio" if name == "uvicorn-httptools" else ""
    return run_server(
        SERVERS[name], _application(name), options=options, ready_path="/ready", MATRIX_VARIANT="tracegate"
    )


def _is_right(reply: Reply, trace: str, size: int) -> bool:
    said = f"{trace} {trace} {size}".encode()
    return reply.status == 200 and reply.values(b"x-trace-id") == [trace.encode()] and reply.body == said


def _post(trace: str, body: bytes) -> bytes:
    lines = (b"X-Trace-Id: " + trace.encode(), b"Content-Type: application/octet-stream")
    return request("POST", "/read", lines, body)


def _answered(name: str, replies: Callable[[RunningServer], Iterator[tuple[Reply, str, int]]]) -> Answered:
    with running(name) as server:
        seen = [(reply.value(b"x-trace-id"), _is_right(reply, trace, size)) for reply, trace, size in replies(server)]
        log = server.log
    return Answered(len(seen), sum(right for _, right in seen), len({value for value, _ in seen}), log)


def keep_alive(name: str, count: int) -> Answered:
    """Send *count* requests with a 70 KB body, one after the other, on one connection to the server *name*."""

    def replies(server: RunningServer) -> Iterator[tuple[Reply, str, int]]:
        with Connection(server.port) as connection:
            for _ in range(count):
                trace = str(uuid.uuid4())
                connection.send(_post(trace, BODY))
                yield connection.read_reply("POST"), trace, len(BODY)

    return _answered(name, replies)


def pipeline(name: str, count: int) -> Answered:
    """Send *count* requests in batches that are all on the wire before the first reply is read."""

    def replies(server: RunningServer) -> Iterator[tuple[Reply, str, int]]:
        with Connection(server.port) as connection:
            for start in range(0, count, BATCH):
                traces = [str(uuid.uuid4()) for _ in range(min(BATCH, count - start))]
                connection.send(b"".join(_post(trace, b"small") for trace in traces))
                for trace in traces:
                    yield connection.read_reply("POST"), trace, len(b"small")

    return _answered(name, replies)


def abandon(name: str, path: str, count: int) -> Abandoned:
    """Open *count* endless streams and leave each: before or after its head, or its first bytes, by reset or close."""
    with running(name) as server:
        for number in range(count):
            _leave(server.port, path, number)
        left = _settle(server.port)
        log = server.log
    return Abandoned(count, left["opened"], left["opened"] - left["closed"], left["residue"], log)


def _leave(port: int, path: str, number: int) -> None:
    with Connection(port) as connection:
        connection.send(request("GET", path, (b"X-Trace-Id: " + str(uuid.uuid4()).encode(),)))
        if number % 4:
            connection.read_head()
        if number % 4 > 1:
            connection.read_some()
        if number % 2:
            connection.abort()


def count_left(port: int) -> dict[str, int]:
    """Return what the service says: contexts that hold a trace, streams that were opened and closed."""
    reply = ask(port, "GET", "/residue", (b"X-Trace-Id: " + str(uuid.uuid4()).encode(),))
    left: dict[str, int] = json.loads(reply.body)
    return left


def _settle(port: int) -> dict[str, int]:
    """Return what is left once every stream that was opened is closed, or time is up."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        left = count_left(port)
        if time.monotonic() > deadline or (not left["residue"] and left["opened"] == left["closed"]):
            return left
        time.sleep(0.1)


def _rows() -> Iterator[tuple[bool, str]]:
    """Run all; yields whether it is as it must be, and the table's row."""
    for name in ASKED:
        for what, run in (("keep-alive, 70 KB bodies", keep_alive), ("pipelined", pipeline)):
            found = run(name, REQUESTS)
            cells = name, what, f"{found.asked} requests", f"{found.right} right, {found.distinct} distinct ids"
            yield found.right == found.distinct == found.asked, f"| {' | '.join(cells)} |\n"
    for name, path in ABORTED:
        left = abandon(name, path, STREAMS)
        found_left = f"{left.unclosed} unclosed, {left.residue} contexts with a trace, {len(left.log)} bytes of log"
        cells = name, f"aborted `{path}`", f"{left.asked} streams, {left.opened} reached the generator", found_left
        yield not (left.unclosed or left.residue or left.log), f"| {' | '.join(cells)} |\n"


def main() -> int:
    """Run the full size, print or write the page, and return 1 if anything crossed over or stayed behind."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.streams")
    parser.add_argument("--write", type=Path, help="write the page there instead of printing it")
    options = parser.parse_args()
    described = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    page = HEAD.format(
        date=datetime.now(UTC).date(), commit=described.stdout.strip() or "?", python=platform.python_version()
    )
    sound = True
    for as_it_must_be, row in _rows():
        sound &= as_it_must_be
        page += row
        sys.stderr.write(row)
    names = dict.fromkeys([*ASKED, *(name for name, _ in ABORTED)])
    page += "\n" + "".join(f"- {name}: {SERVERS[name].versions}\n" for name in names)
    if options.write:
        options.write.write_text(page, encoding="utf-8")
    else:
        sys.stdout.write(page)
    return int(not sound)


if __name__ == "__main__":
    sys.exit(main())
