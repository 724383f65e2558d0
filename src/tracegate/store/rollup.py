"""What do the requests and events of an hour come to? Recomputes ``tb_api_metric_hourly`` from what is kept.

An hour is always computed whole, from all that belongs to it, and its rows are replaced where they differ. So it does
not matter how often that is done, where a run ended before, or how late an event came.

Source: docs/metrics.md; contract clause H1.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Text, and_, cast, delete, func, insert, select, text, update

from tracegate.core.events import KIND_BY_DETAIL
from tracegate.store.engine import is_postgresql, reading, writing
from tracegate.store.gate import store_time
from tracegate.store.schema import api_metric_hourly, data_retention_run, metric_rollup, ops_event, reply_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Column, Connection, Engine
    from sqlalchemy.sql.elements import ColumnElement

__all__ = ["roll_up_new", "rollup"]

_HOUR: Final = timedelta(hours=1)
_MARGIN: Final = timedelta(minutes=10)
"""For so long a transaction may have been writing what it dated before the last run, and committed after it."""

_NAME: Final = "hourly"
_ALONE: Final = text("SELECT pg_advisory_xact_lock(hashtext('tb_api_metric_hourly'), :hour)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_Metrics = dict[tuple[str, str], float]
"""Values by tenant and metric key."""


def roll_up_new(engine: Engine) -> int:
    """Recompute each hour to which anything has come since the last run, however long ago the hour was.

    Returns:
        How many hours were looked at.

    Raises:
        StoreError: The store did not take it; the next run begins where the last complete one did.
    """
    with reading(engine) as connection:
        now = store_time(connection)  # before what it says has been seen
        seen = connection.scalar(select(metric_rollup.c.seen_until).where(metric_rollup.c.id == _NAME))
        since = None if seen is None else seen - _MARGIN
        hours = _hours(connection, ops_event.c.event_time, ops_event.c.created_at, since)
        hours |= _hours(connection, reply_count.c.minute_utc, reply_count.c.flushed_at, since)
    for hour in sorted(hours):
        _recompute(engine, hour)
    _note_seen(engine, now)
    return len(hours)


def rollup(engine: Engine, from_hour: datetime, to_hour: datetime) -> int:
    """Recompute each hour that anything was kept of, or that has rows.

    Args:
        engine: The store.
        from_hour: In the first hour, aware.
        to_hour: The hour in which this is is the first one that is left alone, unless it began before this.

    Returns:
        How many hours were looked at.

    Raises:
        StoreError: The store did not take it; the hours before the one at fault are recomputed.
    """
    start = _hour_of(from_hour)
    hours: set[datetime] = set()
    with reading(engine) as connection:
        for column in (ops_event.c.event_time, reply_count.c.minute_utc, api_metric_hourly.c.hour_bucket_utc):
            hours |= _hours(connection, column, column, start, to_hour)
    for hour in sorted(hours):
        _recompute(engine, hour)
    return len(hours)


def _hours(
    connection: Connection,
    time: Column[datetime],
    by: Column[datetime],
    since: datetime | None,
    until: datetime | None = None,
) -> set[datetime]:
    """Return the hours of *time* in rows whose *by* is from *since* on, and before *until*."""
    if is_postgresql(connection):
        hour: ColumnElement[Any] = func.to_char(func.timezone(text("'UTC'"), time), text("'YYYY-MM-DD\"T\"HH24'"))
    else:
        hour = func.substr(cast(time, Text), text("1"), text("13"))
    wanted = select(hour).distinct()
    if since is not None:
        wanted = wanted.where(by >= since)
    if until is not None:
        wanted = wanted.where(by < until)
    return {datetime.fromisoformat(f"{found}:00:00+00:00") for found in connection.scalars(wanted)}


def _hour_of(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _recompute(engine: Engine, hour: datetime) -> None:
    """Replace what differs in the rows of one hour, in one transaction, alone."""
    with writing(engine) as connection:
        if is_postgresql(connection):
            connection.execute(_ALONE, {"hour": (hour - _EPOCH) // _HOUR})
        wanted = {**_of_counts(connection, hour), **_of_events(connection, hour)}
        if _is_dropped(connection, hour):  # asked last: what was dropped meanwhile was not seen
            return
        metric = api_metric_hourly.c
        rows = connection.execute(
            select(metric.tenant_id, metric.metric_key, metric.metric_value).where(metric.hour_bucket_utc == hour)
        )
        found: _Metrics = {(tenant, key): value for tenant, key, value in rows}
        changed = [_row(hour, key, value) for key, value in sorted(wanted.items()) if found.get(key) != value]
        gone = [_id(hour, key) for key in [*found] if wanted.get(key) != found[key]]
        if gone:
            connection.execute(delete(api_metric_hourly).where(metric.id.in_(gone)))
        if changed:
            at = store_time(connection)
            connection.execute(insert(api_metric_hourly), [{**row, "updated_at": at} for row in changed])


def _of_counts(connection: Connection, hour: datetime) -> _Metrics:
    count = reply_count.c
    names = ("requests", "replies", "traced_replies", "sse_events")
    wanted = select(count.tenant_id, *(func.sum(count[name]) for name in names)).where(_within(count.minute_utc, hour))
    found: _Metrics = {}
    rows: Sequence[Any] = connection.execute(wanted.group_by(count.tenant_id)).all()
    for tenant, requests, replies, traced, events in rows:
        found[tenant, "requests_total"] = float(requests)
        found[tenant, "replies_total"] = float(replies)
        found[tenant, "traced_replies_total"] = float(traced)
        found[tenant, "sse_events_total"] = float(events)
        if replies:
            found[tenant, "trace_coverage_pct"] = 100.0 * float(traced) / float(replies)
        found.update({(tenant, key): 0.0 for key in _OF_EVENTS})
    return found


_OF_EVENTS: Final = ("missing_trace_event_count", "refusals_total", "broken_streams_total")


def _of_events(connection: Connection, hour: datetime) -> _Metrics:
    event = ops_event.c
    group = (event.tenant_id, event.event_type, event.error_code, event.detail, event.would_refuse)
    found: dict[tuple[str, str], int] = {}
    wanted = select(*group, func.count()).where(_within(event.event_time, hour)).group_by(*group)
    rows: Sequence[Any] = connection.execute(wanted).all()
    for tenant, kind, code, detail, delivered, events in rows:
        is_refusal = detail in KIND_BY_DETAIL and not delivered
        keys: dict[str, bool] = {
            "missing_trace_event_count": kind == "missing_trace",
            "refusals_total": is_refusal,
            "broken_streams_total": kind == "stream_broken",
        }
        more = [f"refusals_total.{kind}"] if is_refusal else []
        more += [f"error_code_total.{code}"] if code is not None else []
        for key in (*keys, *more):
            found[tenant, key] = found.get((tenant, key), 0) + events * keys.get(key, True)
    return {key: float(value) for key, value in found.items()}


def _within(time: Column[datetime], hour: datetime) -> ColumnElement[bool]:
    return and_(time >= hour, time < hour + _HOUR)


def _is_dropped(connection: Connection, hour: datetime) -> bool:
    """Return whether retention has dropped something of the hour: its rows stay as they were."""
    run = data_retention_run.c
    of_hours = run.table_name.in_((ops_event.name, reply_count.name))
    dropped = connection.scalar(select(func.max(run.dropped_before)).where(of_hours, run.dropped_rows > 0))
    return dropped is not None and hour < dropped


def _row(hour: datetime, key: tuple[str, str], value: float) -> dict[str, Any]:
    tenant, name = key
    return {
        "id": _id(hour, key),
        "tenant_id": tenant,
        "hour_bucket_utc": hour,
        "metric_key": name,
        "metric_value": value,
    }


def _id(hour: datetime, key: tuple[str, str]) -> str:
    tenant, name = key
    return hashlib.sha256(f"{tenant}\0{hour.isoformat()}\0{name}".encode()).hexdigest()[:32]


def _note_seen(engine: Engine, until: datetime) -> None:
    """Note that what came before *until* is in the hours; a run that began earlier says nothing new."""
    row = metric_rollup.c
    with writing(engine) as connection:
        if is_postgresql(connection):
            connection.execute(_ALONE, {"hour": -1})
        if connection.scalar(select(row.id).where(row.id == _NAME)) is None:
            connection.execute(insert(metric_rollup).values(id=_NAME, seen_until=until))
        else:
            later = and_(row.id == _NAME, row.seen_until < until)
            connection.execute(update(metric_rollup).where(later).values(seen_until=until))
