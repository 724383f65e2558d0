"""How do the messages of one ordinary request pass? The fast half of the ASGI shell.

A success head is marked, and from then on the application's messages go straight to the server's own ``send``. All else
is given up to :class:`~tracegate.adapters.asgi_reply.Reply`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracegate.adapters.asgi_reply import Reply
from tracegate.core.reply import State

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tracegate.adapters.asgi_scope import Message, Receive, Scope, Send, Shell
    from tracegate.core.exchange import Exchange

__all__ = ["Passage", "was_last"]

_PASSING = State.PASSING
_NOTHING: Message = {"type": ""}


def was_last(message: Message) -> bool:
    """Return whether *message* ended a reply that passed straight through."""
    kind = message["type"]
    if kind == "http.response.body" or kind == "http.response.zerocopysend":
        return not message.get("more_body")
    return bool(kind == "http.response.pathsend")


class Passage:
    """What the application gets as ``send`` and ``receive``. Neither is a coroutine function where a message passes.

    Args:
        shell: The gate.
        exchange: The request's.
        scope: The application's scope.
        receive: The server's.
        send: The server's.

    Attributes:
        last: The last message that the application sent.
    """

    __slots__ = ("_exchange", "_forward", "_receive", "_reply", "_scope", "_send", "_shell", "last")

    def __init__(self, shell: Shell, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        self._shell = shell
        self._exchange = exchange
        self._scope = scope
        self._receive = receive
        self._send = send
        self._forward: Send | None = None
        self._reply: Reply | None = None
        self.last: Message = _NOTHING

    def send(self, message: Message) -> Awaitable[None]:
        """Take one message; the awaitable is the server's own where it passes."""
        self.last = message
        forward = self._forward
        if forward is not None:
            return forward(message)
        return self._look(message)

    async def receive(self) -> Message:
        """Return the next message for the application; a disconnect where the gate has ended the reply (E2)."""
        if self._reply is not None:
            ended = await self._reply.before_receive()
            if ended is not None:
                return ended
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._exchange.gone = True
        return message

    async def fail(self, error: BaseException) -> None:
        """End the reply after the application raised *error*."""
        if self._exchange.state is not _PASSING or not was_last(self.last):
            await self._slow().fail(error)

    async def finish(self) -> None:
        """End a reply that the application left incomplete."""
        await self._slow().finish()

    def _look(self, message: Message) -> Awaitable[None]:
        """Take a message that cannot pass unseen: a head, or a body of declared length."""
        exchange, kind = self._exchange, message["type"]
        if kind == "http.response.body":
            left, size = exchange.remaining, len(message.get("body", b""))
            more = message.get("more_body", False)
            if exchange.state is _PASSING and ((left == size and not more) or exchange.fits(size, more=more)):
                return self._send(message)
        elif kind == "http.response.start" and "trailers" not in message:
            lines = exchange.start(message["status"], message.get("headers", ()))
            if lines is not None:
                if exchange.remaining < 0:
                    self._forward = self._send
                passed = message.copy()
                passed["headers"] = lines
                return self._send(passed)
        return self._slow().begin(message)

    def _slow(self) -> Reply:
        if self._reply is None:
            self._reply = Reply(self._exchange, self._send, self._shell, self._scope)
            self._forward = self._reply.send
        return self._reply
