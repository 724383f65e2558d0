"""Can operations be fooled? What an adversary has tried against the gate, the audit log and the hourly figures.

Each of these once opened a gate, or hid a row, that should not have been.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, select, text

from tests.contract.audit_forger import (
    KEY,
    SECRET,
    a_row,
    documented_hash,
    harm,
    put,
    rows,
    run,
    set_head,
    without_triggers,
    write,
)
from tests.contract.gate_situations import ANY, TRACE, Stage, an_event_now, done
from tests.contract.stores import NOON, Templates, an_event, opened
from tracegate.cli import main
from tracegate.core.policy import Policy
from tracegate.errors import StoreError
from tracegate.ops.audit_sign import sign_chain
from tracegate.ops.deploy_gate import FIRST_RELEASE, Doubt, judge
from tracegate.ops.evidence import Found, collect
from tracegate.ops.gate_actions import Wish, act
from tracegate.ops.gate_web import application
from tracegate.sinks.spool import Spool
from tracegate.sinks.stored import spool_of
from tracegate.store import audit_gate
from tracegate.store.audit_chain import RETENTION, Position
from tracegate.store.audit_checkpoint import append_checkpoint, sign
from tracegate.store.audit_gate import OPERATIONS
from tracegate.store.audit_scan import Scan, verify_chain
from tracegate.store.engine import is_postgresql, reading, writing
from tracegate.store.events import EventQuery, EventStore, insert_events
from tracegate.store.gate import ActionKind, ActionRow, append_action
from tracegate.store.retain import retain
from tracegate.store.rollup import roll_up_new
from tracegate.store.schema import api_metric_hourly, as_stored_time
from tracegate.store.traffic import CountRow, drop_counts, put_counts

DAY = timedelta(days=1)
LONG = random.Random(7).randbytes(4_000).hex()  # noqa: S311 - no secret: it shall not compress


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRACEGATE_AUDIT_KEY", "TRACEGATE_SPOOL_DIRECTORY", "TRACEGATE_STORE_URL"):
        monkeypatch.delenv(name, raising=False)


def asked(engine: Engine, *, min_replies: int = 1) -> Found:
    """Ask the gate of ``orders``."""
    return collect(engine, "orders", min_replies=min_replies)


def state(engine: Engine, *, min_replies: int = 1) -> str:
    """Return its verdict."""
    return judge(asked(engine, min_replies=min_replies).evidence).state


def do(engine: Engine, kind: ActionKind) -> tuple[str, ...]:
    """Act on it."""
    wish = Wish(kind=kind, service="orders", actor="ana", reason="a fix", incident="INC-1", trace_id=TRACE)
    return act(engine, wish)


def count(engine: Engine, at: datetime, *, tenant: str = "default") -> None:
    """Have nine replies counted in a minute."""
    put_counts(engine, "orders", "host-1:4711/1", [CountRow(tenant, at, 9, 9, 9, 0)])


# Spools


@pytest.mark.contract("H3", "F3")
@pytest.mark.parametrize("named", ["", "elsewhere"])
def test_a_spool_that_nobody_named_is_looked_at(
    url: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a service with the same settings has it: by its setting, else beside the file, else in the user's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    directory = str(tmp_path / named) if named else ""
    monkeypatch.setenv("TRACEGATE_SPOOL_DIRECTORY", directory)
    question = ["gate", "check", "--service", "orders", "--url", url, *ANY]
    assert main(question) == 0
    Spool(spool_of(url, directory)).append([an_event_now()])
    assert main(question) == 3


@pytest.mark.contract("H3")
def test_a_machine_without_any_place_for_temporary_files_can_ask(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a pod whose root is read-only: nothing waits there."""

    def gettempdir() -> str:
        raise FileNotFoundError

    monkeypatch.setattr(tempfile, "gettempdir", gettempdir)
    assert main(["gate", "check", "--service", "orders", "--url", url, *ANY]) == 0


def started(*_head: object) -> Callable[[bytes], object]:
    """Take the head of a reply."""
    return bytes


