"""How do the messages of one ordinary request pass? The fast half of the ASGI shell.

A success head gets the trace header, and from then on the application's messages go straight to the server's own
``send``. All else is given up to :class:`~tracegate.adapters.asgi_reply.Reply`; until then there is no exchange.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tracegate.adapters.asgi_reply import Reply
from tracegate.adapters.asgi_scope import MARK, exchange_of, is_cancellation
from tracegate.core.reply import State

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tracegate.adapters.asgi_scope import Message, Receive, Scope, Send, Shell
    from tracegate.core.exchange import Exchange
    from tracegate.core.trace import Trace

__all__ = ["NOTHING", "Passage", "exchange_in"]

_NO_LENGTH = -1
NOTHING: Message = {"type": ""}


class Passage(msgspec.Struct, eq=False):
    """What the application gets as ``send`` and ``receive``. Neither is a coroutine function where a message passes.

    Attributes:
        shell: What serves.
        trace: The bound trace.
        scope: The server's scope.
        server_receive: The server's ``receive``.
        server_send: The server's ``send``.
        last: The last message that the application sent. In a list, because it is set for each message of a stream: a
            list's item is set in a fifth of the time of a Struct's attribute.
        reply: The reply that needs more than the trace header, or None.
    """

    shell: Shell
    trace: Trace
    scope: Scope
    server_receive: Receive
    server_send: Send
    last: list[Message]
    reply: Reply | None = None
    _forward: Send | None = None
    _status: int | None = None  # once a head has passed
    _left: int = _NO_LENGTH
    _gone: bool = False

    @property
    def exchange(self) -> Exchange:
        """The request's exchange; from now on the reply goes through it."""
        return self._slow().exchange

    def send(self, message: Message) -> Awaitable[None]:
        """Take one message; the awaitable is the server's own where it passes."""
        self.last[0] = message
        forward = self._forward
        if forward is not None:
            return forward(message)
        send, kind = self.server_send, message["type"]  # names: CPython 3.11 is slow to call what an attribute holds
        if self._status is None:
            status, headers, terms = message.get("status"), message.get("headers"), self.shell.terms
            if type(status) is int and status in terms.plain and type(headers) is list and "trailers" not in message:
                length = terms.heads.glance(headers)
                if length is not None and kind == "http.response.start":
                    self._status = status
                    if length < 0 or self.scope["method"] == "HEAD":
                        # Over HTTP/1.1 nothing but a body can follow a head; over HTTP/2 trailers can, unannounced.
                        self._forward = send if self.scope.get("http_version") in _ONE else self._checked
                    else:
                        self._left = length
                    passed: Message = message.copy()  # type: ignore[attr-defined]  # a dict, as ASGI demands
                    passed["headers"] = [*headers, (terms.header, self.trace.id.raw)]
                    return send(passed)
        elif kind == "http.response.body":
            left = self._left - len(message["body"]) if "body" in message else self._left
            if left == 0 or (left > 0 and message.get("more_body")):
                self._left = left
                return send(message)
        return self._slow().send(message)

    def _checked(self, message: Message) -> Awaitable[None]:
        """Take a message after a head that passed: only a body goes straight to the server."""
        if message["type"] == "http.response.body":
            return self.server_send(message)
        return self._slow().send(message)

    async def receive(self) -> Message:
        """Return the next message for the application; a disconnect where the gate has ended the reply (E2)."""
        if self.reply is not None:
            ended = await self.reply.before_receive()
            if ended is not None:
                return ended
        message = await self.server_receive()
        if message["type"] == "http.disconnect":
            self._gone = True
            if self.reply is not None:
                self.reply.exchange.gone = True
        return message

    async def stop(self, error: BaseException) -> None:
        """End the reply after the application raised *error*; where it was cancelled, send nothing more (C4)."""
        if is_cancellation(error):
            if self.reply is not None:
                self.reply.abandon()
        elif not self._is_whole():
            await self._slow().fail(error)

    async def finish(self) -> None:
        """End the reply after the application returned."""
        if not self._is_whole():
            await self._slow().finish()

    def _is_whole(self) -> bool:
        """Return whether a reply that passed straight through has ended."""
        passes = self._status is not None if self.reply is None else self.reply.exchange.state is State.PASSING
        return passes and _was_last(self.last[0])

    def _slow(self) -> Reply:
        if self.reply is None:
            exchange = exchange_of(self.shell, self.scope, self.trace)
            exchange.gone = self._gone
            if self._status is not None:
                exchange.adopt(self._status, self._left)
            self.reply = Reply(exchange, self.server_send, self.shell, self.scope)
            self._forward = self.reply.send
        return self.reply


_ONE = ("1.1", "1.0")


def _was_last(message: Message) -> bool:
    """Return whether *message* ended a reply that passed straight through."""
    kind = message["type"]
    if kind in ("http.response.body", "http.response.zerocopysend"):
        return not message.get("more_body")
    if kind == "http.response.trailers":
        return not message.get("more_trailers")
    return bool(kind == "http.response.pathsend")


def exchange_in(scope: Scope) -> Exchange | None:
    """Return the exchange of the gate around the application that got *scope*, or None where there is none."""
    found = scope.get(MARK)
    return found.exchange if isinstance(found, Passage) else found  # a handshake's scope holds it itself
