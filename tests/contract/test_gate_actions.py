"""Who may change a deploy gate, what must they say, and what does an unlock cover? On both stores."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from tests.contract.gate_situations import NAME, TRACE, an_event_now
from tests.contract.stores import an_event
from tracegate.errors import StoreError
from tracegate.ops.deploy_gate import Verdict, judge
from tracegate.ops.evidence import collect
from tracegate.ops.gate_actions import STILL_ARRIVES, Wish, act
from tracegate.store.engine import is_postgresql, reading, writing
from tracegate.store.events import EventStore, insert_events
from tracegate.store.gate import ActionRow, append_action, begin_action, read_actions, read_causes
from tracegate.store.schema import deploy_gate
from tracegate.store.upgrade import downgrade

pytestmark = pytest.mark.contract("H3")


def a_wish(kind: Any, **says: Any) -> Wish:  # noqa: ANN401 - what a wish can say
    """Return a wish that says all it must."""
    known = {"actor": "ana", "reason": "a fix", "incident": "INC-1", "trace_id": TRACE}
    return Wish(kind=kind, service="orders", **{**known, **says})


def verdict(engine: Engine) -> Verdict:
    """Return how the gate stands, traffic unjudged."""
    return judge(collect(engine, "orders", min_replies=0).evidence)


def actions(engine: Engine) -> list[ActionRow]:
    """Return what was done."""
    with reading(engine) as connection:
        return read_actions(connection, "orders")


def test_each_action_is_one_row_that_says_everything(engine: Engine) -> None:
    """In order, of this service only; the times rise strictly."""
    says = {"actor": "Zoë 'x'\x00", "reason": "späte\nEinsicht", "incident": "INC-7"}
    assert act(engine, a_wish("init", **says)) == ()
    assert act(engine, a_wish("lock", **says)) == ()
    assert act(engine, a_wish("override", lasts=timedelta(hours=2), **says)) == ()
    EventStore(engine).append([an_event_now()])
    assert act(engine, a_wish("unlock", accepts=frozenset([NAME]), **says)) == ()
    done = actions(engine)

    assert [action.kind for action in done] == ["init", "lock", "override", "unlock"]
    assert {(action.actor, action.reason, action.incident) for action in done} == {tuple(says.values())}
    assert [action.at for action in done] == sorted({action.at for action in done})
    assert done[2].until == done[2].at + timedelta(hours=2)
    assert [action.accepts for action in done] == [frozenset(), frozenset(), frozenset(), frozenset([NAME])]
    assert all(abs(action.at - datetime.now(UTC)) < timedelta(minutes=1) for action in done)
    with reading(engine) as connection:
        assert read_actions(connection, "carts") == []


@pytest.mark.parametrize(
    ("kind", "lacks"),
    [
        ("lock", "actor"),
        ("unlock", "actor"),
        ("unlock", "incident"),
        ("unlock", "trace_id"),
        ("override", "actor"),
        ("override", "reason"),
        ("init", "actor"),
    ],
)
def test_what_an_action_must_say_is_demanded(engine: Engine, kind: str, lacks: str) -> None:
    """White space says nothing; nothing is written."""
    assert act(engine, a_wish(kind, **{lacks: " "})) == (f"the {kind} does not say: {lacks}",)
    assert actions(engine) == []


def test_what_still_arrives_must_be_accepted_by_name(engine: Engine, store: EventStore) -> None:
    """Each cause; and nothing may be accepted that has not arrived."""
    store.append([an_event_now(), an_event_now(1, kind="invalid_trace", route="/b"), an_event_now(2, mode="mint")])
    refused = act(engine, a_wish("unlock", accepts=frozenset([NAME, "/typo:missing_trace"])))

    assert refused[0] == "/typo:missing_trace has not arrived: it cannot be accepted"
    assert refused[1].startswith("/b:invalid_trace still arrives, at ")
    assert refused[1].endswith("--accept '/b:invalid_trace'")
    assert len(refused) == 2
    assert (actions(engine), verdict(engine).state) == ([], "locked")
    assert act(engine, a_wish("unlock", accepts=frozenset([NAME, "/b:invalid_trace"]))) == ()
    assert verdict(engine).state == "open"


def test_an_unlock_names_again_what_the_one_before_accepted(engine: Engine, store: EventStore) -> None:
    """Else the second of two would silently withdraw what the first has accepted."""
    store.append([an_event_now()])
    assert act(engine, a_wish("unlock", accepts=frozenset([NAME]))) == ()
    assert len(act(engine, a_wish("unlock"))) == 1
    assert act(engine, a_wish("unlock", accepts=frozenset([NAME]))) == ()


def test_what_has_stopped_need_not_be_accepted(
    engine: Engine, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But then it locks the gate again as soon as it comes."""
    assert timedelta(minutes=5) <= STILL_ARRIVES <= timedelta(hours=1)
    monkeypatch.setattr("tracegate.ops.gate_actions.STILL_ARRIVES", timedelta(microseconds=-2_000))
    store.append([an_event_now()])
    assert act(engine, a_wish("unlock")) == ()
    assert verdict(engine).state == "open"
    store.append([an_event_now(1)])
    assert verdict(engine).state == "locked"


