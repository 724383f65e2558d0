"""How does a WebSocket handshake get its trace? Clause C1; the ASGI WebSocket specification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracegate.adapters.asgi_reply import Reply
from tracegate.adapters.asgi_scope import DENIAL, MARK, exchange_of
from tracegate.adapters.cancellation import is_cancellation
from tracegate.context import binding, unbind
from tracegate.core.reply import State

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tracegate.adapters.asgi_scope import Message, Receive, Scope, Send, Shell
    from tracegate.core.exchange import Exchange
    from tracegate.core.trace import Trace

__all__ = ["serve_websocket"]

_FORBIDDEN = 403
_BODILESS = 204  # as which an acceptance is looked at: whatever its head says, there is no body to treat


class _Handshake:
    """The application's answer to a handshake, up to its acceptance.

    Args:
        exchange: The handshake's.
        reply: Sends a denial.
        send: The server's.
        deniable: Whether the server can answer by an HTTP response.
    """

    def __init__(self, exchange: Exchange, reply: Reply, send: Send, *, deniable: bool) -> None:
        self._exchange = exchange
        self._reply = reply
        self._send = send
        self.deniable = deniable
        self.open = False
        self._denied = False

    def send(self, message: Message) -> Awaitable[None]:
        """Take one message; once the handshake is accepted they go straight through."""
        if self.open:
            return self._send(message)
        if message["type"] == "websocket.accept":
            return self._accept(message)
        if message["type"] == "websocket.close":
            return self._close(message)
        self._denied = message["type"] == f"{DENIAL}.body" and not message.get("more_body")
        return self._reply.send(message)

    @property
    def unanswered(self) -> bool:
        """Whether the server can still be told more than the application has told it."""
        passed = self._denied and self._exchange.state is State.PASSING
        return self.deniable and not self.open and not passed

    async def _accept(self, message: Message) -> None:
        if self._exchange.over:
            return
        lines = self._exchange.start(_BODILESS, message.get("headers", ()))
        if lines is None:
            await self._refused()
            return
        await self._reply.flush()
        self.open = True
        try:
            await self._send({**message, "headers": lines})
        except BaseException:  # the server did not take it
            self.open = False
            self._exchange.reopen()
            raise
        self._reply.count(lines)

    async def _close(self, message: Message) -> None:
        if self._exchange.state is not State.OPEN:
            return
        if self.deniable:
            self._exchange.deny(_FORBIDDEN)
            await self._reply.flush()
        else:
            self._exchange.state = State.DONE
            await self._send(message)

    async def _refused(self) -> None:
        """Answer an acceptance that no gate lets through."""
        if self.deniable:
            await self._reply.flush()
        else:
            self._exchange.take()
            await self._reply.flush()
            refused = self._exchange.error is None
            code, reason = (1008, "trace_overwrite_refused") if refused else (1011, "internal_error")
            await self._send({"type": "websocket.close", "code": code, "reason": reason})


async def serve_websocket(shell: Shell, trace: Trace, scope: Scope, receive: Receive, send: Send) -> None:
    """Run the application for one WebSocket connection, with its own copy of the *scope*."""
    scope[MARK] = exchange = exchange_of(shell, scope, trace, "websocket")
    reply = Reply(exchange, send, shell, scope, DENIAL)
    handshake = _Handshake(exchange, reply, send, deniable=DENIAL in (scope.get("extensions") or {}))

    async def incoming() -> Message:
        if exchange.over:
            return {"type": "websocket.disconnect", "code": 1006}
        message = await receive()
        if message["type"] == "websocket.disconnect":
            exchange.gone = True
        return message

    token = binding.set(exchange)
    try:
        await shell.app(scope, incoming, handshake.send)
    except BaseException as error:
        if is_cancellation(error):
            reply.abandon()
        elif handshake.unanswered:
            await reply.fail(error)
        raise
    else:
        if handshake.unanswered:
            await reply.finish()
    finally:
        unbind(exchange, token)
