"""What does an ASGI server see of a gate's shell? A fake that plays what comes in and keeps what goes out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeAlias, TypeVar

import trio

from tests.unit.fakes import OTHER, OWN, CountingMint, SteppingClock
from tracegate.adapters.asgi_passage import Passage
from tracegate.adapters.asgi_scope import Shell
from tracegate.core.events import Event
from tracegate.core.policy import Policy
from tracegate.runtime import Runtime

__all__ = [
    "FORGED",
    "ID_LINE",
    "JSON",
    "STREAM",
    "TEXT",
    "Line",
    "Message",
    "Server",
    "body",
    "length",
    "on_asyncio",
    "on_trio",
    "scope_of",
    "shell_of",
    "start",
    "turns",
    "values",
]

Message: TypeAlias = dict[str, Any]
Line: TypeAlias = tuple[bytes, bytes]
_Result = TypeVar("_Result")

TEXT, JSON, STREAM = ((b"content-type", media) for media in (b"text/plain", b"application/json", b"text/event-stream"))
ID_LINE, FORGED = (b"x-trace-id", OWN.encode()), (b"x-trace-id", OTHER.encode())


class Server:
    """One connection of a server, which takes one message at a time.

    Args:
        incoming: What ``receive`` returns, in turn; then it fails, since nobody may ask.

    Attributes:
        sent: The messages that ``send`` took, in order.
        incoming: What has not been received yet.
        before_send: Called with each message before it is taken; it may wait or raise.
    """

    def __init__(self, *incoming: Message) -> None:
        self.sent: list[Message] = []
        self.incoming = list(incoming)
        self.before_send: Callable[[Message], Awaitable[None]] | None = None
        self._is_busy = False

    async def receive(self) -> Message:
        return self.incoming.pop(0)

    async def send(self, message: Mapping[str, Any]) -> None:
        assert not self._is_busy, "two messages are on their way at once"
        self._is_busy = True
        try:
            if self.before_send is not None:
                await self.before_send(dict(message))
        finally:
            self._is_busy = False
        self.sent.append(dict(message))

    @property
    def starts(self) -> list[tuple[int, list[bytes]]]:
        """Status and trace ids of each head that was sent."""
        heads = [message for message in self.sent if message["type"].endswith(".start")]
        return [(head["status"], values(head["headers"])) for head in heads]

    @property
    def body(self) -> bytes:
        """The body bytes that were sent."""
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def ends(self) -> int:
        """How many messages ended a body."""
        return sum(message["type"].endswith(".body") and not message.get("more_body") for message in self.sent)


def values(headers: list[Line], name: bytes = b"x-trace-id") -> list[bytes]:
    """Return the values of the lines called *name*."""
    return [value for key, value in headers if key.lower() == name]


def start(status: object, *headers: Line, **more: object) -> Message:
    """Return the message that starts a reply."""
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def body(data: object = b"", *, more: bool = False) -> Message:
    """Return a body message."""
    return {"type": "http.response.body", "body": data, "more_body": more}


def length(size: int) -> Line:
    """Return the line that declares *size* bytes."""
    return (b"content-length", b"%d" % size)


def scope_of(**more: object) -> Message:
    """Return the scope of a GET for ``/things`` over HTTP/1.1 that names its trace."""
    usual: Message = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/things", "headers": [ID_LINE]}
    return {**usual, **more}


def shell_of(
    policy: Policy | None = None,
    app: Any = None,  # noqa: ANN401 - whatever a test lets the gate serve
    route_of: Callable[[Any], str | None] | None = None,
) -> tuple[Shell, list[Event]]:
    """Return a shell, and the list that its events go to."""
    events: list[Event] = []
    runtime = Runtime(policy, sink=events.append, clock=SteppingClock(), mint=CountingMint(), strict=True)
    terms = runtime.terms(b"x-trace-id")
    return Shell(app, runtime, terms, route_of, (terms.gate.accept, Passage)), events


async def turns(count: int = 20) -> None:
    """Let everything that can run on asyncio's loop do so."""
    for _ in range(count):
        await asyncio.sleep(0)


def on_asyncio(main: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
    """Run *main* on asyncio."""
    return asyncio.run(main())


def on_trio(main: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
    """Run *main* on trio."""
    return trio.run(main)
