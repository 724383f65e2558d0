"""A FastAPI service whose answers survive a lost connection. Run: ``uvicorn examples.recorded_stream:app``.

First ``python -m tracegate store upgrade``, with ``TRACEGATE_STORE_URL=sqlite:///events.db``. Then
``curl -N -H "Authorization: Bearer ann-s-token" -H "X-Trace-Id: $(uuidgen)" localhost:8000/answers/7``, interrupt it,
and ask again with ``-H "Last-Event-ID: …"``, the last id that came: the rest comes, and the endpoint is not called.
"""

import asyncio
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from starlette.requests import Request

from tracegate.core.streams.policy import StreamPolicy
from tracegate.integrations.fastapi import install, record_streams

TOKENS = {"ann-s-token": "ann", "bob-s-token": "bob"}

app = FastAPI(title="answers")


def who(request: Request) -> str | None:
    """Return who asks. A resumed stream is served without calling the endpoint: this is what protects it."""
    return TOKENS.get(request.headers.get("authorization", "").removeprefix("Bearer "))


@app.get("/answers/{number}")
async def answer(number: int) -> StreamingResponse:
    """Answer slowly, word by word, as a language model does."""

    async def words() -> AsyncIterator[str]:
        for word in f"The answer to question {number} is forty-two".split():
            yield f'event: token\ndata: {{"text": "{word}"}}\n\n'
            await asyncio.sleep(0.2)
        yield "data: [DONE]\n\n"

    return StreamingResponse(words(), media_type="text/event-stream")


install(app)
record_streams(
    app,
    os.environ.get("STORE", "sqlite:///events.db"),
    principal=who,
    policy=StreamPolicy(number_events=True, on_disconnect="finish"),
)
