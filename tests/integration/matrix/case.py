"""What is one cell of the matrix: which request is made of which application, and what must come back?"""

from __future__ import annotations

import enum
import uuid
from dataclasses import dataclass

__all__ = ["APPLICATIONS", "GOOD", "MINTED", "SERVER_ERROR", "TRACE_ERROR", "Case", "Kind", "Shape"]


class Shape(enum.Enum):
    """What the gated reply must be, next to the bare one."""

    SAME = "the bare reply, but for the id line"
    MEMBER = "the bare error JSON with one more member"
    ENVELOPE = "the standard error object around the bare body (D2)"
    REFUSED = "409 before the application ran (B)"
    OVERWRITE = "409 instead of the application's reply (C3, D1)"
    CRASH = "one complete traced 500 (C4)"
    BROKEN = "the bare bytes, without a clean end (C5)"
    EVENTS = "the bare events, each marked (D6)"
    BROKEN_EVENTS = "the bare events, each marked, one error event, no clean end (D7)"
    ACCEPTED = "a WebSocket accepted"
    DENIED = "a WebSocket refused by an HTTP reply"


class Kind(enum.StrEnum):
    """The four applications."""

    ASGI = "asgi"
    WSGI = "wsgi"
    FASTAPI = "fastapi"
    FLASK = "flask"


APPLICATIONS = {
    Kind.ASGI: "tests.integration.applications.raw_asgi:app",
    Kind.FASTAPI: "tests.integration.applications.with_fastapi:app",
    Kind.WSGI: "tests.integration.applications.raw_wsgi:app",
    Kind.FLASK: "tests.integration.applications.with_flask:app",
}
"""Each kind of application and where it stands."""

GOOD = (b"X-Trace-Id: %TRACE%",)
MINTED = ""
SERVER_ERROR = "SYS-003-500"
TRACE_ERROR = "SYS-004-409-TRACE"


@dataclass(frozen=True, slots=True)
class Case:
    """One request and what must come back.

    Attributes:
        kind: The application that is asked.
        name: What is tried.
        path: Where.
        shape: What the gated reply must be.
        status: The gated reply's status.
        method: The request's method.
        identity: Whole header lines that name the trace; ``%TRACE%``, ``%UPPER%`` and ``%HEX%`` stand for ``trace`` in
            three spellings.
        lines: Further header lines.
        body: The request's body.
        bound: The spelling that the reply must carry, with the same placeholders; ``MINTED`` where the gate makes one.
        bare: The status that the bare application itself answers, None where it does not answer.
        bare_cut: Whether the bare reply must end without a clean end.
        witness: Whether the application puts ``x-app`` on its reply.
        server_may_answer: Some servers refuse such a request by themselves.
        detail: The one detail of the error object.
        error_code: The error object's code.
        present: Whether the application's error JSON names the trace already.
        declared: Whether the broken body has a declared length.
        tries: How often the bare application is asked, until once no reply comes: some servers lose one now and then.
        follow: Asked afterwards; its body is added to the reply's.
    """

    kind: Kind
    name: str
    path: str
    shape: Shape
    status: int = 200
    method: str = "GET"
    identity: tuple[bytes, ...] = GOOD
    lines: tuple[bytes, ...] = ()
    body: bytes = b""
    bound: str = "%TRACE%"
    bare: int | None = None
    bare_cut: bool = False
    witness: bool = False
    server_may_answer: bool = False
    detail: str = ""
    error_code: str = ""
    present: bool = False
    declared: bool = False
    tries: int = 1
    follow: str = ""

    @property
    def id(self) -> str:
        """Return the name that is unique in the table."""
        return f"{self.kind}/{self.name}"

    @property
    def trace(self) -> str:
        """Return the id that is sent, the same in each run."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, self.id))

    @property
    def websocket(self) -> bool:
        """Return whether the request is a WebSocket handshake."""
        return self.path.startswith("/ws")

    def spell(self, template: bytes) -> bytes:
        """Return *template* with its placeholders filled in."""
        trace = self.trace.encode()
        for mark, value in ((b"%TRACE%", trace), (b"%UPPER%", trace.upper()), (b"%HEX%", trace.replace(b"-", b""))):
            template = template.replace(mark, value)
        return template

    def request_lines(self) -> tuple[bytes, ...]:
        """Return the header lines as they are sent."""
        return tuple(self.spell(line) for line in (*self.identity, *self.lines))
