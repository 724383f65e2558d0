"""Is the audit log of a tenant one unbroken chain, whoever writes it, and can it be verified piece by piece?"""

# ruff: noqa: S608 - the SQL of an intruder

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from tests.contract.audit_forger import KEY, SECRET, a_row, put, rows, run, set_head, without_triggers, write
from tests.contract.audit_writers import append_rows
from tests.contract.stores import processes
from tracegate.errors import ConfigurationError, StoreError
from tracegate.ops.audit_key import audit_key
from tracegate.settings import load_policy
from tracegate.store import audit_scan
from tracegate.store.audit import append_audit
from tracegate.store.audit_chain import Position
from tracegate.store.audit_hash import GENESIS, AuditKey
from tracegate.store.audit_read import find_rows, read_tenants
from tracegate.store.audit_scan import Scan, verify_chain
from tracegate.store.engine import is_postgresql, reading, writing

pytestmark = pytest.mark.contract("H2")
WRITERS = 8


# Writing


def test_a_row_stands_in_the_chain_as_it_was_returned(engine: Engine) -> None:
    """Id, number, time, hashes: UUIDv7, from 1 on, GENESIS first."""
    first, second = write(engine, [a_row(1, reason="Zoë\x00\ud800"), a_row(2)])
    with reading(engine) as connection:
        stored = rows(connection)

    assert [row["id"] for row in stored] == [first.id, second.id]
    assert {uuid.UUID(row["id"]).version for row in stored} == {7}
    assert (first.chain_seq, first.hash_prev, second.chain_seq, second.hash_prev) == (1, GENESIS, 2, first.hash_curr)
    assert [row["hash_curr"] for row in stored] == [first.hash_curr, second.hash_curr]
    assert first.hash_algo == "sha256"
    assert abs(first.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert first.created_at <= second.created_at


def test_each_tenant_has_a_chain_of_its_own(engine: Engine) -> None:
    """Numbers begin anew, and no row of one is in the other's."""
    write(engine, [a_row(1), a_row(2, tenant_id="ü"), a_row(3)])
    reports = {tenant: verify_chain(engine, tenant) for tenant in ("t", "ü", "nobody")}

    assert {tenant: (report.passed, report.rows) for tenant, report in reports.items()} == {
        "t": (True, 2), "ü": (True, 1), "nobody": (True, 0),
    }  # fmt: skip
    with reading(engine) as connection:
        assert read_tenants(connection) == ["t", "ü"]


def test_a_row_goes_with_the_transaction_it_was_written_in(engine: Engine) -> None:
    """Undone with it, and the chain is as if it had never been."""
    write(engine, [a_row(1)])
    with pytest.raises(ZeroDivisionError), writing(engine) as connection:  # noqa: PT012 - the block is the transaction
        append_audit(connection, a_row(2))
        raise ZeroDivisionError
    (entry,) = write(engine, [a_row(3)])

    assert entry.chain_seq == 2
    assert verify_chain(engine, "t").passed


def test_a_clock_that_was_set_back_does_not_date_a_row_before_the_last(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets the time of the row before."""

    class Early(datetime):
        """A clock that is a day late."""

        @classmethod
        def now(cls, _tz: object = None) -> datetime:  # type: ignore[override] - a fake
            return datetime.now(UTC) - timedelta(days=1)

    (first,) = write(engine, [a_row(1)])
    monkeypatch.setattr("tracegate.store.audit.datetime", Early)
    (second,) = write(engine, [a_row(2)])

    assert second.created_at == first.created_at
    assert verify_chain(engine, "t").passed


def test_eight_threads_leave_one_unbroken_chain(engine: Engine) -> None:
    """Also where none has written before: they begin it once."""
    together = threading.Barrier(WRITERS)

    def append(number: int) -> str:
        together.wait()
        return [entry for _ in range(5) for entry in write(engine, [a_row(number)])][-1].id

    with ThreadPoolExecutor(WRITERS) as pool:
        assert len(set(pool.map(append, range(WRITERS)))) == WRITERS
    report = verify_chain(engine, "t")
    assert (report.passed, report.rows) == (True, 5 * WRITERS)


def test_processes_leave_one_unbroken_chain(url: str, engine: Engine) -> None:
    """Four with two threads each, as a fleet's workers."""
    with processes(4) as pool:
        done = [pool.submit(append_rows, url, 10, WRITERS // 4) for _ in range(4)]
        ids = [entry for one in done for entry in one.result(120)]
    with reading(engine) as connection:
        stored = rows(connection)

    assert verify_chain(engine, "t").passed
    assert sorted(ids) == sorted(row["id"] for row in stored)
    assert [row["chain_seq"] for row in stored] == list(range(1, 10 * WRITERS + 1))


HARM = {
    "the newest row is gone": "DELETE FROM tb_audit_log WHERE chain_seq = 2",
    "the newest row is another": "UPDATE tb_audit_log SET hash_curr = 'x' WHERE chain_seq = 2",
    "all rows are gone": "DELETE FROM tb_audit_log",
    "the head is gone": "DELETE FROM tb_audit_head",
    "the head is another": "UPDATE tb_audit_head SET last_seq = 1",
}


@pytest.mark.parametrize("statement", HARM.values(), ids=HARM)
def test_nothing_is_appended_to_a_damaged_end(engine: Engine, statement: str) -> None:
    """A new chain on a damaged one is how a forger would hide it."""
    write(engine, [a_row(1), a_row(2)])
    without_triggers(engine)
    with writing(engine) as connection:
        connection.execute(text(statement))
    with pytest.raises(StoreError, match=r"damaged at its row|lost its head"):
        write(engine, [a_row(3)])
    assert not verify_chain(engine, "t").passed


def test_a_time_that_is_none_is_damage_too(engine: Engine) -> None:
    """SQLite keeps any text as a time."""
    write(engine, [a_row(1)])
    without_triggers(engine)
    with writing(engine) as connection:
        time = "infinity" if is_postgresql(engine) else "yesterday"
        connection.execute(text(f"UPDATE tb_audit_log SET created_at = '{time}'"))
    with pytest.raises(StoreError, match="damaged at its row 1"):
        write(engine, [a_row(2)])
    assert verify_chain(engine, "t").failures[0].chain_seq == 1


# The key


def test_a_key_is_named_and_never_shown() -> None:
    """By 8 bytes of its SHA-256."""
    assert repr(KEY) == "AuditKey(id='" + KEY.id + "')"
    assert KEY.id == __import__("hashlib").sha256(SECRET).hexdigest()[:16]


@pytest.mark.parametrize("secret", [b"", b"x" * 31])
def test_a_short_key_is_refused(secret: bytes) -> None:
    """As a fault of the configuration, in code and in the environment; that there is none is no fault."""
    with pytest.raises(ConfigurationError, match="32 bytes"):
        AuditKey(secret)
    with pytest.raises(ConfigurationError, match="32 bytes"):
        audit_key({"TRACEGATE_AUDIT_KEY": secret.decode()})
    assert audit_key({}) is None


def test_the_environment_gives_the_key() -> None:
    """Its bytes, just as they are."""
    environ = {"TRACEGATE_AUDIT_KEY": SECRET.decode()}
    load_policy(environ)  # it is no setting of the policy, and no fault of it
    key = audit_key(environ)
    assert key is not None
    assert (key.id, key.sign(b"x")) == (KEY.id, KEY.sign(b"x"))


def test_a_chain_with_a_key_is_continued_with_it_or_not_at_all(engine: Engine) -> None:
    """A writer that was not given the key, or another one, would break it."""
    write(engine, [a_row(1)], KEY)
    for key in (None, AuditKey(b"another key, also of 32 bytes ....")):
        with pytest.raises(ConfigurationError, match="audit_key"):
            write(engine, [a_row(2)], key)
    (entry,) = write(engine, [a_row(2)], KEY)

    assert (entry.chain_seq, entry.hash_algo) == (2, f"hmac-sha256:{KEY.id}")
    assert verify_chain(engine, "t", Scan(key=KEY)).passed
    assert verify_chain(engine, "t").failures[0][:2] == ("hash_key_unknown", 1)


def test_a_head_that_was_set_back_is_not_signed_anew(engine: Engine) -> None:
    """The next row would make a shortened chain look whole."""
    entries = write(engine, [a_row(1), a_row(2), a_row(3)], KEY)
    without_triggers(engine)
    with writing(engine) as connection:
        run(connection, "DELETE FROM tb_audit_log WHERE chain_seq = 3")
        set_head(connection, 2, entries[1].hash_curr)
    with pytest.raises(StoreError, match="does not end at its row 2"):
        write(engine, [a_row(4)], KEY)
    assert verify_chain(engine, "t", Scan(key=KEY)).failures[0][:2] == ("head_mismatch", 2)


# Verifying


def test_a_long_chain_is_read_in_pages(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page ends anywhere; what is wrong at its edges is found as elsewhere, and progress is told."""
    monkeypatch.setattr(audit_scan, "_PAGE", 3)
    write(engine, [a_row(number) for number in range(10)])
    told: list[tuple[int, int]] = []
    report = verify_chain(engine, "t", Scan(progress=lambda done, total, _verified: told.append((done, total))))

    assert (report.passed, report.rows, report.end.chain_seq) == (True, 10, 10)
    assert told == [(3, 10), (6, 10), (9, 10), (10, 10), (10, 10)]
    without_triggers(engine)
    for seq in (3, 4, 9, 10):
        with writing(engine) as connection:
            run(connection, "UPDATE tb_audit_log SET actor_role = 'x' WHERE chain_seq = :seq", seq=seq)
        assert verify_chain(engine, "t").failures[0][:2] == ("hash_curr_mismatch", seq)
        with writing(engine) as connection:
            run(connection, "UPDATE tb_audit_log SET actor_role = NULL WHERE chain_seq = :seq", seq=seq)
    with writing(engine) as connection:
        run(connection, "DELETE FROM tb_audit_log WHERE chain_seq BETWEEN 2 AND 8")
    assert verify_chain(engine, "t").failures[0][:2] == ("chain_seq_gap", 2)


@pytest.mark.parametrize("stopped_at", [1, 3, 4, 7])
def test_a_run_goes_on_where_another_stopped(engine: Engine, stopped_at: int) -> None:
    """It reads only what is behind, finds what is wrong there, and what was put in the place of where it stopped."""
    entries = write(engine, [a_row(number) for number in range(7)])
    at = entries[stopped_at - 1]
    after = Position(at.chain_seq, at.hash_curr)
    report = verify_chain(engine, "t", Scan(after=after))
    assert (report.passed, report.rows, report.start) == (True, 7 - stopped_at, stopped_at)

    forged = Position(at.chain_seq, "0" * 64)
    found = verify_chain(engine, "t", Scan(after=forged)).failures[0]
    assert found[:2] == (("head_mismatch", 7) if stopped_at == 7 else ("hash_link_mismatch", stopped_at + 1))


def test_what_is_written_meanwhile_is_no_fault(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest rows are verified with the others."""
    monkeypatch.setattr(audit_scan, "_PAGE", 2)
    write(engine, [a_row(number) for number in range(4)])
    report = verify_chain(engine, "t", Scan(progress=lambda done, _total, _at: done < 9 and write(engine, [a_row(9)])))

    assert report.passed
    assert report.rows >= 9


def test_only_so_many_failures_are_shown_but_all_are_counted(engine: Engine) -> None:
    """20 samples, as the runbook's service has."""
    write(engine, [a_row(number) for number in range(30)])
    without_triggers(engine)
    with writing(engine) as connection:
        connection.execute(text("UPDATE tb_audit_log SET reason = 'x'"))
    report = verify_chain(engine, "t")

    assert (len(report.failures), report.failure_count) == (20, 30)
    assert [failure.chain_seq for failure in report.failures] == list(range(1, 21))


def test_the_newest_rows_can_be_verified_alone(engine: Engine) -> None:
    """For who asks often; what is before them is not looked at."""
    write(engine, [a_row(number) for number in range(6)])
    assert (verify_chain(engine, "t", Scan(newest=4)).rows, verify_chain(engine, "t", Scan(newest=9)).rows) == (4, 6)
    without_triggers(engine)
    with writing(engine) as connection:
        connection.execute(text("UPDATE tb_audit_log SET reason = 'x' WHERE chain_seq = 2"))
    assert verify_chain(engine, "t", Scan(newest=4)).passed
    assert verify_chain(engine, "t", Scan(newest=5)).failures[0].chain_seq == 2


def test_what_no_writer_of_ours_could_write_is_found(engine: Engine) -> None:
    """Text that is no text, a number that is none, on SQLite; on PostgreSQL a year before our era, and a twin."""
    write(engine, [a_row(1), a_row(2), a_row(3)])
    without_triggers(engine)
    if is_postgresql(engine):
        with writing(engine) as connection:
            connection.execute(text("UPDATE tb_audit_log SET created_at = '2026-01-01 BC' WHERE chain_seq = 2"))
        assert verify_chain(engine, "t").failures[0].chain_seq == 2
        with writing(engine) as connection:
            connection.execute(text("ALTER TABLE tb_audit_log DROP CONSTRAINT pk_audit_log"))
            connection.execute(text("DELETE FROM tb_audit_log WHERE chain_seq = 2"))
            put(connection, {**rows(connection)[0], "id": "twin"})
        assert verify_chain(engine, "t").failures[0][:2] in (("chain_fork", 1), ("hash_curr_mismatch", 1))
        return
    for value in ("CAST(reason AS BLOB)", "CAST(x'ff' AS TEXT)", "x'00'"):
        with writing(engine) as connection:
            connection.execute(text(f"UPDATE tb_audit_log SET reason = {value} WHERE chain_seq = 2"))
        assert verify_chain(engine, "t").failures[0][:2] == ("hash_curr_mismatch", 2)
        with writing(engine) as connection:
            connection.execute(text("UPDATE tb_audit_log SET reason = 'reason 2' WHERE chain_seq = 2"))
        assert verify_chain(engine, "t").passed
    with reading(engine) as connection:
        assert len(find_rows(connection)) == 3
    with writing(engine) as connection:
        connection.execute(text("UPDATE tb_audit_log SET chain_seq = 'two' WHERE chain_seq = 2"))
    found = verify_chain(engine, "t")
    assert [failure[:2] for failure in found.failures] == [("chain_seq_gap", 2), ("missing_chain_fields", 4)]


def test_a_head_without_its_rows_and_rows_without_a_head_are_found(engine: Engine) -> None:
    """All of a chain may be gone but its head, or its head alone."""
    write(engine, [a_row(1), a_row(2)])
    without_triggers(engine)
    with writing(engine) as connection:
        connection.execute(text("DELETE FROM tb_audit_log"))
    assert verify_chain(engine, "t").failures == (("head_mismatch", 1, None),)
    with writing(engine) as connection:
        set_head(connection, 0, "GENESIS")
    assert verify_chain(engine, "t").passed  # what nothing is left of, only a checkpoint kept elsewhere can tell
