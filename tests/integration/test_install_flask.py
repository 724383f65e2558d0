"""Does the extension put a Flask application behind the gate, whatever its configuration and whatever wraps it?"""
# ruff: noqa: ANN401, ARG001, ARG002, ARG005, D103 - a function takes what Flask gives, and its name says what it does

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from a2wsgi import WSGIMiddleware
from fastapi import FastAPI
from flask import Blueprint, Flask, Response, abort, current_app, jsonify, send_file, stream_with_context
from flask import request as flask_request
from flask.typing import ResponseReturnValue
from flask_cors import CORS
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.integration.installed import (
    ID,
    Ledger,
    ask_asgi,
    ask_wsgi,
    error_of,
    is_standard_error,
    peek,
    request,
    trace_of,
)
from tracegate.adapters import wsgi
from tracegate.context import current_trace
from tracegate.core.policy import Policy
from tracegate.errors import ConfigurationError, MissingTraceError
from tracegate.integrations import fastapi
from tracegate.integrations.flask import TraceGate

CONSOLE = "https://console.example"


class AppError(Exception):
    """What the application raises; its text is nobody's business."""


CRASH = AppError("secret")


def service(**config: Any) -> Flask:
    """Return an application with an endpoint for each way of answering."""
    app = Flask(__name__)
    app.config.update(config)
    app.logger.disabled = True

    @app.get("/ok")
    def greet() -> ResponseReturnValue:
        return {"trace": str(current_trace())}

    @app.route("/crash")
    def crash() -> ResponseReturnValue:
        raise CRASH

    @app.get("/missing")
    def missing() -> ResponseReturnValue:
        raise MissingTraceError

    @app.get("/abort/<int:status>")
    def end(status: int) -> ResponseReturnValue:
        abort(status)

    return app


def gated(app: Flask, **policy: Any) -> Ledger:
    """Install a gate into *app*, and return what it records."""
    ledger = Ledger()
    TraceGate(app, runtime=ledger.runtime(**policy))
    return ledger


class Broken:
    """A layer that raises before anything else runs."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        raise CRASH


class Shortcut:
    """A layer that answers by itself."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("503 Service Unavailable", [("Content-Type", "application/json")])
        return [b'{"error":"busy"}']


# Outermost, whatever the order.


@pytest.mark.contract("C1", "C2")
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("layer", [Broken, Shortcut])
def test_what_wraps_the_wsgi_app_is_inside_the_gate(layer: Any, *, late: bool) -> None:
    """Assigned before or after, a layer that fails or answers by itself does so under the trace."""
    app = service()
    if late:
        gated(app)
    app.wsgi_app = layer(app.wsgi_app)  # type: ignore[method-assign]
    gated(app)
    reply = ask_wsgi(app, "/ok")
    assert reply.status == (500 if layer is Broken else 503)
    assert error_of(reply)["trace_id"] == ID


@pytest.mark.contract("C1", "C2")
def test_who_serves_the_wsgi_app_itself_meets_a_gate_too() -> None:
    """A layer around `app.wsgi_app` that is served in place of the application; policy and events are the same."""
    app = service()
    ledger = gated(app)
    served = ProxyFix(DispatcherMiddleware(app.wsgi_app, {}))
    assert is_standard_error(ask_wsgi(served, "/crash"))
    refused = ask_wsgi(served, request("/ok", ("origin", CONSOLE), trace=False))
    assert refused.status == 409
    assert [(event.kind, event.route) for event in ledger] == [("missing_trace", "/ok")]


@pytest.mark.contract("C2")
def test_installing_twice_is_the_same_as_once() -> None:
    """By one extension object or two; the first policy holds."""
    app, first, second = service(), Ledger(), Ledger()
    extension = TraceGate(app, runtime=first.runtime())
    kind, gate = type(app), app.extensions["tracegate"]
    extension.init_app(app)
    TraceGate(app, runtime=second.runtime(mode="mint"))
    assert (type(app), app.extensions["tracegate"]) == (kind, gate)
    assert ask_wsgi(app, request("/ok", trace=False)).status == 409
    assert trace_of(ask_wsgi(app, "/ok")) == ID
    assert ([event.kind for event in first], second) == (["missing_trace"], [])


