"""Do the laws of identity hold for every input, judged by a reader that shares no code with ``src``?

The oracle below reads byte by byte, without a regular expression, from the text of clause A3, RFC 9562, the ULID
specification and Trace Context level 2.
"""

from __future__ import annotations

import hashlib

import h11
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tracegate.core.outgoing import outgoing_headers
from tracegate.core.trace_id import FORMATS, TraceId, mint_trace_id, parse_trace_id
from tracegate.core.w3c import (
    TraceContext,
    TraceParent,
    format_traceparent,
    parse_traceparent,
    parse_tracestate,
)

# The oracle.

LOWER_HEX = "0123456789abcdef"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
OPAQUE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=:@-"


def value_of(digits: str, alphabet: str) -> int | None:
    """Return the number that *digits* count in *alphabet*, or ``None`` where one of them is not in it."""
    total = 0
    for digit in digits:
        if digit not in alphabet:
            return None
        total = total * len(alphabet) + alphabet.index(digit)
    return total


def fold(text: str) -> str:
    """Return *text* with ASCII capitals made small, and nothing else changed."""
    return "".join(chr(ord(char) + 32) if "A" <= char <= "Z" else char for char in text)


def canonical_number(text: str) -> int | None:
    """Return the number of UUID text or 32 hex digits, zero included."""
    if len(text) == 36:
        if [place for place, char in enumerate(text) if char == "-"] != [8, 13, 18, 23]:
            return None
        text = "".join(text.split("-"))
    return value_of(fold(text), LOWER_HEX) if len(text) == 32 else None


def aws_number(text: str) -> int | None:
    """Return the number of a load balancer's root, zero included."""
    if len(text) != 40 or text[:7] != "Root=1-" or text[15] != "-":
        return None
    return value_of(fold(text[7:15] + text[16:]), LOWER_HEX)


def ulid_number(text: str) -> int | None:
    """Return the number of a ULID, zero included."""
    if len(text) != 26:
        return None
    number = value_of(fold(text), fold(CROCKFORD))
    return number if number is not None and number < 2**128 else None


def named_number(raw: bytes, formats: frozenset[str]) -> int | None:
    """Return the number that *raw* names under *formats*, or ``None`` where it must be refused."""
    text = raw.decode("latin-1")
    numbers = {"canonical": canonical_number(text), "aws": aws_number(text), "ulid": ulid_number(text)}
    if 0 in numbers.values():
        return None
    for name, number in numbers.items():
        if number is not None and name in formats | {"canonical"}:
            return number
    if "opaque" in formats and 1 <= len(text) <= 128 and all(char in OPAQUE for char in text):
        return int(hashlib.sha256(raw).hexdigest()[:32], 16)
    return None


def read_traceparent(lines: list[bytes]) -> tuple[str, str, int] | None:
    """Return trace id, parent id and flags as level 2 section 3.2 reads them."""
    if len(lines) != 1:
        return None
    text = trim(lines[0].decode("latin-1"))
    if len(text) < 55 or text[2] != "-" or text[35] != "-" or text[52] != "-":
        return None
    version, trace_id, parent_id, flags, rest = text[:2], text[3:35], text[36:52], text[53:55], text[55:]
    numbers = [value_of(part, LOWER_HEX) for part in (version, trace_id, parent_id, flags)]
    if None in numbers or version == "ff" or numbers[1] == 0 or numbers[2] == 0:
        return None
    if rest and (version == "00" or rest[0] != "-"):
        return None
    if any(char in {",", "\x7f"} or (char < " " and char != "\t") for char in rest):
        return None
    return trace_id, parent_id, numbers[3] or 0


def trim(text: str) -> str:
    """Return *text* without the spaces and tabs around it."""
    while text and text[0] in " \t":
        text = text[1:]
    while text and text[-1] in " \t":
        text = text[:-1]
    return text


