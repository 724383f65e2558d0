"""How does one ordinary request pass? The fast half of the WSGI shell.

A plain head gets the trace header, and a body that agrees with it goes to the server as the application's own object.
All else is given up to :class:`~tracegate.adapters.wsgi_reply.Reply`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tracegate.adapters.wsgi_environ import MARK, Environ, Shell
from tracegate.adapters.wsgi_reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse

    from tracegate.adapters.wsgi_head import NativeHeaders
    from tracegate.adapters.wsgi_reply import ExcInfo
    from tracegate.core.exchange import Exchange
    from tracegate.core.trace import Trace

__all__ = ["Passage", "exchange_in"]


class Passage(msgspec.Struct, eq=False):
    """What one request's application gets as ``start_response``, and what becomes of what it returns.

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
    _length: int = -1  # what it declares
    _reply: Reply | None = None

    @property
    def exchange(self) -> Exchange:
        """The request's exchange; from now on the reply goes through it."""
        return self.reply.exchange

    @property
    def reply(self) -> Reply:
        """The reply that needs more than the trace header."""
        if self._reply is None:
            self._reply = Reply(self.trace, self.shell, self.environ, self.start_response)
            if self._head is not None:
                self._reply.adopt(self._head, self._length)
        return self._reply

    def start(self, status: str, headers: NativeHeaders, exc_info: ExcInfo | None = None) -> Callable[[bytes], object]:
        """Take the reply's head, as ``start_response``."""
        if self._head is None and self._reply is None:
            length = self.shell.plain_heads.length_of(status, headers)
            if length is not None:
                self._length = length
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

    def answer(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return what the server shall send, now that the application has returned *body*."""
        if self._head is not None and self._reply is None and isinstance(body, list) and type(body) is list:
            length = self._length
            if length < 0 or length == (len(body[0]) if len(body) == 1 else sum(map(len, body))):
                self.start_response(*self._head)
                return body
        return self.reply.answer(body)

    def fail(self, error: BaseException) -> Reply:
        """Return the body that ends the reply after the application raised *error*."""
        return self.reply.fail(error)

    def close(self) -> None:
        """Close the application's body, where it was taken up and does not reach the server."""
        if self._reply is not None:
            self._reply.close()


def exchange_in(environ: Environ) -> Exchange | None:
    """Return the exchange of the gate around the application that got *environ*, or None where there is none."""
    found = environ.get(MARK)
    return found.exchange if isinstance(found, Passage) else found  # behind a bridge it is the ASGI gate's own
