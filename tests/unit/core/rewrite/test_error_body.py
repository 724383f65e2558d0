"""What leaves instead of an error JSON body?

Clauses D1, D2, D5.
"""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from tests.unit.fakes import OTHER, OWN, OWN_TRACE
from tracegate.core.rewrite.error_body import ErrorBody
from tracegate.core.rewrite.step import Fate, Step

Lines = list[tuple[bytes, bytes]]
JSON = (b"content-type", b"application/json")
SIGNED = (b"signature-input", b"sig=()")
NO_STORE = (b"cache-control", b"no-store")
ENVELOPE = b'{"error_code":"X","trace_id":"%s"}' % OWN.encode()
MEMBER = b'"trace_id":"%s"' % OWN.encode()


class Envelope:
    """Makes the standard object, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> tuple[bytes, bytes]:
        self.made += 1
        return ENVELOPE, b"application/x"


def body_of(
    *lines: tuple[bytes, bytes], limit: int = 64, keep: bool = False, keep_signed: bool = False
) -> tuple[ErrorBody, Envelope]:
    """Return a body on its way out."""
    envelope = Envelope()
    body = ErrorBody(OWN_TRACE.id, [JSON, *lines], limit, envelope, keep=keep, keep_signed=keep_signed)
    return body, envelope


def fed(body: ErrorBody, *pieces: bytes) -> Step:
    """Feed all *pieces*, the last one as the last; return what they gave together."""
    steps = [body.feed(piece, more=True) for piece in pieces[:-1]] + [body.feed(pieces[-1], more=False)]
    heads = [step.headers for step in steps if step.headers is not None]
    assert len(heads) <= 1
    assert all(step.fate is Fate.MORE for step in steps[:-1])
    data = b"".join(step.data for step in steps)
    return Step(data, heads[0] if heads else None, steps[-1].fate, kept=any(step.kept for step in steps))


@pytest.mark.contract("D1", "D5")
def test_up_to_the_bound_a_body_is_held_and_leaves_whole() -> None:
    """The bound itself is within it."""
    text = b'{"a":"' + b"x" * 56 + b'"}'
    body, _ = body_of(limit=64)
    assert len(text) == 64

    assert body.feed(text[:40], more=True) == Step()
    assert body.unsent == text[:40]
    step = body.feed(text[40:], more=False)

    assert step.fate is Fate.END
    assert json.loads(step.data) == {"a": "x" * 56, "trace_id": OWN}
    assert step.headers == [JSON, (b"content-length", b"%d" % len(step.data))]


@pytest.mark.contract("D1")
def test_a_marked_body_leaves_with_the_applications_own_lines() -> None:
    """Not a copy of them, nor of it."""
    text = b'{"trace_id":"%s"}' % OWN.encode()
    body, envelope = body_of((b"etag", b'"1"'))

    assert fed(body, text[:5], text[5:]) == Step(text, [JSON, (b"etag", b'"1"')], Fate.END)
    assert envelope.made == 0


@pytest.mark.contract("D1")
@pytest.mark.parametrize("keep", [False, True])
def test_another_trace_is_refused_or_kept(*, keep: bool) -> None:
    """As the policy says; kept means untouched."""
    text = b'{"trace_id":"%s"}' % OTHER.encode()
    step = fed(body_of((b"etag", b'"1"'), keep=keep)[0], text)

    assert step == (Step(text, [JSON, (b"etag", b'"1"')], Fate.END, kept=True) if keep else Step(fate=Fate.OVERWRITE))


@pytest.mark.contract("D2")
@pytest.mark.parametrize(
    ("text", "original"),
    [(b"[1, 2.0]", b"[1, 2.0]"), (b"", b'""'), (b"oops", b'"oops"'), (b" 7 ", b"7"), (b" ", b'""')],
)
def test_what_is_no_object_leaves_within_the_standard_one(text: bytes, original: bytes) -> None:
    """As its ``original``; type, length and no-store are the standard object's."""
    step = fed(body_of((b"x-own", b"1"))[0], text)
    whole = ENVELOPE[:-1] + b',"original":' + original + b"}"

    assert step == Step(
        whole,
        [(b"content-type", b"application/x"), (b"x-own", b"1"), (b"content-length", b"%d" % len(whole)), NO_STORE],
        Fate.END,
    )


# Codings


