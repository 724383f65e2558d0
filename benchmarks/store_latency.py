"""How much later is a refusal answered because its event is kept first?

The client is an open loop: a request is due at its moment, whether or not earlier ones were answered, and its latency
counts from there.
"""

import asyncio
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from math import ceil
from pathlib import Path
from statistics import median

from benchmarks.rounds import markdown_table
from tests.integration.store_service import Service, make_tables

__all__ = ["latency_section"]

_RATES = (100, 1_000)
_SECONDS = 2.0
_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
_TEXT = """## The latency of a refusal

Refusals at a steady pace (open loop: timed from the moment each was due) at uvicorn with one worker, that writes each
event to its log and to the store; three such servers take turns of {seconds:g} s. *Added* is `before_reply` less
`background`. *Without a store* the event is in the log only."""


def latency_section(postgres: str, *, turns: int) -> str:
    """Return the section about latency.

    Args:
        postgres: A PostgreSQL that may be written to.
        turns: How many each server has.
    """
    rows: list[list[str]] = []
    for name in ("SQLite", "PostgreSQL"):
        with _servers(name, postgres) as ports:
            for rate in _RATES:
                taken = _turns(ports, rate, turns)
                for label, of in (("median", median), ("p99", _p99)):
                    none, background, waiting = (of(taken[kind]) * 1e3 for kind in ports)
                    figures = f"{none:.2f}", f"{background:.2f}", f"{waiting:.2f}", f"{waiting - background:.2f}"
                    rows.append([name, f"{rate:,}", label, *figures])
    head = ["store", "refusals/s", "ms", "without a store", "background", "before_reply", "added"]
    return _TEXT.format(seconds=_SECONDS) + "\n\n" + markdown_table(head, rows)


@contextmanager
def _servers(name: str, postgres: str) -> Iterator[dict[str, int]]:
    with ExitStack() as stack:
        ports: dict[str, int] = {}
        for kind in ("none", "background", "before_reply"):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            url = "" if kind == "none" else postgres if name == "PostgreSQL" else f"sqlite:///{folder}/events.db"
            if url:
                make_tables(url)
            durability = "background" if kind == "none" else kind
            service = Service("uvicorn", Path(folder), url, workers=1, durability=durability)
            ports[kind] = stack.enter_context(service).port
        yield ports


def _turns(ports: dict[str, int], rate: int, turns: int) -> dict[str, list[float]]:
    order = deque(ports)
    taken: dict[str, list[float]] = {kind: [] for kind in ports}
    for turn in range(turns + 1):  # the first one warms up
        for kind in order:
            found = asyncio.run(_ask(ports[kind], rate, _SECONDS if turn else _SECONDS / 4))
            if turn:
                taken[kind] += found
        order.rotate()
    return taken


async def _ask(port: int, rate: int, seconds: float) -> list[float]:
    """Return the seconds from the moment each request was due until its whole reply was read."""
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    taken: list[float] = []

    async def ask(due: float) -> None:
        reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        writer.write(_REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 409"):
            raise ConnectionError(head)
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        taken.append(time.perf_counter() - due)
        idle.append((reader, writer))

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due = start + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(ask(due))
    for _, writer in idle:
        writer.close()
        await writer.wait_closed()
    return taken


def _p99(values: list[float]) -> float:
    return sorted(values)[ceil(0.99 * len(values)) - 1]
