"""How does ASGI speak? The shell around an ASGI 3 application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracegate.adapters.asgi_bridge import ENVIRON, outer_exchange, serve_bridged
from tracegate.adapters.asgi_lifespan import serve_other
from tracegate.adapters.asgi_passage import FRESH, Passage
from tracegate.adapters.asgi_scope import MARK, STATE_KEY, Shell, admit, readable
from tracegate.adapters.asgi_traffic import counted
from tracegate.adapters.websocket import serve_websocket
from tracegate.adapters.wiring import wired
from tracegate.context import binding

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracegate.adapters.asgi_scope import Application, Receive, Scope, Send
    from tracegate.core.cors import CorsLayer
    from tracegate.core.head import Headers
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
        usual, tally_of = (terms.gate.accept, Passage), None
        if runtime.traffic is not None:
            usual, tally_of = counted(terms.gate.accept, runtime.traffic, runtime.policy)
        self.shell = Shell(app, runtime, terms, route_of, usual, tally_of)

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
        if (kind != "http" and kind != "websocket") or MARK in scope:  # noqa: PLR1714 - a fifth of what `in` takes
            return await serve_other(app, shell.runtime.flush, scope, receive, send)
        if ENVIRON in scope and (outer := outer_exchange(scope)) is not None:
            return await serve_bridged(app, outer, scope, receive, send)
        headers: Headers = scope["headers"] if "headers" in scope else _NONE  # noqa: SIM401 - half of what `get` takes
        if type(headers) is not list:
            scope = readable(scope)
            headers = scope["headers"]
        accept, new = shell.usual
        trace = accept(headers) or await admit(shell, scope, headers, receive, send)
        if trace is None:
            return None
        inner: Scope = scope.copy()  # type: ignore[attr-defined]  # a dict, as ASGI demands: faster than dict(scope)
        state = scope.get("state")
        inner["state"] = {**state, STATE_KEY: trace} if state else {STATE_KEY: trace}
        if kind == "websocket":
            return await serve_websocket(shell, trace, inner, receive, send)  # pyright: ignore[reportUnknownArgumentType]

        inner[MARK] = passage = new()
        passage.shell, passage.trace, passage.scope = shell, trace, scope
        passage.server_receive, passage.server_send = receive, send
        passage.last, passage.reply, passage.forward, passage.status, passage.left, passage.gone = FRESH
        token = binding.set(passage)
        try:
            await app(inner, passage.receive, passage.send)  # pyright: ignore[reportUnknownArgumentType] - as above
        except BaseException as error:
            await passage.stop(error)
            raise
        else:
            if passage.left and not passage.is_whole():
                await passage.finish()
        finally:
            try:  # noqa: SIM105 - suppress() takes as long as the rest
                binding.reset(token)
            except ValueError:  # in a copy of the context, which keeps it
                pass
        return None


_OWN = frozenset(("app", "shell"))
_NONE: Any = ()
