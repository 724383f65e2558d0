"""How does an installed application answer the strictest server, and what is recorded meanwhile?"""
# ruff: noqa: ANN401 - an application of any framework, and any setting of a policy or a driver

from __future__ import annotations

import asyncio
import contextvars
import json
from typing import Any

from tests.property.drivers import asgi, wsgi
from tests.property.drivers.record import Notes, Reply
from tests.property.plan import OWN, Headers, Request
from tracegate.context import current_trace
from tracegate.core.events import Event
from tracegate.core.policy import Policy
from tracegate.runtime import Runtime

__all__ = ["ID", "Ledger", "ask_asgi", "ask_wsgi", "error_of", "is_standard_error", "request", "trace_of"]

ID = OWN.decode()


def peek() -> str | None:
    """Return the spelling of the trace that is bound here."""
    trace = current_trace()
    return None if trace is None else str(trace)


class Ledger(list[Event]):
    """A sink that keeps what it gets, and the runtime that writes to it."""

    def runtime(self, **policy: Any) -> Runtime:
        """Return a runtime of that policy."""
        return Runtime(Policy(**policy), sink=self.append)


def request(
    path: str, *headers: tuple[str, str], method: str = "GET", body: bytes = b"", trace: bool = True
) -> Request:
    """Return a request; without *trace* it names none."""
    lines: Headers = tuple((name.encode(), value.encode()) for name, value in headers)
    if b"host" not in dict(lines):
        lines = ((b"host", b"testserver"), *lines)
    if trace:
        lines = (*lines, (b"x-trace-id", OWN))
    if body:
        lines = (*lines, (b"content-length", str(len(body)).encode()))
    return Request(method=method, path=path, headers=lines, body=body)


def ask_asgi(app: Any, path: str | Request) -> Reply:
    """Make one request of an ASGI application, in a loop of its own; no context may be left behind."""
    asked = path if isinstance(path, Request) else request(path)
    notes = Notes(peek=peek, reply=Reply())
    asyncio.run(asgi.converse(app, asgi.AsgiServer(asked, notes.reply), notes, contextvars.copy_context()))
    assert notes.reply.trace_outside == [None]
    assert notes.reply.illegal == []
    return notes.reply


def ask_wsgi(app: Any, path: str | Request, **driver: Any) -> Reply:
    """Make one request of a WSGI application; no context may be left behind."""
    asked = path if isinstance(path, Request) else request(path)
    reply = wsgi.exchange(app, asked, Notes(peek=peek, reply=Reply()), **driver)
    assert set(reply.trace_outside) == {None}
    assert reply.illegal == []
    return reply


def trace_of(reply: Reply) -> str:
    """Return the one trace id of a reply."""
    (value,) = reply.values(b"x-trace-id")
    return value.decode()


def error_of(reply: Reply) -> dict[str, Any]:
    """Return the members of an error's JSON body, which names the trace of its head."""
    members: dict[str, Any] = json.loads(reply.body)
    assert members["trace_id"] == trace_of(reply)
    return members


def is_standard_error(reply: Reply) -> bool:
    """Return whether a reply is the whole standard error object of an unhandled exception, and says nothing of it."""
    assert reply.clean or reply.raised_from == "next"  # WSGI raises when the last byte is out
    assert reply.values(b"content-length") == [str(len(reply.body)).encode()]
    assert reply.values(b"content-type") == [b"application/json; charset=utf-8"]
    assert reply.values(b"cache-control") == [b"no-store"]
    found = (reply.status, error_of(reply))
    named = {"message": "Internal Server Error", "trace_id": ID, "details": []}
    return found == (500, {"error_code": "SYS-003-500", **named})
