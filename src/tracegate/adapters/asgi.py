"""How does ASGI speak? The shell around an ASGI 3 application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracegate.adapters.asgi_passage import Passage, was_last
from tracegate.adapters.asgi_scope import MARK, admitted, decide, refuse
from tracegate.adapters.websocket import serve_websocket
from tracegate.adapters.wiring import wired
from tracegate.context import binding
from tracegate.core.exchange import Exchange, State
from tracegate.core.gate import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracegate.adapters.asgi_scope import Application, Receive, Scope, Send
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

        passage = Passage(self, exchange, inner, receive, send)
        found = binding.get()
        binding.set(exchange)
        try:
            await self.app(inner, passage.receive, passage.send)
        except (Exception, SystemExit) as error:
            await passage.fail(error)
            raise
        else:
            if exchange.state is not _PASSING or not was_last(passage.last):
                await passage.finish()
        finally:
            if binding.get() is exchange:
                binding.set(found)
        return None


_KINDS = frozenset(("http", "websocket"))
_PASSING = State.PASSING
