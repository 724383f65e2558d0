"""Which facts must come out of one exchange (F1, F3)?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.property.drivers.record import Fact, Reply
from tests.property.oracle import bodies, head
from tests.property.oracle.inbound import Bound, Minted, Refused
from tests.property.oracle.outbound import Case, has_wrong_length
from tests.property.plan import Fault

__all__ = ["event_faults"]

_KINDS = {
    "missing_trace_id": "missing_trace",
    "invalid_trace_id_format": "invalid_trace",
    "conflicting_trace_id": "conflicting_trace",
    "trace_overwrite_refused": "trace_overwrite_refused",
}
_REFUSALS = frozenset(_KINDS.values())


def event_faults(case: Case, reply: Reply, events: Sequence[Fact]) -> list[str]:
    """Judge that each refusal, and each reply without its end, is exactly one event, of the reply's own trace."""
    counted = Counter(event.kind for event in events)
    refusals = {kind: count for kind, count in counted.items() if kind in _REFUSALS}
    wanted = _wanted(case, reply)
    either = [wanted]
    if not isinstance(case.decision, Refused) and has_wrong_length(case.request, case.plan):
        either.append({})  # which of two faults is seen first is nobody's business
    if case.delivers_conflicts and wanted.get("trace_overwrite_refused"):
        either.append({**wanted, "trace_overwrite_refused": 2})  # one in the head and one in the body
    faults = [] if refusals in either else [f"the refusals {refusals!r} were recorded, not {wanted!r}"]
    is_broken = reply.status is not None and not reply.clean and not wanted
    if is_broken and counted["stream_broken"] != 1 and case.plan.raises.is_answered:
        faults.append(f"a reply without its end: {counted['stream_broken']} events")
    return faults + _trace_faults(case, reply, events)


def _trace_faults(case: Case, reply: Reply, events: Sequence[Fact]) -> list[str]:
    spelled = {line.decode("latin-1") for line in reply.values(b"x-trace-id")}
    if isinstance(case.decision, Bound):
        spelled |= {each.decode() for each in case.decision.spellings}
    wrong = [event.trace_id for event in events if event.trace_id not in spelled]
    return [f"events of the traces {wrong!r}"] if wrong and reply.status is not None else []


def _wanted(case: Case, reply: Reply) -> dict[str, int]:
    """Return how many events of each kind of refusal there must be."""
    wanted: dict[str, int] = {}
    if isinstance(case.decision, Refused):
        wanted[_KINDS[case.decision.detail]] = 1
    elif _is_conflict(case, reply):
        wanted["trace_overwrite_refused"] = 1
    if isinstance(case.decision, Minted) and case.decision.would_refuse:
        wanted[_KINDS[case.decision.would_refuse]] = 1
    return wanted


def _is_conflict(case: Case, reply: Reply) -> bool:
    """Say whether the application named another trace, and got as far as to say so."""
    plan = case.plan
    silent = plan.fault in (Fault.NO_REPLY, Fault.RAISE_BEFORE_START, Fault.BODY_FIRST)
    if silent or not head.is_legal(plan.status, plan.headers):
        return False
    if case.names_another:
        return True
    kind = bodies.kind_of(case.request, case.settings, plan)
    refused = reply.status == 409 and plan.status != 409
    if plan.fault is not Fault.NONE:
        return refused or b"trace_overwrite_refused" in reply.body
    return refused or bodies.names_another_inside(kind, case.request, case.settings, plan, case.decision)
