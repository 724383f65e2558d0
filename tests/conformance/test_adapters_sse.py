"""Do the public event streams read the same behind both adapters, and is every event out at once?"""

from __future__ import annotations

import pytest

from tests.conformance.adapter_vectors import StreamVector, stream_vectors
from tests.property.drivers.gates import play
from tests.property.drivers.record import Outcome, Transport
from tests.property.oracle import sse_text
from tests.property.oracle.marks import object_in
from tests.property.oracle.verdict import faults_of
from tests.property.plan import OWN, Plan, Request, Settings

TRANSPORTS: tuple[Transport, ...] = ("asgi", "wsgi")
NAMING_ANOTHER = ("own/json-object-with-trace_id", "own/json-unicode-escape-key")
"""Their only event names a trace that is not the request's: clause D7."""
SMALL = 260
"""Up to this many bytes a stream is cut at every byte."""


def reply_to(
    transport: Transport, vector: StreamVector, chunks: tuple[bytes, ...], settings: Settings | None = None
) -> Outcome:
    """Play *vector*; assert that the oracle finds no fault and that each event was out before the next chunk."""
    plan = Plan(200, ((b"content-type", vector.content_type),), chunks)
    settings = settings or Settings()
    outcome = play(transport, plan, settings=settings)
    assert faults_of(transport, plan, Request(), settings, outcome) == [], vector.id
    judge(vector, outcome)
    sent = len(chunks[0]) if chunks else 0
    complete = completed(vector.stream)
    for number, out in enumerate(outcome.notes.delivered_before_chunk[1 : len(chunks)], start=1):
        wanted = sum(1 for end in complete if end <= sent)
        if wanted:
            assert len(sse_text.split(outcome.reply.body[:out])[1]) >= wanted, (vector.id, number)
        sent += len(chunks[number])
    return outcome


def completed(stream: bytes) -> list[int]:
    """Return after how many bytes each block is complete: a CR completes it, whatever comes next."""
    mark, blocks, _ = sse_text.split(stream)
    ends, at = [], len(mark)
    for block in blocks:
        at += len(block.raw)
        ends.append(at - (block.lines[-1].ending == b"\r\n"))
    return ends


def judge(vector: StreamVector, outcome: Outcome) -> None:
    """Assert that a client reads what the vector says, plus the trace."""
    seen = sse_text.read(outcome.reply.body)
    if vector.id in NAMING_ANOTHER:
        assert [event.event for event in seen.events] == ["error"], vector.id
        return
    assert seen.retries == vector.retries, vector.id
    assert seen.comments == vector.comments, vector.id
    assert len(seen.events) == len(vector.events), vector.id
    for got, (kind, data, last_id) in zip(seen.events, vector.events, strict=True):
        assert (got.event, got.id) == (kind, last_id), vector.id
        if object_in(data.encode("utf-8", "surrogatepass")) is None:
            assert got.data == data, vector.id
        else:
            assert got.data == data or OWN.decode() in got.data, vector.id


@pytest.mark.contract("D6")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_stream_as_it_was_recorded(transport: Transport) -> None:
    """233 streams in their own chunks, and whole."""
    for vector in stream_vectors():
        reply_to(transport, vector, vector.chunks)
        reply_to(transport, vector, (vector.stream,))


@pytest.mark.contract("D6")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_stream_cut_at_every_byte(transport: Transport) -> None:
    """Small streams in every two pieces and byte by byte; longer ones in pieces of prime lengths."""
    for vector in stream_vectors():
        stream = vector.stream
        if len(stream) <= SMALL:
            whole = reply_to(transport, vector, tuple(stream[at : at + 1] for at in range(len(stream)))).reply.body
            for cut in range(1, len(stream)):
                assert reply_to(transport, vector, (stream[:cut], stream[cut:])).reply.body == whole
        else:
            for step in (7, 61, 997):
                reply_to(transport, vector, tuple(stream[at : at + step] for at in range(0, len(stream), step)))


@pytest.mark.contract("D6")
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("bound", [1, 1 << 20])
def test_every_big_stream(transport: Transport, bound: int) -> None:
    """Lines and comments of a megabyte, below and above the bound of an event."""
    for vector in stream_vectors(big=True):
        stream = vector.stream
        reply_to(transport, vector, vector.chunks, Settings(max_sse_event=bound))
        step = 65_521
        pieces = tuple(stream[at : at + step] for at in range(0, len(stream), step))
        reply_to(transport, vector, pieces, Settings(max_sse_event=bound))


@pytest.mark.contract("D6")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_stream_with_field_lines_only(transport: Transport) -> None:
    """`sse_carrier="field"` leaves all data as it was sent."""
    for vector in stream_vectors():
        if vector.id in NAMING_ANOTHER:
            continue
        outcome = reply_to(transport, vector, vector.chunks, Settings(sse_carrier="field"))
        assert [event.data for event in sse_text.read(outcome.reply.body).events] == [
            data for _, data, _ in vector.events
        ]
