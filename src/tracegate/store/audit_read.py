"""What stands in the audit tables, exactly? Every value as it is stored, also one that no writer of ours wrote.

Tenants go in and come out as they are stored: see :mod:`tracegate.store.text`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Text, case, func, literal, select, type_coerce

from tracegate.store.audit_chain import Head, Position
from tracegate.store.audit_hash import COLUMNS
from tracegate.store.engine import is_postgresql
from tracegate.store.schema import audit_checkpoint, audit_head, audit_log

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from sqlalchemy import Connection
    from sqlalchemy.sql.elements import ColumnElement

__all__ = [
    "find_rows",
    "next_seq",
    "position_at",
    "read_head",
    "read_rows",
    "read_target",
    "read_tenants",
    "stored_time",
    "verbatim",
]

_ON_POSTGRESQL: Final = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'


def stored_time(connection: Connection, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return *column* as text, the same on both stores for whatever a writer of ours wrote."""
    if not is_postgresql(connection):
        return type_coerce(column, Text)
    era = case((column < func.to_timestamp(0) - func.make_interval(1969), literal(" BC")), else_=literal(""))
    return func.to_char(func.timezone("UTC", column), _ON_POSTGRESQL).concat(era)


@contextmanager
def verbatim(connection: Connection) -> Generator[None]:
    """Let SQLite give text that is no UTF-8, which only a forger writes, instead of failing on it."""
    if is_postgresql(connection):
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.text_factory = _text
    try:
        yield
    finally:
        driver.text_factory = str


def read_rows(connection: Connection, tenant: str, first: object, last: object = None) -> list[Sequence[Any]]:
    """Return rows of :data:`~tracegate.store.audit_hash.COLUMNS`, in order: each that is there, twins too."""
    log = audit_log.c
    wanted = _rows(connection).where(log.tenant_id == tenant, log.chain_seq >= first)
    if last is not None:
        wanted = wanted.where(log.chain_seq <= last)
    with verbatim(connection):
        return [tuple(row) for row in connection.execute(wanted.order_by(log.chain_seq, log.id))]


def find_rows(
    connection: Connection, *, tenant: str | None = None, incident: str | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """Return the newest rows, the newest first, by the names of their columns."""
    log = audit_log.c
    wanted = _rows(connection).order_by(log.created_at.desc(), log.tenant_id, log.chain_seq.desc()).limit(limit)
    if tenant is not None:
        wanted = wanted.where(log.tenant_id == tenant)
    if incident is not None:
        wanted = wanted.where(log.incident_id == incident)
    with verbatim(connection):
        return [dict(zip(COLUMNS, row, strict=True)) for row in connection.execute(wanted)]


def read_target(connection: Connection, tenant: str, target_type: str, target_id: str) -> list[dict[str, Any]]:
    """Return each row about one target, by the names of its columns."""
    log = audit_log.c
    of_target = (log.tenant_id == tenant, log.target_type == target_type, log.target_id == target_id)
    with verbatim(connection):
        return [dict(zip(COLUMNS, row, strict=True)) for row in connection.execute(_rows(connection).where(*of_target))]


def next_seq(connection: Connection, tenant: str, after: object = None) -> Any:  # noqa: ANN401 - a forger's may be text
    """Return the number of the first row behind *after*, or of the first of all; None where there is none."""
    log = audit_log.c
    wanted = select(func.min(log.chain_seq)).where(log.tenant_id == tenant)
    if after is not None:
        wanted = wanted.where(log.chain_seq > after)
    return connection.scalar(wanted)


def position_at(connection: Connection, tenant: str, seq: int) -> Position | None:
    """Return the row of that number as a position."""
    log = audit_log.c
    wanted = select(log.chain_seq, log.hash_curr, stored_time(connection, log.created_at))
    row = connection.execute(wanted.where(log.tenant_id == tenant, log.chain_seq == seq)).first()
    return None if row is None else Position(*row)


def read_head(connection: Connection, tenant: str) -> Head | None:
    """Return where the chain ends, as its head says."""
    head = audit_head.c
    wanted = select(head.last_seq, head.last_hash, head.signature).where(head.tenant_id == tenant)
    row = connection.execute(wanted).first()
    return None if row is None else Head(*row)


def read_tenants(connection: Connection) -> list[str]:
    """Return whose chains there are, or have been: of rows, heads and checkpoints."""
    tables = (audit_log, audit_head, audit_checkpoint)
    return sorted({tenant for table in tables for tenant in _tenants(connection, table.c.tenant_id)})


def _tenants(connection: Connection, column: ColumnElement[Any]) -> Iterator[str]:
    """Yield each value once, by one step in the index for each: chains are long."""
    found = connection.scalar(select(func.min(column)))
    while found is not None:
        yield found
        found = connection.scalar(select(func.min(column)).where(column > found))


def _rows(connection: Connection) -> Any:  # noqa: ANN401 - a select of many types
    log = audit_log.c
    return select(*(stored_time(connection, log[name]) if name == "created_at" else log[name] for name in COLUMNS))


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogateescape")
