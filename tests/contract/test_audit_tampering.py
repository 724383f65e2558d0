"""Is whatever is done to an audit chain by direct SQL found, at the row where it was done? Each store, any rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

from tests.contract.audit_forger import (
    CHAINED,
    KEY,
    NULLABLE,
    SECRET,
    TEXTS,
    documented_hash,
    forge,
    put,
    rows,
    run,
    set_head,
    wipe,
    without_triggers,
    write,
)
from tracegate.store.audit import AuditRow
from tracegate.store.audit_chain import Position
from tracegate.store.audit_checkpoint import Checkpoint, sign
from tracegate.store.audit_scan import Report, Scan, verify_chain
from tracegate.store.engine import reading, writing

pytestmark = pytest.mark.contract("H2")

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\x1a"), max_size=12)
SAID = st.fixed_dictionaries(
    {"trace_id": TEXT, "action_type": TEXT}, optional=dict.fromkeys(NULLABLE, st.none() | TEXT)
)
CHAINS = st.lists(SAID, min_size=1, max_size=6)
EARLIER = "2001-02-03T04:05:06.000000Z"
LATER = "2199-12-31T23:59:59.999999Z"
ON_EACH_STORE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@dataclass
class Crime:
    """A tampering of one row, and where it must be found.

    Attributes:
        found_at: The row.
        kinds: What it may be called.
    """

    found_at: int
    kinds: tuple[str, ...]


Tampering = Callable[[Connection, list[dict[str, Any]], int, st.DataObject], Crime]


def update(connection: Connection, seq: int, column: str, value: object) -> None:
    """Change one value."""
    run(
        connection,
        f"UPDATE tb_audit_log SET {column} = :value WHERE tenant_id = 't' AND chain_seq = :seq",  # noqa: S608 - ours
        value=value,
        seq=seq,
    )


def edit_text(connection: Connection, chain: list[dict[str, Any]], seq: int, data: st.DataObject) -> Crime:
    """Change any column that says what was done; NULL is not the empty text."""
    column = data.draw(st.sampled_from([name for name in TEXTS if name != "tenant_id"]))
    was = chain[seq - 1][column]
    other = (st.none() | TEXT) if column in NULLABLE else TEXT
    update(connection, seq, column, data.draw(other.filter(lambda value: value != was)))
    return Crime(seq, ("hash_curr_mismatch",))


def edit_chain_field(connection: Connection, chain: list[dict[str, Any]], seq: int, data: st.DataObject) -> Crime:
    """Change a hash, or how it was made."""
    column = data.draw(st.sampled_from(["hash_prev", "hash_curr", "hash_algo"]))
    was = chain[seq - 1][column]
    update(connection, seq, column, data.draw(TEXT.filter(lambda value: value != was) | st.just("hmac-sha256:00")))
    return Crime(seq, (
        "missing_chain_fields", "hash_link_mismatch", "hash_curr_mismatch", "hash_algo_mismatch", "hash_key_unknown",
    ))  # fmt: skip


def redate(connection: Connection, _chain: list[dict[str, Any]], seq: int, data: st.DataObject) -> Crime:
    """Say that it was done at another time."""
    update(connection, seq, "created_at", data.draw(st.sampled_from([EARLIER, LATER])))
    return Crime(seq, ("hash_curr_mismatch", "created_at_regression"))


def move_to_another_tenant(
    connection: Connection, chain: list[dict[str, Any]], seq: int, _data: st.DataObject
) -> Crime:
    """Take a row out of the chain; it stands in another one then."""
    update(connection, seq, "tenant_id", "v")
    return delete_or_truncate(chain, seq)


def renumber(connection: Connection, chain: list[dict[str, Any]], seq: int, data: st.DataObject) -> Crime:
    """Give a row a later place, or the last row one that leaves a gap."""
    update(connection, seq, "chain_seq", len(chain) + data.draw(st.integers(1, 5_000)))
    return Crime(seq, ("chain_seq_gap", "hash_link_mismatch"))


def delete(connection: Connection, chain: list[dict[str, Any]], seq: int, _data: st.DataObject) -> Crime:
    """Remove a row."""
    run(connection, "DELETE FROM tb_audit_log WHERE tenant_id = 't' AND chain_seq = :seq", seq=seq)
    return delete_or_truncate(chain, seq)


def delete_or_truncate(chain: list[dict[str, Any]], seq: int) -> Crime:
    """Return what a missing row is called: at the end the head misses it."""
    return Crime(seq, ("head_mismatch",) if seq == len(chain) else ("chain_seq_gap",))


def truncate(connection: Connection, _chain: list[dict[str, Any]], seq: int, _data: st.DataObject) -> Crime:
    """Remove the row and all behind it."""
    run(connection, "DELETE FROM tb_audit_log WHERE tenant_id = 't' AND chain_seq >= :seq", seq=seq)
    return Crime(seq, ("head_mismatch",))


def swap(connection: Connection, chain: list[dict[str, Any]], seq: int, data: st.DataObject) -> Crime:
    """Exchange the places of two rows; of a chain of one row, its place."""
    if len(chain) == 1:
        return renumber(connection, chain, seq, data)
    other = data.draw(st.integers(1, len(chain)).filter(lambda number: number != seq))
    for old, new in ((seq, 9_000), (other, seq), (9_000, other)):
        update(connection, old, "chain_seq", new)
    return Crime(min(seq, other), ("hash_link_mismatch", "chain_fork"))


def rehash_one(connection: Connection, chain: list[dict[str, Any]], seq: int, _data: st.DataObject) -> Crime:
    """Change a row, and hash it anew as it should be: the next row tells, or the head."""
    made = {**chain[seq - 1], "reason": "nobody saw me", "hash_algo": "sha256"}
    update(connection, seq, "reason", made["reason"])
    update(connection, seq, "hash_curr", documented_hash(made, None))
    if seq == len(chain):
        return Crime(seq, ("head_mismatch",))
    return Crime(seq + 1, ("hash_link_mismatch",))


def fork(connection: Connection, chain: list[dict[str, Any]], seq: int, data: st.DataObject) -> Crime:
    """Append a second row that continues one that is continued already, and let the head say so, or not."""
    end = len(chain)
    before = "GENESIS" if seq == 1 else chain[seq - 2]["hash_curr"]
    made = {**chain[-1], "id": "forked", "chain_seq": end + 1, "hash_prev": before}
    made["hash_curr"] = documented_hash(made, None)
    put(connection, made)
    if data.draw(st.booleans()):
        set_head(connection, end + 1, made["hash_curr"])
    return Crime(end + 1, ("chain_fork",) if seq == end else ("hash_link_mismatch",))


def behead(connection: Connection, chain: list[dict[str, Any]], _seq: int, data: st.DataObject) -> Crime:
    """Change the head, or remove it."""
    end = len(chain)
    done = data.draw(st.sampled_from(["remove", "hash", "more", "less"]))
    if done == "remove":
        run(connection, "DELETE FROM tb_audit_head WHERE tenant_id = 't'")
    elif done == "hash":
        set_head(connection, end, "0" * 64)
    else:
        set_head(connection, end + (1 if done == "more" else -1), chain[-1]["hash_curr"])
    return Crime(end + 1 if done == "more" else end, ("head_mismatch",))


def redate_the_rest(connection: Connection, chain: list[dict[str, Any]], seq: int, _data: st.DataObject) -> Crime:
    """Say that a row was done earlier than the one before, and hash it and all behind it anew; the first: just edit."""
    if seq == 1:
        update(connection, 1, "created_at", EARLIER)
        return Crime(1, ("hash_curr_mismatch",))
    forge(connection, [{**row, "created_at": EARLIER} for row in chain[seq - 1 :]], first=seq)
    return Crime(seq, ("created_at_regression",))


WITHOUT_A_KEY: tuple[Tampering, ...] = (
    edit_text, edit_chain_field, redate, move_to_another_tenant, renumber, delete, truncate, swap, rehash_one, fork,
    behead, redate_the_rest,
)  # fmt: skip


def verified(engine: Engine, scan: Scan | None = None) -> Report:
    """Verify the chain."""
    return verify_chain(engine, "t", scan)


def begin(engine: Engine, said: list[dict[str, Any]], *, keyed: bool = False) -> list[dict[str, Any]]:
    """Write a chain, and see that it is sound."""
    wipe(engine)
    write(engine, [AuditRow(tenant_id="t", **one) for one in said], KEY if keyed else None)
    report = verified(engine, Scan(key=KEY if keyed else None))
    assert report.passed
    assert report.rows == report.end.chain_seq == len(said)
    with reading(engine) as connection:
        return rows(connection)


def assert_found(report: Report, crime: Crime) -> None:
    """See that the first thing found is what was done, where it was done."""
    assert not report.passed
    assert report.failures[0].chain_seq == crime.found_at
    assert report.failures[0].kind in crime.kinds


@pytest.mark.parametrize("tamper", WITHOUT_A_KEY, ids=lambda tamper: tamper.__name__)
def test_what_is_done_to_a_row_is_found_there(engine: Engine, tamper: Tampering) -> None:
    """Without any key."""
    without_triggers(engine)

    @settings(ON_EACH_STORE, max_examples=12)
    @given(said=CHAINS, data=st.data())
    def each(said: list[dict[str, Any]], data: st.DataObject) -> None:
        chain = begin(engine, said)
        seq = data.draw(st.integers(1, len(chain)))
        with writing(engine) as connection:
            crime = tamper(connection, chain, seq, data)
        assert_found(verified(engine), crime)

    each()


@pytest.mark.parametrize(
    "tamper", [edit_text, redate, delete, truncate, swap, behead], ids=lambda tamper: tamper.__name__
)
def test_the_same_is_found_in_a_chain_with_a_key(engine: Engine, tamper: Tampering) -> None:
    """At the same rows."""
    without_triggers(engine)

    @settings(ON_EACH_STORE, max_examples=6)
    @given(said=CHAINS, data=st.data())
    def each(said: list[dict[str, Any]], data: st.DataObject) -> None:
        chain = begin(engine, said, keyed=True)
        seq = data.draw(st.integers(1, len(chain)))
        with writing(engine) as connection:
            crime = tamper(connection, chain, seq, data)
        assert_found(verified(engine, Scan(key=KEY)), crime)

    each()


def changed(chain: list[dict[str, Any]], seq: int) -> list[dict[str, Any]]:
    """Return the rows from *seq* on with other reasons; they take back that the chain has a key."""
    return [{**row, "reason": "another", "hash_algo": "sha256"} for row in chain[seq - 1 :]]


@given(said=CHAINS, data=st.data())
@ON_EACH_STORE
def test_a_chain_made_anew_is_found_with_a_checkpoint_kept_elsewhere(
    engine: Engine, said: list[dict[str, Any]], data: st.DataObject
) -> None:
    """And by nothing else, where the chain has no key: clause H2 says so. No key is needed to compare."""
    without_triggers(engine)
    chain = begin(engine, said)
    seq = data.draw(st.integers(1, len(chain)))
    kept = sign("t", Position(len(chain), chain[-1]["hash_curr"]), KEY)
    with writing(engine) as connection:
        forge(connection, changed(chain, seq), first=seq)

    assert verified(engine).passed
    assert_found(verified(engine, Scan(checkpoints=[kept])), Crime(len(chain), ("checkpoint_mismatch",)))
    read_again = Checkpoint.from_line(kept.as_line())
    assert_found(verified(engine, Scan(checkpoints=[read_again])), Crime(len(chain), ("checkpoint_mismatch",)))


@given(said=CHAINS, data=st.data(), mimics=st.booleans())
@ON_EACH_STORE
def test_a_chain_made_anew_is_found_with_the_key(
    engine: Engine, said: list[dict[str, Any]], data: st.DataObject, *, mimics: bool
) -> None:
    """From the row on that was changed first, whether the forger names the key or not."""
    without_triggers(engine)
    chain = begin(engine, said, keyed=True)
    seq = data.draw(st.integers(1, len(chain)))
    with writing(engine) as connection:
        made = changed(chain, seq)
        forge(
            connection, [{**row, "hash_algo": f"hmac-sha256:{KEY.id}"} for row in made] if mimics else made, first=seq
        )

    kinds = ("hash_curr_mismatch",) if mimics else ("hash_algo_mismatch",)
    assert_found(verified(engine, Scan(key=KEY)), Crime(seq, kinds))


@given(said=CHAINS, data=st.data())
@ON_EACH_STORE
def test_a_shorter_chain_with_its_head_set_back_is_found_with_the_key_or_a_checkpoint(
    engine: Engine, said: list[dict[str, Any]], data: st.DataObject
) -> None:
    """The head is signed too; without either, nothing can tell it from a chain that was never longer."""
    without_triggers(engine)
    chain = begin(engine, [*said, {"trace_id": "", "action_type": ""}], keyed=True)
    seq = data.draw(st.integers(2, len(chain)))
    kept = sign("t", Position(len(chain), chain[-1]["hash_curr"]), KEY)
    with writing(engine) as connection:
        run(connection, "DELETE FROM tb_audit_log WHERE chain_seq >= :seq", seq=seq)
        set_head(connection, seq - 1, chain[seq - 2]["hash_curr"])

    assert_found(verified(engine, Scan(key=KEY)), Crime(seq - 1, ("head_mismatch",)))
    found = verified(engine, Scan(key=KEY, checkpoints=[kept]))
    assert ("checkpoint_mismatch", len(chain)) in [failure[:2] for failure in found.failures]


@given(said=CHAINS)
@ON_EACH_STORE
def test_the_hash_is_the_documented_one(engine: Engine, said: list[dict[str, Any]]) -> None:
    """On both stores the same, byte by byte, with a key and without; every column of the table is in it."""
    without_triggers(engine)
    for secret in (None, SECRET):
        chain = begin(engine, said, keyed=secret is not None)
        assert [row["hash_curr"] for row in chain] == [documented_hash(row, secret) for row in chain]
        assert [row["hash_prev"] for row in chain] == ["GENESIS", *(row["hash_curr"] for row in chain[:-1])]
    with reading(engine) as connection:
        columns = set(connection.exec_driver_sql("SELECT * FROM tb_audit_log").keys())
    assert columns == {*TEXTS, *CHAINED}
