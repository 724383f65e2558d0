"""Does an ASGI gate behind a bridge from WSGI leave its request to the gate in front of it (clause B8)?"""
# ruff: noqa: ANN401 - a bridge hands over anything

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from a2wsgi import ASGIMiddleware, WSGIMiddleware

from tests.unit.adapters.wsgi_server import OTHER, OWN, TEXT, Environ, Server, Start, environ, gated
from tracegate.adapters.asgi import TraceGate
from tracegate.adapters.asgi_passage import exchange_in
from tracegate.context import binding, current_trace, trace_scope
from tracegate.core.events import Event
from tracegate.core.exchange import Exchange
from tracegate.core.policy import Policy
from tracegate.core.trace import Trace
from tracegate.core.trace_id import TraceId
from tracegate.runtime import Runtime

NETWORKS = Policy(trusted=("198.51.100.0/24",))
LOOP = asyncio.new_event_loop()


@pytest.fixture(scope="module", autouse=True)
def _loop() -> Iterator[None]:
    """Run the bridges' loop on another thread, as a2wsgi does, and end it with the module."""
    thread = threading.Thread(target=LOOP.run_forever)
    thread.start()
    yield
    LOOP.call_soon_threadsafe(LOOP.stop)
    thread.join()
    LOOP.close()


def bridged(application: Any, policy: Policy | None = None) -> tuple[Any, list[Event]]:
    """Return a gated ASGI *application* as a WSGI one, and the list that its events go to."""
    events: list[Event] = []
    gate: Any = TraceGate(application, runtime=Runtime(policy, sink=events.append))
    return ASGIMiddleware(gate, loop=LOOP), events


async def answer(send: Any, body: bytes, status: int = 200, media: bytes = b"text/plain") -> None:
    """Send one reply."""
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", media)]})
    await send({"type": "http.response.body", "body": body})


async def echo(scope: Any, _receive: Any, send: Any) -> None:
    """Answer with the trace that the application sees."""
    assert scope["state"]["tracegate"] is current_trace()
    await answer(send, str(current_trace()).encode())


def tell(request: Environ, start_response: Start) -> list[bytes]:
    """Answer with the trace that a WSGI application sees."""
    start_response("200 OK", list(TEXT))
    return [str(request["tracegate.trace"]).encode()]


@pytest.mark.contract("B8", "G1")
@pytest.mark.parametrize(
    ("outer", "inner", "named"),
    [
        (Policy(), Policy(header="X-Other"), OWN),
        (Policy(mode="mint"), Policy(), None),
        (Policy(mode="mint"), Policy(mode="mint"), None),
        (NETWORKS, Policy(), OWN),  # the outer one trusts nobody's id
    ],
)
def test_the_outer_gate_decides_whatever_the_inner_ones_policy(outer: Policy, inner: Policy, named: str | None) -> None:
    """One line, one trace on both sides of the bridge, no event."""
    bridge, inner_events = bridged(echo, inner)
    gate, outer_events = gated(bridge, outer)
    server = Server().serve(gate, environ(named))
    assert (server.status, server.raised, inner_events, outer_events) == ("200 OK", None, [], [])
    assert [name for name, _ in server.headers if "trace" in name.lower() or "other" in name.lower()] == ["X-Trace-Id"]
    assert server.values("x-trace-id") == [server.body.decode()]
    assert (server.body == OWN.encode()) == (outer != NETWORKS and named is not None)


@pytest.mark.contract("B8", "D1")
def test_error_json_is_marked_once() -> None:
    """By the outer gate."""

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await answer(send, b'{"a": 1}', 404, b"application/json")

    server = Server().serve(gated(bridged(application)[0])[0])
    assert json.loads(server.body) == {"a": 1, "trace_id": OWN}
    assert server.body.count(OWN.encode()) == 1


@pytest.mark.contract("B8", "C4")
def test_an_integration_finds_the_outer_exchange() -> None:
    """And can answer through it; what the application sends after that is swallowed."""

    async def application(scope: Any, _receive: Any, send: Any) -> None:
        opened = exchange_in(scope)
        assert opened is not None
        assert opened is binding.get()
        opened.fail(ValueError())
        await answer(send, b"swallowed")

    server = Server().serve(gated(bridged(application)[0])[0])
    assert server.status == "500 Internal Server Error"
    assert json.loads(server.body)["trace_id"] == OWN


@pytest.mark.contract("B8")
def test_without_a_gate_in_front_of_the_bridge_this_one_decides() -> None:
    """As anywhere."""
    bridge, events = bridged(echo)
    assert Server().serve(bridge).values("x-trace-id") == [OWN]
    assert Server().serve(bridge, environ(None)).status == "409 Conflict"
    assert [event.kind for event in events] == ["missing_trace"]


@pytest.mark.contract("B8")
def test_of_three_gates_and_two_bridges_the_outermost_decides() -> None:
    """WSGI in ASGI in WSGI, with three policies."""
    within: Any = WSGIMiddleware(gated(tell, Policy(header="X-Innermost"))[0])
    bridge, _ = bridged(within, Policy(header="X-Other"))
    server = Server().serve(gated(bridge)[0])
    assert (server.status, server.body) == ("200 OK", OWN.encode())
    assert sorted(name.lower() for name, _ in server.headers) == ["content-type", "x-trace-id"]


@pytest.mark.contract("B8", "C1")
def test_a_request_that_an_application_makes_within_its_process_is_another_one() -> None:
    """Even of the same path: a WSGI gate takes an outer WSGI gate's trace from the environ only."""
    replies: list[Server] = []

    def application(_request: Environ, start_response: Start) -> list[bytes]:
        replies.append(Server().serve(gated(tell)[0], environ(OTHER)))
        start_response("200 OK", list(TEXT))
        return [b"done"]

    assert Server().serve(gated(application)[0]).values("x-trace-id") == [OWN]
    assert (replies[0].values("x-trace-id"), replies[0].body) == ([OTHER], OTHER.encode())


@pytest.mark.contract("G2")
def test_the_context_is_left_as_it_was_found() -> None:
    """Where the bridge calls the gate in the caller's own context; a state of the server's stays."""
    seen: list[Any] = []

    async def application(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["state"])
        seen.append(current_trace())
        trace_scope(OTHER).__enter__()

    gate: Any = TraceGate(application, runtime=Runtime(Policy()))
    trace = Trace.of(TraceId.from_text(OWN), "header")
    outer = Exchange(gate.shell.terms, trace, "GET", "/", [])
    scope = {"type": "http", "wsgi_environ": {"tracegate.exchange": outer}, "state": {"a": 1}}
    before = dict(scope)

    async def main() -> None:
        await gate(scope, None, None)
        assert current_trace() is None

    asyncio.run(main())
    assert scope == before
    assert seen == [{"a": 1, "tracegate": trace}, trace]