@pytest.mark.contract("H3", "F3")
def test_who_asks_by_url_hears_of_the_same_spool(templates: Templates) -> None:
    """Nobody can name one there."""
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": "/v1/ops/gate", "QUERY_STRING": "service=orders&min_replies=0",
        "HTTP_X_TRACE_ID": TRACE,
    }  # fmt: skip
    with templates.upgraded("sqlite") as url:
        Spool(spool_of(url)).append([an_event_now()])
        gate = application(Policy(store_url=url))
        assert b'"state":"inconclusive"' in b"".join(gate(environ, started))


# Traffic


@pytest.mark.contract("H3")
def test_replies_of_minutes_that_are_yet_to_come_are_not_of_the_last_ones(engine: Engine) -> None:
    """A process whose clock was five hours ahead counted them, five hours ago perhaps."""
    count(engine, datetime.now(UTC) + timedelta(hours=5))
    assert asked(engine).evidence.doubts == {Doubt.NO_TRAFFIC}
    count(engine, datetime.now(UTC))
    assert state(engine) == "open"


@pytest.mark.contract("H3")
def test_a_count_that_came_from_the_future_is_no_fresh_one(engine: Engine) -> None:
    """The store's clock was set back: it would look fresh until that clock is there again."""
    count(engine, datetime.now(UTC))
    harm(engine, "UPDATE tb_reply_count SET flushed_at = '2199-01-01T00:00:00.000000Z'")
    assert asked(engine).evidence.doubts == {Doubt.CLOCK_SKEW}


@pytest.mark.contract("H3")
def test_a_service_whose_counts_were_dropped_is_no_new_one(engine: Engine, url: str, tmp_path: Path) -> None:
    """Its init of then would let it out again, though nothing of it is seen any more."""
    done("init", ago=3 * DAY)(Stage(engine, tmp_path, url))
    assert state(engine) == "open"
    count(engine, datetime.now(UTC) - 2 * DAY)
    assert state(engine) == "inconclusive"
    drop_counts(engine, datetime.now(UTC) - DAY)
    assert asked(engine).evidence.doubts == {Doubt.NO_TRAFFIC}
    assert state(engine) == "inconclusive"


@pytest.mark.contract("H3")
def test_a_service_that_nobody_ever_counts_is_not_new_for_ever(engine: Engine, url: str, tmp_path: Path) -> None:
    """It may count under another name, or not at all: after a week somebody has to say again that it is new."""
    done("init", ago=FIRST_RELEASE + DAY)(Stage(engine, tmp_path, url))
    assert state(engine) == "inconclusive"
    assert do(engine, "init") == ()
    assert state(engine) == "open"
    count(engine, datetime.now(UTC))
    assert do(engine, "init") == ("orders has been seen: init lets out a service of which nothing has been seen",)


# What clients and databases may do


@pytest.mark.contract("H3", "F2")
def test_a_client_cannot_keep_its_event_out_by_a_long_tenant(engine: Engine) -> None:
    """An index of PostgreSQL refuses what is too long, for good, and with it what would have locked the gate."""
    store = EventStore(engine)
    store.append([an_event_now(tenant=LONG), an_event_now(1, tenant=f"{LONG}x")])
    assert state(engine, min_replies=0) == "locked"
    (found,) = store.find(EventQuery(tenant=LONG))
    assert len(found.tenant) <= 200
    assert store.find(EventQuery(tenant=found.tenant)) == [found]


@pytest.mark.contract("H1", "H3")
def test_a_client_cannot_keep_counts_out_by_a_long_tenant(engine: Engine) -> None:
    """They are written together with its own, which would be refused again every ten seconds."""
    now = datetime.now(UTC)
    row = CountRow("default", now, 9, 9, 9, 0)
    put_counts(engine, "orders", "host-1:4711/1", [row, row._replace(tenant=LONG), row._replace(tenant=f"{LONG}x")])
    assert state(engine) == "open"
    roll_up_new(engine)
    with reading(engine) as connection:
        wanted = select(api_metric_hourly.c.tenant_id).where(api_metric_hourly.c.metric_key == "replies_total")
        assert len(connection.scalars(wanted).all()) == 3