def test_an_unlock_names_a_trace_of_what_it_unlocks(engine: Engine, store: EventStore) -> None:
    """In any spelling of its number; what was not refused is no such trace. With nothing to unlock, any trace."""
    other = an_event(9).trace_id
    assert act(engine, a_wish("unlock", trace_id=other)) == ()
    store.append([an_event_now()])
    accepts = frozenset([NAME])
    assert act(engine, a_wish("unlock", accepts=accepts, trace_id=other)) == (
        f"{other} is not the trace of an event of orders; the first is {TRACE}",
    )
    assert act(engine, a_wish("unlock", accepts=accepts, trace_id="a b")) == ("a b is no trace id",)
    assert act(engine, a_wish("unlock", accepts=accepts, trace_id=TRACE.replace("-", "").upper())) == ()


def test_init_is_for_a_service_of_which_nothing_was_seen(engine: Engine, store: EventStore) -> None:
    """Later it would say nothing, and look as if it did."""
    store.append([an_event_now(mode="mint")])
    assert act(engine, a_wish("init")) == (
        "orders has been seen: init lets out a service of which nothing has been seen",
    )
    assert actions(engine) == []


def test_an_override_is_cut_to_four_hours(engine: Engine) -> None:
    """Whatever was asked for."""
    assert act(engine, a_wish("override", lasts=timedelta(hours=99))) == ()
    (action,) = actions(engine)
    assert action.until == action.at + timedelta(hours=4)


def test_causes_are_counted_by_route_and_kind_since_the_unlock(engine: Engine, store: EventStore) -> None:
    """With the first trace by the writers' time; what does not lock is told apart."""
    store.append([an_event_now(90)])
    assert act(engine, a_wish("unlock", accepts=frozenset([NAME]), trace_id=an_event(90).trace_id)) == ()
    store.append([an_event_now(number, ago=timedelta(hours=number)) for number in (1, 3, 2)])
    store.append([an_event_now(4, route=None), an_event_now(5, mode="mint"), an_event_now(6, kind="context_bleed")])
    found = collect(engine, "orders")
    (cause,) = found.evidence.causes

    assert (cause.route, cause.kind, cause.count) == ("/v1/orders/{order_id}", "missing_trace", 1 + 2)
    assert cause.trace_id == an_event(3).trace_id
    assert cause.first < datetime.now(UTC) - timedelta(hours=2) < cause.last
    assert {(row.route, row.mode, row.count) for row in found.shown} == {
        (None, "require", 1),
        ("/v1/orders/{order_id}", "mint", 1),
    }


