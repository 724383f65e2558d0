"""Does `install()` put a FastAPI application behind the gate, its streams and its document included?"""
# ruff: noqa: ANN401, ARG001, ARG005, D103 - an endpoint takes what its framework gives, and its name says what it does
# ruff: noqa: C901 - an application is one function with a function for each endpoint

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import anyio
import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.openapi.models import OpenAPI
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel
from sse_starlette.sse import EventSourceResponse as StarletteEventSourceResponse
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.testclient import WebSocketDenialResponse

from tests.integration.installed import ID, Ledger, ask_asgi, error_of, is_standard_error, peek, request, trace_of
from tracegate.context import current_trace, require_trace
from tracegate.integrations import starlette
from tracegate.integrations.fastapi import install


class AppError(Exception):
    """What the application raises."""


async def pass_on(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    return await call_next(request)


def colour() -> str:
    return "red"


def gated(app: FastAPI, **policy: Any) -> Ledger:
    """Install a gate into *app*, and return what it records."""
    ledger = Ledger()
    install(app, runtime=ledger.runtime(**policy))
    return ledger


# The framework's own replies.


@pytest.mark.contract("C1", "C2", "D1")
def test_what_fastapi_answers_by_itself_is_traced() -> None:
    """404, 405, 422, an HTTPException, the body limit's 413 and an unhandled 500: header and member."""
    app = FastAPI(max_body_size=20)

    @app.post("/items/{number}")
    async def create(number: int, payload: dict[str, int]) -> None:
        raise AppError

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout", {"X-Pot": "tea"})

    ledger = gated(app)
    json_body = ("content-type", "application/json")
    asked = {
        404: request("/none"),
        405: request("/teapot", method="POST"),
        422: request("/items/three", json_body, method="POST", body=b"{}"),
        418: request("/teapot"),
        500: request("/items/3", json_body, method="POST", body=b"{}"),
    }
    for status, each in asked.items():
        reply = ask_asgi(app, each)
        assert reply.status == status
        assert error_of(reply)["trace_id"] == ID
    too_long = ask_asgi(app, request("/items/3", json_body, method="POST", body=b"[" + b"1," * 20 + b"1]"))
    assert (too_long.status, trace_of(too_long)) == (413, ID)
    assert ledger == []


@pytest.mark.contract("C4")
def test_an_unhandled_exception_is_the_standard_error() -> None:
    """Also from a dependency's teardown before the reply has left."""
    app = FastAPI()

    @app.get("/crash")
    def crash() -> None:
        raise AppError("secret")

    gated(app)
    reply = ask_asgi(app, "/crash")
    assert is_standard_error(reply)
    assert isinstance(reply.raised, AppError)


@pytest.mark.contract("C2")
def test_a_span_of_fastapis_own_telemetry_is_inside_the_gate() -> None:
    """The trace is bound before the span starts; the span sees the status that leaves."""
    spans = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    seen: list[str | None] = []

    def exclude(scope: dict[str, Any]) -> bool:
        seen.append(peek())
        return False

    telemetry: Any = {"tracer_provider": provider, "exclude": exclude}
    app = FastAPI(telemetry=telemetry)

    @app.get("/crash/{number}")
    async def crash(number: int) -> None:
        raise AppError

    gated(app)
    assert is_standard_error(ask_asgi(app, "/crash/1"))
    (span,) = [span for span in spans.get_finished_spans() if span.name == "GET /crash/{number}"]
    assert (span.attributes or {})["http.response.status_code"] == 500
    assert seen == [ID]


def test_overrides_and_the_class_stay() -> None:
    """Tests override dependencies, and subclasses keep their methods."""

    class Service(FastAPI):
        def motto(self) -> str:
            return "hold fast"

    app = Service(title="Orders")

    @app.get("/colour")
    def get_colour(found: Annotated[str, Depends(colour)]) -> dict[str, str]:
        return {"colour": found}

    gated(app)
    app.dependency_overrides[colour] = lambda: "blue"
    with TestClient(app, headers={"X-Trace-Id": ID}) as client:
        assert client.get("/colour").json() == {"colour": "blue"}
    assert (isinstance(app, Service), app.motto(), app.title, type(app).__name__) == (
        True, "hold fast", "Orders", "Service",
    )  # fmt: skip


def test_instrumentation_that_replaces_the_names_of_the_frameworks_does_not_matter() -> None:
    """OpenTelemetry puts subclasses under `fastapi.FastAPI` and `flask.Flask`, before or after this is imported."""
    code = """
import fastapi, flask
applications = fastapi.FastAPI(), flask.Flask("shop")
fastapi.FastAPI = type("Instrumented", (fastapi.FastAPI,), {})
flask.Flask = type("Instrumented", (flask.Flask,), {})
from tracegate.integrations.fastapi import install
from tracegate.integrations.flask import TraceGate
for application in (applications[0], fastapi.FastAPI()):
    install(application)
for application in (applications[1], flask.Flask("shop")):
    TraceGate(application)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_starlette_application_is_told_where_to_go() -> None:
    """The document is FastAPI's; without it the two functions are the same."""
    app = Starlette()
    with pytest.raises(TypeError, match="a FastAPI application is wanted, not a Starlette"):
        install(app)  # type: ignore[arg-type]
    assert ask_asgi(app, request("/", trace=False)).status == 409


# The trace inside.


def everywhere() -> tuple[FastAPI, dict[str, str | None]]:
    """Return an application that notes the trace wherever code of its own runs."""
    app, seen = FastAPI(), dict[str, str | None]()

    def note(place: str) -> None:
        seen[place] = peek()

    async def dependency() -> AsyncIterator[None]:
        note("dependency")
        yield
        note("dependency's teardown")

    def plain_dependency() -> Iterator[None]:
        note("plain dependency")
        yield
        note("plain dependency's teardown")

    async def background() -> None:
        note("background task")

    @app.exception_handler(AppError)
    async def handle(request: Request, error: Exception) -> JSONResponse:
        note("handler")
        return JSONResponse({}, 400)

    depends = [Depends(dependency), Depends(plain_dependency)]

    @app.get("/async", dependencies=depends)
    async def get_async(request: Request, tasks: BackgroundTasks) -> dict[str, str]:
        note("endpoint")
        tasks.add_task(background)
        tasks.add_task(note, "plain background task")
        await asyncio.create_task(background())
        await asyncio.to_thread(note, "another thread")
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, note, "anyio")
        return {"state": str(request.state.tracegate)}

    @app.get("/sync", dependencies=depends)
    def get_sync() -> StreamingResponse:
        note("plain endpoint")

        def pieces() -> Iterator[bytes]:
            for number in range(3):
                note(f"plain generator {number}")
                yield b"a"

        return StreamingResponse(pieces())

    @app.get("/stream")
    async def get_stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            for number in range(3):
                await asyncio.sleep(0)
                note(f"generator {number}")
                yield b"a"

        return StreamingResponse(pieces())

    @app.get("/error")
    def get_error() -> None:
        raise AppError

    return app, seen


