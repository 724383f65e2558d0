"""What may leave, given what the request said and what the application did (C, D, E)?

:func:`verdict` names every reply that the contract allows and judges the one that was seen by each; it is right if one
of them finds nothing wrong. The faults of the nearest are reported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tests.property.drivers.record import Notes, Reply, Transport
from tests.property.oracle import bodies, head, sse_text
from tests.property.oracle.ids import number_of
from tests.property.oracle.inbound import Bound, Decision
from tests.property.oracle.judges import DIGESTS, REPRESENTATION, error_faults, header_faults, id_faults
from tests.property.plan import Fault, Plan, Request, Settings

__all__ = ["Case", "has_wrong_length", "verdict"]

Judge: TypeAlias = Callable[[Reply], list[str]]


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that decides one reply."""

    transport: Transport
    request: Request
    plan: Plan
    settings: Settings
    decision: Decision

    @property
    def own_ids(self) -> list[bytes]:
        """The ids that the application put on its reply."""
        return head.values(self.plan.headers, b"x-trace-id")

    @property
    def kept_ids(self) -> list[bytes]:
        """Those of the application's ids that may stay on its reply."""
        number = self.decision.number if isinstance(self.decision, Bound) else None
        return [each for each in self.own_ids if self.delivers_conflicts or number_of(each) == number]

    @property
    def names_another(self) -> bool:
        """Whether the application's head claims anything but the bound trace (C3)."""
        number = self.decision.number if isinstance(self.decision, Bound) else None
        return bool(self.own_ids) and (len(self.own_ids) > 1 or number_of(self.own_ids[0]) != number)

    @property
    def delivers_conflicts(self) -> bool:
        """Whether conflicts are recorded instead of refused (B4, C3)."""
        return self.settings.mode == "observe" or self.settings.on_conflict == "keep"


def verdict(case: Case, reply: Reply, notes: Notes) -> list[str]:
    """Return what is wrong with *reply*, an empty list if nothing is."""
    found = {name: judge(reply) for name, judge in _allowed(case).items()}
    nearest = min(found, key=lambda name: len(found[name]))
    faults = [f"[as {nearest}] {fault}" for fault in found[nearest]]
    return faults + _legality_faults(case, reply) + _exception_faults(case, reply, notes)


def _legality_faults(case: Case, reply: Reply) -> list[str]:
    if case.plan.fault in (Fault.START_TWICE, Fault.SEND_AFTER_END):
        # The gate may leave it to the server to say no to the application.
        return [fault for fault in reply.illegal if "hung" in fault or "left behind" in fault]
    return reply.illegal


def _exception_faults(case: Case, reply: Reply, notes: Notes) -> list[str]:
    """Judge that the application's exception comes out, as it was and after the last send (C4)."""
    plan = case.plan
    raised = notes.raised
    if plan.fault in (Fault.RAISE_BEFORE_START, Fault.RAISE_MID_BODY, Fault.RAISE_AFTER_END):
        if case.transport == "wsgi" and plan.fault is Fault.RAISE_AFTER_END:
            return [] if reply.raised in (None, raised) else [f"close raised {reply.raised!r}"]
        if reply.raised is not raised:
            return [f"{raised!r} was raised, {reply.raised!r} came out"]
        if reply.raised_after != reply.sends:
            return [f"raised after {reply.raised_after} of {reply.sends} sends"]
        if case.transport == "wsgi" and plan.raises.is_answered and reply.raised_from != "next":
            return [f"raised from {reply.raised_from!r}, not from __next__"]
    elif plan.fault is Fault.NONE and reply.raised is not None and raised is None and _is_whole(case, reply):
        # Where a reply is cut off or replaced, an exception tells the server; a WSGI iterable has no other way.
        return [f"out of nothing came {reply.raised!r}"]
    return []


def _is_whole(case: Case, reply: Reply) -> bool:
    """Say whether the reply is the application's own, to its end: then nothing else may raise."""
    is_own = head.is_legal(case.plan.status, case.plan.headers) and not has_wrong_length(case.request, case.plan)
    return is_own and reply.clean


def has_wrong_length(request: Request, plan: Plan) -> bool:
    """Say whether *plan* declares another length than its body has, and it matters."""
    if request.method == "HEAD" or plan.status in (204, 304) or not head.is_legal(200, plan.headers):
        return False
    return head.declared_length(plan.headers) not in (None, len(plan.body))


def _allowed(case: Case) -> dict[str, Judge]:
    plan = case.plan
    if plan.fault in (Fault.NO_REPLY, Fault.BODY_FIRST):
        return {"the 500 of C4": _crash(case)}
    if plan.fault is Fault.RAISE_BEFORE_START:
        return {"the 500 of C4": _crash(case)} if plan.raises.is_answered else {"nothing (C4)": _nothing}
    if not head.is_legal(plan.status, plan.headers):
        return {"the 500 of C10": _crash(case)}
    if case.names_another and not case.delivers_conflicts:
        allowed = {"the refusal of C3": _refusal(case)}
        if plan.fault is not Fault.NONE:
            allowed["the 500 of C4"] = _crash(case)
        return allowed
    return _delivered(case)


