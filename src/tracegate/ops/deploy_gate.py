"""May a release go out? The verdict, from what was found; reading and writing is somebody else's work.

The gate is closed unless everything it needs to know says that it is open. What locked it, and who opened it since,
all stands in the evidence: the verdict has no state of its own, so that it survives every restart.

Source: contract clause H3.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "FIRST_RELEASE",
    "LONGEST_OVERRIDE",
    "WINDOW",
    "Action",
    "Cause",
    "Doubt",
    "Evidence",
    "Verdict",
    "judge",
    "unnamed",
]

LONGEST_OVERRIDE = timedelta(hours=4)
"""An override ends by itself, at the latest after this time."""

FIRST_RELEASE = timedelta(days=7)
"""For so long an init lets a service out of which nothing is seen: one whose replies nobody ever counts is not new."""

WINDOW = timedelta(minutes=15)
"""Within how long a time replies must have been seen, where nobody says."""


class Doubt(Enum):
    """Why the honest answer is not a clear one."""

    STORE_UNREACHABLE = "the store cannot be reached"
    MIGRATIONS = "the store's tables are not those of this version"
    CHAIN_BROKEN = "the audit chain is broken"
    CLOCK_SKEW = "this clock and the store's differ too much"
    SPOOL = "events wait in a spool and have not been replayed"
    EVENTS_LOST = "an instance has reported events that were recorded nowhere"
    NO_TRAFFIC = "too few replies were seen"
    STALE = "the newest sign of traffic is too old"


_NEVER_LIFTED = frozenset((Doubt.STORE_UNREACHABLE, Doubt.MIGRATIONS, Doubt.CHAIN_BROKEN, Doubt.CLOCK_SKEW))
"""With these, an override cannot be trusted either: it stands in the same store."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Events of one route and one kind: what locks the gate.

    Attributes:
        route: The route's template.
        kind: ``missing_trace``, ``invalid_trace`` or ``conflicting_trace``.
        trace_id: The trace of the first of them.
        first: When it happened.
        last: When the newest happened.
        count: How many there are.
    """

    route: str
    kind: str
    trace_id: str
    first: datetime
    last: datetime
    count: int = 1

    @property
    def name(self) -> str:
        """How an operator names it: ``ROUTE:KIND``."""
        return f"{self.route}:{self.kind}"


@dataclass(frozen=True, slots=True)
class Action:
    """What somebody did to the gate, as the audit log has it.

    Attributes:
        kind: ``lock`` closes it by hand; ``unlock`` says that what happened until then is dealt with; ``override``
            opens it for a fix; ``init`` lets the first release of a service out, of which nothing has been seen,
            within a week.
        at: When.
        until: When an override ends.
        accepts: Names of causes that may go on, for an unlock.
        actor: Who.
        incident: The incident that an unlock names.
        trace_id: The trace that an unlock names.
    """

    kind: Literal["lock", "unlock", "override", "init"]
    at: datetime
    until: datetime | None = None
    accepts: frozenset[str] = frozenset()
    actor: str = ""
    incident: str = ""
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the verdict is made from.

    Attributes:
        now: The time, aware.
        causes: Of this service, on matched routes, in mode ``require``, since the last unlock that covers them.
        actions: In the order of the audit log.
        doubts: What makes the rest uncertain.
        ever_seen: Whether this service has ever had a reply counted, or may have had one that was dropped since.
    """

    now: datetime
    causes: tuple[Cause, ...] = ()
    actions: tuple[Action, ...] = ()
    doubts: frozenset[Doubt] = frozenset()
    ever_seen: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer.

    Attributes:
        state: Only ``open`` lets a release out.
        reasons: English sentences, the weightiest first.
        causes: Those that lock it.
        until: When an open gate closes again by itself, or None.
    """

    state: Literal["open", "locked", "inconclusive"]
    reasons: tuple[str, ...]
    causes: tuple[Cause, ...] = ()
    until: datetime | None = None


def judge(evidence: Evidence) -> Verdict:
    """Return whether a release may go out.

    What is known to lock the gate locks it, whatever else is in doubt; an override lifts that, and the doubts about
    traffic and spools, but none about the store that holds it.
    """
    causes = tuple(_locking(evidence.causes, evidence.actions))
    by_hand = _locked_by_hand(evidence.actions)
    doubts = [doubt for doubt in Doubt if doubt in evidence.doubts]
    override = _override(evidence)
    if override is not None and not _NEVER_LIFTED.intersection(doubts):
        return Verdict("open", (f"overridden by {override.actor}",), causes, _end(override))
    reasons = [f"{cause.count} × {cause.name}, first trace {cause.trace_id}" for cause in causes]
    if by_hand is not None:
        reasons.insert(0, f"locked by {by_hand.actor}")
    if reasons:
        return Verdict("locked", (*reasons, *(doubt.value for doubt in doubts)), causes)
    if _is_first_release(evidence):
        doubts = [doubt for doubt in doubts if doubt not in (Doubt.NO_TRAFFIC, Doubt.STALE)]
    if doubts:
        return Verdict("inconclusive", tuple(doubt.value for doubt in doubts))
    return Verdict("open", ("no reply without its trace",))


def unnamed(causes: Iterable[Cause], accepts: frozenset[str], *, since: datetime) -> tuple[Cause, ...]:
    """Return the causes that still arrive and that an unlock would have to name.

    Args:
        causes: What locks the gate now.
        accepts: What the unlock names.
        since: From when on a cause counts as one that still arrives.
    """
    return tuple(cause for cause in causes if cause.last >= since and cause.name not in accepts)


def _locking(causes: Iterable[Cause], actions: tuple[Action, ...]) -> Iterator[Cause]:
    """Yield the causes that no unlock has dealt with: the newest one decides."""
    unlock = next((action for action in reversed(actions) if action.kind == "unlock"), None)
    for cause in causes:
        if unlock is None or (cause.last > unlock.at and cause.name not in unlock.accepts):
            yield cause


def _locked_by_hand(actions: tuple[Action, ...]) -> Action | None:
    last = next((action for action in reversed(actions) if action.kind in ("lock", "unlock")), None)
    return last if last is not None and last.kind == "lock" else None


def _override(evidence: Evidence) -> Action | None:
    """Return the override in force: the newest one, unless somebody has locked the gate since."""
    for action in reversed(evidence.actions):
        if action.kind == "lock":
            return None
        if action.kind == "override":
            return action if action.at <= evidence.now < _end(action) else None
    return None


def _end(override: Action) -> datetime:
    latest = override.at + LONGEST_OVERRIDE
    return latest if override.until is None else min(override.until, latest)


def _is_first_release(evidence: Evidence) -> bool:
    since = evidence.now - FIRST_RELEASE
    return not evidence.ever_seen and any(action.kind == "init" and action.at > since for action in evidence.actions)
