"""What does a scope say about its request, and how does the trace get into it?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracegate.adapters.asgi_wait import until_done
from tracegate.core.admission import inbound_event, refusal_reply
from tracegate.core.exchange import Exchange
from tracegate.core.gate import Refused
from tracegate.core.head import value_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from tracegate.core.events import Event
    from tracegate.core.head import Headers
    from tracegate.core.terms import Terms
    from tracegate.core.trace import Trace
    from tracegate.runtime import Runtime, Tally

__all__ = [
    "DENIAL",
    "MARK",
    "STATE_KEY",
    "Application",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "Shell",
    "admit",
    "exchange_of",
    "readable",
    "record",
]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MARK = "tracegate.exchange"
"""The key under which a scope carries what the outer gate makes of it: the inner one adds nothing (clause B8)."""

STATE_KEY = "tracegate"
"""The key under which the application finds its trace in the scope's state (clause G1)."""

DENIAL = "websocket.http.response"
"""The ASGI extension with which a handshake can be answered by an HTTP response."""


@dataclass(slots=True)
class Shell:
    """What serves the requests of one gate.

    Attributes:
        app: The application inside; an integration may put another callable in its place.
        runtime: Policy, clock, mint and sink.
        terms: What all its exchanges share.
        route_of: Returns the template of the route that a scope matches, or None; for events only.
        usual: Returns the trace of a usual request, else None; and the class of what its messages pass through.
        tally_of: Finds where the traffic of a request's tenant is counted; None: nowhere.
    """

    app: Application
    runtime: Runtime
    terms: Terms
    route_of: Callable[[Scope], str | None] | None
    usual: tuple[Callable[[Headers], Trace | None], Any]
    tally_of: Callable[[Headers], Tally] | None = None


async def admit(shell: Shell, scope: Scope, headers: Headers, receive: Receive, send: Send) -> Trace | None:
    """Return the trace of a request that is let in, after a closer look; None where it was refused, and answered."""
    decision, pending = _decide(shell, scope, headers)
    if isinstance(decision, Refused):
        if pending is not None:
            await until_done(pending, shell.runtime.wait_seconds)
        await _refuse(shell, decision, scope, headers, receive, send)
        return None
    return decision


def _decide(shell: Shell, scope: Scope, headers: Headers) -> tuple[Trace | Refused, Future[bool] | None]:
    """Return the gate's decision on *scope*, and what its recording waits for: an inbound fault is recorded."""
    method, path, raw_path = scope.get("method", "GET"), scope.get("path", ""), scope.get("raw_path")
    client = scope.get("client")
    peer = next(iter(client), None) if client else None
    decision = shell.terms.gate.decide(headers, method, path, raw_path, scope.get("query_string", b""), peer)
    event = inbound_event(decision, shell.terms.gate.mode_of(path, raw_path), method, transport=scope["type"])
    return decision, None if event is None else record(shell, scope, headers, [event])


def exchange_of(shell: Shell, scope: Scope, trace: Trace, transport: str = "http") -> Exchange:
    """Return the exchange of a request that was let in."""
    method, path, raw_path = scope.get("method", "GET"), scope.get("path", ""), scope.get("raw_path")
    return Exchange(shell.terms, trace, method, path, scope.get("headers", []), raw_path, transport)


async def _refuse(  # noqa: PLR0913, PLR0917 - ASGI's three, and what was decided about them
    shell: Shell, refused: Refused, scope: Scope, headers: Headers, receive: Receive, send: Send
) -> None:
    """Answer a request that may not get in; a handshake by a denial where the server offers it (clause C1)."""
    prefix = "http.response"
    if scope["type"] == "websocket":
        await receive()
        if DENIAL not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1008, "reason": refused.detail})
            return
        prefix = DENIAL
    status, lines, body = refusal_reply(
        shell.terms, refused, scope.get("method", "GET"), headers, scope.get("path", "")
    )
    await send({"type": f"{prefix}.start", "status": status, "headers": lines})
    if shell.tally_of is not None:
        shell.tally_of(headers).traced()
    await send({"type": f"{prefix}.body", "body": body, "more_body": False})


def readable(scope: Scope) -> Scope:
    """Return a copy of *scope* whose headers and addresses can be read more than once, whatever iterables they are."""
    copy = {**scope, "headers": [tuple(line) for line in scope.get("headers") or ()]}
    for key in ("client", "server"):
        if copy.get(key) is not None:
            copy[key] = tuple(copy[key])
    return copy


def record(shell: Shell, scope: Scope, headers: Headers, events: Iterable[Event]) -> Future[bool] | None:
    """Give *events* to the runtime, with the route and the tenant of their request; return what a refusal waits for."""
    route = shell.runtime.route(shell.route_of, scope)
    name = shell.runtime.policy.tenant_header
    tenant = None if name is None else value_of(headers, name.lower().encode("ascii"))
    return shell.runtime.record(events, route=route, tenant=None if tenant is None else tenant.decode("latin-1"))