def read_tracestate(lines: list[bytes]) -> list[tuple[str, str]] | None:
    """Return the members as level 2 section 3.3 reads them, or ``None`` where all are dropped."""
    members: list[tuple[str, str]] = []
    for line in lines:
        for part in line.decode("latin-1").split(","):
            member = trim(part)
            if not member:
                continue
            key, equals, value = member.partition("=")
            good_key = 1 <= len(key) <= 256 and key[0] in LOWER_HEX + "ghijklmnopqrstuvwxyz"
            good_key = good_key and all(char in "abcdefghijklmnopqrstuvwxyz0123456789_-*/@" for char in key)
            good_value = 1 <= len(value) <= 256 and all(" " <= char <= "~" and char != "=" for char in value)
            if not (good_key and equals and good_value):
                return None
            members.append((key, value))
    return members if 1 <= len(members) <= 32 else None


# What hypothesis draws.

numbers = st.integers(1, 2**128 - 1) | st.integers(0, 128).map(lambda bit: max(1, (1 << bit) - 1))
format_sets = st.frozensets(st.sampled_from(["nginx", "aws", "ulid", "opaque"]))


@st.composite
def in_any_case(draw: st.DrawFn, text: str) -> bytes:
    """Draw *text* with each letter large or small."""
    large = draw(st.integers(0, 2 ** len(text) - 1))
    return "".join(c.upper() if large >> place & 1 else c for place, c in enumerate(text)).encode()


@st.composite
def spellings(draw: st.DrawFn, number: int | None = None, formats: frozenset[str] = frozenset()) -> bytes:
    """Draw a spelling of *number* that is canonical or in one of the numbered *formats*."""
    number = draw(numbers) if number is None else number
    digits = f"{number:032x}"
    choices = [digits, "-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]])]
    if "ulid" in formats:
        choices.append("".join(fold(CROCKFORD)[number >> 5 * place & 31] for place in range(25, -1, -1)))
    spelled = draw(in_any_case(draw(st.sampled_from(choices))))
    if "aws" in formats and draw(st.booleans()):
        return b"Root=1-" + digits[:8].encode() + b"-" + digits[8:].encode()
    return spelled


@st.composite
def mutations(draw: st.DrawFn, originals: st.SearchStrategy[bytes]) -> bytes:
    """Draw something near an original: a few bytes replaced, put in, taken out or doubled."""
    raw = draw(originals)
    byte = st.integers(0, 255) | st.sampled_from(list(b"0aAfFgG-_+,:={} \t\r\n\0\x7f\x85\xa0"))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(raw)))
        kept = draw(st.integers(0, 2))
        raw = raw[:place] + bytes(draw(st.lists(byte, max_size=2))) + raw[place + kept :]
    return raw * draw(st.sampled_from([1, 1, 1, 1, 2]))


near_ids = mutations(spellings(formats=frozenset({"aws", "ulid"}))) | st.binary(max_size=140)
tokens = st.text(OPAQUE, min_size=1, max_size=130).map(str.encode)

hex_ids = st.integers(1, 2**128 - 1).map(lambda number: f"{number:032x}")
span_ids = st.integers(1, 2**64 - 1).map(lambda number: f"{number:016x}")
flag_bytes = st.integers(0, 255)


@st.composite
def traceparents(draw: st.DrawFn) -> bytes:
    """Draw a well-formed traceparent of some version."""
    version = draw(st.sampled_from(["00", "00", "01", "cc", "fe", "ff"]))
    text = f"{version}-{draw(hex_ids)}-{draw(span_ids)}-{draw(flag_bytes):02x}"
    return text.encode() + draw(st.sampled_from([b"", b"", b"-", b"-more", b" ", b"."]))


member_keys = st.from_regex(r"\A[0-9a-z][_0-9a-z\-*/@]{0,20}\Z") | st.integers(250, 258).map("k".__mul__)
member_values = st.from_regex(r"\A[ -+\--<>-~]{0,20}[!-+\--<>-~]\Z") | st.integers(250, 258).map("v".__mul__)
members = st.tuples(member_keys, member_values).map("=".join) | st.sampled_from(["", " ", "a=1", "a=2"])
padding = st.sampled_from(["", "", " ", "\t", " \t "])
padded_members = st.tuples(padding, members, padding).map("".join)
tracestate_lines = st.lists(padded_members, max_size=36).map(lambda some: ",".join(some).encode())