@pytest.mark.contract("H3")
def test_an_unlock_sees_what_it_has_waited_for_whatever_the_database_takes_for_usual(url: str) -> None:
    """An event that is being written may have an earlier time than the unlock: unseen, it would be unlocked too."""
    with opened(url) as engine:
        if is_postgresql(engine):
            usual = f"ALTER DATABASE {make_url(url).database} SET default_transaction_isolation = 'repeatable read'"
            with writing(engine) as connection:
                connection.execute(text(usual))
    with opened(url) as engine, ThreadPoolExecutor(1) as other:
        with writing(engine) as connection:
            insert_events(connection, [an_event_now()])
            unlock = other.submit(do, engine, "unlock")
            time.sleep(0.5)
        assert "still arrives" in unlock.result()[-1]
        assert state(engine, min_replies=0) == "locked"


@pytest.mark.contract("H3", "H1")
@pytest.mark.parametrize("column", ["created_at", "event_time"])
def test_a_time_that_is_none_leaves_the_gate_inconclusive(url: str, engine: Engine, column: str) -> None:
    """Not with the exit code of a locked one, and a traceback. PostgreSQL refuses it by itself."""
    EventStore(engine).append([an_event_now()])
    crime = f"UPDATE tb_ops_event SET {column} = 'yesterday, around noon'"  # noqa: S608 - the SQL of an intruder
    if is_postgresql(engine):
        with pytest.raises(StoreError):
            harm(engine, crime)
        return
    harm(engine, crime)
    assert main(["gate", "check", "--service", "orders", "--url", url, *ANY]) == 3


@pytest.mark.contract("H1")
@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
def test_an_hour_is_one_of_utc_whatever_the_session_takes_for_the_time(url: str, zone: str) -> None:
    """Where a pooler drops the session's own settings, or the address has others."""
    if url.startswith("postgresql"):
        url = f"{url}?options=-c%20TimeZone%3D{zone}"
    with opened(url) as engine:
        EventStore(engine).append([an_event(), an_event(time=NOON + timedelta(hours=14, minutes=59))])
        count(engine, NOON - timedelta(minutes=1))
        roll_up_new(engine)
        with reading(engine) as connection:
            hours = set(connection.scalars(select(api_metric_hourly.c.hour_bucket_utc)))
    assert hours == {NOON - timedelta(hours=1), NOON, NOON + timedelta(hours=14)}


@pytest.mark.contract("H1")
def test_a_day_that_was_dropped_with_nothing_in_it_is_still_computed(engine: Engine) -> None:
    """PostgreSQL has a partition to drop where SQLite has nothing: what comes late is in its hour on both."""
    yesterday = datetime.now(UTC) - DAY
    assert retain(engine, datetime.now(UTC).date()) == 0
    EventStore(engine).append([an_event(time=yesterday)])
    roll_up_new(engine)
    with reading(engine) as connection:
        hours = set(connection.scalars(select(api_metric_hourly.c.hour_bucket_utc)))
    assert hours == {yesterday.replace(minute=0, second=0, microsecond=0)}


# The audit log


@pytest.fixture
def adopted(engine: Engine) -> Engine:
    """Give a chain that got its key after its first row; the second is made with it."""
    write(engine, [a_row(1)])
    sign_chain(engine, "t", KEY, adopts=True)
    write(engine, [a_row(2)], KEY)
    assert verify_chain(engine, "t", Scan(key=KEY)).passed
    return engine


def cut_off(engine: Engine) -> Position:
    """Remove all but the first row, and set the head back; return that row."""
    without_triggers(engine)
    with writing(engine) as connection:
        run(connection, "DELETE FROM tb_audit_log WHERE chain_seq > 1")
        (first,) = rows(connection)
        set_head(connection, 1, first["hash_curr"])
        run(connection, "UPDATE tb_audit_head SET signature = NULL")
    return Position(1, first["hash_curr"], first["created_at"])


@pytest.mark.contract("H2")
def test_a_chain_that_is_set_back_to_where_it_got_its_key_is_found(adopted: Engine) -> None:
    """Its last row bears no mark of the key then: the head does. Nor is such a chain continued."""
    cut_off(adopted)
    assert verify_chain(adopted, "t", Scan(key=KEY)).failures[0][:2] == ("head_mismatch", 1)
    with pytest.raises(StoreError, match="does not end at its row 1"):
        write(adopted, [a_row(3)], KEY)
    with pytest.raises(StoreError, match="head_mismatch at row 1"):
        sign_chain(adopted, "t", KEY)


