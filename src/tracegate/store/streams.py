"""How do recorded streams get into the store, and how is one found and read again?

Times are compared by the store's own clock: who reads and who writes may be on two machines.

Source: contract clause D8.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, select, text, update

from tracegate.core.streams.recording import (
    Beginning,
    Chapter,
    Ending,
    Place,
    RecordedEvent,
    StreamKey,
    Trimming,
    numbered_id,
)
from tracegate.errors import MissingTraceError
from tracegate.store.engine import is_postgresql, reading, writing
from tracegate.store.schema import stream_event, stream_recording
from tracegate.store.text import restored, storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Engine, Row
    from sqlalchemy.sql.elements import ColumnElement

    from tracegate.core.streams.recording import Step
    from tracegate.core.streams.refusal import ResumeFault

__all__ = ["StreamStore", "drop_streams"]

_BEGINNING: Final = ("id", "tenant_id", "principal", "stream_key", "trace_id", "headers_json", "status")
_EVENT: Final = (
    *("id", "tenant_id", "principal", "stream_key", "recording_id", "event_seq"),
    *("event_id", "event_type", "payload", "trace_id"),
)
_CLOCK: Final = text("SELECT clock_timestamp()")
_CHAPTER_EVENTS: Final = 256
_CHAPTER_BYTES: Final = 1 << 20
_DROPPED_AT_ONCE: Final = 10_000


class StreamStore:
    """The tables of recorded streams. Safe to use from several threads, and from several processes at once.

    Args:
        engine: From :func:`~tracegate.store.engine.open_engine`; its tables are those of this version.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def write(self, steps: Sequence[Step]) -> None:
        """Write all of *steps* in one transaction; they are durable when this returns, and harmless to write again.

        Raises:
            MissingTraceError: One has no trace; nothing was written.
            StoreError: Not taken; to write the same again is safe, whatever has happened.
        """
        begun = [_beginning_row(step) for step in steps if isinstance(step, Beginning)]
        events = [_event_row(step) for step in steps if isinstance(step, RecordedEvent)]
        with writing(self.engine) as connection:
            _insert(connection, stream_recording.name, _BEGINNING, begun)
            _insert(connection, stream_event.name, _EVENT, events)
            now = _now(connection)
            for step in steps:
                if isinstance(step, Trimming):
                    connection.execute(delete(stream_event).where(*_up_to(step)))
                elif isinstance(step, Ending):
                    over = update(stream_recording).where(stream_recording.c.id == step.recording)
                    connection.execute(over.values(status=step.status, last_seq=step.last_seq, alive_at=now))

    def beat(self, recordings: Iterable[str]) -> None:
        """Say that the producers of *recordings* live.

        Raises:
            StoreError: Not taken.
        """
        with writing(self.engine) as connection:
            mine = stream_recording.c.id.in_(list(recordings))
            connection.execute(update(stream_recording).where(mine).values(alive_at=_now(connection)))

    def tidy(self, max_age_seconds: float) -> None:
        """Drop what nobody can resume any more.

        Raises:
            StoreError: Not done, or not all of it.
        """
        with reading(self.engine) as connection:
            now = _now(connection)
        drop_streams(self.engine, now - timedelta(seconds=max_age_seconds))

    def find(
        self, key: StreamKey, event_id: str, *, lease_seconds: float, max_age_seconds: float
    ) -> Place | ResumeFault:
        """Return where a client is that has the events up to *event_id*, or why it cannot go on from there.

        An id that tracegate gave is the only one of its kind. One of the application's own counts only in the newest
        recording of its key, and only where none before it has the same: it may be the client of the other one.

        Raises:
            StoreError: The store did not answer.
        """
        event, recording = stream_event.c, stream_recording.c
        mine = select(event.id, event.event_seq, event.event_id, event.created_at, *_RECORDING).join_from(
            stream_event, stream_recording, recording.id == event.recording_id
        )
        tenant, principal, name = map(storable, key)
        of_key = (event.tenant_id == tenant, event.principal == principal, event.stream_key == name)
        newest = select(func.max(recording.generation)).where(
            recording.tenant_id == tenant, recording.principal == principal, recording.stream_key == name
        )
        with reading(self.engine) as connection:
            found = connection.execute(mine.where(*of_key, event.event_id == storable(event_id)).limit(2)).all()
            if len(found) != 1:
                return "ambiguous" if found else "unknown"
            (row,) = found
            now = _now(connection)
            # Asked after the event: what has been committed between the two is newer, and so not overlooked.
            if row.event_id != row.id and row.generation != connection.scalar(newest):
                return "superseded"
            if now - row.created_at > timedelta(seconds=max_age_seconds):
                return "expired"
            return _survey(connection, row, live=_is_live(row, now, lease_seconds))

    def read(self, recording: str, after: int, *, lease_seconds: float) -> Chapter:
        """Return the events of a recording after number *after*: some of them, at most about a mebibyte.

        Raises:
            StoreError: The store did not answer.
        """
        event = stream_event.c
        with reading(self.engine) as connection:
            # The state first: what is written before it is said to be over is then there to be read.
            state = connection.execute(select(*_RECORDING).where(stream_recording.c.id == recording)).first()
            now = _now(connection)
            if state is None:
                return Chapter(end="gap")
            wanted = (event.recording_id == recording, event.event_seq > after)
            sizes = select(event.event_seq, func.length(event.payload)).where(*wanted).order_by(event.event_seq)
            last = _fitting([(row[0], row[1]) for row in connection.execute(sizes.limit(_CHAPTER_EVENTS))], after)
            if last is not None and last > after:
                rows = select(stream_event).where(*wanted, event.event_seq <= last).order_by(event.event_seq)
                return Chapter(tuple(map(_event_from, connection.execute(rows))))
        if last is None or (state.last_seq is not None and state.last_seq != after):
            return Chapter(end="gap")
        if state.status != "recording":
            return Chapter(end=state.status)
        return Chapter() if _is_live(state, now, lease_seconds) else Chapter(end="broken")


