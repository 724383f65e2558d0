"""Which tables are kept, and how is each column named and typed? The only place that names the tables.

The columns are those of docs/reference/SYSTEM.md, section 5, where it has one, else those of contract clause F2. Text
is stored byte for byte, JSON too; an absent value is NULL only where an event can lack it: what is refused before its
tenant is known still has a row. Times are UTC with microseconds.

Source: contract clauses H1, F2, H2, D8 and H3.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    FetchedValue,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql.elements import ColumnElement
    from sqlalchemy.types import TypeEngine

__all__ = [
    "APPEND_ONLY",
    "METADATA",
    "UtcTime",
    "api_metric_hourly",
    "as_stored_time",
    "audit_checkpoint",
    "audit_head",
    "audit_log",
    "data_retention_run",
    "deploy_gate",
    "metric_rollup",
    "ops_event",
    "reply_count",
    "stream_event",
    "stream_recording",
    "trace_key",
]


def as_stored_time(time: datetime) -> str:
    """Return *time* as SQLite keeps it: 27 characters of ISO 8601, UTC, so that text order is time order.

    Raises:
        ValueError: *time* names no time zone.
    """
    if time.tzinfo is None:
        raise ValueError("a time without a time zone")
    return f"{time.astimezone(UTC).isoformat(timespec='microseconds')[:26]}Z"


class UtcTime(TypeDecorator[datetime]):
    """An aware time: ``timestamptz`` on PostgreSQL, text on SQLite."""

    impl = String(27)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column's type."""
        return dialect.type_descriptor(TIMESTAMP(timezone=True) if dialect.name == "postgresql" else String(27))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: ANN401 - the driver's value
        """Return what the driver takes."""
        if value is None:
            return None
        return value if dialect.name == "postgresql" and value.tzinfo else as_stored_time(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ANN401, ARG002 - as above
        """Return an aware time, UTC."""
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        return None if value is None else value.astimezone(UTC)


METADATA = MetaData()

_ORDERED_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Compared byte by byte on both stores, whatever the locale of the server."""


def _created_at() -> Column[datetime]:
    """When the row was written, by the store's own clock."""
    return Column("created_at", UtcTime, nullable=False, server_default=FetchedValue())


def trace_key(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return what two spellings of one number share (clause A1), for a canonical spelling in *column*; indexed."""
    return func.lower(func.replace(column, text("'-'"), text("''")))


ops_event = Table(
    "tb_ops_event",
    METADATA,
    Column("id", _ORDERED_TEXT, nullable=False),
    Column("event_time", UtcTime, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("component", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("error_code", Text),
    Column("metric_key", Text, nullable=False),
    Column("metric_value", BigInteger, nullable=False),
    Column("dimensions_json", Text),
    Column("trace_id", Text, nullable=False),
    Column("client_trace_id", Text),
    Column("parent_trace_id", Text),
    Column("incident_id", Text),
    Column("tenant_id", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("instance", Text, nullable=False),
    Column("route", Text),
    Column("method", Text),
    Column("transport", Text),
    Column("stage", Text, nullable=False),
    Column("status", Integer),
    Column("refused_status", Integer),
    Column("mode", Text),
    Column("detail", Text),
    Column("would_refuse", Boolean, nullable=False),
    _created_at(),
    # An id names one event and an event has one time: the time stands first because days are partitions, and pages.
    PrimaryKeyConstraint("event_time", "id", name="pk_ops_event"),
    Index("ix_ops_event_tenant", "tenant_id", "event_time"),
    Index("ix_ops_event_service", "service", "event_time"),
    sqlite_with_rowid=False,
    postgresql_partition_by="RANGE (event_time)",
)
Index("ix_ops_event_trace", trace_key(ops_event.c.trace_id))
for _name in ("client_trace_id", "parent_trace_id"):
    _given = ops_event.c[_name].is_not(None)
    Index(f"ix_ops_event_{_name}", trace_key(ops_event.c[_name]), postgresql_where=_given, sqlite_where=_given)

api_metric_hourly = Table(
    "tb_api_metric_hourly",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("hour_bucket_utc", UtcTime, nullable=False),
    Column("metric_key", Text, nullable=False),
    Column("metric_value", Double, nullable=False),  # a count, or a percentage
    Column("updated_at", UtcTime, nullable=False),
    UniqueConstraint("tenant_id", "hour_bucket_utc", "metric_key", name="uq_api_metric_hourly"),
)

reply_count = Table(
    "tb_reply_count",
    METADATA,
    Column("minute_utc", UtcTime, nullable=False),
    Column("service", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("instance", Text, nullable=False),  # one process from its start to its end
    Column("requests", BigInteger, nullable=False),
    Column("replies", BigInteger, nullable=False),
    Column("traced_replies", BigInteger, nullable=False),
    Column("sse_events", BigInteger, nullable=False),
    Column("flushed_at", UtcTime, nullable=False),  # by the store's own clock
    PrimaryKeyConstraint("service", "minute_utc", "tenant_id", "instance", name="pk_reply_count"),
    Index("ix_reply_count_minute", "minute_utc"),
    Index("ix_reply_count_flushed", "flushed_at"),
    sqlite_with_rowid=False,
)

metric_rollup = Table(
    "tb_metric_rollup",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("seen_until", UtcTime, nullable=False),  # what the store got before this is in tb_api_metric_hourly
)

audit_log = Table(
    "tb_audit_log",
    METADATA,
    Column("id", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("action_type", Text, nullable=False),
    Column("actor_user_id", Text),
    Column("actor_role", Text),
    Column("actor_address", Text),
    Column("channel", Text),
    Column("target_type", Text),
    Column("target_id", Text),
    Column("to_version", Text),
    Column("incident_id", Text),
    Column("step", Text),
    Column("root_trace_id", Text),
    Column("action_trace_id", Text),
    Column("reason", Text),
    Column("result_code", Text),
    Column("before_json", Text),
    Column("after_json", Text),
    Column("created_at", UtcTime, nullable=False),  # in the chain, so it is the writer's
    Column("chain_seq", BigInteger, nullable=False),
    Column("hash_prev", Text, nullable=False),
    Column("hash_curr", Text, nullable=False),
    Column("hash_algo", Text, nullable=False),
    CheckConstraint("chain_seq >= 1", name="ck_audit_log_chain_seq"),
    PrimaryKeyConstraint("tenant_id", "chain_seq", name="pk_audit_log"),
    UniqueConstraint("id", name="uq_audit_log_id"),
    Index("ix_audit_log_created", "tenant_id", "created_at"),
    Index("ix_audit_log_incident", "incident_id"),
    Index("ix_audit_log_target", "target_type", "target_id"),
    sqlite_with_rowid=False,
)
Index("ix_audit_log_trace", trace_key(audit_log.c.trace_id))

audit_head = Table(
    "tb_audit_head",
    METADATA,
    Column("tenant_id", Text, primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
    Column("last_hash", Text, nullable=False),
    Column("signature", Text),  # where the newest row was made with a key
    Column("updated_at", UtcTime, nullable=False),
)

audit_checkpoint = Table(
    "tb_audit_checkpoint",
    METADATA,
    Column("tenant_id", Text, nullable=False),
    Column("chain_seq", BigInteger, nullable=False),
    Column("chain_hash", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("signed_at", UtcTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "chain_seq", "key_id", name="pk_audit_checkpoint"),
    sqlite_with_rowid=False,
)

stream_recording = Table(
    "tb_stream_recording",  # one reply that is, or was, recorded: several may have had the same key
    METADATA,
    Column("generation", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),  # in the order of the store
    Column("id", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("stream_key", Text, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("headers_json", Text, nullable=False),  # of the reply, those that a resumed one has too
    Column("status", Text, nullable=False),
    Column("last_seq", BigInteger),  # NULL while it is recorded
    Column("alive_at", UtcTime, nullable=False, server_default=FetchedValue()),  # when its producer was last heard of
    _created_at(),
    CheckConstraint("trace_id <> ''", name="ck_stream_recording_trace_id"),
    CheckConstraint("status IN ('recording', 'ended', 'broken')", name="ck_stream_recording_status"),
    UniqueConstraint("id", name="uq_stream_recording_id"),
    Index("ix_stream_recording_key", "tenant_id", "principal", "stream_key", "generation"),
)

stream_event = Table(
    "tb_stream_event",
    METADATA,
    Column("id", Text, primary_key=True),  # the recording's id, a dot and the sequence number
    Column("tenant_id", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("stream_key", Text, nullable=False),
    Column("recording_id", Text, nullable=False),
    Column("event_seq", BigInteger, nullable=False),
    Column("event_id", Text),  # the `id:` that the client got; NULL: none
    Column("event_type", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),  # the application's bytes
    Column("trace_id", Text, nullable=False),
    _created_at(),
    CheckConstraint("trace_id <> ''", name="ck_stream_event_trace_id"),
    CheckConstraint("event_seq >= 1", name="ck_stream_event_seq"),
    UniqueConstraint("recording_id", "event_seq", name="uq_stream_event_seq"),
    Index("ix_stream_event_key", "tenant_id", "principal", "stream_key", "event_id"),
    Index("ix_stream_event_created", "created_at"),
)
Index("ix_stream_event_trace", trace_key(stream_event.c.trace_id))

deploy_gate = Table(
    "tb_deploy_gate",
    METADATA,
    Column("id", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("action", Text, nullable=False),  # lock, unlock, override, init
    Column("action_time", UtcTime, nullable=False),
    Column("until_time", UtcTime),
    Column("accepts_json", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("incident_id", Text),
    Column("trace_id", Text),
    Column("reason", Text),
    Column("audit_id", Text, nullable=False),
    CheckConstraint("action IN ('lock', 'unlock', 'override', 'init')", name="ck_deploy_gate_action"),
    PrimaryKeyConstraint("service", "action_time", "id", name="pk_deploy_gate"),
    sqlite_with_rowid=False,
)

data_retention_run = Table(
    "tb_data_retention_run",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("table_name", Text, nullable=False),
    Column("dropped_before", UtcTime, nullable=False),
    Column("tenant_id", Text),  # of the audit rows that went; NULL for events
    Column("chain_seq", BigInteger),  # the last of them: a signed checkpoint
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),  # NULL only inside the transaction that drops
    Column("dropped_rows", BigInteger),
)

APPEND_ONLY = (ops_event, audit_log, audit_checkpoint, deploy_gate)
"""No row of these is changed or deleted: triggers see to it, on both stores."""
