"""Is this chain unbroken? Says of each row that comes in its order whether it can stand there, and of the end too.

Nothing is read here, and of the rows before only the last one is kept: the work is linear, the memory constant, and
it can go on from any row that was verified. What no row shows, because the whole chain was made anew, a key or a
checkpoint shows.

Source: contract clause H2; the names of failures are those of SYSTEM.md, section 6.6, where it has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from tracegate.store.audit_hash import COLUMNS, GENESIS, algorithm, hash_of, head_signature

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tracegate.store.audit_hash import AuditKey

__all__ = ["BEGINNING", "RETENTION", "ChainVerifier", "Failure", "FailureKind", "Head", "Position"]

RETENTION: Final = "audit_log.retain"
"""What a row says, as ``action_type``, of rows that were dropped; its target is the number of the last of them."""

FailureKind = Literal[
    "missing_chain_fields",
    "chain_seq_gap",
    "chain_fork",
    "hash_link_mismatch",
    "hash_curr_mismatch",
    "hash_algo_mismatch",
    "hash_key_unknown",
    "created_at_regression",
    "head_mismatch",
    "checkpoint_mismatch",
    "checkpoint_forged",
    "anchor_not_audited",
]
"""What can be wrong at a row.

- ``missing_chain_fields``: it has no number, hash, algorithm or time that could be one.
- ``chain_seq_gap``: it is not there.
- ``chain_fork``: it continues a row that another one continues.
- ``hash_link_mismatch``: it does not continue the row before; either of the two was changed.
- ``hash_curr_mismatch``: it is not what was hashed.
- ``hash_algo_mismatch``: it was made without the key that the chain is kept with, or by no known algorithm.
- ``hash_key_unknown``: it was made with a key that is not here.
- ``created_at_regression``: it is from before the row before.
- ``head_mismatch``: the chain does not end where its head says, or the head is not signed as its newest row is.
- ``checkpoint_mismatch``: it is not the row that a checkpoint was made of.
- ``checkpoint_forged``: a checkpoint there bears a false signature.
- ``anchor_not_audited``: the rows up to it were dropped, and no row says by whom.
"""

_SEQ: Final = COLUMNS.index("chain_seq")
_PREV: Final = COLUMNS.index("hash_prev")
_HASH: Final = COLUMNS.index("hash_curr")
_ALGO: Final = COLUMNS.index("hash_algo")
_TIME: Final = COLUMNS.index("created_at")
_ID: Final = COLUMNS.index("id")
_ACTION: Final = COLUMNS.index("action_type")
_TARGET: Final = COLUMNS.index("target_id")


class Failure(NamedTuple):
    """What is wrong, and where.

    Attributes:
        kind: What.
        chain_seq: At which row, by its number; of what is missing, the first.
        audit_id: The row's id, where there is a row.
    """

    kind: FailureKind
    chain_seq: int
    audit_id: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} at row {self.chain_seq}" + (f", id {self.audit_id}" if self.audit_id else "")


class Position(NamedTuple):
    """A row of a chain: from the next one on it can be verified.

    Attributes:
        chain_seq: Its number; 0 before the first.
        chain_hash: Its ``hash_curr``.
        created_at: Its time, 27 characters; empty where it is not known.
    """

    chain_seq: int
    chain_hash: str
    created_at: str = ""


class Head(NamedTuple):
    """What ``tb_audit_head`` says of a chain.

    Attributes:
        last_seq: The number of its newest row.
        last_hash: Its hash.
        signature: That of the key with which the newest row was made.
    """

    last_seq: int
    last_hash: str
    signature: str | None = None


BEGINNING: Final = Position(0, GENESIS)


class ChainVerifier:
    """One run over one chain.

    Args:
        tenant: Whose, as stored.
        start: The last row that needs no verification.
        key: With which the chain is kept.
        unkeyed_to: Up to this row, rows that were made without the key are good: a checkpoint of the key covers them.
            None: all are.
        anchored: Whether the rows up to *start* were dropped, so that a row must say so.

    Attributes:
        position: The last row that came.
        verified: The last row up to which nothing was wrong.
        rows: How many rows came.
        checkpoints: At how many rows a checkpoint fitted.
    """

    def __init__(
        self,
        tenant: str,
        start: Position = BEGINNING,
        *,
        key: AuditKey | None = None,
        unkeyed_to: int | None = 0,
        anchored: bool = False,
    ) -> None:
        self._tenant = tenant
        self._last_is_keyed = False
        self.position = self.verified = self._start = start
        self.rows = self.checkpoints = 0
        self._key = key
        self._algorithm = algorithm(key)
        self._unkeyed_to = unkeyed_to
        self._unaudited_anchor = str(start.chain_seq) if anchored else None
        self._continued: object = None
        self._expected: dict[int, set[str]] = {}
        self._sound = True

    def expect(self, chain_seq: int, chain_hash: str) -> Iterator[Failure]:
        """Take a checkpoint, before the rows from it on come. Those before the start cannot be compared any more."""
        if chain_seq == self._start.chain_seq:
            yield from self._compare({chain_hash}, self._start)
        elif chain_seq > self._start.chain_seq:
            self._expected.setdefault(chain_seq, set()).add(chain_hash)

    def feed(self, row: Sequence[Any]) -> Iterator[Failure]:
        """Take the next row, of :data:`~tracegate.store.audit_hash.COLUMNS`, in the order of ``chain_seq``."""
        self.rows += 1
        if not isinstance(row[_SEQ], int):
            self._sound = False
            yield self._failure("missing_chain_fields", row)
            return
        if not all(isinstance(row[at], str) and row[at] for at in (_PREV, _HASH, _ALGO, _TIME)):
            failures = [self._failure("missing_chain_fields", row)]
        else:
            failures = [*self._out_of_place(row), *self._changed(row)]
        before, self.position = self.position, Position(row[_SEQ], str(row[_HASH]), str(row[_TIME]))
        failures += self._compare(self._expected.pop(self.position.chain_seq, set()), self.position, row)
        if row[_ACTION] == RETENTION and row[_TARGET] == self._unaudited_anchor:
            self._unaudited_anchor = None
        self._continued = before.chain_hash
        self._last_is_keyed = self._key is not None and row[_ALGO] == self._algorithm
        self._sound &= not failures
        if self._sound:
            self.verified = self.position
        yield from failures

    def finish(self, head: Head | None) -> Iterator[Failure]:
        """Say what is wrong with the end; *head* is None where the chain has none."""
        last = self.position
        if head is None:
            if last.chain_seq > 0:
                yield Failure("head_mismatch", last.chain_seq)
        elif head.last_seq != last.chain_seq:
            yield Failure("head_mismatch", min(head.last_seq, last.chain_seq) + 1)
        elif head.last_hash != last.chain_hash or not self._is_signed(head):
            yield Failure("head_mismatch", last.chain_seq)
        for chain_seq in sorted(self._expected):
            yield Failure("checkpoint_mismatch", chain_seq)
        if self._unaudited_anchor is not None:
            yield Failure("anchor_not_audited", int(self._unaudited_anchor))

    def _is_signed(self, head: Head) -> bool:
        if self._key is None or not (self._last_is_keyed or self._is_vouched_for()):
            return True
        return head.signature == head_signature(self._tenant, *head[:2], self._key)

    def _is_vouched_for(self) -> bool:
        """Return whether the key has signed what the last row bears no mark of: it was adopted, or verified before."""
        adopted_to = self._unkeyed_to
        return adopted_to is not None and (self.position.chain_seq <= adopted_to or not self.rows)

    def _out_of_place(self, row: Sequence[Any]) -> Iterator[Failure]:
        last = self.position
        if row[_SEQ] <= last.chain_seq or (row[_SEQ] == last.chain_seq + 1 and row[_PREV] == self._continued):
            yield self._failure("chain_fork", row)
        elif row[_SEQ] > last.chain_seq + 1:
            yield Failure("chain_seq_gap", last.chain_seq + 1)
        elif row[_PREV] != last.chain_hash:
            yield self._failure("hash_link_mismatch", row)
        if row[_TIME] < last.created_at:
            yield self._failure("created_at_regression", row)

    def _changed(self, row: Sequence[Any]) -> Iterator[Failure]:
        algo, key = row[_ALGO], self._key
        if algo == self._algorithm:
            pass
        elif algo == algorithm(None) and (self._unkeyed_to is None or row[_SEQ] <= self._unkeyed_to):
            key = None
        else:
            yield self._failure("hash_key_unknown" if algo.startswith("hmac-sha256:") else "hash_algo_mismatch", row)
            return
        if hash_of(row, key) != row[_HASH]:
            yield self._failure("hash_curr_mismatch", row)

    def _compare(self, expected: set[str], at: Position, row: Sequence[Any] | None = None) -> Iterator[Failure]:
        for chain_hash in expected:
            if chain_hash == at.chain_hash:
                self.checkpoints += 1
            else:
                yield Failure("checkpoint_mismatch", at.chain_seq, None if row is None else str(row[_ID]))

    def _failure(self, kind: FailureKind, row: Sequence[Any]) -> Failure:
        return Failure(kind, row[_SEQ] if isinstance(row[_SEQ], int) else self.position.chain_seq + 1, str(row[_ID]))
