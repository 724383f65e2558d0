"""What does naming the trace in a JSON body cost, beside parsing it? Run ``python -m benchmarks.json_splice``."""

import json
from collections.abc import Callable
from typing import Final

import orjson

from benchmarks.rounds import Batch, markdown_table, minima, statement, versions
from tracegate.core.rewrite.json_body import splice
from tracegate.core.rewrite.json_stream import ObjectSplicer
from tracegate.core.trace_id import TraceId

__all__ = ["main"]

_TRACE: Final = TraceId.from_text("4bf92f35-77b3-4da6-a3ce-929d0e0e4736")
_PIECE: Final = 65_536
_DETAIL: Final = {
    "loc": ["body", "items", 3, "quantity"],
    "msg": "must be over 0",
    "type": "greater_than",
    "input": -12,
}
_ERROR: Final = {"error_code": "ORD-002-422-QTY", "message": "quantity must be a whole number", "details": [_DETAIL]}


def _errors() -> dict[str, bytes]:
    """Return error bodies of about 200 bytes, one for each way through the splice."""
    named = {"trace_id": _TRACE.text, "error_code": "ORD-002-404", "message": "There is no order 4711.", "details": []}
    return {
        "no trace_id": orjson.dumps(_ERROR),
        "no trace_id, not ASCII": orjson.dumps({**_ERROR, "message": "Menge muß über 0 sein"}),
        "named already": orjson.dumps({**named, "path": "/orders/4711", "hint": "Look among the archived ones."}),
        "null": orjson.dumps({**_ERROR, "trace_id": None}),
        "lone surrogate": json.dumps({**_ERROR, "message": "half a pair: \ud83d"}).encode(),
    }


def _documents() -> dict[str, bytes]:
    """Return bodies of about a megabyte."""
    records = [
        {"id": i, "name": f"user {i}", "tags": ["a", "b"], "score": i / 7, "active": True} for i in range(10_000)
    ]
    documents = {
        "errors": {"errors": [_ERROR] * 4000},
        "records": {"items": records},
        "numbers": {"items": list(range(150_000))},
        "text": {"text": "some words " * 90_000},
        "text, not ASCII": {"text": "日本語のテキスト" * 40_000},
        "deep": {"items": [[[[i], []], {"x": {"y": i}}] for i in range(25_000)]},
    }
    compact = {name: orjson.dumps(document) for name, document in documents.items()}
    return compact | {"records, indented": orjson.dumps(documents["records"], option=orjson.OPT_INDENT_2)}


def _stream(body: bytes) -> Callable[[], None]:
    pieces = [body[i : i + _PIECE] for i in range(0, len(body), _PIECE)]

    def run() -> None:
        splicer = ObjectSplicer(_TRACE)
        for piece in pieces:
            splicer.feed(piece)
        splicer.finish()

    return run


def _whole() -> list[list[str]]:
    """Measure whole bodies: the splice over orjson's reading and writing the same."""
    rows: list[list[str]] = []
    for name, body in _errors().items():
        contestants: dict[str, Batch] = {
            "splice": statement("splice(body, trace)", splice=splice, body=body, trace=_TRACE)
        }
        readable = name != "lone surrogate"
        read, write = (orjson.loads, orjson.dumps) if readable else (json.loads, json.dumps)
        contestants["rewrite"] = statement("dumps(loads(body))", loads=read, dumps=write, body=body)
        best = minima(contestants, rounds=40, calls=1000)
        by = "orjson" if readable else "json; orjson declines"
        rows.append([f"{name} ({len(body)} bytes, by {by})", f"{best['splice'] / best['rewrite']:.2f}"])
    return rows


def _streamed() -> list[list[str]]:
    """Measure streams: megabytes per second of the splicer over those of ``json.loads``."""
    rows: list[list[str]] = []
    for name, body in _documents().items():
        contestants = {
            "stream": statement("run()", run=_stream(body)),
            "loads": statement("loads(body)", loads=json.loads, body=body),
        }
        best = minima(contestants, rounds=7, calls=1)
        rows.append([f"{name} ({len(body) / 1e6:.1f} MB)", f"{best['loads'] / best['stream']:.2f}"])
    return rows


def main() -> None:
    """Print both tables."""
    print(versions("msgspec", "orjson"), "\n")
    print(markdown_table(["error body", "splice / loads + dumps"], _whole()), "\n")
    print(markdown_table(["long body, in pieces of 64 KiB", "speed / json.loads"], _streamed()))


if __name__ == "__main__":
    main()
