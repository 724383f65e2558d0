"""What is counted of a request and its reply, on ASGI and on WSGI? The definitions of docs/metrics.md."""
# ruff: noqa: ANN401 - an application under test may do anything

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.adapters import wsgi_server
from tests.unit.adapters.asgi_server import FORGED, STREAM, TEXT, Server, body, length, scope_of, start
from tests.unit.fakes import OWN
from tracegate.adapters.asgi import TraceGate as AsgiGate
from tracegate.adapters.asgi_passage import Passage
from tracegate.adapters.asgi_scope import DENIAL
from tracegate.adapters.wsgi import TraceGate as WsgiGate
from tracegate.core.policy import Policy
from tracegate.runtime import Runtime
from tracegate.sinks.traffic import Counts, Traffic

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
OWN_LINE = (b"x-trace-id", OWN.encode())
OBJECT = b'{"a": 1}'
ERROR = (b"content-type", b"application/json")
EVENTS = b"data: 1\n\ndata: {}\n\n: ping\n\ndata: 2\n\n"
Head = tuple[int, list[tuple[bytes, bytes]]]
TRACED, LOST, KEPT = Counts(1, 1), Counts(1), Counts(1, 0, 1)


def counted(traffic: Traffic) -> dict[str, Counts]:
    """Return what has been counted in all, by tenant; nothing where nothing was."""
    gc.collect()  # streams that have ended
    traffic.read(NOON)
    found: dict[str, Counts] = {}
    for minute in traffic.minutes():
        if minute.counts != Counts():
            found[minute.tenant] = found.get(minute.tenant, Counts()) + minute.counts
    return found


def answered(*_head: Any) -> Callable[[bytes], object]:
    """Take a head, as a WSGI server does."""
    return lambda _data: None


def gate_of(policy: Policy, make: Callable[..., Any], app: Any) -> tuple[Any, Traffic]:
    """Return a gate that counts, and what it counts with."""
    traffic = Traffic(policy, lambda: None)
    return make(app, runtime=Runtime(policy, traffic=traffic)), traffic


async def served(gate: Any, server: Server, scope: Any) -> None:
    """Serve one request; what the application raises is the server's to log."""
    with suppress(RuntimeError, OSError, asyncio.CancelledError):
        await gate(scope, server.receive, server.send)


def on_asgi(policy: Policy, head: Head, pieces: Iterable[Any], **scope: Any) -> dict[str, Counts]:
    """Serve one request by an application that sends *head* and *pieces*, of which an exception is raised."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        left = list(pieces)
        if left[:1] and isinstance(left[0], BaseException):
            raise left[0]
        await send(start(head[0], *head[1]))
        for piece in left:
            if isinstance(piece, BaseException):
                raise piece
            await send(body(piece, more=True))
        await send(body())

    gate, traffic = gate_of(policy, AsgiGate, app)
    asyncio.run(served(gate, Server(), scope_of(**scope)))
    return counted(traffic)


def on_wsgi(policy: Policy, head: Head, pieces: Iterable[Any], **scope: Any) -> dict[str, Counts]:
    """Do the same, with a generator where an exception is raised, else with a list."""
    lines = [(name.decode(), value.decode()) for name, value in head[1]]

    def app(_environ: Any, start_response: Any) -> Iterable[bytes]:
        left = list(pieces)
        if left[:1] and isinstance(left[0], BaseException):
            raise left[0]
        start_response(f"{head[0]} Status", lines)
        return steps(left) if any(isinstance(piece, BaseException) for piece in left) else left

    def steps(left: list[Any]) -> Iterator[bytes]:
        for piece in left:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    headers = scope.get("headers", [OWN_LINE])
    environ = {f"HTTP_{name.decode().upper().replace('-', '_')}": value.decode() for name, value in headers}
    gate, traffic = gate_of(policy, WsgiGate, app)
    found = {**wsgi_server.environ(None), **environ}
    reply = gate(found, answered)
    with suppress(RuntimeError, OSError):
        list(reply)
    getattr(reply, "close", bool)()
    del reply
    return counted(traffic)


ADAPTERS = pytest.mark.parametrize("serve", [on_asgi, on_wsgi])
PLAIN: Head = (200, [(b"content-type", b"text/plain"), length(2)])

REPLIES: dict[str, tuple[Counts, Policy, Head, list[Any]]] = {
    "a plain reply": (TRACED, Policy(), PLAIN, [b"ok"]),
    "a reply of unknown length": (TRACED, Policy(), (200, [TEXT]), [b"o", b"k"]),
    "an empty reply": (TRACED, Policy(), (204, []), []),
    "an error object": (TRACED, Policy(), (404, [ERROR]), [OBJECT]),
    "an exception before the head": (TRACED, Policy(), PLAIN, [RuntimeError()]),
    "an exception after the head": (TRACED, Policy(), PLAIN, [b"o", RuntimeError()]),
    "a body that is too long": (TRACED, Policy(), PLAIN, [b"far too long"]),
    "another trace, refused": (TRACED, Policy(), (200, [FORGED]), [b"ok"]),
    "another trace, kept": (KEPT, Policy(on_conflict="keep"), (200, [FORGED]), [b"ok"]),
    "another trace, observed": (KEPT, Policy(mode="observe"), (200, [FORGED]), [b"ok"]),
    "its own trace": (TRACED, Policy(), (200, [OWN_LINE]), [b"ok"]),
    "a head that no server sends": (TRACED, Policy(), (200, [(b"x y", b"z")]), [b"ok"]),
    "a stream": (Counts(1, 1, 0, 3), Policy(), (200, [STREAM]), [EVENTS[:11], EVENTS[11:]]),
    "a stream that breaks": (Counts(1, 1, 0, 2), Policy(), (200, [STREAM]), [EVENTS[:20], RuntimeError()]),
}


@ADAPTERS
@pytest.mark.contract("H1")
@pytest.mark.parametrize("name", REPLIES)
def test_a_request_and_its_reply_are_counted_once(serve: Callable[..., dict[str, Counts]], name: str) -> None:
    """Whatever way the head goes; a reply that keeps another trace is one without the bound one."""
    expected, policy, head, pieces = REPLIES[name]
    assert serve(policy, head, pieces) == {"default": expected}


@ADAPTERS
@pytest.mark.contract("H1")
def test_a_refusal_is_a_request_with_a_traced_reply(serve: Callable[..., dict[str, Counts]]) -> None:
    """The gate's own reply carries a trace that was made for it."""
    assert serve(Policy(), PLAIN, [b"ok"], headers=[]) == {"default": TRACED}
    assert serve(Policy(), PLAIN, [b"ok"], headers=[FORGED, OWN_LINE][:1]) == {"default": TRACED}


