"""Does the audit log bear out what was done to the deploy gate, and does the gate notice where it does not?"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from tests.contract.audit_forger import KEY, SECRET, a_row, harm, rows, write
from tests.contract.gate_situations import NAME, TRACE, an_event_now
from tracegate.core.trace_id import parse_trace_id
from tracegate.errors import ConfigurationError, StoreError
from tracegate.ops.audit_sign import sign_chain
from tracegate.ops.deploy_gate import Doubt, judge
from tracegate.ops.evidence import Found, collect
from tracegate.ops.gate_actions import Wish, act
from tracegate.store import audit_gate
from tracegate.store.audit_gate import OPERATIONS, chain_faults
from tracegate.store.audit_scan import Scan, verify_chain
from tracegate.store.engine import reading, writing
from tracegate.store.events import EventStore
from tracegate.store.gate import ActionKind, ActionRow, append_action, read_actions

pytestmark = pytest.mark.contract("H2", "H3")


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRACEGATE_AUDIT_KEY", raising=False)


def do(engine: Engine, kind: ActionKind, *accepts: str) -> None:
    """Act on the gate of ``orders``."""
    says = {"actor": "ana", "reason": "a fix", "incident": "INC-1", "trace_id": TRACE}
    assert act(engine, Wish(kind=kind, service="orders", accepts=frozenset(accepts), **says)) == ()


def asked(engine: Engine) -> Found:
    """Ask the gate, traffic unjudged."""
    return collect(engine, "orders", min_replies=0)


def test_each_action_has_its_row_in_the_chain(engine: Engine) -> None:
    """It says who, why, for which incident and trace, and how the gate stood before and after; by its own trace."""
    EventStore(engine).append([an_event_now()])
    do(engine, "lock")
    do(engine, "override")
    do(engine, "unlock", NAME)
    with reading(engine) as connection:
        chain = rows(connection, OPERATIONS)
        actions = read_actions(connection, "orders")
    before, after = ([json.loads(row[column])["state"] for row in chain] for column in ("before_json", "after_json"))

    assert [row["id"] for row in chain] == [action.audit_id for action in actions]
    assert [row["action_type"] for row in chain] == ["deploy_gate.lock", "deploy_gate.override", "deploy_gate.unlock"]
    assert (before, after) == (["locked", "locked", "open"], ["locked", "open", "open"])
    assert json.loads(chain[0]["before_json"])["causes"] == [NAME]
    for row in chain:
        assert (row["target_type"], row["target_id"], row["actor_user_id"]) == ("deploy_gate", "orders", "ana")
        assert (row["reason"], row["incident_id"], row["root_trace_id"]) == ("a fix", "INC-1", TRACE)
        assert row["trace_id"] == row["action_trace_id"]
        assert parse_trace_id(row["trace_id"].encode()) is not None
    assert len({row["trace_id"] for row in chain}) == 3
    assert [action.reason for action in actions] == ["a fix"] * 3
    assert verify_chain(engine, OPERATIONS).passed
    assert judge(asked(engine).evidence).state == "open"


def test_an_action_that_is_refused_leaves_no_row(engine: Engine) -> None:
    """Neither in the gate's table nor in the chain."""
    EventStore(engine).append([an_event_now()])
    assert act(engine, Wish(kind="init", service="orders", actor="ana"))
    with reading(engine) as connection:
        assert (rows(connection, OPERATIONS), read_actions(connection, "orders")) == ([], [])


CRIMES = {
    "the unlock is gone": "DELETE FROM tb_deploy_gate WHERE action = 'unlock'",
    "the lock is gone": "DELETE FROM tb_deploy_gate WHERE action = 'lock'",
    "all actions are gone": "DELETE FROM tb_deploy_gate",
    "an override lasts": "UPDATE tb_deploy_gate SET until_time = '2199-01-01T00:00:00.000000Z'",
    "an unlock is later": (
        "UPDATE tb_deploy_gate SET action_time = '2026-01-01T00:00:00.000000Z' WHERE action = 'unlock'"
    ),
    "an unlock accepts": "UPDATE tb_deploy_gate SET accepts_json = '[\"/x:missing_trace\"]' WHERE action = 'unlock'",
    "a lock is an unlock": "UPDATE tb_deploy_gate SET action = 'unlock' WHERE action = 'lock'",
    "another has done it": "UPDATE tb_deploy_gate SET actor = 'eve'",
    "for another reason": "UPDATE tb_deploy_gate SET reason = NULL",
    "of another service": "UPDATE tb_deploy_gate SET service = 'carts' WHERE action = 'lock'",
    "its audit row is another's": "UPDATE tb_deploy_gate SET audit_id = 'x' WHERE action = 'lock'",
    "an audit row is gone": "DELETE FROM tb_audit_log WHERE chain_seq = 2",
    "the newest audit row is gone": "DELETE FROM tb_audit_log WHERE chain_seq = 3",
    "an audit row is changed": "UPDATE tb_audit_log SET actor_user_id = 'eve' WHERE chain_seq = 1",
    "an audit row says nothing": "UPDATE tb_audit_log SET after_json = 'x' WHERE chain_seq = 1",
    "the head is gone": "DELETE FROM tb_audit_head",
}


