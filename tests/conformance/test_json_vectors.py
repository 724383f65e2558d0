"""Is every body of the public JSON suites spliced or declined as they say, whole and cut anywhere?"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.property.oracle.json_prefix import read_prefix
from tracegate.core.rewrite.json_body import Obstacle, original_value, splice
from tracegate.core.rewrite.json_stream import EnvelopeStream, ObjectSplicer, opens_object
from tracegate.core.trace_id import TraceId

DATA = Path(__file__).parent.parent / "data" / "json_splice.json"
FILE: dict[str, Any] = json.loads(DATA.read_text(encoding="utf-8"))
VECTORS: list[dict[str, Any]] = FILE["vectors"]
TRACE = TraceId.from_text(FILE["trace_id"])
HEAD, TAIL = b'{"original":', b"}"
SHORT = 300
"""Bytes up to which a body is cut at every place; a longer one is cut at some places, and into pieces of some sizes."""

every_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: ascii(vector["id"])[1:-1])

REFUSED = {
    "own/exists-first",
    "own/exists-last",
    "own/exists-object",
    "own/exists-escaped",
    "own/exists-escaped-2",
    "own/exists-twice",
}
FILLED = {"own/exists-null": b'{"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}'}
DEEP = {"own/deep-50000", "own/deep-50000-unclosed"}
DEEPER_THAN_THE_ORACLE_READS = 400


def body_of(vector: dict[str, Any]) -> bytes:
    """Return the body as it is sent."""
    return b64decode(vector["body_b64"])


def ways_to_cut(body: bytes) -> Iterator[list[bytes]]:
    """Yield the whole, every cut in two, and every byte for itself; of long bodies a choice."""
    yield [body]
    places = range(len(body) + 1) if len(body) < SHORT else range(0, len(body), len(body) // 4)
    for place in places:
        yield [body[:place], body[place:]]
    for size in (1, 2, 3) if len(body) < SHORT else (997, 65_536):
        yield [body[a:b] for a, b in pairwise([*range(0, len(body), size), len(body)])]


def spliced(pieces: list[bytes]) -> tuple[bytes, str | None, bytes]:
    """Return what goes out, the fault, and what does not go out."""
    stream = ObjectSplicer(TRACE)
    out = b""
    for number, piece in enumerate(pieces, 1):
        out += stream.feed(piece)
        if stream.fault is not None:
            return out, stream.fault, stream.withheld + b"".join(pieces[number:])
    out += stream.finish()
    return out, stream.fault, stream.withheld


def enveloped(pieces: list[bytes]) -> tuple[bytes, str | None]:
    """Return what goes out, and the fault."""
    stream = EnvelopeStream(HEAD, TAIL)
    out = b"".join(map(stream.feed, pieces)) + stream.finish()
    return out, stream.fault


def is_json(body: bytes) -> bool:
    """Return what a reader of its own says; the two bodies that are too deep for it are known."""
    if body.count(b"[") + body.count(b"{") > DEEPER_THAN_THE_ORACLE_READS:
        return body.count(b"[") == body.count(b"]") and body.count(b"{") == body.count(b"}")
    return read_prefix(body).end == "complete"


def inserted_before_the_brace(body: bytes, expected_last: bytes) -> bytes:
    """Return *expected_last* with its insertion moved behind the blanks before the brace, which a stream has sent."""
    brace = len(body.rstrip(b" \t\r\n")) - 1
    value_end = len(body[:brace].rstrip(b" \t\r\n"))
    insertion = expected_last[value_end : value_end + len(expected_last) - len(body)]
    assert expected_last == body[:value_end] + insertion + body[value_end:]
    return body[:brace] + insertion + body[brace:]


def test_all_vectors_are_there() -> None:
    """The data file is the one that was handed over."""
    assert len(VECTORS) == 689
    assert {vector["id"] for vector in VECTORS} >= REFUSED | FILLED.keys() | DEEP


@pytest.mark.contract("D1", "D2")
@every_vector
def test_a_whole_body_is_spliced_or_declined_as_the_vector_says(vector: dict[str, Any]) -> None:
    """Put in at the front to the byte, or declined; where the suite leaves it open, as RFC 8259 read strictly says."""
    body = body_of(vector)
    result = splice(body, TRACE)

    if vector["id"] in REFUSED:
        assert result is Obstacle.OVERWRITE
    elif vector["id"] in FILLED:
        assert result == FILLED[vector["id"]]
    elif vector["expect"] == "inject":
        assert result == b64decode(vector["expected_first_b64"])
    elif vector["expect"] == "untouched":
        assert result in (Obstacle.NOT_AN_OBJECT, Obstacle.NOT_JSON, Obstacle.EMPTY)
        assert (result is Obstacle.NOT_AN_OBJECT) is is_json(body)
    elif is_json(body) and opens_object(body):
        brace = body.index(b"{") + 1
        comma = b"" if body[brace:] == b"}" else b","
        assert result == body[:brace] + b'"trace_id":"' + TRACE.raw + b'"' + comma + body[brace:]
    else:
        assert result is (Obstacle.NOT_AN_OBJECT if is_json(body) else Obstacle.NOT_JSON)


@pytest.mark.contract("D1", "D5")
@pytest.mark.parametrize("vector", [v for v in VECTORS if opens_object(body_of(v))], ids=lambda v: ascii(v["id"])[1:-1])
def test_an_object_is_streamed_as_the_vector_says_however_it_is_cut(vector: dict[str, Any]) -> None:
    """Put in before the last brace; or at fault as the whole body is, with nothing lost."""
    body = body_of(vector)
    whole = splice(body, TRACE)
    first = spliced([body])

    if vector["id"] in FILLED:
        assert first == (FILLED[vector["id"]], None, b"")
    elif vector["expect"] == "inject":
        assert first == (inserted_before_the_brace(body, b64decode(vector["expected_last_b64"])), None, b"")
    elif isinstance(whole, Obstacle):
        assert first[1] == ("overwrite" if whole is Obstacle.OVERWRITE else "malformed")
        assert first[0] + first[2] == body
    else:
        assert first[1] is None
        assert sorted(first[0]) == sorted(whole)
    for pieces in ways_to_cut(body):
        assert spliced(pieces) == first


@pytest.mark.contract("D2", "D5")
@every_vector
def test_a_body_is_enveloped_to_be_read_back_however_it_is_cut(vector: dict[str, Any]) -> None:
    """Its value as it is, or its text; or at fault, where it began as JSON."""
    body = body_of(vector)
    value = body.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    out, fault = enveloped([body])

    if is_json(body):
        assert (out, fault) == (HEAD + value + TAIL, None)
    elif value[:1] and value[:1] in b'{["-0123456789tfn':
        assert fault == "malformed"
        assert (HEAD + value).startswith(out)
    else:
        assert fault is None
        assert json.loads(out) == {"original": value.decode(errors="replace")}
    for pieces in ways_to_cut(body):
        assert enveloped(pieces) == (out, fault)


@pytest.mark.contract("D2")
@every_vector
def test_what_is_declined_has_an_original(vector: dict[str, Any]) -> None:
    """The value to the byte, or the text as a string that can be read back."""
    body = body_of(vector)
    obstacle = splice(body, TRACE)
    if not isinstance(obstacle, Obstacle):
        return
    original = original_value(body, obstacle)
    if is_json(body):
        assert original == body.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n")
    else:
        text: str = json.loads(HEAD + original + TAIL)["original"]
        assert body.endswith((text.encode(), text.encode("latin-1", "replace")))