@pytest.mark.contract("G1")
@pytest.mark.parametrize("layers", [0, 2])
def test_code_of_the_application_knows_its_trace_wherever_it_runs(layers: int) -> None:
    """Endpoints, dependencies and their teardown, threads, tasks, background tasks, generators, handlers."""
    app, seen = everywhere()
    for _ in range(layers):
        app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    gated(app)
    replies = [ask_asgi(app, path) for path in ("/async", "/sync", "/stream", "/error")]
    assert [reply.status for reply in replies] == [200, 200, 200, 400]
    assert json.loads(replies[0].body) == {"state": ID}
    assert len(seen) == 17
    assert set(seen.values()) == {ID}


@pytest.mark.contract("E2", "G3")
def test_code_that_lost_the_context_is_refused() -> None:
    """A plain executor copies no context; what needs the trace there ends the request with a 409, recorded once."""
    app = FastAPI()

    @app.get("/lost")
    def lost() -> str:
        with ThreadPoolExecutor(1) as pool:
            return str(pool.submit(require_trace).result())

    ledger = gated(app)
    reply = ask_asgi(app, "/lost")
    assert (reply.status, error_of(reply)["details"]) == (409, ["trace_id_missing"])
    assert [event.kind for event in ledger] == ["missing_trace"]
    assert current_trace() is None


# Event streams.


def datas(body: bytes) -> list[dict[str, Any]]:
    """Return the data of each event, all of them JSON objects."""
    text = body.decode().replace("\r\n", "\n")
    return [json.loads(line[5:]) for line in text.split("\n") if line.startswith("data:")]


