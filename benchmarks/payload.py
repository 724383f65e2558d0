"""What does a chunk, an error body or an event cost, beside the work that the application does to make it?"""

import json
from typing import Final

import orjson
from sse_starlette.event import ServerSentEvent

from benchmarks.direct import asgi_batch
from benchmarks.exchange import TRACE_ID, ASGIApp, asgi_app, asgi_stream
from benchmarks.rounds import Batch, markdown_table, minima, statement
from benchmarks.stacks import asgi_floor
from benchmarks.targets import Target
from tracegate.adapters.asgi import TraceGate
from tracegate.core.rewrite.json_body import splice
from tracegate.core.rewrite.sse import SseRewriter
from tracegate.core.trace_id import parse_trace_id

__all__ = ["measure", "payload_table", "targets"]

_CHUNKS: Final = 1000
_ERROR: Final = json.dumps(
    {
        "error_code": "ORD-002-422-QTY",
        "message": "quantity must be a whole number over 0",
        "details": [{"field": "items[3].quantity", "reason": "less_than_one", "given": -12, "limit": 1}],
        "retry": False,
    }
).encode()
_EVENT_TEXT: Final = json.dumps(
    {
        "id": "chunk-8f2d-0412",
        "index": 0,
        "delta": {"role": "assistant", "content": " a token of the next text"},
        "finish": None,
    }
)
_EVENT: Final = ServerSentEvent(_EVENT_TEXT).encode()


def measure(*, rounds: int) -> dict[str, float]:
    """Return nanoseconds per chunk, error body or event by name."""
    once = {
        "success": asgi_batch(asgi_app()),
        "floor": asgi_batch(asgi_floor(asgi_app())),
        "gated success": asgi_batch(TraceGate(asgi_app())),
        "error": asgi_batch(asgi_app(422, body=_ERROR)),
        "gated error": asgi_batch(TraceGate(asgi_app(422, body=_ERROR))),
    }
    best = minima(once, rounds=rounds, calls=300)
    best |= minima(_streams(b"application/octet-stream", b"x" * 1000, "chunk"), rounds=rounds, calls=2)
    best |= minima(_streams(b"text/event-stream", _EVENT, "event"), rounds=rounds, calls=2)
    best |= minima(_parts(), rounds=rounds, calls=1000)
    return best


def _streams(content_type: bytes, chunk: bytes, name: str) -> dict[str, Batch]:
    """Return what streams *chunk* many times: bare, behind the floor, gated. A call is a whole stream."""
    bare = asgi_stream(content_type, [chunk] * _CHUNKS)
    stacks: dict[str, ASGIApp] = {name: bare, f"floor {name}": asgi_floor(bare), f"gated {name}": TraceGate(bare)}
    return {label: asgi_batch(stack) for label, stack in stacks.items()}


def _parts() -> dict[str, Batch]:
    """Return the byte work alone, beside what an application does to make or re-make the same bytes."""
    trace = parse_trace_id(TRACE_ID.encode())
    if trace is None:
        raise ValueError(TRACE_ID)
    rewriter = SseRewriter(trace)
    return {
        "orjson": statement("dumps(loads(body))", loads=orjson.loads, dumps=orjson.dumps, body=_ERROR),
        "splice": statement("splice(body, trace)", splice=splice, body=_ERROR, trace=trace),
        "sse-starlette": statement("Event(text).encode()", Event=ServerSentEvent, text=_EVENT_TEXT),
        "feed": statement("feed(event)", feed=rewriter.feed, event=_EVENT),
    }


def payload_table(best: dict[str, float]) -> str:
    """Return the table of what payloads cost: the bytes alone, and with the adapter that reads and sends them."""
    floor = (best["floor chunk"] - best["chunk"]) / _CHUNKS
    rewriter = best["feed"]
    error = (best["gated error"] - best["error"]) - (best["gated success"] - best["success"])
    event = (best["gated event"] - best["event"]) / _CHUNKS
    chunk = (best["gated chunk"] - best["chunk"]) / _CHUNKS
    rows = [
        ("a 1000-byte success chunk", "the floor's chunk", chunk, floor),
        (f"a {len(_ERROR)}-byte error JSON, the splice", "orjson loads + dumps", best["splice"], best["orjson"]),
        ("the same, all that it adds to a success reply", "orjson loads + dumps", error, best["orjson"]),
        (f"a {len(_EVENT)}-byte SSE event, the rewriter", "sse-starlette encoding it", rewriter, best["sse-starlette"]),
        ("the same, all that it adds to a stream", "sse-starlette encoding it", event, best["sse-starlette"]),
    ]
    return markdown_table(
        ["what", "beside", "ratio", "µs, this run"],
        [[what, unit, f"{cost / yardstick:.2f} ×", f"{cost / 1000:.2f}"] for what, unit, cost, yardstick in rows],
    )


def targets(best: dict[str, float]) -> list[Target]:
    """Return what issue 2 promises about bodies and streams: a chunk, and the byte work on bodies and events."""
    chunk, floor = best["gated chunk"] - best["chunk"], best["floor chunk"] - best["chunk"]
    return [
        Target("success chunk / the floor's chunk", chunk / floor, 0.5),
        Target(f"splice of a {len(_ERROR)}-byte error JSON / orjson loads + dumps", best["splice"] / best["orjson"], 2),
        Target(
            f"rewriting a {len(_EVENT)}-byte SSE event / sse-starlette encoding it",
            best["feed"] / best["sse-starlette"],
            1,
        ),
    ]
