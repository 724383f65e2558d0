"""How does the strictest WSGI server treat an application (PEP 3333)?

It sends its head with the first byte that is not empty, counts declared lengths, may iterate on another thread, and may
stop asking at any item; it closes whatever happened.
"""

from __future__ import annotations

import contextlib
import contextvars
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Protocol, TypeAlias, TypeVar

from tests.property.drivers.record import Interruption, Notes, Reply, ServerError
from tests.property.oracle.head import declared_length, is_legal
from tests.property.plan import Request

__all__ = ["ExcInfo", "FileWrapper", "StartResponse", "WsgiApplication", "WsgiServer", "exchange"]

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class StartResponse(Protocol):
    """PEP 3333's start_response."""

    def __call__(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        """Take a head."""


WsgiApplication: TypeAlias = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]
Result = TypeVar("Result")

_OTHER_THREAD = ThreadPoolExecutor(max_workers=1)


class FileWrapper:
    """The server's `wsgi.file_wrapper`: it knows how to send this type without iterating."""

    def __init__(self, file: io.BufferedIOBase, block_size: int = 8192) -> None:
        self.file = file
        self.block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.file.read(self.block_size), b"")

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class WsgiServer:
    """The server's side of one exchange."""

    def __init__(self, request: Request, reply: Reply, interruption: Interruption | None) -> None:
        self.request = request
        self.reply = reply
        self.interruption = interruption
        self._head: tuple[int, str, list[tuple[bytes, bytes]]] | None = None
        self._length: int | None = None
        self._sent = 0

    def environ(self) -> dict[str, Any]:
        """Return the environment; header lines of one name are joined by commas, as servers do."""
        request = self.request
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query.decode("latin-1"),
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(request.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
        }
        if request.client is not None:
            environ["REMOTE_ADDR"] = request.client
        for name, value in request.headers:
            text = name.decode("latin-1").upper().replace("-", "_")
            key = text if text in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{text}"
            joined = value.decode("latin-1")
            environ[key] = f"{environ[key]},{joined}" if key in environ else joined
        return environ

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        """Take a head; it is sent with the first byte of the body."""
        if exc_info is not None and self.reply.status is not None:
            raise exc_info[1] or AssertionError
        if self._head is not None and exc_info is None:
            message = "start_response was called twice without exc_info"
            raise AssertionError(message)
        if type(headers) is not list or not all(type(pair) is tuple for pair in headers):
            raise self._refuse("headers are not a list of tuples")
        if type(status) is not str or not status[:3].isdigit() or status[3:4] != " ":
            raise self._refuse(f"the status {status!r}")
        head = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        if not is_legal(int(status[:3]), head):
            raise self._refuse(f"an illegal head: {status} {head}")
        self._head = (int(status[:3]), status[4:], head)
        return self.write

    def write(self, chunk: bytes) -> None:
        """PEP 3333's write: its first call sends the head, whatever the chunk."""
        self.send_head()
        self.send(chunk)

    def send(self, chunk: bytes) -> None:
        """Send an item of the iterable; the first that is not empty sends the head before it."""
        number, self.reply.sends = self.reply.sends, self.reply.sends + 1
        if type(chunk) is not bytes:
            raise self._refuse(f"a chunk of type {type(chunk).__name__}")
        if self._head is None:
            raise self._refuse("a body before start_response")
        if self.interruption is not None and self.interruption.kind == "dies" and number >= self.interruption.at:
            message = "the server died"
            raise ServerError(message)
        if chunk:
            self.send_head()
        self.reply.parts.append((chunk, True))
        self._sent += len(chunk)
        if self._length is not None and self._sent > self._length >= 0:
            message = "the body is longer than its Content-Length"
            raise ServerError(message)

    def send_head(self) -> None:
        """Put the head on the wire, once."""
        if self._head is None:
            raise self._refuse("no start_response")
        if self.reply.status is None:
            self.reply.status, self.reply.reason, self.reply.headers = self._head
            bodiless = self.reply.status in (204, 304) or self.request.method == "HEAD"
            self._length = -1 if bodiless else declared_length(self.reply.headers)

    def finish(self) -> None:
        """The iterable has ended."""
        self.send_head()
        self.reply.clean = self._length is None or self._sent >= self._length

    def break_off(self) -> None:
        """The iterable has raised: the reply is whole only if all that its head declares is out."""
        bodiless = self._length == -1
        self.reply.clean = self.reply.status is not None and (bodiless or self._sent == self._length)

    def _refuse(self, message: str) -> ServerError:
        self.reply.illegal.append(message)
        return ServerError(message)


def exchange(
    application: WsgiApplication,
    request: Request,
    notes: Notes,
    *,
    interruption: Interruption | None = None,
    other_thread: bool = False,
) -> Reply:
    """Make one request and return what the server saw; with *other_thread* the iterable runs on another one."""
    reply = notes.reply
    server = WsgiServer(request, reply, interruption)
    context = contextvars.copy_context()

    def step(work: Callable[[], Result], name: str) -> Result:
        """Do one step in the server's context, and look whether it comes back as it was."""

        def look_after() -> Result:
            try:
                return work()
            finally:
                reply.trace_outside.append(notes.peek())

        try:
            if other_thread and name != "call":
                return _OTHER_THREAD.submit(contextvars.Context().run, look_after).result()
            return context.run(look_after)
        except BaseException as error:
            if reply.raised is None:
                reply.raised, reply.raised_from, reply.raised_after = error, name, reply.sends
            raise

    try:
        result = step(lambda: application(server.environ(), server.start_response), "call")
    except BaseException:  # noqa: BLE001  noted by the step
        return reply
    try:
        _send(server, result, step)
    except BaseException:  # noqa: BLE001  noted by the step
        server.break_off()
    if hasattr(result, "close"):
        with contextlib.suppress(BaseException):  # noted by the step
            step(result.close, "close")
    return reply


def _send(server: WsgiServer, result: Iterable[bytes], step: Callable[[Callable[[], Any], str], Any]) -> None:
    if type(result) is FileWrapper:
        server.reply.used_file = True
    iterator = step(lambda: iter(result), "iter")
    cut = (
        server.interruption.at
        if server.interruption is not None and server.interruption.kind == "gone"
        else sys.maxsize
    )
    taken = 0
    while taken < cut:
        chunk = step(lambda: next(iterator, None), "next")
        if chunk is None:
            step(server.finish, "server")
            return
        step(partial(server.send, chunk), "server")
        taken += 1
