"""How does ASGI speak? The shell around an ASGI 3 application.

On the hot path the application's messages go straight to the server: ``outgoing`` calls whatever ``forward`` is, and
that is the server's own ``send`` from the moment a success head has left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracegate.adapters.asgi_reply import Reply, was_last
from tracegate.adapters.asgi_scope import MARK, Application, Message, Receive, Scope, Send, admitted, decide, refuse
from tracegate.adapters.websocket import serve_websocket
from tracegate.adapters.wiring import wired
from tracegate.context import binding
from tracegate.core.exchange import Exchange, State
from tracegate.core.gate import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tracegate.core.cors import CorsLayer
    from tracegate.core.policy import Policy
    from tracegate.runtime import Runtime

__all__ = ["TraceGate"]


class TraceGate:
    """An ASGI application that guarantees one trace id on every reply of the application inside it.

    Args:
        app: Any ASGI 3 application. Unknown scopes and ``lifespan`` go straight to it.
        policy: The operator's decisions; None reads ``TRACEGATE_*`` and ``[tool.tracegate]``.
        runtime: Instead of *policy*: policy, clock, mint and sink, wired.
        cors: The application's CORS rules, for replies that the gate makes itself.
        route_of: Returns the template of the route that a scope matches, or None; for events only.

    Raises:
        ConfigurationError: The settings have faults.

    Source: contract clauses B to E; the ASGI HTTP and WebSocket specifications.
    """

    def __init__(
        self,
        app: Application,
        policy: Policy | None = None,
        *,
        runtime: Runtime | None = None,
        cors: CorsLayer | None = None,
        route_of: Callable[[Scope], str | None] | None = None,
    ) -> None:
        self.app = app
        self.runtime = runtime or wired(policy)
        self.terms = self.runtime.terms(self.runtime.policy.header.lower().encode("ascii"), cors)
        self.route_of = route_of
        self._accept = self.terms.gate.accept

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the application has
        """Return the application's attribute: the gate still looks like the application."""
        if name == "app":  # not made yet: copy and pickle ask before __init__ ran
            raise AttributeError(name)
        return getattr(self.app, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        kind = scope["type"]
        if kind not in _KINDS or MARK in scope:
            return await self.app(scope, receive, send)
        headers = scope.get("headers", ())
        if type(headers) is not list:
            headers = list(headers)
        trace = self._accept(headers)
        if trace is None:
            decision = decide(self, scope, headers)
            if isinstance(decision, Refused):
                return await refuse(self, decision, scope, headers, receive, send)
            trace = decision
        exchange = Exchange(
            self.terms, trace, scope.get("method", "GET"), scope.get("path", ""), headers, scope.get("raw_path")
        )
        inner = admitted(scope, exchange)
        if kind == "websocket":
            return await serve_websocket(self, exchange, inner, receive, send)

        reply: Reply | None = None
        last: Message = _NOTHING

        def first(message: Message) -> Awaitable[None]:
            nonlocal forward, reply
            kind = message["type"]
            if kind == "http.response.body":
                left, more = exchange.remaining, message.get("more_body", False)
                size = len(message.get("body", b""))
                if exchange.state is _PASSING and (left == size and not more or exchange.fits(size, more=more)):
                    return send(message)
            elif kind == "http.response.start" and "trailers" not in message:
                lines = exchange.start(message["status"], message.get("headers", ()))
                if lines is not None:
                    if exchange.remaining < 0:
                        forward = send
                    message = message.copy()
                    message["headers"] = lines
                    return send(message)
            reply = Reply(exchange, send, self, inner)
            forward = reply.send
            return reply.begin(message)

        forward: Callable[[Message], Awaitable[None]] = first

        def outgoing(message: Message) -> Awaitable[None]:
            nonlocal last
            last = message
            return forward(message)

        async def incoming() -> Message:
            if reply is not None:
                ended = await reply.before_receive()
                if ended is not None:
                    return ended
            message = await receive()
            if message["type"] == "http.disconnect":
                exchange.gone = True
            return message

        found = binding.get()
        binding.set(exchange)
        try:
            await self.app(inner, incoming, outgoing)
        except (Exception, SystemExit) as error:
            if exchange.state is not _PASSING or not was_last(last):
                reply = reply or Reply(exchange, send, self, inner)
                forward = reply.send
                await reply.fail(error)
            raise
        else:
            if exchange.state is _PASSING and (last["type"] == "http.response.body" and not last.get("more_body") or was_last(last)):
                forward = send  # no cycle is left for the garbage collector
            else:
                reply = reply or Reply(exchange, send, self, inner)
                forward = reply.send
                await reply.finish()
        finally:
            if binding.get() is exchange:
                binding.set(found)
        return None


_KINDS = frozenset(("http", "websocket"))
_NOTHING: Message = {"type": ""}
_PASSING = State.PASSING
