"""What is the hash of an audit row? Of every column but itself, in one encoding that nothing else shares.

The text that is hashed begins with :data:`DOMAIN`. Then comes each column in the order of the table, ``hash_curr`` left
out: ``-`` for NULL, else the number of its bytes in decimal, a colon, and the bytes, UTF-8. A number is its decimal
digits, a time the 27 characters of :func:`~tracegate.store.schema.as_stored_time`; so both stores hash the same. The
row before is in it by ``hash_prev``; the first row has :data:`GENESIS` there.

Source: contract clause H2.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final

from tracegate.errors import ConfigurationError
from tracegate.store.schema import audit_log

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "COLUMNS",
    "DOMAIN",
    "GENESIS",
    "SHORTEST_KEY",
    "AuditKey",
    "algorithm",
    "encoded",
    "hash_of",
    "head_signature",
]

GENESIS: Final = "GENESIS"
"""What the first row of a chain continues."""

DOMAIN: Final = b"tracegate audit row 1\n"
"""Another set of columns, or another encoding, gets another text here."""

_HEAD_DOMAIN: Final = b"tracegate audit head 1\n"

COLUMNS: Final = tuple(column.name for column in audit_log.columns)
"""What a row of the chain is, in its order: as stored, times as text."""

SHORTEST_KEY: Final = 32
_HASH_CURR: Final = COLUMNS.index("hash_curr")
_PLAIN: Final = "sha256"


class AuditKey:
    """A secret without which nobody can make a row, or a checkpoint, that verifies.

    Args:
        secret: At least 32 bytes, from a random generator.

    Attributes:
        id: Which key it is: the first 8 bytes of its SHA-256, hexadecimal. It says nothing of the key.

    Raises:
        ConfigurationError: *secret* is too short.
    """

    __slots__ = ("_secret", "id")

    def __init__(self, secret: bytes) -> None:
        if len(secret) < SHORTEST_KEY:
            raise ConfigurationError((("audit_key", f"must have {SHORTEST_KEY} bytes or more"),))
        self._secret = secret
        self.id = hashlib.sha256(secret).digest()[:8].hex()

    def __repr__(self) -> str:
        return f"AuditKey(id={self.id!r})"

    def sign(self, message: bytes) -> str:
        """Return the HMAC-SHA256 of *message*, hexadecimal."""
        return hmac.digest(self._secret, message, "sha256").hex()


def algorithm(key: AuditKey | None) -> str:
    """Return what ``hash_algo`` says of a row that is made with *key*, or without one."""
    return _PLAIN if key is None else f"hmac-sha256:{key.id}"


def hash_of(row: Sequence[Any], key: AuditKey | None = None) -> str:
    """Return the hash of a row.

    Args:
        row: Of :data:`COLUMNS`; what it has as ``hash_curr`` is not looked at.
        key: Makes it an HMAC.

    Returns:
        64 hexadecimal digits.
    """
    message = encoded(DOMAIN, (*row[:_HASH_CURR], *row[_HASH_CURR + 1 :]))
    return hashlib.sha256(message).hexdigest() if key is None else key.sign(message)


def head_signature(tenant: str, last_seq: int, last_hash: str, key: AuditKey | None) -> str | None:
    """Return what ``tb_audit_head`` bears besides: without the key nobody can make an earlier row the last one."""
    return None if key is None else key.sign(encoded(_HEAD_DOMAIN, (tenant, last_seq, last_hash)))


def encoded(domain: bytes, values: Sequence[Any]) -> bytes:
    """Return *values* as bytes, such that no two sequences have the same."""
    parts = [domain]
    for value in values:
        if value is None:
            parts.append(b"-")
        elif isinstance(value, bytes):  # in a column of text: no writer of ours did that
            parts.append(b"!%d:%b" % (len(value), value))
        else:
            text = str(value).encode("utf-8", "surrogateescape")
            parts.append(b"%d:%b" % (len(text), text))
    return b"".join(parts)
