"""Who may change or delete what was written? Nobody: triggers refuse it, and the only door is that of retention.

SQLite: a row of ``tb_ops_event`` may be deleted while ``tb_data_retention_run`` has an open run that covers its time,
which the run closes in the same transaction. PostgreSQL needs no door: retention drops whole partitions. The audit log
has no door yet. ``INSERT OR REPLACE`` deletes without asking the delete trigger, so an insert of a known key is caught
before: an event is the same event again and is left out, any other row is refused.

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

_DOOR = (
    "WHEN NOT EXISTS (SELECT 1 FROM tb_data_retention_run"
    " WHERE table_name = 'tb_ops_event' AND ended_at IS NULL AND OLD.event_time < dropped_before)"
)

_REFUSE_ON_POSTGRESQL = """
CREATE FUNCTION tracegate_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$
"""


def upgrade() -> None:
    """Put the triggers in place."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(_REFUSE_ON_POSTGRESQL)
    for table in _KEYS:
        for statement in _triggers(table):
            op.execute(statement)


def downgrade() -> None:
    """Take the triggers away."""
    on_postgresql = op.get_context().dialect.name == "postgresql"
    for table in _KEYS:
        for what in ("change", "truncate") if on_postgresql else ("update", "delete", "replace"):
            op.execute(f"DROP TRIGGER {table}_no_{what}" + (f" ON {table}" if on_postgresql else ""))
    if on_postgresql:
        op.execute("DROP FUNCTION tracegate_append_only()")


def _triggers(table: str) -> list[str]:
    if op.get_context().dialect.name == "postgresql":
        refuse = "EXECUTE FUNCTION tracegate_append_only()"
        return [
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW {refuse}",
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {refuse}",
        ]
    door = _DOOR if table == "tb_ops_event" else ""
    known = f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {_KEYS[table]})"  # noqa: S608 - names of ours
    again = "IGNORE" if table == "tb_ops_event" else f"ABORT, '{table} is append-only: REPLACE refused'"
    refuse = f"ABORT, '{table} is append-only: "
    bodies = {
        f"update BEFORE UPDATE ON {table}": f"{refuse}UPDATE refused'",
        f"delete BEFORE DELETE ON {table} {door}": f"{refuse}DELETE refused'",
        f"replace BEFORE INSERT ON {table} {known}": again,
    }
    return [f"CREATE TRIGGER {table}_no_{head} BEGIN SELECT RAISE({body}); END" for head, body in bodies.items()]
