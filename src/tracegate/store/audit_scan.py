"""Is the audit log in the store unbroken? Reads a chain page by page, and has it verified.

Each page is a transaction of its own, so that neither memory nor the store's own log grows with the chain. The head
is read before the rows: a row that is written meanwhile is seen by the next page, and never behind the head.

Source: contract clause H2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tracegate.errors import StoreError
from tracegate.store.audit_chain import BEGINNING, ChainVerifier, Failure, Head, Position
from tracegate.store.audit_checkpoint import newest_signed, read_checkpoints
from tracegate.store.audit_hash import COLUMNS
from tracegate.store.audit_read import next_seq, position_at, read_head, read_rows
from tracegate.store.engine import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy import Connection, Engine

    from tracegate.store.audit_checkpoint import Checkpoint
    from tracegate.store.audit_hash import AuditKey

__all__ = ["Report", "Scan", "verify_chain"]

_PAGE: Final = 2_000
_SAMPLES: Final = 20
_SEQ: Final = COLUMNS.index("chain_seq")


@dataclass(frozen=True, slots=True)
class Report:
    """What a run over one chain has found.

    Attributes:
        tenant_id: Whose chain, as stored.
        start: The row that was taken as verified; 0: the whole chain was read.
        rows: How many rows were verified.
        end: The last of them.
        failures: The first 20 things that are wrong.
        failure_count: How many are.
        checkpoints: At how many rows a checkpoint was compared and fitted.
    """

    tenant_id: str
    start: int
    rows: int
    end: Position
    failures: tuple[Failure, ...]
    failure_count: int
    checkpoints: int

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return self.failure_count == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """How a chain is to be read.

    Attributes:
        key: With which it is kept, where there is one.
        after: Go on behind this row, which a run before has verified.
        newest: Read at most so many rows, the newest ones; the row before them is taken as it is.
        checkpoints: Some that were kept elsewhere, of any chain.
        admits_unkeyed: Whether rows that were made without the key are good.
        progress: Told after each page how many rows are done, of how many; and the row up to which all is well.
    """

    key: AuditKey | None = None
    after: Position | None = None
    newest: int | None = None
    checkpoints: Sequence[Checkpoint] = ()
    admits_unkeyed: bool = False
    progress: Callable[[int, int, Position], object] | None = None


class _Page(NamedTuple):
    rows: list[Sequence[Any]]
    checkpoints: list[Checkpoint]
    head: Head | None
    is_last: bool


class _Opening(NamedTuple):
    """Where a run begins: behind *start*; *first* is the first row that there is."""

    start: Position
    first: object
    is_anchored: bool
    unkeyed_to: int | None
    last: int


def verify_chain(engine: Engine, tenant: str, scan: Scan | None = None) -> Report:
    """Verify the chain of *tenant*.

    Args:
        engine: The store; its tables are those of this version.
        tenant: As stored.
        scan: How; by default all of it, without a key.

    Raises:
        StoreError: The store did not answer, or rows were dropped by retention meanwhile.
    """
    scan = scan or Scan()
    with reading(engine) as connection:
        opening = _open(connection, tenant, scan)
    start = opening.start
    verifier = ChainVerifier(tenant, start, key=scan.key, unkeyed_to=opening.unkeyed_to, anchored=opening.is_anchored)
    samples: list[Failure] = []
    count = 0
    for failure in _failures(engine, tenant, scan, verifier, opening):
        count += 1
        if count <= _SAMPLES:
            samples.append(failure)
    rows, end = verifier.rows, verifier.position
    return Report(tenant, start.chain_seq, rows, end, tuple(samples), count, verifier.checkpoints)


def _failures(engine: Engine, tenant: str, scan: Scan, verifier: ChainVerifier, opening: _Opening) -> Iterator[Failure]:
    total = max(0, opening.last - opening.start.chain_seq)
    own = [checkpoint for checkpoint in scan.checkpoints if checkpoint.tenant_id == tenant]
    yield from _expect(verifier, own, scan.key)
    if isinstance(opening.first, int | float) and opening.first < 1:  # a forger's: no page begins before the first row
        yield Failure("missing_chain_fields", int(opening.first))
    for page in _pages(engine, tenant, opening):
        yield from _expect(verifier, page.checkpoints, scan.key)
        for row in page.rows:
            yield from verifier.feed(row)
        if page.is_last:
            yield from verifier.finish(page.head)
        if scan.progress is not None:
            scan.progress(verifier.rows, max(total, verifier.rows), verifier.verified)


def _open(connection: Connection, tenant: str, scan: Scan) -> _Opening:
    head = read_head(connection, tenant)
    last = head.last_seq if head else 0
    first = next_seq(connection, tenant)
    start = (isinstance(first, int) and first > 1 and _anchor(connection, tenant, first - 1, scan.key)) or BEGINNING
    is_anchored = start is not BEGINNING
    if scan.newest is not None and last - scan.newest > start.chain_seq:
        known = position_at(connection, tenant, last - scan.newest)
        start, is_anchored = (start, is_anchored) if known is None else (known, False)
    if scan.after is not None and scan.after.chain_seq > start.chain_seq:
        start, is_anchored = scan.after, False
    return _Opening(start, first, is_anchored, _unkeyed_to(connection, tenant, scan), last)


def _anchor(connection: Connection, tenant: str, seq: int, key: AuditKey | None) -> Position | None:
    """Return the row that stands for those before it, which were dropped: a checkpoint, signed where that shows."""
    for checkpoint in read_checkpoints(connection, tenant, first=seq, last=seq):
        if key is None or checkpoint.is_signed_with(key):
            return Position(seq, checkpoint.chain_hash)
    return None


def _unkeyed_to(connection: Connection, tenant: str, scan: Scan) -> int | None:
    if scan.admits_unkeyed:
        return None
    if scan.key is None:
        return 0
    own = [given for given in scan.checkpoints if given.tenant_id == tenant and given.is_signed_with(scan.key)]
    kept = newest_signed(connection, tenant, scan.key)
    return max((given.chain_seq for given in (*own, *([kept] if kept else []))), default=0)


def _expect(verifier: ChainVerifier, checkpoints: Iterable[Checkpoint], key: AuditKey | None) -> Iterator[Failure]:
    for checkpoint in checkpoints:
        if key is not None and key.id == checkpoint.key_id and not checkpoint.is_signed_with(key):
            yield Failure("checkpoint_forged", checkpoint.chain_seq)
        else:
            yield from verifier.expect(checkpoint.chain_seq, checkpoint.chain_hash)


def _pages(engine: Engine, tenant: str, opening: _Opening) -> Iterator[_Page]:
    after, checked = opening.start.chain_seq, opening.start.chain_seq
    while True:
        with reading(engine) as connection:
            head = read_head(connection, tenant)
            first = next_seq(connection, tenant, after)
            is_last = not isinstance(first, int)  # there is none, or it is a forger's, and sorts behind all numbers
            if first != after + 1 and next_seq(connection, tenant) != opening.first:
                raise StoreError("audit rows were dropped while they were verified: verify again")
            rows = [] if first is None else read_rows(connection, tenant, first, None if is_last else first + _PAGE - 1)
            after = after if is_last else rows[-1][_SEQ]
            checkpoints = list(read_checkpoints(connection, tenant, first=checked, last=None if is_last else after))
        yield _Page(rows, checkpoints, head, is_last)
        if is_last:
            return
        checked = after + 1
