"""Which old events may go? Whole days from the oldest on, and none that still locks a deploy gate.

Audit rows are another matter: see :mod:`tracegate.store.audit_retain`.

Source: contract clauses H1 and H3.
"""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, delete, func, insert, select, text, update

from tracegate.errors import StoreError
from tracegate.store.engine import is_postgresql, reading, writing
from tracegate.store.gate import LOCKING_KINDS, read_actions
from tracegate.store.schema import data_retention_run, ops_event
from tracegate.store.text import restored

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.sql.elements import ColumnElement

    from tracegate.store.gate import ActionRow

__all__ = ["retain"]

_DAYS_AHEAD: Final = 7
_DAYS: Final = text(
    "SELECT substr(relname, 14)::date FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
    " WHERE inhparent = 'tb_ops_event'::regclass ORDER BY relname LIMIT 1"
)
_NO_WRITERS: Final = text("LOCK TABLE ONLY tb_ops_event IN SHARE ROW EXCLUSIVE MODE")
_MAKE_AHEAD: Final = text("SELECT tracegate_make_day(:today + ahead) FROM generate_series(0, :ahead) AS ahead")


def retain(engine: Engine, before: date) -> int:
    """Drop the events of all days before *before* (UTC), and make the days ahead on PostgreSQL.

    Day by day, each in a transaction of its own that is recorded in ``tb_data_retention_run``: what is left is always
    without a gap, wherever this ends.

    Returns:
        How many events were dropped.

    Raises:
        StoreError: The store did not take it, or an event of the next day to go still locks the deploy gate of its
            service: no unlock has come after the store got it, and the newest one does not accept it. The days before
            are gone, that day and those after it stay.
        ValueError: *before* is after today.
    """
    today = datetime.now(UTC).date()
    if before > today:
        raise ValueError("events of today and later are kept")
    if is_postgresql(engine):
        with writing(engine) as connection:
            connection.execute(_MAKE_AHEAD, {"today": today, "ahead": _DAYS_AHEAD})
    dropped = 0
    while (day := _oldest(engine)) is not None and day < before:
        dropped += _drop(engine, day)
    return dropped


def _oldest(engine: Engine) -> date | None:
    with reading(engine) as connection:
        if is_postgresql(engine):
            day: date | None = connection.scalar(_DAYS)
            return day
        oldest = connection.scalar(select(func.min(ops_event.c.event_time)))
    return None if oldest is None else oldest.date()


def _drop(engine: Engine, day: date) -> int:
    start = datetime.combine(day, time(), UTC)
    of_day = and_(ops_event.c.event_time >= start, ops_event.c.event_time < start + timedelta(days=1))
    run = uuid.uuid4().hex
    with writing(engine) as connection:
        if is_postgresql(engine):  # no event comes between the question and the answer
            connection.execute(_NO_WRITERS)
        _refuse_locking(connection, of_day)
        dropped = connection.scalar(select(func.count()).select_from(ops_event).where(of_day)) or 0
        connection.execute(
            insert(data_retention_run).values(
                id=run,
                table_name=ops_event.name,
                dropped_before=start + timedelta(days=1),
                started_at=datetime.now(UTC),
                dropped_rows=dropped,
            )
        )
        if is_postgresql(engine):
            connection.exec_driver_sql(f"DROP TABLE {ops_event.name}_{day:%Y%m%d}")
        else:  # the open run is the door in the trigger
            connection.execute(delete(ops_event).where(of_day))
        ended = update(data_retention_run).where(data_retention_run.c.id == run).values(ended_at=datetime.now(UTC))
        connection.execute(ended)
    return dropped


def _refuse_locking(connection: Connection, of_day: ColumnElement[bool]) -> None:
    """Refuse to drop what the gate is locked by, as the gate judges it: by when the store got it, not by its own time.

    So what came late, from a spool or from a slow clock, stays although an unlock has come since it happened. What the
    newest unlock accepted goes.
    """
    event = ops_event.c
    group = (event.service, event.route, event.event_type)
    wanted = select(*group, func.max(event.created_at)).where(
        of_day, event.event_type.in_(LOCKING_KINDS), event.mode == "require", event.route.is_not(None)
    )
    arrived = [
        (restored(service), f"{restored(route)}:{kind}", last)
        for service, route, kind, last in connection.execute(wanted.group_by(*group)).all()
    ]
    unlocks = {service: _newest_unlock(connection, service) for service, _, _ in arrived}
    locked = sorted({service for service, name, last in arrived if _locks(name, last, unlocks[service])})
    if locked:
        raise StoreError(f"events still lock the deploy gate of: {', '.join(locked)}")


def _newest_unlock(connection: Connection, service: str) -> ActionRow | None:
    return next((action for action in reversed(read_actions(connection, service)) if action.kind == "unlock"), None)


def _locks(name: str, last: datetime, unlock: ActionRow | None) -> bool:
    return unlock is None or (last > unlock.at and name not in unlock.accepts)
