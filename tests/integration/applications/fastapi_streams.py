"""What does a FastAPI service stream? Text, event streams of three makes, and WebSockets; some fail midway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi import APIRouter, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sse_starlette import EventSourceResponse as StarletteEvents

from tests.integration.applications.scripts import OTHER_TRACE, ApplicationError
from tests.integration.applications.variant import current

__all__ = ["fail_midway", "router", "stream", "stream_crash"]

router = APIRouter()


@router.get("/stream")
async def stream() -> StreamingResponse:
    """Say the bound trace three times."""

    async def body() -> AsyncIterator[str]:
        for _ in range(3):
            yield current() + "\n"
            await asyncio.sleep(0)

    return StreamingResponse(body(), media_type="text/plain")


@router.get("/stream-sync")
def stream_sync() -> StreamingResponse:
    def body() -> Iterator[str]:
        for _ in range(3):
            yield current() + "\n"

    return StreamingResponse(body(), media_type="text/plain")


@router.get("/stream-crash")
async def stream_crash() -> StreamingResponse:
    """Fail after the first words."""

    async def body() -> AsyncIterator[str]:
        yield "one "
        await asyncio.sleep(0.01)
        raise ApplicationError("secret")

    return StreamingResponse(body(), media_type="text/plain")


@router.get("/sse", response_class=EventSourceResponse)
async def sse() -> AsyncIterator[ServerSentEvent]:
    yield ServerSentEvent(data={"token": "a", "seen": current()}, event="token", id="1", retry=3000)
    yield ServerSentEvent(comment="between")
    yield ServerSentEvent(data="text")
    yield ServerSentEvent(raw_data="[DONE]")


@router.get("/sse-sync", response_class=EventSourceResponse)
def sse_sync() -> Iterator[dict[str, str]]:
    yield {"token": "a", "seen": current()}
    yield {"token": "b", "seen": current()}


@router.get("/sse-crash-first", response_class=EventSourceResponse)
async def sse_crash_first() -> AsyncIterator[dict[str, str]]:
    if current():
        raise ApplicationError("secret")
    yield {}


async def fail_midway() -> AsyncIterator[str]:
    """Say one event, then fail."""
    yield 'data: {"token": "a"}\n\n'
    await asyncio.sleep(0.05)
    raise ApplicationError("secret")


@router.get("/sse-crash-middle", response_class=EventSourceResponse)
async def sse_crash_middle() -> AsyncIterator[dict[str, str]]:
    yield {"token": "a"}
    await asyncio.sleep(0.05)
    raise ApplicationError("secret")


@router.get("/sse-http-error", response_class=EventSourceResponse)
async def sse_http_error() -> AsyncIterator[dict[str, str]]:
    if current():
        raise HTTPException(403, "no")
    yield {}


@router.get("/sse-starlette")
async def sse_starlette() -> StarletteEvents:
    async def events() -> AsyncIterator[dict[str, Any]]:
        yield {"data": '{"token": "a"}', "event": "token", "id": "1"}
        yield {"data": "two\nlines", "comment": "note"}
        yield {"data": "[DONE]"}

    return StarletteEvents(events(), ping=3600)


@router.get("/sse-starlette-crash")
async def sse_starlette_crash() -> StarletteEvents:
    async def events() -> AsyncIterator[dict[str, Any]]:
        yield {"data": '{"token": "a"}'}
        await asyncio.sleep(0.05)
        raise ApplicationError("secret")

    return StarletteEvents(events(), ping=3600)


@router.get("/sse-plain")
async def sse_plain() -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        yield 'data: {"token": "a"}\n\n'
        yield ": ping\n\ndata: text\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@router.get("/sse-forged")
async def sse_forged() -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        yield 'data: {"token": "a"}\n\n'
        yield f'data: {{"trace_id": "{OTHER_TRACE}"}}\n\n'
        yield 'data: {"token": "b"}\n\n'

    return StreamingResponse(events(), media_type="text/event-stream")


@router.websocket("/ws")
async def ws(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.receive_text()
    await websocket.send_text(current())
    await websocket.close()


@router.websocket("/ws-close")
async def ws_close(websocket: WebSocket) -> None:
    await websocket.close()


@router.websocket("/ws-raise")
async def ws_raise(websocket: WebSocket) -> None:
    del websocket
    raise ApplicationError("secret")


@router.websocket("/ws-http-error")
async def ws_http_error(websocket: WebSocket) -> None:
    del websocket
    raise HTTPException(401, "who?")
