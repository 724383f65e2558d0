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
    found = [
        _faults_under(decision, transport, plan, request, settings, outcome) for decision in decide(request, settings)
    ]
    return min(found, key=len) + _context_faults(outcome)


def _as_wsgi_sees(request: Request) -> Request:
    """Return *request* with the lines of one name joined, as a WSGI server hands them over."""
    joined: dict[bytes, bytes] = {}
    for name, value in request.headers:
        lower = name.lower()
        joined[lower] = joined[lower] + b"," + value if lower in joined else value
    return Request(request.method, request.path, request.query, tuple(joined.items()), request.client, request.body)


def _faults_under(
    decision: Decision, transport: Transport, plan: Plan, request: Request, settings: Settings, outcome: Outcome
) -> list[str]:
    if isinstance(decision, Refused):
        faults = error_faults(
            outcome.reply, request, decision, status=409, codes=("SYS-004-409-TRACE",), details=[decision.detail]
        )
        faults += ["the application was called"] if outcome.notes.entered else []
    else:
        case = Case(transport, request, plan, settings, decision)
        faults = verdict(case, outcome.reply, outcome.notes)
        faults += [] if outcome.notes.entered == 1 else [f"the application was called {outcome.notes.entered} times"]
        faults += _inside_faults(decision, outcome)
    return faults + event_faults(decision, transport, plan, request, settings, outcome.reply, outcome.events)


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
