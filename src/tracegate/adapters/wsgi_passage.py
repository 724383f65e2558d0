"""How does one ordinary request pass? The fast half of the WSGI shell.

A plain head gets the trace header. A list that agrees with it goes to the server as the application's own object; any
other body passes piece by piece, counted. All else is given up to :class:`~tracegate.adapters.wsgi_reply.Reply`, which
goes on from wherever the reply stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tracegate.adapters.cancellation import is_cancellation
from tracegate.adapters.wsgi_body import close_body, is_file
from tracegate.adapters.wsgi_environ import MARK, Environ, Shell
from tracegate.adapters.wsgi_reply import Reply
from tracegate.context import binding
from tracegate.core.reply import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse

    from tracegate.adapters.wsgi_head import NativeHeaders
    from tracegate.adapters.wsgi_reply import ExcInfo
    from tracegate.context import Binding
    from tracegate.core.exchange import Exchange
    from tracegate.core.trace import Trace

__all__ = ["Passage", "exchange_in"]


class Passage(msgspec.Struct, eq=False):
    """What one request's application gets as ``start_response``, and what becomes of what it returns.

    As an iterable it is the body that the server sends, where that is no list.

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
    _head: tuple[str, NativeHeaders] | None = None  # a plain one, marked
    _left: int = -1  # what the body owes the length that it declares
    _body: Iterable[bytes] | None = None  # the application's
    _steps: Iterator[bytes] | None = None
    _first: bytes | None = None  # waits for the server
    _told: bool = False  # the server got the head
    _write: Callable[[bytes], object] | None = None  # the server's
    _sent: bool = False  # the head is on the wire
    _scope: Binding | None = None  # that the application's generator holds from step to step
    _reply: Reply | None = None

    @property
    def exchange(self) -> Exchange:
        """The request's exchange; from now on the reply goes through it."""
        return self.reply.exchange

    @property
    def reply(self) -> Reply:
        """The reply that needs more than the trace header."""
        if self._reply is None:
            self._reply = reply = Reply(self.trace, self.shell, self.environ, self.start_response)
            if self._head is not None:
                reply.adopt(self._head, self._left)
            if self._body is not None:
                body, self._body = self._body, None
                reply.go_on(body, self._steps, self._first, self._scope)
            if self._told:
                reply.passed(self._write, sent=self._sent)
        return self._reply

    def start(self, status: str, headers: NativeHeaders, exc_info: ExcInfo | None = None) -> Callable[[bytes], object]:
        """Take the reply's head, as ``start_response``."""
        if self._head is None and self._reply is None:
            length = self.shell.plain_heads.length_of(status, headers)
            if length is not None:
                self._left = length
                self._head = (status, [*headers, (self.shell.header, self.trace.raw.decode())])
                return self.write
        self.reply.start(status, headers, exc_info)
        return self.write

    def write(self, data: bytes) -> None:
        """Take a piece of the body, as the callable that ``start_response`` returns."""
        self.reply.write(data)

    def hint(self, headers: NativeHeaders) -> None:
        """Take early hints, as ``wsgi.early_hints``."""
        self.reply.hint(headers)

    # What the gate calls.

    def answer(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return what the server shall send, now that the application has returned *body*; its head is out.

        The application takes its first step here: up to there a failure becomes a whole traced error (C4).
        """
        left = self._left
        if self._head is None or self._reply is not None:
            return self.reply.answer(body)
        if isinstance(body, list) and type(body) is list:
            if left < 0 or left == (len(body[0]) if len(body) == 1 else sum(map(len, body))):
                self.start_response(*self._head)
                return body
        elif left and not isinstance(body, tuple) and not is_file(body, self.environ):
            return self._take_up(body)
        return self.reply.answer(body)

    def fail(self, error: BaseException) -> Reply:
        """Return the body that ends the reply after the application raised *error*."""
        return self.reply.fail(error)

    def close(self) -> None:
        """Close the application's body, once, where it was taken up and does not reach the server as it is."""
        if self._reply is not None:
            self._reply.close()
        else:
            body, self._body = self._body, None
            close_body(body, self._scope or self)

    def _take_up(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Ask *body* for its first piece, tell the server of the head, and return what gives it the rest."""
        self._body = body
        self._steps = iter(body)
        first = self._step()
        if not self._lets_pass(first):
            return self.reply.begin(first)
        if isinstance(first, bytes):
            self._first = first
        assert self._head is not None  # noqa: S101 - answer() looked
        self._write = self.start_response(*self._head)
        self._told = True
        self._sent = not callable(self._write)  # granian offers no write(), and sends its head now
        return self

    # What the server calls.

    def __iter__(self) -> Iterator[bytes]:
        """Return itself: a body is read once."""
        return self

    def __next__(self) -> bytes:
        """Return the next piece: at most one of the application's is asked for, and one is returned (PEP 3333)."""
        if self._reply is not None:
            return next(self._reply)
        if self._first is not None:
            first, self._first = self._first, None
            self._sent = self._sent or bool(first)
            return first
        piece: bytes | Signal = _END
        passes = False
        found = binding.get()
        binding.set(self._scope or self)
        try:
            piece = self._step()
            passes = self._lets_pass(piece)
            if not passes:
                self.reply.take(piece)
        except BaseException as error:
            if is_cancellation(error):
                raise
            self.reply.fail(error)
        finally:
            binding.set(found)
        if not passes:
            return next(self.reply)
        if not isinstance(piece, bytes):
            raise StopIteration
        if piece:
            self._sent = True
        return piece

    def _step(self) -> bytes | Signal:
        """Return the application's next piece, or the end: behind that it is not asked again."""
        assert self._steps is not None  # noqa: S101 - _take_up() made it
        try:
            piece = next(self._steps, _END)
            if piece is _END:
                self._steps = _NO_STEPS
            return piece
        finally:
            bound = binding.get()
            self._scope = bound if bound is not None and bound.trace is not self.trace else None

    def _lets_pass(self, piece: bytes | Signal) -> bool:
        """Return whether *piece*, or the end, agrees with the declared length (C5); count it."""
        if self._reply is not None:  # the application did more than to make a piece
            return False
        left = self._left
        if type(piece) is not bytes:
            return piece is _END and left <= 0
        if left >= 0:
            left -= len(piece)
            if left < 0:
                return False
            self._left = left
        return True


_END: Final = Signal.END  # an enum's attribute is a slow one
_NO_STEPS: Iterator[bytes] = iter(())


def exchange_in(environ: Environ) -> Exchange | None:
    """Return the exchange of the gate around the application that got *environ*, or None where there is none."""
    found = environ.get(MARK)
    return found.exchange if isinstance(found, Passage) else found  # behind a bridge it is the ASGI gate's own
