"""Which stores are there to test, what does an event look like, and how do several processes write at once?

One table of cases for every store: a test that takes ``url`` runs on an SQLite file and on a real PostgreSQL.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, make_url

from tests.integration.postgres import database, running_postgres
from tracegate.core.events import Event
from tracegate.store.engine import open_engine
from tracegate.store.events import EventStore
from tracegate.store.upgrade import upgrade

STORES = ("sqlite", "postgresql")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Templates:
    """Stores with all tables, made once and copied for each test; a PostgreSQL server is there from its first use on.

    Args:
        folder: For SQLite's files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held = ExitStack()
        self._made: dict[str, str] = {}
        self._server: str | None = None

    @property
    def postgres(self) -> str:
        """The DSN of the server."""
        if self._server is None:
            self._server = self._held.enter_context(running_postgres())
        return self._server

    @contextmanager
    def empty(self, kind: str) -> Iterator[str]:
        """Give the URL of a store without tables."""
        if kind == "postgresql":
            with database(self.postgres) as url:
                yield url
            return
        folder = self._folder / uuid.uuid4().hex
        folder.mkdir()
        yield f"sqlite:///{folder}/events.db"
        shutil.rmtree(folder)

    @contextmanager
    def upgraded(self, kind: str) -> Iterator[str]:
        """Give the URL of a store with the tables of this version, and nothing in them."""
        if kind not in self._made:
            self._made[kind] = self._held.enter_context(self.empty(kind))
            with opened(self._made[kind]) as engine:
                upgrade(engine)
        template = make_url(self._made[kind]).database
        assert template is not None
        if kind == "postgresql":
            with database(self.postgres, template) as url:
                yield url
            return
        with self.empty(kind) as url:
            path = make_url(url).database
            assert path is not None
            shutil.copy(template, path)
            yield url

    def close(self) -> None:
        """Remove them, and let go of the server."""
        self._held.close()


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """Give the store at *url*, and leave no connection open."""
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def an_event(number: int = 0, **facts: Any) -> Event:  # noqa: ANN401 - any fact of an event
    """Return an event like those of the runtime; another *number* is another event, a millisecond later."""
    known = {
        "kind": "missing_trace",
        "severity": "error",
        "component": "tracegate.gate",
        "message": "the request names no trace",
        "trace_id": str(uuid.UUID(int=(1 << 100) + number, version=4)),
        "method": "POST",
        "transport": "http",
        "stage": "request",
        "status": 409,
        "mode": "require",
        "detail": "missing_trace_id",
        "route": "/v1/orders/{order_id}",
        "tenant": "default",
        "service": "orders",
        "instance": "host-1:4711",
        "id": str(uuid.UUID(int=(7 << 76) | (1 << 63) | number)),
        "time": NOON + timedelta(milliseconds=number),
    }
    return Event(**{**known, **facts})


def some_events(count: int, start: int = 0, **facts: Any) -> list[Event]:  # noqa: ANN401 - same
    """Return *count* events, one after the other."""
    return [an_event(start + number, **facts) for number in range(count)]


# Other processes


@contextmanager
def processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """Give *count* fresh processes; what they do is a function of this module."""
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        yield pool


@lru_cache
def _store(url: str, _process: int) -> EventStore:
    return EventStore(open_engine(url))


def append_each(url: str, batches: list[list[Event]]) -> int:
    """Append the batches one by one, and return how many events were new."""
    store = _store(url, os.getpid())
    return sum(store.append(batch) for batch in batches)


def upgrade_store(url: str) -> None:
    """Make the tables."""
    with opened(url) as engine:
        upgrade(engine)
