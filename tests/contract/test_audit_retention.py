"""What vouches for a chain, and which of its rows may go? Only a prefix up to a signed checkpoint; on each store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from tests.contract.audit_forger import KEY, a_row, put, rows, run, without_triggers, write
from tracegate.errors import StoreError
from tracegate.ops.audit_sign import sign_chain
from tracegate.store import audit_scan
from tracegate.store.audit_chain import RETENTION, Position
from tracegate.store.audit_checkpoint import Checkpoint, append_checkpoint, read_checkpoints, sign
from tracegate.store.audit_gate import OPERATIONS
from tracegate.store.audit_hash import AuditKey
from tracegate.store.audit_retain import Retention, retain_audit
from tracegate.store.audit_scan import Scan, verify_chain
from tracegate.store.engine import is_postgresql, reading, writing
from tracegate.store.schema import data_retention_run

pytestmark = pytest.mark.contract("H1", "H2")
OTHER = AuditKey(b"another key, also of 32 bytes ....")


def asked(**says: object) -> Retention:
    """Ask for everything up to now to go."""
    known = {"before": datetime.now(UTC) + timedelta(seconds=1), "actor": "ana", "trace_id": "x"}
    return Retention(**{**known, **says})  # type: ignore[arg-type] - what it can say


def filled(engine: Engine, count: int = 6, *, signed_at: int = 4) -> Checkpoint:
    """Write a chain with a key, and sign it at one row."""
    write(engine, [a_row(number) for number in range(signed_at)], KEY)
    checkpoint = sign_chain(engine, "t", KEY)
    write(engine, [a_row(number) for number in range(signed_at, count)], KEY)
    return checkpoint


def tamper(engine: Engine, statement: str) -> None:
    """Do harm, with the triggers out of the way."""
    without_triggers(engine)
    with writing(engine) as connection:
        connection.execute(text(statement))


# Checkpoints


def test_a_checkpoint_is_one_line_that_can_be_read_again(engine: Engine) -> None:
    """Whoever changes any of it breaks its signature; another key is another signature."""
    checkpoint = filled(engine)
    line = checkpoint.as_line()

    assert "\n" not in line
    assert Checkpoint.from_line(line) == checkpoint
    assert (checkpoint.tenant_id, checkpoint.chain_seq, checkpoint.key_id) == ("t", 4, KEY.id)
    assert checkpoint.is_signed_with(KEY)
    assert not checkpoint.is_signed_with(OTHER)
    for change in (
        {"tenant_id": "u"}, {"chain_seq": 3}, {"chain_hash": "0"}, {"signature": "ü"}, {"signed_at": "2026"},
        {"key_id": OTHER.id},
    ):  # fmt: skip
        assert not replace(checkpoint, **change).is_signed_with(KEY)
    for nonsense in ("", "{}", "[1]", line[:-1]):
        with pytest.raises(ValueError, match="no checkpoint"):
            Checkpoint.from_line(nonsense)


def test_a_checkpoint_is_kept_once_for_each_row_and_key(engine: Engine) -> None:
    """To sign the same end again gives the same line."""
    write(engine, [a_row(1)], KEY)
    first = sign_chain(engine, "t", KEY)
    assert sign_chain(engine, "t", KEY) == first
    with writing(engine) as connection:
        append_checkpoint(connection, sign("t", Position(1, first.chain_hash), OTHER))
    with reading(engine) as connection:
        assert [one.key_id for one in read_checkpoints(connection, "t")] == sorted([KEY.id, OTHER.id])
    assert verify_chain(engine, "t", Scan(key=KEY)).checkpoints == 1


def test_only_a_chain_that_verifies_is_signed(engine: Engine) -> None:
    """Since its last checkpoint; what has no row has nothing to sign."""
    filled(engine)
    with pytest.raises(StoreError, match="there is no audit row of u"):
        sign_chain(engine, "u", KEY)
    tamper(engine, "UPDATE tb_audit_log SET reason = 'x' WHERE chain_seq = 5")
    with pytest.raises(StoreError, match="broken, and not signed: hash_curr_mismatch at row 5"):
        sign_chain(engine, "t", KEY)


def test_a_chain_gets_its_key_by_a_checkpoint_that_adopts_its_rows(engine: Engine) -> None:
    """Once, and by saying so: else whoever took the key away from a chain would have it signed."""
    write(engine, [a_row(1), a_row(2)])
    with pytest.raises(StoreError, match="not signed: hash_algo_mismatch at row 1"):
        sign_chain(engine, "t", KEY)
    assert not verify_chain(engine, "t", Scan(key=KEY)).passed
    sign_chain(engine, "t", KEY, adopts=True)
    assert verify_chain(engine, "t", Scan(key=KEY)).passed

    write(engine, [a_row(3)], KEY)
    assert verify_chain(engine, "t", Scan(key=KEY)).passed
    tamper(engine, "UPDATE tb_audit_log SET reason = 'x' WHERE chain_seq = 2")
    assert verify_chain(engine, "t", Scan(key=KEY)).failures[0][:2] == ("hash_curr_mismatch", 2)


def test_a_checkpoint_kept_elsewhere_can_adopt_too(engine: Engine) -> None:
    """It is worth as much as one in the store, if it is signed."""
    (entry,) = write(engine, [a_row(1)])
    kept = sign_chain(engine, "t", KEY, adopts=True)
    tamper(engine, "DELETE FROM tb_audit_checkpoint")
    assert verify_chain(engine, "t", Scan(key=KEY, checkpoints=[kept])).passed
    assert not verify_chain(engine, "t", Scan(key=KEY, checkpoints=[replace(kept, signature="")])).passed
    others = sign("t", Position(1, entry.hash_curr), OTHER)
    found = verify_chain(engine, "t", Scan(key=KEY, checkpoints=[others]))
    assert (found.failures[0][:2], found.checkpoints) == (("hash_algo_mismatch", 1), 1)


def test_a_forged_checkpoint_is_found(engine: Engine) -> None:
    """With the key by its signature, without it where it does not fit the chain."""
    filled(engine)
    tamper(engine, "UPDATE tb_audit_checkpoint SET signature = 'x'")
    assert verify_chain(engine, "t", Scan(key=KEY)).failures == (("checkpoint_forged", 4, None),)
    with writing(engine) as connection:
        connection.execute(text("UPDATE tb_audit_checkpoint SET chain_hash = 'x'"))
    kinds = {failure[:2] for failure in verify_chain(engine, "t").failures}
    assert ("checkpoint_mismatch", 4) in kinds


def test_the_end_of_a_chain_before_its_checkpoint_is_found(engine: Engine) -> None:
    """Cut off with the head set back, the checkpoint in the store still names the row."""
    filled(engine)
    tamper(engine, "DELETE FROM tb_audit_log WHERE chain_seq > 2")
    with writing(engine) as connection:
        run(
            connection,
            "UPDATE tb_audit_head SET last_seq = 2, last_hash = :hash",
            hash=rows(connection)[-1]["hash_curr"],
        )
    assert ("checkpoint_mismatch", 4) in [failure[:2] for failure in verify_chain(engine, "t").failures]


# Retention


def test_rows_up_to_a_checkpoint_go_and_a_row_says_so(engine: Engine) -> None:
    """The chain verifies from the checkpoint on, with the key and without; a second time there is nothing to do."""
    checkpoint = filled(engine)
    assert retain_audit(engine, "t", asked(), KEY) == 4
    with reading(engine) as connection:
        left = rows(connection)
        runs = connection.execute(data_retention_run.select()).all()

    assert [row["chain_seq"] for row in left] == [5, 6, 7]
    assert (left[-1]["action_type"], left[-1]["target_id"], left[-1]["actor_user_id"]) == (RETENTION, "4", "ana")
    assert checkpoint.signature in left[-1]["before_json"]
    assert [(one.tenant_id, one.chain_seq, one.dropped_rows) for one in runs] == [("t", 4, 4)]
    assert runs[0].ended_at is not None
    for key in (KEY, None):
        report = verify_chain(engine, "t", Scan(key=key))
        assert (report.start, report.passed or key is None) == (4, True)
    assert retain_audit(engine, "t", asked(), KEY) == 0

    write(engine, [a_row(9)], KEY)
    sign_chain(engine, "t", KEY)
    assert retain_audit(engine, "t", asked(), KEY) == 4
    report = verify_chain(engine, "t", Scan(key=KEY))
    assert (report.passed, report.start, report.rows) == (True, 8, 1)


def test_without_a_key_an_anchor_is_taken_as_it_is(engine: Engine) -> None:
    """The rows of a chain without a key verify on, behind a checkpoint of whoever has one."""
    write(engine, [a_row(1), a_row(2)])
    sign_chain(engine, "t", KEY, adopts=True)
    assert retain_audit(engine, "t", asked(), KEY) == 2
    report = verify_chain(engine, "t", Scan(key=KEY))
    assert (report.passed, report.start, report.rows) == (True, 2, 1)


def test_no_row_goes_that_no_checkpoint_covers_or_that_is_too_young(engine: Engine) -> None:
    """Nor one whose checkpoint somebody else has signed."""
    before = datetime.now(UTC)
    filled(engine)
    assert retain_audit(engine, "t", asked(), OTHER) == 0
    assert retain_audit(engine, "t", asked(before=before), KEY) == 0
    assert retain_audit(engine, "nobody", asked(), KEY) == 0
    with pytest.raises(ValueError, match="the deploy gate"):
        retain_audit(engine, OPERATIONS, asked(), KEY)
    assert verify_chain(engine, "t", Scan(key=KEY)).rows == 6


def test_a_checkpoint_that_is_too_young_is_passed_over(engine: Engine) -> None:
    """For the newest one of which all rows are old enough."""
    filled(engine, 3, signed_at=2)
    then = datetime.now(UTC)
    write(engine, [a_row(4)], KEY)
    sign_chain(engine, "t", KEY)
    assert retain_audit(engine, "t", asked(before=then), KEY) == 2
    assert verify_chain(engine, "t", Scan(key=KEY)).start == 2


def test_nothing_goes_of_a_chain_that_is_damaged(engine: Engine) -> None:
    """It is evidence."""
    filled(engine)
    tamper(engine, "UPDATE tb_audit_log SET reason = 'x' WHERE chain_seq = 2")
    with pytest.raises(StoreError, match="nothing of it dropped: hash_curr_mismatch at row 2"):
        retain_audit(engine, "t", asked(), KEY)
    assert verify_chain(engine, "t", Scan(key=KEY)).rows == 6


def test_a_prefix_that_somebody_else_dropped_is_found(engine: Engine) -> None:
    """Without a checkpoint there, with one that is not signed, and with a signed one where no row tells of it."""
    checkpoint = filled(engine)
    tamper(engine, "DELETE FROM tb_audit_log WHERE chain_seq <= 3")
    assert verify_chain(engine, "t", Scan(key=KEY)).failures[0][:2] == ("chain_seq_gap", 1)
    with writing(engine) as connection:
        append_checkpoint(connection, replace(checkpoint, chain_seq=3, chain_hash=rows(connection)[0]["hash_prev"]))
    assert ("chain_seq_gap", 1) in [failure[:2] for failure in verify_chain(engine, "t", Scan(key=KEY)).failures]
    with writing(engine) as connection:
        connection.execute(text("DELETE FROM tb_audit_log WHERE chain_seq = 4"))
    found = [failure[:2] for failure in verify_chain(engine, "t", Scan(key=KEY)).failures]
    assert ("anchor_not_audited", 4) in found


def test_rows_that_go_while_they_are_verified_are_no_false_alarm(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run says that it has to be done again; then it passes."""
    monkeypatch.setattr(audit_scan, "_PAGE", 2)
    filled(engine)
    dropped = [0]

    def drop(_done: int, _total: int, _at: Position) -> None:
        monkeypatch.setattr(audit_scan, "_PAGE", 2_000)
        dropped[0] += retain_audit(engine, "t", asked(), KEY)

    with pytest.raises(StoreError, match="dropped while they were verified"):
        verify_chain(engine, "t", Scan(key=KEY, progress=drop))
    assert dropped == [4]
    assert verify_chain(engine, "t", Scan(key=KEY)).passed


