"""Does the gate look like the application inside it, and serve each kind of scope as its own?"""
# ruff: noqa: ANN401 - an application under test may do anything

from __future__ import annotations

import asyncio
import copy
import functools
import threading
from typing import Any

import anyio
import pytest

from tests.unit.adapters.asgi_server import (
    FORGED,
    ID_LINE,
    JSON,
    STREAM,
    TEXT,
    Message,
    Server,
    body,
    length,
    on_asyncio,
    on_trio,
    scope_of,
    start,
)
from tests.unit.fakes import OWN, OWN_TRACE, Collector, CountingMint
from tracegate.adapters.asgi import TraceGate
from tracegate.adapters.asgi_passage import exchange_in
from tracegate.context import binding, current_trace, trace_scope
from tracegate.core.policy import Policy
from tracegate.runtime import Runtime

RUNNERS = pytest.mark.parametrize("run", [on_asyncio, on_trio])


class Application:
    """An application with attributes of its own.

    Attributes:
        title: What frameworks call an application.
        scopes: Each scope that it served.
        traces: The trace that it ran under each time.
    """

    def __init__(self, *messages: Message, then: BaseException | None = None) -> None:
        self.title = "orders"
        self.scopes: list[Any] = []
        self.traces: list[object] = []
        self._messages = messages
        self._then = then

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        self.traces.append(current_trace())
        for message in self._messages:
            await send(message)
        if self._then is not None:
            raise self._then


def gate_of(application: Any, policy: Policy | None = None, **more: Any) -> tuple[TraceGate, Collector]:
    """Return a gate in front of *application*, and what its events go to."""
    sink = Collector()
    return TraceGate(application, runtime=Runtime(policy, sink=sink, mint=CountingMint()), **more), sink


def served(gate: Any, scope: Any, run: Any = on_asyncio) -> Server:
    """Serve one scope, and look that the context is left as it was found."""
    server = Server()

    async def main() -> None:
        assert binding.get() is None
        try:
            await gate(scope, server.receive, server.send)
        finally:
            assert binding.get() is None

    run(main)
    return server


# What it looks like.


def test_the_gate_has_the_applications_attributes() -> None:
    """Callers of a framework's application go on to work with it."""
    application = Application()
    gate, _ = gate_of(application)
    assert gate.app is application
    assert gate.title == "orders"
    assert not hasattr(gate, "missing")
    other = Application()
    gate.shell.app = other
    assert gate.app is other
    assert gate.scopes is other.scopes


def test_a_gate_can_be_copied() -> None:
    """``copy`` asks for attributes before there is one to ask: it must be told so, and not go round in circles."""
    gate, _ = gate_of(Application())
    assert copy.copy(gate).shell is gate.shell
    unmade = TraceGate.__new__(TraceGate)
    for name in ("app", "shell", "title"):
        with pytest.raises(AttributeError):
            getattr(unmade, name)


@pytest.mark.contract("C1")
def test_a_gate_can_be_made_of_a_policy_alone() -> None:
    """It mints with the machine's randomness, and logs its events."""
    application = Application(start(200), body())
    server = served(TraceGate(application, Policy(mode="mint", header="X-Own")), scope_of(headers=[]))
    (line,) = server.sent[0]["headers"]
    assert line == (b"x-own", str(application.traces[0]).encode())


# Which scopes are its own.


@pytest.mark.contract("B8", "C8")
@RUNNERS
@pytest.mark.parametrize(
    "scope", [{"type": "lifespan"}, {"type": "other"}, scope_of(**{"tracegate.exchange": object()})]
)
def test_what_is_not_the_gates_goes_to_the_application_as_it_is(run: Any, scope: Message) -> None:
    """Other kinds of scopes, and what a gate in front has decided."""
    message = start(200, FORGED)
    application = Application(message)
    server = served(gate_of(application)[0], scope, run)
    assert application.scopes == [scope]
    assert application.scopes[0] is scope
    assert server.sent == [message]


