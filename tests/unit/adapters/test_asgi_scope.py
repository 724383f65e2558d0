"""Is a request let in, refused and recorded by what its scope says, whatever kinds of values that holds?"""
# ruff: noqa: ANN401 - a server's scope may hold anything

from __future__ import annotations

import functools
import json
from typing import Any

import pytest

from tests.unit.adapters.asgi_server import (
    FORGED,
    ID_LINE,
    Message,
    Server,
    body,
    on_asyncio,
    on_trio,
    scope_of,
    shell_of,
    values,
)
from tests.unit.fakes import HEX, OTHER, OWN, OWN_TRACE, minted
from tracegate.adapters.asgi_scope import DENIAL, Shell, admit, exchange_of, readable, record
from tracegate.core.events import Event
from tracegate.core.policy import Policy
from tracegate.core.trace import Trace

CONNECT: Message = {"type": "websocket.connect"}
BAD = (b"x-trace-id", b"bad")
REFUSALS = pytest.mark.parametrize(
    ("headers", "detail", "kind"),
    [
        ([], "missing_trace_id", "missing_trace"),
        ([BAD], "invalid_trace_id_format", "invalid_trace"),
        ([ID_LINE, FORGED], "conflicting_trace_id", "conflicting_trace"),
    ],
)


def admitted(shell: Shell, server: Server, run: Any = on_asyncio, **given: object) -> Trace | None:
    """Return what the closer look makes of a request."""
    scope = scope_of(**given)
    found: Trace | None = run(
        functools.partial(admit, shell, scope, scope.get("headers") or [], server.receive, server.send)
    )
    return found


def without(scope: Message, *keys: str) -> Message:
    """Return *scope* without these keys."""
    return {key: value for key, value in scope.items() if key not in keys}


FACT = Event(
    kind="stream_broken", severity="error", component="test", message="m", trace_id=OWN, transport="http", stage="body"
)


# Who gets in.


@pytest.mark.contract("B1", "B2")
@pytest.mark.parametrize(
    ("headers", "spelling"),
    [
        ([ID_LINE], OWN),
        ([ID_LINE, ID_LINE], OWN),
        ([(b"x-trace-id", HEX.encode())], HEX),
        ([(b"traceparent", f"00-{HEX}-00f067aa0ba902b7-01".encode())], HEX),
    ],
)
def test_a_request_that_names_one_trace_is_let_in(headers: list[Any], spelling: str) -> None:
    """Nothing is sent, received or recorded."""
    shell, events = shell_of()
    server = Server()
    trace = admitted(shell, server, headers=headers)
    assert trace is not None
    assert (trace.trace_id, server.sent, events) == (spelling, [], [])


@pytest.mark.contract("B4", "F3")
@REFUSALS
def test_observing_lets_in_and_records_what_would_be_refused(headers: list[Any], detail: str, kind: str) -> None:
    """Once, with the mode of its path."""
    shell, events = shell_of(Policy(modes={"/things": "observe"}))
    server = Server()
    trace = admitted(shell, server, headers=headers)
    assert trace is not None
    assert (trace.trace_id, server.sent) == (minted(1), [])
    assert [(event.kind, event.detail, event.would_refuse, event.mode) for event in events] == [
        (kind, detail, True, "observe")
    ]


@pytest.mark.contract("B5", "B7")
def test_the_scopes_method_path_and_query_are_looked_at() -> None:
    """Each of them can let a request in; where a key is missing it says nothing."""
    shell, _ = shell_of(Policy(exempt_paths=("/health",), query_parameter="trace"))
    server = Server()
    preflight = [(b"origin", b"https://a.example"), (b"access-control-request-method", b"GET")]
    accepted: list[tuple[Message, str]] = [
        ({"path": "/health"}, minted(1)),
        ({"method": "OPTIONS", "headers": preflight}, minted(2)),
        ({"query_string": b"trace=" + OTHER.encode()}, OTHER),
    ]
    for given, spelling in accepted:
        trace = admitted(shell, server, **{"headers": [], **given})
        assert trace is not None
        assert trace.trace_id == spelling
    refused: list[Message] = [{"path": "/health", "raw_path": b"/%2fhealth"}, {"method": "GET", "headers": preflight}]
    for given in refused:
        assert admitted(shell, server, **{"headers": [], **given}) is None
    bare = {"type": "http"}
    assert on_asyncio(functools.partial(admit, shell, bare, [], server.receive, server.send)) is None
    assert [status for status, _ in server.starts] == [409] * 3


