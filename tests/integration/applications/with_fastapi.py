"""What does a FastAPI service say? Its responders, failures, streams, middleware, and what is mounted in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from fastapi.staticfiles import StaticFiles
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.integration.applications.fastapi_streams import fail_midway, router, stream, stream_crash
from tests.integration.applications.scripts import OTHER_TRACE, ApplicationError
from tests.integration.applications.variant import CONSOLE, around_fastapi, current

__all__ = ["app"]

HERE = Path(__file__).parent
SEEN: dict[str, str] = {}

app = FastAPI(max_body_size=1 << 20)


class TeapotError(Exception):
    """An error that the application handles itself."""


class BreakOnDemand:
    """Raises outside of the application's exception handlers where the path asks for it."""

    def __init__(self, inner: ASGIApp) -> None:
        """Stand around *inner*."""
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        if scope.get("path") == "/middleware-crash":
            raise ApplicationError("secret")
        await self.inner(scope, receive, send)


async def pass_on(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Do nothing, in the way that runs the rest in another task."""
    return await call_next(request)


app.add_middleware(GZipMiddleware, minimum_size=500)
app.add_middleware(CORSMiddleware, allow_origins=[CONSOLE], allow_headers=["X-Trace-Id"], expose_headers=["X-Total"])
app.add_middleware(BreakOnDemand)
app.include_router(router)
app.mount("/static", StaticFiles(directory=HERE / "static"))


@app.exception_handler(TeapotError)
async def handle_teapot(request: Request, error: TeapotError) -> JSONResponse:
    """Answer as the application likes."""
    del request, error
    return JSONResponse({"error": "teapot", "seen": current()}, 418)


@app.get("/json")
async def get_json() -> dict[str, bool]:
    return {"ok": True}


@app.get("/text", response_class=PlainTextResponse)
def get_text() -> str:
    return "text"


@app.get("/html", response_class=HTMLResponse)
async def get_html() -> str:
    return "<p>hypertext</p>"


@app.post("/created", status_code=201)
async def create(response: Response) -> dict[str, int]:
    response.headers["location"] = "/items/7"
    return {"id": 7}


@app.delete("/no-content", status_code=204)
async def delete() -> None:
    return None


@app.get("/redirect")
async def redirect() -> RedirectResponse:
    return RedirectResponse("/json")


@app.get("/items/")
async def items() -> list[int]:
    return []


@app.get("/number/{number}")
async def number(number: int) -> int:
    return number


@app.post("/upload")
async def upload(request: Request) -> int:
    return len(await request.body())


@app.get("/http-error")
async def http_error() -> None:
    raise HTTPException(400, "bad", {"X-Reason": "because"})


@app.get("/http-error-dict")
async def http_error_dict() -> None:
    raise HTTPException(409, {"error_code": "API-409", "trace": current()})


def refuse(authorization: Annotated[str, Header()] = "") -> None:
    """Let nobody in."""
    del authorization
    raise HTTPException(401, "who?", {"WWW-Authenticate": "Bearer"})


@app.get("/dependency", dependencies=[Depends(refuse)])
async def dependency() -> None:
    return None


async def session() -> AsyncIterator[str]:
    """Fail when the handler has answered already."""
    yield "session"
    raise ApplicationError("secret")


@app.get("/dependency-crash")
async def dependency_crash(opened: Annotated[str, Depends(session)]) -> str:
    return opened


@app.get("/crash")
async def crash() -> None:
    raise ApplicationError("secret")


@app.get("/crash-sync")
def crash_sync() -> None:
    raise ApplicationError("secret")


@app.get("/crash-group")
async def crash_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(crash())


@app.get("/crash-handled")
async def crash_handled() -> None:
    raise TeapotError


@app.get("/crash-model")
async def crash_model() -> int:
    return "not a number"  # type: ignore[return-value]  # the framework's own ResponseValidationError is the case


@app.get("/middleware-crash")
async def middleware_crash() -> None:
    return None


@app.get("/array-error")
async def array_error() -> JSONResponse:
    return JSONResponse([1, 2], 400)


@app.get("/problem")
async def problem() -> JSONResponse:
    return JSONResponse({"title": "Bad", "status": 400}, 400, media_type="application/problem+json")


@app.get("/text-error")
async def text_error() -> PlainTextResponse:
    return PlainTextResponse("bad", 400)


@app.get("/wide-error")
async def wide_error() -> JSONResponse:
    return JSONResponse({"error": "x" * 4000}, 400)


@app.get("/wide")
async def wide() -> dict[str, str]:
    return {"value": "x" * 4000}


@app.get("/member-null")
async def member_null() -> JSONResponse:
    return JSONResponse({"trace_id": None, "error": 1}, 400)


@app.get("/member-equal")
async def member_equal(x_trace_id: Annotated[str, Header()]) -> JSONResponse:
    return JSONResponse({"trace_id": x_trace_id.upper()}, 400)


class ForgedError(Exception):
    """An error whose handler names another trace."""


@app.get("/member-forged")
async def member_forged() -> None:
    raise ForgedError


@app.exception_handler(ForgedError)
async def handle_forged(request: Request, error: ForgedError) -> JSONResponse:
    """Answer under a trace id that is not the request's."""
    del request, error
    return JSONResponse({"trace_id": OTHER_TRACE}, 400, {"Set-Cookie": "s=1"})


@app.get("/header-equal")
async def header_equal(x_trace_id: Annotated[str, Header()], response: Response) -> dict[str, str]:
    response.headers["X-Trace-Id"] = x_trace_id
    return {}


@app.get("/header-other")
async def header_other(response: Response) -> dict[str, str]:
    response.headers["X-Trace-Id"] = OTHER_TRACE
    return {"secret": "1"}


@app.get("/file")
async def file() -> FileResponse:
    return FileResponse(HERE / "file.txt")


@app.get("/echo", response_class=PlainTextResponse)
async def echo() -> str:
    return current()


@app.get("/echo-sync", response_class=PlainTextResponse)
def echo_sync() -> str:
    return current()


@app.get("/exempt", response_class=PlainTextResponse)
async def exempt() -> str:
    return current()


@app.get("/echo-thread", response_class=PlainTextResponse)
async def echo_thread() -> str:
    return await asyncio.to_thread(current)


@app.get("/echo-task", response_class=PlainTextResponse)
async def echo_task() -> str:
    async def inner() -> str:
        await asyncio.sleep(0)
        return current()

    return await asyncio.create_task(inner())


@app.get("/background/{slot}")
async def background(slot: str, tasks: BackgroundTasks) -> dict[str, bool]:
    def remember() -> None:
        SEEN[slot] = current()

    tasks.add_task(remember)
    return {"ok": True}


@app.get("/background-seen/{slot}", response_class=PlainTextResponse)
async def background_seen(slot: str) -> str:
    for _ in range(200):
        if slot in SEEN:
            return SEEN[slot]
        await asyncio.sleep(0.01)
    return "nothing"


inner = FastAPI()
inner.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)


