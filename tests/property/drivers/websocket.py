"""How does the strictest ASGI server treat a WebSocket application?"""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

from tests.property.drivers.asgi import AsgiApplication, Message
from tests.property.drivers.record import Notes, Reply, ServerError
from tests.property.oracle.head import is_legal
from tests.property.plan import Headers

__all__ = ["DENIAL", "connect"]

DENIAL = "websocket.http.response"
_LOOP = asyncio.new_event_loop()


class _Server:
    """One handshake, and the messages after it."""

    def __init__(self, reply: Reply, messages: tuple[Message, ...], *, denial: bool) -> None:
        self.reply = reply
        self.inbox: list[Message] = [{"type": "websocket.connect"}, *messages]
        self.denial = denial
        self.state = "connecting"

    async def receive(self) -> Message:
        if self.inbox:
            return self.inbox.pop(0)
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(self, message: Message) -> None:
        self.reply.sends += 1
        kind = message["type"]
        if kind == "websocket.accept" and self.state == "connecting":
            self._head(101, message)
            self.state = "open"
        elif kind == "websocket.http.response.start" and self.state == "connecting" and self.denial:
            self._head(message["status"], message)
            if not is_legal(message["status"], self.reply.headers):
                self._refuse(f"an illegal head {message!r}")
            self.state = "denying"
        elif kind == "websocket.http.response.body" and self.state == "denying":
            self.reply.parts.append((message.get("body", b""), message.get("more_body", False)))
            if not message.get("more_body", False):
                self.state, self.reply.clean = "over", True
        elif kind == "websocket.close" and self.state in ("connecting", "open"):
            self.reply.others.append(dict(message))
            self.reply.clean = True
            if self.state == "connecting":
                self.reply.status = 403
            self.state = "over"
        elif kind == "websocket.send" and self.state == "open":
            self.reply.others.append(dict(message))
        else:
            self._refuse(f"{kind} in state {self.state!r}")

    def _head(self, status: int, message: Message) -> None:
        self.reply.status = status
        self.reply.headers = [(name, value) for name, value in message.get("headers", ())]
        self.reply.start_extras = {k: v for k, v in message.items() if k not in ("type", "status", "headers")}

    def _refuse(self, fault: str) -> None:
        self.reply.illegal.append(fault)
        raise ServerError(fault)


def connect(
    application: AsgiApplication, headers: Headers, notes: Notes, *messages: Message, denial: bool = True
) -> Reply:
    """Open one WebSocket and return what the server saw; status 101 is an accepted handshake.

    Args:
        application: The application, gated or not.
        headers: The handshake's headers.
        notes: Where the reply goes, and how to look at the trace.
        messages: What the client sends after the handshake.
        denial: Whether the server offers denial responses.
    """
    reply = notes.reply
    server = _Server(reply, messages, denial=denial)
    scope: dict[str, Any] = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/socket",
        "raw_path": b"/socket",
        "query_string": b"",
        "root_path": "",
        "headers": [(name, value) for name, value in headers],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
        "subprotocols": [],
        "extensions": {DENIAL: {}} if denial else {},
        "state": {},
    }

    async def serve() -> None:
        try:
            await application(scope, server.receive, server.send)
        except BaseException as error:  # noqa: BLE001  the server is the last to see any of them
            reply.raised, reply.raised_after = error, reply.sends

    async def scene() -> None:
        context = contextvars.copy_context()
        await asyncio.get_running_loop().create_task(serve(), context=context)
        reply.trace_outside.append(context.run(notes.peek))

    _LOOP.run_until_complete(asyncio.wait_for(scene(), 20.0))
    return reply
