"""Does the ASGI gate hold where an application is more than a list of messages?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.property.drivers import asgi
from tests.property.drivers.asgi import AsgiApplication, AsgiServer, Message, Receive, Send
from tests.property.drivers.gates import peek, runtime_of
from tests.property.drivers.record import Fact, Notes, Reply
from tests.property.plan import OTHER, OWN, Request, Settings
from tracegate.adapters.asgi import TraceGate
from tracegate.context import current_trace
from tracegate.core.trace import Trace

START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
STREAM: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
END: Message = {"type": "http.response.body", "body": b"", "more_body": False}
LINE = b"trace_id: " + OWN


def body(text: bytes, *, more: bool = True) -> Message:
    """Return a body message."""
    return {"type": "http.response.body", "body": text, "more_body": more}


def serve(
    application: AsgiApplication, request: Request | None = None, settings: Settings | None = None
) -> tuple[Reply, list[Fact]]:
    """Let *application* answer behind the gate."""
    events: list[Fact] = []
    reply = Reply()
    gate: Any = TraceGate(application, runtime=runtime_of(settings or Settings(), events))
    asgi.exchange(gate, request or Request(), Notes(peek=peek, reply=reply))
    assert reply.trace_outside == [None]
    return reply, events


async def steps(send: Send, at: int) -> None:
    """Answer in six awaits and raise before number *at*."""
    for number, message in enumerate((None, START, None, body(b"a"), END, None)):
        if number == at:
            raise LookupError(number)
        await (asyncio.sleep(0) if message is None else send(message))


@pytest.mark.contract("C4", "C5")
@pytest.mark.parametrize("at", range(6))
def test_an_exception_at_each_await_is_a_traced_500_or_no_clean_end(at: int) -> None:
    """Before the start a whole 500; after it no end; after the end a whole reply; the exception always comes out."""

    async def application(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
        await steps(send, at)

    reply, _ = serve(application)
    assert isinstance(reply.raised, LookupError)
    assert reply.values(b"x-trace-id") == [OWN]
    assert (reply.status, reply.clean) == ((500, True) if at < 2 else (200, at == 5))


@pytest.mark.contract("D6")
def test_a_ping_from_a_second_task_never_splits_an_event() -> None:
    """sse-starlette pings beside the stream; each ping stands between two events."""

    async def application(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
        await send(STREAM)

        async def ping() -> None:
            for _ in range(20):
                await asyncio.sleep(0)
                await send(body(b": ping\n\n"))

        task = asyncio.create_task(ping())
        for number in range(20):
            await asyncio.sleep(0)
            await send(body(b'data: {"n":%d}\n\n' % number))
        await task
        await send(END)

    reply, _ = serve(application)
    blocks = reply.body.split(b"\n\n")[:-1]
    assert blocks.count(b": ping") == 20
    assert [json.loads(block[6:])["n"] for block in blocks if block != b": ping"] == list(range(20))
    assert all(OWN in block for block in blocks if block != b": ping")


@pytest.mark.contract("D7")
def test_an_application_that_waits_for_the_client_after_its_end_does_not_hold_the_stream() -> None:
    """The held closing message leaves when the application calls receive again."""

    async def application(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
        await receive()
        await send(STREAM)
        await send(body(b"data: a\n\n"))
        await send(END)
        assert (await receive())["type"] == "http.disconnect"

    reply, _ = serve(application, settings=Settings(sse_hold_seconds=60.0))
    assert reply.clean
    assert reply.body == b"data: a\n" + LINE + b"\n\n"


@pytest.mark.contract("D7")
def test_a_silent_stream_starts_after_the_hold() -> None:
    """The head is out although no byte of the body has come, and while the application goes on waiting."""
    started = asyncio.Event()

    async def application(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
        await send(STREAM)
        await started.wait()
        await send(body(b"data: a\n\n", more=False))

    async def outer(scope: Message, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                started.set()

        events: list[Fact] = []
        await TraceGate(application, runtime=runtime_of(Settings(sse_hold_seconds=0.01), events))(
            scope, receive, watched
        )

    reply = Reply()
    asgi.exchange(outer, Request(), Notes(reply=reply))
    assert reply.clean
    assert reply.body == b"data: a\n" + LINE + b"\n\n"


@pytest.mark.contract("D7", "C4")
def test_a_stream_that_fails_after_the_hold_has_an_error_event() -> None:
    """Once the head is out the failure can only be an event."""
    started = asyncio.Event()

    async def application(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
        await send(STREAM)
        await started.wait()
        raise LookupError

    async def outer(scope: Message, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            await send(message)
            started.set()

        await TraceGate(application, runtime=runtime_of(Settings(sse_hold_seconds=0.01), []))(scope, receive, watched)

    reply = Reply()
    asgi.exchange(outer, Request(), Notes(reply=reply))
    assert isinstance(reply.raised, LookupError)
    assert not reply.clean
    assert reply.body.startswith(b"event: error\n")
    assert reply.status == 200


@pytest.mark.contract("C8")
def test_one_reused_list_of_headers_gathers_nothing() -> None:
    """Frameworks keep module-level lists; the gate never edits them."""
    headers = [(b"content-type", b"application/json")]
    message: Message = {"type": "http.response.start", "status": 404, "headers": headers}

    async def application(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
        await send(message)
        await send(body(b"{}", more=False))

    for spelling in (OWN, OTHER, OWN.upper()):
        reply, _ = serve(application, Request(headers=((b"x-trace-id", spelling),)))
        assert reply.values(b"x-trace-id") == [spelling]
    assert headers == [(b"content-type", b"application/json")]
    assert message == {"type": "http.response.start", "status": 404, "headers": headers}


@pytest.mark.contract("E2")
def test_after_a_refusal_the_application_hears_that_the_client_left() -> None:
    """Later sends are swallowed, receive reports a disconnect, and what the application does then is of no account."""
    heard: list[str] = []

    async def application(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
        await receive()
        await send({**START, "headers": [(b"x-trace-id", OTHER)]})
        await send(body(b"a"))
        await send(END)
        heard.append((await receive())["type"])

    reply, events = serve(application)
    assert (reply.status, reply.clean, heard) == (409, True, ["http.disconnect"])
    assert [event.kind for event in events] == ["trace_overwrite_refused"]


@pytest.mark.contract("G1")
def test_the_trace_reaches_tasks_threads_and_the_scope() -> None:
    """Tasks, to_thread, async generators, and scope["state"]."""
    seen: list[str | None] = []

    async def application(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
        async def look() -> None:
            await asyncio.sleep(0)
            seen.append(peek())

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(2):
                seen.append(peek())
                yield b"x"

        await asyncio.create_task(look())
        seen.append(await asyncio.to_thread(peek))
        seen.extend(str(value) for value in scope["state"].values() if str(value) == OWN.decode())
        await send(START)
        async for chunk in chunks():
            await send(body(chunk))
        await send(END)

    reply, _ = serve(application)
    assert reply.clean
    assert len(seen) >= 5
    assert set(seen) == {OWN.decode()}


@pytest.mark.contract("C8")
def test_the_servers_scope_is_not_edited() -> None:
    """What the gate adds goes into a copy: the server may reuse its scope and its state."""
    scopes: list[dict[str, Any]] = []

    async def application(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
        scopes.append(dict(scope))
        await send(START)
        await send(END)

    async def outer(scope: Message, receive: Receive, send: Send) -> None:
        before = {**scope, "state": dict(scope["state"]), "headers": list(scope["headers"])}
        await TraceGate(application, runtime=runtime_of(Settings(), []))(scope, receive, send)
        assert scope == before

    reply = Reply()
    asgi.exchange(outer, Request(), Notes(reply=reply))
    assert reply.raised is None
    assert scopes[0]["headers"] == [(b"x-trace-id", OWN)]


@pytest.mark.contract("B1", "G2")
def test_requests_that_overlap_in_one_context_keep_their_own_traces() -> None:
    """Pipelined requests inherit each other's context on some servers; an inherited trace is never this request's."""
    names = [OWN, OTHER, b"01890a5d-ac96-774b-bcce-b302099a8057"]
    seen: dict[str, list[str | None]] = {}

    async def application(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
        key = scope["path"]
        seen.setdefault(key, []).append(peek())
        await asyncio.sleep(0)
        seen[key].append(peek())
        if names[int(key[1:])] == OWN:
            await converse_with(1, application)
        await send(START)
        await asyncio.sleep(0)
        seen[key].append(peek())
        await send(END)

    replies: list[Reply] = []

    async def converse_with(number: int, application: AsgiApplication) -> None:
        reply = Reply()
        replies.append(reply)
        request = Request(path=f"/{number}", headers=((b"x-trace-id", names[number]),))
        server = AsgiServer(request, reply)
        gate = TraceGate(application, runtime=runtime_of(Settings(), []))
        await gate(server.scope(), server.receive, server.send)

    async def scene() -> None:
        await asyncio.gather(converse_with(0, application), converse_with(2, application))
        assert peek() is None

    asyncio.run(scene())
    assert sorted(reply.values(b"x-trace-id")[0] for reply in replies) == sorted(names)
    assert seen == {f"/{number}": [name.decode()] * 3 for number, name in enumerate(names)}


@pytest.mark.contract("B2", "B6")
def test_what_else_the_caller_named_is_kept_beside_the_trace() -> None:
    """An untrusted caller's valid id, and the other trace of a mesh's traceparent."""
    seen: list[Trace | None] = []

    async def application(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
        seen.append(current_trace())
        await send(START)
        await send(END)

    serve(application, Request(), Settings(trusted=("10.0.0.0/8",)))
    parent = (b"traceparent", b"00-%s-00f067aa0ba902b7-01" % OTHER.replace(b"-", b""))
    serve(application, Request(headers=((b"x-trace-id", OWN), parent)), Settings(traceparent_mismatch="parent"))
    client, mesh = seen
    assert client is not None
    assert (client.client_trace_id, client.minted) == (OWN.decode(), True)
    assert mesh is not None
    assert (mesh.trace_id, mesh.parent_trace_id) == (OWN.decode(), OTHER.replace(b"-", b"").decode())


async def _swallow(message: Message) -> None:
    raise AssertionError(message)


@pytest.mark.contract("C8")
@pytest.mark.parametrize("kind", ["lifespan", "telepathy"])
def test_other_scopes_pass(kind: str) -> None:
    """Lifespan and unknown scopes reach the application as they came: the very same objects."""
    calls: list[tuple[Any, ...]] = []

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        calls.append((scope, receive, send))

    async def receive() -> Message:
        return {"type": f"{kind}.startup"}

    scope = {"type": kind}
    asyncio.run(TraceGate(application, runtime=runtime_of(Settings(), []))(scope, receive, _swallow))
    assert calls == [(scope, receive, _swallow)]
    assert scope == {"type": kind}
