"""How does a reply leave that does not go straight through? The slow half of the ASGI shell."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from tracegate.adapters.asgi_file import read_path, read_range
from tracegate.adapters.asgi_scope import record
from tracegate.core.reply import Signal, Start, State
from tracegate.errors import ReplyAbortedError

if TYPE_CHECKING:
    from types import CodeType

    from tracegate.adapters.asgi_scope import Message, Scope, Send, Shell
    from tracegate.core.exchange import Exchange
    from tracegate.core.reply import Part

__all__ = ["Reply"]

_TREATED = State.TREATED  # an enum's attribute is a slow one


class Reply:
    """Feeds an exchange with the application's messages and sends what it gives back, in order.

    Several tasks may send at once (a ping beside a stream): parts go through one queue, and whoever finds it idle
    drains it.

    Args:
        exchange: The request's.
        send: The server's.
        shell: The gate.
        scope: The application's scope.
        prefix: ``http.response``, or the denial extension's for a handshake.

    Attributes:
        exchange: The request's.
    """

    def __init__(
        self, exchange: Exchange, send: Send, shell: Shell, scope: Scope, prefix: str = "http.response"
    ) -> None:
        self.exchange = exchange
        self._send = send
        self._shell = shell
        self._scope = scope
        self._prefix = prefix
        self._start_type = f"{prefix}.start"
        self._body = f"{prefix}.body"
        self._start: Message = {}
        self._queue: deque[Part] = deque()
        self._sending = False
        self._timer: asyncio.TimerHandle | None = None
        self._expiry: asyncio.Task[None] | None = None

    async def send(self, message: Message) -> None:
        """Take one message of the application.

        Raises:
            ReplyAbortedError: The reply was ended before this message; it is an :class:`OSError`.
            ReplyError: The message is out of order, or no server would send it.
        """
        exchange, kind = self.exchange, message["type"]
        if exchange.state is not _TREATED or kind != self._body or self._sending or not message.get("more_body"):
            await self._take_any(message)
            return
        data = exchange.relay(message.get("body", b""))
        if data is None:
            await self.flush()
        elif data:
            try:
                await self._send({"type": kind, "body": data, "more_body": True})
            except OSError:
                exchange.gone = True
                raise

    async def _take_any(self, message: Message) -> None:
        """Take a message that is not just the next piece of an event stream."""
        exchange, kind = self.exchange, message["type"]
        if exchange.state is State.ABORTED:
            raise ReplyAbortedError
        if kind == self._start_type:
            trailers = bool(message.get("trailers"))
            lines = exchange.start(message["status"], message.get("headers", ()), trailers=trailers)
            await self._after_start(message, None if lines is None else Start(message["status"], lines, trailers))
        elif kind == self._body:
            await self._take(message, message.get("body", b""), more=bool(message.get("more_body")))
        elif kind == "http.response.pathsend" and exchange.state is not State.PASSING:
            await self._take(message, read_path(message), more=False)
        elif kind == "http.response.zerocopysend" and exchange.state is not State.PASSING:
            await self._take(message, read_range(message), more=bool(message.get("more_body")))
        elif not exchange.over and self._may_leave(message):
            await self._send(message)
        else:
            await self.flush()

    async def _after_start(self, message: Message, start: Start | None = None) -> None:
        self._start = message
        if start is not None:
            self._queue.append(start)
        await self.flush()
        if self.exchange.error is not None:
            raise self.exchange.error

    async def before_receive(self) -> Message | None:
        """Let a held end go, since the application waits for the client; return a disconnect if the reply is over."""
        exchange = self.exchange
        if exchange.over:
            return {"type": "http.disconnect"}
        if exchange.state in (State.EMPTY, State.CLOSING):
            exchange.release()
            await self.flush()
        return None

    async def fail(self, error: BaseException) -> None:
        """End the reply after the application raised *error*."""
        exchange = self.exchange
        exchange.gone = exchange.gone or _was_raised_by(self._send, error)
        exchange.fail(error)
        await self._close()

    async def finish(self) -> None:
        """End the reply after the application returned."""
        self.exchange.finish()
        await self._close()

    async def _take(self, message: Message, data: bytes, *, more: bool) -> None:
        exchange = self.exchange
        if exchange.state is not State.PASSING:
            exchange.body(data, more=more)
            await self.flush()
        elif exchange.fits(len(data), more=more):
            await self._send(message)
        else:
            await self._mismatch(message)

    async def _mismatch(self, message: Message) -> None:
        """End a body that passed straight through and disagrees with its declared length (C5)."""
        promised = message.get("body", b"")[: max(self.exchange.remaining - 1, 0)]
        if promised:  # some servers hold the head back until a first byte comes
            await self._send({**message, "body": promised, "more_body": True})
        self.exchange.mismatch()
        await self.flush()

    def _may_leave(self, message: Message) -> bool:
        """Return whether a message that is neither head nor body may leave; trailers and hints may contradict (C3)."""
        if message["type"] == f"{self._prefix}.trailers":
            return self.exchange.allows(message.get("headers", ()), "body")
        if message["type"] == "http.response.early_hint":
            return self.exchange.allows(message.get("headers", ()), "head")
        return True

    # Sending.

    async def flush(self) -> None:
        """Record what happened, and send what leaves now."""
        exchange = self.exchange
        events = exchange.take_events()
        if events:
            record(self._shell, self._scope, exchange.headers, events)
        parts = exchange.take()
        if parts:
            self._queue.extend(parts)
        if self._timer is not None or exchange.waits:
            self._keep_time()
        if self._sending or not self._queue:
            return
        self._sending = True
        try:
            while self._queue:
                message = self._next()
                if message is not None:
                    await self._send(message)
        except OSError:
            exchange.gone = True
            raise
        finally:
            self._sending = False

    def _next(self) -> Message | None:
        """Return the next message for the server; a last piece and the end of the body are one."""
        part = self._queue.popleft()
        if isinstance(part, Start):
            known = {} if self.exchange.state is State.REPLACED else self._start
            head: Message = {**known, "type": self._start_type, "status": part.status, "headers": part.headers}
            if not part.trailers:
                head.pop("trailers", None)
            return head
        if part is Signal.ABORT:
            return None
        data = part if isinstance(part, bytes) else b""
        ends = part is Signal.END
        if not ends and self._queue and self._queue[0] is Signal.END:
            self._queue.popleft()
            ends = True
        return {"type": self._body, "body": data, "more_body": not ends}

    # Time.

    def _keep_time(self) -> None:
        """Start or stop the clock of a held start or end (D7)."""
        if not self.exchange.waits:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        elif self._timer is None:
            hold = self._shell.runtime.policy.sse_hold_seconds
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # trio: no clock of ours runs there, so nothing is held
                self.exchange.release()
                self._queue.extend(self.exchange.take())
            else:
                self._timer = loop.call_later(hold, self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self.exchange.waits:
            self.exchange.release()
            self._expiry = loop.create_task(self.flush())

    async def _close(self) -> None:
        await self.flush()
        if self._expiry is not None:
            await self._expiry


def _was_raised_by(send: Send, error: BaseException) -> bool:
    """Return whether *error*, or what caused it, is an :class:`OSError` out of the server's ``send``: the client left.

    The application's own connection errors look the same, so the frames of the traceback decide.
    """
    code: CodeType | None = getattr(getattr(send, "__func__", send), "__code__", None)
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        found = waiting.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        frame = found.__traceback__
        while isinstance(found, OSError) and frame is not None:
            if frame.tb_frame.f_code is code:
                return True
            frame = frame.tb_next
        waiting += [found.__cause__, found.__context__, *getattr(found, "exceptions", ())]
    return False
