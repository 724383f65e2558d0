"""How do events get into a store, with a spool before it?"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from sqlalchemy import make_url

from tracegate.sinks.background import BackgroundWriter
from tracegate.sinks.spool import Spool
from tracegate.store.engine import open_engine
from tracegate.store.events import EventStore

__all__ = ["spool_of", "stored"]


def stored(url: str, spool_directory: str = "") -> BackgroundWriter:
    """Return a sink that keeps events in the store of *url*; its tables are made by ``store upgrade``.

    Args:
        url: ``sqlite:///path`` or ``postgresql://…``.
        spool_directory: Where events wait while the store is away; empty: see :func:`spool_of`.

    Raises:
        ConfigurationError: The address cannot be one of a store.
    """
    engine = open_engine(url)
    return BackgroundWriter(EventStore(engine).append, Spool(spool_of(url, spool_directory)))


def spool_of(url: str, spool_directory: str = "") -> Path:
    """Return the directory of the spool: as given, else beside a SQLite store, else the user's own temporary one."""
    if spool_directory:
        return Path(spool_directory)
    address = make_url(url)
    if address.get_backend_name() == "sqlite" and address.database:
        return Path(f"{address.database}.spool")
    return Path(tempfile.gettempdir(), f"tracegate-spool-{os.getuid()}")
