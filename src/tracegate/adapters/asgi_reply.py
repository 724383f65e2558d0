"""How does a reply leave that does not go straight through? The slow half of the ASGI shell."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from tracegate.adapters.asgi_file import read_path, read_range
from tracegate.adapters.asgi_outbox import Outbox
from tracegate.adapters.asgi_scope import record
from tracegate.adapters.asgi_wait import until_done
from tracegate.adapters.cancellation import is_cancellation
from tracegate.adapters.counting import count_reply
from tracegate.core.reply import Signal, Start, State
from tracegate.errors import ReplyAbortedError, ReplyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

    from tracegate.adapters.asgi_scope import Message, Scope, Send, Shell
    from tracegate.core.exchange import Exchange
    from tracegate.core.head import Headers
    from tracegate.core.reply import Part

__all__ = ["Reply"]

_TREATED = State.TREATED  # an enum's attribute is a slow one


class Reply:
    """Feeds an exchange with the application's messages and sends what it gives back, in order.

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
        self._outbox = Outbox(self._deliver if shell.tally_of is None else self._deliver_counted)
        self._counted: object = None
        self._timer: asyncio.TimerHandle | None = None
        self._expiry: asyncio.Task[None] | None = None

    async def send(self, message: Message) -> None:
        """Take one message of the application.

        Raises:
            ReplyAbortedError: The reply was ended before this message; it is an :class:`OSError`.
            ReplyError: The message is out of order, or no server would send it.
        """
        exchange, kind, outbox = self.exchange, message["type"], self._outbox
        if exchange.state is not _TREATED or kind != self._body or not outbox.idle or not message.get("more_body"):
            await self._take_any(message)
            return
        piece = message.get("body", b"")
        data = exchange.relay(piece if type(piece) is bytes else bytes(piece))
        if data is None:
            await self.flush()
        elif data:
            try:
                await outbox.send_one({"type": kind, "body": data, "more_body": True})
            except OSError:
                exchange.gone = True
                raise

    async def _take_any(self, message: Message) -> None:
        """Take a message that is not just the next piece of an event stream."""
        exchange, kind = self.exchange, message["type"]
        if exchange.state is State.ABORTED:
            raise ReplyAbortedError
        if kind == self._start_type:
            await self._take_start(message)
        elif kind == self._body:
            await self._take(message, message.get("body", b""), more=bool(message.get("more_body")))
        elif kind in _FILES:
            await self._take_file(message)
        elif exchange.over:
            await self.flush()
        else:
            await self._take_other(message)

    async def _take_start(self, message: Message) -> None:
        exchange, trailers = self.exchange, bool(message.get("trailers"))
        lines = exchange.start(message["status"], message.get("headers", ()), trailers=trailers)
        self._start = message
        if lines is not None:
            await self._put([Start(message["status"], lines, trailers)])
        await self.flush()
        if exchange.error is not None:
            raise exchange.error

    async def _take_file(self, message: Message) -> None:
        """Take a body that is a file: the server sends it where it passes, and is read where it is treated (D3)."""
        exchange = self.exchange
        if exchange.state is State.PASSING:
            exchange.remaining = -1  # the server counts what it sends itself
            await self._send(message)
        elif exchange.over:
            await self.flush()
        elif message["type"] == "http.response.pathsend":
            await self._take(message, read_path(message), more=False)
        else:
            await self._take(message, read_range(message), more=bool(message.get("more_body")))

    async def _take_other(self, message: Message) -> None:
        """Take a message that is neither head nor body; trailers and hints may contradict (C3)."""
        exchange, kind = self.exchange, message["type"]
        if type(message.get("headers", ())) not in (list, tuple):  # it is read here, and again by the server
            message = {**message, "headers": list(message["headers"])}
        if kind == f"{self._prefix}.trailers":
            if exchange.state <= State.WAITING:
                raise ReplyError("trailers came before the head of the reply")
            if exchange.waits:
                exchange.release()
            leaves = exchange.allows(message.get("headers", ()), "body")
        else:
            leaves = kind != "http.response.early_hint" or exchange.allows(message.get("headers", ()), "head")
        await self.flush()
        if leaves:
            await self._send(message)

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
        """End the reply after the application raised *error*, which stays the one that the server sees."""
        exchange = self.exchange
        exchange.gone = exchange.gone or _was_raised_by(self._send, error)
        exchange.fail(error)
        try:
            await self._close()
        except Exception:  # noqa: BLE001 - the server's own: the client left, or what the server makes of a failed reply
            exchange.gone = True

    async def finish(self) -> None:
        """End the reply after the application returned."""
        self.exchange.finish()
        await self._close()

    def abandon(self) -> None:
        """Send nothing more: the application was cancelled."""
        if self._timer is not None:
            self._timer.cancel()
        if self._expiry is not None:
            self._expiry.cancel()
        self._outbox.close()

    async def _take(self, message: Message, data: bytes, *, more: bool) -> None:
        exchange = self.exchange
        if exchange.state is not State.PASSING:
            exchange.body(data if type(data) is bytes else bytes(data), more=more)
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

    # Sending.

    async def _deliver(self, message: Message) -> None:
        """Give a message to the server; the reply has begun only once that took the head."""
        try:
            await self._send(message)
        except BaseException:
            if message["type"] == self._start_type:
                self.exchange.reopen()
            raise

    async def _deliver_counted(self, message: Message) -> None:
        await self._deliver(message)
        if message["type"] == self._start_type:
            self.count(message["headers"])

    def count(self, headers: Headers) -> None:
        """Count a head that the server took, where traffic is counted and the client was not known to have left."""
        exchange, tally_of = self.exchange, self._shell.tally_of
        if tally_of is not None and not exchange.gone:
            self._counted = count_reply(tally_of(exchange.headers), exchange, headers)

    async def flush(self) -> None:
        """Record what happened, and send what leaves now."""
        exchange = self.exchange
        events = exchange.take_events()
        if events:
            pending = record(self._shell, self._scope, exchange.headers, events)
            if pending is not None:
                await until_done(pending, self._shell.runtime.wait_seconds)
        parts = exchange.take()
        if self._timer is not None or exchange.waits:
            self._keep_time()
        await self._put([*parts, *exchange.take()])

    async def _put(self, parts: list[Part]) -> None:
        if not parts:
            return
        try:
            await self._outbox.put(self._messages(deque(parts)), shielded=self.exchange.stage == "stream")
        except OSError:
            self.exchange.gone = True
            raise

    def _messages(self, parts: deque[Part]) -> Iterator[Message]:
        """Yield the messages for the server; a last piece and the end of the body are one."""
        while parts:
            part = parts.popleft()
            if isinstance(part, Start):
                known: Message = {} if self.exchange.state is State.REPLACED else self._start
                head: Message = {**known, "type": self._start_type, "status": part.status, "headers": part.headers}
                if not part.trailers:
                    head.pop("trailers", None)
                yield head
            elif part is not Signal.ABORT:
                data = part if isinstance(part, bytes) else b""
                ends = part is Signal.END
                if not ends and parts and parts[0] is Signal.END:
                    parts.popleft()
                    ends = True
                yield {"type": self._body, "body": data, "more_body": not ends}

    # Time.

    def _keep_time(self) -> None:
        """Start or stop the clock of a held start or end (D7)."""
        exchange = self.exchange
        if not exchange.waits:
            assert self._timer is not None  # noqa: S101 - else nobody would ask
            self._timer.cancel()
            self._timer = None
        elif self._timer is None:
            hold = self._shell.runtime.policy.sse_hold_seconds
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                # trio: no clock of ours runs there, so a start is not held, and an end until the return
                if exchange.state is State.WAITING:
                    exchange.release()
            else:
                self._timer = loop.call_later(hold, self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self.exchange.waits:
            self.exchange.release()
            self._expiry = loop.create_task(self._flush_late())

    async def _flush_late(self) -> None:
        try:
            await self.flush()
        except OSError:  # the client left; the application finds out by itself
            self.exchange.gone = True

    async def _close(self) -> None:
        """Return when all has left; where that is cancelled, nothing more leaves (C4)."""
        try:
            await self.flush()
            if self._expiry is not None:
                await self._expiry
            await self._outbox.settle()
        except BaseException as error:
            if is_cancellation(error):
                self.abandon()
            raise


_FILES = ("http.response.pathsend", "http.response.zerocopysend")


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
