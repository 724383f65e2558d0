"""How does an operator vouch for an audit chain? Only for one that has just been verified.

Source: contract clauses H1 and H2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracegate.errors import StoreError
from tracegate.store.audit_chain import Position
from tracegate.store.audit_checkpoint import append_checkpoint, newest_signed, sign, sign_head
from tracegate.store.audit_scan import Scan, verify_chain
from tracegate.store.engine import reading, writing

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tracegate.store.audit_checkpoint import Checkpoint
    from tracegate.store.audit_hash import AuditKey

__all__ = ["sign_chain"]


def sign_chain(engine: Engine, tenant: str, key: AuditKey, *, adopts: bool = False) -> Checkpoint:
    """Verify the chain of *tenant* since its newest checkpoint of *key*, sign its end, and keep that in the store.

    Args:
        engine: The store; its tables are those of this version.
        tenant: As stored.
        key: To sign with.
        adopts: Whether rows that were made without the key are vouched for: once, where a chain gets its key.

    Raises:
        StoreError: The chain is broken or has no row, or the store did not take it. Nothing is signed.
    """
    with reading(engine) as connection:
        known = newest_signed(connection, tenant, key)
    after = None if known is None else Position(known.chain_seq, known.chain_hash)
    report = verify_chain(engine, tenant, Scan(key=key, after=after, admits_unkeyed=adopts))
    if not report.passed:
        raise StoreError(f"the audit chain of {tenant} is broken, and not signed: {report.failures[0]}")
    if report.end.chain_seq == 0:
        raise StoreError(f"there is no audit row of {tenant}")
    with writing(engine) as connection:
        if adopts:
            sign_head(connection, tenant, report.end, key)
        return append_checkpoint(connection, sign(tenant, report.end, key))
