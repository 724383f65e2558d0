"""Which events go, and which must stay? The same on each store."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy import Engine, text

from tests.contract.stores import an_event
from tracegate.core.events import Event
from tracegate.errors import StoreError
from tracegate.ops.deploy_gate import judge
from tracegate.ops.evidence import collect
from tracegate.store.audit_gate import AuditedAction, append_audited_action
from tracegate.store.engine import is_postgresql, reading, writing
from tracegate.store.events import EventQuery, EventStore
from tracegate.store.gate import ActionRow
from tracegate.store.retain import retain
from tracegate.store.schema import data_retention_run

TODAY = datetime.now(UTC).date()
MIDNIGHT = datetime.combine(TODAY, time(), UTC)
MICROSECOND = timedelta(microseconds=1)


def days_ago(days: int, **facts: object) -> list[Event]:
    """Return the first and the last event of a day; nothing of them locks a gate."""
    start = MIDNIGHT - timedelta(days=days)
    end = start + timedelta(days=1) - MICROSECOND
    known = {"kind": "stream_broken", "detail": None, **facts}
    return [an_event(2 * abs(days), time=start, **known), an_event(2 * abs(days) + 1, time=end, **known)]


def put(engine: Engine, service: str, action: ActionRow) -> None:
    """Have an action in the store, past all checks."""
    with writing(engine) as connection:
        append_audited_action(connection, AuditedAction(service=service, action=action, trace_id="x"))


@pytest.mark.contract("H1")
def test_whole_days_go_from_the_oldest_on(engine: Engine, store: EventStore) -> None:
    """To the microsecond, in UTC; a second run has nothing to do; each day is on record."""
    store.append([event for days in (400, 31, 30, 29, 0) for event in days_ago(days)])

    assert retain(engine, TODAY - timedelta(days=30)) == 4
    left = store.find(EventQuery(), oldest_first=True)
    assert left == [event for days in (30, 29, 0) for event in days_ago(days)]
    assert retain(engine, TODAY - timedelta(days=30)) == 0
    with reading(engine) as connection:
        runs = connection.execute(data_retention_run.select().where(data_retention_run.c.dropped_rows > 0)).all()
    assert sorted((run.dropped_before, run.dropped_rows) for run in runs) == [
        (MIDNIGHT - timedelta(days=399), 2), (MIDNIGHT - timedelta(days=30), 2),
    ]  # fmt: skip
    assert all(run.ended_at >= run.started_at for run in runs)


@pytest.mark.contract("H1")
def test_the_door_is_shut_behind_it(engine: Engine, store: EventStore) -> None:
    """What is left can be deleted by nobody, and what has gone can come back from a spool."""
    store.append([*days_ago(31), *days_ago(29)])
    retain(engine, TODAY - timedelta(days=30))

    with pytest.raises(StoreError), writing(engine) as connection:
        connection.execute(text("DELETE FROM tb_ops_event"))
    assert store.count(EventQuery()) == 2
    assert store.append(days_ago(31)) == 2


@pytest.mark.contract("H3")
def test_an_event_that_locks_a_gate_stays_until_an_unlock(engine: Engine, store: EventStore) -> None:
    """Retention must not be the way to open a gate; what is before its day goes."""
    store.append([*days_ago(40), *days_ago(35, kind="missing_trace", service="orders"), *days_ago(33)])
    with pytest.raises(StoreError, match="still lock the deploy gate of: orders"):
        retain(engine, TODAY)
    assert store.count(EventQuery()) == 4

    for kind, service, ago in (("lock", "orders", 0), ("unlock", "billing", 0), ("unlock", "orders", 36)):
        put(engine, service, ActionRow(kind, datetime.now(UTC) - timedelta(days=ago)))
    with pytest.raises(StoreError, match="still lock"):
        retain(engine, TODAY)
    put(engine, "orders", ActionRow("unlock", datetime.now(UTC)))
    assert retain(engine, TODAY) == 4


@pytest.mark.contract("H3")
def test_an_event_that_came_late_stays_although_an_unlock_is_newer_than_it(engine: Engine, store: EventStore) -> None:
    """The gate goes by when the store got it: so does retention, and the gate stays locked."""
    put(engine, "orders", ActionRow("unlock", datetime.now(UTC) - timedelta(minutes=1)))
    store.append(days_ago(35, kind="missing_trace"))

    with pytest.raises(StoreError, match="still lock the deploy gate of: orders"):
        retain(engine, TODAY)
    assert judge(collect(engine, "orders", min_replies=0).evidence).state == "locked"


@pytest.mark.contract("H3")
def test_what_the_newest_unlock_accepts_goes(engine: Engine, store: EventStore) -> None:
    """It does not lock the gate, however often it comes; another cause of the same day does."""
    accepts = frozenset(["/v1/orders/{order_id}:missing_trace"])
    put(engine, "orders", ActionRow("unlock", datetime.now(UTC) - timedelta(minutes=1), accepts=accepts))
    store.append([*days_ago(35, kind="missing_trace"), *days_ago(36, kind="missing_trace", route="/other")])

    with pytest.raises(StoreError, match="still lock"):
        retain(engine, TODAY)
    both = accepts | {"/other:missing_trace"}
    put(engine, "orders", ActionRow("unlock", datetime.now(UTC) - timedelta(seconds=30), accepts=both))
    assert retain(engine, TODAY) == 4


@pytest.mark.contract("H3")
@pytest.mark.parametrize("facts", [{"route": None}, {"mode": "observe"}, {"kind": "stream_broken"}])
def test_what_locks_no_gate_goes(engine: Engine, store: EventStore, facts: dict[str, object]) -> None:
    """No matched route, another mode, another kind."""
    store.append(days_ago(35, **{"kind": "missing_trace", **facts}))

    assert retain(engine, TODAY) == 2


def test_today_and_what_is_to_come_stay(engine: Engine, store: EventStore) -> None:
    """Nobody drops the day that is being written."""
    store.append([*days_ago(0), *days_ago(-3)])

    assert retain(engine, TODAY) == 0
    with pytest.raises(ValueError, match="today and later are kept"):
        retain(engine, datetime.now(UTC).date() + timedelta(days=1))  # it may be tomorrow by now
    assert store.count(EventQuery()) == 4


@pytest.mark.contract("H1")
def test_the_days_ahead_are_made(engine: Engine) -> None:
    """So that midnight is like any other minute."""
    if is_postgresql(engine):
        ahead = f"tb_ops_event_{TODAY + timedelta(days=7):%Y%m%d}"
        with writing(engine) as connection:
            connection.execute(text(f"DROP TABLE {ahead}"))
        retain(engine, TODAY)
        with reading(engine) as connection:
            assert connection.scalar(text(f"SELECT to_regclass('{ahead}') IS NOT NULL"))
    else:
        assert retain(engine, TODAY) == 0
