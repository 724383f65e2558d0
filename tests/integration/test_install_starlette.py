"""Does `install()` put a Starlette application behind the gate, whatever else is around and inside it?"""
# ruff: noqa: ANN401, ARG001, ARG002, D103 - an endpoint takes what its framework gives, and its name says what it does

from __future__ import annotations

import functools
import types
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Host, Match, Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from tests.integration.installed import ID, Ledger, ask_asgi, error_of, is_standard_error, request, trace_of
from tracegate.adapters.asgi import TraceGate
from tracegate.context import current_trace
from tracegate.errors import ConfigurationError, MissingTraceError
from tracegate.integrations.starlette import install

REFUSED = (409, ["trace_id_missing"])


class AppError(Exception):
    """What the application raises; its text is nobody's business."""


CRASH = AppError("secret")


async def crash(request: Request) -> Response:
    raise CRASH


async def missing(request: Request) -> Response:
    raise MissingTraceError


async def greet(request: Request) -> JSONResponse:
    return JSONResponse({"trace": str(current_trace())})


async def abort(request: Request) -> Response:
    raise HTTPException(418, "short and stout")


def service(**options: Any) -> Starlette:
    """Return an application with an endpoint for each way of answering."""
    routes = [Route("/ok", greet), Route("/crash", crash), Route("/missing", missing), Route("/abort", abort)]
    return Starlette(routes=routes, **options)


class Broken:
    """A layer that raises before anything else runs."""

    def __init__(self, app: ASGIApp, error: Exception = CRASH) -> None:
        self.error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            raise self.error