@pytest.mark.parametrize("statement", CRIMES.values(), ids=CRIMES)
def test_whatever_is_done_behind_the_audit_log_leaves_the_gate_inconclusive(engine: Engine, statement: str) -> None:
    """Or locked, where it was; never open. The sentence says what."""
    kinds: tuple[ActionKind, ...] = ("lock", "override", "unlock")
    for kind in kinds:
        do(engine, kind)
    assert (judge(asked(engine).evidence).state, list(chain_faults(engine, "orders"))) == ("open", [])
    harm(engine, statement)
    found = asked(engine)

    assert Doubt.CHAIN_BROKEN in found.evidence.doubts
    assert judge(found.evidence).state != "open"
    assert any("audit" in detail for detail in found.details)


def test_an_action_that_nobody_audited_opens_no_gate(engine: Engine) -> None:
    """By a row that names no audit row, or that of another action."""
    do(engine, "lock")
    with writing(engine) as connection:
        at = datetime.now(UTC)
        (lock,) = read_actions(connection, "orders")
        append_action(connection, "orders", ActionRow("unlock", at, actor="eve"), audit_id=lock.audit_id)
    found = asked(engine)
    assert judge(found.evidence).state == "inconclusive"
    assert "the unlock by eve" in found.details[0]


def test_another_services_actions_are_not_asked_for(engine: Engine) -> None:
    """They are rows of the same chain."""
    do(engine, "lock")
    assert act(engine, Wish(kind="lock", service="carts", actor="ana")) == ()
    assert list(chain_faults(engine, "orders")) == list(chain_faults(engine, "billing")) == []


def test_the_gate_needs_the_key_of_its_chain(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it nobody can tell: inconclusive; nor can anybody act."""
    monkeypatch.setenv("TRACEGATE_AUDIT_KEY", SECRET.decode())
    do(engine, "override")
    assert judge(asked(engine).evidence).state == "open"
    with reading(engine) as connection:
        assert rows(connection, OPERATIONS)[0]["hash_algo"] == f"hmac-sha256:{KEY.id}"
    monkeypatch.delenv("TRACEGATE_AUDIT_KEY")
    found = asked(engine)
    assert judge(found.evidence).state == "inconclusive"
    assert "it is kept with a key, not given here" in found.details[0]
    with pytest.raises(ConfigurationError, match="audit_key"):
        do(engine, "lock")


def test_a_chain_made_anew_without_its_key_opens_no_gate(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clause H2: with the key it is found."""
    do(engine, "override")
    monkeypatch.setenv("TRACEGATE_AUDIT_KEY", SECRET.decode())
    assert "hash_algo_mismatch at row 1" in asked(engine).details[0]
    sign_chain(engine, OPERATIONS, KEY, adopts=True)
    assert judge(asked(engine).evidence).state == "open"


def test_a_key_that_is_none_is_a_doubt(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never an exception: who watches a gate goes on watching."""
    do(engine, "override")
    monkeypatch.setenv("TRACEGATE_AUDIT_KEY", "short")
    found = asked(engine)
    assert (judge(found.evidence).state, found.details) == ("inconclusive", ("audit_key: must have 32 bytes or more",))


def test_nobody_acts_on_a_damaged_chain(engine: Engine) -> None:
    """An action that could not be audited is not taken."""
    do(engine, "lock")
    harm(engine, "DELETE FROM tb_audit_log")
    with pytest.raises(StoreError, match="damaged at its row 1"):
        do(engine, "override")
    with reading(engine) as connection:
        assert len(read_actions(connection, "orders")) == 1


def test_a_long_chain_costs_a_gate_no_more_than_its_newest_rows(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows before them are verified by ``audit verify``; what an action says is compared however old it is."""
    monkeypatch.setattr(audit_gate, "CHECKED_ROWS", 2)
    do(engine, "lock")
    write(engine, [a_row(number, tenant_id=OPERATIONS) for number in range(4)])
    harm(engine, "UPDATE tb_audit_log SET reason = 'x' WHERE chain_seq = 2")
    assert list(chain_faults(engine, "orders")) == []
    assert not verify_chain(engine, OPERATIONS, Scan()).passed
    harm(engine, "UPDATE tb_deploy_gate SET reason = 'x'")
    assert len(list(chain_faults(engine, "orders"))) == 1


def test_an_override_that_ended_is_still_borne_out(engine: Engine) -> None:
    """Times of an action are compared as the store keeps them."""
    wish = Wish(kind="override", service="orders", actor="ana", reason="x", lasts=timedelta(microseconds=7))
    assert act(engine, wish) == ()
    assert list(chain_faults(engine, "orders")) == []