@pytest.mark.contract("B6")
@pytest.mark.parametrize(
    ("client", "is_trusted"),
    [
        (("198.51.100.7", 4711), True),
        (["198.51.100.7", 4711], True),
        (("203.0.113.9", 4711), False),
        (("/run/socket", None), False),
        ((), False),
        ([], False),
        (iter(()), False),
        (None, False),
    ],
)
def test_the_scopes_client_is_the_peer(client: Any, is_trusted: bool) -> None:  # noqa: FBT001
    """Its first member; a server that knows none, as on a Unix socket, is no fault."""
    shell, events = shell_of(Policy(trusted=("198.51.100.0/24",)))
    trace = admitted(shell, Server(), client=client)
    assert trace is not None
    assert (trace.trace_id, trace.client_trace_id) == ((OWN, None) if is_trusted else (minted(1), OWN))
    assert events == []


# Who does not.


@pytest.mark.contract("B2", "B3", "B4", "E2", "F3")
@pytest.mark.parametrize("run", [on_asyncio, on_trio])
@REFUSALS
def test_a_request_that_names_no_trace_is_refused(headers: list[Any], detail: str, kind: str, run: Any) -> None:
    """By one whole traced 409; its event is recorded before that leaves, and nothing is received."""
    shell, events = shell_of()
    server = Server()
    known: list[int] = []

    async def look(_message: Message) -> None:
        known.append(len(events))

    server.before_send = look
    assert admitted(shell, server, run, headers=headers, method="PUT") is None
    head, only = server.sent
    assert server.starts == [(409, [minted(1).encode()])]
    assert (head["type"], set(head)) == ("http.response.start", {"type", "status", "headers"})
    assert only == body(only["body"])
    assert values(head["headers"], b"content-length") == [b"%d" % len(only["body"])]
    error = json.loads(only["body"])
    assert (error["trace_id"], error["details"]) == (minted(1), [detail])
    assert [(event.kind, event.transport, event.method, event.status) for event in events] == [
        (kind, "http", "PUT", 409)
    ]
    assert known == [1, 1]


@pytest.mark.contract("C1", "E2")
def test_a_refusal_of_head_has_no_body() -> None:
    """But the id."""
    shell, _ = shell_of()
    server = Server()
    assert admitted(shell, server, method="HEAD", headers=[]) is None
    assert server.starts == [(409, [minted(1).encode()])]
    assert server.sent[1:] == [body()]


@pytest.mark.contract("C6")
def test_a_refusal_can_be_read_by_a_page_of_an_allowed_origin() -> None:
    """The request's own headers and path are what the rules are asked with."""
    shell, _ = shell_of(Policy(cors_origins=("https://a.example",)))
    server = Server()
    assert admitted(shell, server, headers=[(b"origin", b"https://a.example")]) is None
    assert values(server.sent[0]["headers"], b"access-control-allow-origin") == [b"https://a.example"]


@pytest.mark.contract("C1", "E2", "F3")
@pytest.mark.parametrize("run", [on_asyncio, on_trio])
@REFUSALS
@pytest.mark.parametrize("extensions", [{"extensions": {DENIAL: {}}}, {"extensions": {}}, {"extensions": None}, {}])
def test_a_handshake_is_refused_by_a_denial_or_a_close(
    headers: list[Any], detail: str, kind: str, run: Any, extensions: Message
) -> None:
    """After its first message was received, as ASGI demands; a close where the server offers no denial."""
    shell, events = shell_of()
    server = Server(CONNECT)
    order: list[int] = []

    async def look(_message: Message) -> None:
        order.append(len(server.incoming))

    server.before_send = look
    scope = without(scope_of(type="websocket", headers=headers, **extensions), "method")
    assert run(functools.partial(admit, shell, scope, headers, server.receive, server.send)) is None
    assert [(event.kind, event.transport) for event in events] == [(kind, "websocket")]
    if extensions.get("extensions"):
        assert server.starts == [(409, [minted(1).encode()])]
        assert [message["type"] for message in server.sent] == [f"{DENIAL}.start", f"{DENIAL}.body"]
        assert json.loads(server.body)["details"] == [detail]
        assert server.ends == 1
    else:
        assert server.sent == [{"type": "websocket.close", "code": 1008, "reason": detail}]
    assert set(order) == {0}