class Shortcut:
    """A layer that answers by itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"error": "busy"}, 503)(scope, receive, send)


async def pass_on(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    return await call_next(request)


# Outermost, whatever the order.


@pytest.mark.contract("C1", "C2")
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("layer", [Broken, Shortcut])
def test_a_layer_that_fails_or_answers_by_itself_is_inside_the_gate(layer: Any, *, late: bool) -> None:
    """Middleware added before or after the installation answers under the trace."""
    app = service()
    if late:
        install(app, runtime=Ledger().runtime())
    app.add_middleware(layer)
    install(app, runtime=Ledger().runtime())
    reply = ask_asgi(app, "/ok")
    assert reply.status == (500 if layer is Broken else 503)
    assert error_of(reply)["trace_id"] == ID


@pytest.mark.contract("C1", "C2")
def test_the_frameworks_own_413_is_inside_the_gate() -> None:
    """Starlette puts the body limit outside of every middleware that an application can add."""
    app = service(max_body_size=3)

    async def read(request: Request) -> Response:
        return Response(await request.body())

    app.add_route("/read", read, ["POST"])
    install(app, runtime=Ledger().runtime())
    reply = ask_asgi(app, request("/read", method="POST", body=b"too long"))
    assert (reply.status, trace_of(reply)) == (413, ID)


@pytest.mark.contract("C1")
def test_what_the_framework_answers_by_itself_carries_the_trace() -> None:
    """404, 405, a redirect to the slash, an HTTPException, a host that is not trusted, and a HEAD."""
    app = service(middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["testserver"])])
    app.router.routes.append(Mount("/files", routes=[Route("/", greet)]))
    install(app, runtime=Ledger().runtime())
    asked = [request(path) for path in ("/none", "/files", "/abort")]
    asked += [request("/ok", method="DELETE"), request("/ok", method="HEAD"), request("/ok", ("host", "elsewhere"))]
    replies = [ask_asgi(app, each) for each in asked]
    assert [reply.status for reply in replies] == [404, 307, 418, 405, 200, 400]
    assert {trace_of(reply) for reply in replies} == {ID}


@pytest.mark.contract("C2")
def test_installing_twice_is_the_same_as_once() -> None:
    """The first policy holds, and there is one header line."""
    app, first, second = service(), Ledger(), Ledger()
    install(app, runtime=first.runtime())
    kind = type(app)
    install(app, runtime=second.runtime(mode="mint"))
    assert type(app) is kind
    assert ask_asgi(app, request("/ok", trace=False)).status == 409
    assert trace_of(ask_asgi(app, "/ok")) == ID
    assert ([event.kind for event in first], second) == (["missing_trace"], [])


@pytest.mark.contract("C2", "C4")
def test_installing_after_the_first_request_works() -> None:
    """The stack that was built without the answers to unhandled exceptions is built again."""
    app = service()
    assert ask_asgi(app, "/crash").body == b"Internal Server Error"
    install(app, runtime=Ledger().runtime())
    assert is_standard_error(ask_asgi(app, "/crash"))


def instrument(app: Starlette) -> None:
    """Do what OpenTelemetry's instrumentation does: another stack, from the instance's own builder."""
    original = app.build_middleware_stack

    @functools.wraps(original)
    def build(self: Starlette) -> ASGIApp:
        stack = original()
        assert isinstance(stack, ServerErrorMiddleware)
        inner = ServerErrorMiddleware(stack.app, handler=stack.handler, debug=stack.debug)
        return ServerErrorMiddleware(inner)

    app.build_middleware_stack = types.MethodType(build, app)  # type: ignore[method-assign]


@pytest.mark.contract("C2", "C4")
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_instrumentation_that_rebuilds_the_stack_is_inside_the_gate(*, late: bool) -> None:
    """Its own outer error page does not come either."""
    app = service()
    if not late:
        instrument(app)
    install(app, runtime=Ledger().runtime())
    if late:
        instrument(app)
    assert is_standard_error(ask_asgi(app, "/crash"))
    assert ask_asgi(app, "/ok").status == 200


@pytest.mark.contract("C2")
def test_instrumentation_that_replaces_the_class_method_still_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Error trackers wrap `Starlette.__call__`, at any time; the gate calls what is there then."""
    app = service()
    install(app, runtime=Ledger().runtime())
    original, seen = Starlette.__call__, []

    async def tracked(self: Starlette, scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(str(current_trace()))
        await original(self, scope, receive, send)

    monkeypatch.setattr(Starlette, "__call__", tracked)
    assert ask_asgi(app, "/ok").status == 200
    assert seen == [ID]


@pytest.mark.contract("B8", "C4")
def test_a_mounted_application_that_is_installed_too_adds_its_answers_only() -> None:
    """One header line, the outer gate's trace and policy, and no page of the framework's."""
    outer, inner, ledger = service(), service(), Ledger()
    install(inner, runtime=ledger.runtime())
    outer.mount("/inner", inner)
    install(outer, runtime=ledger.runtime(mode="mint"))
    assert is_standard_error(ask_asgi(outer, "/inner/crash"))
    minted = ask_asgi(outer, request("/inner/ok", trace=False))
    assert (minted.status, minted.body) == (200, b'{"trace":"%s"}' % trace_of(minted).encode())
    assert ledger == []


@pytest.mark.contract("C4", "G3")
def test_the_gate_answers_for_what_is_mounted() -> None:
    """At any depth, also where the mounted application has run before; handlers of its own stay."""
    deep, ran, own, app = service(), service(), service(), service()
    assert ask_asgi(ran, "/crash").body == b"Internal Server Error"
    own.add_exception_handler(Exception, own_page)
    install(app, runtime=Ledger().runtime())
    app.mount("/deep", Mount("/er", routes=[Mount("/", app=deep)]))
    deep.mount("/ran", ran)
    app.mount("/own", own)
    for path in ("/deep/er", "/deep/er/ran"):
        assert is_standard_error(ask_asgi(app, f"{path}/crash"))
        assert error_of(ask_asgi(app, f"{path}/missing"))["details"] == ["trace_id_missing"]
    assert error_of(ask_asgi(app, "/own/crash")) == {"sorry": ID, "trace_id": ID}


@pytest.mark.contract("B8")
def test_a_gate_around_an_installed_application_is_the_one_that_decides() -> None:
    """`TraceGate(app)` and `install(app)` together are one gate, and the standard error stays."""
    app, ledger = service(), Ledger()
    install(app, runtime=ledger.runtime())
    gate = TraceGate(app, runtime=ledger.runtime(mode="mint"))
    assert is_standard_error(ask_asgi(gate, "/crash"))
    assert ask_asgi(gate, request("/ok", trace=False)).status == 200
    assert ledger == []


def test_the_application_still_looks_like_itself() -> None:
    """It is the same object of the same named type, with its routes and state; servers see an ASGI 3 application."""
    app = service()
    before = (id(app), type(app).__name__, type(app).__module__, type(app).__doc__)
    app.state.colour = "blue"
    install(app, runtime=Ledger().runtime())
    assert (id(app), type(app).__name__, type(app).__module__, type(app).__doc__) == before
    assert isinstance(app, Starlette)
    assert (len(app.routes), app.state.colour, app.url_path_for("greet")) == (4, "blue", "/ok")
    with TestClient(app, headers={"X-Trace-Id": ID}) as client:
        assert client.get("/ok").json() == {"trace": ID}


def test_lifespan_and_its_state_pass() -> None:
    """The application starts and stops as before, and requests see what it yielded."""
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        seen.append("started")
        yield {"pool": "open"}
        seen.append("stopped")

    async def state(request: Request) -> Response:
        return JSONResponse({"pool": request.state.pool, "trace": str(request.state.tracegate)})

    app = Starlette(routes=[Route("/state", state)], lifespan=lifespan)
    install(app, runtime=Ledger().runtime())
    with TestClient(app, headers={"X-Trace-Id": ID}) as client:
        assert client.get("/state").json() == {"pool": "open", "trace": ID}
    assert seen == ["started", "stopped"]


def test_what_is_no_starlette_application_is_refused_aloud() -> None:
    """An application that something was wrapped around cannot be gated outside of that."""
    with pytest.raises(TypeError, match="a Starlette application is wanted, not a TraceGate"):
        install(TraceGate(service(), runtime=Ledger().runtime()))  # type: ignore[arg-type]


def test_faulty_settings_leave_the_application_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings are read when the gate is made, and nothing is half installed."""
    app = service()
    kind = type(app)
    monkeypatch.setenv("TRACEGATE_MODE", "sometimes")
    with pytest.raises(ConfigurationError, match="TRACEGATE_MODE"):
        install(app)
    assert type(app) is kind
    assert ask_asgi(app, "/ok").values(b"x-trace-id") == []


# Unhandled exceptions.


@pytest.mark.contract("C4", "E1")
def test_an_unhandled_exception_is_the_standard_error_and_reaches_the_server() -> None:
    """The plain-text page is gone; the very exception comes out, for the server's log."""
    app, ledger = service(), Ledger()
    install(app, runtime=ledger.runtime())
    reply = ask_asgi(app, "/crash")
    assert is_standard_error(reply)
    assert reply.raised is CRASH
    assert ledger == []


@pytest.mark.contract("C4", "E1")
def test_the_standard_error_follows_the_policy_and_the_caller() -> None:
    """A problem object (RFC 9457) where the caller prefers it."""
    app = service()
    install(app, runtime=Ledger().runtime())
    reply = ask_asgi(app, request("/crash", ("accept", "application/problem+json")))
    assert reply.values(b"content-type") == [b"application/problem+json"]
    assert error_of(reply)["status"] == 500


@pytest.mark.contract("C4")
def test_a_debug_page_stays() -> None:
    """It is the developer's, and only gains the header."""
    app = service(debug=True)
    install(app, runtime=Ledger().runtime())
    reply = ask_asgi(app, "/crash")
    assert (reply.status, trace_of(reply)) == (500, ID)
    assert b"AppError: secret" in reply.body


async def own_page(request: Request, error: Exception) -> Response:
    return JSONResponse({"sorry": str(current_trace())}, 500)


@pytest.mark.contract("C4", "D1", "G1")
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("key", [500, Exception], ids=["500", "Exception"])
def test_a_handler_of_the_applications_own_wins(key: Any, *, late: bool) -> None:
    """Registered before or after, by class or by status, it answers, and its JSON gains the member."""
    app = service()
    if late:
        install(app, runtime=Ledger().runtime())
    app.add_exception_handler(key, own_page)
    install(app, runtime=Ledger().runtime())
    reply = ask_asgi(app, "/crash")
    assert (reply.status, error_of(reply)) == (500, {"sorry": ID, "trace_id": ID})
    assert reply.raised is CRASH


@pytest.mark.contract("C5")
def test_an_exception_after_the_reply_started_is_no_clean_end() -> None:
    """What the application has sent stays, and the body is left open."""

    async def endless() -> AsyncIterator[bytes]:
        yield b"a"
        raise CRASH

    async def stream(request: Request) -> Response:
        return StreamingResponse(endless(), media_type="text/plain")

    app, ledger = Starlette(routes=[Route("/stream", stream)]), Ledger()
    install(app, runtime=ledger.runtime())
    reply = ask_asgi(app, "/stream")
    assert (reply.status, reply.body, reply.clean) == (200, b"a", False)
    assert [(event.kind, event.route) for event in ledger] == [("stream_broken", "/stream")]


@pytest.mark.contract("C4")
def test_an_application_that_shares_its_handlers_works_without_a_gate() -> None:
    """Handlers copied to an application that is not installed answer as Starlette's own page does."""
    app, other = service(), service()
    install(app, runtime=Ledger().runtime())
    assert ask_asgi(app, "/ok").status == 200
    other.exception_handlers = app.exception_handlers
    reply = ask_asgi(other, "/crash")
    assert (reply.status, reply.body) == (500, b"Internal Server Error")
    assert ask_asgi(other, "/missing").status == 409


# A trace that is required and missing.


@pytest.mark.contract("E2", "G3")
@pytest.mark.parametrize("own", [None, Exception, LookupError], ids=["plain", "catch-all", "base-class"])
def test_a_missing_trace_in_a_handler_is_a_409(own: Any) -> None:
    """Also where the application catches everything: its handler is not asked."""
    app, ledger = service(), Ledger()
    if own is not None:
        app.add_exception_handler(own, own_page)
    app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    install(app, runtime=ledger.runtime())
    reply = ask_asgi(app, "/missing")
    assert (reply.status, error_of(reply)["details"]) == REFUSED
    assert reply.raised is None
    assert [(event.kind, event.route, event.detail) for event in ledger] == [
        ("missing_trace", "/missing", "trace_id_missing")
    ]


@pytest.mark.contract("E2", "G3")
def test_a_missing_trace_in_middleware_is_a_409() -> None:
    """It reaches the outermost handler only, and the server as well."""
    app, ledger, error = service(), Ledger(), MissingTraceError()
    app.add_middleware(Broken, error=error)
    install(app, runtime=ledger.runtime())
    reply = ask_asgi(app, "/ok")
    assert (reply.status, error_of(reply)["details"]) == REFUSED
    assert reply.raised is error


@pytest.mark.contract("G3")
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_handler_for_missing_traces_of_the_applications_own_wins(*, late: bool) -> None:
    """An application may know better."""
    app = service()
    if late:
        install(app, runtime=Ledger().runtime())
    app.add_exception_handler(MissingTraceError, own_page)
    install(app, runtime=Ledger().runtime())
    assert error_of(ask_asgi(app, "/missing")) == {"sorry": ID, "trace_id": ID}


# WebSockets.


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(str(current_trace()))
    await socket.close()


async def refuse_to_talk(socket: WebSocket) -> None:
    raise MissingTraceError


@pytest.mark.contract("C1", "G1")
def test_a_websocket_is_accepted_under_its_trace() -> None:
    """The handshake's answer carries it, and the endpoint knows it."""
    app = Starlette(routes=[WebSocketRoute("/talk", talk)])
    install(app, runtime=Ledger().runtime())
    with TestClient(app).websocket_connect("/talk", headers={"X-Trace-Id": ID}) as session:
        assert session.receive_text() == ID
        assert (b"x-trace-id", ID.encode()) in list(session.extra_headers or ())


@pytest.mark.contract("C1", "G3")
def test_a_missing_trace_before_a_websocket_is_accepted_is_a_denial() -> None:
    """409 with the standard error, where the server can answer a handshake."""
    app, ledger = Starlette(routes=[WebSocketRoute("/talk/{room}", refuse_to_talk)]), Ledger()
    install(app, runtime=ledger.runtime())
    client = TestClient(app, raise_server_exceptions=False)
    with pytest.raises(MissingTraceError), client.websocket_connect("/talk/1", headers={"X-Trace-Id": ID}):
        raise AssertionError
    assert [(event.route, event.status, event.transport) for event in ledger] == [("/talk/{room}", 409, "websocket")]


# Who may read the gate's own replies.

CONSOLE = "https://console.example"


def cors_of(app: ASGIApp, origin: str = CONSOLE, **asked: Any) -> dict[str, str]:
    """Return the CORS headers of a refusal, or of another reply."""
    reply = ask_asgi(app, request(asked.get("path", "/ok"), ("origin", origin), trace=bool(asked)))
    return {
        name.decode(): value.decode()
        for name, value in reply.headers
        if name.startswith(b"access-control-") or name == b"vary"
    }


@pytest.mark.contract("C6")
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_refusal_carries_what_the_cors_layer_would_have_given(*, late: bool) -> None:
    """The rules are read when they are needed, so that the order does not matter; the trace is always readable."""
    app = service()
    if late:
        install(app, runtime=Ledger().runtime())
    app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    app.add_middleware(CORSMiddleware, [CONSOLE], allow_credentials=True, expose_headers=["X-Total", "X-Page"])
    install(app, runtime=Ledger().runtime())
    expected = {
        "access-control-allow-origin": CONSOLE,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "X-Total, X-Page, X-Trace-Id",
        "vary": "Origin",
    }
    assert cors_of(app) == expected
    assert cors_of(app, path="/crash") == expected
    assert cors_of(app, "https://elsewhere.example") == {}
    reply = {key: value.lower() for key, value in cors_of(app, path="/ok").items()}
    assert reply == {key: value.lower() for key, value in expected.items()}


@pytest.mark.contract("C6")
def test_cors_for_everyone_by_pattern_and_by_code_are_read_alike() -> None:
    """A star, a star with credentials, a regular expression, and a subclass that decides by itself."""

    class Choosy(CORSMiddleware):
        def is_allowed_origin(self, origin: str) -> bool:
            return origin.endswith(".choosy.example")

    exposed = {"access-control-expose-headers": "X-Trace-Id"}
    named = {"access-control-allow-origin": CONSOLE, "vary": "Origin", **exposed}
    for layer, expected in (
        (Middleware(CORSMiddleware, allow_origins=["*"]), {"access-control-allow-origin": "*", **exposed}),
        (
            Middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True),
            named | {"access-control-allow-credentials": "true"},
        ),
        (Middleware(CORSMiddleware, allow_origin_regex=r"https://[a-z]+\.example"), named),
        (Middleware(Choosy, allow_origins=[CONSOLE]), {}),
    ):
        app = service(middleware=[layer])
        install(app, runtime=Ledger().runtime())
        assert cors_of(app) == expected


