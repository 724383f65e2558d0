"""Does a streamed body get its trace id, hold back no more than it must, and tell what is at fault?"""

from __future__ import annotations

import json

import pytest

from tests.property.oracle.json_prefix import read_prefix
from tracegate.core.rewrite.json_stream import EnvelopeStream, ObjectSplicer, opens_object
from tracegate.core.trace_id import TraceId

SPELLING = b"4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
TRACE = TraceId.from_text(SPELLING.decode())
MEMBER = b'"trace_id":"' + SPELLING + b'"'
HEAD, TAIL = b'{"error_code":"X","original":', b"}"
OPAQUE = TraceId.from_text("~" * 128, ("opaque",))


def splice(*pieces: bytes, trace: TraceId = TRACE) -> tuple[bytes, str | None, bytes]:
    """Return all that goes out, the fault, and what does not go out."""
    stream = ObjectSplicer(trace)
    out = b""
    for number, piece in enumerate(pieces, 1):
        out += stream.feed(piece)
        if stream.fault is not None:
            return out, stream.fault, stream.withheld + b"".join(pieces[number:])
    out += stream.finish()
    return out, stream.fault, stream.withheld


def envelop(*pieces: bytes) -> tuple[bytes, str | None]:
    """Return all that goes out, and the fault."""
    stream = EnvelopeStream(HEAD, TAIL)
    out = b"".join(map(stream.feed, pieces)) + stream.finish()
    return out, stream.fault


@pytest.mark.contract("D1", "D5")
@pytest.mark.parametrize(
    ("body", "spliced"),
    [
        (b"{}", b"{%s}"),
        (b"\xef\xbb\xbf { \n } ", b"\xef\xbb\xbf { \n %s} "),
        (b'{"a":{}}\r\n', b'{"a":{},%s}\r\n'),
        (b'{"a":"}"}', b'{"a":"}",%s}'),
    ],
)
def test_a_missing_member_is_put_in_before_the_closing_brace(body: bytes, spliced: bytes) -> None:
    """As one member, with a comma unless it stays alone, and without a line break."""
    assert splice(body) == (spliced.replace(b"%s", MEMBER), None, b"")


@pytest.mark.contract("A1", "D1", "D5")
def test_a_member_that_names_the_trace_is_left_alone() -> None:
    """Nothing is added to it."""
    body = b'{"a":1,"tr\\u0061ce_id" : "' + SPELLING.upper() + b'" , "b":2}'
    assert splice(body) == (body, None, b"")


@pytest.mark.contract("D1", "D5")
@pytest.mark.parametrize("value", [b"null", b'""'])
def test_an_empty_member_is_filled_where_it_stands(value: bytes) -> None:
    """And no second one is added; of several, each is filled."""
    body = b'{"trace_id": %s ,"a":null,"trace_id":%s}'
    assert splice(body.replace(b"%s", value)) == (body.replace(b"%s", b'"' + SPELLING + b'"'), None, b"")


@pytest.mark.contract("D1", "D5")
@pytest.mark.parametrize("value", [b"1", b"-", b"true", b"false", b"[", b"{", b'"x",', b'"' + b"x" * 770])
def test_a_member_that_says_something_else_is_an_overwrite(value: bytes) -> None:
    """It is known by its first byte, by its end, or by its length; nothing of it goes out, and nothing after it."""
    body = b'{"a":0,"trace_id":' + value
    assert splice(body) == (body[:18], "overwrite", body[18:])
    assert splice(body[:18], body[18:]) == (body[:18], "overwrite", body[18:])
    assert splice(*(body[i : i + 1] for i in range(len(body)))) == (body[:18], "overwrite", body[18:])


@pytest.mark.contract("A3", "D1")
def test_the_longest_spelling_is_waited_for() -> None:
    """770 bytes, each character escaped; one more cannot name the trace."""
    value = b'"' + rb"\u007e" * 128 + b'"'
    assert splice(b'{"trace_id":', value, b"}", trace=OPAQUE) == (b'{"trace_id":' + value + b"}", None, b"")
    stream = ObjectSplicer(OPAQUE)
    assert (stream.feed(b'{"trace_id":' + value[:-1] + b"x"), stream.fault) == (b'{"trace_id":', None)
    assert (stream.feed(b"x"), stream.fault) == (b"", "overwrite")
    assert stream.withheld == value[:-1] + b"xx"


