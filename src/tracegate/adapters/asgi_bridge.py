"""What does an ASGI application that a bridge serves from WSGI run under (clause B8)?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracegate.adapters.asgi_scope import MARK, STATE_KEY
from tracegate.context import binding, unbind

if TYPE_CHECKING:
    from tracegate.adapters.asgi_scope import Application, Receive, Scope, Send
    from tracegate.core.exchange import Exchange

__all__ = ["ENVIRON", "outer_exchange", "serve_bridged"]

ENVIRON = "wsgi_environ"
"""The key under which a2wsgi's scope carries the environ that it was made of."""


def outer_exchange(scope: Scope) -> Exchange | None:
    """Return the exchange of the WSGI gate in front of the bridge that made *scope*, or None where there is none."""
    found = scope[ENVIRON].get(MARK)  # what the gate makes of the request, or a gate's exchange in front of that
    exchange: Exchange | None = getattr(found, "exchange", found)
    return exchange


async def serve_bridged(app: Application, outer: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
    """Run *app* under the trace of the *outer* gate, which sees to the reply: this one adds nothing."""
    state: dict[str, object] = scope.get("state") or {}
    inner: Scope = {**scope, MARK: outer, "state": {**state, STATE_KEY: outer.trace}}
    token = binding.set(outer)  # the bridge may have come here from another thread
    try:
        await app(inner, receive, send)
    finally:
        unbind(outer, token)