@pytest.mark.contract("D5")
@pytest.mark.parametrize(("coding", "encode"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)])
def test_a_coded_body_is_marked_as_identity(coding: bytes, encode: object) -> None:
    """Its coding and its digest are gone."""
    raw = encode(b'{"a":1}')  # type: ignore[operator]
    step = fed(body_of((b"content-encoding", coding), (b"content-digest", b"x"))[0], raw[:7], raw[7:])

    assert json.loads(step.data) == {"a": 1, "trace_id": OWN}
    assert step.headers == [JSON, (b"content-length", b"%d" % len(step.data))]


@pytest.mark.contract("D1", "D5")
def test_a_coded_body_of_another_trace_is_kept_in_its_coding() -> None:
    """Delivered untouched means so."""
    raw = gzip.compress(b'{"trace_id":1}')
    line = (b"content-encoding", b"gzip")

    assert fed(body_of(line, keep=True)[0], raw) == Step(raw, [JSON, line], Fate.END, kept=True)


@pytest.mark.contract("D5")
@pytest.mark.parametrize(
    ("coding", "raw"),
    [
        (b"compress", b"x"),
        (b"gzip", b"no gzip"),
        (b"gzip", gzip.compress(b'{"a":1}', mtime=0)[:-3]),
        (b"gzip", gzip.compress(b"{" + b" " * 64 + b"}", mtime=0)),
        (b"gzip", gzip.compress(b" " * 10_000_000, mtime=0)[:60]),
        (b"gzip", b"x" * 65),
    ],
)
def test_a_coded_body_that_cannot_be_read_within_the_bound_is_replaced(coding: bytes, raw: bytes) -> None:
    """Unknown, corrupt, cut off, a bomb, or coded bytes above the bound."""
    assert fed(body_of((b"content-encoding", coding))[0], raw) == Step(fate=Fate.UNREADABLE)


@pytest.mark.contract("D5")
def test_a_coded_body_of_exactly_the_bound_is_read() -> None:
    """64 bytes of 64."""
    text = b'{"a":"' + b"x" * 56 + b'"}'

    assert fed(body_of((b"content-encoding", b"gzip"), limit=64)[0], gzip.compress(text)).fate is Fate.END


@pytest.mark.contract("D5")
def test_a_coded_body_of_many_pieces_is_one_body() -> None:
    """A coding is taken off 64 KiB at a time."""
    text = b'{"a":"' + b"x" * 300_000 + b'"}'
    step = fed(body_of((b"content-encoding", b"gzip"), limit=1 << 20)[0], gzip.compress(text))

    assert step.data == b"{" + MEMBER + b"," + text[1:]


# Signatures


@pytest.mark.contract("D5")
@pytest.mark.parametrize("text", [b'{"a":1}', b"[1]", b'{"a":"' + b"x" * 99 + b'"}'])
def test_a_signed_body_is_refused(text: bytes) -> None:
    """Small or long, object or not."""
    assert fed(body_of(SIGNED)[0], text) == Step(fate=Fate.OVERWRITE)


@pytest.mark.contract("D5")
@pytest.mark.parametrize("pieces", [(b'{"a":1}',), (b"[1]",), (b'{"a":"' + b"x" * 99, b'"}'), (b"[" * 99,)])
def test_a_signed_body_may_be_delivered_byte_for_byte(pieces: tuple[bytes, ...]) -> None:
    """With all its headers."""
    step = fed(body_of(SIGNED, (b"content-digest", b"x"), keep_signed=True)[0], *pieces)

    assert step == Step(b"".join(pieces), [JSON, SIGNED, (b"content-digest", b"x")], Fate.END, kept=True)


@pytest.mark.contract("D5")
def test_a_signed_body_that_has_its_trace_is_no_obstacle() -> None:
    """There is nothing to mark."""
    text = b'{"trace_id":"%s"}' % OWN.encode()

    assert fed(body_of(SIGNED)[0], text) == Step(text, [JSON, SIGNED], Fate.END)


# Above the bound


@pytest.mark.contract("D5")
@pytest.mark.parametrize("cut", [65, 70, 100])
def test_a_long_object_is_spliced_while_it_streams(cut: int) -> None:
    """From the byte that broke the bound; without a length."""
    text = b' {"a":"' + b"x" * 150 + b'"}'
    body, _ = body_of((b"content-length", b"%d" % len(text)), (b"etag", b'"1"'))
    first = body.feed(text[:cut], more=True)

    assert first.headers == [JSON]
    assert len(first.data) > 0
    assert body.unsent == b""
    last = body.feed(text[cut:], more=False)
    assert json.loads(first.data + last.data) == {"a": "x" * 150, "trace_id": OWN}
    assert (first.data + last.data).replace(b"," + MEMBER, b"") == text
    assert last.fate is Fate.END


