"""How does a strict WSGI server treat an application? By the letter of PEP 3333, one request at a time."""
# ruff: noqa: ANN401 - an application under test may be, return and pass anything

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TypeAlias

from tracegate.adapters.wsgi import TraceGate
from tracegate.core.cors import CorsRules
from tracegate.core.events import Event
from tracegate.core.policy import Policy
from tracegate.runtime import Runtime

__all__ = ["JSON", "OTHER", "OWN", "STREAM", "TEXT", "Environ", "FileWrapper", "Server", "Start", "environ", "gated"]

Environ: TypeAlias = dict[str, Any]
Start: TypeAlias = Callable[..., Any]
ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType]

OWN = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
OTHER = "0af76519-16cd-43dd-8448-eb211c80319c"
TEXT = [("Content-Type", "text/plain")]
JSON = [("Content-Type", "application/json")]
STREAM = [("Content-Type", "text/event-stream")]


class FileWrapper:
    """The server's own type for files."""

    def __init__(self, file: io.BytesIO, block_size: int = 4) -> None:
        self.file = file
        self.block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.file.read(self.block_size), b"")

    def close(self) -> None:
        self.file.close()


def environ(trace: str | None = OWN, /, **more: Any) -> Environ:
    """Return the environment of a GET for ``/things`` that names *trace*."""
    found: Environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/things",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.9",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        **more,
    }
    if trace is not None:
        found["HTTP_X_TRACE_ID"] = trace
    return found


class Server:
    """Serves one request, and keeps what went over the wire.

    Args:
        refuses: Returns whether the server refuses a head, as those do that forbid hop-by-hop headers.
        writes: Whether ``start_response`` returns ``write()``.
        dies: The write during which the client is found to be gone.

    Attributes:
        status: The status line that was sent, or None.
        headers: The header lines that were sent.
        pieces: The pieces of the body that were sent, empty ones too.
        raised: What the application raised, and from where.
        clean: Whether the iterable came to its end.
        told: The calls of ``start_response``.
    """

    def __init__(
        self, *, refuses: Callable[[list[tuple[str, str]]], bool] | None = None, writes: bool = True, dies: int = -1
    ) -> None:
        self.status: str | None = None
        self.headers: list[tuple[str, str]] = []
        self.pieces: list[bytes] = []
        self.raised: BaseException | None = None
        self.raised_from = ""
        self.clean = False
        self.told: list[str] = []
        self.result: Any = None
        self._refuses = refuses or (lambda _headers: False)
        self._writes = writes
        self._dies = dies
        self._head: tuple[str, list[tuple[str, str]]] | None = None

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.pieces)

    def values(self, name: str) -> list[str]:
        """Return the values of each header line called *name*."""
        return [value for key, value in self.headers if key.lower() == name]

    def serve(self, app: Any, request: Environ | None = None, *, take: int = 1000) -> Server:
        """Make one request, ask for at most *take* pieces, and close."""
        self.result = self._do("call", lambda: app(environ() if request is None else request, self.start_response))
        if self.raised is None:
            self._do("iterate", lambda: self._send(take))
            if hasattr(self.result, "close"):
                self._do("close", self.result.close)
        return self

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None] | None:
        """Keep the head for the first byte."""
        self.told.append(status)
        if exc_info is not None and self.status is not None:
            raise exc_info[1].with_traceback(exc_info[2])
        assert exc_info is not None or self._head is None, "start_response was called twice"
        assert type(headers) is list
        assert all(type(pair) is tuple and type(pair[0]) is str and type(pair[1]) is str for pair in headers)
        assert not self._refuses(headers), "the server refuses this head"
        self._head = (status, headers)
        return self._write if self._writes else None

    def _write(self, data: bytes) -> None:
        self._send_head()
        if len(self.pieces) == self._dies:
            raise BrokenPipeError
        self.pieces.append(data)

    def _send(self, take: int) -> None:
        iterator = iter(self.result)
        for _ in range(take):
            piece = next(iterator, None)
            if piece is None:
                self._send_head()
                self.clean = True
                return
            if piece:
                self._send_head()
            self.pieces.append(piece)

    def _send_head(self) -> None:
        assert self._head is not None, "no start_response"
        if self.status is None:
            self.status, self.headers = self._head

    def _do(self, place: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except BaseException as error:  # noqa: BLE001 - whatever the application raises
            if self.raised is None:
                self.raised, self.raised_from = error, place
            return None


def gated(
    app: Any,
    policy: Policy | None = None,
    *,
    cors: CorsRules | None = None,
    route_of: Callable[[Environ], str | None] | None = None,
) -> tuple[Any, list[Event]]:
    """Return *app* behind a gate, and the list that its events go to."""
    events: list[Event] = []
    return TraceGate(app, runtime=Runtime(policy, sink=events.append), cors=cors, route_of=route_of), events
