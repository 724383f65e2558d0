"""How does an event stream leave, whatever its content coding? Clauses D5 to D7."""

from __future__ import annotations

import gzip
from typing import Literal

import pytest

from tests.unit.fakes import OTHER, OWN, OWN_TRACE
from tracegate.core.rewrite.event_body import EventBody
from tracegate.core.rewrite.step import Fate, Step

MARKED = b"data: a\ntrace_id: %s\n\n" % OWN.encode()
FOREIGN = b'data: {"trace_id":"%s"}\n\n' % OTHER.encode()


def stream(
    coding: bytes = b"", *, carrier: Literal["auto", "field"] = "auto", limit: int = 1024, keep: bool = False
) -> EventBody:
    """Return a stream on its way out."""
    body = EventBody.of(OWN_TRACE.id, coding, carrier=carrier, limit=limit, keep=keep)
    assert body is not None
    return body


@pytest.mark.contract("D6")
def test_a_plain_stream_is_marked_and_ends_as_it_ended() -> None:
    """An unfinished block passes unchanged at a clean end."""
    body = stream()

    assert body.feed(b"data: a\n\ndata: b", more=True) == Step(MARKED)
    assert body.at_boundary
    assert body.feed(b"\n", more=False) == Step(fate=Fate.END)
    assert body.at_boundary
    assert body.rest() == b"data: b\n"


@pytest.mark.contract("D5", "D6")
@pytest.mark.parametrize("cut", [1, 10, 1000])
def test_a_coded_stream_is_decoded_as_it_comes(cut: int) -> None:
    """And what the last piece held leaves with it."""
    raw = gzip.compress(b"data: a\n\n" * 3 + b"data: b")
    body = stream(b"gzip")
    steps = [body.feed(raw[at : at + cut], more=True) for at in range(0, len(raw), cut)]
    last = body.feed(b"", more=False)

    assert b"".join(step.data for step in steps) + last.data == MARKED * 3
    assert body.rest() == b"data: b"
    assert (last.fate, {step.fate for step in steps}) == (Fate.END, {Fate.MORE})


@pytest.mark.contract("D5", "D6")
def test_a_coded_piece_that_says_much_is_marked_as_a_whole() -> None:
    """A coding is taken off 64 KiB at a time, and an event may lie across."""
    step = stream(b"gzip").feed(gzip.compress(b"data: a\n\n" * 30_000), more=True)

    assert step == Step(MARKED * 30_000)


@pytest.mark.contract("D5")
def test_a_stream_in_an_unknown_coding_has_no_body() -> None:
    """The caller answers."""
    assert EventBody.of(OWN_TRACE.id, b"compress", carrier="auto", limit=9, keep=False) is None


@pytest.mark.contract("D5", "D7")
@pytest.mark.parametrize(("data", "more"), [(b"no gzip", True), (gzip.compress(b"data: a\n\n", mtime=0)[:-4], False)])
def test_a_coding_that_does_not_read_breaks_the_stream(data: bytes, *, more: bool) -> None:
    """Corrupt at once, cut off at its end."""
    assert stream(b"gzip").feed(data, more=more).fate is Fate.BROKEN


@pytest.mark.contract("C3", "D5", "D7")
def test_what_was_kept_before_a_stream_broke_is_told() -> None:
    """An event of another trace that was delivered is recorded, whatever comes after it."""
    raw = gzip.compress(FOREIGN)
    step = stream(b"gzip", keep=True).feed(raw[:-4], more=False)

    assert step == Step(FOREIGN, fate=Fate.BROKEN, kept=True)


@pytest.mark.contract("D6", "D7")
@pytest.mark.parametrize("coding", [b"", b"gzip"])
def test_an_event_of_another_trace_ends_the_stream(coding: bytes) -> None:
    """What stood before it leaves, and nothing else."""
    data = b"data: a\n\n" + FOREIGN + b"data: b\n\n"

    assert stream(coding).feed(gzip.compress(data) if coding else data, more=True) == Step(MARKED, fate=Fate.OVERWRITE)


@pytest.mark.contract("C3")
def test_an_event_of_another_trace_that_is_kept_is_told_once() -> None:
    """With the piece that had it, also at the end."""
    body = stream(keep=True)

    assert body.feed(FOREIGN, more=True) == Step(FOREIGN, kept=True)
    assert body.feed(b"data: a\n\n", more=True) == Step(MARKED)
    assert body.feed(FOREIGN, more=False) == Step(FOREIGN, fate=Fate.END, kept=True)


@pytest.mark.contract("D6")
def test_the_carrier_and_the_bound_reach_the_machine() -> None:
    """The field line only; and a long event is not held."""
    assert stream(carrier="field").feed(b"data: {}\n\n", more=True) == Step(
        b"data: {}\ntrace_id: %s\n\n" % OWN.encode()
    )
    body = stream(limit=8)
    assert body.feed(b"data: " + b"x" * 20, more=True).data == b"data: " + b"x" * 20
    assert not body.at_boundary