@pytest.mark.contract("D1", "D5")
@pytest.mark.parametrize("keep", [False, True])
def test_a_long_object_of_another_trace_is_refused_or_kept(*, keep: bool) -> None:
    """Midway, or to its end."""
    text = b'{"a":"' + b"x" * 99 + b'","trace_id":1, "b":2}'
    body, _ = body_of(keep=keep)
    steps = [body.feed(text[:80], more=True), body.feed(text[80:], more=False)]

    assert steps[-1].fate is (Fate.END if keep else Fate.OVERWRITE)
    assert [step.kept for step in steps] == [False, keep]
    assert keep is (b"".join(step.data for step in steps) == text)


@pytest.mark.contract("D5")
@pytest.mark.parametrize("tail", [b"}", b"", b'"}x', b'",}'])
def test_a_long_object_that_proves_broken_cannot_end(tail: bytes) -> None:
    """Neither marked nor as it is."""
    body, _ = body_of()
    body.feed(b'{"a":"' + b"x" * 99, more=True)

    assert body.feed(tail, more=False).fate is Fate.BROKEN


@pytest.mark.contract("D2", "D5")
@pytest.mark.parametrize(
    ("text", "original"),
    [
        (b"[" + b"1," * 99 + b"1]", [1] * 100),
        (b'"' + b"x" * 99 + b'"', "x" * 99),
    ],
)
def test_a_long_value_that_is_no_object_streams_within_the_standard_one(text: bytes, original: object) -> None:
    """As its ``original``, byte for byte."""
    body, envelope = body_of((b"content-length", b"%d" % len(text)), (b"x-own", b"1"))
    step = fed(body, text[:70], text[70:])
    document = json.loads(step.data)

    assert document == {"error_code": "X", "trace_id": OWN, "original": original}
    assert text in step.data
    assert step.headers == [(b"content-type", b"application/x"), (b"x-own", b"1"), NO_STORE]
    assert (step.fate, envelope.made) == (Fate.END, 1)


@pytest.mark.contract("D5")
def test_white_space_above_the_bound_is_not_held() -> None:
    """The first byte that is not blank decides, however late it comes."""
    body, _ = body_of()
    for _ in range(100):
        assert body.feed(b" \n" * 20, more=True) == Step()
        assert len(body.unsent) <= 64

    step = body.feed(b'{"a":1}', more=False)
    assert json.loads(step.data) == {"a": 1, "trace_id": OWN}
    assert step.headers == [JSON]


@pytest.mark.contract("D1", "D5")
@pytest.mark.parametrize("limit", [1, 2, 3, 64])
def test_a_byte_order_mark_stays_before_more_white_space_than_is_held(limit: int) -> None:
    """However the mark is cut. Behind a blank it is none, and the body no object."""
    blanks = [b" "] * 70
    step = fed(body_of(limit=limit)[0], b"\xef", b"\xbb", b"\xbf", *blanks, b"{}")
    assert step.data.startswith(b"\xef\xbb\xbf")
    assert json.loads(step.data.decode("utf-8-sig")) == {"trace_id": OWN}

    step = fed(body_of(limit=limit)[0], *blanks, b"\xef\xbb\xbf", b"{}")
    assert json.loads(step.data)["original"].endswith("\ufeff{}")


@pytest.mark.contract("D2", "D5")
def test_nothing_but_white_space_above_the_bound_is_no_object() -> None:
    """At its end something is said nevertheless."""
    step = fed(body_of()[0], b" " * 65, b" " * 9)

    assert isinstance(json.loads(step.data)["original"], str)
    assert step.fate is Fate.END


@pytest.mark.contract("B4", "D5")
@pytest.mark.parametrize("pieces", [(b"x",), (b"x" * 60, b"x" * 60), (b"x" * 99,)])
def test_where_nothing_is_refused_what_cannot_be_read_leaves_as_it_came(pieces: tuple[bytes, ...]) -> None:
    """Within and above the bound."""
    line = (b"content-encoding", b"gzip")
    body = ErrorBody(OWN_TRACE.id, [JSON, line], 64, Envelope(), keep=True, keep_signed=False, observes=True)

    assert fed(body, *pieces) == Step(b"".join(pieces), [JSON, line], Fate.END, kept=True)
