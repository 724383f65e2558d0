"""What does a Flask service say? Its responders, failures, streams, blueprints, and what stands around it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, Response, abort, jsonify, redirect, request, send_file
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from tests.integration.applications.flask_streams import streams
from tests.integration.applications.scripts import OTHER_TRACE, ApplicationError
from tests.integration.applications.variant import CONSOLE, around_flask, current

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue

__all__ = ["app"]

HERE = Path(__file__).parent

app = Flask(__name__, static_folder=str(HERE / "static"))
app.config["MAX_CONTENT_LENGTH"] = 1 << 20


class TeapotError(Exception):
    """An error that the application handles itself."""


@app.before_request
def let_nobody_in() -> ResponseReturnValue | None:
    """Refuse one path before its handler."""
    return (jsonify(error="who?"), 401, {"WWW-Authenticate": "Bearer"}) if request.path == "/refused" else None


@app.after_request
def add_headers(response: Response) -> Response:
    """Add what a CORS extension adds, and a forged id where the path asks for it."""
    if request.headers.get("Origin") == CONSOLE:
        response.headers["Access-Control-Allow-Origin"] = CONSOLE
        response.headers["Access-Control-Expose-Headers"] = "X-Total"
    if request.path == "/after-forged":
        response.headers["X-Trace-Id"] = OTHER_TRACE
    if request.path == "/after-crash":
        raise ApplicationError("secret")
    return response


@app.teardown_request
def tear_down(error: BaseException | None) -> None:
    """Fail after the reply was made where the path asks for it."""
    del error
    if request.path == "/teardown-crash":
        raise ApplicationError("secret")


@app.errorhandler(TeapotError)
def handle_teapot(error: TeapotError) -> ResponseReturnValue:
    """Answer as the application likes."""
    del error
    return jsonify(error="teapot", seen=current()), 418


@app.errorhandler(410)
def handle_gone(error: HTTPException) -> ResponseReturnValue:
    """Answer a standard error as JSON."""
    return {"error": error.name}, 410


@app.get("/json")
def get_json() -> ResponseReturnValue:
    return {"ok": True}


@app.get("/text")
def get_text() -> ResponseReturnValue:
    return "text", {"Content-Type": "text/plain"}


@app.get("/html")
def get_html() -> ResponseReturnValue:
    return "<p>hypertext</p>"


@app.post("/created")
def create() -> ResponseReturnValue:
    return {"id": 7}, 201, {"Location": "/items/7"}


@app.delete("/no-content")
def delete() -> ResponseReturnValue:
    return "", 204


@app.get("/redirect")
def get_redirect() -> ResponseReturnValue:
    return redirect("/json", 307)


@app.get("/items/")
def items() -> ResponseReturnValue:
    return []


@app.get("/cookies")
def cookies() -> ResponseReturnValue:
    response = jsonify()
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@app.post("/upload")
def upload() -> ResponseReturnValue:
    return str(len(request.get_data()))


@app.post("/form")
def form() -> ResponseReturnValue:
    return jsonify(request.get_json())


@app.get("/abort/<int:status>")
def get_abort(status: int) -> ResponseReturnValue:
    abort(status)


@app.get("/abort-response")
def abort_response() -> ResponseReturnValue:
    abort(Response('{"error": "aborted"}', 400, content_type="application/json"))


@app.get("/json-error")
def json_error() -> ResponseReturnValue:
    return jsonify(error_code="API-404", seen=current()), 404


@app.get("/array-error")
def array_error() -> ResponseReturnValue:
    return jsonify([1, 2]), 400


@app.get("/problem")
def problem() -> ResponseReturnValue:
    return Response('{"title": "Bad"}', 400, content_type="application/problem+json")


@app.get("/text-error")
def text_error() -> ResponseReturnValue:
    return "bad", 400, {"Content-Type": "text/plain"}


@app.get("/unavailable")
def unavailable() -> ResponseReturnValue:
    return jsonify(error="later"), 503, {"Retry-After": "3"}


@app.get("/member-null")
def member_null() -> ResponseReturnValue:
    return jsonify(trace_id=None, error=1), 400


@app.get("/member-equal")
def member_equal() -> ResponseReturnValue:
    return jsonify(trace_id=request.headers["X-Trace-Id"].upper()), 400


@app.get("/member-forged")
def member_forged() -> ResponseReturnValue:
    return jsonify(trace_id=OTHER_TRACE), 400, {"Set-Cookie": "s=1"}


@app.get("/header-equal")
def header_equal() -> ResponseReturnValue:
    return {}, {"X-Trace-Id": request.headers["X-Trace-Id"]}


@app.get("/header-other")
def header_other() -> ResponseReturnValue:
    return {"secret": 1}, {"X-Trace-Id": OTHER_TRACE}


@app.get("/after-forged")
@app.get("/after-crash")
@app.get("/teardown-crash")
@app.get("/refused")
def plain() -> ResponseReturnValue:
    return {"secret": 1}


@app.get("/crash")
def crash() -> ResponseReturnValue:
    raise ApplicationError("secret")


@app.get("/crash-handled")
def crash_handled() -> ResponseReturnValue:
    raise TeapotError


@app.get("/crash-return")
def crash_return() -> ResponseReturnValue:
    return None  # type: ignore[return-value]  # the framework's own TypeError is the case


@app.get("/file")
def file() -> ResponseReturnValue:
    return send_file(HERE / "file.txt")


@app.get("/error-stream")
def error_stream() -> ResponseReturnValue:
    return Response(iter(['{"error": ', '"streamed"}']), 400, content_type="application/json")


@app.route("/echo")
@app.get("/exempt")
def echo() -> ResponseReturnValue:
    return current(), {"Content-Type": "text/plain"}


@app.delete("/override")
def override() -> ResponseReturnValue:
    return jsonify(method=request.method, error="overridden"), 409


part = Blueprint("part", __name__, url_prefix="/part")


@part.errorhandler(ApplicationError)
def handle_part(error: ApplicationError) -> ResponseReturnValue:
    """Answer the errors of one blueprint."""
    del error
    return jsonify(error="of the blueprint"), 500


@part.get("/crash")
def part_crash() -> ResponseReturnValue:
    raise ApplicationError("secret")


app.register_blueprint(part)
app.register_blueprint(streams)


def override_method(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Let a header name the method, as clients behind strict proxies need it."""

    def serve(environ: dict[str, Any], start_response: Any) -> Any:  # noqa: ANN401 - PEP 3333's own shapes
        method = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", environ["REQUEST_METHOD"])
        return inner({**environ, "REQUEST_METHOD": method}, start_response)

    return serve


mounted = Flask("mounted")


@mounted.get("/crash")
def mounted_crash() -> ResponseReturnValue:
    raise ApplicationError("secret")


@mounted.get("/echo")
def mounted_echo() -> ResponseReturnValue:
    return current(), {"Content-Type": "text/plain"}


app.wsgi_app = override_method(DispatcherMiddleware(app.wsgi_app, {"/mounted": mounted}))  # type: ignore[method-assign]
app = around_flask(app)