@ADAPTERS
@pytest.mark.contract("H1", "F2")
def test_traffic_is_counted_for_the_tenant_that_events_name(serve: Callable[..., dict[str, Counts]]) -> None:
    """By the configured header; unknown ones are one tenant, and without a header there is the default one."""
    policy = Policy(tenant_header="X-Tenant-Key", tenants=("north",))
    for value, tenant in ((b"north", "north"), (b"south", "unknown")):
        assert serve(policy, PLAIN, [b"ok"], headers=[OWN_LINE, (b"x-tenant-key", value)]) == {tenant: TRACED}
        assert serve(policy, PLAIN, [b"ok"], headers=[(b"x-tenant-key", value)]) == {tenant: TRACED}
        assert serve(policy, (404, [ERROR]), [OBJECT], headers=[OWN_LINE, (b"x-tenant-key", value)]) == {tenant: TRACED}
    assert serve(policy, PLAIN, [b"ok"]) == {"default": TRACED}


@pytest.mark.contract("H1")
@pytest.mark.parametrize("head", [PLAIN, (200, [TEXT]), (404, [ERROR]), (200, [STREAM])])
def test_a_head_that_the_server_does_not_take_is_no_reply(head: Head) -> None:
    """The client has left: the request is counted, and nothing else."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start(head[0], *head[1]))
        await send(body(OBJECT[: 2 if head is PLAIN else None]))

    async def gone(_message: Any) -> None:
        raise OSError("the client left")

    gate, traffic = gate_of(Policy(), AsgiGate, app)
    server = Server()
    server.before_send = gone
    asyncio.run(served(gate, server, scope_of()))
    assert counted(traffic) == {"default": LOST}


@pytest.mark.contract("H1")
@pytest.mark.parametrize("head", [PLAIN, (404, [ERROR])])
def test_a_reply_to_a_client_that_has_left_is_no_reply(head: Head) -> None:
    """The application saw the disconnect and replied all the same; servers take that in silence."""

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(start(head[0], *head[1]))
        await send(body(OBJECT[: 2 if head is PLAIN else None]))

    gate, traffic = gate_of(Policy(), AsgiGate, app)
    asyncio.run(served(gate, Server({"type": "http.disconnect"}), scope_of()))
    assert counted(traffic) == {"default": LOST}


@pytest.mark.contract("H1")
def test_a_cancelled_request_is_counted_without_a_reply() -> None:
    """Nothing is sent then (C4)."""

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise asyncio.CancelledError

    gate, traffic = gate_of(Policy(), AsgiGate, app)
    asyncio.run(served(gate, Server(), scope_of()))
    assert counted(traffic) == {"default": LOST}


ACCEPTED = {"type": "websocket.accept"}
HANDSHAKES: dict[str, tuple[Counts, dict[str, Any], list[Any]]] = {
    "accepted": (TRACED, {}, [ACCEPTED]),
    "accepted with another trace, refused by a denial": (TRACED, {DENIAL: {}}, [{**ACCEPTED, "headers": [FORGED]}]),
    "closed, as a denial": (TRACED, {DENIAL: {}}, [{"type": "websocket.close"}]),
    "closed, for the server to answer": (LOST, {}, [{"type": "websocket.close"}]),
    "denied": (
        TRACED,
        {DENIAL: {}},
        [{"type": f"{DENIAL}.start", "status": 403, "headers": [TEXT]}, {"type": f"{DENIAL}.body", "body": b"no"}],
    ),
}


@pytest.mark.contract("H1")
@pytest.mark.parametrize("name", HANDSHAKES)
def test_a_handshake_is_a_request_and_its_answer_a_reply(name: str) -> None:
    """What is said over the connection is neither."""
    expected, extensions, messages = HANDSHAKES[name]

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
        if messages == [ACCEPTED]:
            await send({"type": "websocket.send", "text": "hello"})

    gate, traffic = gate_of(Policy(), AsgiGate, app)
    asyncio.run(served(gate, Server(), scope_of(type="websocket", extensions=extensions)))
    assert counted(traffic) == {"default": expected}


@pytest.mark.contract("H1", "B8")
def test_the_inner_of_two_gates_counts_nothing() -> None:
    """One request, one count, by the outer one."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start(*PLAIN[:1], *PLAIN[1]))
        await send(body(b"ok"))

    inner, nothing = gate_of(Policy(), AsgiGate, app)
    gate, traffic = gate_of(Policy(), AsgiGate, inner)
    asyncio.run(served(gate, Server(), scope_of()))
    assert counted(traffic) == {"default": TRACED}
    assert counted(nothing) == {}


