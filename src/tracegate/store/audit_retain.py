"""Which old audit rows may go? Those up to a signed checkpoint, which stays in their place; and a row says who did it.

Source: contract clauses H1 and H2.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import delete, func, insert, select, text, update

from tracegate.errors import StoreError
from tracegate.store.audit import AuditRow, append_audit
from tracegate.store.audit_chain import RETENTION
from tracegate.store.audit_checkpoint import newest_signed
from tracegate.store.audit_gate import OPERATIONS
from tracegate.store.audit_read import next_seq
from tracegate.store.audit_scan import Scan, verify_chain
from tracegate.store.engine import is_postgresql, reading, writing
from tracegate.store.schema import audit_head, audit_log, data_retention_run
from tracegate.store.text import restored

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from tracegate.store.audit_checkpoint import Checkpoint
    from tracegate.store.audit_hash import AuditKey

__all__ = ["Retention", "retain_audit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What is asked for.

    Attributes:
        before: Only rows from before this time go.
        actor: Who asks for it.
        trace_id: Under which trace.
    """

    before: datetime
    actor: str
    trace_id: str


def retain_audit(engine: Engine, tenant: str, asked: Retention, key: AuditKey) -> int:
    """Drop the rows of *tenant* up to its newest checkpoint of *key* that is old enough.

    In one transaction with the row that says so. The chain is verified first: what is damaged is evidence, and stays.

    Args:
        engine: The store; its tables are those of this version.
        tenant: As stored. Not that of the deploy gate, whose actions name their rows.
        asked: What may go, and who says so.
        key: Of the checkpoint; only what it has signed goes.

    Returns:
        How many rows were dropped. None go where no checkpoint is old enough.

    Raises:
        StoreError: The chain is broken, or the store did not take it. Nothing was dropped.
        ValueError: The rows of *tenant* are never dropped.
    """
    if tenant == OPERATIONS:
        raise ValueError(f"the rows of {OPERATIONS} stay: the deploy gate is made of them")
    with reading(engine) as connection:
        if _checkpoint(connection, tenant, asked.before, key) is None:
            return 0
    report = verify_chain(engine, tenant, Scan(key=key))
    if not report.passed:
        raise StoreError(f"the audit chain of {tenant} is broken, and nothing of it dropped: {report.failures[0]}")
    with writing(engine) as connection:
        _lock(connection, tenant)
        checkpoint = _checkpoint(connection, tenant, asked.before, key)
        return 0 if checkpoint is None else _drop(connection, checkpoint, _said(checkpoint, asked), key)


def _checkpoint(connection: Connection, tenant: str, before: datetime, key: AuditKey) -> Checkpoint | None:
    """Return the checkpoint up to which rows go, where that is any row."""
    log = audit_log.c
    old = select(func.max(log.chain_seq)).where(log.tenant_id == tenant, log.created_at < before)
    last, first = connection.scalar(old), next_seq(connection, tenant)
    checkpoint = None if last is None else newest_signed(connection, tenant, key, last=last)
    return checkpoint if checkpoint is not None and first <= checkpoint.chain_seq else None


def _lock(connection: Connection, tenant: str) -> None:
    connection.execute(select(audit_head.c.last_seq).where(audit_head.c.tenant_id == tenant).with_for_update())
    if is_postgresql(connection):
        connection.execute(text("SET LOCAL statement_timeout = 0"))  # a year of rows


def _said(checkpoint: Checkpoint, asked: Retention) -> AuditRow:
    return AuditRow(
        tenant_id=restored(checkpoint.tenant_id),
        trace_id=asked.trace_id,
        action_type=RETENTION,
        actor_user_id=asked.actor,
        target_type="audit_log",
        target_id=str(checkpoint.chain_seq),
        action_trace_id=asked.trace_id,
        result_code="dropped",
        before_json=msgspec.json.encode(checkpoint).decode(),
    )


def _drop(connection: Connection, checkpoint: Checkpoint, said: AuditRow, key: AuditKey) -> int:
    entry = append_audit(connection, said, key)
    log, run = audit_log.c, uuid.uuid4().hex
    going = (log.tenant_id == checkpoint.tenant_id, log.chain_seq <= checkpoint.chain_seq)
    count = connection.scalar(select(func.count()).select_from(audit_log).where(*going)) or 0
    newest = connection.scalar(select(func.max(log.created_at)).where(*going))
    values = {"id": run, "table_name": audit_log.name, "dropped_before": newest, "started_at": entry.created_at}
    of_chain = {"tenant_id": checkpoint.tenant_id, "chain_seq": checkpoint.chain_seq, "dropped_rows": count}
    connection.execute(insert(data_retention_run).values(**values, **of_chain))
    connection.execute(delete(audit_log).where(*going))  # the open run is the door in the triggers
    ended = update(data_retention_run).where(data_retention_run.c.id == run).values(ended_at=datetime.now(UTC))
    connection.execute(ended)
    return count