@pytest.mark.contract("B1", "C8", "G1", "G2")
@RUNNERS
@pytest.mark.parametrize("state", [{}, {"state": None}, {"state": {}}, {"state": {"db": 1}}])
def test_the_application_gets_a_copy_of_the_scope_with_its_trace(run: Any, state: Message) -> None:
    """The server's own, its state included, stays as it is; what the lifespan put there is there."""
    application = Application(start(200, TEXT), body())
    scope = scope_of(**state)
    before = copy.deepcopy(scope)
    server = served(gate_of(application)[0], scope, run)
    (inner,) = application.scopes
    assert scope == before
    assert inner["state"] == {**(state.get("state") or {}), "tracegate": OWN_TRACE}
    assert {key: inner[key] for key in inner if key not in ("state", "tracegate.exchange")} == {
        key: scope[key] for key in scope if key != "state"
    }
    assert exchange_in(inner) is not None
    assert application.traces == [OWN_TRACE]
    assert server.sent == [start(200, TEXT, ID_LINE), body()]


@pytest.mark.contract("B1")
@pytest.mark.parametrize("kind", [tuple, iter, lambda lines: [*lines, (b"a", b"b")]])
def test_request_headers_may_be_any_iterable(kind: Any) -> None:
    """The application can read them once more."""
    application = Application(start(204), body())
    server = served(gate_of(application)[0], scope_of(headers=kind([ID_LINE])))
    assert server.starts == [(204, [OWN.encode()])]
    assert list(application.scopes[0]["headers"])[:1] == [ID_LINE]


@pytest.mark.contract("B4")
@pytest.mark.parametrize("headers", [{}, {"headers": None}, {"headers": ()}, {"headers": []}])
def test_a_request_without_headers_names_no_trace(headers: Message) -> None:
    """It is refused, and the application never called."""
    application = Application()
    gate, sink = gate_of(application)
    scope = {**scope_of(), **headers}
    if not headers:
        del scope["headers"]
    server = served(gate, scope)
    assert [status for status, _ in server.starts] == [409]
    assert (application.scopes, [event.kind for event in sink.events]) == ([], ["missing_trace"])


@pytest.mark.contract("C1")
@RUNNERS
def test_a_handshake_is_served_as_one(run: Any) -> None:
    """Its acceptance carries the id."""
    application = Application({"type": "websocket.accept"})
    server = served(gate_of(application)[0], scope_of(type="websocket"), run)
    assert server.sent == [{"type": "websocket.accept", "headers": [ID_LINE]}]
    assert application.traces == [OWN_TRACE]


# How a request ends.


@pytest.mark.contract("C4", "C5")
@RUNNERS
@pytest.mark.parametrize(
    ("messages", "status", "kinds"),
    [
        ([], 500, []),
        ([start(200, TEXT)], 200, ["stream_broken"]),
        ([start(200, length(1)), body(b"a", more=True)], 200, ["stream_broken"]),
        ([start(200, length(1)), body(b"a")], 200, []),
        ([start(200, TEXT), body(b"a")], 200, []),
    ],
)
@pytest.mark.parametrize("error", [LookupError(), None])
def test_an_exception_and_a_return_end_what_is_not_whole(
    run: Any, messages: list[Message], status: int, kinds: list[str], error: Exception | None
) -> None:
    """The exception comes out as it went in."""
    gate, sink = gate_of(Application(*messages, then=error))
    server = Server()

    async def main() -> None:
        await gate(scope_of(), server.receive, server.send)

    if error is None:
        run(main)
    else:
        with pytest.raises(LookupError) as caught:
            run(main)
        assert caught.value is error
    assert server.starts == [(status, [OWN.encode()])]
    assert [event.kind for event in sink.events] == kinds
    assert server.ends == (not kinds)


@pytest.mark.contract("G2")
@pytest.mark.parametrize("error", [LookupError(), None])
def test_the_context_is_left_as_it_was_found(error: Exception | None) -> None:
    """Though the application leaves a scope open, and runs under one of the caller's."""
    left_open = trace_scope()  # a name keeps it from being closed as garbage

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        assert str(current_trace()) == OWN
        assert left_open.__enter__() is current_trace() is not OWN_TRACE
        await send(start(200, length(0)))
        await send(body())
        if error is not None:
            raise error

    async def main() -> None:
        gate, _ = gate_of(application)
        with trace_scope() as outer:
            server = Server()
            call = functools.partial(gate, scope_of(), server.receive, server.send)
            if error is None:
                await call()
            else:
                with pytest.raises(LookupError):
                    await call()
            assert current_trace() is outer

    on_asyncio(main)