# The triggers


def refused(engine: Engine, *statements: str) -> None:
    """Run them in one transaction, and see the last one refused."""
    with engine.connect() as connection, connection.begin() as transaction:
        for statement in statements[:-1]:
            connection.execute(text(statement))
        with pytest.raises(DBAPIError, match="is append-only"):
            connection.execute(text(statements[-1]))
        transaction.rollback()


OPEN_RUN = (
    "INSERT INTO tb_data_retention_run (id, table_name, dropped_before, started_at, tenant_id, chain_seq{more})"
    " VALUES ('r', '{table}', '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z', '{tenant}', {seq}{value})"
)


def a_run(table: str = "tb_audit_log", tenant: str = "t", seq: int = 4, *, ended: bool = False) -> str:
    """Return the statement that opens the door, or one like it."""
    more, value = (", ended_at", ", '2026-01-01T00:00:00.000000Z'") if ended else ("", "")
    return OPEN_RUN.format(table=table, tenant=tenant, seq=seq, more=more, value=value)


PREFIX = "DELETE FROM tb_audit_log WHERE tenant_id = 't' AND chain_seq <= 4"


@pytest.mark.parametrize(
    "opened", [
        (), (a_run("tb_ops_event"),), (a_run(tenant="u"),), (a_run(seq=3),), (a_run(seq=5),), (a_run(ended=True),),
    ],
    ids=["no run", "of events", "of another tenant", "too short", "to no checkpoint", "ended"],
)  # fmt: skip
def test_no_other_run_lets_audit_rows_go(engine: Engine, opened: tuple[str, ...]) -> None:
    """It is open, of this table and tenant, and ends at a checkpoint."""
    filled(engine)
    write(engine, [a_row(number, tenant_id="u") for number in range(4)], KEY)
    sign_chain(engine, "u", KEY)
    refused(engine, *opened, PREFIX)


