"""Does it matter where a public body or stream is cut? `make proof-cuts` cuts every one of them at every byte.

``CUT_UP_TO`` and ``CUT_IN_TWO_UP_TO`` say up to how many bytes: what is longer is left to the proof.
"""

from __future__ import annotations

import os
from itertools import chain

import pytest

from tests.conformance.adapter_vectors import body_vectors, stream_vectors
from tests.conformance.test_adapters_sse import NAMING_ANOTHER, completed
from tests.property.drivers import asgi
from tests.property.drivers.gates import play
from tests.property.drivers.record import Outcome, Reply, Transport
from tests.property.oracle.verdict import faults_of
from tests.property.plan import Plan, Request, Settings

CUT_UP_TO = int(os.environ.get("CUT_UP_TO", "300"))
"""Up to this many bytes everything goes byte by byte."""
PAIRS_UP_TO = int(os.environ.get("CUT_IN_TWO_UP_TO", "8"))
"""Up to this many bytes everything is cut in two, at every byte: the work grows with the square of the length."""

MOST = 320
"""At least so many bodies get the same reply; the others are refused somewhere on the way, in one of the settings."""

every_transport = pytest.mark.parametrize("transport", ["asgi", "wsgi"])


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte in a million messages takes a while."""
    monkeypatch.setattr(asgi, "PATIENCE_SECONDS", 3.0 + CUT_UP_TO / 1000)


def answer(transport: Transport, plan: Plan, chunks: tuple[bytes, ...], settings: Settings) -> Outcome:
    """Play *plan* with other chunks."""
    return play(transport, Plan(plan.status, plan.headers, chunks), settings=settings)


def assert_same(transport: Transport, plan: Plan, chunks: tuple[bytes, ...], settings: Settings, whole: Reply) -> bool:
    """Assert that *plan* gets the reply that it got as a *whole*.

    What must be refused is refused at the byte that shows it: how much was out by then, the cut decides, and the oracle
    says whether that was right.

    Returns:
        Whether the two could be compared.
    """
    outcome = answer(transport, plan, chunks, settings)
    cut = outcome.reply
    if cut.clean and whole.clean and whole.status == cut.status:
        assert (cut.headers, cut.body) == (whole.headers, whole.body)
        return True
    assert faults_of(transport, Plan(plan.status, plan.headers, chunks), Request(), settings, outcome) == []
    return False


def byte_by_byte(data: bytes) -> tuple[bytes, ...]:
    """Return *data* in pieces of one byte."""
    return tuple(data[at : at + 1] for at in range(len(data)))


def ways_to_cut(data: bytes) -> chain[tuple[bytes, ...]]:
    """Return every way to cut *data*: byte by byte, and where it is short, in two."""
    places = range(1, len(data)) if len(data) <= PAIRS_UP_TO else ()
    return chain((byte_by_byte(data),), ((data[:cut], data[cut:]) for cut in places))


@pytest.mark.contract("D1", "D2", "D5")
@every_transport
@pytest.mark.parametrize("status", [404, 200])
@pytest.mark.parametrize(
    "settings", [Settings(), Settings(bodies="all"), Settings(max_error_body=4)], ids=["errors", "all", "long"]
)
def test_a_body_gets_the_same_reply_however_it_is_cut(transport: Transport, status: int, settings: Settings) -> None:
    """Byte for byte, head included: held whole, streamed on above the bound, as a success."""
    compared = []
    for vector in body_vectors():
        if len(vector.body) > CUT_UP_TO:
            continue
        plan = Plan(status, ((b"content-type", vector.content_type),))
        pieces = (vector.body[:5], vector.body[5:]) if settings.max_error_body == 4 else (vector.body,)
        whole = answer(transport, plan, pieces, settings).reply
        same = [assert_same(transport, plan, chunks, settings, whole) for chunks in ways_to_cut(vector.body)]
        compared.append(all(same))
    assert sum(compared) > MOST


@pytest.mark.contract("D6")
@every_transport
@pytest.mark.parametrize("bound", [1, 1 << 20])
def test_a_stream_is_the_same_however_it_is_cut_and_every_event_is_out_at_once(
    transport: Transport, bound: int
) -> None:
    """An event is out before the application is asked for the chunk after its last byte."""
    settings = Settings(max_sse_event=bound)
    compared = 0
    for vector in chain(stream_vectors(), stream_vectors(big=True) if CUT_UP_TO > 1 << 20 else ()):
        if len(vector.stream) > CUT_UP_TO or vector.id in NAMING_ANOTHER:
            continue
        stream, plan = vector.stream, Plan(200, ((b"content-type", vector.content_type),))
        whole = answer(transport, plan, (stream,), settings).reply
        ends, ends_out = completed(stream), completed(whole.body)
        for chunks in ways_to_cut(stream):
            outcome = answer(transport, plan, chunks, settings)
            cut = outcome.reply
            assert (cut.headers, cut.body, cut.clean) == (whole.headers, whole.body, True), vector.id
            sent = done = 0
            for chunk, out in zip(chunks, outcome.notes.delivered_before_chunk[1:], strict=False):
                sent += len(chunk)
                while done < len(ends) and ends[done] <= sent:
                    done += 1
                assert not done or out >= ends_out[done - 1], (vector.id, sent)
        compared += 1
    assert compared > 200
