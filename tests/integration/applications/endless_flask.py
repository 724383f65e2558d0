"""What does a Flask service say that streams until its client leaves?"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from threading import Lock

from flask import Flask, Response, request, stream_with_context
from flask.typing import ResponseReturnValue

from tests.integration.applications.residue import count_residue
from tests.integration.applications.variant import around_flask, current

__all__ = ["app"]

TICKS = 2000
PAUSE_SECONDS = 0.002
CLIENTS = {"opened": 0, "closed": 0}
LOCK = Lock()

app = Flask(__name__)

# Waitress counts its threads as busy until each has run once, and on a loaded machine warns of a queue that is none.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def tick() -> Iterator[str]:
    """Say the bound trace until nobody listens."""
    with LOCK:
        CLIENTS["opened"] += 1
    try:
        for _ in range(TICKS):
            yield f"data: {current()}\n\n"
            time.sleep(PAUSE_SECONDS)
    finally:
        with LOCK:
            CLIENTS["closed"] += 1


@app.get("/text")
def text() -> ResponseReturnValue:
    return Response(tick(), content_type="text/plain")


@app.get("/sse")
def sse() -> ResponseReturnValue:
    return Response(tick(), content_type="text/event-stream")


@app.get("/sse-context")
def sse_context() -> ResponseReturnValue:
    return Response(stream_with_context(tick()), content_type="text/event-stream")


@app.post("/read")
def read() -> ResponseReturnValue:
    return f"{current()} {current()} {len(request.get_data())}", {"Content-Type": "text/plain"}


@app.get("/residue")
def residue() -> ResponseReturnValue:
    return {"residue": count_residue(), **CLIENTS}


app = around_flask(app)
