"""Did one exchange keep the contract, all in all?"""

from __future__ import annotations

from tests.property.drivers.record import Outcome, Transport
from tests.property.oracle.events import event_faults
from tests.property.oracle.inbound import Bound, Decision, Refused, decide
from tests.property.oracle.judges import error_faults
from tests.property.oracle.outbound import Case, verdict
from tests.property.plan import Plan, Request, Settings

__all__ = ["faults_of"]


def faults_of(transport: Transport, plan: Plan, request: Request, settings: Settings, outcome: Outcome) -> list[str]:
    """Return what is wrong with *outcome*: of the decisions that the contract allows, by the nearest."""
    if transport == "wsgi":
        request = _as_wsgi_sees(request)
    cases = [Case(transport, request, plan, settings, decision) for decision in decide(request, settings)]
    return min((_faults_in(case, outcome) for case in cases), key=len) + _context_faults(outcome)


def _as_wsgi_sees(request: Request) -> Request:
    """Return *request* with the lines of one name joined, as a WSGI server hands them over."""
    joined: dict[bytes, bytes] = {}
    for name, value in request.headers:
        lower = name.lower()
        joined[lower] = joined[lower] + b"," + value if lower in joined else value
    return Request(request.method, request.path, request.query, tuple(joined.items()), request.client, request.body)


def _faults_in(case: Case, outcome: Outcome) -> list[str]:
    reply, entered = outcome.reply, outcome.notes.entered
    if isinstance(case.decision, Refused):
        details = [case.decision.detail]
        faults = error_faults(
            reply, case.request, case.decision, status=409, codes=("SYS-004-409-TRACE",), details=details
        )
        faults += ["the application was called"] if entered else []
    else:
        faults = verdict(case, reply, outcome.notes) + _inside_faults(case.decision, outcome)
        faults += [] if entered == 1 else [f"the application was called {entered} times"]
    return faults + event_faults(case, reply, outcome.events)


def _inside_faults(decision: Decision, outcome: Outcome) -> list[str]:
    """Judge that the application saw the bound trace wherever it looked (G1)."""
    seen = set(outcome.notes.inside)
    if isinstance(decision, Bound):
        allowed = {spelling.decode() for spelling in decision.spellings}
    else:
        allowed = {each.decode() for each in outcome.reply.values(b"x-trace-id")} or {each or "" for each in seen}
    return [] if seen <= allowed and len(seen) <= 1 else [f"the application saw {seen!r}, not {allowed!r}"]


def _context_faults(outcome: Outcome) -> list[str]:
    """Judge that the server's own context never holds a trace (G2)."""
    leaked = [trace for trace in outcome.reply.trace_outside if trace is not None]
    return [f"left in the server's context: {leaked!r}"] if leaked else []
