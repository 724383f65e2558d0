"""What does recording cost an event, and the first byte? Run: ``python -m benchmarks.recorder``.

One process, raw ASGI, an SQLite file: the same stream bare, behind a gate, and recorded behind the gate.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tracegate.adapters.asgi import TraceGate
from tracegate.adapters.asgi_recorder import StreamRecorder
from tracegate.adapters.recorder import Recorder
from tracegate.core.policy import Policy
from tracegate.core.streams.policy import StreamPolicy
from tracegate.runtime import Runtime
from tracegate.store.engine import open_engine
from tracegate.store.streams import StreamStore
from tracegate.store.upgrade import upgrade

EVENTS = 200
ROUNDS = 15
EVENT = b'event: token\ndata: {"text": "word", "n": 1}\n\n'
Message = dict[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]


async def stream(_scope: object, _receive: object, send: Callable[[Message], Awaitable[None]]) -> None:
    """Stream events as fast as they are taken."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for _ in range(EVENTS):
        await send({"type": "http.response.body", "body": EVENT, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b""})


async def ask(app: Application, headers: list[tuple[bytes, bytes]]) -> tuple[float, float]:
    """Make a request; return the seconds to the first byte, and those of each event."""
    begun = time.perf_counter()
    first = 0.0

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        nonlocal first
        if not first and message.get("body"):
            first = time.perf_counter() - begun
        await asyncio.sleep(0)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": headers,
    }
    await app(scope, receive, send)
    return first, (time.perf_counter() - begun) / EVENTS


def measure(app: Application) -> tuple[float, float]:
    """Return the medians over some rounds."""
    headers = [(b"x-trace-id", b"4bf92f35-77b3-4da6-a3ce-929d0e0e4736")]
    found = [asyncio.run(ask(app, headers)) for _ in range(ROUNDS)][3:]
    return statistics.median(one[0] for one in found), statistics.median(one[1] for one in found)


def main() -> None:
    """Print one line for each way of serving the stream."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'events.db'}")
        upgrade(engine)
        ways: dict[str, Application] = {"bare": stream, "gate": TraceGate(stream, runtime=Runtime(Policy()))}
        policies = {
            "gate and recorder": StreamPolicy(number_events=True),
            "gate and recorder, before_event": StreamPolicy(number_events=True, durability="before_event"),
        }
        recorders = {name: Recorder(StreamStore(engine), policy) for name, policy in policies.items()}
        for name, recorder in recorders.items():
            inner = StreamRecorder(stream, recorder, principal=lambda _: "ann")
            ways[name] = TraceGate(inner, runtime=Runtime(Policy()))
        print(f"{'':34}{'first byte':>12}{'an event':>12}")
        for name, app in ways.items():
            first, each = measure(app)
            print(f"{name:34}{first * 1e6:>9.0f} µs{each * 1e6:>9.1f} µs")
        for recorder in recorders.values():
            assert recorder.writer.close(60)
            assert not recorder.writer.dropped
        engine.dispose()


if __name__ == "__main__":
    main()
