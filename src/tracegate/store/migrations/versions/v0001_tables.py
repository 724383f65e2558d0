"""Which tables are there? The four of the runbook, and what they need."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

__all__ = ["branch_labels", "depends_on", "down_revision", "downgrade", "revision", "upgrade"]

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    "tb_ops_event", "tb_api_metric_hourly", "tb_audit_log", "tb_audit_head", "tb_audit_checkpoint",
    "tb_stream_recording", "tb_stream_event", "tb_deploy_gate", "tb_data_retention_run",
    "tb_reply_count", "tb_metric_rollup",
)  # fmt: skip


def upgrade() -> None:
    """Make the tables and their indexes."""
    _ops_event()
    _api_metric_hourly()
    _audit_log()
    _audit_anchors()
    _streams()
    _deploy_gate()
    _data_retention_run()
    _traffic()


def downgrade() -> None:
    """Drop the tables, and all that is in them."""
    for name in reversed(_TABLES):
        op.drop_table(name)


def _time(name: str, *, nullable: bool = False, default: bool = False) -> sa.Column[object]:
    on_postgresql = op.get_context().dialect.name == "postgresql"
    kind = postgresql.TIMESTAMP(timezone=True) if on_postgresql else sa.String(27)
    now = "clock_timestamp()" if on_postgresql else "(strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')"
    return sa.Column(name, kind, nullable=nullable, server_default=sa.text(now) if default else None)


def _texts(*names: str, nullable: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=nullable) for name in names]


def _index_trace(table: str, name: str, column: str = "trace_id", *, given: bool = False) -> None:
    where = sa.text(f"{column} IS NOT NULL") if given else None
    key = sa.text(f"lower(replace({column}, '-', ''))")
    op.create_index(name, table, [key], postgresql_where=where, sqlite_where=where)


def _ops_event() -> None:
    op.create_table(
        "tb_ops_event",
        sa.Column("id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        _time("event_time"),
        *_texts("event_type", "severity", "component", "message"),
        *_texts("error_code", nullable=True),
        *_texts("metric_key"),
        sa.Column("metric_value", sa.BigInteger(), nullable=False),
        *_texts("dimensions_json", nullable=True),
        *_texts("trace_id"),
        *_texts("client_trace_id", "parent_trace_id", "incident_id", nullable=True),
        *_texts("tenant_id", "service", "instance"),
        *_texts("route", "method", "transport", nullable=True),
        *_texts("stage"),
        sa.Column("status", sa.Integer()),
        sa.Column("refused_status", sa.Integer()),
        *_texts("mode", "detail", nullable=True),
        sa.Column("would_refuse", sa.Boolean(), nullable=False),
        _time("created_at", default=True),
        sa.PrimaryKeyConstraint("event_time", "id", name="pk_ops_event"),
        sqlite_with_rowid=False,
        postgresql_partition_by="RANGE (event_time)",
    )
    op.create_index("ix_ops_event_tenant", "tb_ops_event", ["tenant_id", "event_time"])
    op.create_index("ix_ops_event_service", "tb_ops_event", ["service", "event_time"])
    _index_trace("tb_ops_event", "ix_ops_event_trace")
    for column in ("client_trace_id", "parent_trace_id"):
        _index_trace("tb_ops_event", f"ix_ops_event_{column}", column, given=True)


def _api_metric_hourly() -> None:
    op.create_table(
        "tb_api_metric_hourly",
        sa.Column("id", sa.Text(), primary_key=True),
        *_texts("tenant_id"),
        _time("hour_bucket_utc"),
        *_texts("metric_key"),
        sa.Column("metric_value", sa.Double[float](), nullable=False),
        _time("updated_at"),
        sa.UniqueConstraint("tenant_id", "hour_bucket_utc", "metric_key", name="uq_api_metric_hourly"),
    )


def _audit_log() -> None:
    op.create_table(
        "tb_audit_log",
        *_texts("id", "tenant_id", "trace_id", "action_type"),
        *_texts("actor_user_id", "actor_role", "actor_address", "channel", nullable=True),
        *_texts("target_type", "target_id", "to_version", nullable=True),
        *_texts("incident_id", "step", "root_trace_id", "action_trace_id", nullable=True),
        *_texts("reason", "result_code", "before_json", "after_json", nullable=True),
        _time("created_at"),
        sa.Column("chain_seq", sa.BigInteger(), nullable=False),
        *_texts("hash_prev", "hash_curr", "hash_algo"),
        sa.CheckConstraint("chain_seq >= 1", name="ck_audit_log_chain_seq"),
        sa.PrimaryKeyConstraint("tenant_id", "chain_seq", name="pk_audit_log"),
        sa.UniqueConstraint("id", name="uq_audit_log_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_audit_log_created", "tb_audit_log", ["tenant_id", "created_at"])
    op.create_index("ix_audit_log_incident", "tb_audit_log", ["incident_id"])
    op.create_index("ix_audit_log_target", "tb_audit_log", ["target_type", "target_id"])
    _index_trace("tb_audit_log", "ix_audit_log_trace")


def _audit_anchors() -> None:
    op.create_table(
        "tb_audit_head",
        sa.Column("tenant_id", sa.Text(), primary_key=True),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        *_texts("last_hash"),
        *_texts("signature", nullable=True),
        _time("updated_at"),
    )
    op.create_table(
        "tb_audit_checkpoint",
        *_texts("tenant_id"),
        sa.Column("chain_seq", sa.BigInteger(), nullable=False),
        *_texts("chain_hash", "key_id", "signature"),
        _time("signed_at"),
        sa.PrimaryKeyConstraint("tenant_id", "chain_seq", "key_id", name="pk_audit_checkpoint"),
        sqlite_with_rowid=False,
    )


def _streams() -> None:
    op.create_table(
        "tb_stream_recording",
        sa.Column("generation", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        *_texts("id", "tenant_id", "principal", "stream_key", "trace_id", "headers_json", "status"),
        sa.Column("last_seq", sa.BigInteger()),
        _time("alive_at", default=True),
        _time("created_at", default=True),
        sa.CheckConstraint("trace_id <> ''", name="ck_stream_recording_trace_id"),
        sa.CheckConstraint("status IN ('recording', 'ended', 'broken')", name="ck_stream_recording_status"),
        sa.UniqueConstraint("id", name="uq_stream_recording_id"),
    )
    key = ["tenant_id", "principal", "stream_key"]
    op.create_index("ix_stream_recording_key", "tb_stream_recording", [*key, "generation"])
    op.create_table(
        "tb_stream_event",
        sa.Column("id", sa.Text(), primary_key=True),
        *_texts("tenant_id", "principal", "stream_key", "recording_id"),
        sa.Column("event_seq", sa.BigInteger(), nullable=False),
        *_texts("event_id", nullable=True),
        *_texts("event_type"),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        *_texts("trace_id"),
        _time("created_at", default=True),
        sa.CheckConstraint("trace_id <> ''", name="ck_stream_event_trace_id"),
        sa.CheckConstraint("event_seq >= 1", name="ck_stream_event_seq"),
        sa.UniqueConstraint("recording_id", "event_seq", name="uq_stream_event_seq"),
    )
    op.create_index("ix_stream_event_key", "tb_stream_event", [*key, "event_id"])
    op.create_index("ix_stream_event_created", "tb_stream_event", ["created_at"])
    _index_trace("tb_stream_event", "ix_stream_event_trace")


def _deploy_gate() -> None:
    op.create_table(
        "tb_deploy_gate",
        *_texts("id", "service", "action"),
        _time("action_time"),
        _time("until_time", nullable=True),
        *_texts("accepts_json", "actor"),
        *_texts("incident_id", "trace_id", "reason", nullable=True),
        *_texts("audit_id"),
        sa.CheckConstraint("action IN ('lock', 'unlock', 'override', 'init')", name="ck_deploy_gate_action"),
        sa.PrimaryKeyConstraint("service", "action_time", "id", name="pk_deploy_gate"),
        sqlite_with_rowid=False,
    )


def _data_retention_run() -> None:
    op.create_table(
        "tb_data_retention_run",
        sa.Column("id", sa.Text(), primary_key=True),
        *_texts("table_name"),
        _time("dropped_before"),
        *_texts("tenant_id", nullable=True),
        sa.Column("chain_seq", sa.BigInteger()),
        _time("started_at"),
        _time("ended_at", nullable=True),
        sa.Column("dropped_rows", sa.BigInteger()),
    )


def _traffic() -> None:
    op.create_table(
        "tb_reply_count",
        _time("minute_utc"),
        *_texts("service", "tenant_id", "instance"),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("requests", "replies")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("traced_replies", "sse_events")),
        _time("flushed_at"),
        sa.PrimaryKeyConstraint("service", "minute_utc", "tenant_id", "instance", name="pk_reply_count"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_reply_count_minute", "tb_reply_count", ["minute_utc"])
    op.create_index("ix_reply_count_flushed", "tb_reply_count", ["flushed_at"])
    op.create_table("tb_metric_rollup", sa.Column("id", sa.Text(), primary_key=True), _time("seen_until"))
