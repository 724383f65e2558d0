"""Is every hostile or odd value of an inbound id accepted whole or refused whole?"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tracegate.core.trace_id import FORMATS, parse_trace_id
from tracegate.core.w3c import parse_traceparent, parse_tracestate

DATA = Path(__file__).parent.parent / "data" / "header_values.json"
VALUES = [base64.b64decode(entry["b64"]) for entry in json.loads(DATA.read_text(encoding="utf-8"))["values"]]

TOKEN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=:@-")


def test_all_vectors_are_there() -> None:
    """The data file is the one that was handed over."""
    assert len(VALUES) == 1819


@pytest.mark.contract("A3")
def test_one_of_the_values_is_a_canonical_trace_id_and_all_others_are_refused() -> None:
    """The suites hold no other UUID text or 32 hex digits; what is accepted is kept byte for byte."""
    accepted = [(value, trace) for value in VALUES if (trace := parse_trace_id(value)) is not None]

    assert [value for value, _ in accepted] == [b"4BF92F3577B34DA6A3CE929D0E0E4736"]
    assert [trace.raw for _, trace in accepted] == [b"4BF92F3577B34DA6A3CE929D0E0E4736"]
    assert [trace.w3c for _, trace in accepted] == ["4bf92f3577b34da6a3ce929d0e0e4736"]


@pytest.mark.contract("A3")
@pytest.mark.parametrize("name", ["nginx", "aws", "ulid"])
def test_no_numbered_format_accepts_any_of_the_values(name: str) -> None:
    """But for the one that is canonical."""
    assert [value for value in VALUES if parse_trace_id(value, (name,))] == [b"4BF92F3577B34DA6A3CE929D0E0E4736"]


@pytest.mark.contract("A3")
def test_as_opaque_tokens_exactly_the_words_of_the_alphabet_are_accepted_whole() -> None:
    """1 to 128 bytes of the alphabet, but for the nil id; nothing is cut off or replaced."""
    tokens = [value for value in VALUES if 1 <= len(value) <= 128 and TOKEN.issuperset(value) and value != b"0" * 32]
    accepted = [(value, trace) for value in VALUES if (trace := parse_trace_id(value, tuple(FORMATS))) is not None]

    assert [value for value, _ in accepted] == tokens
    assert [trace.raw for _, trace in accepted] == tokens
    assert all(0 < trace.number < 2**128 for _, trace in accepted)
    assert len(tokens) > 400


@pytest.mark.contract("B3")
def test_no_value_is_read_as_a_traceparent_or_raises() -> None:
    """As one line, and beside a good one; but for the one value that is a traceparent."""
    good = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    assert [value for value in VALUES if parse_traceparent([value]) is not None] == [good]
    assert not any(parse_traceparent([good, value]) for value in VALUES)


@pytest.mark.contract("B3")
def test_no_value_gets_control_characters_into_a_tracestate() -> None:
    """Whatever is kept is printable ASCII, alone and behind a good member."""
    for value in VALUES:
        for lines in ([value], [b"a=1", value]):
            state = parse_tracestate(lines)
            assert state is None or (state.isascii() and state.isprintable())
