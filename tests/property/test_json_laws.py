"""Do the laws of the JSON splice hold for every body and cut, judged by a reader that shares no code with ``src``?

The oracle (``oracle/json_prefix.py``) reads by recursive descent, one character after the other. The functions called
``expected_…`` say from clauses D1, D2 and D5 alone what must come out, to the byte, of good bodies and of bad ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.property.oracle.json_prefix import read_prefix
from tracegate.core.rewrite.json_body import Obstacle, original_value, splice
from tracegate.core.rewrite.json_grammar import Stop
from tracegate.core.rewrite.json_reader import JsonReader
from tracegate.core.rewrite.json_stream import EnvelopeStream, ObjectSplicer, opens_object
from tracegate.core.trace_id import TraceId

SPELLING = b"4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
TRACE = TraceId.from_text(SPELLING.decode())
MEMBER = b'"trace_id":"' + SPELLING + b'"'
MARK = b"\xef\xbb\xbf"
BLANK = b" \t\r\n"
HEAD, TAIL = b'{"error_code":"X","original":', b"}"

# Bodies.

blanks = st.sampled_from([b"", b"", b"", b" ", b"\n\t", b"\r\n  "])
numbers = st.one_of(
    st.sampled_from([b"0", b"-0", b"1.50", b"-12e+3", b"1E400", b"2e-7", b"9" * 500, b"-0.0e-0", b"10"]),
    st.integers().map(lambda number: str(number).encode()),
)
pieces = st.one_of(
    st.sampled_from([rb"\n", rb"\"", rb"\\", rb"\/", rb"\u0041", rb"\ud800", rb"\uD83D\uDE00", b"\x7f", b"}{", b"'"]),
    st.characters(codec="utf-8", min_codepoint=0x20, exclude_characters='"\\').map(str.encode),
)
strings = st.lists(pieces, max_size=5).map(lambda parts: b'"' + b"".join(parts) + b'"')
scalars = st.one_of(strings, numbers, st.sampled_from([b"true", b"false", b"null", b'""', b'"trace_id"']))
spelled_names = st.tuples(
    *(st.sampled_from([c.encode(), b"\\u%04x" % ord(c), b"\\u%04X" % ord(c)]) for c in "trace_id")
).map(lambda letters: b'"' + b"".join(letters) + b'"')
names = st.one_of(st.just(b'"trace_id"'), spelled_names)
other_keys = st.one_of(
    strings,
    st.sampled_from([b'"trace_i"', b'"trace_idx"', b'"Trace_id"', rb'"trace_id\u0000"', rb'"trace\n_id"', b'""']),
)


def joined(opener: bytes, items: list[bytes], closer: bytes) -> bytes:
    """Return *items* with commas between and a bracket at each end."""
    return opener + b",".join(items) + closer


def padded(items: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return *items* with blanks around them."""
    return st.tuples(blanks, items, blanks).map(b"".join)


