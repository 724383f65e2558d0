"""How does a JSON body leave that is marked while it streams?

Clauses D4, D5.
"""

from __future__ import annotations

import json

import pytest

from tests.unit.fakes import OTHER, OWN, OWN_TRACE
from tracegate.core.rewrite.json_stream import EnvelopeStream, ObjectSplicer
from tracegate.core.rewrite.long_body import LongBody, SilentBody, SuccessBody
from tracegate.core.rewrite.step import Fate, Step

AS_SENT, MARKED = [(b"etag", b'"1"')], [(b"x", b"marked")]


def spliced(*, keep: bool = False, lenient: bool = False) -> LongBody:
    """Return a body that is spliced."""
    return LongBody(ObjectSplicer(OWN_TRACE.id), keep=keep, lenient=lenient)


def test_a_body_without_a_stream_leaves_as_it_came() -> None:
    """Piece by piece."""
    body = LongBody(None, keep=False)

    assert body.feed(b"a", more=True) == Step(b"a")
    assert body.feed(b"", more=True) == Step()
    assert body.feed(b"b", more=False) == Step(b"b", fate=Fate.END)
    assert body.unsent == b""


@pytest.mark.contract("D5")
def test_an_object_gets_its_member_at_its_end() -> None:
    """What is certain leaves at once."""
    body = spliced()
    first = body.feed(b'{"a": 1, "b', more=True)
    last = body.feed(b'": 2}\n', more=False)

    assert (first.fate, last.fate, first.kept, last.kept) == (Fate.MORE, Fate.END, False, False)
    assert first.data.startswith(b'{"a": 1')
    assert json.loads(first.data + last.data) == {"a": 1, "b": 2, "trace_id": OWN}


@pytest.mark.contract("D1", "D5")
@pytest.mark.parametrize("more", [True, False])
@pytest.mark.parametrize("lenient", [True, False])
def test_another_trace_is_refused_unless_it_is_kept(*, more: bool, lenient: bool) -> None:
    """Lenience about JSON is none about traces."""
    text = b'{"trace_id":"%s","b":1' % OTHER.encode()

    assert spliced(lenient=lenient).feed(text, more=True).fate is Fate.OVERWRITE
    kept = spliced(keep=True, lenient=lenient)
    step = kept.feed(text + b"}", more=more)
    assert step == Step(text + b"}", fate=Fate.MORE if more else Fate.END, kept=True)
    assert kept.feed(b" tail", more=False) == Step(b" tail", fate=Fate.END)


@pytest.mark.contract("D4", "D5")
@pytest.mark.parametrize("keep", [True, False])
def test_what_is_no_json_after_all_breaks_unless_lenience_is_asked_for(*, keep: bool) -> None:
    """A success body is the application's business; leave to contradict is no lenience."""
    assert spliced(keep=keep).feed(b'{"a" 1}', more=True).fate is Fate.BROKEN
    lenient = spliced(keep=keep, lenient=True)
    assert lenient.feed(b'{"a" 1}', more=True) == Step(b'{"a" 1}')
    assert lenient.feed(b"tail", more=False) == Step(b"tail", fate=Fate.END)


@pytest.mark.contract("D4", "D5")
def test_an_object_that_is_cut_off_breaks_at_its_end() -> None:
    """Or leaves as it came."""
    body = spliced()
    body.feed(b'{"a":', more=True)
    assert body.feed(b"", more=False).fate is Fate.BROKEN

    lenient = spliced(lenient=True)
    first = lenient.feed(b'{"a":', more=True)
    last = lenient.feed(b"", more=False)
    assert (first.data + last.data, last.fate) == (b'{"a":', Fate.END)


@pytest.mark.contract("D2", "D5")
def test_an_envelope_that_cannot_be_closed_breaks() -> None:
    """Neither leave to contradict nor lenience helps: it is not the application's object."""
    for keep, lenient in ((True, True), (False, False)):
        body = LongBody(EnvelopeStream(b'{"original":', b"}"), keep=keep, lenient=lenient)
        first = body.feed(b"[1,", more=True)
        assert first.fate is Fate.MORE
        assert body.feed(b"]", more=False).fate is Fate.BROKEN


# Success bodies


def success(*, keep: bool = False) -> SuccessBody:
    """Return a success body on its way out."""
    return SuccessBody(OWN_TRACE.id, AS_SENT, MARKED, keep=keep)


@pytest.mark.contract("D4")
def test_a_success_object_leaves_with_the_head_of_a_marked_body() -> None:
    """At its first byte that is not blank."""
    body = success()

    assert body.feed(b"", more=True) == Step()
    assert body.feed(b" \n", more=True) == Step()
    assert body.unsent == b" \n"
    first = body.feed(b'{"a":1', more=True)
    last = body.feed(b"}", more=False)
    assert (first.headers, last.headers, body.unsent) == (MARKED, None, b"")
    text = first.data + last.data
    assert text.startswith(b" \n{")
    assert json.loads(text) == {"a": 1, "trace_id": OWN}


@pytest.mark.contract("D4")
@pytest.mark.parametrize("pieces", [(b"[1]",), (b" ", b"7"), (b"oops",), (b"",), (b" ",), (b"\xef\xbb\xbf[]",)])
def test_a_success_that_is_no_object_leaves_as_it_came(pieces: tuple[bytes, ...]) -> None:
    """With the head as it came."""
    body = success()
    steps = [body.feed(piece, more=True) for piece in pieces] + [body.feed(b"", more=False)]

    assert [step.headers for step in steps if step.headers is not None] == [AS_SENT]
    assert b"".join(step.data for step in steps) == b"".join(pieces)
    assert steps[-1].fate is Fate.END


@pytest.mark.contract("C8", "D4")
def test_a_success_object_that_proves_broken_leaves_as_it_came() -> None:
    """A success body is never the gate's to end."""
    body = success()
    first = body.feed(b'{"a"', more=True)
    last = body.feed(b" 1}", more=False)

    assert (first.data + last.data, last.fate) == (b'{"a" 1}', Fate.END)


@pytest.mark.contract("C3", "D4")
def test_a_success_object_of_another_trace_is_refused_or_kept() -> None:
    """As the policy says."""
    text = b'{"trace_id":1}'

    assert success().feed(text, more=False).fate is Fate.OVERWRITE
    assert success(keep=True).feed(text, more=False) == Step(text, MARKED, Fate.END, kept=True)


# No body


@pytest.mark.contract("D5")
def test_a_silent_body_lets_its_head_out_once_and_nothing_else() -> None:
    """However much the application sends to HEAD."""
    body = SilentBody(AS_SENT)

    assert body.feed(b"text", more=True) == Step(headers=AS_SENT)
    assert body.feed(b"text", more=True) == Step()
    assert body.feed(b"text", more=False) == Step(fate=Fate.END)
    assert body.unsent == b""


@pytest.mark.contract("D5", "E4")
def test_what_came_before_another_trace_leaves() -> None:
    """The piece that brings it is cut there: a byte that was promised before is not taken back."""
    step = spliced().feed(b'{"a": 1, "trace_id": "%s"}' % OTHER.encode(), more=False)

    assert step.fate is Fate.OVERWRITE
    assert step.data.startswith(b'{"a": 1')
    assert OTHER.encode() not in step.data