@pytest.mark.parametrize(
    "statement", [
        "DELETE FROM tb_audit_log",
        "DELETE FROM tb_audit_log WHERE chain_seq = 2",
        "DELETE FROM tb_audit_log WHERE chain_seq BETWEEN 2 AND 4",
        "DELETE FROM tb_audit_log WHERE chain_seq = 5",
        "UPDATE tb_audit_log SET reason = 'x' WHERE chain_seq = 1",
        "DELETE FROM tb_audit_checkpoint",
    ],
)  # fmt: skip
def test_an_open_run_lets_only_the_prefix_go(engine: Engine, statement: str) -> None:
    """No row from the middle, none behind the checkpoint, no change, and not the checkpoint."""
    filled(engine)
    refused(engine, a_run(), statement)
    if is_postgresql(engine):
        refused(engine, a_run(), "TRUNCATE tb_audit_log")


def test_an_open_run_lets_the_prefix_go(engine: Engine) -> None:
    """All of it, or its first rows."""
    filled(engine)
    with writing(engine) as connection:
        connection.execute(text(a_run()))
        connection.execute(text("DELETE FROM tb_audit_log WHERE chain_seq <= 2"))
        connection.execute(text(PREFIX))
        assert [row["chain_seq"] for row in rows(connection)] == [5, 6]


def test_a_forgers_row_is_no_retention(engine: Engine) -> None:
    """Whoever may write rows may say that some were dropped; the key tells that they did not drop them."""
    filled(engine)
    without_triggers(engine)
    with writing(engine) as connection:
        chain = rows(connection)
        connection.execute(text("DELETE FROM tb_audit_log WHERE chain_seq <= 2"))
        put(connection, {**chain[-1], "id": "z", "chain_seq": 7, "action_type": RETENTION, "target_id": "2"})
    assert verify_chain(engine, "t", Scan(key=KEY)).failures[0][:2] == ("chain_seq_gap", 1)
