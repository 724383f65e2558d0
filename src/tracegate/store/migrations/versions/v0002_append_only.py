"""Who may change or delete what was written? Nobody: triggers refuse it, and the only door is that of retention.

The door is an open run in ``tb_data_retention_run``, which retention closes in the same transaction. An event may go on
SQLite while a run covers its time; PostgreSQL drops whole partitions. An audit row may go, on both, while a run names
its tenant and a checkpoint of its chain at or behind it, and no row before it stays: SQLite asks that row by row, in
the order of the chain, PostgreSQL after the statement.

``INSERT OR REPLACE`` deletes without asking the delete trigger, so an insert of a known key is caught before: an event
is the same event again and is left out, any other row is refused.

Source: contract clause H1.
"""

from __future__ import annotations

from alembic import op

__all__ = ["branch_labels", "depends_on", "down_revision", "downgrade", "revision", "upgrade"]

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEYS = {
    "tb_ops_event": "event_time = NEW.event_time AND id = NEW.id",
    "tb_audit_log": "(tenant_id = NEW.tenant_id AND chain_seq = NEW.chain_seq) OR id = NEW.id",
    "tb_audit_checkpoint": "tenant_id = NEW.tenant_id AND chain_seq = NEW.chain_seq AND key_id = NEW.key_id",
    "tb_deploy_gate": "service = NEW.service AND action_time = NEW.action_time AND id = NEW.id",
}

_RUN_TO_CHECKPOINT = (
    "EXISTS (SELECT 1 FROM tb_data_retention_run AS run JOIN tb_audit_checkpoint AS kept"
    " ON kept.tenant_id = run.tenant_id AND kept.chain_seq = run.chain_seq"
    " WHERE run.table_name = 'tb_audit_log' AND run.ended_at IS NULL"
    " AND run.tenant_id = OLD.tenant_id AND OLD.chain_seq <= run.chain_seq)"
)

_DOORS_ON_SQLITE = {
    "tb_ops_event": (
        "WHEN NOT EXISTS (SELECT 1 FROM tb_data_retention_run"
        " WHERE table_name = 'tb_ops_event' AND ended_at IS NULL AND OLD.event_time < dropped_before)"
    ),
    "tb_audit_log": (
        f"WHEN NOT {_RUN_TO_CHECKPOINT} OR EXISTS (SELECT 1 FROM tb_audit_log AS before_it"  # noqa: S608 - ours
        " WHERE before_it.tenant_id = OLD.tenant_id AND before_it.chain_seq < OLD.chain_seq)"
    ),
}

_REFUSE_ON_POSTGRESQL = f"""
CREATE FUNCTION tracegate_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'tb_audit_log' THEN
        IF {_RUN_TO_CHECKPOINT} THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$
"""

_PREFIX_ON_POSTGRESQL = (
    """
CREATE FUNCTION tracegate_only_prefix() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM (SELECT tenant_id, max(chain_seq) AS chain_seq FROM gone GROUP BY tenant_id) AS last
        JOIN tb_audit_log AS stays ON stays.tenant_id = last.tenant_id AND stays.chain_seq < last.chain_seq
    ) THEN
        RAISE EXCEPTION 'tb_audit_log is append-only: DELETE refused' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$
""",
    """
CREATE TRIGGER tb_audit_log_only_prefix AFTER DELETE ON tb_audit_log REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION tracegate_only_prefix()
""",
)


def upgrade() -> None:
    """Put the triggers in place."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(_REFUSE_ON_POSTGRESQL)
    for table in _KEYS:
        for statement in _triggers(table):
            op.execute(statement)
    if op.get_context().dialect.name == "postgresql":
        for statement in _PREFIX_ON_POSTGRESQL:
            op.execute(statement)


def downgrade() -> None:
    """Take the triggers away."""
    on_postgresql = op.get_context().dialect.name == "postgresql"
    for table in _KEYS:
        for what in ("change", "truncate") if on_postgresql else ("update", "delete", "replace"):
            op.execute(f"DROP TRIGGER {table}_no_{what}" + (f" ON {table}" if on_postgresql else ""))
    if on_postgresql:
        op.execute("DROP TRIGGER tb_audit_log_only_prefix ON tb_audit_log")
        op.execute("DROP FUNCTION tracegate_only_prefix()")
        op.execute("DROP FUNCTION tracegate_append_only()")


def _triggers(table: str) -> list[str]:
    if op.get_context().dialect.name == "postgresql":
        refuse = "EXECUTE FUNCTION tracegate_append_only()"
        return [
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW {refuse}",
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {refuse}",
        ]
    door = _DOORS_ON_SQLITE.get(table, "")
    known = f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {_KEYS[table]})"  # noqa: S608 - names of ours
    again = "IGNORE" if table == "tb_ops_event" else f"ABORT, '{table} is append-only: REPLACE refused'"
    refuse = f"ABORT, '{table} is append-only: "
    bodies = {
        f"update BEFORE UPDATE ON {table}": f"{refuse}UPDATE refused'",
        f"delete BEFORE DELETE ON {table} {door}": f"{refuse}DELETE refused'",
        f"replace BEFORE INSERT ON {table} {known}": again,
    }
    return [f"CREATE TRIGGER {table}_no_{head} BEGIN SELECT RAISE({body}); END" for head, body in bodies.items()]
