"""How many replies has a service given? Keeps what its processes count, minute by minute.

Source: docs/metrics.md; contract clauses H1 and H3.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.dialects import postgresql, sqlite

from tracegate.store.engine import writing
from tracegate.store.schema import data_retention_run, ops_event, reply_count
from tracegate.store.text import indexed, storable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine

__all__ = ["CountRow", "Seen", "drop_counts", "has_dropped", "has_replies", "put_counts", "read_seen"]

_NOW_BY_DIALECT: Final = {
    "postgresql": text("clock_timestamp()"),
    "sqlite": text("(strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')"),
}
_COUNTS: Final = ("requests", "replies", "traced_replies", "sse_events")
_KEY: Final = ("service", "minute_utc", "tenant_id", "instance")


class CountRow(NamedTuple):
    """What one process has counted for one tenant in one minute.

    Attributes:
        tenant: As recorded.
        minute: Its start, UTC.
        requests: That came in.
        replies: That left.
        traced: Of those, with the bound trace.
        sse_events: Marked.
    """

    tenant: str
    minute: datetime
    requests: int
    replies: int
    traced: int
    sse_events: int


class Seen(NamedTuple):
    """What was seen of a service.

    Attributes:
        replies: How many left, in the time asked for.
        flushed: When the store last got a count, by its own clock; None: since then, never.
    """

    replies: int
    flushed: datetime | None


def put_counts(engine: Engine, service: str, instance: str, rows: Sequence[CountRow]) -> None:
    """Write what a process has counted so far; to write the same again, or less, changes no count.

    Args:
        engine: The store.
        service: Of which it is a process.
        instance: A name that no other process has, nor ever had.
        rows: All that was counted in each of the minutes, not what was added.

    Raises:
        StoreError: Not taken; to write the same again is safe, whatever has happened.
    """
    if not rows:
        return
    with writing(engine) as connection:
        connection.execute(_UPSERTS[connection.dialect.name], [_values(service, instance, row) for row in rows])


def read_seen(connection: Connection, service: str, since: datetime, until: datetime) -> Seen:
    """Return what was seen of *service* in the minutes that began at *since* or after it, and not after *until*.

    A process names its minutes by its own clock: those that are yet to come say nothing of the last ones.
    """
    count = reply_count.c
    wanted = select(func.coalesce(func.sum(count.replies), 0), func.max(count.flushed_at)).where(
        count.service == storable(service), count.minute_utc.between(since, until)
    )
    replies, flushed = connection.execute(wanted).one()
    return Seen(int(replies), flushed)


def has_replies(connection: Connection, service: str) -> bool:
    """Return whether any reply of *service* has been counted."""
    count = reply_count.c
    wanted = select(count.service).where(count.service == storable(service), count.replies > 0).limit(1)
    return connection.execute(wanted).first() is not None


def has_dropped(connection: Connection, since: datetime) -> bool:
    """Return whether counts or events, of any service, from *since* on have been dropped."""
    run = data_retention_run.c
    of_services = run.table_name.in_((ops_event.name, reply_count.name))
    wanted = select(run.id).where(of_services, run.dropped_before > since, run.dropped_rows > 0).limit(1)
    return connection.execute(wanted).first() is not None


def drop_counts(engine: Engine, before: datetime) -> int:
    """Drop the counts of all minutes before *before*, and return how many rows they were; the hours stay as they are.

    Raises:
        StoreError: The store did not take it.
    """
    now = datetime.now(UTC)
    with writing(engine) as connection:
        dropped = connection.execute(delete(reply_count).where(reply_count.c.minute_utc < before)).rowcount
        if dropped:
            connection.execute(
                insert(data_retention_run).values(
                    id=uuid.uuid4().hex,
                    table_name=reply_count.name,
                    dropped_before=before,
                    started_at=now,
                    ended_at=now,
                    dropped_rows=dropped,
                )
            )
    return dropped


def _values(service: str, instance: str, row: CountRow) -> dict[str, Any]:
    counts = zip(_COUNTS, row[2:], strict=True)
    key = zip(_KEY, (storable(service), row.minute, indexed(row.tenant), storable(instance)), strict=True)
    return {**dict(key), **dict(counts)}


def _upsert(dialect: str) -> Any:  # noqa: ANN401 - one type for each dialect
    own: Any = postgresql if dialect == "postgresql" else sqlite
    greater: Any = func.greatest if dialect == "postgresql" else func.max
    given = own.insert(reply_count).values(flushed_at=_NOW_BY_DIALECT[dialect])
    changed = {name: greater(reply_count.c[name], given.excluded[name]) for name in _COUNTS}
    return given.on_conflict_do_update(index_elements=_KEY, set_={**changed, "flushed_at": given.excluded.flushed_at})


_UPSERTS: Final = {dialect: _upsert(dialect) for dialect in _NOW_BY_DIALECT}
