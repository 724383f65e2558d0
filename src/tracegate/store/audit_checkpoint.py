"""What vouches for a chain up to one of its rows? A signed checkpoint: in the store, and on a line kept elsewhere.

Who can write to the store can make a whole chain anew. Who has no key cannot sign it; and a checkpoint that was copied
to where the store's writers cannot get to names the row as it was.

Source: contract clauses H1 and H2.
"""

from __future__ import annotations

import hmac
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy import and_, insert, select, update

from tracegate.store.audit_hash import encoded, head_signature
from tracegate.store.audit_read import stored_time
from tracegate.store.schema import as_stored_time, audit_checkpoint, audit_head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from tracegate.store.audit_chain import Position
    from tracegate.store.audit_hash import AuditKey

__all__ = ["Checkpoint", "append_checkpoint", "newest_signed", "read_checkpoints", "sign", "sign_head"]

_DOMAIN: Final = b"tracegate audit checkpoint 1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a chain was, up to one row.

    Attributes:
        tenant_id: Whose chain; as stored.
        chain_seq: The row's number.
        chain_hash: Its ``hash_curr``.
        key_id: Of which key: :attr:`~tracegate.store.audit_hash.AuditKey.id`.
        signature: HMAC-SHA256 over the others, hexadecimal.
        signed_at: When, UTC, 27 characters.
    """

    tenant_id: str
    chain_seq: int
    chain_hash: str
    key_id: str
    signature: str
    signed_at: str

    def is_signed_with(self, key: AuditKey) -> bool:
        """Return whether nobody without *key* can have made it."""
        return key.id == self.key_id and hmac.compare_digest(_signature(self, key).encode(), self.signature.encode())

    def as_line(self) -> str:
        """Return it as one line of JSON, to be kept elsewhere."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_line(cls, line: str) -> Checkpoint:
        """Read what :meth:`as_line` wrote.

        Raises:
            ValueError: It is no checkpoint.
        """
        try:
            return msgspec.json.decode(line, type=cls)
        except msgspec.MsgspecError as error:
            raise ValueError(f"no checkpoint: {error}") from None


_NAMES: Final = tuple(item.name for item in fields(Checkpoint))


def sign(tenant: str, at: Position, key: AuditKey) -> Checkpoint:
    """Return a checkpoint of now; *at* has been verified."""
    unsigned = Checkpoint(
        tenant_id=tenant,
        chain_seq=at.chain_seq,
        chain_hash=at.chain_hash,
        key_id=key.id,
        signature="",
        signed_at=as_stored_time(datetime.now(UTC)),
    )
    return replace(unsigned, signature=_signature(unsigned, key))


def append_checkpoint(connection: Connection, checkpoint: Checkpoint) -> Checkpoint:
    """Keep it in the store, and return it; where the row has one of the same key, that one stays and is returned."""
    at = checkpoint.chain_seq
    for known in read_checkpoints(connection, checkpoint.tenant_id, first=at, last=at):
        if known.key_id == checkpoint.key_id:
            return known
    signed_at = datetime.fromisoformat(checkpoint.signed_at)
    connection.execute(insert(audit_checkpoint).values({**asdict(checkpoint), "signed_at": signed_at}))
    return checkpoint


def sign_head(connection: Connection, tenant: str, at: Position, key: AuditKey) -> None:
    """Have the head bear the signature of *key*, where it bears none and still names *at*.

    The rows that a checkpoint adopts bear no mark of the key: without this, to set the head back to them needs none.
    """
    head = audit_head.c
    unsigned = and_(head.tenant_id == tenant, head.last_seq == at.chain_seq, head.last_hash == at.chain_hash)
    signature = head_signature(tenant, at.chain_seq, at.chain_hash, key)
    connection.execute(update(audit_head).where(unsigned, head.signature.is_(None)).values(signature=signature))


def read_checkpoints(
    connection: Connection, tenant: str, *, first: int = 0, last: int | None = None, newest_first: bool = False
) -> Iterator[Checkpoint]:
    """Yield the checkpoints of a chain at the rows from *first* to *last*, in order."""
    column = audit_checkpoint.c
    asked = (*(column[name] for name in _NAMES[:-1]), stored_time(connection, column.signed_at))
    order = column.chain_seq.desc() if newest_first else column.chain_seq
    wanted = select(*asked).where(column.tenant_id == tenant, column.chain_seq >= first).order_by(order)
    if last is not None:
        wanted = wanted.where(column.chain_seq <= last)
    for row in connection.execute(wanted):
        yield Checkpoint(**dict(zip(_NAMES, row, strict=True)))


def newest_signed(connection: Connection, tenant: str, key: AuditKey, *, last: int | None = None) -> Checkpoint | None:
    """Return the newest checkpoint of *key*, or the newest up to a row."""
    checkpoints = read_checkpoints(connection, tenant, last=last, newest_first=True)
    return next((checkpoint for checkpoint in checkpoints if checkpoint.is_signed_with(key)), None)


def _signature(checkpoint: Checkpoint, key: AuditKey) -> str:
    values = [getattr(checkpoint, name) for name in _NAMES if name != "signature"]
    return key.sign(encoded(_DOMAIN, values))