def test_one_extension_serves_several_applications() -> None:
    """The factory pattern: nothing of an application is kept, and each may have a policy of its own."""
    ledger = Ledger()
    extension = TraceGate(runtime=ledger.runtime(service="shop"))
    plain, mint = service(), service()
    extension.init_app(plain)
    extension.init_app(mint, Policy(mode="mint", service="edge"))
    assert ask_wsgi(plain, request("/ok", trace=False)).status == 409
    minted = ask_wsgi(mint, request("/ok", trace=False))
    assert json.loads(minted.body) == {"trace": trace_of(minted)}
    assert ask_wsgi(mint, request("/ok", ("X-Trace-Id", "bad"), trace=False)).status == 409
    assert [event.service for event in ledger] == ["shop", "edge"]
    other = service()
    TraceGate(policy=Policy(mode="mint")).init_app(other)
    assert ask_wsgi(other, request("/ok", trace=False)).status == 200


@pytest.mark.contract("C2", "G3")
def test_installing_after_the_first_request_works() -> None:
    """Flask takes no more handlers then; the answers are the same."""
    app = service()
    assert ask_wsgi(app, "/crash").values(b"content-type") == [b"text/html; charset=utf-8"]
    gated(app)
    assert is_standard_error(ask_wsgi(app, "/crash"))
    assert error_of(ask_wsgi(app, "/missing"))["details"] == ["trace_id_missing"]


@pytest.mark.contract("C2")
def test_instrumentation_that_replaces_the_class_method_still_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Error trackers wrap `Flask.__call__` or `Flask.wsgi_app`, at any time."""
    app = service()
    gated(app)
    seen: list[str] = []

    def tracked(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Flask, environ: dict[str, Any], start_response: Any) -> Any:
            seen.append(f"{name} {peek()}")
            return original(self, environ, start_response)

        return call

    for name in ("__call__", "wsgi_app"):
        monkeypatch.setattr(Flask, name, tracked(name, getattr(Flask, name)))
    assert ask_wsgi(app, "/ok").status == 200
    assert seen == [f"__call__ {ID}", f"wsgi_app {ID}"]


@pytest.mark.contract("B8")
def test_a_mounted_application_adds_its_answers_only() -> None:
    """Under another Flask application and under a gate of its own: one line, one trace, one policy."""
    outer, inner, ledger = service(), service(), Ledger()
    TraceGate(inner, runtime=ledger.runtime())
    outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/inner": inner})  # type: ignore[method-assign]
    TraceGate(outer, runtime=ledger.runtime(mode="mint"))
    assert is_standard_error(ask_wsgi(outer, "/inner/crash"))
    gate = wsgi.TraceGate(inner, runtime=ledger.runtime(mode="mint"))
    for app, path in ((outer, "/inner/ok"), (gate, "/ok")):
        reply = ask_wsgi(app, request(path, trace=False))
        assert (reply.status, json.loads(reply.body)) == (200, {"trace": trace_of(reply)})
    assert ledger == []


@pytest.mark.contract("B8", "C4")
def test_a_flask_application_in_a_fastapi_one_runs_under_the_outer_trace() -> None:
    """Both are gated, a bridge stands between them, and the id may be minted outside."""
    inner, ledger = service(), Ledger()
    TraceGate(inner, runtime=ledger.runtime())
    outer = FastAPI()
    outer.mount("/flask", WSGIMiddleware(inner))  # type: ignore[arg-type]
    fastapi.install(outer, runtime=ledger.runtime(mode="mint"))
    for trace in (True, False):
        reply = ask_asgi(outer, request("/flask/ok", trace=trace))
        assert (reply.status, json.loads(reply.body)) == (200, {"trace": trace_of(reply)})
    assert is_standard_error(ask_asgi(outer, "/flask/crash"))
    assert ledger == []
    assert error_of(ask_asgi(outer, "/flask/missing"))["details"] == ["trace_id_missing"]
    assert [event.detail for event in ledger] == ["trace_id_missing"]


def test_the_application_still_looks_like_itself() -> None:
    """It is the same object of the same named type; its test client and test contexts work."""

    class Shop(Flask):
        def motto(self) -> str:
            return "hold fast"

    app = Shop("shop")
    before = (id(app), type(app).__name__, type(app).__module__, type(app).__qualname__)
    gated(app)
    assert (id(app), type(app).__name__, type(app).__module__, type(app).__qualname__) == before
    assert (isinstance(app, Shop), app.motto(), app.name) == (True, "hold fast", "shop")

    @app.get("/app")
    def name() -> str:
        return f"{current_app.name} {flask_request.environ['tracegate.trace']}"

    with app.test_client() as client:
        assert client.get("/app", headers={"X-Trace-Id": ID}).text == f"shop {ID}"
    with app.test_request_context("/app"):
        assert flask_request.path == "/app"
        assert current_trace() is None


def test_code_that_dispatches_by_itself_needs_no_gate() -> None:
    """In a test context Flask's own answers stay, and a missing trace raises."""
    app = service()
    gated(app)
    with app.test_request_context("/crash"):
        error = InternalServerError(original_exception=CRASH)
        assert app.make_response(error).content_type == "text/html; charset=utf-8"
    with app.test_request_context("/missing"), pytest.raises(MissingTraceError):
        app.full_dispatch_request()
    assert app.make_response(("plain", 200)).status_code == 200


