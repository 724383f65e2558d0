"""Does the cost grow in a straight line with the length of a body or a stream, however it is cut?"""

import json
import math
from collections.abc import Mapping
from typing import Final

from sse_starlette.event import ServerSentEvent

from benchmarks.direct import asgi_batch
from benchmarks.exchange import ASGIApp, asgi_app, asgi_stream
from benchmarks.plot import Points
from benchmarks.rounds import markdown_table, minima
from benchmarks.targets import Target
from tracegate.adapters.asgi import TraceGate

__all__ = ["exponent", "growth_table", "measure", "targets"]

_BODY_BYTES: Final = (1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22)
_EVENT_COUNTS: Final = (10, 30, 100, 300, 1000, 3000, 10000)
_PIECE: Final = 64
_FITTED_FROM: Final = 1 << 15
"""Below it the fixed cost of a request hides the slope."""


def measure(*, rounds: int) -> dict[str, Points]:
    """Return the points of each line: what the gate adds, the minimum over interleaved rounds."""
    pieces = _BODY_BYTES[:-1]
    return {
        "error JSON, one message": [_added(asgi_app(500, body=_body(size)), size, rounds) for size in _BODY_BYTES],
        "error JSON in 16 KiB messages": [
            _streamed("application/json", _body(size), 1 << 14, rounds) for size in _BODY_BYTES
        ],
        f"error JSON in {_PIECE}-byte messages": [
            _streamed("application/json", _body(size), _PIECE, rounds) for size in pieces
        ],
        "SSE, a 140-byte event per message": [_events(count, rounds) for count in _EVENT_COUNTS],
        f"one long SSE event in {_PIECE}-byte messages": [
            _streamed("text/event-stream", ServerSentEvent(_body(size).decode()).encode(), _PIECE, rounds)
            for size in pieces
        ],
    }


def _body(size: int) -> bytes:
    """Return a JSON object of about *size* bytes, made of many small members."""
    row = {"field": "items[3].quantity", "reason": "less_than_one", "given": -12.5, "ok": False}
    rows = max(1, round(size / len(json.dumps(row) + ", ")))
    return json.dumps({"error_code": "ORD-002-422-QTY", "details": [row] * rows}).encode()


def _streamed(media_type: str, payload: bytes, step: int, rounds: int) -> tuple[int, float]:
    chunks = [payload[start : start + step] for start in range(0, len(payload), step)]
    status = 200 if media_type == "text/event-stream" else 500
    return _added(asgi_stream(media_type.encode(), chunks, status), len(payload), rounds)


def _events(count: int, rounds: int) -> tuple[int, float]:
    event = ServerSentEvent(_body(120).decode()).encode()
    return _added(asgi_stream(b"text/event-stream", [event] * count), count * len(event), rounds)


def _added(bare: ASGIApp, size: int, rounds: int) -> tuple[int, float]:
    """Return *size* and the nanoseconds by which the gated application is slower than *bare*."""
    calls = max(1, 20_000 // size)
    best = minima({"bare": asgi_batch(bare), "gated": asgi_batch(TraceGate(bare))}, rounds=rounds, calls=calls)
    return size, best["gated"] - best["bare"]


def exponent(points: Points) -> float:
    """Return the slope of log(cost) over log(bytes) by least squares: 1 is a straight line, 2 a square."""
    logs = [(math.log(size), math.log(cost)) for size, cost in points if size >= _FITTED_FROM and cost > 0]
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


def growth_table(lines: Mapping[str, Points]) -> str:
    """Return the table of exponents and of what a byte costs at the far end."""
    rows = [
        [name, f"{exponent(points):.2f}", f"{points[-1][0] / 1e6:.2f} MB", f"{points[-1][1] / points[-1][0]:.1f} ns"]
        for name, points in lines.items()
    ]
    return markdown_table(
        ["what the application sends", "exponent (1 = linear)", "up to", "a byte, at that length"], rows
    )


def targets(lines: Mapping[str, Points]) -> list[Target]:
    """Return that no line bends upwards by more than the noise of a shared machine."""
    return [Target(f"growth exponent: {name}", exponent(points), 1.1) for name, points in lines.items()]
