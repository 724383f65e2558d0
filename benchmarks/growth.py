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
from tracegate.core.policy import Policy

__all__ = ["exponent", "growth_table", "measure", "targets"]

_BODY_BYTES: Final = (1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22)
_EVENT_COUNTS: Final = (10, 30, 100, 300, 1000, 3000, 10000)
_PIECE: Final = 64
_FITTED_FROM: Final = 1 << 15
"""Below it the fixed cost of a request hides the slope."""


def measure(*, rounds: int) -> dict[str, Points]:
    """Return the points of each line: what the gate adds, the minimum over interleaved rounds."""
    whole, streamed = Policy(max_error_body=1 << 23), Policy(max_error_body=1 << 10)
    bodies, pieces = [_body(size) for size in _BODY_BYTES], [_body(size) for size in _BODY_BYTES[:-1]]
    return {
        "whole error JSON, one message": [
            _added(asgi_app(500, body=body), len(body), rounds, whole) for body in bodies
        ],
        "whole error JSON, 16 KiB messages": [_cut(body, 1 << 14, rounds, whole) for body in bodies],
        "streamed error JSON, 16 KiB messages": [_cut(body, 1 << 14, rounds, streamed) for body in bodies],
        f"streamed error JSON, {_PIECE}-byte messages": [_cut(body, _PIECE, rounds, streamed) for body in pieces],
        "SSE, one 140-byte event per message": [_events(count, rounds, whole) for count in _EVENT_COUNTS],
        f"SSE, one event in {_PIECE}-byte messages": [_cut_event(body, rounds, whole) for body in pieces],
    }


def _body(size: int) -> bytes:
    """Return a JSON object of about *size* bytes, made of many small members."""
    row = {"field": "items[3].quantity", "reason": "less_than_one", "given": -12.5, "ok": False}
    rows = max(1, round(size / len(json.dumps(row) + ", ")))
    return json.dumps({"error_code": "ORD-002-422-QTY", "details": [row] * rows}).encode()


def _cut(body: bytes, step: int, rounds: int, policy: Policy) -> tuple[int, float]:
    return _added(asgi_stream(b"application/json", _pieces(body, step), 500), len(body), rounds, policy)


def _cut_event(body: bytes, rounds: int, policy: Policy) -> tuple[int, float]:
    event = ServerSentEvent(body.decode()).encode()
    return _added(asgi_stream(b"text/event-stream", _pieces(event, _PIECE)), len(event), rounds, policy)


def _pieces(payload: bytes, step: int) -> list[bytes]:
    return [payload[start : start + step] for start in range(0, len(payload), step)]


def _events(count: int, rounds: int, policy: Policy) -> tuple[int, float]:
    event = ServerSentEvent(_body(120).decode()).encode()
    return _added(asgi_stream(b"text/event-stream", [event] * count), count * len(event), rounds, policy)


def _added(bare: ASGIApp, size: int, rounds: int, policy: Policy) -> tuple[int, float]:
    """Return *size* and the nanoseconds by which the gated application is slower than *bare*."""
    calls = max(1, 20_000 // size)
    best = minima({"bare": asgi_batch(bare), "gated": asgi_batch(TraceGate(bare, policy))}, rounds=rounds, calls=calls)
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
    """Return that no line bends upwards by more than the step out of the processor's caches."""
    return [Target(f"growth exponent: {name}", exponent(points), 1.25) for name, points in lines.items()]