@pytest.mark.contract("D5")
@pytest.mark.parametrize(
    ("body", "out"),
    [
        (b"", b""),
        (b" ", b" "),
        (b'{"a"', b'{"a"'),
        (b'{"a":1,}', b'{"a":1,'),
        (b'{"a":1]', b'{"a":1'),
        (b'{"a":"\xff"}', b'{"a":"'),
        (b'{"trace_id"', b'{"trace_id"'),
        (b'{"trace_id":', b'{"trace_id":'),
        (b'{"trace_id":}', b'{"trace_id":'),
        (b'{"trace_id":nul', b'{"trace_id":'),
        (b'{"trace_id":nulL}', b'{"trace_id":'),
        (b'{"trace_id":null', b'{"trace_id":'),
        (b'{"trace_id":"x', b'{"trace_id":'),
        (b'{"trace_id":"x"', b'{"trace_id":'),
        (b'{"trace_id":"\x01', b'{"trace_id":'),
        (b"{} x", b"{"),
        (b"{}{}", b"{"),
        (b'{"a":1}\n{"b":2}\n', b'{"a":1'),
        (b"[1]", b"[1]"),
        (b"1", b"1"),
    ],
)
def test_what_is_no_object_is_at_fault_and_nothing_is_lost(body: bytes, out: bytes) -> None:
    """All that was sent went out or is withheld, so that a caller may still deliver it as it was."""
    assert splice(body) == (out, "malformed", body[len(out) :])
    stream = ObjectSplicer(TRACE)
    assert b"".join(stream.feed(body[i : i + 1]) for i in range(len(body))) + stream.finish() == out


@pytest.mark.contract("D5", "E4")
def test_after_a_fault_nothing_goes_out() -> None:
    """Not from later pieces and not at the end; what is withheld is of the pieces up to the fault."""
    stream = ObjectSplicer(TRACE)
    assert stream.feed(b'{"a" x') == b'{"a" '
    assert stream.fault == "malformed"
    assert stream.feed(b"{}") == b""
    assert stream.finish() == b""
    assert (stream.fault, stream.withheld) == ("malformed", b"x")


@pytest.mark.contract("D4", "D5")
def test_bytes_go_through_at_once() -> None:
    """But for the closing brace and the value of a trace_id, each piece goes out as it comes in."""
    stream = ObjectSplicer(TRACE)
    for piece in (b'{"a', b'":', b"[1", b'.5,"\xe2', b"\x82", b'\xac"', b"]", b',"trace', b"_id", b'":'):
        assert stream.feed(piece) == piece
        assert stream.withheld == b""
    assert stream.feed(b" nu") == b" "
    assert stream.withheld == b"nu"
    assert stream.feed(b"ll") == b""
    assert stream.feed(b"\n") == b'"' + SPELLING + b'"\n'
    assert stream.feed(b"}") == b""
    assert stream.withheld == b"}"
    assert stream.feed(b"\n") == b""
    assert stream.withheld == b"}\n"
    assert stream.finish() == b"}\n"
    assert stream.withheld == b""


@pytest.mark.contract("D5")
def test_blanks_behind_the_object_are_held_up_to_a_bound() -> None:
    """A kibibyte with the brace; where more follow, the object is given out, and the rest goes through."""
    stream = ObjectSplicer(TRACE)
    assert stream.feed(b"{}" + b" " * 1023) == b"{"
    assert stream.feed(b"\t") == MEMBER + b"}" + b" " * 1023 + b"\t"
    assert stream.withheld == b""
    assert stream.feed(b"\n") == b"\n"
    assert stream.feed(b"\n" * 5000) == b"\n" * 5000
    assert stream.finish() == b""
    assert stream.fault is None

    assert splice(b"{}" + b" " * 1023 + b"x") == (b"{", "malformed", b"}" + b" " * 1023 + b"x")
    assert splice(b"{}" + b" " * 1024 + b"x") == (b"{" + MEMBER + b"}" + b" " * 1024, "malformed", b"x")


@pytest.mark.contract("D5")
def test_a_long_object_is_spliced_in_constant_memory() -> None:
    """Ten megabytes go through a stream that never holds more than the last brace."""
    stream = ObjectSplicer(TRACE)
    held = 0
    assert stream.feed(b'{"items":[0') == b'{"items":[0'
    for _ in range(160):
        assert len(stream.feed(b',"0123456789abcde"' * 3640)) == 65_520
        held = max(held, len(stream.withheld))
    assert stream.feed(b"]}") + stream.finish() == b"]," + MEMBER + b"}"
    assert held == 0
    assert len(stream._reader._stack) == 1