def test_what_is_no_flask_application_is_refused_aloud() -> None:
    """An application that something was wrapped around cannot be gated outside of that."""
    with pytest.raises(TypeError, match="a Flask application is wanted, not a ProxyFix"):
        TraceGate(ProxyFix(service()), runtime=Ledger().runtime())  # type: ignore[arg-type]


def test_faulty_settings_leave_the_application_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings are read when the gate is made, and nothing is half installed."""
    app = service()
    monkeypatch.setenv("TRACEGATE_MODE", "sometimes")
    with pytest.raises(ConfigurationError, match="TRACEGATE_MODE"):
        TraceGate(app)
    assert "tracegate" not in app.extensions
    assert ask_wsgi(app, "/ok").values(b"x-trace-id") == []


# Errors.


@pytest.mark.contract("C4", "E1")
def test_flasks_own_page_for_an_unhandled_exception_is_the_standard_error() -> None:
    """What runs after requests still does, and Flask has logged the exception and told its listeners."""
    app = service()
    app.after_request(lambda response: response.headers.add("X-After", "1") or response)
    gated(app)
    reply = ask_wsgi(app, "/crash")
    assert is_standard_error(reply)
    assert reply.values(b"x-after") == [b"1"]
    assert reply.raised is None
    problem = ask_wsgi(app, request("/crash", ("accept", "application/problem+json")))
    assert problem.values(b"content-type") == [b"application/problem+json"]
    assert error_of(problem)["status"] == 500
    head = ask_wsgi(app, request("/crash", method="HEAD"))
    assert (head.status, head.body, trace_of(head)) == (500, b"", ID)


@pytest.mark.contract("C4")
@pytest.mark.parametrize("flag", ["TESTING", "PROPAGATE_EXCEPTIONS", "DEBUG"])
def test_an_exception_that_flask_lets_out_is_the_standard_error_and_reaches_the_server(flag: str) -> None:
    """With these settings Flask answers nothing; the gate does, and raises the very exception afterwards."""
    app = service(**{flag: True})
    gated(app)
    reply = ask_wsgi(app, "/crash")
    assert is_standard_error(reply)
    assert (reply.raised, reply.raised_from) == (CRASH, "next")
    assert error_of(ask_wsgi(app, "/missing"))["details"] == ["trace_id_missing"]


@pytest.mark.contract("C1", "D3")
@pytest.mark.parametrize("status", [400, 401, 404, 418, 500, 503])
def test_what_abort_answers_stays(status: int) -> None:
    """HTML is the application's choice, also for a 500 that nothing raised; it gains the header."""
    app = service()
    gated(app)
    reply = ask_wsgi(app, f"/abort/{status}")
    assert (reply.status, trace_of(reply)) == (status, ID)
    assert reply.values(b"content-type") == [b"text/html; charset=utf-8"]


@pytest.mark.contract("C1")
def test_what_flask_answers_by_itself_carries_the_trace() -> None:
    """404, 405, the OPTIONS answer, a HEAD, a redirect to the slash, a 304 and a 204."""
    app = service()
    app.add_url_rule("/slash/", "slash", lambda: "")
    app.add_url_rule("/empty", "empty", lambda: ("", 204))
    app.add_url_rule("/same", "same", lambda: ("", 304))
    gated(app)
    asked = [request(path) for path in ("/none", "/slash", "/empty", "/same")]
    asked += [request("/ok", method=method) for method in ("DELETE", "OPTIONS", "HEAD")]
    replies = [ask_wsgi(app, each) for each in asked]
    assert [reply.status for reply in replies] == [404, 308, 204, 304, 405, 200, 200]
    assert {trace_of(reply) for reply in replies} == {ID}


