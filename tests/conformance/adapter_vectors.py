"""Which vectors does tests/data hold, decoded for the adapters?"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["BodyVector", "StreamVector", "body_vectors", "header_values", "stream_vectors", "traceparent_vectors"]

DATA = Path(__file__).resolve().parent.parent / "data"


@dataclass(frozen=True, slots=True)
class BodyVector:
    """A body, and what a splice does with it."""

    id: str
    content_type: bytes
    body: bytes
    expect: str


@dataclass(frozen=True, slots=True)
class StreamVector:
    """An event stream, and what a client reads from it."""

    id: str
    content_type: bytes
    chunks: tuple[bytes, ...]
    events: tuple[tuple[str, str, str], ...]
    retries: tuple[int, ...]
    comments: tuple[str, ...]

    @property
    def stream(self) -> bytes:
        """The whole stream."""
        return b"".join(self.chunks)


def _load(name: str) -> Any:  # noqa: ANN401  whatever JSON holds
    path = DATA / name
    return json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())


@cache
def body_vectors() -> tuple[BodyVector, ...]:
    """Return every vector of json_splice.json."""
    return tuple(
        BodyVector(each["id"], each["content_type"].encode(), base64.b64decode(each["body_b64"]), each["expect"])
        for each in _load("json_splice.json")["vectors"]
    )


@cache
def stream_vectors(*, big: bool = False) -> tuple[StreamVector, ...]:
    """Return every vector of sse_streams.json, or of sse_streams_big.json.gz."""
    vectors = _load("sse_streams_big.json.gz" if big else "sse_streams.json")["vectors"]
    return tuple(
        StreamVector(
            each["id"],
            each["content_type"].encode(),
            tuple(base64.b64decode(chunk) for chunk in each["chunks_b64"]),
            tuple((event["event"], event["data"], event["id"]) for event in each["events"]),
            tuple(each["retries"]),
            tuple(each["comments"]),
        )
        for each in vectors
    )


def header_values() -> Iterator[bytes]:
    """Yield every value of header_values.json."""
    for each in _load("header_values.json")["values"]:
        yield base64.b64decode(each["b64"])


def traceparent_vectors() -> Iterator[tuple[tuple[tuple[bytes, bytes], ...], bool]]:
    """Yield every header set of w3c_tracecontext.json, and whether its traceparent is valid."""
    for each in _load("w3c_tracecontext.json")["vectors"]:
        yield tuple((name.encode(), value.encode()) for name, value in each["headers"]), each["is_traceparent_valid"]