def _delivered(case: Case) -> dict[str, Judge]:
    """Return what may leave where the application's head stands."""
    plan = case.plan
    kind = bodies.kind_of(case.request, case.settings, plan)
    judges = bodies.judges_of(kind, case.request, case.settings, plan, case.decision)
    if "refused" in judges:
        judges = {name: judge for name, judge in judges.items() if name != "refused"}
        judges["the refusal of D1"] = _refusal(case)
        judges["no clean end (E4)"] = _broken(case)
    if "crashed" in judges:
        judges["crashed"] = _crash(case)
    is_held = kind in ("error", "stream", "envelope") or case.transport == "wsgi"
    answered = plan.raises.is_answered
    if has_wrong_length(case.request, case.plan):
        judges = {"no clean end (C5)": _broken(case)}
        if is_held:
            judges["the 500 of C4"] = _crash(case)
    if plan.fault in (Fault.RAISE_MID_BODY, Fault.RETURN_MID_BODY, Fault.START_TWICE):
        judges = _interrupted(case, kind, is_held=is_held, answered=answered or plan.fault is not Fault.RAISE_MID_BODY)
    elif plan.fault is Fault.RAISE_AFTER_END and kind == "stream" and case.transport == "asgi":
        if answered:
            judges = {"the stream's end of D7": bodies.broken_stream(case.request, case.settings, plan, case.decision)}
            if _is_silent(plan.body):
                judges["the 500 of C4"] = _crash(case)
        else:
            judges["no clean end (C5)"] = _broken(case)
    elif plan.fault is Fault.SEND_AFTER_END and kind == "stream":
        judges |= {"no clean end (C5)": _broken(case)} | (
            {"the 500 of C4": _crash(case)} if _is_silent(plan.body) else {}
        )
    return judges


def _interrupted(case: Case, kind: str, *, is_held: bool, answered: bool) -> dict[str, Judge]:
    """Return what may leave where the application's body does not reach its end."""
    plan = case.plan
    sent = b"".join(plan.chunks[: plan.fault_after])
    judges: dict[str, Judge] = {"no clean end (C5)": _broken(case)}
    if kind == "stream" and answered and plan.fault is Fault.RAISE_MID_BODY:
        ends = {"the stream's end of D7": bodies.broken_stream(case.request, case.settings, plan, case.decision)}
        if _is_silent(sent):
            ends["the 500 of C4"] = _crash(case)
        return ends if sent else {"the 500 of C4": _crash(case)}
    if kind == "stream" and answered:
        judges["the stream's end of D7"] = bodies.broken_stream(case.request, case.settings, plan, case.decision)
    if answered and (
        kind in ("error", "envelope") or (is_held and not sent) or (kind == "stream" and _is_silent(sent))
    ):
        judges["the 500 of C4"] = _crash(case)
    if not answered and is_held:
        judges["nothing (C4)"] = _nothing
    if kind == "head":
        judges["a reply to HEAD"] = lambda reply: id_faults(reply, case.decision, case.kept_ids)
    return judges


def _is_silent(stream: bytes) -> bool:
    """Say whether no event of *stream* is complete: its start may then still be held (D7)."""
    return not any(block.is_event for block in sse_text.split(stream)[1])


def _nothing(reply: Reply) -> list[str]:
    # An empty item of a WSGI iterable puts nothing on the wire.
    return [] if reply.status is None and not reply.body else [f"{reply.sends} messages were sent"]


def _crash(case: Case) -> Judge:
    def judge(reply: Reply) -> list[str]:
        faults = error_faults(reply, case.request, case.decision, status=500, codes=("SYS-003-500",), details=[])
        known = {b"content-type", b"content-length", b"cache-control", b"x-trace-id"}
        if head.values(case.request.headers, b"origin"):
            known |= {b"vary", *(name for name, _ in reply.headers if name.lower().startswith(b"access-control-"))}
        return faults + [f"an added header {name!r}" for name, _ in reply.headers if name.lower() not in known]

    return judge


def _refusal(case: Case) -> Judge:
    """E2, after the application ran."""

    def judge(reply: Reply) -> list[str]:
        faults = error_faults(
            reply,
            case.request,
            case.decision,
            status=409,
            codes=("SYS-004-409-TRACE",),
            details=["trace_overwrite_refused"],
            extra={"refused_status": {b"%d" % case.plan.status}},
            own=case.kept_ids,
        )
        gone = {name.lower() for name, _ in case.plan.headers if name.lower().startswith(b"content-")}
        gone |= REPRESENTATION | DIGESTS
        added = (b"content-type", b"content-length", b"cache-control", b"vary")
        return faults + header_faults(case.plan.headers, reply, drop=gone, may_add=added)

    return judge


def _looks_whole(case: Case, reply: Reply) -> bool:
    """Say whether a client takes the reply for a whole one, and a gate could have helped it."""
    declared = head.declared_length(reply.headers)
    if declared is None or declared != len(reply.body):
        return reply.clean
    whole_chunks = {len(b"".join(case.plan.chunks[:count])) for count in range(len(case.plan.chunks) + 1)}
    is_plain = bodies.kind_of(case.request, case.settings, case.plan) == "plain"
    return not (is_plain and declared in whole_chunks)


def _broken(case: Case) -> Judge:
    """C5, E4: whatever left, it does not end."""

    def judge(reply: Reply) -> list[str]:
        faults = id_faults(reply, case.decision, case.kept_ids)
        if _looks_whole(case, reply):
            faults.append("the reply ends cleanly")
        if reply.status != case.plan.status:
            faults.append(f"status {reply.status}")
        if bodies.kind_of(case.request, case.settings, case.plan) == "plain" and not case.plan.body.startswith(
            reply.body
        ):
            faults.append(f"not what the application sent: {reply.body[:200]!r}")
        return faults

    return judge
