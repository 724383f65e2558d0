"""How does the strictest ASGI server treat an application?

It refuses heads that h11 refuses, counts declared lengths, allows one start and nothing after the end, and can lose its
client, be cancelled or die at any send.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, TypeAlias

from tests.property.drivers.record import ClientGoneError, Interruption, Notes, Reply, ServerError
from tests.property.oracle.head import declared_length, is_legal
from tests.property.plan import Request

__all__ = ["AsgiApplication", "AsgiServer", "converse", "exchange"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApplication: TypeAlias = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

PATIENCE_SECONDS = 3.0
"""How long an exchange may take before it counts as hung."""

_LOOP = asyncio.new_event_loop()


class AsgiServer:
    """The server's side of one HTTP exchange."""

    def __init__(
        self,
        request: Request,
        reply: Reply,
        *,
        extensions: tuple[str, ...] = (),
        interruption: Interruption | None = None,
    ) -> None:
        self.request = request
        self.reply = reply
        self.extensions = extensions
        self.interruption = interruption
        self.task: asyncio.Task[None] | None = None
        self.over = asyncio.Event()
        self._requests = [{"type": "http.request", "body": request.body, "more_body": False}]
        self._state = "idle"
        self._length: int | None = None
        self._sent = 0
        self._wants_trailers = False

    def scope(self, *, one_shot: bool = False) -> dict[str, Any]:
        """Return the scope; with *one_shot* its headers can be read once only, and optional keys are missing."""
        request = self.request
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": request.path,
            "raw_path": request.path.encode(),
            "query_string": request.query,
            "headers": [(name, value) for name, value in request.headers],
        }
        if one_shot:
            scope["headers"] = iter([iter(pair) for pair in request.headers])
            return scope
        return scope | {
            "root_path": "",
            "client": None if request.client is None else (request.client, 50000),
            "server": ("127.0.0.1", 80),
            "extensions": {name: {} for name in self.extensions},
            "state": {},
        }

    async def receive(self) -> Message:
        if self._requests:
            return self._requests.pop()
        await self.over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        number, self.reply.sends = self.reply.sends, self.reply.sends + 1
        await self._interrupt(number)
        kind = message["type"]
        if kind == "http.response.start":
            self._start(message)
        elif kind == "http.response.body":
            self._body(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.pathsend":
            self.reply.used_file = True
            self._body(Path(message["path"]).read_bytes(), more=False)
        elif kind == "http.response.zerocopysend":
            self.reply.used_file = True
            size = message.get("count") or os.fstat(message["file"]).st_size
            self._body(os.pread(message["file"], size, message.get("offset", 0)), more=message.get("more_body", False))
        elif kind == "http.response.trailers":
            self._trailers(message)
        else:
            if kind == "http.response.early_hint":
                self.reply.informational.append([(b"link", link) for link in message["links"]])
            self.reply.others.append(dict(message))

    async def _interrupt(self, number: int) -> None:
        plan = self.interruption
        if plan is None or number < plan.at:
            return
        if plan.kind == "gone":
            self.over.set()
            message = "client gone"
            raise ClientGoneError(message)
        if plan.kind == "dies":
            message = "the server died"
            raise ServerError(message)
        if number == plan.at and self.task is not None:
            self.task.cancel()
            await asyncio.sleep(0)

    def _refuse(self, message: str) -> ServerError:
        self.reply.illegal.append(message)
        return ServerError(message)

    def _start(self, message: Message) -> None:
        headers = [(name, value) for name, value in message.get("headers", ())]
        if self._state != "idle":
            raise self._refuse("a second start")
        if not all(type(name) is bytes and type(value) is bytes for name, value in headers):
            raise self._refuse("headers are not bytes")
        if type(message["status"]) is not int or not is_legal(message["status"], headers):
            raise self._refuse(f"an illegal head: {message['status']} {headers}")
        self.reply.status, self.reply.headers = message["status"], headers
        self.reply.start_extras = {key: message[key] for key in message if key not in ("type", "status", "headers")}
        self._wants_trailers = bool(message.get("trailers"))
        self._state = "body"
        if message["status"] not in (204, 304) and self.request.method != "HEAD":
            self._length = declared_length(headers)
        else:
            self._length = -1

    def _body(self, body: bytes, *, more: bool) -> None:
        if self._state != "body":
            raise self._refuse(f"a body message in state {self._state!r}")
        if type(body) is not bytes:
            raise self._refuse(f"a body of type {type(body).__name__}")
        self.reply.parts.append((body, more))
        self._sent += len(body)
        if self._length is not None and self._sent > self._length >= 0:
            message = "the body is longer than its Content-Length"
            raise ServerError(message)
        if not more:
            if self._length is not None and self._sent < self._length:
                message = "the body is shorter than its Content-Length"
                raise ServerError(message)
            self._state = "trailers" if self._wants_trailers else "over"
            self._finish()

    def _trailers(self, message: Message) -> None:
        if self._state != "trailers":
            raise self._refuse(f"trailers in state {self._state!r}")
        self.reply.trailers = [*(self.reply.trailers or []), *((name, value) for name, value in message["headers"])]
        if not message.get("more_trailers", False):
            self._state = "over"
            self._finish()

    def _finish(self) -> None:
        if self._state == "over":
            self.reply.clean = True
            self.over.set()


async def converse(
    application: AsgiApplication,
    server: AsgiServer,
    notes: Notes,
    context: contextvars.Context,
    *,
    one_shot: bool = False,
) -> None:
    """Let *application* answer *server*, in a task of its own in *context*."""
    reply = server.reply

    async def serve() -> None:
        try:
            await application(server.scope(one_shot=one_shot), server.receive, server.send)
        except BaseException as error:  # noqa: BLE001  the server is the last to see any of them
            reply.raised, reply.raised_from, reply.raised_after = error, "call", reply.sends

    server.task = asyncio.get_running_loop().create_task(serve(), context=context)
    _, hung = await asyncio.wait({server.task}, timeout=PATIENCE_SECONDS)
    if hung:
        server.task.cancel()
        reply.illegal.append("the exchange hung")
    reply.trace_outside.append(context.run(notes.peek))


def exchange(  # noqa: PLR0913  each argument is one way in which servers differ
    application: AsgiApplication,
    request: Request,
    notes: Notes,
    *,
    extensions: tuple[str, ...] = (),
    interruption: Interruption | None = None,
    one_shot: bool = False,
) -> Reply:
    """Make one request and return what the server saw; tasks left behind count as illegal."""
    reply = notes.reply

    async def scene() -> None:
        server = AsgiServer(request, reply, extensions=extensions, interruption=interruption)
        await converse(application, server, notes, contextvars.copy_context(), one_shot=one_shot)
        server.over.set()
        if len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)
            reply.illegal.extend(
                "a task was left behind" for task in asyncio.all_tasks() if task is not asyncio.current_task()
            )

    _LOOP.run_until_complete(scene())
    return reply
