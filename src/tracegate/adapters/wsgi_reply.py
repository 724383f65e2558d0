"""How does a reply leave that does not go straight through? The slow half of the WSGI shell.

A server keeps the head until the first byte of the body (PEP 3333), and so does the gate: it takes the application's
first step before it answers, so that a failure up to there becomes a whole traced error.
"""

from __future__ import annotations

import sys
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

import msgspec

from tracegate.adapters.cancellation import is_cancellation
from tracegate.adapters.counting import count_reply
from tracegate.adapters.wsgi_body import close_body, is_file
from tracegate.adapters.wsgi_environ import HINTS, Environ, Shell, exchange_of, record, wait_until_kept
from tracegate.adapters.wsgi_head import NativeHeaders, byte_lines, native_lines, status_line, status_of
from tracegate.context import binding
from tracegate.core.reply import Signal, Start, State
from tracegate.errors import ReplyAbortedError, ReplyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse

    from tracegate.context import Binding
    from tracegate.core.exchange import Exchange
    from tracegate.core.trace import Trace

__all__ = ["ExcInfo", "Reply"]

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
"""What ``sys.exc_info()`` returns."""


class Reply(msgspec.Struct, eq=False):
    """One reply between an application and a server; as an iterable it is the body that the server sends.

    Attributes:
        trace: The bound trace.
        shell: The gate.
        environ: The server's environ.
        start_response: The server's.
    """

    trace: Trace
    shell: Shell
    environ: Environ
    start_response: StartResponse
    _exchange: Exchange | None = None
    _line: str = ""  # the application's status line
    _head: tuple[str, NativeHeaders] | None = None  # waits for the server
    _told: bool = False  # the server got a head
    _anew: ExcInfo | None = None  # why it is to get another one
    _write: Callable[[bytes], object] | None = None  # the server's
    _body: Iterable[bytes] | None = None  # the application's
    _steps: Iterator[bytes] | None = None
    _queue: list[bytes] = []
    _sent: bool = False  # the head is on the wire
    _ended: bool = False
    _scope: Binding | None = None  # that the application's generator holds from step to step
    _counted: object = None  # what counts, once a server took the head
    _error: BaseException | None = None  # leaves from __next__ after the last byte

    @property
    def exchange(self) -> Exchange:
        """The request's exchange; a new one after what the former one gave was taken back."""
        if self._exchange is None:
            self._exchange = exchange_of(self.shell, self.environ, self.trace)
            self._exchange.status = status_of(self._line) or None
        return self._exchange

    def adopt(self, head: tuple[str, NativeHeaders], length: int) -> None:
        """Go on with a plain head that declares *length* (-1: none)."""
        self._head, self._line = head, head[0]
        self.exchange.state = State.PASSING
        if self.exchange.method != "HEAD":
            self.exchange.remaining = length

    def go_on(
        self, body: Iterable[bytes], steps: Iterator[bytes] | None, unsent: bytes | None, scope: Binding | None
    ) -> None:
        """Go on with *body*, of which a piece may be *unsent*, and *steps* are left."""
        self._body, self._steps, self._scope = body, steps, scope
        if unsent is not None:
            self._queue.append(unsent)

    def passed(self, write: Callable[[bytes], object] | None, *, sent: bool) -> None:
        """Go on after the server was told of the head, and maybe sent it."""
        self._head, self._told, self._write, self._sent, self._counted = None, True, write, sent, True

    # What the application calls.

    def start(self, status: str, headers: NativeHeaders, exc_info: ExcInfo | None) -> None:
        """Take the reply's head, as ``start_response``; with *exc_info* another one, while nothing has left.

        Raises:
            ReplyError: No server would send it, or the reply was started before.
            BaseException: That of *exc_info*: it is too late for another head.
        """
        if exc_info is not None and not self._sent:
            self._take_back()
            self._anew = exc_info
        elif exc_info is not None and exc_info[1] is not None:
            raise exc_info[1].with_traceback(exc_info[2])
        exchange = self.exchange
        lines = exchange.start(status_of(status), given := byte_lines(headers))
        if exchange.error is not None:
            raise exchange.error
        self._line = status
        if lines is not None:
            self._record()
            own = len(given)
            if type(headers) is list and lines[:own] == given:
                self._head = (status, [*((name, value) for name, value in headers), *native_lines(lines[own:])])
            else:
                self._head = (status, native_lines(lines))

    def write(self, data: bytes) -> None:
        """Take a piece of the body, as the callable that ``start_response`` returns.

        Raises:
            ReplyAbortedError: The reply was ended without a clean end.
            ReplyError: The reply was declared to have no body.
        """
        self._take(data)
        self._tell()
        while self._queue and callable(self._write):
            self._sent = True
            try:
                self._write(self._queue.pop(0))
            except OSError:
                self.exchange.gone = True
                raise
        if self._error is not None:
            raise self._error

    def hint(self, headers: NativeHeaders) -> None:
        """Take early hints, as ``wsgi.early_hints`` does; those that name another trace are refused (C3)."""
        if not self.exchange.over and self.exchange.allows(byte_lines(headers), "head"):
            self.environ[HINTS](headers)

    # What the gate calls.

    def answer(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return what the server shall send, now that the application has returned *body*; its head is out.

        A body that needs nothing and cannot fail is the application's own object. Any other takes its first steps here:
        an error is read whole within its bound, the start of an event stream held for as long as the policy says (D7).
        A stream that stays silent keeps its head, as it does on the server alone.
        """
        self._body = body
        if self._is_whole(body):
            self._tell()
            return body
        self._put()
        if not self._ended:
            self._steps = iter(body)
        return self._begin()

    def begin(self, first: bytes | Signal) -> Iterable[bytes]:
        """Return what the server shall send of a body whose first step gave *first*, or its end; its head is out."""
        self.take(first)
        return self._begin()

    def _begin(self) -> Reply:
        latest = monotonic() + self.shell.runtime.policy.sse_hold_seconds
        while not self._queue and not self._ended:
            self._step()
            if monotonic() >= latest and self._let_go():
                break
        self._keep_scope()
        self._tell()
        self._sent = self._sent or not callable(self._write)  # granian offers no write(), and sends its head now
        return self

    def fail(self, error: BaseException) -> Reply:
        """Return the body that ends the reply after the application raised *error*, and then raises it again (C4)."""
        wait_until_kept(error)
        self._error = error
        if isinstance(error, StopIteration):  # from __next__ it would be a clean end (as in PEP 479)
            self._error = RuntimeError("the application raised StopIteration")
            self._error.__cause__ = error
        state = self.exchange.state
        if not self._sent and state is not State.ABORTED and (self._told or state is not State.REPLACED):
            self._take_back()
        self.exchange.fail(error)
        self._put()
        self._ended = True
        self._tell(sys.exc_info())
        return self

    # What the server calls.

    def __iter__(self) -> Iterator[bytes]:
        """Return itself: a body is read once."""
        return self

    def __next__(self) -> bytes:
        """Return the next piece: at most one of the application's is asked for, and one is returned (PEP 3333)."""
        if not self._queue and not self._ended:
            found = binding.get()
            binding.set(self._scope or self)
            try:
                self._step()
            finally:
                self._keep_scope()
                binding.set(found)
        if self._queue:
            piece = self._queue.pop(0)
            self._sent = self._sent or bool(piece)
            return piece
        if not self._ended:
            return b""
        if self._error is None:
            raise StopIteration
        if not self._sent and callable(self._write):
            self._write(b"")  # a head without a body leaves with the first call of write() (PEP 3333)
        try:
            raise self._error
        finally:
            self._error = None  # its traceback leads back here

    def close(self) -> None:
        """Close the application's body, once, even if it never started."""
        body, self._body = self._body, None
        scope, self._scope = self._scope, None
        close_body(body, scope or self)

    # One step.

    def _keep_scope(self) -> None:
        bound = binding.get()
        self._scope = bound if bound is not None and bound.trace is not self.trace else None

    def take(self, piece: bytes | Signal) -> None:
        """Take what a step gave: a piece, or the end."""
        if isinstance(piece, Signal):
            self._finish()
        else:
            self._take(piece)
        if self._told:
            self._tell()
        self._keep_scope()

    def _step(self) -> None:
        assert self._steps is not None  # noqa: S101 - answer() made it
        try:
            self.take(next(self._steps, Signal.END))
        except BaseException as error:
            if is_cancellation(error):
                raise
            self.fail(error)  # it leaves again from __next__, after the reply

    def _take(self, piece: bytes) -> None:
        exchange = self.exchange
        declared = exchange.remaining
        if exchange.state is not State.PASSING:
            exchange.body(piece, more=True)
        elif exchange.fits(len(piece), more=True):
            self._queue.append(piece)
            return
        elif declared == 0 and not self._sent:  # the head alone would look like a whole reply (C5)
            raise ReplyError("the body is longer than its declared length")
        else:
            exchange.mismatch()
        self._put()

    def _finish(self) -> None:
        exchange = self.exchange
        if exchange.state is not State.PASSING:
            if exchange.state is not State.OPEN:
                exchange.body(b"", more=False)
            exchange.finish()
        elif exchange.fits(0, more=False):
            self._ended = True
            return
        else:
            exchange.mismatch()
        self._put()

    def _let_go(self) -> bool:
        """Let the head of a stream go that has had nothing to say for too long (D7); return whether it is out."""
        if self.exchange.waits:
            self.exchange.release()
            self._put()
        return self.exchange.state is State.TREATED

    def _put(self) -> None:
        """Queue what the exchange gives, its events recorded before."""
        self._record()
        for part in self.exchange.take():
            if isinstance(part, bytes):
                self._queue.append(part)
            elif isinstance(part, Start):
                line = self._line if self._line[:3] == str(part.status) else status_line(part.status)
                self._head = (line, native_lines(part.headers))
            else:
                self._ended = True
                if part is Signal.ABORT and self._error is None:
                    self._error = ReplyAbortedError()

    def _record(self) -> None:
        events = self.exchange.take_events()
        if events:
            record(self.shell, self.environ, events)

    def _tell(self, exc_info: ExcInfo | None = None) -> None:
        """Give the server the head that waits, if any; with *exc_info* also instead of a former one."""
        if self._head is None:
            return
        (status, lines), self._head = self._head, None
        exc_info, self._anew = exc_info or (self._anew if self._told else None), None
        self._told = True
        if exc_info is None:
            self._write = self.start_response(status, lines)
        else:
            self._write = self.start_response(status, lines, exc_info)
        tally_of = self.shell.tally_of
        if tally_of is not None and self._counted is None and not self.exchange.gone:
            self._counted = count_reply(tally_of(self.environ), self.exchange, byte_lines(lines)) or True

    def _take_back(self) -> None:
        """Begin anew: nothing of the reply has left."""
        self._exchange, self._head = None, None
        self._queue.clear()

    def _is_whole(self, body: Iterable[bytes]) -> bool:
        """Return whether *body* can go to the server as it is: it agrees with its head, or the server reads a file."""
        exchange, kind = self.exchange, type(body)
        if exchange.state is not State.PASSING or self._queue:
            return False
        if kind is list or kind is tuple:
            return exchange.remaining < 0 or exchange.remaining == sum(map(len, body))
        return is_file(body, self.environ)
