"""How does somebody change a deploy gate, and what must they say? One action is one row that nobody changes again.

Source: contract clause H3.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tracegate.context import current_trace
from tracegate.core.trace_id import FORMATS, parse_trace_id
from tracegate.errors import StoreError
from tracegate.ops.audit_key import audit_key
from tracegate.ops.deploy_gate import LONGEST_OVERRIDE, Action, Cause, Evidence, judge, unnamed
from tracegate.runtime import SystemMint
from tracegate.store.audit_gate import AuditedAction, append_audited_action
from tracegate.store.engine import writing
from tracegate.store.events import EventQuery, EventStore
from tracegate.store.gate import (
    LOCKING_KINDS,
    ActionRow,
    begin_action,
    has_events,
    read_actions,
    read_causes,
)
from tracegate.store.traffic import has_replies
from tracegate.store.upgrade import state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Engine

    from tracegate.store.audit_hash import AuditKey
    from tracegate.store.gate import ActionKind

__all__ = ["DEMANDS", "STILL_ARRIVES", "Wish", "act"]

DEMANDS: Final[Mapping[ActionKind, tuple[str, ...]]] = {
    "lock": ("actor",),
    "unlock": ("actor", "incident", "trace_id"),
    "override": ("actor", "reason"),
    "init": ("actor",),
}
"""What must be said for each action: attributes of a :class:`Wish`."""

STILL_ARRIVES: Final = timedelta(minutes=10)
"""A cause of which the store got an event within this time still arrives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to do to a gate.

    Attributes:
        kind: Which action.
        service: Whose gate.
        actor: Who wants it.
        reason: Why.
        incident: The incident that is dealt with.
        trace_id: A trace of it.
        accepts: Causes that may go on, each as ``ROUTE:KIND``.
        lasts: How long an override is in force; cut to the longest that there is.
    """

    kind: ActionKind
    service: str
    actor: str
    reason: str = ""
    incident: str = ""
    trace_id: str = ""
    accepts: frozenset[str] = frozenset()
    lasts: timedelta = LONGEST_OVERRIDE


def act(engine: Engine, wish: Wish, key: AuditKey | None = None) -> tuple[str, ...]:
    """Do it, in one transaction with its row in the audit log.

    Args:
        engine: The store.
        wish: What.
        key: With which the audit log is kept; None: that of the environment, where there is one.

    Returns:
        Why it was not done, in English sentences. Empty: it is done, and durable.

    Raises:
        ConfigurationError: The audit log is kept with a key, and *key* is none or another one.
        StoreError: The store did not take it, or the audit chain is damaged.
    """
    if lacking := tuple(
        f"the {wish.kind} does not say: {name}" for name in DEMANDS[wish.kind] if not _says(wish, name)
    ):
        return lacking
    if state(engine) != "current":
        raise StoreError("its tables are not those of this version; run: python -m tracegate store upgrade")
    key = key or audit_key()
    trace_is_known = wish.kind != "unlock" or _knows_trace(engine, wish)
    with writing(engine) as connection:
        at = begin_action(connection, wish.service)
        refusals = tuple(_refusals(connection, wish, at, trace_is_known=trace_is_known))
        if not refusals:
            action = _row(wish, at)
            before, after = _standing(connection, wish.service, action)
            trace = str(current_trace() or SystemMint().trace_id())
            done = AuditedAction(service=wish.service, action=action, trace_id=trace, before=before, after=after)
            append_audited_action(connection, done, key)
    return refusals


def _says(wish: Wish, name: str) -> bool:
    said: str = getattr(wish, name)
    return bool(said.strip())


def _row(wish: Wish, at: datetime) -> ActionRow:
    until = at + min(wish.lasts, LONGEST_OVERRIDE) if wish.kind == "override" else None
    return ActionRow(wish.kind, at, until, wish.accepts, wish.actor, wish.incident, wish.trace_id, wish.reason)


def _standing(connection: Connection, service: str, action: ActionRow) -> Iterator[dict[str, object]]:
    """Yield how the gate stands before and after *action*, as far as its store says: doubts are not asked for."""
    actions = read_actions(connection, service)
    unlocked = next((done.at for done in reversed(actions) if done.kind == "unlock"), None)
    rows = read_causes(connection, service, after=unlocked)
    causes = tuple(
        Cause(row.route or "", row.kind, row.trace_id, row.first, row.last, row.count) for row in rows if row.locks
    )
    for done in (actions, [*actions, action]):
        verdict = judge(Evidence(action.at, causes, tuple(Action(*each[:7]) for each in done)))
        yield {"state": verdict.state, "causes": [cause.name for cause in verdict.causes], "until": verdict.until}


def _refusals(connection: Connection, wish: Wish, at: datetime, *, trace_is_known: bool) -> Iterator[str]:
    if wish.kind == "init" and (has_events(connection, wish.service) or has_replies(connection, wish.service)):
        yield f"{wish.service} has been seen: init lets out a service of which nothing has been seen"
    if wish.kind != "unlock":
        return
    since = at - STILL_ARRIVES
    unlocks = [action.at for action in read_actions(connection, wish.service) if action.kind == "unlock"]
    rows = read_causes(connection, wish.service, after=min(unlocks[-1], since) if unlocks else None)
    causes = [Cause(row.route or "", row.kind, row.trace_id, row.first, row.last) for row in rows if row.locks]
    if parse_trace_id(wish.trace_id.encode("utf-8", "surrogatepass"), tuple(FORMATS)) is None:
        yield f"{wish.trace_id} is no trace id"
    elif causes and not trace_is_known:
        yield f"{wish.trace_id} is not the trace of an event of {wish.service}; the first is {causes[0].trace_id}"
    for name in sorted(wish.accepts.difference(cause.name for cause in causes)):
        yield f"{name} has not arrived: it cannot be accepted"
    for cause in unnamed(causes, wish.accepts, since=since):
        yield f"{cause.name} still arrives, at {cause.last:%Y-%m-%dT%H:%M:%SZ}: end it, or --accept '{cause.name}'"


def _knows_trace(engine: Engine, wish: Wish) -> bool:
    query = EventQuery(service=wish.service, kinds=LOCKING_KINDS, trace_id=wish.trace_id)
    return EventStore(engine).count(query) > 0
