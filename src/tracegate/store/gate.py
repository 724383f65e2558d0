"""What was done to a deploy gate, and which events lock it? Reads and appends; the verdict is made in ``ops``.

What decides is the store's own clock: when an action was taken, and when an event's row was written. An event that was
late, because it waited in a spool, or because its writer's clock is wrong, is not hidden by an unlock that came before
it. For that, an action waits until whatever got an earlier time can be seen.

Source: contract clause H3.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec
from sqlalchemy import and_, func, insert, select, text

from tracegate.errors import StoreError
from tracegate.store.engine import is_postgresql
from tracegate.store.schema import deploy_gate, ops_event
from tracegate.store.text import restored, storable

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.sql.elements import ColumnElement

__all__ = [
    "LOCKING_KINDS",
    "ActionKind",
    "ActionRow",
    "CauseRow",
    "append_action",
    "begin_action",
    "has_events",
    "read_actions",
    "read_causes",
    "store_time",
]

ActionKind = Literal["lock", "unlock", "override", "init"]

LOCKING_KINDS: Final = ("missing_trace", "invalid_trace", "conflicting_trace")
"""Events of these kinds lock the gate of their service, where a route matched in mode ``require``."""

_LOCKING_MODE: Final = "require"
_NAMES: Final = msgspec.json.Decoder(tuple[str, ...])
_WRITERS_WAIT_SECONDS: Final = 5.0
_MILLISECOND: Final = 1_000

_ALONE: Final = text("SELECT pg_advisory_xact_lock(hashtext('tb_deploy_gate'), hashtext(:service))")
_CLOCK: Final = text("SELECT clock_timestamp()")
_WRITERS: Final = text(
    "SELECT virtualtransaction FROM pg_locks WHERE relation = 'tb_ops_event'::regclass AND locktype = 'relation'"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND mode = 'RowExclusiveLock' AND granted AND pid <> pg_backend_pid()"
)


class ActionRow(NamedTuple):
    """What somebody did to the gate.

    Attributes:
        kind: What.
        at: When, by the store's clock.
        until: When an override ends.
        accepts: What an unlock lets go on, each as ``ROUTE:KIND``.
        actor: Who.
        incident: The incident that an unlock names.
        trace_id: The trace that an unlock names.
        reason: Why.
        audit_id: Its row in the audit log.
    """

    kind: ActionKind
    at: datetime
    until: datetime | None = None
    accepts: frozenset[str] = frozenset()
    actor: str = ""
    incident: str = ""
    trace_id: str = ""
    reason: str = ""
    audit_id: str = ""


@dataclass(frozen=True, slots=True)
class CauseRow:
    """Events of one route, kind and mode.

    Attributes:
        route: The route's template; None where no route matched.
        kind: One of :data:`LOCKING_KINDS`.
        mode: The mode in force, None outside a request.
        trace_id: The trace of the first of them.
        first: When it happened, as its writer says.
        last: When the store got the newest.
        count: How many there are.
    """

    route: str | None
    kind: str
    mode: str | None
    trace_id: str
    first: datetime
    last: datetime
    count: int

    @property
    def locks(self) -> bool:
        """Whether they lock the gate; all others are only shown."""
        return self.route is not None and self.mode == _LOCKING_MODE


def read_actions(connection: Connection, service: str) -> list[ActionRow]:
    """Return what was done to the gate of *service*, in order."""
    gate = deploy_gate.c
    wanted = (
        select(
            gate.action,
            gate.action_time,
            gate.until_time,
            gate.accepts_json,
            gate.actor,
            gate.incident_id,
            gate.trace_id,
            gate.reason,
            gate.audit_id,
        )
        .where(gate.service == storable(service))
        .order_by(gate.action_time, gate.id)
    )
    return [_action(*row) for row in connection.execute(wanted)]


def read_causes(connection: Connection, service: str, *, after: datetime | None = None) -> list[CauseRow]:
    """Return the events of *service* that lock its gate, or would in another mode, the earliest first.

    Args:
        connection: In a transaction.
        service: Whose.
        after: Leave out what the store has had until then.
    """
    event = ops_event.c
    of_service = and_(event.service == storable(service), event.event_type.in_(LOCKING_KINDS))
    if after is not None:
        of_service = and_(of_service, event.created_at > after)
    group = (event.route, event.event_type, event.mode)
    first = func.min(event.event_time)
    wanted = select(*group, first, func.max(event.created_at), func.count()).where(of_service).group_by(*group)
    return [
        CauseRow(
            None if route is None else restored(route),
            kind,
            mode,
            _trace_of(connection, of_service, (route, kind, mode, first)),
            first,
            last,
            count,
        )
        for route, kind, mode, first, last, count in connection.execute(wanted.order_by(first)).all()
    ]


def has_events(connection: Connection, service: str) -> bool:
    """Return whether any event of *service* is kept."""
    wanted = select(ops_event.c.id).where(ops_event.c.service == storable(service)).limit(1)
    return connection.execute(wanted).first() is not None


def store_time(connection: Connection) -> datetime:
    """Return the time by the store's clock: the server's, or this machine's for a file."""
    if is_postgresql(connection):
        at: datetime = connection.execute(_CLOCK).scalar_one()
        return at.astimezone(UTC)
    return datetime.now(UTC)


