"""How do the messages of one ordinary request pass? The fast half of the ASGI shell.

A success head gets the trace header, and from then on the application's messages go straight to the server's own
``send``. All else is given up to :class:`~tracegate.adapters.asgi_reply.Reply`; until then there is no exchange.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracegate.adapters.asgi_reply import Reply
from tracegate.adapters.asgi_scope import MARK, exchange_of
from tracegate.adapters.asgi_wait import until_kept
from tracegate.adapters.cancellation import is_cancellation
from tracegate.core.reply import State

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tracegate.adapters.asgi_scope import Message, Receive, Scope, Send, Shell
    from tracegate.core.exchange import Exchange
    from tracegate.core.head import Headers
    from tracegate.core.trace import Trace

__all__ = ["END", "FRESH", "Passage", "exchange_in"]

_NO_LENGTH = -1
END = 1
"""What the end of a body counts in :attr:`Passage.left`."""
_NOTHING: Message = {"type": ""}
FRESH = _NOTHING, None, None, 0, _NO_LENGTH, False
"""What a new passage's last, reply, forward, status, left and gone are."""


class Passage:
    """What the application gets as ``send`` and ``receive``. Neither is a coroutine function where a message passes.

    One is made for each request, and has no ``__init__``: the gate sets every attribute itself, in a third of the time.

    Attributes:
        shell: What serves.
        trace: The bound trace.
        scope: The server's scope.
        server_receive: The server's ``receive``.
        server_send: The server's ``send``.
        last: The last message of a reply without a declared length, or of one that needs more; else an empty one.
        reply: The reply that needs more than the trace header, or None.
        forward: What takes the messages after a head that passed, or None.
        status: The status of the head that passed, or 0.
        left: What the body still owes its declared length, its end counted as one byte more; or -1.
        gone: Whether the client left.
    """

    __slots__ = (
        "forward",
        "gone",
        "last",
        "left",
        "reply",
        "scope",
        "server_receive",
        "server_send",
        "shell",
        "status",
        "trace",
    )

    shell: Shell
    trace: Trace
    scope: Scope
    server_receive: Receive
    server_send: Send
    last: Message
    reply: Reply | None
    forward: Send | None
    status: int
    left: int
    gone: bool

    @property
    def exchange(self) -> Exchange:
        """The request's exchange; from now on the reply goes through it."""
        return self._slow().exchange

    def send(self, message: Message) -> Awaitable[None]:
        """Take one message; the awaitable is the server's own where it passes."""
        forward = self.forward
        if forward is not None:
            self.last = message
            return forward(message)
        # A name for what is called: CPython 3.11 is slow to call what an attribute holds.
        send, kind = self.server_send, message["type"]
        if self.status:
            if kind == "http.response.body":
                left = self.left - len(message["body"]) if "body" in message else self.left
                if "more_body" in message and message["more_body"]:  # noqa: RUF019 - half of what `get` takes
                    fits = left > 0
                else:
                    left -= END
                    fits = left == 0
                if fits:
                    self.left = left
                    return send(message)
        elif kind == "http.response.start" and "headers" in message and "trailers" not in message:
            terms, status = self.shell.terms, message["status"]
            headers: Headers = message["headers"]
            if status in terms.plain and type(status) is int and type(headers) is list:
                length = terms.heads.glance(headers)
                if length is not None:
                    passed: Message = message.copy()  # type: ignore[attr-defined]  # a dict, as ASGI demands
                    passed["headers"] = [*headers, (terms.header, self.trace.raw)]
                    return self._begin(passed, status, length)  # pyright: ignore[reportUnknownArgumentType] - as above
        self.last = message
        return self._slow().send(message)

    async def _begin(self, message: Message, status: int, length: int) -> None:
        """Send a head that declares *length*. Where the server does not take it, the reply has not begun."""
        self.status = status
        send = self.server_send
        if length < 0 or self.scope["method"] == "HEAD":
            self.forward = self._forward()
        else:
            self.left = length + END
        try:
            await send(message)
        except BaseException:
            self._begin_anew()
            raise

    def _forward(self) -> Send:
        """Return what takes the messages after a head that declares no length."""
        # Over HTTP/1.1 nothing but a body can follow a head; over HTTP/2 trailers can, unannounced.
        return self.server_send if self.scope.get("http_version") in _ONE else self._checked

    def _begin_anew(self) -> None:
        """Note that the server did not take the head."""
        if self.reply is None:
            self.status, self.left, self.forward = 0, _NO_LENGTH, None
        else:  # somebody asked for the exchange meanwhile
            self.reply.exchange.reopen()

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
            self.gone = True
            if self.reply is not None:
                self.reply.exchange.gone = True
        return message

    async def stop(self, error: BaseException) -> None:
        """End the reply after the application raised *error*; where it was cancelled, send nothing more (C4)."""
        if is_cancellation(error):
            if self.reply is not None:
                self.reply.abandon()
        elif not self.is_whole():
            await until_kept(error)
            await self._slow().fail(error)

    async def finish(self) -> None:
        """End the reply after the application returned."""
        await self._slow().finish()

    def is_whole(self) -> bool:
        """Return whether a reply that passed straight through has ended."""
        if self.left != _NO_LENGTH:
            return not self.left
        passes = bool(self.status) if self.reply is None else self.reply.exchange.state is State.PASSING
        return passes and _was_last(self.last)

    def _slow(self) -> Reply:
        if self.reply is None:
            exchange = exchange_of(self.shell, self.scope, self.trace)
            exchange.gone = self.gone
            if self.left == 0:
                self.last = _ENDED
            if self.status:
                exchange.adopt(self.status, self.left if self.left <= 0 else self.left - END)
                self.left = _NO_LENGTH
            self.reply = Reply(exchange, self.server_send, self.shell, self.scope)
            self.forward = self.reply.send
        return self.reply


_ONE = ("1.1", "1.0")
_ENDED: Message = {"type": "http.response.body"}
_BEFORE_THE_END = ("", "http.response.start", "http.response.early_hint", "http.response.push")


def _was_last(message: Message) -> bool:
    """Return whether *message* ended a reply that passed straight through."""
    kind = message["type"]
    if kind in ("http.response.body", "http.response.zerocopysend"):
        return not message.get("more_body")
    if kind == "http.response.trailers":
        return not message.get("more_trailers")
    return kind not in _BEFORE_THE_END  # a message of a server's own says nothing about the body


def exchange_in(scope: Scope) -> Exchange | None:
    """Return the exchange of the gate around the application that got *scope*, or None where there is none."""
    found = scope.get(MARK)
    return found.exchange if isinstance(found, Passage) else found  # a handshake's scope holds it itself
