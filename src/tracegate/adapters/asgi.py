"""How does ASGI speak? The shell around an ASGI 3 application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracegate.adapters.asgi_bridge import ENVIRON, outer_exchange, serve_bridged
from tracegate.adapters.asgi_passage import NOTHING, Passage
from tracegate.adapters.asgi_scope import MARK, STATE_KEY, Shell, decide, readable, refuse
from tracegate.adapters.websocket import serve_websocket
from tracegate.adapters.wiring import wired
from tracegate.context import binding, unbind
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

    Attributes:
        shell: What serves; for integrations.

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
        runtime = runtime or wired(policy)
        terms = runtime.terms(runtime.policy.header.lower().encode("ascii"), cors)
        self.shell = Shell(app, runtime, terms, route_of, terms.gate.accept)

    @property
    def app(self) -> Application:
        """The application inside."""
        return self.shell.app

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the application has
        """Return the application's attribute: the gate still looks like the application."""
        if name in _OWN:  # not made yet: copy and pickle ask before __init__ ran
            raise AttributeError(name)
        return getattr(self.app, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        shell = self.shell  # once: on a class with __getattr__ each attribute is a slow one
        app = shell.app
        kind = scope["type"]
        if kind not in ("http", "websocket") or MARK in scope:
            return await app(scope, receive, send)
        if ENVIRON in scope and (outer := outer_exchange(scope)) is not None:
            return await serve_bridged(app, outer, scope, receive, send)
        headers = scope.get("headers")
        if type(headers) is not list:
            scope = readable(scope)
            headers = scope["headers"]
        accept = shell.accept
        trace = accept(headers)
        if trace is None:
            decision = decide(shell, scope, headers)
            if isinstance(decision, Refused):
                return await refuse(shell, decision, scope, headers, receive, send)
            trace = decision
        inner: Scope = scope.copy()  # type: ignore[attr-defined]  # a dict, as ASGI demands: faster than dict(scope)
        state = scope.get("state")
        inner["state"] = {**state, STATE_KEY: trace} if state else {STATE_KEY: trace}
        if kind == "websocket":
            return await serve_websocket(shell, trace, inner, receive, send)

        inner[MARK] = passage = Passage(shell, trace, scope, receive, send, [NOTHING])
        found = binding.get()
        binding.set(passage)
        try:
            await app(inner, passage.receive, passage.send)
        except BaseException as error:
            await passage.stop(error)
            raise
        else:
            last = passage.last[0]
            if passage.reply is not None or last.get("type") != "http.response.body" or last.get("more_body"):
                await passage.finish()
        finally:
            unbind(passage, found)
        return None


_OWN = frozenset(("app", "shell"))
