"""How is an application's stream cut into what is recorded?"""

from __future__ import annotations

import pytest

from tracegate.core.streams.blocks import Block, BlockCutter, Piece, bounded, id_of_request, numbered

pytestmark = pytest.mark.contract("D8")

MANY = 1 << 20


def cut(*chunks: bytes, limit: int = MANY) -> list[Piece]:
    """Return what leaves, in order."""
    cutter = BlockCutter(limit)
    pieces = [piece for chunk in chunks for piece in cutter.feed(chunk)]
    rest = cutter.finish()
    return [*pieces, Piece(rest)] if rest else pieces


@pytest.mark.parametrize(
    ("unit", "event_id", "event_type"),
    [
        (b"data: x\n\n", None, "message"),
        (b"data\r\r", None, "message"),
        (b"event: token\ndata: x\n\n", None, "token"),
        (b"event: a\nevent:\ndata: x\n\n", None, "message"),
        (b"id: 1\nid:2 \ndata: x\r\n\r\n", "2", "message"),
        (b"id: 1\nid: a\0b\ndata: x\n\n", "1", "message"),
        (b"id\ndata: x\n\n", "", "message"),
        (b"id: \xff\ndata: x\n\n", "\ufffd", "message"),
        (b"id: 7\n\n", "7", ""),
        (b"event: x\nid: 7\nretry: 1\n\n", "7", ""),
    ],
)
def test_a_block_says_what_a_client_has_behind_it(unit: bytes, event_id: str | None, event_type: str) -> None:
    """The last id holds; without data it is a position and no event."""
    assert cut(unit) == [Piece(unit, Block(unit, event_id, event_type))]


@pytest.mark.parametrize(
    "unit", [b": ping\n", b"\n", b"retry: 1\n\n", b"event: x\n\n", b"id: a\0\n\n", b"\xef\xbb\xbf"]
)
def test_what_no_client_acts_on_is_not_recorded(unit: bytes) -> None:
    """It leaves as it came."""
    assert cut(unit + b"data: x\n\n")[0] == Piece(unit)


def test_nothing_is_added_and_nothing_kept_back_at_the_end() -> None:
    """An unfinished block leaves last, unrecorded."""
    assert cut(b"data: a\n", b"\ndata", b": b") == [
        Piece(b"data: a\n\n", Block(b"data: a\n\n", None, "message")),
        Piece(b"data: b"),
    ]


def test_a_long_block_passes_and_is_lost() -> None:
    """In the pieces in which it came; a long comment is none."""
    assert cut(b"data: aaaa", b"aaaa", b"\n", b"\ndata: b\n\n", limit=9) == [
        Piece(b"data: aaaa"),
        Piece(b"aaaa"),
        Piece(b"\n\n", lost=True),
        Piece(b"data: b\n\n", Block(b"data: b\n\n", None, "message")),
    ]
    assert cut(b"data: aaaaaaaa\n\n", limit=9) == [Piece(b"data: aaaaaaaa\n\n", lost=True)]
    assert not any(piece.lost for piece in cut(b":" * 20 + b"\n", b":" * 10, b":\n", limit=9))


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_a_number_goes_in_with_the_block_s_own_line_ending(ending: bytes) -> None:
    """Where the application has an id, that one stays."""
    raw = b"event: e" + ending + b"data: x" + ending * 2
    assert numbered(Block(raw, None, "e"), "r.1") == b"id: r.1" + ending + raw
    assert numbered(Block(raw, "", "e"), "r.1") == raw


def test_a_client_names_one_event_or_none() -> None:
    """Several equal lines are one; blanks are HTTP's, and wrong bytes what the client made of them."""
    assert id_of_request([]) == id_of_request([b" "]) == ""
    assert id_of_request([b"7", b" 7\t"]) == "7"
    assert id_of_request([b"7", b"8"]) is None
    assert id_of_request([b"\xff"]) == "\ufffd"


def test_what_is_looked_up_has_a_bound() -> None:
    """Two long ones are still two."""
    assert bounded("a" * 256) == "a" * 256
    assert len(bounded("a" * 257)) < 100
    assert bounded("a" * 257) != bounded("b" * 257)
    for odd in ("\ud800", "\0", "a\nb", "\U0001f600" * 65):
        assert bounded(odd).startswith("sha256:")
    assert bounded("\U0001f600 é" * 32).startswith("\U0001f600")