def sorry(error: Exception) -> ResponseReturnValue:
    return {"sorry": str(current_trace())}, getattr(error, "code", None) or 500


@pytest.mark.contract("C4", "D1", "G1")
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("key", [500, Exception, HTTPException, InternalServerError, AppError])
def test_a_handler_of_the_applications_own_wins(key: Any, *, late: bool) -> None:
    """Registered before or after, for whatever covers the error, it answers, and its JSON gains the member."""
    app = service()
    if late:
        gated(app)
    app.register_error_handler(key, sorry)
    gated(app)
    reply = ask_wsgi(app, "/crash")
    assert (reply.status, error_of(reply)) == (500, {"sorry": ID, "trace_id": ID})


@pytest.mark.contract("D1", "G1")
def test_blueprints_and_their_handlers_are_covered() -> None:
    """A blueprint's own handler answers for it, and its hooks know the trace."""
    app, shop, seen = service(), Blueprint("shop", __name__, url_prefix="/shop"), list[str | None]()

    @shop.before_request
    def note() -> None:
        seen.append(peek())

    @shop.get("/crash")
    def crash() -> ResponseReturnValue:
        raise CRASH

    @shop.get("/none")
    def none() -> ResponseReturnValue:
        return jsonify(error="gone"), 410

    shop.register_error_handler(AppError, sorry)
    app.register_blueprint(shop)
    gated(app)
    assert error_of(ask_wsgi(app, "/shop/crash")) == {"sorry": ID, "trace_id": ID}
    assert error_of(ask_wsgi(app, "/shop/none")) == {"error": "gone", "trace_id": ID}
    assert seen == [ID, ID]


@pytest.mark.contract("E2", "G3")
@pytest.mark.parametrize("own", [None, Exception, 500], ids=["plain", "catch-all", "500"])
def test_a_missing_trace_in_a_handler_is_a_409(own: Any) -> None:
    """Also where the application catches everything: its handler is not asked."""
    app = service()
    if own is not None:
        app.register_error_handler(own, sorry)
    ledger = gated(app)
    reply = ask_wsgi(app, "/missing")
    assert (reply.status, error_of(reply)["details"]) == (409, ["trace_id_missing"])
    assert [(event.kind, event.route, event.detail) for event in ledger] == [
        ("missing_trace", "/missing", "trace_id_missing")
    ]


@pytest.mark.contract("G3")
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_handler_for_missing_traces_of_the_applications_own_wins(*, late: bool) -> None:
    """An application may know better."""
    app = service()
    if late:
        gated(app)
    app.register_error_handler(MissingTraceError, sorry)
    gated(app)
    assert error_of(ask_wsgi(app, "/missing")) == {"sorry": ID, "trace_id": ID}


@pytest.mark.contract("C4", "G2")
@pytest.mark.parametrize("hook", ["before_request", "after_request", "teardown_request", "teardown_appcontext"])
def test_a_hook_that_raises_is_a_standard_error_and_leaves_nothing_behind(hook: str) -> None:
    """A raising teardown has left peers with the wrong id on every later request of the worker."""
    app = service()

    def fail(*_: object) -> Any:
        raise CRASH

    getattr(app, hook)(fail)
    gated(app)
    for _ in range(3):
        assert is_standard_error(ask_wsgi(app, "/ok"))
    assert is_standard_error(ask_wsgi(app, "/crash"))


# The trace inside, and streams.


@pytest.mark.contract("G1")
@pytest.mark.parametrize("other_thread", [False, True], ids=["one thread", "another thread"])
def test_code_of_the_application_knows_its_trace_wherever_it_runs(*, other_thread: bool) -> None:
    """Hooks, views, generators with and without the request's context, and what runs when a reply is closed."""
    app, seen = service(), dict[str, str | None]()

    def note(place: str) -> None:
        seen[place] = peek()

    def noted(response: Response) -> Response:
        note("after")
        return response

    app.before_request(lambda: note("before"))
    app.after_request(noted)
    app.teardown_request(lambda error: note("teardown"))
    app.teardown_appcontext(lambda error: note("application's teardown"))

    def pieces(name: str) -> Iterator[str]:
        try:
            for number in range(3):
                note(f"{name} {number}")
                yield "a"
        finally:
            note(f"{name} closed")

    @app.get("/plain")
    def plain() -> Response:
        note("view")
        response = Response(pieces("generator"))
        response.call_on_close(lambda: note("closed"))
        return response

    @app.get("/in-context")
    def in_context() -> Response:
        def inside() -> Iterator[str]:
            note(f"path {flask_request.path}")
            yield from pieces("generator in context")

        return Response(stream_with_context(inside()))

    gated(app)
    paths = ["/plain"] if other_thread else ["/plain", "/in-context"]  # Flask's contexts cannot change threads
    for path in paths:
        reply = ask_wsgi(app, path, other_thread=other_thread)
        assert (reply.body, reply.clean) == (b"aaa", True)
    assert len(seen) == (10 if other_thread else 15)
    assert set(seen.values()) == {ID}


