"""How do events get into a store, with a spool before it?"""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from tracegate.sinks.background import BackgroundWriter
from tracegate.sinks.spool import Spool
from tracegate.sinks.traffic_writer import TrafficWriter
from tracegate.store.engine import open_engine
from tracegate.store.events import EventStore
from tracegate.store.traffic import CountRow, put_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from tracegate.core.policy import Policy
    from tracegate.sinks.traffic import Minute

__all__ = ["counted", "spool_of", "stored"]


def stored(url: str, spool_directory: str = "", *, engine: Engine | None = None) -> BackgroundWriter:
    """Return a sink that keeps events in the store of *url*; its tables are made by ``store upgrade``.

    Args:
        url: ``sqlite:///path`` or ``postgresql://…``.
        spool_directory: Where events wait while the store is away; empty: see :func:`spool_of`.
        engine: The store, where it is open already.

    Raises:
        ConfigurationError: The address cannot be one of a store.
    """
    engine = engine or open_engine(url)
    return BackgroundWriter(EventStore(engine).append, Spool(spool_of(url, spool_directory)))


def counted(policy: Policy, engine: Engine) -> TrafficWriter:
    """Return what counts the requests and replies of the policy's service, and keeps them in the store of *engine*."""

    def put(process: str, minutes: Sequence[Minute]) -> None:
        name = f"{policy.instance or f'{socket.gethostname()}:{os.getpid()}'}/{process}"
        put_counts(engine, policy.service, name, [_row(minute) for minute in minutes])

    return TrafficWriter(policy, put)


def _row(minute: Minute) -> CountRow:
    counts = minute.counts
    replies = counts.traced + counts.untraced
    return CountRow(minute.tenant, minute.start, counts.requests, replies, counts.traced, counts.sse_events)


def spool_of(url: str, spool_directory: str = "") -> Path:
    """Return the directory of the spool: as given, else beside a SQLite store, else a temporary one of user and store.

    Events of one store are never replayed into another: its name tells the server and the database.
    """
    if spool_directory:
        return Path(spool_directory)
    address = make_url(url)
    if address.get_backend_name() == "sqlite" and address.database:
        return Path(f"{address.database}.spool")
    store = f"{address.host}:{address.port}/{address.database}".encode()
    return Path(tempfile.gettempdir(), f"tracegate-spool-{os.getuid()}-{hashlib.sha256(store).hexdigest()[:12]}")
