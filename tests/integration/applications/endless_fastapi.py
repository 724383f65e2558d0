"""What does a FastAPI service say that streams until its client leaves, or reads long bodies on one connection?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from fastapi import Body, FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.sse import EventSourceResponse

from tests.integration.applications.residue import count_residue
from tests.integration.applications.variant import around_fastapi, current

__all__ = ["app"]

TICKS = 2000
PAUSE_SECONDS = 0.002
CLIENTS = {"opened": 0, "closed": 0}

app = FastAPI()


async def tick() -> AsyncIterator[str]:
    """Say the bound trace until nobody listens."""
    CLIENTS["opened"] += 1
    try:
        for _ in range(TICKS):
            yield f"data: {current()}\n\n"
            await asyncio.sleep(PAUSE_SECONDS)
    finally:
        CLIENTS["closed"] += 1


def tick_in_threads() -> Iterator[str]:
    """Say the bound trace until nobody listens, each time from a thread of the pool."""
    CLIENTS["opened"] += 1
    try:
        for _ in range(TICKS):
            yield f"data: {current()}\n\n"
            time.sleep(PAUSE_SECONDS)
    finally:
        CLIENTS["closed"] += 1


@app.get("/text")
async def text() -> StreamingResponse:
    return StreamingResponse(tick(), media_type="text/plain")


@app.get("/text-threads")
def text_threads() -> StreamingResponse:
    return StreamingResponse(tick_in_threads(), media_type="text/plain")


@app.get("/sse")
async def sse() -> StreamingResponse:
    return StreamingResponse(tick(), media_type="text/event-stream")


@app.get("/sse-threads")
def sse_threads() -> StreamingResponse:
    return StreamingResponse(tick_in_threads(), media_type="text/event-stream")


@app.get("/sse-native", response_class=EventSourceResponse)
async def sse_native() -> AsyncIterator[str]:
    async for said in tick():
        yield said


@app.post("/read", response_class=PlainTextResponse)
async def read(body: Annotated[bytes, Body(media_type="application/octet-stream")]) -> str:
    await asyncio.sleep(0)
    return f"{current()} {await asyncio.create_task(say())} {len(body)}"


async def say() -> str:
    """Return the bound trace as a task of its own sees it."""
    return current()


@app.get("/residue")
async def residue() -> dict[str, int]:
    return {"residue": count_residue(), **CLIENTS}


app = around_fastapi(app)
