"""How do events get into the store, and how are they found there?"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import bindparam, func, or_, select, text, true, tuple_

from tracegate.core.trace_id import parse_trace_id
from tracegate.errors import StoreError
from tracegate.store.engine import is_postgresql, reading, writing
from tracegate.store.refusal import code_of, reason_of
from tracegate.store.rows import COLUMNS, EVENT_COLUMNS, days_of, event_from, rows_of
from tracegate.store.schema import ops_event, trace_key
from tracegate.store.text import indexed, storable

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection, Engine, Select
    from sqlalchemy.sql.elements import ColumnElement

    from tracegate.core.events import Event

__all__ = ["EventKey", "EventQuery", "EventStore", "insert_events"]

_COPY_FROM: Final = 100
"""From how many rows on PostgreSQL's COPY is faster than inserts."""

_UNIQUE_VIOLATION: Final = "23505"
_CHECK_VIOLATION: Final = "23514"  # among others: no partition for the row
_MISSING_TRACE: Final = "missing_trace"
_ALSO_MISSING: Final = ("invalid_trace", "conflicting_trace")


class EventKey(NamedTuple):
    """Where an event stands among all others: the order of pages."""

    time: datetime
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Which events. What is None, or empty, does not narrow.

    Attributes:
        keyword: A part of the kind, error code, component or message, as it is spelled; ``missing_trace`` finds
            invalid and conflicting ones too (clause F1). ``%`` and ``_`` stand for themselves.
        since: The first time, inclusive.
        until: The last time, inclusive.
        tenant: Whose.
        service: Of which service.
        kinds: Of one of these kinds.
        trace_id: Any spelling of the number that the reply carried, that the client sent, or of the parent.
    """

    keyword: str = ""
    since: datetime | None = None
    until: datetime | None = None
    tenant: str | None = None
    service: str | None = None
    kinds: tuple[str, ...] = ()
    trace_id: str = ""


class EventStore:
    """The table of events. Safe to use from several threads, and from several processes at once.

    Args:
        engine: From :func:`~tracegate.store.engine.open_engine`; its tables are those of this version.
    """

    __slots__ = ("_days", "_engine")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._days: set[date] = set()

    def append(self, events: Sequence[Event]) -> int:
        """Write all of *events* in one transaction; they are durable when this returns.

        An event that is there already stays as it is: to append the same again is no fault and changes nothing.

        Returns:
            How many were new.

        Raises:
            StoreError: Not taken; to append the same again is safe, whatever has happened.
            ValueError: An event has no id or no time.
        """
        rows = rows_of(events, time_as_text=not is_postgresql(self._engine))
        if not rows:
            return 0
        if not is_postgresql(self._engine):
            with writing(self._engine) as connection:
                return _insert(connection, rows)
        self._make_days(days_of(rows))
        try:
            return self._put(rows)
        except _DayGoneError:  # retention has dropped a day that this process knew
            self._days.clear()
            self._make_days(days_of(rows))
            return self._put(rows)

    def find(
        self,
        query: EventQuery,
        *,
        limit: int = 100,
        offset: int = 0,
        after: EventKey | None = None,
        oldest_first: bool = False,
    ) -> list[Event]:
        """Return a page of events, the newest first, in an order that is the same each time.

        Args:
            query: Which.
            limit: At most so many.
            offset: Leave out so many; for clients that count pages.
            after: Go on behind this event, whatever has been added since: the key of the last one of a page.
            oldest_first: The other way round.

        Raises:
            StoreError: The store did not answer.
        """
        columns = (ops_event.c.event_time, ops_event.c.id)
        wanted = _narrowed(select(*EVENT_COLUMNS), query, self._engine)
        if after is not None:
            key, last = tuple_(*columns), tuple_(*_bound(after))
            wanted = wanted.where(key > last if oldest_first else key < last)
        order = columns if oldest_first else tuple(column.desc() for column in columns)
        with reading(self._engine) as connection:
            rows = connection.execute(wanted.order_by(*order).limit(limit).offset(offset)).all()
        return [event_from(row) for row in rows]

    def count(self, query: EventQuery) -> int:
        """Return how many events there are.

        Raises:
            StoreError: The store did not answer.
        """
        with reading(self._engine) as connection:
            wanted = _narrowed(select(func.count()).select_from(ops_event), query, self._engine)
            return connection.scalar(wanted) or 0

    def _put(self, rows: list[tuple[Any, ...]]) -> int:
        if len(rows) < _COPY_FROM:
            with writing(self._engine) as connection, _noticing(_CHECK_VIOLATION, _DayGoneError):
                return _insert(connection, rows)
        try:
            with writing(self._engine) as connection, _noticing(_CHECK_VIOLATION, _DayGoneError):
                with _noticing(_UNIQUE_VIOLATION, _KnownError):
                    _copy(connection, ops_event.name, rows)
                return len(rows)
        except _KnownError:  # a replay: rare, and worth a second way
            with writing(self._engine) as connection, _noticing(_CHECK_VIOLATION, _DayGoneError):
                return _merge(connection, rows)

    def _make_days(self, days: set[date]) -> None:
        """Make sure that there is a partition for each day; on its own, so that nobody waits for the rows."""
        for day in sorted(days - self._days):
            with writing(self._engine) as connection:
                connection.execute(text("SELECT tracegate_make_day(:day)"), {"day": day})
            self._days.add(day)


def insert_events(connection: Connection, events: Sequence[Event]) -> int:
    """Write *events* within a transaction of :func:`~tracegate.store.engine.writing`, with what else belongs to it.

    Returns:
        How many were new.

    Raises:
        ValueError: An event has no id or no time.
    """
    rows = rows_of(events, time_as_text=not is_postgresql(connection))
    if is_postgresql(connection):
        for day in sorted(days_of(rows)):
            connection.execute(text("SELECT tracegate_make_day(:day)"), {"day": day})
    return _insert(connection, rows) if rows else 0


def _narrowed(wanted: Select[Any], query: EventQuery, engine: Engine) -> Select[Any]:
    event = ops_event.c
    conditions: list[ColumnElement[bool]] = [true()]
    if query.keyword:
        conditions.append(_mentions(query.keyword, engine))
    if query.since is not None:
        conditions.append(event.event_time >= query.since)
    if query.until is not None:
        conditions.append(event.event_time <= query.until)
    if query.tenant is not None:
        conditions.append(event.tenant_id == indexed(query.tenant))
    if query.service is not None:
        conditions.append(event.service == storable(query.service))
    if query.kinds:
        conditions.append(event.event_type.in_([storable(kind) for kind in query.kinds]))
    if query.trace_id:
        conditions.append(_names(query.trace_id))
    return wanted.where(*conditions)


def _mentions(keyword: str, engine: Engine) -> ColumnElement[bool]:
    # Not LIKE: its wildcards would have to be escaped, and SQLite's ignores the case of ASCII letters only.
    position = func.strpos if is_postgresql(engine) else func.instr
    event = ops_event.c
    searched = (event.event_type, event.error_code, event.component, event.message)
    found = [position(column, storable(keyword)) > 0 for column in searched]
    if keyword == _MISSING_TRACE:
        found.append(event.event_type.in_(_ALSO_MISSING))
    return or_(*found)


def _names(trace_id: str) -> ColumnElement[bool]:
    columns = (ops_event.c.trace_id, ops_event.c.client_trace_id, ops_event.c.parent_trace_id)
    parsed = parse_trace_id(trace_id.encode("utf-8", "surrogatepass"))
    spelled = storable(trace_id)
    key = parsed.w3c if parsed is not None else spelled.replace("-", "").lower()
    found = [trace_key(column) == key for column in columns]
    if parsed is None:  # another fleet's format: equal as it is spelled, and the index narrows
        found = [same & (column == spelled) for same, column in zip(found, columns, strict=True)]
    return or_(*found)


def _bound(key: EventKey) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    event = ops_event.c
    return bindparam(None, key.time, event.event_time.type), bindparam(None, storable(key.id), event.id.type)


# Writing: text of SQL and rows of values, because Core's way of making both costs more than the store itself.


class _KnownError(StoreError):
    """A row is there already."""


class _DayGoneError(StoreError):
    """There is no partition for a row; or a constraint that somebody has added is against it."""


@contextmanager
def _noticing(code: str, instead: type[StoreError]) -> Generator[None]:
    """Raise *instead* for a driver's error with *code*."""
    try:
        yield
    except Exception as error:
        if code_of(error) != code:
            raise
        raise instead(reason_of(error), final=True) from None


_NAMES: Final = ", ".join(COLUMNS)


def _insert(connection: Connection, rows: list[tuple[Any, ...]]) -> int:
    mark = "%s" if is_postgresql(connection) else "?"
    marks = ", ".join([mark] * len(COLUMNS))
    statement = f"INSERT INTO {ops_event.name} ({_NAMES}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608 - names of ours
    return connection.exec_driver_sql(statement, rows).rowcount


def _copy(connection: Connection, table: str, rows: list[tuple[Any, ...]]) -> None:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({_NAMES}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _merge(connection: Connection, rows: list[tuple[Any, ...]]) -> int:
    """Insert those that are not there yet, by way of a temporary table."""
    copied = f"{ops_event.name}_copied"
    empty = f"SELECT {_NAMES} FROM {ops_event.name} WITH NO DATA"  # noqa: S608 - same
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {copied} ON COMMIT DROP AS {empty}")
    _copy(connection, copied, rows)
    in_order = f"SELECT {_NAMES} FROM {copied} ORDER BY event_time, id ON CONFLICT DO NOTHING"  # noqa: S608 - same
    return connection.exec_driver_sql(f"INSERT INTO {ops_event.name} ({_NAMES}) {in_order}").rowcount
