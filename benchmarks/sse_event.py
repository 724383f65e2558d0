"""What does marking an event cost, beside encoding it? Run ``python -m benchmarks.sse_event``."""

import json
from collections.abc import Callable, Iterator
from typing import Final

from sse_starlette.event import ServerSentEvent

from benchmarks.rounds import markdown_table, minima, statement, versions
from tracegate.core.rewrite.sse import SseRewriter
from tracegate.core.trace_id import TraceId

__all__ = ["main"]

_TRACE: Final = TraceId.from_text("4bf92f35-77b3-4da6-a3ce-929d0e0e4736")
_OBJECT: Final = json.dumps(
    {
        "id": "chatcmpl-9f2b",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"content": " some"}}],
        "model": "m-1",
    }
)
_PIECE: Final = 1 << 16
_CUTS: Final = (1, 16, 256, 4096, 1 << 16)


def _events() -> dict[str, tuple[dict[str, str], bytes]]:
    """Return events by what they are: what sse-starlette gets, and the chunk of the application."""
    events: dict[str, dict[str, str]] = {
        "JSON, named": {"data": _OBJECT, "event": "token"},
        "JSON": {"data": _OBJECT},
        "JSON, with id, LF": {"data": _OBJECT, "event": "token", "id": "412", "sep": "\n"},
        "JSON-RPC": {"data": json.dumps({"jsonrpc": "2.0", "id": 4, "result": {"content": ["some text"] * 5}})},
        "JSON, has the trace": {"data": json.dumps({"trace_id": _TRACE.text, "text": "some text" * 7})},
        "text": {"data": "some text " * 13},
        "text in three lines": {"data": "some text some text some text some\n" * 3 + "end"},
        "ping": {"comment": "ping - 2026-11-23 15:39:02.000000+00:00"},
    }
    return {name: (parts, ServerSentEvent(**parts).encode()) for name, parts in events.items()}  # type: ignore[arg-type]


def _single() -> Iterator[list[str]]:
    """Yield a row for each kind of event: one chunk that is one event."""
    for name, (parts, chunk) in _events().items():
        rewriter = SseRewriter(_TRACE)
        rewriter.feed(b"\n")
        arguments = ", ".join(f"{part}={part}" for part in parts)
        best = minima(
            {
                "feed": statement("feed(chunk)", feed=rewriter.feed, chunk=chunk),
                "encode": statement(f"Event({arguments}).encode()", Event=ServerSentEvent, **parts),
            },
            rounds=60,
            calls=2000,
        )
        ratio = best["feed"] / best["encode"]
        yield [f"{name} ({len(chunk)} bytes)", f"{ratio:.2f}", f"{best['feed'] / 1000:.2f}"]


def _stream(chunks: list[bytes]) -> Callable[[], None]:
    def run() -> None:
        rewriter = SseRewriter(_TRACE)
        for chunk in chunks:
            rewriter.feed(chunk)
        rewriter.finish()

    return run


def _streams() -> dict[str, bytes]:
    """Return streams of some size: many events, one line of 10 MB, 1,000 data lines."""
    long = json.dumps({"text": "some words " * 950_000}).encode()
    return {
        "500 events": ServerSentEvent(_OBJECT).encode() * 500,
        "one line of 10 MB": b"data: " + long + b"\n\n",
        "10 MB of text": b"data: " + b"x" * 10_000_000 + b"\n\n",
        "1,000 data lines": b"data: some text\n" * 1000 + b"\n",
    }


def _growth() -> Iterator[list[str]]:
    """Yield a row for each stream: nanoseconds per byte, by the size of the pieces it comes in."""
    for name, stream in _streams().items():
        row = [f"{name} ({len(stream):,} bytes)"]
        for size in _CUTS:
            sample = stream if size > 256 or len(stream) < 1 << 20 else stream[: 1 << 21]
            chunks = [sample[i : i + size] for i in range(0, len(sample), size)]
            best = minima({"": statement("run()", run=_stream(chunks))}, rounds=3, calls=1)
            row.append(f"{best[''] / len(sample):.1f}")
        yield row


def main() -> None:
    """Print both tables."""
    print(versions("sse-starlette", "msgspec"), "\n")
    print(markdown_table(["one chunk, one event", "feed / sse-starlette's encode", "µs"], list(_single())), "\n")
    print(markdown_table(["ns per byte, in pieces of", *(f"{size:,}" for size in _CUTS)], list(_growth())))


if __name__ == "__main__":
    main()
