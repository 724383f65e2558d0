"""Which headers does a reply keep when its body changes?

Clause D5.
"""

from __future__ import annotations

import pytest

from tracegate.core.rewrite.headers import coding_of, is_signed, rewritten, stood_in

Lines = list[tuple[bytes, bytes]]


@pytest.mark.contract("D5")
def test_what_speaks_of_the_old_bytes_goes() -> None:
    """Digests and strong tags; everything else stays in place and spelling."""
    lines = [
        (b"Content-Type", b"application/json"),
        (b"Content-MD5", b"x"),
        (b"Content-Digest", b"x"),
        (b"Repr-Digest", b"x"),
        (b"DIGEST", b"x"),
        (b"ETag", b'"strong"'),
        (b"ETag", b'W/"weak"'),
        (b"Cache-Control", b"no-transform"),
        (b"Content-Encoding", b"gzip"),
        (b"Transfer-Encoding", b"chunked"),
        (b"X-Own", b"1"),
    ]
    given = list(lines)

    assert rewritten(lines, length=None) == [lines[0], *lines[6:]]
    assert lines == given


@pytest.mark.contract("D5")
@pytest.mark.parametrize(
    ("lines", "length", "left"),
    [
        ([(b"Content-Length", b"5"), (b"a", b"b")], 12, [(b"Content-Length", b"12"), (b"a", b"b")]),
        ([(b"a", b"b")], 12, [(b"a", b"b"), (b"content-length", b"12")]),
        ([(b"content-length", b"5"), (b"Content-Length", b"5")], 0, [(b"content-length", b"0")]),
        ([(b"content-length", b"5")], None, []),
        ([(b"transfer-encoding", b"chunked")], 3, [(b"content-length", b"3")]),
        ([(b"transfer-encoding", b"chunked")], None, [(b"transfer-encoding", b"chunked")]),
    ],
)
def test_the_length_is_the_new_bodys(lines: Lines, length: int | None, left: Lines) -> None:
    """Once, in its old place; none where the body streams."""
    assert rewritten(lines, length=length) == left


@pytest.mark.contract("D5")
def test_a_decoded_body_loses_its_coding() -> None:
    """Every line of it."""
    lines = [(b"Content-Encoding", b"gzip"), (b"content-encoding", b"br"), (b"content-language", b"de")]

    assert rewritten(lines, length=None, decoded=True) == [(b"content-language", b"de")]
    assert rewritten(lines, length=None) == lines


@pytest.mark.contract("D2", "E1")
def test_the_standard_object_brings_its_type_and_is_not_stored() -> None:
    """Unless the application said how to store it."""
    lines = [(b"Content-Type", b"text/x"), (b"a", b"b")]
    fresh = (b"Cache-Control", b"private")

    assert rewritten(lines, length=2, media_type=b"application/json") == [
        (b"Content-Type", b"application/json"),
        (b"a", b"b"),
        (b"content-length", b"2"),
        (b"cache-control", b"no-store"),
    ]
    assert rewritten([*lines, fresh], length=None, media_type=b"application/json") == [
        (b"Content-Type", b"application/json"), (b"a", b"b"), fresh,
    ]  # fmt: skip


@pytest.mark.contract("D5")
@pytest.mark.parametrize(
    ("lines", "coding"),
    [
        ([], b""),
        ([(b"Content-Encoding", b"gzip")], b"gzip"),
        ([(b"content-encoding", b"gzip"), (b"x", b"y"), (b"content-encoding", b"br")], b"gzip, br"),
        ([(b"content-encoding", b" Identity ")], b""),
        ([(b"content-encoding", b"")], b""),
        ([(b"content-encodings", b"gzip")], b""),
    ],
)
def test_the_codings_of_a_body_are_one_list(lines: Lines, coding: bytes) -> None:
    """In the order they were applied; identity is none."""
    assert coding_of(lines) == coding


@pytest.mark.contract("D5")
def test_a_reply_is_signed_where_it_says_what_its_signature_covers() -> None:
    """RFC 9421: without ``Signature-Input`` there is nothing to verify."""
    assert is_signed([(b"a", b"b"), (b"Signature-Input", b"sig=()")])
    assert not is_signed([(b"signature", b"x")])


@pytest.mark.contract("D2", "D3")
def test_where_a_body_of_the_gates_own_stands_in_only_what_is_not_the_bodys_stays() -> None:
    """Its type, length, coding, framing, digest and signature are gone."""
    gone = "content-type content-length content-encoding transfer-encoding trailer signature signature-input digest"
    lines = [(name.encode(), b"x") for name in gone.title().split()]
    kept = [(b"Retry-After", b"7"), (b"Set-Cookie", b"a=1"), (b"Location", b"/x")]

    assert stood_in([*lines, *kept, (b"etag", b'"1"')]) == kept
