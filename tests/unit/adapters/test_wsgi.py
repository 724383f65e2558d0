"""Does the WSGI shell let requests in as the gate decides, and hand the trace down?"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterable
from typing import Any

import pytest

from tests.unit.adapters.wsgi_server import OTHER, OWN, TEXT, Environ, Server, Start, environ, gated
from tracegate.adapters.wsgi import TraceGate
from tracegate.adapters.wsgi_passage import exchange_in
from tracegate.context import binding, current_trace, trace_scope
from tracegate.core.cors import CorsRules
from tracegate.core.exchange import Exchange
from tracegate.core.policy import Policy
from tracegate.core.trace import Trace
from tracegate.core.trace_id import TraceId

HEX = OWN.replace("-", "")
PARENT = f"00-{HEX}-00f067aa0ba902b7-01"


def echo(request: Environ, start_response: Start) -> list[bytes]:
    """Answer with the trace that the application sees."""
    assert request["tracegate.trace"] is current_trace()
    start_response("200 OK", list(TEXT))
    return [str(current_trace()).encode()]


def refusal_of(server: Server) -> list[str]:
    """Return the details of the refusal that *server* sent."""
    assert (server.status, server.raised) == ("409 Conflict", None)
    assert server.values("content-length") == [str(len(server.body))]
    error = json.loads(server.body)
    assert server.values("x-trace-id") == [error["trace_id"]]
    details: list[str] = error["details"]
    return details


@pytest.mark.contract("A1", "B1", "G1")
@pytest.mark.parametrize("spelling", [OWN, OWN.upper(), HEX, HEX.upper()])
def test_a_good_id_is_bound_and_echoed_as_it_was_spelled(spelling: str) -> None:
    """In the header, and in the context."""
    gate, events = gated(echo)
    server = Server().serve(gate, environ(spelling))
    assert (server.status, server.body) == ("200 OK", spelling.encode())
    assert server.headers == [*TEXT, ("X-Trace-Id", spelling)]
    assert events == []


@pytest.mark.contract("A2", "B1", "B2")
def test_a_traceparent_names_the_trace_alone_or_beside_an_equal_id() -> None:
    """The number is the same; the header's spelling wins."""
    gate, _ = gated(echo)
    assert Server().serve(gate, environ(None, HTTP_TRACEPARENT=PARENT)).body == HEX.encode()
    assert Server().serve(gate, environ(HTTP_TRACEPARENT=PARENT, HTTP_TRACESTATE="a=b")).body == OWN.encode()


@pytest.mark.contract("B2", "B3", "B4", "E2", "E3", "F3")
@pytest.mark.parametrize(
    ("request_", "detail", "kind"),
    [
        (environ(None), "missing_trace_id", "missing_trace"),
        (environ(" \t "), "missing_trace_id", "missing_trace"),
        (environ("{nope}"), "invalid_trace_id_format", "invalid_trace"),
        (environ("\u00e9" + HEX), "invalid_trace_id_format", "invalid_trace"),
        (environ("\u0663" * 32), "invalid_trace_id_format", "invalid_trace"),
        (environ(f"{OWN},{OTHER}"), "conflicting_trace_id", "conflicting_trace"),
        (environ(OTHER, HTTP_TRACEPARENT=PARENT), "conflicting_trace_id", "conflicting_trace"),
    ],
)
def test_a_request_without_one_good_id_is_refused(request_: Environ, detail: str, kind: str) -> None:
    """Before the application runs, with one event under the trace of the refusal."""
    gate, events = gated(None)
    server = Server().serve(gate, request_)
    assert refusal_of(server) == [detail]
    assert [(event.kind, event.status) for event in events] == [(kind, 409)]
    assert events[0].trace_id == server.values("x-trace-id")[0]


@pytest.mark.contract("B2")
def test_a_repeated_equal_id_is_one_id() -> None:
    """Servers join the values of repeated headers by commas."""
    gate, _ = gated(echo)
    assert Server().serve(gate, environ(f"{OWN},{HEX}")).values("x-trace-id") == [OWN]


