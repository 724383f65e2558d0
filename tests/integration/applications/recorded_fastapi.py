"""Which FastAPI service records its answers? Settings of the recorder come from ``RECORDER_*`` in the environment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import StreamingResponse
from starlette.requests import Request

from tracegate.core.streams.policy import StreamPolicy
from tracegate.integrations.fastapi import install
from tracegate.integrations.starlette_streams import record_streams

__all__ = ["app", "policy"]

policy: dict[str, Any] = {
    "number_events": True,
    "on_disconnect": os.environ.get("RECORDER_ON_DISCONNECT", "finish"),
    "lease_seconds": float(os.environ.get("RECORDER_LEASE_SECONDS", "15")),
    "durability": os.environ.get("RECORDER_DURABILITY", "background"),
    "commit_wait_seconds": 5,
    "poll_seconds": 0.05,
}
calls = 0
app = FastAPI()


@app.get("/calls")
async def counted() -> dict[str, int]:
    """Say how often an answer was asked for, and who says so."""
    return {"calls": calls, "worker": os.getpid()}


@app.get("/answers/{number}")
async def answer(number: int, count: int = 10, pause: float = 0.02) -> StreamingResponse:
    """Stream an answer, word by word."""
    global calls  # noqa: PLW0603 - what a model would be paid for
    calls += 1

    async def words() -> AsyncIterator[str]:
        for position in range(count):
            yield f'event: token\ndata: {{"answer": {number}, "word": {position}}}\n\n'
            await asyncio.sleep(pause)
        yield "data: [DONE]\n\n"

    return StreamingResponse(words(), media_type="text/event-stream")


async def who(request: Request) -> str | None:
    """Return who asks; a real service checks a signature here."""
    return request.headers.get("x-user")


recorder = record_streams(app, os.environ["RECORDER_STORE"], principal=who, policy=StreamPolicy(**policy))
app.add_middleware(CORSMiddleware, allow_origins=["https://app.example"])
install(app)