def members(keys: st.SearchStrategy[bytes], values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return members of an object."""
    return st.tuples(padded(keys), padded(values)).map(b":".join)


def containers(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return arrays and objects of *values*, with a nested trace_id here and there."""
    keys = st.one_of(other_keys, names)
    return st.one_of(
        st.lists(padded(values), max_size=4).map(lambda items: joined(b"[", items, b"]")),
        st.lists(members(keys, values), max_size=4).map(lambda items: joined(b"{", items, b"}")),
    )


values = st.recursive(scalars, containers, max_leaves=8)
fitting = st.sampled_from(
    [
        *(b'"' + text + b'"' for text in (SPELLING, SPELLING.upper(), SPELLING.replace(b"-", b""))),
        b'"' + b"".join(b"\\u%04x" % byte for byte in SPELLING) + b'"',
        b"null",
        b'""',
    ]
)
clashing = st.one_of(
    values,
    st.sampled_from(
        [
            b'"4bf92f35-77b3-4da6-a3ce-929d0e0e4737"',
            b'" ' + SPELLING + b'"',
            b'"' + SPELLING + rb'\u0000"',
            b'"' + b"x" * 767 + b'"',
            b'"' + b"x" * 768 + b'"',
            b'"' + b"x" * 769 + b'"',
            b"[" + MEMBER[11:] + b"]",
            rb'"\ud800"',
            b'"\xe2\x80\x8b"',
            b"nul",
        ]
    ),
)
top_members = st.one_of(members(other_keys, values), members(other_keys, values), members(names, fitting))
objects = st.lists(top_members, max_size=5).map(lambda items: joined(b"{", items, b"}"))
refused_objects = st.lists(st.one_of(top_members, members(names, clashing)), min_size=1, max_size=5).map(
    lambda items: joined(b"{", items, b"}")
)
leads = st.sampled_from([b"", b"", b"", b" ", b"\r\n", MARK, MARK + b" ", b" " + MARK])
tails = st.sampled_from(
    [b"", b"", b"\n", b" " * 1022, b" " * 1023, b"\n" * 1024, b" x", b",", b"}", b" " * 1023 + b"x", b" " * 1024 + b"x"]
)
texts = st.tuples(leads, st.one_of(objects, objects, refused_objects, values), tails).map(b"".join)
edits = st.tuples(
    st.integers(0, 10_000),
    st.integers(0, 3),
    st.one_of(st.just(b""), st.binary(max_size=2), scalars, st.sampled_from([b",", b":", b"{", b"]"])),
)


def edited(body: bytes, edit: tuple[int, int, bytes]) -> bytes:
    """Return *body* with a few bytes put in place of others."""
    place, length, put_in = edit
    at = place % (len(body) + 1)
    return body[:at] + put_in + body[at + length :]


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """Return *body* in pieces, some of them empty."""
    at = sorted(place % (len(body) + 1) for place in places)
    return [body[a:b] for a, b in zip([0, *at], [*at, len(body)], strict=True)]


bodies = st.one_of(texts, texts, st.builds(edited, texts, edits), st.binary(max_size=12))
cuts = st.lists(st.integers(0, 5000), max_size=6)
"""Cuts of a body, by places modulo its length; one at every byte is tried as well."""

# The oracle.


def judged(value: bytes) -> Literal["keep", "fill", "refuse"]:
    """Return what clause D1 says of a member with this valid *value*."""
    if value in (b"null", b'""'):
        return "fill"
    text = json.loads(value, parse_int=str) if value[:1] == b'"' else None
    digits = (
        text.replace("-", "")
        if text is not None and [i for i, c in enumerate(text) if c == "-"] in ([], [8, 13, 18, 23])
        else ""
    )
    hexadecimal = len(digits) == 32 and all(digit in "0123456789abcdefABCDEF" for digit in digits)
    return "keep" if hexadecimal and int(digits, 16) == int(SPELLING.replace(b"-", b""), 16) else "refuse"


def expected_body(body: bytes) -> bytes | Obstacle:
    """Return what :func:`splice` owes for *body*."""
    reading = read_prefix(body)
    if reading.end != "complete":
        return Obstacle.NOT_JSON if body.removeprefix(MARK).strip(BLANK) else Obstacle.EMPTY
    if reading.kind != "object":
        return Obstacle.NOT_AN_OBJECT
    named = [member for member in reading.members if member.name == "trace_id"]
    if any(judged(body[member.start : member.end]) == "refuse" for member in named):
        return Obstacle.OVERWRITE
    if not named:
        comma = b"," if reading.members else b""
        return body[: reading.brace + 1] + MEMBER + comma + body[reading.brace + 1 :]
    for member in reversed(named):
        if judged(body[member.start : member.end]) == "fill":
            body = body[: member.start] + b'"' + SPELLING + b'"' + body[member.end :]
    return body


@dataclass
class Passed:
    """What a stream gave: all it put out, its fault, and what it kept back."""

    out: bytes
    fault: str | None
    withheld: bytes


def expected_stream(body: bytes) -> Passed:
    """Return what :class:`ObjectSplicer` owes for *body*, however it is cut."""
    reading = read_prefix(body)
    out, copied = b"", 0
    for member in reading.members:
        if member.name != "trace_id" or member.start in (-1, reading.at):  # no value has begun
            continue
        value = body[member.start : member.end if member.end >= 0 else reading.at]
        refused = value[:1] not in (b'"', b"n") or len(value) > 770
        over = 0 <= member.end < len(body)  # the byte after it has been seen
        if refused or (over and judged(value) == "refuse"):
            return Passed(out + body[copied : member.start], "overwrite", body[member.start :])
        if not over:
            return Passed(out + body[copied : member.start], "malformed", body[member.start :])
        if judged(value) == "fill":
            out += body[copied : member.start] + b'"' + SPELLING + b'"'
            copied = member.end
    end = reading.closing_brace
    if end < 0:
        return Passed(out + body[copied : reading.at], "malformed", body[reading.at :])
    comma = b"," if reading.members else b""
    member_put_in = b"" if any(member.name == "trace_id" for member in reading.members) else comma + MEMBER
    done = out + body[copied:end] + member_put_in
    if reading.end == "complete":
        return Passed(done + body[end:], None, b"")
    if reading.at - end > 1024:
        return Passed(done + body[end : reading.at], "malformed", body[reading.at :])
    return Passed(out + body[copied:end], "malformed", body[end:])


def expected_envelope(body: bytes) -> tuple[bytes, str | None]:
    """Return what :class:`EnvelopeStream` owes for *body*, however it is cut."""
    value = body.removeprefix(MARK).lstrip(BLANK)
    if value[:1] and value[:1] in b'{["-0123456789tfn':
        reading = read_prefix(value, inner=True)
        done = reading.end == "complete"
        return HEAD + value[: reading.at] + (TAIL if done else b""), None if done else "malformed"
    text = value.decode(errors="replace")
    return HEAD + json.dumps(text, ensure_ascii=False).encode() + TAIL, None


# What the implementation does.


def spliced(chunks: list[bytes]) -> Passed:
    """Return what the splicer does with a body in these pieces; it is fed nothing more after a fault."""
    stream = ObjectSplicer(TRACE)
    out = b""
    for number, chunk in enumerate(chunks):
        out += stream.feed(chunk)
        if stream.fault is not None:
            return Passed(out, stream.fault, stream.withheld + b"".join(chunks[number + 1 :]))
    out += stream.finish()
    return Passed(out, stream.fault, stream.withheld)


def enveloped(chunks: list[bytes]) -> tuple[bytes, str | None]:
    """Return what the envelope makes of a body in these pieces."""
    stream = EnvelopeStream(HEAD, TAIL)
    out = b"".join(map(stream.feed, chunks))
    return out + stream.finish(), stream.fault


def stops(chunks: list[bytes], *, inner: bool = False) -> tuple[list[tuple[int, Stop]], bool]:
    """Return where the reader stops in a body in these pieces, and whether the body is complete."""
    reader = JsonReader(inner=inner)
    found: list[tuple[int, Stop]] = []
    before = 0
    for chunk in chunks:
        found += [(before + at, stop) for at, stop in reader.read(chunk) if stop is not Stop.MORE]
        if found and found[-1][1] is Stop.FAULT:
            break
        before += len(chunk)
    return found, reader.complete


def bytewise(body: bytes) -> list[bytes]:
    """Return *body* cut at every byte."""
    return [body[i : i + 1] for i in range(len(body))]


@pytest.mark.contract("A1", "D1", "D2")
@given(bodies)
@example(b"")
@example(b'{"trace_id":null,"trace_id":"' + SPELLING + b'"}')
def test_a_whole_body_becomes_what_the_clauses_say(body: bytes) -> None:
    """Put in, filled, left alone or declined: to the byte what the oracle derives from the clauses."""
    expected = expected_body(body)
    given_back = splice(body, TRACE)

    assert given_back == expected
    assert (given_back is body) is (expected == body)


@pytest.mark.contract("D1", "D4", "D5")
@given(bodies, cuts)
@example(b'{"trace_id":"' + b"x" * 800 + b'"', [])
@example(b'{"trace_id":"' + b"x" * 768 + b'"}', [])
@example(b'{"trace_id":"x"', [])
@example(b'{"trace_id":"x"!', [])
@example(b'{"trace_id":!', [])
def test_a_streamed_object_becomes_what_the_clauses_say_however_it_is_cut(body: bytes, places: list[int]) -> None:
    """All that goes out, the fault and what is withheld are those of the oracle, to the byte, for every cut."""
    expected = expected_stream(body)

    assert spliced([body]) == expected
    assert spliced(cut(body, places)) == expected
    assert spliced(bytewise(body)) == expected


@pytest.mark.contract("D1")
@given(st.one_of(objects, refused_objects))
def test_a_stream_and_a_whole_body_get_the_same_verdict(body: bytes) -> None:
    """For every JSON object: the same members, by name and value; only the place of a new one differs."""
    whole = splice(body, TRACE)
    streamed = spliced([body])

    if isinstance(whole, Obstacle):
        assert streamed.fault is not None
        assert (whole is Obstacle.OVERWRITE) <= (streamed.fault == "overwrite")
    else:
        pairs = json.loads(whole, object_pairs_hook=list, parse_int=str)
        streamed_pairs = json.loads(streamed.out, object_pairs_hook=list, parse_int=str)
        assert sorted(map(repr, pairs)) == sorted(map(repr, streamed_pairs))
        assert ["trace_id"] * sum(name == "trace_id" for name, _ in pairs) == [
            name for name, value in pairs if name == "trace_id" and judged(json.dumps(value).encode()) == "keep"
        ]


@pytest.mark.contract("D5")
@given(bodies, cuts)
def test_a_body_that_cannot_be_finished_has_lost_no_byte(body: bytes, places: list[int]) -> None:
    """What went out and what is withheld are together what the application sent, where no null was filled."""
    passed = spliced(cut(body, places))

    if passed.fault is not None and SPELLING not in passed.out:
        assert passed.out + passed.withheld == body


@given(bodies, cuts, st.booleans())
def test_the_reader_stops_at_the_same_places_however_the_text_is_cut(
    body: bytes,
    places: list[int],
    inner: bool,  # noqa: FBT001 - hypothesis passes it by position
) -> None:
    """Its shortcuts, which need a longer piece, find nothing that single bytes do not."""
    assert stops([body], inner=inner) == stops(cut(body, places), inner=inner) == stops(bytewise(body), inner=inner)


@given(bodies, st.booleans())
def test_the_reader_finds_fault_at_the_first_byte_with_which_no_text_goes_on(
    body: bytes,
    inner: bool,  # noqa: FBT001 - hypothesis passes it by position
) -> None:
    """Neither earlier nor later, and a text is complete exactly where it is one."""
    reading = read_prefix(body, inner=inner)
    found, complete = stops([body], inner=inner)

    assert complete is (reading.end == "complete")
    assert [at for at, stop in found if stop is Stop.FAULT] == [reading.at] * (reading.end == "fault")


@pytest.mark.contract("D2", "D5")
@given(bodies, cuts)
@example(MARK, [1, 2])
@example(b" " + MARK, [1, 2])
@example(b"\xef\xbb", [])
@example(b"\xe2\x82\xac\xe2\x82", [1, 2])
def test_an_envelope_holds_what_the_clauses_say_however_it_is_cut(body: bytes, places: list[int]) -> None:
    """JSON as it is and text as a string; cutting changes neither the bytes nor the fault."""
    out, fault = enveloped([body])
    expected, expected_fault = expected_envelope(body)

    assert enveloped(cut(body, places)) == enveloped(bytewise(body)) == (out, fault)
    assert fault == expected_fault
    if fault is None and expected != out:  # strings may be escaped in several ways
        assert json.loads(out) == json.loads(expected)
        assert out[len(HEAD)] == ord('"')
    elif fault is not None:
        assert out == expected


@pytest.mark.contract("D2")
@given(bodies)
def test_an_original_is_the_value_or_the_text(body: bytes) -> None:
    """Byte for byte where the body is JSON, as a string where it is not."""
    obstacle = splice(body, TRACE)
    if not isinstance(obstacle, Obstacle):
        return
    value = body.removeprefix(MARK).lstrip(BLANK)
    original = original_value(body, obstacle)

    if obstacle in (Obstacle.NOT_AN_OBJECT, Obstacle.OVERWRITE):
        assert original == value.rstrip(BLANK)
    else:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        assert json.loads(HEAD + original + TAIL)["original"] == text


@pytest.mark.contract("D5")
@given(bodies, cuts)
def test_the_first_byte_that_counts_decides_and_stays_decided(body: bytes, places: list[int]) -> None:
    """An object goes to the splicer, anything else into the envelope; more bytes never change that."""
    seen, answers = b"", []
    for chunk in cut(body, places):
        seen += chunk
        answers.append(opens_object(seen))
    decided = [answer for answer in answers if answer is not None]

    assert len(set(decided)) <= 1
    assert answers[len(answers) - len(decided) :] == decided
    if read_prefix(body).end == "complete":
        assert decided[-1] is (read_prefix(body).kind == "object")