# The laws.


@pytest.mark.contract("A1", "A2")
@given(st.data(), numbers, format_sets)
def test_every_spelling_of_a_number_round_trips(data: st.DataObject, number: int, formats: frozenset[str]) -> None:
    """The number is read, the spelling is kept, and the W3C form and the spelling itself read as the same trace."""
    raw = data.draw(spellings(number, formats))
    trace = parse_trace_id(raw, tuple(formats))

    assert trace is not None
    assert (trace.raw, trace.text.encode(), str(trace).encode()) == (raw, raw, raw)
    assert (trace.number, trace.w3c) == (number, f"{number:032x}")
    assert parse_trace_id(trace.w3c.encode()) == trace
    assert TraceId.from_text(trace.text, tuple(formats)) == trace


@pytest.mark.contract("A3")
@given(near_ids | tokens, format_sets)
@example(b"0" * 32, frozenset({"nginx", "opaque"}))
@example(b"0" * 26, frozenset({"opaque"}))
@example(b"Root=1-00000000-000000000000000000000000", frozenset({"opaque"}))
@example(b"8" + b"0" * 25, frozenset({"ulid", "opaque"}))
@example(b"x" * 128, frozenset({"opaque"}))
@example(b"x" * 129, frozenset({"opaque"}))
def test_a_value_is_accepted_whole_exactly_where_the_grammar_has_it(raw: bytes, formats: frozenset[str]) -> None:
    """Anything else is refused whole: no exception, no part of it taken."""
    trace = parse_trace_id(raw, tuple(formats))
    number = named_number(raw, formats)

    assert (trace and trace.number) == number
    assert trace is None or trace.raw == raw


@pytest.mark.contract("A3")
@pytest.mark.parametrize("original", [b"0af76519-16cd-43dd-8448-eb211c80319c", b"0af7651916cd43dd8448eb211c80319c"])
def test_every_change_of_one_byte_is_judged_right(original: bytes) -> None:
    """All 256 bytes, in every place, put in or put over; and every byte taken out."""
    for place in range(len(original) + 1):
        for kept in (0, 1):
            for new in (b"", *(bytes([byte]) for byte in range(256))):
                raw = original[:place] + new + original[place + kept :]
                trace = parse_trace_id(raw)
                assert (trace and trace.number) == named_number(raw, frozenset())


@pytest.mark.contract("A1")
@given(st.data(), numbers, numbers, format_sets, st.booleans())
def test_traces_are_equal_exactly_where_their_numbers_are(
    data: st.DataObject,
    one: int,
    other: int,
    formats: frozenset[str],
    same: bool,  # noqa: FBT001 - drawn
) -> None:
    """Equality, hash and ``is_named_by`` go by the number, whatever the spellings."""
    other = one if same else other
    left, right = (data.draw(spellings(number, formats)) for number in (one, other))
    first, second = (TraceId.from_text(raw.decode(), tuple(formats)) for raw in (left, right))

    assert (first == second) is (second == first) is (one == other)
    assert (first != second) is (one != other)
    assert len({first, second}) == len({one, other})
    assert first.is_named_by(left)
    assert first.is_named_by(f"{one:032X}".encode())
    if canonical_number(right.decode()) is not None:
        assert first.is_named_by(right) is (one == other)


@pytest.mark.contract("A3")
@given(near_ids | tokens, format_sets)
def test_an_accepted_value_can_be_sent_as_it_is(raw: bytes, formats: frozenset[str]) -> None:
    """An HTTP implementation writes it and reads the same bytes back, as one field."""
    trace = parse_trace_id(raw, tuple(formats))
    assume(trace is not None)
    assert trace is not None
    client, server = h11.Connection(h11.CLIENT), h11.Connection(h11.SERVER)
    request = h11.Request(method="GET", target="/", headers=[("Host", "here"), ("X-Trace-Id", trace.text)])
    server.receive_data(client.send(request) or b"")
    received = server.next_event()

    assert isinstance(received, h11.Request)
    assert list(received.headers) == [(b"host", b"here"), (b"x-trace-id", raw)]


