"""How is a store opened, read and written?

Every read and every write of the store goes through :func:`reading` and :func:`writing`: they are where a transaction
begins as each database wants it, and where what a driver raises becomes a :class:`~tracegate.errors.StoreError`.
"""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from tracegate.errors import ConfigurationError
from tracegate.store.refusal import code_of, translated

if TYPE_CHECKING:
    from collections.abc import Generator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL

__all__ = ["is_postgresql", "open_engine", "reading", "writing"]

BUSY_TIMEOUT_SECONDS: Final = 10
"""How long a writer waits for the writers before it."""

_CONNECT_TIMEOUT_SECONDS: Final = 5
_SESSION: Final = (
    "-c TimeZone=UTC -c statement_timeout=15s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"
)
_WRITES: Final = "tracegate_writes"
_READ_ONLY: Final = "25006"
_FORMS: Final = "must be sqlite:///path or postgresql://…"


def open_engine(url: str) -> Engine:
    """Return the store at *url*. Nothing is connected before the first use.

    A process that is forked off gets connections of its own. On SQLite a commit is on the disk when it returns
    (``synchronous=FULL``), in WAL mode, so that readers and the one writer do not wait for each other.

    Args:
        url: ``sqlite:///path``, or ``postgresql://user:password@host/name``; without a driver's name.

    Raises:
        ConfigurationError: *url* is of another form, or its driver is not installed. The URL is not in the message.
    """
    parsed = _parsed(url)
    try:
        if parsed.get_backend_name() == "sqlite":
            engine = create_engine(parsed, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        else:
            session = f"{_SESSION} {parsed.query.get('options', '')}".rstrip()
            own = {"connect_timeout": _CONNECT_TIMEOUT_SECONDS, "application_name": "tracegate"}
            own = {name: value for name, value in own.items() if name not in parsed.query}
            # A server that was started again leaves dead connections in the pool: each is tried before it is used.
            # Who waits for others, and then reads what they have done, must see it: also where the database has
            # another default.
            engine = create_engine(
                parsed,
                hide_parameters=True,
                pool_pre_ping=True,
                isolation_level="READ COMMITTED",
                connect_args={**own, "options": session},
            )
            event.listen(engine, "do_connect", _connect_postgresql)
    except ModuleNotFoundError:
        raise ConfigurationError((("store_url", 'needs: pip install "tracegate-http[postgres]"'),)) from None
    _forget_connections_after_fork(engine)
    return engine


def is_postgresql(connection: Connection | Engine) -> bool:
    """Return whether the store is a PostgreSQL; else it is an SQLite file."""
    return connection.dialect.name == "postgresql"


@contextmanager
def reading(engine: Engine) -> Generator[Connection]:
    """Give a transaction that only reads: one view of the store, which waits for no writer.

    Raises:
        StoreError: The store did not answer as it should.
    """
    with translated(engine), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Generator[Connection]:
    """Give a transaction that writes. It is durable when the block has been left, and undone where the block raises.

    Raises:
        StoreError: The store did not take it. Nothing was written, unless the connection broke while it committed:
            then nobody knows, and to write the same again must do no harm.
    """
    with translated(engine), engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        try:
            yield connection
        except Exception as error:
            if code_of(error) == _READ_ONLY:
                connection.invalidate()  # it may stay so for the length of the session, as after a failover
            raise


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigurationError((("store_url", _FORMS),)) from None
    if parsed.drivername in ("sqlite", "sqlite+pysqlite") and parsed.database not in (None, "", ":memory:"):
        return parsed
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    raise ConfigurationError((("store_url", _FORMS),))


def _connect_postgresql(_dialect: object, _record: object, arguments: list[Any], named: dict[str, Any]) -> object:
    from tracegate.store.silence import connect  # noqa: PLC0415 - psycopg, for who has a PostgreSQL

    return connect(*arguments, **named)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver would begin transactions by itself, and deferred ones: two readers that both turn into writers fail.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        _switch_to_wal(connection)


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    # The one statement that does not wait for others as the busy timeout says; processes that start together meet here.
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


_inherited: list[Any] = []
"""Pools of a parent process. To close their connections here would end the parent's; so they are kept for good."""


def _forget_connections_after_fork(engine: Engine) -> None:
    alive = weakref.ref(engine)

    def forget() -> None:
        if (inherited := alive()) is not None:
            _inherited.append(inherited.pool)
            inherited.dispose(close=False)

    os.register_at_fork(after_in_child=forget)