@pytest.mark.contract("D2", "D5")
@pytest.mark.parametrize(
    "value", [b"[]", b'["a", 1e5]', b'"x"', b"-12.5", b"0", b"true", b"null", b'[{"trace_id":1}]', b'{"trace_id":1}']
)
def test_json_is_enveloped_as_it_is(value: bytes) -> None:
    """Byte for byte, without mark and blanks before it; whole and byte by byte."""
    for lead in (b"", b" ", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"):
        body = lead + value
        assert envelop(body) == (HEAD + value + TAIL, None)
        assert envelop(*(body[i : i + 1] for i in range(len(body)))) == (HEAD + value + TAIL, None)


@pytest.mark.contract("D2", "D5")
@pytest.mark.parametrize(
    "body", [b'<html>\n"\\\x00</html>', "Grüße €".encode(), b"Oops", b"\xff\xfe[\x00", b"\xef\xbbx", b" \xef\xbb\xbfx"]
)
def test_text_is_enveloped_as_a_string(body: bytes) -> None:
    """What can begin no JSON; escaped, and with U+FFFD where it is not UTF-8; whole and byte by byte."""
    out, fault = envelop(body)
    assert fault is None
    assert json.loads(out)["original"] == body.lstrip(b" ").decode(errors="replace")
    assert b"\n" not in out
    assert envelop(*(body[i : i + 1] for i in range(len(body)))) == (out, None)


@pytest.mark.contract("D2", "D5")
@pytest.mark.parametrize("first", [byte for byte in range(256) if byte not in b" \t\r\n"])
def test_one_byte_decides_between_json_and_text(first: int) -> None:
    """Only a byte that can begin a JSON text makes it one, even though it may then come to a fault."""
    out, fault = envelop(bytes([first]))
    if read_prefix(bytes([first]), inner=True).end == "fault":
        assert fault is None
        assert json.loads(out)["original"] == bytes([first]).decode(errors="replace")
    else:
        assert out.removesuffix(TAIL) == HEAD + bytes([first])
        assert (fault is None) is (first in b"0123456789")


@pytest.mark.contract("D2", "D5")
@pytest.mark.parametrize("body", [b"", b" \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf "])
def test_an_empty_body_is_enveloped_as_an_empty_string(body: bytes) -> None:
    """White space and a byte order mark are nothing."""
    assert envelop(body) == (HEAD + b'""' + TAIL, None)
    assert envelop(*(body[i : i + 1] for i in range(len(body)))) == (HEAD + b'""' + TAIL, None)
    assert envelop() == (HEAD + b'""' + TAIL, None)


@pytest.mark.contract("D2", "D5")
@pytest.mark.parametrize("body", [b"\xef", b"\xef\xbb"])
def test_half_a_mark_is_text(body: bytes) -> None:
    """At the end of the body it cannot become one any more."""
    assert envelop(body) == (HEAD + '"�"'.encode() + TAIL, None)


@pytest.mark.contract("D5", "E4")
@pytest.mark.parametrize(
    ("body", "good"), [(b"[1,]", 3), (b"[1", 2), (b"nope", 1), (b"1 2", 2), (b'"\xff"', 1), (b"-", 1)]
)
def test_what_does_not_go_on_as_json_is_at_fault(body: bytes, good: int) -> None:
    """What was good went out; the envelope is not closed."""
    assert envelop(body) == (HEAD + body[:good], "malformed")
    assert envelop(*(body[i : i + 1] for i in range(len(body)))) == (HEAD + body[:good], "malformed")
    stream = EnvelopeStream(HEAD, TAIL)
    stream.feed(body)
    assert stream.fault == ("malformed" if good < len(body) else None)
    assert stream.feed(b" ") == (b"" if good < len(body) else b" " if body == b"[1" else b"")


@pytest.mark.contract("D5")
def test_an_envelope_begins_with_the_first_piece() -> None:
    """Its head waits for nothing, and blanks before the value are not kept."""
    stream = EnvelopeStream(HEAD, TAIL)
    assert stream.feed(b"") == HEAD
    for _ in range(100):
        assert stream.feed(b" " * 1000) == b""
    assert len(stream._lead) == 1
    assert stream.feed(b"[") == b"["
    assert stream.feed(b" ]") == b" ]"
    assert stream.finish() == TAIL


@pytest.mark.contract("D5")
@pytest.mark.parametrize(
    ("prefix", "answer"),
    [
        (b"", None),
        (b" \t\r\n", None),
        (b"\xef", None),
        (b"\xef\xbb", None),
        (b"\xef\xbb\xbf", None),
        (b"\xef\xbb\xbf\n", None),
        (b"{", True),
        (b" {]", True),
        (b"\xef\xbb\xbf {", True),
        (b"[", False),
        (b"x", False),
        (b"\xef\xbc", False),
        (b" \xef", False),
        (b"\xef\xbb\xbf\xef", False),
        (b"\x00{", False),
    ],
)
def test_the_first_byte_that_counts_decides(prefix: bytes, answer: bool | None) -> None:  # noqa: FBT001 - parametrized
    """After a byte order mark and blanks; while there is none, nothing is decided."""
    assert opens_object(prefix) is answer