def test_a_gate_that_does_not_count_has_nothing_of_it_on_its_way() -> None:
    """The same passages and the same look at the request as without a store."""
    shell = AsgiGate(lambda *_: None, Policy()).shell  # type: ignore[arg-type]
    assert shell.usual == (shell.terms.gate.accept, Passage)
    assert shell.tally_of is None


@pytest.mark.contract("H1")
def test_a_stream_is_counted_while_it_runs() -> None:
    """What has been marked so far, at each reading; what comes after that, later."""
    readings: list[dict[str, Counts]] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start(200, STREAM))
        for _ in range(2):
            await send(body(EVENTS, more=True))
            readings.append(counted(traffic))
        await send(body())

    gate, traffic = gate_of(Policy(), AsgiGate, app)
    asyncio.run(served(gate, Server(), scope_of()))
    assert [reading["default"].sse_events for reading in readings] == [3, 6]
    assert counted(traffic)["default"] == Counts(1, 1, 0, 6)


def plain(_environ: Any, start_response: Any) -> list[bytes]:
    """Reply as most applications do."""
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


@pytest.mark.contract("H1")
def test_threads_lose_no_count() -> None:
    """Eight threads of a WSGI server, a reader among them."""
    gate, traffic = gate_of(Policy(), WsgiGate, plain)
    finished = threading.Event()

    def work() -> None:
        for _ in range(500):
            gate(wsgi_server.environ(), answered)

    def look() -> None:
        while not finished.is_set():
            traffic.read(NOON)

    threads = [threading.Thread(target=work) for _ in range(8)]
    reader = threading.Thread(target=look)
    for thread in (reader, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    finished.set()
    reader.join()
    assert counted(traffic) == {"default": Counts(4000, 4000)}


@pytest.mark.contract("H1")
def test_a_forked_child_begins_at_nothing() -> None:
    """What the parent counted stays the parent's, and the first request of each is told."""
    first: list[int] = []
    policy = Policy()
    traffic = Traffic(policy, lambda: first.append(os.getpid()))
    gate = WsgiGate(plain, runtime=Runtime(policy, traffic=traffic))
    for _ in range(3):
        gate(wsgi_server.environ(), answered)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        for _ in range(2):
            gate(wsgi_server.environ(), answered)
        found = counted(traffic), first[-1] == os.getpid(), len(first)
        os.write(write, repr(found).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1000).decode() == repr(({"default": Counts(2, 2)}, True, 2))
    assert counted(traffic) == {"default": Counts(3, 3)}
    assert first == [os.getpid()]
    for descriptor in (read, write):
        os.close(descriptor)
