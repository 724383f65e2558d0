"""How does ASGI speak? The shell around an ASGI 3 application.

On the hot path the application's messages go straight to the server: ``outgoing`` calls whatever ``forward`` is, which
is the server's own ``send`` from the moment a success head has left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracegate.adapters.asgi_reply import Reply, is_complete
from tracegate.adapters.asgi_scope import peer_of, tenant_of, with_trace
from tracegate.adapters.websocket import WebSocketGate
from tracegate.adapters.wiring import wired
from tracegate.context import binding
from tracegate.core.admission import inbound_event, refusal_reply
from tracegate.core.exchange import Exchange, State
from tracegate.core.gate import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from tracegate.core.cors import CorsRules
    from tracegate.core.policy import Policy
    from tracegate.runtime import Runtime

    Message = MutableMapping[str, Any]
    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

__all__ = ["TraceGate"]