def test_an_unlock_hides_nothing_that_was_being_written(engine: Engine, store: EventStore) -> None:
    """It waits for the writer, and sees what that one wrote; nothing gets an earlier time afterwards."""
    store.append([an_event_now()])
    entered, answers = threading.Event(), list[tuple[str, ...]]()

    def unlock() -> None:
        entered.set()
        answers.append(act(engine, a_wish("unlock", accepts=frozenset([NAME]))))

    unlocking = threading.Thread(target=unlock)
    with writing(engine) as connection:
        insert_events(connection, [an_event_now(1, kind="invalid_trace")])
        unlocking.start()
        entered.wait()
        unlocking.join(0.3)
        assert unlocking.is_alive()
    unlocking.join(20)

    assert len(answers) == 1
    assert "invalid_trace still arrives" in answers[0][0]
    assert verdict(engine).state == "locked"


def test_a_writer_that_does_not_end_is_not_waited_for_for_ever(
    engine: Engine, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unlock is refused, and nothing is written."""
    monkeypatch.setattr("tracegate.store.gate._WRITERS_WAIT_SECONDS", 0.05)
    store.append([an_event_now()])
    if is_postgresql(engine):  # on SQLite nobody else writes: the transaction itself waits
        with writing(engine) as connection:
            insert_events(connection, [an_event_now(1)])
            with pytest.raises(StoreError, match="in the middle of being written"):
                act(engine, a_wish("lock"))
    assert actions(engine) == []


def test_every_event_is_before_an_unlock_or_locks_after_it(engine: Engine, store: EventStore) -> None:
    """However close they are: what was written before is covered, and what is written after is not."""
    for number in range(0, 20, 2):
        store.append([an_event_now(number)])
        assert act(engine, a_wish("unlock", accepts=frozenset([NAME]), trace_id=an_event(number).trace_id)) == ()
        (unlock,) = actions(engine)[-1:]
        with reading(engine) as connection:
            assert read_causes(connection, "orders", after=unlock.at) == []
        store.append([an_event_now(number + 1)])
        with reading(engine) as connection:
            (cause,) = read_causes(connection, "orders", after=unlock.at)
        assert cause.trace_id == an_event(number + 1).trace_id


def test_many_who_act_at_once_act_one_after_the_other(engine: Engine) -> None:
    """Each action has a time of its own."""
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: act(engine, a_wish("lock")), range(8))) == [()] * 8
    times = [action.at for action in actions(engine)]
    assert times == sorted(set(times))
    assert len(times) == 8


def test_nobody_acts_before_the_newest_action(engine: Engine) -> None:
    """A clock that was set back would put an unlock before the lock."""
    with writing(engine) as connection:
        append_action(connection, "orders", ActionRow("lock", datetime.now(UTC) + timedelta(hours=1)), audit_id="a")
    with pytest.raises(StoreError, match="was the clock set back"):
        act(engine, a_wish("override"))
    assert len(actions(engine)) == 1
    assert verdict(engine).state == "locked"


def test_nobody_acts_on_tables_of_another_version(engine: Engine) -> None:
    """Who knows what they mean."""
    downgrade(engine, "0002")
    with pytest.raises(StoreError, match="store upgrade"):
        act(engine, a_wish("lock"))


def test_an_action_that_is_refused_by_the_store_leaves_nothing(engine: Engine) -> None:
    """The transaction of an action is the caller's, so that its audit row comes and goes with it."""
    with pytest.raises(ZeroDivisionError), writing(engine) as connection:  # noqa: PT012 - the block is the transaction
        at = begin_action(connection, "orders")
        append_action(connection, "orders", ActionRow("lock", at, actor="ana"), audit_id="a-1")
        raise ZeroDivisionError
    with reading(engine) as connection:
        assert connection.scalar(select(func.count()).select_from(deploy_gate)) == 0


def test_a_store_that_breaks_while_it_is_read_is_a_doubt(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the doctor has found it well."""

    def broken(*_arguments: object) -> None:
        raise StoreError("it was shut down")

    monkeypatch.setattr("tracegate.ops.evidence.read_actions", broken)
    found = collect(engine, "orders", min_replies=0)
    assert (judge(found.evidence).state, found.details) == ("inconclusive", ("it was shut down",))