def tokens(app: FastAPI) -> None:
    """Add a stream of tokens in each way that FastAPI services have."""

    @app.get("/native", response_class=EventSourceResponse)
    async def native(fail: int = -1) -> AsyncIterator[ServerSentEvent]:
        for number in range(3):
            await asyncio.sleep(0)
            if number == fail:
                raise AppError
            yield ServerSentEvent(data={"number": number, "seen": str(current_trace())}, id=str(number))

    @app.get("/sse-starlette")
    async def sse_starlette(fail: int = -1) -> StarletteEventSourceResponse:
        async def pieces() -> AsyncIterator[dict[str, str]]:
            for number in range(3):
                await asyncio.sleep(0)
                if number == fail:
                    raise AppError
                yield {"data": json.dumps({"number": number, "seen": str(current_trace())}), "id": str(number)}

        return StarletteEventSourceResponse(pieces())

    @app.get("/streaming")
    async def streaming(fail: int = -1) -> StreamingResponse:
        def pieces() -> Iterator[str]:
            for number in range(3):
                if number == fail:
                    raise AppError
                yield f'data: {{"number": {number}, "seen": "{current_trace()}"}}\nid: {number}\n\n'

        return StreamingResponse(pieces(), media_type="text/event-stream")


STREAMS = pytest.mark.parametrize("path", ["/native", "/sse-starlette", "/streaming"])


def stream_of(path: str, fail: int = -1) -> tuple[Any, Ledger]:
    """Return the reply of one stream, which breaks before its event number *fail*."""
    app = FastAPI()
    tokens(app)
    ledger = gated(app)
    asked = request(path)
    query = f"fail={fail}".encode()
    return ask_asgi(app, type(asked)(path=path, headers=asked.headers, query=query)), ledger


@pytest.mark.contract("D6", "G1")
@STREAMS
def test_every_event_of_a_stream_names_the_trace(path: str) -> None:
    """FastAPI's own streams, sse-starlette's and plain ones; the generator knows the trace too."""
    reply, ledger = stream_of(path)
    assert (reply.status, reply.clean, reply.raised, trace_of(reply)) == (200, True, None, ID)
    assert datas(reply.body) == [{"number": number, "seen": ID, "trace_id": ID} for number in range(3)]
    assert [line for line in reply.body.split() if line in (b"0", b"1", b"2")] == [b"0", b"1", b"2"]
    assert ledger == []


@pytest.mark.contract("D7")
@STREAMS
def test_a_stream_that_fails_midway_says_so_and_has_no_clean_end(path: str) -> None:
    """One error event with the standard error object, whatever the framework sends before it raises."""
    reply, ledger = stream_of(path, 2)
    *events, error = datas(reply.body)
    assert reply.body.count(b"event: error") == 1
    assert [event["number"] for event in events] in ([0, 1], [0])  # FastAPI's own loses what was yielded just before
    assert error == {"error_code": "SYS-003-500", "message": "Internal Server Error", "trace_id": ID, "details": []}
    assert not reply.clean
    assert reply.raised is not None
    assert [(event.kind, event.route) for event in ledger] == [("stream_broken", path)]


@pytest.mark.contract("C4", "D7")
@STREAMS
def test_a_stream_that_fails_at_once_is_an_error_and_no_empty_stream(path: str) -> None:
    """The head was held, so that the client gets a real 500."""
    reply, _ = stream_of(path, 0)
    assert is_standard_error(reply)


# Routes.


@pytest.mark.contract("F2")
@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/shops/7/items/3", "/v1/shops/{shop}/items/{number}"),
        ("/v1/health", "/v1/health"),
        ("/v1/raw/9", "/v1/raw/{rest}"),
        ("/v1/sub/deep/3", "/v1/sub/deep/{number}"),
        ("/v1/sub/none", None),
        ("/own/3", "/own/{number}"),
        ("/none", None),
    ],
)
@pytest.mark.parametrize("root_path", ["", "/api"])
def test_the_event_of_a_refusal_names_the_full_template(path: str, route: str | None, root_path: str) -> None:
    """Routers in routers, mounts in routers, and an application that knows its own prefix."""
    items, v1, sub = APIRouter(prefix="/items"), APIRouter(), FastAPI()
    app = FastAPI()
    app.root_path = root_path

    async def endpoint() -> Any:
        raise AssertionError

    items.get("/{number}")(endpoint)
    sub.get("/deep/{number}")(endpoint)
    v1.include_router(items, prefix="/shops/{shop}")
    v1.get("/health")(endpoint)
    v1.add_route("/raw/{rest:path}", lambda request: endpoint())
    v1.mount("/sub", sub)
    app.include_router(v1, prefix="/v1")
    app.get("/own/{number}")(endpoint)
    ledger = gated(app)
    assert ask_asgi(app, request(root_path + path, trace=False)).status == 409
    assert ask_asgi(app, request(root_path + path, method="DELETE", trace=False)).status == 409
    assert [event.route for event in ledger] == [route, route]