@pytest.mark.contract("E1", "C6")
def test_a_refusal_speaks_as_the_caller_asked_and_a_browser_can_read_it() -> None:
    """Negotiated by Accept; CORS by the rules of the application."""
    gate, _ = gated(None, cors=CorsRules(origins=("https://console.example",)))
    request = environ(None, HTTP_ACCEPT="application/problem+json", HTTP_ORIGIN="https://console.example")
    server = Server().serve(gate, request)
    assert server.values("content-type") == ["application/problem+json"]
    assert server.values("access-control-allow-origin") == ["https://console.example"]
    assert server.values("access-control-expose-headers") == ["X-Trace-Id"]


@pytest.mark.contract("C1")
def test_a_refusal_of_head_has_no_body() -> None:
    """And no length, since the body for GET is not known to be the same."""
    gate, _ = gated(None)
    server = Server().serve(gate, environ(None, REQUEST_METHOD="HEAD"))
    assert (server.status, server.body) == ("409 Conflict", b"")
    assert server.values("content-length") == []


@pytest.mark.contract("B5")
def test_exempt_paths_and_preflights_need_no_id() -> None:
    """They get a minted one; an encoded slash is no exempt path."""
    gate, events = gated(echo, Policy(exempt_paths=("/health/*",)))
    preflight = {"HTTP_ORIGIN": "https://a.example", "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "GET"}
    for request in (
        environ(None, SCRIPT_NAME="/health", PATH_INFO="/live"),
        environ(None, REQUEST_METHOD="OPTIONS", **preflight),
    ):
        server = Server().serve(gate, request)
        assert server.body.decode() == server.values("x-trace-id")[0]
    assert events == []
    for key in ("RAW_URI", "REQUEST_URI"):
        server = Server().serve(gate, environ(None, PATH_INFO="/health/a/b", **{key: "/health/a%2Fb?x=%2f"}))
        assert refusal_of(server) == ["missing_trace_id"]
    assert Server().serve(gate, environ(None, PATH_INFO="/health/a", RAW_URI="/health/a?x=%2f")).status == "200 OK"


@pytest.mark.contract("B5")
def test_the_path_is_read_as_utf_8() -> None:
    """A server hands over the bytes of the path as latin-1."""
    gate, _ = gated(echo, Policy(exempt_paths=("/größe",)))
    assert Server().serve(gate, environ(None, PATH_INFO="/größe".encode().decode("latin-1"))).status == "200 OK"
    assert refusal_of(Server().serve(gate, environ(None, PATH_INFO="/größe"))) == ["missing_trace_id"]


@pytest.mark.contract("B4", "F3")
def test_mode_observe_delivers_and_records() -> None:
    """One event, with what would have been refused."""
    gate, events = gated(echo, Policy(mode="observe"))
    server = Server().serve(gate, environ("nope"))
    assert server.body.decode() == server.values("x-trace-id")[0]
    assert [(event.kind, event.would_refuse, event.mode) for event in events] == [("invalid_trace", True, "observe")]


@pytest.mark.contract("B6", "B7")
def test_the_peer_and_the_query_are_the_servers_own() -> None:
    """From REMOTE_ADDR and QUERY_STRING; an empty address is an unknown peer."""
    gate, _ = gated(echo, Policy(trusted=("203.0.113.0/24",), query_parameter="trace"))
    assert Server().serve(gate, environ(None, QUERY_STRING=f"a=b&trace={OWN}")).body == OWN.encode()
    assert Server().serve(gate, environ(REMOTE_ADDR="")).body != OWN.encode()
    assert Server().serve(gate, environ(REMOTE_ADDR="198.51.100.1")).body != OWN.encode()
    peers: list[str | None] = []

    def trusts(peer: str | None) -> bool:
        peers.append(peer)
        return True

    gate, _ = gated(echo, Policy(trusted=trusts))
    for address in ("", "203.0.113.9"):
        assert Server().serve(gate, environ(REMOTE_ADDR=address)).body == OWN.encode()
    assert peers == [None, "203.0.113.9"]


@pytest.mark.contract("F2")
def test_an_event_knows_its_route_and_its_tenant() -> None:
    """The template comes from the integration, the tenant from the configured header."""
    gate, events = gated(
        None, Policy(tenant_header="X-Tenant-Key"), route_of=lambda request: request["PATH_INFO"] + "/{id}"
    )
    Server().serve(gate, environ(None, HTTP_X_TENANT_KEY="acme"))
    assert [(event.route, event.tenant) for event in events] == [("/things/{id}", "acme")]


@pytest.mark.contract("B1")
def test_odd_environments_are_served() -> None:
    """Keys may be missing, and values of types that no server uses never make an id."""
    gate, _ = gated(echo)
    assert Server().serve(gate, {"HTTP_X_TRACE_ID": OWN}).body == OWN.encode()
    for odd in (7, None, OWN.encode(), [OWN]):
        assert refusal_of(Server().serve(gate, {"HTTP_X_TRACE_ID": odd})) == ["invalid_trace_id_format"]
    odd_request = environ(None, REQUEST_METHOD=None, PATH_INFO=7, SCRIPT_NAME=None, QUERY_STRING=None, RAW_URI=7)
    assert refusal_of(Server().serve(gate, odd_request)) == ["missing_trace_id"]


@pytest.mark.contract("C8")
def test_the_servers_environ_stays_as_it_was() -> None:
    """What is added goes into the application's copy."""
    gate, _ = gated(echo)
    request = environ()
    before = dict(request)
    Server().serve(gate, request)
    assert request == before


@pytest.mark.contract("B1", "G2")
def test_each_request_binds_afresh_and_leaves_the_context_as_it_was() -> None:
    """A trace that was bound outside is never this request's, and comes back."""
    gate, _ = gated(echo)
    with trace_scope(OTHER) as outer:
        assert Server().serve(gate).body == OWN.encode()
        assert current_trace() is outer
        assert refusal_of(Server().serve(gate, environ(None))) == ["missing_trace_id"]
    assert current_trace() is None


@pytest.mark.contract("B8", "C2")
def test_a_gate_behind_a_gate_adds_nothing() -> None:
    """The outer one decides, whatever the inner one's policy."""
    inner, inner_events = gated(echo, Policy(header="X-Other"))
    outer, outer_events = gated(inner)
    server = Server().serve(outer)
    assert server.headers == [*TEXT, ("X-Trace-Id", OWN)]
    assert (server.body, inner_events, outer_events) == (OWN.encode(), [], [])


class Outer:
    """What an ASGI gate in front of a bridge binds for a request, as that bridge hands it on."""

    def __init__(self, gate: TraceGate, **scope: object) -> None:
        lines = [(b"host", b"a.example"), (b"x-trace-id", b"the other's"), (b"content-type", b"text/plain")]
        usual = {
            "method": "GET",
            "query_string": b"a=1",
            "headers": [*lines, (b"x_a", b"1"), (b"x-b", b"1"), (b"x-b", b"2")],
        }
        self.scope: dict[str, Any] = {**usual, **scope}
        self.trace = Trace.of(TraceId.from_text(OTHER), "header")
        self.exchange = Exchange(gate.terms, self.trace, "GET", "/mounted/things", [])
        self.status = 0


BRIDGED = {
    "HTTP_HOST": "a.example",
    "HTTP_X_TRACE_ID": "the other's",
    "CONTENT_TYPE": "text/plain",
    "QUERY_STRING": "a=1",
    "HTTP_X_B": "1,2",
}


@pytest.mark.contract("B8")
@pytest.mark.parametrize("path", ["/things", "/mounted/things", "/elsewhere"])
def test_behind_a_bridge_the_asgi_gate_in_front_decides(path: str) -> None:
    """It is bound here, for this very request, under whatever path a mount or a proxy has left of it."""
    gate, _ = gated(echo)
    binding.set(Outer(gate))
    try:
        server = Server().serve(gate, environ(None, PATH_INFO=path, **BRIDGED))
        assert (server.headers, server.body) == (TEXT, OTHER.encode())
    finally:
        binding.set(None)


@pytest.mark.contract("B8", "C1")
@pytest.mark.parametrize(
    "changed",
    [
        {"HTTP_X_TRACE_ID": OWN},
        {"HTTP_HOST": "b.example", "HTTP_X_TRACE_ID": OWN},
        {"QUERY_STRING": "a=2", "HTTP_X_TRACE_ID": OWN},
        {"REQUEST_METHOD": "POST", "HTTP_X_TRACE_ID": OWN},
    ],
)
def test_a_request_of_the_applications_own_making_is_decided_anew(changed: dict[str, str]) -> None:
    """An application may call another one in its own process: the reply of that one has an id of its own."""
    gate, _ = gated(echo)
    outer = Outer(gate)
    binding.set(outer)
    try:
        server = Server().serve(gate, environ(None, **{**BRIDGED, **changed}))
        assert (server.values("x-trace-id"), server.body) == ([OWN], OWN.encode())
        assert binding.get() is outer
    finally:
        binding.set(None)


@pytest.mark.contract("B8", "C1")
@pytest.mark.parametrize("added", [{"HTTP_X_TRACE_ID": OWN}, {"HTTP_X_MORE": "1", "HTTP_X_TRACE_ID": OWN}])
def test_a_request_that_says_more_than_the_bridged_one_is_decided_anew(added: dict[str, str]) -> None:
    """A facade that hands every header on, and adds the id that the caller left out."""
    gate, _ = gated(echo)
    outer = Outer(gate)
    outer.scope["headers"] = [line for line in outer.scope["headers"] if line[0] != b"x-trace-id"]
    binding.set(outer)
    try:
        server = Server().serve(gate, environ(None, **{**BRIDGED, **added}))
        assert (server.values("x-trace-id"), server.body) == ([OWN], OWN.encode())
    finally:
        binding.set(None)


@pytest.mark.contract("B8", "C1")
@pytest.mark.parametrize("begun", ["passage", "exchange"])
def test_a_request_while_the_reply_streams_is_decided_anew(begun: str) -> None:
    """The outer reply has its head; this one is another."""
    gate, _ = gated(echo, Policy(mode="mint"))
    outer = Outer(gate, headers=[])
    if begun == "passage":
        outer.status = 200
    else:
        outer.exchange.start(200, [])
    binding.set(outer)
    try:
        assert Server().serve(gate, environ(QUERY_STRING="a=1")).values("x-trace-id") == [OWN]
    finally:
        binding.set(None)


@pytest.mark.contract("B8")
def test_a_bridge_that_hands_its_scope_on_says_it_itself() -> None:
    """As a2wsgi does, whatever it makes of the headers; a scope without a gate's mark is none's."""
    gate, _ = gated(echo)
    outer = Outer(gate)
    binding.set(outer)
    try:
        marked = environ(None, **{"asgi.scope": {"tracegate.exchange": outer}})
        assert Server().serve(gate, marked).headers == TEXT
        unmarked = environ(None, **{"asgi.scope": outer.scope, **BRIDGED, "HTTP_X_TRACE_ID": OWN})
        assert Server().serve(gate, unmarked).values("x-trace-id") == [OWN]
    finally:
        binding.set(None)


@pytest.mark.contract("B8")
def test_the_exchange_is_found_from_the_applications_environ() -> None:
    """For integrations; it is the ASGI gate's own behind a bridge."""
    found: list[Exchange | None] = []

    def app(request: Environ, start_response: Start) -> list[bytes]:
        found.append(exchange_in(request))
        start_response("200 OK", list(TEXT))
        return []

    gate, _ = gated(app)
    assert Server().serve(gate).values("x-trace-id") == [OWN]
    outer = Outer(gate)
    binding.set(outer)
    try:
        Server().serve(gate, environ(None, **BRIDGED))
    finally:
        binding.set(None)
    assert found[0] is not None
    assert (found[0].trace.trace_id, found[0].path, found[0].method) == (OWN, "/things", "GET")
    assert found[1] is outer.exchange
    assert exchange_in(environ()) is None


@pytest.mark.contract("B3", "C4")
def test_an_id_that_is_no_text_is_refused_with_a_trace() -> None:
    """A lone surrogate: what a server decoded amiss."""
    gate, _ = gated(echo)
    server = Server().serve(gate, environ(None, HTTP_X_TRACE_ID="\udcff"))
    assert server.status == "409 Conflict"
    assert len(server.values("x-trace-id")) == 1


@pytest.mark.contract("C8")
def test_exc_info_may_be_given_by_its_name() -> None:
    """The specification says by position, and wsgiref takes the name too."""

    def app(_request: Environ, start_response: Any) -> list[bytes]:  # noqa: ANN401 - its type has no such name
        try:
            raise ValueError  # noqa: TRY301 - to have an exc_info
        except ValueError:
            start_response("503 Busy", list(TEXT), exc_info=sys.exc_info())
        return [b"busy"]

    gate, _ = gated(app)
    server = Server().serve(gate)
    assert (server.status, server.body, server.values("x-trace-id")) == ("503 Busy", b"busy", [OWN])


@pytest.mark.contract("G3", "E2")
def test_an_integration_can_answer_through_the_exchange() -> None:
    """What the application starts after that is swallowed."""

    def app(request: Environ, start_response: Start) -> Iterable[bytes]:
        opened = exchange_in(request)
        assert opened is not None
        opened.fail(ValueError())
        write = start_response("418 Teapot", list(TEXT))
        write(b"swallowed")
        return [b"swallowed"]

    gate, _ = gated(app)
    server = Server().serve(gate)
    assert (server.status, server.told, server.clean) == (
        "500 Internal Server Error",
        ["500 Internal Server Error"],
        True,
    )
    assert json.loads(server.body)["trace_id"] == OWN


def test_the_gate_looks_like_its_application() -> None:
    """Attributes are the application's; a copy does not look for them before it has one."""

    class Application:
        url_map = ("a", "b")

        def __call__(self, request: Environ, start_response: Start) -> list[bytes]:
            return echo(request, start_response)

    gate, _ = gated(Application())
    assert gate.url_map == ("a", "b")
    assert copy.copy(gate).url_map == ("a", "b")
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = gate.nothing_such
    with pytest.raises(AttributeError, match="app"):
        _ = TraceGate.__new__(TraceGate).url_map


@pytest.mark.contract("C1")
def test_the_header_is_spelled_as_the_policy_says() -> None:
    """On the way in any case will do: servers put names into upper case."""
    gate, _ = gated(echo, Policy(header="Request-Trace"))
    server = Server().serve(gate, environ(None, HTTP_REQUEST_TRACE=OWN))
    assert server.headers == [*TEXT, ("Request-Trace", OWN)]
    assert refusal_of_header(Server().serve(gate), "request-trace")


def refusal_of_header(server: Server, name: str) -> bool:
    """Return whether *server* sent a refusal under the header *name*."""
    return server.status == "409 Conflict" and server.values(name) == [json.loads(server.body)["trace_id"]]


def test_a_gate_is_wired_by_its_policy_alone() -> None:
    """As users construct it."""
    gate = TraceGate(echo, Policy(mode="mint"))
    server = Server().serve(gate, environ(None))
    assert server.body.decode() == server.values("x-trace-id")[0]
