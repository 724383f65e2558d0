"""How is a recorder of either protocol driven? One script for the application, one kind of client, two shells."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.integration.event_stream import ServerEvent, read_event_stream
from tests.property.plan import OTHER, OWN
from tracegate.adapters.asgi import TraceGate as AsgiGate
from tracegate.adapters.asgi_recorder import StreamRecorder as AsgiRecorder
from tracegate.adapters.recorder import Recorder
from tracegate.adapters.wsgi import TraceGate as WsgiGate
from tracegate.adapters.wsgi_recorder import StreamRecorder as WsgiRecorder
from tracegate.core.events import Event
from tracegate.core.policy import Policy
from tracegate.core.streams.policy import StreamPolicy
from tracegate.runtime import Runtime
from tracegate.store.schema import stream_event
from tracegate.store.streams import StreamStore

__all__ = ["FIRST", "SECOND", "Client", "Reply", "Script", "Shell", "all_closed", "rows", "shell_of"]

FIRST, SECOND = OWN, OTHER
"""The trace of the first request, and that of those that resume."""

_PATIENCE_SECONDS = 20


@dataclass
class Script:
    """What the application does.

    Attributes:
        steps: Bytes are sent, events waited for, exceptions raised.
        headers: Beside the media type.
        raises_after: Raised after the clean end.
        calls: How often it was called.
        sent: How many steps it has done.
        finished: Whether it came to its end.
    """

    steps: list[bytes | threading.Event | Exception]
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    media: bytes = b"text/event-stream"
    status: int = 200
    raises_after: Exception | None = None
    calls: int = 0
    sent: int = 0
    finished: bool = False


@dataclass
class Reply:
    """What a client got.

    Attributes:
        status: The status.
        headers: By lower-case name.
        body: All that was sent.
        clean: Whether it came to a clean end.
        raised: What the application raised into the server.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    clean: bool = False
    raised: BaseException | None = None

    @property
    def events(self) -> list[ServerEvent]:
        """What a browser sees in it."""
        return list(read_event_stream(self.body).events)

    @property
    def ids(self) -> list[str]:
        """The ids of its events."""
        return [event.last_event_id for event in self.events]


@dataclass
class Client:
    """A request.

    Attributes:
        trace: Its trace.
        last_event_id: Where it wants to go on, or None.
        who: Its principal; empty: nobody.
        tenant: Its tenant.
        path: What it asks for.
        leaves_after: After so many pieces of the body; None: it stays.
        reads: Called with all that has come, after each piece.
    """

    trace: bytes = FIRST
    last_event_id: bytes | None = None
    who: str = "ann"
    tenant: str = "a"
    path: str = "/answers/7"
    method: str = "GET"
    leaves_after: int | None = None
    reads: Callable[[bytes], object] = lambda _: None


class Shell:
    """An application behind a recorder, behind a gate.

    Attributes:
        script: The application's.
        recorder: The recorder's; for flushing.
        events: What the gate has recorded.
    """

    protocol = ""

    def __init__(self, script: Script, recorder: Recorder, *, gated: bool = True, settings: dict[str, Any]) -> None:
        self.script = script
        self.recorder = recorder
        self.events: list[Event] = []
        policy = Policy(tenant_header="X-Tenant-Key", **settings)
        runtime = Runtime(policy, sink=self.events.append)
        self.app: Any = self._wrapped(runtime, gated=gated)

    def _wrapped(self, runtime: Runtime, *, gated: bool) -> object:
        raise NotImplementedError

    def ask(self, client: Client | None = None, **facts: Any) -> Reply:  # noqa: ANN401 - any of a client's
        """Make a request, from any thread."""
        raise NotImplementedError

    def record(self, **facts: Any) -> Reply:  # noqa: ANN401 - same
        """Make a request, and wait until what is recorded of it is in the store."""
        reply = self.ask(**facts)
        assert self.recorder.writer.flush(_PATIENCE_SECONDS)
        return reply

    def resume(self, last_event_id: str, **facts: Any) -> Reply:  # noqa: ANN401 - same
        """Make the request again, as a client that has the events up to *last_event_id*."""
        return self.ask(**{"trace": SECOND, "last_event_id": last_event_id.encode(), **facts})