def streams(app: Flask) -> None:
    """Add an event stream with and without the request's context; it breaks before its event number `fail`."""

    def events() -> Iterator[str]:
        for number in range(3):
            if f"fail={number}" == query:
                raise CRASH
            yield f'data: {{"number": {number}, "seen": "{current_trace()}"}}\n\n'

    query = ""

    def answer(wrap: Callable[[Iterator[str]], Iterator[str]]) -> Response:
        nonlocal query
        query = flask_request.query_string.decode()
        return Response(wrap(events()), mimetype="text/event-stream")

    app.add_url_rule("/plain", "plain", lambda: answer(iter))
    app.add_url_rule("/in-context", "in_context", lambda: answer(stream_with_context))


STREAMS = pytest.mark.parametrize("path", ["/plain", "/in-context"])


def stream_of(path: str, query: bytes = b"") -> tuple[Any, list[dict[str, Any]], Ledger]:
    """Return the reply of one stream, the data of its events, and what was recorded."""
    app = service()
    streams(app)
    ledger = gated(app)
    asked = request(path)
    reply = ask_wsgi(app, type(asked)(path=path, headers=asked.headers, query=query))
    return reply, [json.loads(line[6:]) for line in reply.body.split(b"\n") if line.startswith(b"data: ")], ledger


@pytest.mark.contract("D6", "G1")
@STREAMS
def test_every_event_of_a_stream_names_the_trace(path: str) -> None:
    """A generator of Flask's, and one that keeps the request's context."""
    reply, events, ledger = stream_of(path)
    assert (reply.status, reply.clean, reply.raised, ledger) == (200, True, None, [])
    assert events == [{"number": number, "seen": ID, "trace_id": ID} for number in range(3)]


@pytest.mark.contract("D7")
@STREAMS
def test_a_stream_that_fails_midway_says_so_and_has_no_clean_end(path: str) -> None:
    """One error event with the standard error object; the exception reaches the server."""
    reply, events, ledger = stream_of(path, b"fail=2")
    assert [event.get("number") for event in events] == [0, 1, None]
    assert events[2] == {"error_code": "SYS-003-500", "message": "Internal Server Error", "trace_id": ID, "details": []}
    assert reply.body.count(b"event: error") == 1
    assert (reply.clean, reply.raised) == (False, CRASH)
    assert [(event.kind, event.route) for event in ledger] == [("stream_broken", path)]


@pytest.mark.contract("C4", "D7")
@STREAMS
def test_a_stream_that_fails_at_once_is_an_error_and_no_empty_stream(path: str) -> None:
    """The head was held, so that the client gets a real 500."""
    reply, _, _ = stream_of(path, b"fail=0")
    assert is_standard_error(reply)


# Routes.


@pytest.mark.contract("F2")
@pytest.mark.parametrize(
    ("path", "method", "route"),
    [
        ("/shop/items/3", "GET", "/shop/items/<int:number>"),
        ("/shop/items/3", "DELETE", "/shop/items/<int:number>"),
        ("/shop/items/three", "GET", None),
        ("/static/a/b.txt", "GET", "/static/<path:filename>"),
        ("/shop/slash", "GET", None),
        ("/none", "GET", None),
    ],
)
def test_the_event_of_a_refusal_names_the_rule(path: str, method: str, route: str | None) -> None:
    """The URL map is matched and nothing runs; unknown paths are one value."""
    app, shop = service(), Blueprint("shop", __name__, url_prefix="/shop")

    def view(number: int = 0) -> ResponseReturnValue:
        raise AssertionError

    shop.add_url_rule("/items/<int:number>", view_func=view)
    shop.add_url_rule("/slash/", "slash", view)
    app.register_blueprint(shop)
    ledger = gated(app)
    assert ask_wsgi(app, request(path, method=method, trace=False)).status == 409
    assert [event.route for event in ledger] == [route]