@pytest.mark.contract("C6")
def test_without_a_cors_layer_the_policy_says_who_may_read() -> None:
    """`cors_origins`, or nobody."""
    app, closed = service(middleware=[Middleware(functools.partial(CORSMiddleware, allow_origins="*"))]), service()
    install(app, runtime=Ledger().runtime(cors_origins=(CONSOLE,)))
    install(closed, runtime=Ledger().runtime())
    assert cors_of(app)["access-control-allow-origin"] == CONSOLE
    assert cors_of(closed) == {}


# Which route an event names.


class Odd(BaseRoute):
    """A route of somebody's own that cannot be asked."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["path"].startswith("/odd"):
            raise AppError
        return Match.NONE, {}


@pytest.mark.contract("F2")
@pytest.mark.parametrize(
    ("path", "method", "route"),
    [
        ("/items/3", "GET", "/items/{number}"),
        ("/items/3", "DELETE", "/items/{number}"),
        ("/items/3", "PUT", "/items/{number}"),
        ("/v1/shops/7/items/3", "GET", "/v1/shops/{shop}/items/{number}"),
        ("/v1/none", "GET", None),
        ("/files/a/b.txt", "GET", "/files/{path}"),
        ("/hosted/1", "GET", "/hosted/{number}"),
        ("/none", "GET", None),
        ("/items/", "GET", None),
        ("/odd/1", "GET", None),
    ],
)
def test_the_event_of_a_refusal_names_the_route_template(path: str, method: str, route: str | None) -> None:
    """The table is matched, mounts included, and nothing runs; unknown ones are one value."""

    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    def endpoint(request: Request) -> Response:
        raise AssertionError

    item = Route("/items/{number:int}", endpoint, methods=["GET", "PUT"])
    shops = Mount("/shops/{shop}", routes=[Route("/other", endpoint), item])
    app, ledger = Starlette(), Ledger()
    app.router.routes += [Odd(), Route("/items/{number:int}", endpoint, methods=["PUT"]), item]
    app.router.routes += [Mount("/v1", app=Starlette(routes=[shops])), Mount("/files", app=never)]
    app.router.routes += [Host("{shop}.example", Starlette(routes=[Route("/hosted/{number}", endpoint)]))]
    install(app, runtime=ledger.runtime())
    host = ("host", "seven.example" if path.startswith("/hosted") else "testserver")
    assert ask_asgi(app, request(path, host, method=method, trace=False)).status == 409
    assert [event.route for event in ledger] == [route]


@pytest.mark.contract("F2")
def test_the_event_of_a_reply_names_the_route_template_too() -> None:
    """The scope has been through the mounts by then."""

    async def forge(request: Request) -> Response:
        return Response(headers={"X-Trace-Id": "0af76519-16cd-43dd-8448-eb211c80319c"})

    app, ledger = Starlette(), Ledger()
    app.mount("/shops/{shop}", Starlette(routes=[Mount("/v1", routes=[Route("/items/{number}", forge)])]))
    install(app, runtime=ledger.runtime())
    assert ask_asgi(app, "/shops/7/v1/items/3").status == 409
    assert [event.route for event in ledger] == ["/shops/{shop}/v1/items/{number}"]