class _Asgi(Shell):
    protocol = "asgi"

    def _wrapped(self, runtime: Runtime, *, gated: bool) -> object:
        def who(scope: Any) -> str | None:  # noqa: ANN401
            return dict(scope["headers"]).get(b"x-user", b"").decode() or None

        recorder = AsgiRecorder(self._application, self.recorder, principal=who)
        return AsgiGate(recorder, runtime=runtime) if gated else recorder

    async def _application(self, _scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401
        script = self.script
        script.calls += 1
        headers = [(b"content-type", script.media), *script.headers]
        await send({"type": "http.response.start", "status": script.status, "headers": headers})
        for step in script.steps:
            if isinstance(step, threading.Event):
                await asyncio.to_thread(step.wait, _PATIENCE_SECONDS)
            elif isinstance(step, Exception):
                raise step
            else:
                await send({"type": "http.response.body", "body": step, "more_body": True})
            script.sent += 1
        await send({"type": "http.response.body", "body": b""})
        if script.raises_after is not None:
            raise script.raises_after
        script.finished = True

    def ask(self, client: Client | None = None, **facts: Any) -> Reply:  # noqa: ANN401
        asked = client or Client(**facts)
        headers = [(b"x-trace-id", asked.trace), (b"x-user", asked.who.encode())]
        headers.append((b"x-tenant-key", asked.tenant.encode()))
        if asked.last_event_id is not None:
            headers.append((b"last-event-id", asked.last_event_id))
        scope = {"type": "http", "http_version": "1.1", "method": asked.method, "path": asked.path, "headers": headers}
        return asyncio.run(self._ask(scope, asked))

    async def _ask(self, scope: dict[str, Any], asked: Client) -> Reply:
        reply, left, pieces = Reply(), asyncio.Event(), 0

        async def receive() -> dict[str, Any]:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            nonlocal pieces
            if left.is_set():
                raise ConnectionResetError
            if message["type"] == "http.response.start":
                reply.status = message["status"]
                reply.headers = {name.decode(): value.decode() for name, value in message["headers"]}
                return
            reply.body += message.get("body", b"")
            reply.clean = not message.get("more_body")
            pieces += bool(message.get("body"))
            asked.reads(reply.body)
            if pieces == asked.leaves_after:
                left.set()

        serve: Callable[..., Awaitable[None]] = self.app
        try:
            await serve(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - whatever the application raises
            reply.raised = error
        return reply


class _Wsgi(Shell):
    protocol = "wsgi"

    def _wrapped(self, runtime: Runtime, *, gated: bool) -> object:
        def who(environ: Any) -> str | None:  # noqa: ANN401
            return environ.get("HTTP_X_USER") or None

        recorder = WsgiRecorder(self._application, self.recorder, principal=who)
        return WsgiGate(recorder, runtime=runtime) if gated else recorder

    def _application(self, _environ: Any, start_response: Any) -> Iterator[bytes]:  # noqa: ANN401
        script = self.script
        script.calls += 1
        headers = [("Content-Type", script.media.decode())]
        headers += [(name.decode(), value.decode()) for name, value in script.headers]
        start_response(f"{script.status} Fine", headers)
        return self._body()

    def _body(self) -> Iterator[bytes]:
        script = self.script
        for step in script.steps:
            if isinstance(step, threading.Event):
                step.wait(_PATIENCE_SECONDS)
            elif isinstance(step, Exception):
                raise step
            else:
                yield step
            script.sent += 1
        script.finished = True

    def ask(self, client: Client | None = None, **facts: Any) -> Reply:  # noqa: ANN401
        asked = client or Client(**facts)
        path = asked.path.encode().decode("latin-1")
        environ = {
            "REQUEST_METHOD": asked.method, "PATH_INFO": path, "QUERY_STRING": "", "wsgi.input": io.BytesIO(),
            "HTTP_X_TRACE_ID": asked.trace.decode(), "HTTP_X_USER": asked.who, "HTTP_X_TENANT_KEY": asked.tenant,
        }  # fmt: skip
        if asked.last_event_id is not None:
            environ["HTTP_LAST_EVENT_ID"] = asked.last_event_id.decode("latin-1")
        reply = Reply()
        try:
            self._ask(environ, asked, reply)
        except Exception as error:  # noqa: BLE001 - same
            reply.raised = error
        return reply

    def _ask(self, environ: dict[str, Any], asked: Client, reply: Reply) -> None:
        def start_response(status: str, headers: Any, _: Any = None) -> Callable[[bytes], None]:  # noqa: ANN401
            reply.status = int(status[:3])
            reply.headers = {name.lower(): value for name, value in headers}
            return asked.reads

        body, pieces = self.app(environ, start_response), 0
        try:
            for piece in body:
                reply.body += piece
                pieces += bool(piece)
                asked.reads(reply.body)
                if pieces == asked.leaves_after:
                    return
            reply.clean = True
        finally:
            if hasattr(body, "close"):
                body.close()


_SHELLS: dict[str, type[Shell]] = {"asgi": _Asgi, "wsgi": _Wsgi}


def shell_of(  # noqa: PLR0913 - what a test may want otherwise
    protocol: str,
    engine: Engine,
    script: Script,
    *,
    store: StreamStore | None = None,
    gated: bool = True,
    settings: dict[str, Any] | None = None,
    **policy: Any,  # noqa: ANN401 - any of a stream policy
) -> Shell:
    """Return *script* behind a recorder of *protocol*, behind a gate."""
    known = {"poll_seconds": 0.02, "commit_wait_seconds": 0.1, **policy}
    recorder = Recorder(store or StreamStore(engine), StreamPolicy(**known))
    _made.append(recorder)
    return _SHELLS[protocol](script, recorder, gated=gated, settings=settings or {})


_made: list[Recorder] = []


@pytest.fixture(autouse=True)
def all_closed(engine: Engine) -> Iterator[None]:
    """Leave no thread that writes into a store which is no more."""
    assert engine
    yield
    while _made:
        assert _made.pop().writer.close(20)


def rows(engine: Engine) -> list[Any]:
    """Return all that is recorded, in order."""
    with engine.connect() as connection:
        return list(
            connection.execute(stream_event.select().order_by(stream_event.c.created_at, stream_event.c.event_seq))
        )