# What is read of a scope.


@pytest.mark.contract("C8")
def test_a_readable_scope_is_a_copy_that_can_be_read_twice() -> None:
    """Some servers hand over iterators; the server's own scope stays as it is, but for what was read of them."""
    headers = iter([[b"a", b"b"], iter((b"c", b"d"))])
    scope = {"type": "http", "headers": headers, "client": iter(("127.0.0.1", 1)), "server": ["::1", 2], "path": "/"}
    before = dict(scope)
    copy = readable(scope)
    assert copy == {
        "type": "http",
        "headers": [(b"a", b"b"), (b"c", b"d")],
        "client": ("127.0.0.1", 1),
        "server": ("::1", 2),
        "path": "/",
    }
    assert type(copy["headers"]) is list
    assert scope == before


@pytest.mark.parametrize(
    "scope", [{}, {"headers": None}, {"headers": ()}, {"headers": [], "client": None, "server": None}]
)
def test_a_scope_without_headers_or_addresses_is_readable(scope: Message) -> None:
    """What is not there is not made up, but for the headers."""
    assert readable(scope) == {**scope, "headers": []}


def test_an_exchange_knows_what_its_scope_says() -> None:
    """For rules and events; of a bare scope it takes what ASGI has as the default."""
    shell, _ = shell_of()
    exchange = exchange_of(shell, scope_of(method="PUT", raw_path=b"/%74hings"), OWN_TRACE, "websocket")
    assert (exchange.method, exchange.path, exchange.raw_path) == ("PUT", "/things", b"/%74hings")
    assert (exchange.headers, exchange.trace, exchange.transport) == ([ID_LINE], OWN_TRACE, "websocket")
    assert exchange.terms is shell.terms
    bare = exchange_of(shell, {"type": "http"}, OWN_TRACE)
    assert (bare.method, bare.path, bare.raw_path, bare.headers, bare.transport) == ("GET", "", None, [], "http")


# What is recorded.


@pytest.mark.contract("F2")
@pytest.mark.parametrize(
    ("name", "headers", "tenant"),
    [
        (None, [(b"x-tenant-key", b"acme")], "default"),
        ("X-Tenant-Key", [(b"x-tenant-key", b"acme")], "acme"),
        ("X-Tenant-Key", [(b"X-TENANT-KEY", b"acme"), (b"x-tenant-key", b"other")], "acme"),
        ("X-Tenant-Key", [(b"x-tenant-key", b"caf\xe9")], "unknown"),
        ("X-Tenant-Key", [(b"x-other", b"acme")], "default"),
    ],
)
def test_an_event_names_the_route_and_the_tenant(name: str | None, headers: list[Any], tenant: str) -> None:
    """Of its request; the tenant only where its header was configured."""
    seen: list[Any] = []

    def route_of(scope: Any) -> str:
        seen.append(scope)
        return "/things/{id}"

    shell, events = shell_of(Policy(tenant_header=name, tenants=("acme",)), route_of=route_of)
    scope = scope_of()
    record(shell, scope, headers, [FACT, FACT])
    assert [(event.route, event.tenant) for event in events] == [("/things/{id}", tenant)] * 2
    assert (len(seen), seen[0] is scope) == (1, True)


@pytest.mark.contract("F2")
def test_a_tenants_name_may_be_any_bytes() -> None:
    """They are Latin-1, as HTTP has it; without a router there is no route."""
    shell, events = shell_of(Policy(tenant_header="X-Tenant-Key"))
    record(shell, scope_of(), [(b"x-tenant-key", b"caf\xe9")], [FACT])
    assert [(event.route, event.tenant) for event in events] == [("unknown", "caf\xe9")]