def drop_streams(engine: Engine, before: datetime) -> int:
    """Drop the recorded events from before *before*, and the recordings that nobody has added to since.

    Some at a time, each in a transaction of its own, so that nobody waits long.

    Returns:
        How many events were dropped.

    Raises:
        StoreError: The store did not take it; what is left is whole.
        ValueError: *before* names no time zone.
    """
    if before.tzinfo is None:
        raise ValueError("a time without a time zone")
    old = select(stream_event.c.id).where(stream_event.c.created_at < before).limit(_DROPPED_AT_ONCE)
    dropped = 0
    while True:
        with writing(engine) as connection:
            gone = connection.execute(delete(stream_event).where(stream_event.c.id.in_(old))).rowcount
        dropped += gone
        if gone < _DROPPED_AT_ONCE:
            break
    with writing(engine) as connection:
        connection.execute(delete(stream_recording).where(stream_recording.c.alive_at < before))
    return dropped


_RECORDING: Final = (
    stream_recording.c.id.label("recording_id"),
    *(stream_recording.c[name] for name in ("generation", "headers_json", "status", "last_seq", "alive_at")),
)


def _survey(connection: Connection, row: Row[Any], *, live: bool) -> Place | ResumeFault:
    """Return the place of the event *row*, or what is wrong with the events after it, as far as it can be told now."""
    event = stream_event.c
    later = (event.recording_id == row.recording_id, event.event_seq > row.event_seq)
    counted = select(func.count(), func.max(event.event_seq)).where(*later)
    count, last = connection.execute(counted).one()
    last = row.event_seq if last is None else last
    if count != last - row.event_seq or (row.last_seq is not None and row.last_seq != last):
        return "gap"
    if not count and (row.status == "broken" or (row.status == "recording" and not live)):
        return "broken"
    over = row.status == "ended" and not count
    return Place(row.recording_id, row.event_seq, restored(row.headers_json), over)


def _fitting(sizes: list[tuple[int, int]], after: int) -> int | None:
    """Return the last event of a chapter that begins after *after*; None: the next one is not there, a later one is."""
    last, room = after, _CHAPTER_BYTES
    for seq, size in sizes:
        if seq != last + 1:
            return last if last > after else None
        room -= size
        if room < 0 and last > after:
            break
        last = seq
    return last


def _is_live(recording: Row[Any], now: datetime, lease_seconds: float) -> bool:
    late: timedelta = now - recording.alive_at
    return recording.status == "recording" and late <= timedelta(seconds=lease_seconds)


def _now(connection: Connection) -> datetime:
    if not is_postgresql(connection):
        return datetime.now(UTC)
    now: datetime = connection.execute(_CLOCK).scalar_one()
    return now


def _up_to(step: Trimming) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return stream_event.c.recording_id == step.recording, stream_event.c.event_seq <= step.last_seq


def _beginning_row(step: Beginning) -> tuple[Any, ...]:
    if not step.trace_id:
        raise MissingTraceError(_UNTRACED)
    return (step.recording, *map(storable, (*step.key, step.trace_id, step.headers)), "recording")


def _event_row(step: RecordedEvent) -> tuple[Any, ...]:
    if not step.trace_id:
        raise MissingTraceError(_UNTRACED)
    event_id = None if step.event_id is None else storable(step.event_id)
    key = map(storable, step.key)
    own = numbered_id(step.recording, step.seq)
    kind, trace_id = storable(step.event_type), storable(step.trace_id)
    return (own, *key, step.recording, step.seq, event_id, kind, step.payload, trace_id)


def _event_from(row: Row[Any]) -> RecordedEvent:
    return RecordedEvent(
        row.recording_id,
        StreamKey(*map(restored, (row.tenant_id, row.principal, row.stream_key))),
        row.event_seq,
        None if row.event_id is None else restored(row.event_id),
        restored(row.event_type),
        bytes(row.payload),
        restored(row.trace_id),
    )


_UNTRACED: Final = "stream_event_trace_id_missing"


def _insert(connection: Connection, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
    if not rows:
        return
    marks = ", ".join(["%s" if is_postgresql(connection) else "?"] * len(columns))
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608 - names of ours
    connection.exec_driver_sql(statement, rows)