@pytest.mark.contract("F2")
def test_an_event_names_the_route_that_the_integration_finds() -> None:
    """It is asked with the server's scope."""
    gate, sink = gate_of(Application(), route_of=lambda scope: scope["path"] + "/{id}")
    served(gate, scope_of(headers=[]))
    assert [event.route for event in sink.events] == ["/things/{id}"]


def outcome(application: Any, **scope: object) -> tuple[Server, list[Any], BaseException | None]:
    """Return what the server got of *application* behind a gate, the events, and what was raised."""
    server, raised = Server(), []
    gate, sink = gate_of(application)

    async def main() -> None:
        try:
            await gate(scope_of(**scope), server.receive, server.send)
        except Exception as error:  # noqa: BLE001  what came out is what is looked at
            raised.append(error)

    if isinstance(application, Failing):
        application.server = server
    on_asyncio(main)
    return server, sink.events, raised[0] if raised else None


class Failing:
    """An application that fails in mid-stream, on a server whose `send` fails from then on."""

    server: Server

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        async def refuse(message: Message) -> None:
            raise RuntimeError(message["type"])

        await send(start(200, STREAM))
        await send(body(b"data: 1\n\n", more=True))
        self.server.before_send = refuse
        raise LookupError


@pytest.mark.contract("C4")
def test_the_applications_exception_is_not_masked_by_the_servers() -> None:
    """Whatever the server says to the event that ends the stream."""
    _, _, raised = outcome(Failing())

    assert isinstance(raised, LookupError)


@pytest.mark.contract("E2")
def test_the_file_of_a_refused_reply_is_not_read() -> None:
    """What comes after a refusal is swallowed, also where the file is missing."""
    messages = (start(200, TEXT, FORGED), {"type": "http.response.pathsend", "path": "/nowhere"})
    server, _, raised = outcome(Application(*messages))

    assert raised is None
    assert server.starts == [(409, [ID_LINE[1]])]


@pytest.mark.contract("C5")
@pytest.mark.parametrize("version", ["1.1", "2"])
def test_a_message_of_another_kind_after_the_end_is_no_broken_stream(version: str) -> None:
    """Servers and test clients have messages of their own."""
    messages = (start(200, TEXT), body(b"x"), {"type": "http.response.debug", "info": {}})
    server, events, raised = outcome(Application(*messages), http_version=version)

    assert (events, raised) == ([], None)
    assert server.sent[-1] == messages[-1]


@pytest.mark.contract("C1", "C8")
@pytest.mark.parametrize("change", ["line", "value"])
def test_a_head_that_is_held_does_not_change_with_the_applications_lists(change: str) -> None:
    """The application may go on with all that it gave: the list, its lines, a mutable value."""
    value = bytearray(ID_LINE[1])
    line: list[Any] = [b"x-trace-id", value]

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": [list(JSON), line]})
        if change == "line":
            line[1] = FORGED[1]
        else:
            value[:] = FORGED[1]
        await send(body(b"{}"))

    server, _, _ = outcome(application)
    assert server.starts == [(404, [ID_LINE[1]])]


@pytest.mark.contract("F3")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("last", ["lifespan.shutdown.complete", "lifespan.shutdown.failed"])
def test_what_waits_in_memory_is_flushed_before_a_lifespan_ends(backend: str, last: str) -> None:
    """In a thread, and once; the server hears of the end when it is done."""
    happened: list[str] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})
        await send({"type": last})

    async def send(message: Any) -> None:
        happened.append(message["type"])

    async def receive() -> Any:
        raise AssertionError("nobody asks")

    def flush() -> None:
        happened.append("flushed")

    async def serve() -> None:
        await TraceGate(app, runtime=Runtime(flush=flush))({"type": "lifespan"}, receive, send)

    anyio.run(serve, backend=backend)
    assert happened == ["lifespan.startup.complete", "flushed", last]


@pytest.mark.contract("F4")
def test_a_flush_that_cannot_begin_keeps_no_server_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no thread, the interpreter's end is another chance."""
    said: list[str] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "lifespan.shutdown.complete"})

    async def send(message: Any) -> None:
        said.append(message["type"])

    async def receive() -> Any:
        raise AssertionError("nobody asks")

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def serve() -> None:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        await TraceGate(app, runtime=Runtime(flush=lambda: said.append("flushed")))({"type": "lifespan"}, receive, send)

    asyncio.run(serve())
    assert said == ["lifespan.shutdown.complete"]