@pytest.mark.contract("H2")
def test_a_chain_that_is_set_back_to_where_a_run_stopped_is_found(engine: Engine) -> None:
    """The run that goes on there sees no row at all, and no mark of the key."""
    write(engine, [a_row(1), a_row(2)], KEY)
    stopped = cut_off(engine)
    assert verify_chain(engine, "t", Scan(key=KEY, after=stopped)).failures[0][:2] == ("head_mismatch", 1)


@pytest.mark.contract("H2")
@pytest.mark.parametrize("number", [0, -7])
@pytest.mark.parametrize("key", [KEY, None])
def test_a_row_before_the_first_is_found(engine: Engine, number: int, key: object) -> None:
    """Its table lets nobody number a row so: whoever can change rows can change the table."""
    write(engine, [a_row(1), a_row(2)], KEY if key else None)
    insert_before_the_first(engine, "t", number)
    for after in (None, Position(2, "x")):
        scan = Scan(key=KEY if key else None, after=after)
        assert verify_chain(engine, "t", scan).failures[0][:2] == ("missing_chain_fields", number)


def insert_before_the_first(engine: Engine, tenant: str, number: int) -> None:
    """Put a copy of the first row before it, with a right hash as far as that needs no key."""
    without_triggers(engine)
    with writing(engine) as connection:
        if is_postgresql(engine):
            run(connection, "ALTER TABLE tb_audit_log DROP CONSTRAINT ck_audit_log_chain_seq")
        else:
            run(connection, "PRAGMA ignore_check_constraints = 1")
        forged = {**rows(connection, tenant)[0], "id": "x", "chain_seq": number}
        put(connection, {**forged, "hash_curr": documented_hash(forged, None)})
        if not is_postgresql(engine):
            run(connection, "PRAGMA ignore_check_constraints = 0")


@pytest.mark.contract("H2")
def test_without_a_key_a_retention_that_somebody_made_up_passes(engine: Engine) -> None:
    """The docs say so: whoever can make a row without a key can say that another was dropped."""
    first, *_ = write(engine, [a_row(1), a_row(2)])
    write(engine, [a_row(3, action_type=RETENTION, target_type="audit_log", target_id="1")])
    with writing(engine) as connection:
        append_checkpoint(connection, sign("t", Position(1, first.hash_curr), KEY))
    harm(engine, "DELETE FROM tb_audit_log WHERE chain_seq = 1")
    assert verify_chain(engine, "t").passed
    assert not verify_chain(engine, "t", Scan(key=KEY)).passed


@pytest.fixture
def keyed_lock(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Give a gate that was locked by hand, long ago by its audit log, which has a key."""
    monkeypatch.setenv("TRACEGATE_AUDIT_KEY", SECRET.decode())
    monkeypatch.setattr(audit_gate, "CHECKED_ROWS", 2)
    assert do(engine, "lock") == ()
    write(engine, [a_row(number, tenant_id=OPERATIONS) for number in range(4)], KEY)
    assert (state(engine, min_replies=0), asked(engine, min_replies=0).details) == ("locked", ())
    return engine


@pytest.mark.contract("H2", "H3")
def test_no_forged_row_of_an_old_part_of_the_chain_bears_out_an_unlock(keyed_lock: Engine) -> None:
    """The newest rows are verified each time; of those before them, each that an action names."""
    unlock = ActionRow("unlock", datetime.now(UTC), actor="eve", incident="INC-1", trace_id=TRACE)
    with writing(keyed_lock) as connection:
        append_action(connection, "orders", unlock, audit_id="x")
        lock = rows(connection, OPERATIONS)[0]
    said = json.loads(lock["after_json"])["action"]
    said |= {"action": "unlock", "action_time": as_stored_time(unlock.at), "actor": "eve", "incident_id": "INC-1"}
    after = json.dumps({"action": said | {"trace_id": TRACE, "reason": ""}}).replace(":", r"\:")
    forged = f"id = 'x', action_type = 'deploy_gate.unlock', target_type = 'deploy_gate', after_json = '{after}'"
    crime = f"UPDATE tb_audit_log SET {forged}, target_id = 'orders' WHERE chain_seq = 2"  # noqa: S608 - an intruder's
    harm(keyed_lock, crime)
    found = asked(keyed_lock, min_replies=0)
    assert judge(found.evidence).state == "inconclusive"
    assert [detail.split(",")[0] for detail in found.details] == ["the unlock by eve"]