@pytest.mark.contract("A4")
@given(st.binary(min_size=16, max_size=16), st.integers(0, 127))
def test_a_minted_id_carries_all_its_entropy_but_six_bits(entropy: bytes, bit: int) -> None:
    """Changing one bit of the entropy changes the id, unless the bit is one of version and variant."""
    changed = (int.from_bytes(entropy) ^ (1 << bit)).to_bytes(16)
    trace, other = mint_trace_id(entropy), mint_trace_id(changed)

    assert (trace == other) is (bit in {62, 63, 76, 77, 78, 79})
    assert (trace.number >> 76 & 15, trace.number >> 62 & 3) == (4, 2)
    assert canonical_number(trace.text) == trace.number
    assert trace.text == fold(trace.text)


@pytest.mark.contract("B1", "B3")
@given(st.lists(mutations(traceparents()) | traceparents(), max_size=2) | traceparents().map(lambda line: [line]))
@example([b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-"])
@example([b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-a,b"])
def test_a_traceparent_is_read_as_the_standard_reads_it(lines: list[bytes]) -> None:
    """Or counts as absent."""
    assert parse_traceparent(lines) == read_traceparent(lines)


@pytest.mark.contract("A2")
@given(hex_ids, span_ids, flag_bytes)
def test_what_is_sent_as_traceparent_is_read_back(trace_id: str, parent_id: str, flags: int) -> None:
    """The ids as they are, the flags as far as they are known."""
    sent = format_traceparent(trace_id, parent_id, flags)

    assert parse_traceparent([sent.encode()]) == (trace_id, parent_id, flags % 4)
    assert len(sent) == 55


@pytest.mark.contract("B1", "B3")
@given(st.lists(tracestate_lines | mutations(tracestate_lines), max_size=3))
def test_a_tracestate_is_read_as_the_standard_reads_it(lines: list[bytes]) -> None:
    """Joined in order, or dropped whole; how the list was cut into lines does not matter; cleaning twice is once."""
    state = parse_tracestate(lines)
    expected = read_tracestate(lines)

    assert state == (expected and ",".join(f"{key}={value}" for key, value in expected))
    assert state == parse_tracestate([b",".join(lines)])
    assert state == parse_tracestate([member for line in lines for member in line.split(b",")])
    assert state is None or parse_tracestate([state.encode()]) == state


@pytest.mark.contract("A1", "A2", "G5")
@given(spellings(), span_ids, span_ids, flag_bytes, st.lists(tracestate_lines, max_size=2))
def test_the_next_service_reads_the_same_trace(
    raw: bytes, caller: str, span: str, flags: int, lines: list[bytes]
) -> None:
    """One hop on, spelling, number, tracestate and the two known flags are what they were, and the parent is new."""
    trace = TraceId.from_text(raw.decode())
    state = parse_tracestate(lines)
    inbound = TraceContext(TraceParent(trace.w3c, caller, flags), state)
    for origin, minted, sent_flags in ((inbound, False, flags % 4), (None, False, 1), (None, True, 3)):
        headers = outgoing_headers(trace, span, inbound=origin, minted=minted)
        sent = dict(headers)
        parent = read_traceparent([sent["traceparent"].encode()])

        assert len(sent) == len(headers)
        assert sent["X-Trace-Id"] == trace.text
        assert parent == (f"{canonical_number(raw.decode()):032x}", span, sent_flags)
        assert sent.get("tracestate") == (state if origin else None)


def test_the_oracle_knows_the_formats_of_the_contract() -> None:
    """A format that is added gets an oracle too."""
    assert set(FORMATS) == {"nginx", "aws", "ulid", "opaque"}
