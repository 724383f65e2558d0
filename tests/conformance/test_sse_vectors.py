"""Does a WHATWG client read the same from a rewritten stream, and the trace with every event?"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import pytest

from tests.property.sse_reader import Dispatched, SseReader, read
from tracegate.core.rewrite.sse import SseRewriter
from tracegate.core.trace_id import TraceId


class Options(TypedDict, total=False):
    """What the line machine can be told."""

    carrier: Literal["auto", "field"]
    max_event_bytes: int


DATA = Path(__file__).parents[1] / "data"
TRACE = "0af76519-16cd-43dd-8448-eb211c80319c"
OTHER = {"own/json-object-with-trace_id", "own/json-unicode-escape-key"}
"""Their data names another trace: clause D7 ends the stream there."""


@cache
def vectors() -> dict[str, Any]:
    """Return all vectors by their name."""
    small = json.loads((DATA / "sse_streams.json").read_bytes())["vectors"]
    big = json.loads(gzip.decompress((DATA / "sse_streams_big.json.gz").read_bytes()))["vectors"]
    return {vector["id"]: vector for vector in (*small, *big)}


def chunks_of(name: str) -> list[bytes]:
    """Return the chunks of a vector."""
    return [base64.b64decode(chunk) for chunk in vectors()[name]["chunks_b64"]]


def bare(event: Dispatched) -> tuple[str, str, str]:
    """Return the event as the vectors have it, once the trace is taken off; it must be there."""
    text = event.data.decode(errors="replace")
    named = [value for field, value in event.unknown if field == b"trace_id"]
    if named != [TRACE.encode()]:
        assert not named
        member = f'"trace_id":"{TRACE}"'
        assert text.count(member) == 1
        text = text.replace(member + ",", "").replace("," + member, "").replace(member, "")
        assert json.loads(event.data)["trace_id"] == TRACE
    return event.event.decode(errors="replace"), text, event.last_event_id.decode(errors="replace")


def rewrite(chunks: Iterable[bytes], **options: Unpack[Options]) -> tuple[bytes, SseRewriter]:
    """Return what comes out for *chunks*; each must give out every event that it completes."""
    rewriter = SseRewriter(TraceId.from_text(TRACE), **options)
    before, after = SseReader(), SseReader()
    out = bytearray()
    for chunk in chunks:
        piece = rewriter.feed(chunk)
        out += piece
        before.feed(chunk)
        after.feed(piece)
        assert rewriter.overwrite or len(after.events) == len(before.events) == rewriter.events
    return bytes(out + rewriter.finish()), rewriter


def check(name: str, chunks: Iterable[bytes], **options: Unpack[Options]) -> None:
    """Rewrite the vector in *chunks* and compare what is read."""
    vector = vectors()[name]
    out, rewriter = rewrite(chunks, **options)
    seen = read(out)
    if name in OTHER:
        assert rewriter.overwrite
        assert not seen.events
        return
    expected = [(event["event"], event["data"], event["id"]) for event in vector["events"]]
    assert not rewriter.overwrite
    assert [bare(event) for event in seen.events] == expected
    assert seen.retries == vector["retries"]
    assert [comment.decode(errors="replace") for comment in seen.comments] == vector["comments"]
    assert seen.last_event_id.decode(errors="replace") == vector["last_event_id"]


def test_the_reader_of_the_tests_reads_the_vectors() -> None:
    """The independent reader sees in the untouched streams what the vectors say a client dispatches."""
    assert len(vectors()) == 238
    for name, vector in vectors().items():
        seen = read(b"".join(chunks_of(name)))
        events = [(e.event.decode(), e.data.decode(errors="replace"), e.last_event_id.decode()) for e in seen.events]
        assert events == [(e["event"], e["data"], e["id"]) for e in vector["events"]], name
        assert seen.retries == vector["retries"], name
        assert [comment.decode(errors="replace") for comment in seen.comments] == vector["comments"], name


@pytest.mark.contract("D6")
@pytest.mark.parametrize("name", vectors())
def test_a_vector_in_its_own_chunks_is_read_as_before_and_marked(name: str) -> None:
    """As sent: every event with the trace, in the feed that completes it, and nothing else changed."""
    check(name, chunks_of(name))


@pytest.mark.contract("D6")
@pytest.mark.parametrize("carrier", ["auto", "field"])
@pytest.mark.parametrize("name", vectors())
def test_a_vector_in_one_piece_is_read_as_before_and_marked(name: str, carrier: Literal["auto", "field"]) -> None:
    """The same in one chunk, with either carrier."""
    check(name, [b"".join(chunks_of(name))], carrier=carrier)


def plainly(chunks: Iterable[bytes], **options: Unpack[Options]) -> tuple[bytes, bool]:
    """Return what comes out for *chunks*, and whether the stream was refused."""
    rewriter = SseRewriter(TraceId.from_text(TRACE), **options)
    out = b"".join(map(rewriter.feed, chunks)) + rewriter.finish()
    return out, rewriter.overwrite


def pieces(stream: bytes, size: int) -> list[bytes]:
    """Cut *stream* into pieces of *size* bytes."""
    return [stream[i : i + size] for i in range(0, len(stream), size)]


@pytest.mark.contract("D6")
@pytest.mark.parametrize("max_event_bytes", [1, 1 << 20])
@pytest.mark.parametrize("name", vectors())
def test_a_vector_is_the_same_however_it_is_cut(name: str, max_event_bytes: int) -> None:
    """In small pieces, and cut in two at every byte (of big ones at some), the very same comes out, and at once.

    With a bound of one byte every event counts as too long to hold, and is handed out while it comes in.
    """
    stream = b"".join(chunks_of(name))
    whole, refused = plainly([stream], max_event_bytes=max_event_bytes)

    if not refused:
        check(name, pieces(stream, 1 + len(stream) // 5000), max_event_bytes=max_event_bytes)
    for cut in range(0, len(stream), 1 + len(stream) * len(stream) // 2_000_000):
        out = plainly([stream[:cut], stream[cut:]], max_event_bytes=max_event_bytes)
        assert out == (whole, refused) or (refused and out[1])
