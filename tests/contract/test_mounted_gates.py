"""Do two gates in one process act as one, across a bridge from ASGI to WSGI (B8)?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from a2wsgi import WSGIMiddleware

from tests.property.drivers import asgi
from tests.property.drivers.gates import peek, runtime_of
from tests.property.drivers.record import Fact, Notes, Reply
from tests.property.drivers.wsgi_application import wsgi_application
from tests.property.oracle.ids import is_minted
from tests.property.plan import OTHER, OWN, Fault, Headers, Plan, Request, Settings
from tracegate.adapters.asgi import TraceGate as AsgiGate
from tracegate.adapters.wsgi import TraceGate as WsgiGate

JSON: Headers = ((b"content-type", b"application/json"),)
SSE: Headers = ((b"content-type", b"text/event-stream"),)


def serve(plan: Plan, request: Request, settings: Settings) -> tuple[Reply, Notes, list[Fact], list[Fact]]:
    """Play *plan* in a gated WSGI application, mounted by a bridge in a gated ASGI one."""
    outer: list[Fact] = []
    inner: list[Fact] = []
    reply = Reply()
    notes = Notes(peek=peek, reply=reply)
    # Two policies: the outer gate decides, so the inner one's mode must not matter.
    mounted: Any = WsgiGate(wsgi_application(plan, notes), runtime=runtime_of(Settings(), inner))
    gate: Any = AsgiGate(WSGIMiddleware(mounted), runtime=runtime_of(settings, outer))
    asgi.exchange(gate, request, Notes(peek=peek, reply=reply))
    return reply, notes, outer, inner


@pytest.mark.contract("B8", "C1", "G1")
@pytest.mark.parametrize("settings", [Settings(sse_hold_seconds=0.5), Settings(mode="mint")])
@pytest.mark.parametrize("named", [True, False])
def test_the_outer_gate_decides_and_the_inner_one_adds_nothing(settings: Settings, named: bool) -> None:  # noqa: FBT001  a parameter
    """One line, one trace on both sides of the bridge, or one refusal before it."""
    request = Request(headers=((b"x-trace-id", OWN),) if named else ())
    reply, notes, outer, inner = serve(Plan(), request, settings)
    assert not reply.illegal
    (spelled,) = reply.values(b"x-trace-id")
    assert inner == []
    if named or settings.mode == "mint":
        assert (reply.status, reply.body, outer) == (200, b"hello", [])
        assert spelled == OWN if named else is_minted(spelled)
        assert set(notes.inside) == {spelled.decode()}
    else:
        assert (reply.status, notes.entered) == (409, 0)
        assert [event.kind for event in outer] == ["missing_trace"]


@pytest.mark.contract("B8", "D1", "D6")
def test_bodies_are_marked_once_across_the_bridge() -> None:
    """One member in error JSON, one line in each event."""
    reply, *_ = serve(Plan(404, JSON, (b'{"a":', b"1}")), Request(), Settings())
    assert json.loads(reply.body) == {"a": 1, "trace_id": OWN.decode()}
    assert reply.body.count(OWN) == 1
    reply, *_ = serve(Plan(200, SSE, (b"data: a\n\n", b"data: b\n\n")), Request(), Settings())
    assert reply.body == b"data: a\ntrace_id: %s\n\ndata: b\ntrace_id: %s\n\n" % (OWN, OWN)


@pytest.mark.contract("B8", "C3", "F3")
def test_another_id_behind_the_bridge_is_one_refusal() -> None:
    """With one event, whichever gate sees it."""
    reply, _, outer, inner = serve(Plan(headers=((b"x-trace-id", OTHER),)), Request(), Settings())
    assert reply.status == 409
    assert reply.values(b"x-trace-id") == [OWN]
    assert [event.kind for event in (*outer, *inner)] == ["trace_overwrite_refused"]


@pytest.mark.contract("B8", "C4")
def test_a_crash_behind_the_bridge_is_one_traced_500() -> None:
    """And the exception still comes out, at the server."""
    reply, notes, _, _ = serve(Plan(fault=Fault.RAISE_BEFORE_START), Request(), Settings())
    assert reply.status == 500
    assert reply.values(b"x-trace-id") == [OWN]
    assert json.loads(reply.body)["error_code"] == "SYS-003-500"
    assert reply.raised is notes.raised
