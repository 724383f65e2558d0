"""What can somebody do to an audit chain who may write to its tables? Everything that SQL can, and hashes too.

The hash is made here a second time, from docs/audit.md: nothing of it is shared with the code under test.
"""

# ruff: noqa: S608 - the SQL of an intruder

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, text

from tracegate.store.audit import AuditEntry, AuditRow, append_audit
from tracegate.store.audit_hash import AuditKey
from tracegate.store.engine import is_postgresql, writing

TEXTS = (
    "id", "tenant_id", "trace_id", "action_type", "actor_user_id", "actor_role", "actor_address", "channel",
    "target_type", "target_id", "to_version", "incident_id", "step", "root_trace_id", "action_trace_id", "reason",
    "result_code", "before_json", "after_json",
)  # fmt: skip
"""The columns before the chain's own, in the order in which they are hashed."""

NULLABLE = TEXTS[4:]
CHAINED = ("created_at", "chain_seq", "hash_prev", "hash_curr", "hash_algo")
COLUMNS = (*TEXTS, *CHAINED)
SECRET = b"0123456789abcdef0123456789abcdef"
KEY = AuditKey(SECRET)


def documented_hash(row: Mapping[str, Any], secret: bytes | None) -> str:
    """Return ``hash_curr`` as the docs say it is made."""
    message = b"tracegate audit row 1\n"
    for name in COLUMNS:
        if name != "hash_curr":
            value = row[name]
            data = b"" if value is None else str(value).encode()
            message += b"-" if value is None else str(len(data)).encode() + b":" + data
    if secret is None:
        return hashlib.sha256(message).hexdigest()
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


def write(engine: Engine, rows: Sequence[AuditRow], key: AuditKey | None = None) -> list[AuditEntry]:
    """Append *rows* as the product does, in one transaction."""
    with writing(engine) as connection:
        return [append_audit(connection, row, key) for row in rows]


def a_row(number: int = 0, **says: Any) -> AuditRow:  # noqa: ANN401 - any column
    """Return a row of tenant ``t``."""
    known = {"tenant_id": "t", "trace_id": f"trace-{number}", "action_type": "test", "reason": f"reason {number}"}
    return AuditRow(**{**known, **says})


def without_triggers(engine: Engine) -> None:
    """Take the store's own protection away."""
    tables = ("tb_audit_log", "tb_audit_checkpoint", "tb_deploy_gate")
    with writing(engine) as connection:
        if is_postgresql(engine):
            for table in tables:
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
            return
        found = connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all()
        for name in found:
            if name.startswith(tables):
                connection.execute(text(f"DROP TRIGGER {name}"))


def harm(engine: Engine, statement: str) -> None:
    """Run *statement* as if there were no triggers, and leave them as they were: an intruder leaves no door open."""
    with writing(engine) as connection:
        kept = list[str]()
        if is_postgresql(engine):
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            made = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
            kept = [row.sql for row in made]
            for row in made:
                connection.execute(text(f"DROP TRIGGER {row.name}"))
        connection.execute(text(statement))
        for trigger in kept:
            connection.exec_driver_sql(trigger)


def wipe(engine: Engine) -> None:
    """Begin anew; the triggers are off."""
    with writing(engine) as connection:
        for table in ("tb_audit_log", "tb_audit_head", "tb_audit_checkpoint"):
            connection.execute(text(f"DELETE FROM {table}"))


def run(connection: Connection, statement: str, **values: object) -> None:
    """Do as an intruder does."""
    connection.execute(text(statement), values)


def rows(connection: Connection, tenant: str = "t") -> list[dict[str, Any]]:
    """Return what is in a chain, with times as the docs have them."""
    created = (
        """to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at"""
        if is_postgresql(connection)
        else "created_at"
    )
    columns = ", ".join(created if name == "created_at" else name for name in COLUMNS)
    asked = text(f"SELECT {columns} FROM tb_audit_log WHERE tenant_id = :tenant ORDER BY chain_seq")
    return [dict(row) for row in connection.execute(asked, {"tenant": tenant}).mappings()]


def put(connection: Connection, row: Mapping[str, Any]) -> None:
    """Insert a row just as it is."""
    marks = ", ".join(f":{name}" for name in COLUMNS)
    run(connection, f"INSERT INTO tb_audit_log ({', '.join(COLUMNS)}) VALUES ({marks})", **row)


def set_head(connection: Connection, seq: int, chain_hash: str) -> None:
    """Make the head say so. Its signature the intruder cannot make."""
    run(connection, "UPDATE tb_audit_head SET last_seq = :seq, last_hash = :hash", seq=seq, hash=chain_hash)


def forge(
    connection: Connection, changed: Sequence[dict[str, Any]], *, first: int = 1, secret: bytes | None = None
) -> None:
    """Put *changed* in the place of the rows from *first* on, each with the right hash, and set the head after them."""
    run(connection, "DELETE FROM tb_audit_log WHERE tenant_id = 't' AND chain_seq >= :first", first=first)
    kept = rows(connection)
    last = kept[-1]["hash_curr"] if kept else "GENESIS"
    for row in changed:
        made = {**row, "hash_prev": last}
        last = made["hash_curr"] = documented_hash(made, secret)
        put(connection, made)
    set_head(connection, changed[-1]["chain_seq"], last)