@inner.get("/echo", response_class=PlainTextResponse)
async def inner_echo() -> str:
    return current()


@inner.get("/stream")
async def inner_stream() -> StreamingResponse:
    return await stream()


@inner.get("/stream-crash")
async def inner_stream_crash() -> StreamingResponse:
    return await stream_crash()


@inner.get("/sse-crash")
async def inner_sse_crash() -> StreamingResponse:
    return StreamingResponse(fail_midway(), media_type="text/event-stream")


@inner.get("/crash")
async def inner_crash() -> None:
    raise ApplicationError("secret")


@inner.exception_handler(TeapotError)
async def inner_teapot(request: Request, error: TeapotError) -> PlainTextResponse:
    """Answer an error as text."""
    del request, error
    return PlainTextResponse("short and stout", 418)


@inner.get("/teapot")
async def teapot() -> None:
    raise TeapotError


own = FastAPI()


@own.exception_handler(Exception)
async def handle_all(request: Request, error: Exception) -> JSONResponse:
    """Answer all that nobody handled."""
    del request, error
    return JSONResponse({"error": "the application's own 500", "seen": current()}, 500)


@own.get("/crash")
async def own_crash() -> None:
    raise ApplicationError("secret")


app.mount("/inner", inner)
app.mount("/own", own)


app = around_fastapi(app)
