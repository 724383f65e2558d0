"""What do the streaming services say that everybody has a client for? Event streams as those of OpenAI and Anthropic.

``SSE_CARRIER`` and ``SSE_ERROR`` in the environment set the policy of the gate.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, StreamingResponse

from tests.integration.applications.variant import around_fastapi, current

__all__ = ["app"]

TOKENS = ("Hello", ", ", "wörld", "!", "\n")
FAILING = "failing"

app = FastAPI()
app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_headers=["*"])


class ModelError(Exception):
    """What a model raises in the middle of an answer."""


def data(value: Any) -> str:  # noqa: ANN401 - any JSON
    """Return one ``data`` line."""
    return f"data: {json.dumps(value)}\n"


async def stream(blocks: Iterable[str], *, fails: bool) -> AsyncIterator[str]:
    """Send *blocks* one by one; fail before the last if it is to fail."""
    *most, last = blocks
    for block in most:
        yield block
        await asyncio.sleep(0.001)
    if fails:
        await asyncio.sleep(0.02)
        raise ModelError("secret")
    yield last


def events(blocks: Iterable[str], model: str = "") -> StreamingResponse:
    """Return *blocks* as an event stream."""
    return StreamingResponse(stream(blocks, fails=model == FAILING), media_type="text/event-stream")


@app.get("/events")
async def general(request: Request) -> StreamingResponse:
    """Everything that a stream may say."""
    blocks = [
        ": welcome\n\n",
        "retry: 1500\nid: 1\nevent: token\n" + data({"text": "Hello", "n": 1.50}) + "\n",
        "id: 2\r\ndata: plain\r\n\r\n",
        "data: two\ndata: lines\n\n",
        ": ping\n\n",
        data([1, 2]) + "\n",
        data({"jsonrpc": "2.0", "id": 1, "result": {}}) + "\n",
        "id: 3\nevent: last\n" + data({"resumed": request.headers.get("last-event-id", "")}) + "\n",
        "event: end\ndata: [DONE]\n\n",
    ]
    return events(blocks, request.query_params.get("model", ""))


@app.get("/json")
async def get_json() -> dict[str, bool]:
    return {"ok": True}


@app.websocket("/ws")
async def ws(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.receive_text()
    await websocket.send_text(current())
    await websocket.close()


@app.post("/v1/chat/completions")
async def chat(request: Annotated[dict[str, Any], Body()]) -> Any:  # noqa: ANN401 - a stream or an error
    if request["model"] == "unknown":
        return JSONResponse({"error": {"message": "no such model", "type": "invalid_request_error"}}, 404)
    choices = [{"index": 0, "delta": {"content": token}, "finish_reason": None} for token in TOKENS]
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": request["model"]}
    blocks = [data({**chunk, "choices": [choice]}) + "\n" for choice in choices]
    return events([*blocks, "data: [DONE]\n\n"], request["model"])


@app.post("/v1/messages")
async def messages(request: Annotated[dict[str, Any], Body()]) -> StreamingResponse:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    deltas = [{"type": "text_delta", "text": token} for token in TOKENS]
    said: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 5},
        },
        {"type": "message_stop"},
    ]
    return events([f"event: {item['type']}\n{data(item)}\n" for item in said], request["model"])


app = around_fastapi(
    app,
    sse_carrier=os.environ.get("SSE_CARRIER", "auto"),
    sse_error=os.environ.get("SSE_ERROR", "event"),
    query_parameter="trace_id",
)
