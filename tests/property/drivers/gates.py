"""How is an application put behind the gate, and where do its events go?

The only module of the property proof that knows tracegate's names.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from tests.property.drivers import asgi, wsgi
from tests.property.drivers.asgi_application import asgi_application
from tests.property.drivers.record import PLAIN, Fact, Notes, Outcome, Reply, Staging, Transport
from tests.property.drivers.wsgi_application import wsgi_application
from tests.property.plan import Plan, Request, Settings
from tracegate.adapters.asgi import TraceGate as AsgiGate
from tracegate.adapters.wsgi import TraceGate as WsgiGate
from tracegate.context import current_trace
from tracegate.core.events import Event
from tracegate.core.policy import Policy
from tracegate.runtime import Runtime

__all__ = ["peek", "play", "policy_of", "runtime_of"]


def peek() -> str | None:
    """Return the spelling of the trace that is bound here."""
    trace = current_trace()
    return None if trace is None else str(trace)


def policy_of(settings: Settings) -> Policy:
    """Say *settings* in tracegate's words."""
    return Policy(
        mode=settings.mode,
        exempt_paths=(*settings.exempt, *(rule for each in settings.exempt_prefixes for rule in (each, f"{each}/*"))),
        traceparent_mismatch=settings.traceparent_mismatch,
        query_parameter=settings.query_parameter,
        trusted=settings.trusted,
        formats=settings.formats,
        on_conflict=settings.on_conflict,
        bodies=settings.bodies,
        error_bodies=settings.error_bodies,
        max_error_body=settings.max_error_body,
        max_sse_event=settings.max_sse_event,
        sse_carrier=settings.sse_carrier,
        sse_error="event" if settings.sse_error == "standard" else "openai",
        sse_hold_seconds=settings.sse_hold_seconds,
        signed_errors=settings.signed_errors,
        traceresponse=settings.traceresponse,
        server_timing=settings.server_timing,
        cors_origins=settings.cors_origins,
    )


class _Ledger:
    """A sink that writes to the list of the exchange that is being played."""

    def __init__(self) -> None:
        self.events: list[Fact] = []

    def __call__(self, event: Event, /) -> None:
        self.events.append(event)


@lru_cache(maxsize=256)
def _wired(settings: Settings) -> tuple[Runtime, _Ledger]:
    ledger = _Ledger()
    return Runtime(policy_of(settings), sink=ledger), ledger


def runtime_of(settings: Settings, events: list[Fact]) -> Runtime:
    """Return the runtime of *settings*, its events going to *events* from now on."""
    runtime, ledger = _wired(settings)
    ledger.events = events
    return runtime


def play(
    transport: Transport,
    plan: Plan,
    request: Request | None = None,
    settings: Settings | None = None,
    staging: Staging = PLAIN,
) -> Outcome:
    """Let *plan* answer *request* behind the gate."""
    reply = Reply()
    outcome = Outcome(reply, Notes(peek=peek, reply=reply))
    runtime = runtime_of(settings or Settings(), outcome.events)
    request = request or Request()
    gated: Any
    if transport == "asgi":
        gated = asgi_application(plan, outcome.notes)
        for _ in range(staging.gates):
            gated = AsgiGate(gated, runtime=runtime)
        asgi.exchange(
            gated,
            request,
            outcome.notes,
            extensions=staging.extensions,
            interruption=staging.interruption,
            one_shot=staging.one_shot,
        )
    else:
        gated = wsgi_application(plan, outcome.notes)
        for _ in range(staging.gates):
            gated = WsgiGate(gated, runtime=runtime)
        wsgi.exchange(
            gated, request, outcome.notes, interruption=staging.interruption, other_thread=staging.other_thread
        )
    return outcome
