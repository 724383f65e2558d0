"""Which Flask service records its answers? As the FastAPI one does."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, request
from flask_cors import CORS

from tracegate.core.streams.policy import StreamPolicy
from tracegate.integrations.flask import TraceGate
from tracegate.integrations.flask_streams import record_streams

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
app = Flask(__name__)
CORS(app, origins=["https://app.example"])
TraceGate(app)


@app.get("/calls")
def counted() -> dict[str, int]:
    """Say how often an answer was asked for, and who says so."""
    return {"calls": calls, "worker": os.getpid()}


@app.get("/answers/<int:number>")
def answer(number: int) -> Response:
    """Stream an answer, word by word."""
    global calls  # noqa: PLW0603 - what a model would be paid for
    calls += 1
    count, pause = request.args.get("count", 10, int), request.args.get("pause", 0.02, float)

    def words() -> Iterator[str]:
        for position in range(count):
            yield f'event: token\ndata: {{"answer": {number}, "word": {position}}}\n\n'
            time.sleep(pause)
        yield "data: [DONE]\n\n"

    return Response(words(), mimetype="text/event-stream")


recorder = record_streams(
    app,
    os.environ["RECORDER_STORE"],
    principal=lambda request: request.headers.get("x-user"),
    policy=StreamPolicy(**policy),
)
