"""Who did what, with which outcome? Appends a row to the audit log of a tenant, within a transaction of the caller's.

So an action and its audit row are committed together, or neither of them is. The rows of a tenant are one chain. Its
head is locked until the transaction ends, so writers come one after the other; whoever finds the last row missing or
changed appends nothing: to begin a new chain on a damaged one is how a forger would hide it.

Source: contract clause H2.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_on_conflict

from tracegate.errors import ConfigurationError, StoreError
from tracegate.store.audit_checkpoint import newest_signed
from tracegate.store.audit_hash import COLUMNS, GENESIS, algorithm, hash_of, head_signature
from tracegate.store.audit_read import stored_time
from tracegate.store.schema import as_stored_time, audit_checkpoint, audit_head, audit_log
from tracegate.store.text import storable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tracegate.store.audit_hash import AuditKey

__all__ = ["AuditEntry", "AuditRow", "append_audit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """What somebody did. None: it does not apply.

    Attributes:
        tenant_id: Whose log, and whose chain.
        trace_id: The trace under which it was done.
        action_type: What was done, as ``deploy_gate.unlock``.
        actor_user_id: Who did it.
        actor_role: As what.
        actor_address: From where.
        channel: By which way: the command line, an API.
        target_type: What it was done to.
        target_id: Which one.
        to_version: The version that a rollback switched to.
        incident_id: For which incident.
        step: Which step of the runbook.
        root_trace_id: The trace that the incident is about.
        action_trace_id: The trace of the action itself.
        reason: Why.
        result_code: How it ended.
        before_json: The state before, JSON; kept byte for byte.
        after_json: The state after, JSON; kept byte for byte.
    """

    tenant_id: str
    trace_id: str
    action_type: str
    actor_user_id: str | None = None
    actor_role: str | None = None
    actor_address: str | None = None
    channel: str | None = None
    target_type: str | None = None
    target_id: str | None = None
    to_version: str | None = None
    incident_id: str | None = None
    step: str | None = None
    root_trace_id: str | None = None
    action_trace_id: str | None = None
    reason: str | None = None
    result_code: str | None = None
    before_json: str | None = None
    after_json: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A row of the chain.

    Attributes:
        row: What it says.
        id: UUIDv7.
        created_at: When, by the writer's clock, UTC; never before the row before.
        chain_seq: The first one is 1.
        hash_prev: ``hash_curr`` of the row before.
        hash_curr: Over every other column.
        hash_algo: ``sha256``, or ``hmac-sha256:`` and which key.
    """

    row: AuditRow
    id: str
    created_at: datetime
    chain_seq: int
    hash_prev: str
    hash_curr: str
    hash_algo: str


_SAID: Final = tuple(item.name for item in fields(AuditRow))


def append_audit(connection: Connection, row: AuditRow, key: AuditKey | None = None) -> AuditEntry:
    """Append *row* to its tenant's chain.

    Args:
        connection: In a transaction of :func:`~tracegate.store.engine.writing`; the row is durable with it.
        row: What was done.
        key: With which the chain is kept, where there is one.

    Returns:
        The row as it stands in the chain.

    Raises:
        ConfigurationError: The newest row was made with a key, and *key* is none or another one.
        StoreError: The end of the chain is missing or changed, or the store did not take it. Roll back.
    """
    said = {name: None if value is None else storable(value) for name, value in zip(_SAID, astuple(row), strict=True)}
    tenant = storable(row.tenant_id)
    seq, hash_prev, last = _lock_end(connection, tenant, key)
    at = datetime.now(UTC)
    at = at if last is None else max(at, last)
    entry_id = _uuid7(at)
    chained = {
        **said, "id": entry_id, "created_at": as_stored_time(at), "chain_seq": seq, "hash_prev": hash_prev,
        "hash_algo": algorithm(key), "hash_curr": "",
    }  # fmt: skip
    hash_curr = hash_of([chained[name] for name in COLUMNS], key)
    connection.execute(insert(audit_log).values({**chained, "created_at": at, "hash_curr": hash_curr}))
    head = {"last_seq": seq, "last_hash": hash_curr, "signature": head_signature(tenant, seq, hash_curr, key)}
    connection.execute(update(audit_head).where(audit_head.c.tenant_id == tenant).values(**head, updated_at=at))
    return AuditEntry(row, entry_id, at, seq, hash_prev, hash_curr, algorithm(key))


def _lock_end(connection: Connection, tenant: str, key: AuditKey | None) -> tuple[int, str, datetime | None]:
    """Let nobody else append, and return the next number, the hash to continue, and the time of the newest row."""
    head = audit_head.c
    wanted = select(head.last_seq, head.last_hash, head.signature).where(head.tenant_id == tenant).with_for_update()
    found = connection.execute(wanted).first()
    if found is None:
        _begin_chain(connection, tenant)
        found = connection.execute(wanted).one()
    seq, last_hash, signature = found
    if seq == 0:
        return 1, GENESIS, None
    log = audit_log.c
    newest = select(log.hash_curr, log.hash_algo, stored_time(connection, log.created_at).label("created_at"))
    last = connection.execute(newest.where(log.tenant_id == tenant, log.chain_seq == seq)).first()
    if last is None or last.hash_curr != last_hash or not _is_time(last.created_at):
        raise StoreError(f"the audit chain is damaged at its row {seq}: nothing is appended to it")
    if ":" in last.hash_algo and last.hash_algo != algorithm(key):
        problem = "the audit chain is kept with a key, which is not here" if key is None else "is not that of the chain"
        raise ConfigurationError((("audit_key", problem),))
    # The head is signed anew below: one that was set back must not be.
    is_keyed = key is not None and (":" in last.hash_algo or newest_signed(connection, tenant, key) is not None)
    if is_keyed and signature != head_signature(tenant, seq, last_hash, key):
        raise StoreError(f"the audit chain does not end at its row {seq}, as its head says: nothing is appended to it")
    return seq + 1, last_hash, datetime.fromisoformat(last.created_at)


def _begin_chain(connection: Connection, tenant: str) -> None:
    """Make the head, once, however many do it together; not where there was a chain."""
    first = {"tenant_id": tenant, "last_seq": 0, "last_hash": GENESIS, "updated_at": datetime.now(UTC)}
    # PostgreSQL's statement, which SQLite reads as well. Who comes second waits here, and begins nothing.
    begin = insert_on_conflict(audit_head).values(first).on_conflict_do_nothing()
    if connection.execute(begin, execution_options={"preserve_rowcount": True}).rowcount == 1:
        for table in (audit_log, audit_checkpoint):
            if connection.execute(select(table.c.tenant_id).where(table.c.tenant_id == tenant).limit(1)).first():
                raise StoreError("the audit chain has lost its head: nothing is appended to it")


def _is_time(text: str | None) -> bool:
    try:
        return text is not None and as_stored_time(datetime.fromisoformat(text)) == text
    except ValueError:
        return False


def _uuid7(at: datetime) -> str:
    """Return a new id: RFC 9562, section 5.7."""
    random = int.from_bytes(os.urandom(10))
    milliseconds = int(at.timestamp() * 1_000)
    return str(
        uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | (random >> 68) << 64 | 0b10 << 62 | random & (1 << 62) - 1)
    )