def begin_action(connection: Connection, service: str) -> datetime:
    """Let nobody else act on the gate of *service* until the transaction ends, and return when this action happens.

    Every event that got an earlier time, or the same, can be seen from now on in this transaction; none gets such a
    time later.

    Raises:
        StoreError: Writers of events did not come to an end, or the clock is behind the newest action.
    """
    if is_postgresql(connection):
        connection.execute(_ALONE, {"service": storable(service)})
        at = store_time(connection)
        _await_writers(connection)
    else:  # the one writer of the file
        at = _end_of_millisecond()
    newest = connection.scalar(
        select(func.max(deploy_gate.c.action_time)).where(deploy_gate.c.service == storable(service))
    )
    if newest is not None and newest >= at:
        raise StoreError("the newest action is later than the store's clock: was the clock set back?")
    return at


def append_action(connection: Connection, service: str, action: ActionRow, *, audit_id: str) -> None:
    """Append what was done, within a transaction of :func:`~tracegate.store.engine.writing`.

    Args:
        connection: On which :func:`begin_action` gave the action's time.
        service: Whose gate.
        action: What.
        audit_id: The row of the audit log that the same transaction has written.
    """
    connection.execute(
        insert(deploy_gate).values(
            id=uuid.uuid4().hex,
            service=storable(service),
            action=action.kind,
            action_time=action.at,
            until_time=action.until,
            accepts_json=msgspec.json.encode(sorted(map(storable, action.accepts))).decode(),
            actor=storable(action.actor),
            incident_id=storable(action.incident) or None,
            trace_id=storable(action.trace_id) or None,
            reason=storable(action.reason) or None,
            audit_id=audit_id,
        )
    )


def _action(kind: ActionKind, at: datetime, until: datetime | None, accepts: str, *texts: str | None) -> ActionRow:
    try:
        names = _NAMES.decode(accepts)
    except msgspec.DecodeError:
        raise StoreError("an action on the gate cannot be read: who wrote it?") from None
    return ActionRow(kind, at, until, frozenset(map(restored, names)), *(restored(text or "") for text in texts))


def _trace_of(connection: Connection, of_service: ColumnElement[bool], group: tuple[Any, ...]) -> str:
    event = ops_event.c
    route, kind, mode, first = group
    same = and_(
        event.event_time == first,
        event.event_type == kind,
        event.route.is_not_distinct_from(route),
        event.mode.is_not_distinct_from(mode),
    )
    wanted = select(event.trace_id).where(of_service, same).order_by(event.id).limit(1)
    return restored(connection.execute(wanted).scalar_one())


def _await_writers(connection: Connection) -> None:
    """Wait for the end of every transaction that is writing events now: their rows may bear an earlier time.

    What PostgreSQL tells of locks, because to take a lock against them needs rights that no operator should need.
    """
    deadline = time.monotonic() + _WRITERS_WAIT_SECONDS
    waited_for = set(connection.scalars(_WRITERS))
    while waited_for:
        if time.monotonic() > deadline:
            raise StoreError("events have been in the middle of being written for too long; try again")
        time.sleep(0.01)
        waited_for.intersection_update(connection.scalars(_WRITERS))


def _end_of_millisecond() -> datetime:
    """Return the last moment of this millisecond, after it: SQLite stamps rows with nothing finer."""
    now = datetime.now(UTC)
    end = now.replace(microsecond=now.microsecond // _MILLISECOND * _MILLISECOND + _MILLISECOND - 1)
    while datetime.now(UTC) <= end:
        time.sleep(0.0002)
    return end
