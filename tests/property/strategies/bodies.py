"""Which bodies do applications send, and in which pieces?"""

from __future__ import annotations

import gzip
import json
import zlib

import brotli
import zstandard
from hypothesis import strategies as st

from tests.property.plan import OTHER, OWN, spellings

__all__ = ["chunked", "encoded", "error_bodies", "json_texts", "objects", "opaque_bodies", "trace_members"]

_SPACE = st.sampled_from([b"", b"", b"", b" ", b"\n", b"\t ", b"\r\n  "])
_NUMBERS = st.sampled_from(
    [b"0", b"-0", b"1", b"1.0", b"-1.50", b"1E400", b"1e+30", b"12345678901234567890123456789", b"9" * 5000, b"2e-7"]
)
_STRINGS = st.one_of(
    st.text(max_size=8).map(lambda text: json.dumps(text).encode()),
    st.text(st.characters(codec="utf-8", min_codepoint=0x20, exclude_characters='"\\'), max_size=8).map(
        lambda text: b'"' + text.encode() + b'"'
    ),
    st.sampled_from(
        [
            rb'"\ud800"',
            rb'"\u0074race_id"',
            rb'"a\/b\u002f"',
            rb'"}{\"]["',
            rb'"\\"',
            b'"trace_id"',
            b'"\x7f"',
            rb'"\ud83d\ude00"',
        ]
    ),
)
_KEYS = st.one_of(
    st.sampled_from(
        [b'"a"', b'"a"', b'"detail"', b'"error"', b'"Trace_Id"', b'"trace_id2"', rb'"\u0061"', b'""', rb'"x\u0000"']
    ),
    st.text(max_size=6).filter(lambda text: text != "trace_id").map(lambda text: json.dumps(text).encode()),
)
_TRACE_KEYS = st.sampled_from(
    [b'"trace_id"', b'"trace_id"', rb'"\u0074race_id"', rb'"trace\u005fid"', rb'"trace\u005Fid"']
)
_SCALARS = st.one_of(_STRINGS, _NUMBERS, st.sampled_from([b"true", b"false", b"null"]))


def _joined(opener: bytes, items: list[tuple[bytes, bytes, bytes]], closer: bytes) -> bytes:
    return opener + b",".join(before + item + after for before, item, after in items) + closer


def _listed(items: st.SearchStrategy[bytes], max_size: int = 4) -> st.SearchStrategy[list[tuple[bytes, bytes, bytes]]]:
    return st.lists(st.tuples(_SPACE, items, _SPACE), max_size=max_size)


def _members(values: st.SearchStrategy[bytes], keys: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(keys, _SPACE, _SPACE, values).map(lambda t: t[0] + t[1] + b":" + t[2] + t[3])


def _deeper(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    nested_keys = st.one_of(_KEYS, _TRACE_KEYS)
    return st.one_of(
        _listed(values).map(lambda items: _joined(b"[", items, b"]")),
        _listed(_members(values, nested_keys)).map(lambda items: _joined(b"{", items, b"}")),
        st.tuples(_SPACE).map(lambda t: b"{" + t[0] + b"}"),
    )


_VALUES = st.recursive(_SCALARS, _deeper, max_leaves=6)

json_texts: st.SearchStrategy[bytes] = st.tuples(_SPACE, _VALUES, _SPACE).map(b"".join)
"""JSON texts of every shape, trace_id inside nested objects only... or at the top level by chance."""


def trace_members(*kinds: str) -> st.SearchStrategy[bytes]:
    """Return members named trace_id, however escaped, whose values are of *kinds*."""
    values = {
        "equal": [b'"%s"' % text for text in spellings(OWN)],
        "empty": [b"null", b'""'],
        "unequal": [
            *(b'"%s"' % text for text in spellings(OTHER)),
            *(
                b'"%s"' % OWN[:-1],
                b'"{%s}"' % OWN,
                b'" %s"' % OWN,
                b"1",
                b"true",
                b"[]",
                b"{}",
                b'["%s"]' % OWN,
                b'"x"',
            ),
        ],
    }
    return _members(st.sampled_from([value for kind in kinds for value in values[kind]]), _TRACE_KEYS)


def _mixed(plain: list[tuple[bytes, bytes, bytes]], marks: list[bytes], at: int) -> bytes:
    items = list(plain)
    for mark in marks:
        items.insert(at % (len(items) + 1), (b"", mark, b""))
    return _joined(b"{", items, b"}")


def objects(*kinds: str, most: int = 1) -> st.SearchStrategy[bytes]:
    """Return JSON objects, with one to *most* top-level members trace_id of *kinds*, or with none."""
    marks = st.lists(trace_members(*kinds), min_size=1, max_size=most) if kinds else st.just([])
    bare = st.builds(_mixed, _listed(_members(_VALUES, _KEYS)), marks, st.integers(0, 5))
    return st.tuples(_SPACE, bare, _SPACE).map(b"".join)


_BROKEN = st.one_of(
    st.sampled_from(
        [
            b"",
            b" \r\n",
            b"<html>502 Bad Gateway</html>",
            b"{",
            b'{"a":1',
            b'{"a":1} x',
            b'{"a":1,}',
            b"{'a':1}",
            b'{"a":NaN}',
            b'{"a":"\xe9"}',
            b'{"a":"\xc0\xaf"}',
            b'{"a":"\xed\xa0\x80"}',
            b'{"a":"\x01"}',
            b'{"a":01}',
            b'{"a":1}\n{"b":2}\n',
            b"[1,2",
            b"tru",
            b"\xff\xfe",
            b'{"a":1/**/}',
            b"[" * 3000,
            b'{"a":' * 3000,
            b"Internal Server Error",
            b"\x00",
        ]
    ),
    st.binary(max_size=20),
    st.tuples(objects(), st.integers(0, 30)).map(lambda t: t[0][: t[1]]),
    objects().map(lambda text: text.decode().encode("utf-16")),
)
_ODD = st.one_of(
    objects().map(lambda text: b"\xef\xbb\xbf" + text),
    st.just(b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}"),
    st.just(b'{"a":' * 2000 + b"1" + b"}" * 2000),
)

error_bodies: st.SearchStrategy[bytes] = st.one_of(
    objects(),
    objects("equal"),
    objects("empty", most=2),
    objects("unequal"),
    objects("equal", "empty", "unequal", most=3),
    json_texts,
    _BROKEN,
    _ODD,
)
"""Bodies that claim to be JSON."""

opaque_bodies: st.SearchStrategy[bytes] = st.one_of(st.binary(max_size=64), error_bodies, st.just(b"x" * 70_000))
"""Bodies that must not be looked at."""


def _cut(body: bytes, cuts: list[int]) -> tuple[bytes, ...]:
    places = sorted(cut % (len(body) + 1) for cut in cuts)
    return tuple(body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True))


def chunked(bodies: st.SearchStrategy[bytes], most: int = 5) -> st.SearchStrategy[tuple[bytes, ...]]:
    """Return *bodies* in up to *most* pieces, some of them empty."""
    return st.builds(_cut, bodies, st.lists(st.integers(0, 100_000), max_size=most - 1))


def encoded(coding: bytes, body: bytes) -> bytes:
    """Return *body* in a content coding."""
    if coding in (b"gzip", b"x-gzip"):
        return gzip.compress(body, mtime=0)
    if coding == b"deflate":
        return zlib.compress(body)
    if coding == b"br":
        whole: bytes = brotli.compress(body)
        return whole
    if coding == b"zstd":
        return zstandard.compress(body)
    return body
