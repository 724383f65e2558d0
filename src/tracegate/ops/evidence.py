"""What is known of a service's releases, and what is in doubt? Collects what the verdict is made from.

Whatever cannot be found out is a doubt, never an exception and never silence.

Source: contract clause H3.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from tracegate.errors import ConfigurationError, StoreError
from tracegate.ops.audit_key import audit_key
from tracegate.ops.deploy_gate import WINDOW, Action, Cause, Doubt, Evidence
from tracegate.store.audit_gate import chain_faults
from tracegate.store.doctor import SKEW, examine_store
from tracegate.store.engine import reading
from tracegate.store.gate import has_events, read_actions, read_causes, store_time
from tracegate.store.traffic import has_dropped, has_replies, read_seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sqlalchemy import Connection, Engine

    from tracegate.sinks.spool import Spool
    from tracegate.store.gate import ActionRow, CauseRow
    from tracegate.store.traffic import Seen

__all__ = ["Found", "collect"]

_FRESH: Final = timedelta(seconds=60)
"""How old the newest count of a service may be: each process writes one every ten seconds, even where nothing comes."""

_MINUTE: Final = timedelta(minutes=1)
_SECOND: Final = timedelta(seconds=1)

_DOUBT_BY_SUBJECT: Final[Mapping[str, Doubt]] = {
    "reachable": Doubt.STORE_UNREACHABLE,
    "migrations": Doubt.MIGRATIONS,
    "append-only": Doubt.MIGRATIONS,  # a table without its triggers is not the one that the migrations made
    "clock": Doubt.CLOCK_SKEW,
}
_NEVER_ASKED: Final = frozenset((Doubt.STORE_UNREACHABLE, Doubt.MIGRATIONS))


class Found(NamedTuple):
    """What was found out.

    Attributes:
        evidence: What the verdict is made from.
        details: Of the doubts, in English sentences without secrets.
        actions: All that was done to the gate, in order.
        shown: Events since the last unlock that do not lock the gate.
    """

    evidence: Evidence
    details: tuple[str, ...] = ()
    actions: tuple[ActionRow, ...] = ()
    shown: tuple[CauseRow, ...] = ()


def collect(
    engine: Engine, service: str, *, spool: Spool | None = None, min_replies: int = 1, window: timedelta = WINDOW
) -> Found:
    """Return what is known of *service*, and what is not.

    Args:
        engine: The store.
        service: Whose releases.
        spool: Where events of the service wait while the store is away; None: not looked at.
        min_replies: How many replies must have been seen; 0: traffic is not judged.
        window: Within how long a time until now. Above 0.
    """
    doubts = [*_of_store(engine), *_of_spool(spool)]
    if any(detail for doubt, detail in doubts if doubt in _NEVER_ASKED):
        return _found(Evidence(datetime.now(UTC)), doubts)
    try:
        return _read(engine, service, [*doubts, *_of_chain(engine, service)], min_replies, window)
    except StoreError as error:
        return _found(Evidence(datetime.now(UTC)), [(Doubt.STORE_UNREACHABLE, error.reason), *doubts])
    except (TypeError, ValueError):  # of a value that no writer of ours wrote
        return _found(Evidence(datetime.now(UTC)), [(Doubt.STORE_UNREACHABLE, "a row cannot be read"), *doubts])


def _read(engine: Engine, service: str, doubts: list[tuple[Doubt, str]], min_replies: int, window: timedelta) -> Found:
    with reading(engine) as connection:
        actions = tuple(read_actions(connection, service))
        unlocked = next((action.at for action in reversed(actions) if action.kind == "unlock"), None)
        rows = read_causes(connection, service, after=unlocked)
        ever_seen = _is_seen(connection, service, actions)
        asked_at = store_time(connection)
        seen = read_seen(connection, service, asked_at - window, asked_at + SKEW)
        now = store_time(connection)  # after what it is compared to
    if any(at > now for at in (*(action.at for action in actions), *(row.last for row in rows))):
        doubts = [(Doubt.CLOCK_SKEW, "an action or an event is from the future"), *doubts]
    if min_replies > 0:
        doubts = [*doubts, *_of_traffic(seen, now, min_replies, window)]
    causes = tuple(
        Cause(row.route or "", row.kind, row.trace_id, row.first, row.last, row.count) for row in rows if row.locks
    )
    done = tuple(Action(*action[:7]) for action in actions)
    found = _found(Evidence(now, causes, done, ever_seen=ever_seen), doubts)
    return found._replace(actions=actions, shown=tuple(row for row in rows if not row.locks))


def _is_seen(connection: Connection, service: str, actions: Iterable[ActionRow]) -> bool:
    """Return whether anything of *service* is kept, or may have been since the newest init, and was dropped."""
    begun = max((action.at for action in actions if action.kind == "init"), default=None)
    return (
        has_events(connection, service)
        or has_replies(connection, service)
        or (begun is not None and has_dropped(connection, begun))
    )


def _found(known: Evidence, doubts: Iterable[tuple[Doubt, str]]) -> Found:
    doubts = tuple(doubts)
    evidence = Evidence(
        known.now, known.causes, known.actions, frozenset(doubt for doubt, _ in doubts), ever_seen=known.ever_seen
    )
    return Found(evidence, tuple(dict.fromkeys(detail for _, detail in doubts)))


def _of_store(engine: Engine) -> Iterator[tuple[Doubt, str]]:
    """Yield what the doctor says against the store."""
    for finding in examine_store(engine):
        if finding.verdict == "fault" and finding.subject in _DOUBT_BY_SUBJECT:
            yield _DOUBT_BY_SUBJECT[finding.subject], finding.says


def _of_chain(engine: Engine, service: str) -> Iterator[tuple[Doubt, str]]:
    """Yield what the audit log says against the actions: one that is not in its chain was done by nobody."""
    try:
        for says in chain_faults(engine, service, audit_key()):
            yield Doubt.CHAIN_BROKEN, says
    except ConfigurationError as error:  # a key that is none
        yield Doubt.CHAIN_BROKEN, str(error)


def _of_traffic(seen: Seen, now: datetime, min_replies: int, window: timedelta) -> Iterator[tuple[Doubt, str]]:
    """Yield what is wrong with what was seen: too few replies, or nobody who counts any more."""
    if seen.replies < min_replies:
        minutes = f"{window / _MINUTE:g}"
        yield Doubt.NO_TRAFFIC, f"{seen.replies} replies were seen in the last {minutes} minutes, not {min_replies}"
    if seen.flushed is not None and seen.flushed > now + SKEW:
        yield Doubt.CLOCK_SKEW, "the newest count is from the future"
    elif seen.flushed is not None and now - seen.flushed > _FRESH:
        yield Doubt.STALE, f"the newest count came {(now - seen.flushed) // _SECOND} seconds ago: is a worker running?"


def _of_spool(spool: Spool | None) -> Iterator[tuple[Doubt, str]]:
    if spool is None:
        return
    try:
        if waiting := spool.pending():
            yield Doubt.SPOOL, f"{waiting} events wait in the spool"
        if damaged := spool.damaged():
            yield Doubt.EVENTS_LOST, f"{damaged} files of the spool are damaged and were set aside"
        if refused := spool.refused():
            yield Doubt.EVENTS_LOST, f"{refused} events are refused by the store for good, and were set aside"
        if lost := spool.lost():
            yield Doubt.EVENTS_LOST, f"{lost} events were recorded nowhere but in the log"
    except StoreError as error:
        yield Doubt.SPOOL, error.reason
