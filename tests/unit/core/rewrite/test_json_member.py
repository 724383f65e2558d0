"""Does a member that the application wrote count as the trace just where clause D1 says so?"""

from __future__ import annotations

import json

import pytest

from tracegate.core.rewrite.json_member import LONGEST_VALUE, Verdict, as_member, as_value, judge
from tracegate.core.trace_id import TraceId

TRACE = TraceId.from_text("4BF92F35-77b3-4da6-a3ce-929d0e0e4736")
OPAQUE = TraceId.from_text("a/b=" + "~" * 124, ("opaque",))
ULID = TraceId.from_text("01ARZ3NDEKTSV4RRFFQ69G5FAV", ("ulid",))


def escaped(text: str) -> bytes:
    """Return *text* as a JSON string in which every character is escaped the long way."""
    return b'"' + b"".join(b"\\u%04x" % ord(character) for character in text) + b'"'


@pytest.mark.contract("A1", "D1")
@pytest.mark.parametrize("trace", [TRACE, OPAQUE, ULID])
def test_a_trace_is_written_as_its_caller_spelled_it(trace: TraceId) -> None:
    """Value and member are JSON, with the very spelling."""
    assert json.loads(as_value(trace)) == trace.text
    assert json.loads(b"{" + as_member(trace) + b"}") == {"trace_id": trace.text}


@pytest.mark.contract("A1", "D1")
@pytest.mark.parametrize(
    "value",
    [
        b'"4BF92F35-77b3-4da6-a3ce-929d0e0e4736"',
        b'"4bf92f35-77b3-4da6-a3ce-929d0e0e4736"',
        b'"4bf92f3577b34da6a3ce929d0e0e4736"',
        b'"4BF92F3577B34DA6A3CE929D0E0E4736"',
        escaped("4bf92f35-77b3-4da6-a3ce-929d0e0e4736"),
        rb'"4bf92f35\u002D77b3-4da6-a3ce-929d0e0e4736"',
    ],
)
def test_the_same_number_is_kept_however_it_is_spelled(value: bytes) -> None:
    """Equality is by number, after unescaping."""
    assert judge(value, TRACE) is Verdict.KEEP


@pytest.mark.contract("D1")
def test_an_empty_value_is_to_be_filled() -> None:
    """Null and the empty string are; a blank one is not."""
    assert judge(b"null", TRACE) is Verdict.FILL
    assert judge(b'""', TRACE) is Verdict.FILL
    assert judge(b'" "', TRACE) is Verdict.REFUSE


@pytest.mark.contract("A1", "A3", "D1")
@pytest.mark.parametrize(
    "value",
    [
        b'"4bf92f35-77b3-4da6-a3ce-929d0e0e4737"',
        b'" 4bf92f35-77b3-4da6-a3ce-929d0e0e4736"',
        b'"4bf92f35-77b3-4da6-a3ce-929d0e0e4736\\u0000"',
        b'"{4bf92f35-77b3-4da6-a3ce-929d0e0e4736}"',
        b'"urn:uuid:4bf92f35-77b3-4da6-a3ce-929d0e0e4736"',
        '"٤bf92f35-77b3-4da6-a3ce-929d0e0e4736"'.encode(),
        rb'"\ud800"',
        rb'"4bf92f35-77b3-4da6-a3ce-929d0e0e4736\udfff"',
        b'["4bf92f35-77b3-4da6-a3ce-929d0e0e4736"]',
        b'{"trace_id":"4bf92f35-77b3-4da6-a3ce-929d0e0e4736"}',
        b"true",
        b"false",
        b"0",
        b"100998902389184183494459863886137214774",
        b"[]",
        b"{}",
        b'"null"',
    ],
)
def test_anything_else_is_refused(value: bytes) -> None:
    """Another number, another type, no trace id at all, or text that no reader can decode."""
    assert judge(value, TRACE) is Verdict.REFUSE


@pytest.mark.contract("A3", "D1")
def test_a_trace_of_another_fleet_is_known_by_its_own_format() -> None:
    """An opaque token is compared whole, a ULID by number; `/` may be escaped in JSON."""
    assert judge(as_value(OPAQUE), OPAQUE) is Verdict.KEEP
    assert judge(as_value(OPAQUE).replace(b"/", rb"\/"), OPAQUE) is Verdict.KEEP
    assert judge(as_value(OPAQUE).lower().replace(b"a", b"A"), OPAQUE) is Verdict.REFUSE
    assert judge(b'"01arz3ndektsv4rrffq69g5fav"', ULID) is Verdict.KEEP
    assert judge(as_value(OPAQUE), TRACE) is Verdict.REFUSE


@pytest.mark.contract("D1")
def test_the_longest_spelling_fits_the_bound() -> None:
    """128 characters, each escaped the long way, are judged; a string that is longer spells no trace."""
    assert len(escaped(OPAQUE.text)) == LONGEST_VALUE
    assert judge(escaped(OPAQUE.text), OPAQUE) is Verdict.KEEP
    assert judge(b'"' + b"x" * 10_000_000 + b'"', TRACE) is Verdict.REFUSE
