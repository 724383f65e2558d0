"""Which facts must come out of one exchange (F1, F3)?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.property.drivers.record import Fact, Reply, Transport
from tests.property.oracle import bodies, head
from tests.property.oracle.inbound import Bound, Decision, Minted, Refused
from tests.property.oracle.outbound import Case, has_wrong_length
from tests.property.plan import Fault, Plan, Request, Settings

__all__ = ["event_faults"]

_KINDS = {
    "missing_trace_id": "missing_trace",
    "invalid_trace_id_format": "invalid_trace",
    "conflicting_trace_id": "conflicting_trace",
    "trace_overwrite_refused": "trace_overwrite_refused",
}
_REFUSALS = frozenset(_KINDS.values())


def event_faults(  # noqa: PLR0913  the oracle knows nothing but what happened
    decision: Decision,
    transport: Transport,
    plan: Plan,
    request: Request,
    settings: Settings,
    reply: Reply,
    events: Sequence[Fact],
) -> list[str]:
    """Judge that each refusal, and each reply without its end, is exactly one event."""
    counted = Counter(event.kind for event in events)
    refusals = {kind: count for kind, count in counted.items() if kind in _REFUSALS}
    wanted: dict[str, int] = {}
    if isinstance(decision, Refused):
        wanted[_KINDS[decision.detail]] = 1
    elif isinstance(decision, Minted) and decision.would_refuse:
        wanted[_KINDS[decision.would_refuse]] = 1
    if not isinstance(decision, Refused) and _is_conflict(Case(transport, request, plan, settings, decision), reply):
        wanted["trace_overwrite_refused"] = 1
    if refusals != wanted and not refusals and not isinstance(decision, Refused) and has_wrong_length(request, plan):
        wanted = {}  # which of two faults is seen first is nobody's business
    if _delivers(settings) and wanted and refusals.get("trace_overwrite_refused") == 2:
        wanted["trace_overwrite_refused"] = 2  # one in the head and one in the body
    faults = [] if refusals == wanted else [f"the refusals {refusals!r} were recorded, not {wanted!r}"]
    broken = reply.status is not None and not reply.clean and not wanted
    if broken and counted["stream_broken"] != 1 and plan.raises.is_answered:
        faults.append(f"a reply without its end: {counted['stream_broken']} events")
    spelled = {line.decode("latin-1") for line in reply.values(b"x-trace-id")}
    if isinstance(decision, Bound):
        spelled |= {each.decode() for each in decision.spellings}
    if reply.status is not None:
        faults += [f"an event of the trace {event.trace_id!r}" for event in events if event.trace_id not in spelled]
    return faults


def _delivers(settings: Settings) -> bool:
    return settings.mode == "observe" or settings.on_conflict == "keep"


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