@pytest.mark.contract("F2")
def test_rules_of_a_host_and_of_a_mount_are_named() -> None:
    """Host matching, and an application that is mounted under a prefix."""
    app = Flask(__name__, host_matching=True, static_host="static.example")
    app.add_url_rule("/items/<number>", view_func=lambda number: number, host="<shop>.example")
    ledger = gated(app)
    asked = request("/items/3", ("host", "seven.example"), trace=False)
    assert ask_wsgi(app, asked).status == 409
    assert ask_wsgi(app, request("/items/3", ("host", "elsewhere.test"), trace=False)).status == 409
    plain = service()
    ledger_of_plain = gated(plain)
    assert ask_wsgi(DispatcherMiddleware(service(), {"/in": plain}), request("/in/ok", trace=False)).status == 409
    assert [event.route for event in (*ledger, *ledger_of_plain)] == ["/items/<number>", None, "/ok"]


# Who may read the gate's own replies.


def cors_of(app: Flask, path: str = "/ok", origin: str = CONSOLE, *, trace: bool = False) -> dict[str, str]:
    """Return the CORS headers of a refusal, or of another reply."""
    reply = ask_wsgi(app, request(path, ("origin", origin), trace=trace))
    return {
        name.decode().lower(): value.decode()
        for name, value in reply.headers
        if name.lower().startswith(b"access-control-") or name.lower() == b"vary"
    }


@pytest.mark.contract("C6")
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_refusal_carries_what_flask_cors_would_have_given(*, late: bool) -> None:
    """The rules of the request's path, read when they are needed; the trace is always readable."""
    app = service()
    if late:
        gated(app)
    rules: dict[Any, Any] = {"/ok": {"origins": [CONSOLE, r"https://.*\.test"]}, "/missing": {"origins": "*"}}
    CORS(app, resources=rules, supports_credentials=True, expose_headers=["X-Total"])
    gated(app)
    expected = {
        "access-control-allow-origin": CONSOLE,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "X-Total, X-Trace-Id",
        "vary": "Origin",
    }
    assert cors_of(app) == expected
    assert cors_of(app, trace=True) == expected
    assert cors_of(app, origin="https://a.test") == expected | {"access-control-allow-origin": "https://a.test"}
    assert cors_of(app, origin="https://elsewhere.example") == {}
    assert cors_of(app, "/missing", trace=True) == expected
    assert cors_of(app, "/crash") == {}


@pytest.mark.contract("C4", "C6")
def test_the_standard_error_carries_what_flask_cors_gives_it() -> None:
    """The layer runs on it, as on every reply of the application."""
    app = service()
    CORS(app, origins=CONSOLE)
    gated(app)
    assert cors_of(app, "/crash", trace=True) == {
        "access-control-allow-origin": CONSOLE,
        "access-control-expose-headers": "X-Trace-Id",
    }


@pytest.mark.contract("C6")
def test_without_flask_cors_the_policy_says_who_may_read() -> None:
    """`cors_origins`, or nobody; a layer whose rules cannot be read counts as none."""
    app, closed, strange = service(), service(), service()
    gated(app, cors_origins=(CONSOLE,))
    app.after_request(lambda response: response)
    gated(closed)

    def cors_after_request(response: Response) -> Response:
        return response

    cors_after_request.__module__ = "flask_cors.extension"
    strange.after_request(cors_after_request)
    gated(strange, cors_origins=("*",))
    assert cors_of(app)["access-control-allow-origin"] == CONSOLE
    assert cors_of(closed) == {}
    assert cors_of(strange)["access-control-allow-origin"] == "*"


@pytest.mark.contract("C1", "C5", "C8")
def test_a_file_that_the_server_in_front_sends_is_left_to_it() -> None:
    """With USE_X_SENDFILE the head declares the length of the file, and the body is empty."""
    app = service(USE_X_SENDFILE=True)
    app.add_url_rule("/file", view_func=lambda: send_file(__file__, mimetype="application/octet-stream"))
    ledger = gated(app)
    reply = ask_wsgi(app, request("/file"))
    assert (reply.status, reply.body, trace_of(reply)) == (200, b"", ID)
    assert (b"X-Sendfile", __file__.encode()) in reply.headers
    assert ledger == []
