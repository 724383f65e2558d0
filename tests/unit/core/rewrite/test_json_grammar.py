"""Does the table say of every byte, in every state, what RFC 8259 and RFC 3629 say?"""

from __future__ import annotations

import pytest

from tests.property.oracle.json_prefix import read_prefix
from tracegate.core.rewrite.json_grammar import FAULTY, MOVES, STATES, TABLE, Stop
from tracegate.core.rewrite.json_reader import JsonReader

EVERY_BYTE = [bytes([byte]) for byte in range(256)]
NAMES = {number: name for name, number in STATES.items()}
TELLING_BYTES = [bytes([byte]) for byte in b'":}0 \x80']
DEEPEST = 3


def step(reader: JsonReader, byte: bytes) -> JsonReader | None:
    """Return a reader that has read *byte* on top of what *reader* has read, or ``None`` where it is at fault."""
    after = JsonReader()
    after._state, after._stack = reader._state, bytearray(reader._stack)
    stops = [stop for _, stop in after.read(byte)]
    if stops[-1] is Stop.FAULT:
        assert Stop.VALUE not in stops, "no value begins with a byte that none can begin with"
        return None
    return after


def read_bytewise(text: bytes) -> JsonReader | None:
    """Return the reader after *text*, read one byte at a time, or ``None`` where it came to a fault."""
    reader: JsonReader | None = JsonReader()
    for byte in text:
        reader = reader and step(reader, bytes([byte]))
    return reader


def is_at_fault(text: bytes) -> bool:
    """Return what a reader of its own says: that no JSON text begins like this."""
    return read_prefix(text).end == "fault"


@pytest.fixture(scope="module")
def texts() -> dict[str, list[bytes]]:
    """Return for each state the shortest texts that lead to it, one for each stack of up to three states."""
    found: dict[tuple[int, bytes], bytes] = {}
    edge: list[tuple[JsonReader | None, bytes]] = [(JsonReader(), b"")]
    while edge:
        reached, edge = edge, []
        for reader, text in reached:
            if reader is None or len(reader._stack) > DEEPEST or (reader._state, bytes(reader._stack)) in found:
                continue
            found[reader._state, bytes(reader._stack)] = text
            edge += [(step(reader, byte), text + byte) for byte in EVERY_BYTE]
    grouped: dict[str, list[bytes]] = {}
    for (state, _), text in found.items():
        grouped.setdefault(NAMES[state], []).append(text)
    return grouped


def test_the_table_has_a_row_for_each_state_and_no_number_without_a_meaning() -> None:
    """A row has 256 numbers; each is a state or a move."""
    assert len(TABLE) == len(STATES) == FAULTY
    assert {len(row) for row in TABLE} == {256}
    assert max(map(max, TABLE)) < FAULTY + len(MOVES) <= 256


@pytest.mark.contract("D1")
@pytest.mark.parametrize("state", sorted(STATES.keys() - {"faulty"}))
def test_a_state_lets_through_just_the_bytes_with_which_a_text_can_go_on(
    texts: dict[str, list[bytes]], state: str
) -> None:
    """Each state is reached by some text; after it, at each depth, every byte is judged by an independent reader.

    And so are the bytes after that which tell one state from another, as a byte may be let through to the wrong one.
    """
    for text in texts[state]:
        reader = read_bytewise(text)
        assert reader is not None
        for byte in EVERY_BYTE:
            after = step(reader, byte)
            assert (after is None) is is_at_fault(text + byte), text + byte
            if after is None:
                continue
            for telling in TELLING_BYTES:
                assert (step(after, telling) is None) is is_at_fault(text + byte + telling), text + byte + telling


def test_behind_a_fault_nothing_is_let_through() -> None:
    """The state after a fault has no way out."""
    reader = JsonReader()
    assert list(reader.read(b"{x")) == [(1, Stop.FAULT)]
    for byte in EVERY_BYTE:
        assert list(reader.read(byte)) == [(0, Stop.FAULT)]
    assert not reader.complete


@pytest.mark.parametrize(
    "name", [b"trace_id", rb"\u0074r\u0061ce\u005fid", rb"\u0074\u0072\u0061\u0063\u0065\u005F\u0069\u0064"]
)
@pytest.mark.contract("D1")
def test_the_name_is_found_however_it_is_escaped(name: bytes) -> None:
    """Hex digits of either case; the reader stops at the first byte of the value, and behind the last."""
    text = b'{ "' + name + b'" : [1] }'
    at = text.index(b"[1]")
    assert list(JsonReader().read(text)) == [
        (at, Stop.VALUE),
        (at + 3, Stop.VALUE_END),
        (len(text), Stop.CLOSED),
        (len(text), Stop.MORE),
    ]


@pytest.mark.parametrize(
    "name",
    [b"trace_i", b"trace_idx", b"Trace_id", b"trace-id", rb"trace_id\u0000", rb"\u0054race_id", rb"trace\u005eid",
     rb"trac\u00e5_id", rb"t\u0072\u0061ce_i\u0065", rb"trace\/id", rb"\ttrace_id", b"trace_\xc3\xafd", b"",
     b"racetrace_id"],
)  # fmt: skip
@pytest.mark.contract("D1")
def test_a_similar_name_is_another_name(name: bytes) -> None:
    """Nothing but the very eight characters counts."""
    text = b'{"' + name + b'":null}'
    assert list(JsonReader().read(text)) == [(len(text), Stop.CLOSED), (len(text), Stop.MORE)]
    one_by_one = JsonReader()
    assert Stop.VALUE not in [stop for byte in text for _, stop in one_by_one.read(bytes([byte]))]