@pytest.mark.contract("C1", "F2")
def test_a_websocket_route_is_named_too() -> None:
    """A handshake without a trace is refused, and its template recorded."""
    app = FastAPI()

    @app.websocket("/rooms/{room}")
    async def talk(socket: WebSocket, room: str) -> None:
        raise AssertionError

    ledger = gated(app)
    with pytest.raises(WebSocketDenialResponse) as denial, TestClient(app).websocket_connect("/rooms/7"):
        raise AssertionError
    assert denial.value.status_code == 409
    assert [(event.route, event.status) for event in ledger] == [("/rooms/{room}", 409)]


# The document.


class Problem(BaseModel):
    """An error of the application's own."""

    reason: str


def api(**options: Any) -> FastAPI:
    """Return an application with something to document."""
    app = FastAPI(**options)

    @app.get("/items/{number}", responses={404: {"model": Problem}})
    async def get_item(number: int) -> dict[str, int]:
        return {"number": number}

    @app.get("/health")
    async def health() -> str:
        return "ok"

    return app


@pytest.mark.contract("B4", "D1", "E2")
def test_the_document_says_what_the_gate_adds() -> None:
    """The header on every reply and request, the member of errors, and the refusal."""
    app = api()
    gated(app, exempt_paths=("/health",))
    with TestClient(app, headers={"X-Trace-Id": ID}) as client:
        document = client.get("/openapi.json").json()
    get_item, health = document["paths"]["/items/{number}"]["get"], document["paths"]["/health"]["get"]
    assert OpenAPI.model_validate(document).paths is not None
    assert set(get_item["responses"]) == {"200", "404", "409", "422"}
    assert all("X-Trace-Id" in response["headers"] for response in get_item["responses"].values())
    required = [
        next(each["required"] for each in operation["parameters"] if each["name"] == "X-Trace-Id")
        for operation in (get_item, health)
    ]
    assert required == [True, False]
    schemas = document["components"]["schemas"]
    assert schemas["HTTPValidationError"]["properties"]["trace_id"]["type"] == "string"
    assert schemas["Problem"]["required"] == ["reason", "trace_id"]
    assert get_item["responses"]["409"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/TraceError"
    }


def test_the_document_can_stay_as_it_is() -> None:
    """`openapi=False`, the Starlette installation, and an application without a document."""
    bare, plain, hidden = api().openapi(), api(), api(openapi_url=None)
    install(plain, runtime=Ledger().runtime(), openapi=False)
    assert plain.openapi() == bare
    other = api()
    starlette.install(other, runtime=Ledger().runtime())
    assert other.openapi() == bare
    gated(hidden)
    assert ask_asgi(hidden, "/openapi.json").status == 404
    assert "X-Trace-Id" in str(hidden.openapi())


def test_the_document_is_made_once_and_changes_to_it_last() -> None:
    """Applications edit what `app.openapi()` returned, or what is cached, and add routes later."""
    app = api()
    gated(app)
    install(app)
    first = app.openapi()
    assert app.openapi() is first
    assert app.openapi_schema is first
    first["info"]["x-logo"] = "fish"
    assert app.openapi()["info"]["x-logo"] == "fish"
    app.add_api_route("/later", api, response_model=None)
    assert "X-Trace-Id" in str(app.openapi()["paths"]["/later"])


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_document_function_of_the_applications_own_is_asked(*, late: bool) -> None:
    """Assigned before or after, calling the former one or not, its dict is not touched, and the trace is added once."""
    app = api()
    if late:
        gated(app)
    former, own = app.openapi, {"openapi": "3.1.0", "paths": {"/x": {"get": {"responses": {"200": {}}}}}}

    def custom() -> dict[str, Any]:
        return own | {"info": former()["info"]} if late else own

    app.openapi = custom  # type: ignore[method-assign]
    gated(app)
    document = app.openapi()
    assert set(document["paths"]["/x"]["get"]["responses"]["200"]["headers"]) == {"X-Trace-Id"}
    assert own == {"openapi": "3.1.0", "paths": {"/x": {"get": {"responses": {"200": {}}}}}}
    assert late or app.openapi() is document
    assert app.openapi() == document
