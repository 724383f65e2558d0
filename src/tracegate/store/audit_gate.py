"""Does the audit log bear out what was done to the deploy gate? Appends both rows of an action, and compares them.

The audit row says of the action all that the gate's own row says. So whoever adds, changes or removes a row of the
gate has to do the same in a chain, and is found there. What is done to gates is one chain: that of :data:`OPERATIONS`,
which is no tenant's.

Source: contract clauses H2 and H3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tracegate.store.audit import AuditRow, append_audit
from tracegate.store.audit_hash import algorithm, hash_of
from tracegate.store.audit_read import read_target
from tracegate.store.audit_scan import Scan, verify_chain
from tracegate.store.engine import reading
from tracegate.store.gate import append_action, read_actions
from tracegate.store.schema import as_stored_time
from tracegate.store.text import storable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Connection, Engine

    from tracegate.store.audit import AuditEntry
    from tracegate.store.audit_hash import AuditKey
    from tracegate.store.gate import ActionRow

__all__ = ["CHECKED_ROWS", "OPERATIONS", "AuditedAction", "append_audited_action", "chain_faults"]

OPERATIONS: Final = "tracegate"
"""Whose chain has what is done to tracegate itself."""

CHECKED_ROWS: Final = 10_000
"""How many rows of that chain are verified each time a gate is asked: the newest."""

_TARGET: Final = "deploy_gate"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedAction:
    """What was done, and what the audit log says of it beside.

    Attributes:
        service: To whose gate.
        action: What; its ``audit_id`` is not looked at.
        trace_id: Under which trace it was done.
        before: How the gate stood.
        after: How it stands now.
    """

    service: str
    action: ActionRow
    trace_id: str
    before: Mapping[str, Any] = field(default_factory=dict[str, Any])
    after: Mapping[str, Any] = field(default_factory=dict[str, Any])


def append_audited_action(connection: Connection, done: AuditedAction, key: AuditKey | None = None) -> AuditEntry:
    """Append what was done to a gate, and its audit row, within one transaction.

    Args:
        connection: On which :func:`~tracegate.store.gate.begin_action` gave the action's time.
        done: What.
        key: With which the chain is kept, where there is one.

    Raises:
        ConfigurationError: The chain is kept with another key.
        StoreError: The chain is damaged, or the store did not take it. Roll back.
    """
    action = done.action
    row = AuditRow(
        tenant_id=OPERATIONS,
        trace_id=done.trace_id,
        action_type=f"{_TARGET}.{action.kind}",
        actor_user_id=action.actor,
        target_type=_TARGET,
        target_id=done.service,
        incident_id=action.incident or None,
        root_trace_id=action.trace_id or None,
        action_trace_id=done.trace_id,
        reason=action.reason or None,
        result_code="done",
        before_json=msgspec.json.encode(done.before).decode(),
        after_json=msgspec.json.encode({**done.after, "action": _said(action)}).decode(),
    )
    entry = append_audit(connection, row, key)
    append_action(connection, done.service, action, audit_id=entry.id)
    return entry


def chain_faults(engine: Engine, service: str, key: AuditKey | None = None) -> Iterator[str]:
    """Yield, in English sentences, why the audit log does not bear out what the gate of *service* is judged by.

    Args:
        engine: The store; its tables are those of this version.
        service: Whose gate.
        key: With which the chain is kept, where there is one.

    Raises:
        StoreError: The store did not answer.
    """
    report = verify_chain(engine, OPERATIONS, Scan(key=key, newest=CHECKED_ROWS))
    if not report.passed:
        found = report.failures[0]
        needs_key = key is None and found.kind == "hash_key_unknown"
        yield "the audit chain of the deploy gate: " + (
            "it is kept with a key, not given here" if needs_key else str(found)
        )
    with reading(engine) as connection:
        actions = read_actions(connection, service)
        audited = _audited(connection, service, key)
        known = {action.audit_id for action in read_actions(connection, service)}  # no action is audited before it
    for action in actions:
        if audited.get(action.audit_id) != (f"{_TARGET}.{action.kind}", _said(action)):
            yield f"the {action.kind} by {action.actor}, {as_stored_time(action.at)}, is not what the audit log says"
    for audit_id in sorted(audited.keys() - known):
        yield f"the audit log says of an action on the gate, id {audit_id}, which is not there"


def _audited(connection: Connection, service: str, key: AuditKey | None) -> dict[str, tuple[str, object]]:
    """Return what each audit row says; one that is not what was hashed, however old, says nothing."""
    return {
        row["id"]: (row["action_type"], _action_of(row["after_json"]) if _is_as_hashed(row, key) else None)
        for row in read_target(connection, OPERATIONS, _TARGET, storable(service))
    }


def _is_as_hashed(row: Mapping[str, Any], key: AuditKey | None) -> bool:
    key = key if row["hash_algo"] == algorithm(key) else None  # or of before the key: its chain says up to where
    return (row["hash_algo"], row["hash_curr"]) == (algorithm(key), hash_of([*row.values()], key))


def _action_of(after: str | None) -> object:
    try:
        return msgspec.json.decode(after or "", type=dict[str, Any]).get("action")
    except msgspec.DecodeError:
        return None


def _said(action: ActionRow) -> dict[str, object]:
    return {
        "action": action.kind,
        "action_time": as_stored_time(action.at),
        "until_time": None if action.until is None else as_stored_time(action.until),
        "accepts": sorted(storable(name) for name in action.accepts),
        "actor": storable(action.actor),
        "incident_id": storable(action.incident),
        "trace_id": storable(action.trace_id),
        "reason": storable(action.reason),
    }
