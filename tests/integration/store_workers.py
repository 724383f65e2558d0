"""Do several worker processes that write one store count exactly, and does a client ever notice the others?"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.integration.store_service import Service, count_traces, make_tables, wait_until
from tests.integration.wire import Connection, request

__all__ = ["Counted", "refuse"]

_CLIENTS = 8
_BY_CONNECTION = 5
"""So few requests a connection, because a connection stays with one worker."""


class Counted(NamedTuple):
    """What was asked, and what came of it.

    Attributes:
        answered: The traces of the refusals, in no order.
        odd: Replies that were no refusal.
        counts: How many rows the store has of each trace.
        workers: How many processes wrote.
        log: What the server wrote.
    """

    answered: list[str]
    odd: list[int]
    counts: dict[str, int]
    workers: int
    log: str


def refuse(kind: str, url: str, count: int, *, workers: int = 4) -> Counted:
    """Have *workers* processes of a server refuse *count* requests, which all write into the store at *url*."""
    make_tables(url)
    with tempfile.TemporaryDirectory() as folder:
        with Service(kind, Path(folder), url, workers=workers, commit_wait_seconds="5") as service:
            with ThreadPoolExecutor(_CLIENTS) as pool:
                seen = _find_all(service, workers, pool)
                parts = list(pool.map(lambda _: _ask(service.port), range(count // _BY_CONNECTION)))
            wait_until(lambda: service.spool.pending() == 0)
        replies = [reply for part in parts for reply in part]
        answered = [trace for status, trace in replies if status == 409]
        odd = [status for status, _ in replies if status != 409]
        return Counted(answered, odd, count_traces(url), len(seen), service.log)


def _find_all(service: Service, workers: int, pool: ThreadPoolExecutor) -> set[int]:
    """Return the processes that serve, when all of them do: the kernel gives one call at a time to the same, again."""
    seen: set[int] = set()

    def are_all_there() -> bool:
        seen.update(filter(None, pool.map(lambda _: service.a_worker(), range(4 * _CLIENTS))))
        return len(seen) == workers

    wait_until(are_all_there)
    return seen


def _ask(port: int) -> list[tuple[int, str]]:
    with Connection(port) as connection:
        replies: list[tuple[int, str]] = []
        for _ in range(_BY_CONNECTION):
            connection.send(request("GET", "/"))
            reply = connection.read_reply()
            replies.append((reply.status, reply.value(b"x-trace-id").decode()))
        return replies
