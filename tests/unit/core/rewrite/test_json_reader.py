"""Does the reader keep its place, its bounds and its linear cost, whatever the text and its pieces?"""

from __future__ import annotations

from typing import SupportsIndex, overload

import pytest

from tracegate.core.rewrite import json_reader
from tracegate.core.rewrite.json_grammar import TABLE, Stop
from tracegate.core.rewrite.json_reader import MAX_DEPTH, JsonReader

WINDOW = json_reader._WINDOW


def read(*pieces: bytes, inner: bool = False) -> tuple[list[tuple[int, Stop]], bool]:
    """Return what a reader yields for all *pieces*, and whether the text is then complete."""
    reader = JsonReader(inner=inner)
    return [found for piece in pieces for found in reader.read(piece)], reader.complete


def is_json(*pieces: bytes) -> bool:
    """Return whether *pieces* are one whole JSON text."""
    found, complete = read(*pieces)
    assert (Stop.FAULT in [stop for _, stop in found]) <= (not complete)
    return complete


class Counted(bytes):
    """Bytes that count how often one of them is looked at."""

    looks = 0

    @overload
    def __getitem__(self, key: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, key: slice, /) -> bytes: ...
    def __getitem__(self, key: SupportsIndex | slice, /) -> int | bytes:
        """Count, and look."""
        self.looks += not isinstance(key, slice)
        return super().__getitem__(key)


def looks(text: bytes) -> int:
    """Return how often the reader looks at a byte of *text*."""
    counted = Counted(text)
    list(JsonReader().read(counted))
    return counted.looks


@pytest.mark.contract("D1")
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"trace_id" : ', b"}]")])
def test_depth_costs_no_recursion(opening: bytes, closing: bytes) -> None:
    """A text 100,000 containers deep is read, closed or not; one closed wrongly is at fault."""
    assert is_json(opening * 100_000 + b"0" + closing * 100_000)
    assert not is_json(opening * 100_000)
    assert not is_json(opening * 100_000 + b"0" + closing * 99_999 + b")")


def test_depth_has_a_bound() -> None:
    """As many containers as the bound allows are read; with one more, the text is at fault."""
    assert MAX_DEPTH == 1 << 20
    for opening in (b"[", b'{"a":'):
        reader = JsonReader()
        list(reader.read(opening))
        reader._stack += reader._stack[1:] * (MAX_DEPTH - 2)  # as if it had been said that often
        assert list(reader.read(opening)) == [(len(opening), Stop.MORE)]
        assert len(reader._stack) == MAX_DEPTH + 1
        assert list(reader.read(opening))[-1][1] is (Stop.MORE if opening == b"[" else Stop.FAULT)
        assert not reader.complete
        assert list(reader.read(b"]")) == [(0, Stop.FAULT)]


@pytest.mark.parametrize("number", [b"9" * 5000, b"-0." + b"0" * 5000, b"1e" + b"9" * 5000])
def test_a_number_may_be_as_long_as_it_likes(number: bytes) -> None:
    """5,000 digits are 5,000 bytes to copy, whole and one by one, and never a number to compute."""
    text = b'{"a":' + number + b"}"
    assert is_json(text)
    assert is_json(*(text[i : i + 1] for i in range(len(text))))
    assert is_json(number)
    assert not is_json(number + b"_")


def test_a_text_is_complete_after_its_value_and_not_before() -> None:
    """A number is complete where it may end, though it may go on."""
    for text in (
        b"0",
        b"-1",
        b"1.5",
        b"1e5",
        b"1e-5",
        b'""',
        b"true",
        b"[]",
        b"{}",
        b" {} ",
        b"\xef\xbb\xbf{}",
        b"12 ",
    ):
        assert is_json(text), text
    for text in (
        b"",
        b" ",
        b"-",
        b"1.",
        b"1e",
        b"1e-",
        b'"',
        b"tru",
        b"[",
        b"{",
        b"[1",
        b"[1 ",
        b"\xef\xbb\xbf",
        b"\xef",
    ):
        assert not is_json(text), text


def test_an_inner_text_has_no_mark_and_no_trace_id_of_its_own() -> None:
    """Inside another text, an object is a value like others."""
    assert read(b'{"trace_id":1}', inner=True) == ([(14, Stop.MORE)], True)
    assert read(b"\xef\xbb\xbf{}", inner=True)[0] == [(0, Stop.FAULT)]


def test_a_nested_trace_id_is_no_stop() -> None:
    """Only the outermost object's counts."""
    for text in (
        b'[{"trace_id":1}]',
        b'{"a":{"trace_id":1}}',
        b'{"a":[{"trace_id":1}]}',
        b'{"trace_id":{"trace_id":1}}',
    ):
        assert [stop for _, stop in read(text)[0]].count(Stop.VALUE) == text.startswith(b'{"t')


def test_an_empty_object_is_told_from_others() -> None:
    """Because a member put into it needs no comma."""
    assert read(b"{ }")[0] == [(3, Stop.CLOSED_EMPTY), (3, Stop.MORE)]
    assert read(b'{"a":{}}')[0] == [(8, Stop.CLOSED), (8, Stop.MORE)]


def test_every_member_of_the_name_is_a_stop() -> None:
    """Two of them are four stops, in order, without the blanks around the values."""
    text = b'{"trace_id": null ,"a":1,"tr\\u0061ce_id":\t"x"\n}'
    null, string = text.index(b"null"), text.index(b'"x"')
    assert read(text)[0] == [
        (null, Stop.VALUE),
        (null + 4, Stop.VALUE_END),
        (string, Stop.VALUE),
        (string + 3, Stop.VALUE_END),
        (len(text), Stop.CLOSED),
        (len(text), Stop.MORE),
    ]


def test_a_piece_without_bytes_changes_nothing() -> None:
    """It is read like any other."""
    assert read(b"", b'{"a"', b"", b":1}", b"")[1]


@pytest.mark.parametrize("character", ["é", "€", "\U0001f600"])
@pytest.mark.parametrize("before", range(-4, 1))
def test_a_character_may_lie_across_the_end_of_a_window(character: str, before: int) -> None:
    """UTF-8 is checked a window at a time; where one ends within a character, the table reads it byte by byte."""
    padding = b"x" * (WINDOW + before)
    text = b'{"a":"' + "é".encode() + padding + character.encode() * 3 + padding + b'"}'
    assert is_json(text)
    assert is_json(text[:WINDOW], text[WINDOW:])
    broken = text.replace(character.encode() * 3, character.encode()[:-1])
    assert [stop for _, stop in read(broken)[0]] == [Stop.FAULT]


@pytest.mark.parametrize(
    "flaw", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xe2\x82", b"\xf0\x9f"]
)
def test_what_is_not_utf_8_is_at_fault_wherever_it_stands(flaw: bytes) -> None:
    """In short texts and behind many windows, in a value and in a key."""
    for length in (0, 1, WINDOW - 1, WINDOW, 3 * WINDOW + 1):
        for text in (b'["' + b"x" * length + flaw + b'"]', b'{"' + b"x" * length + flaw + b'":1}'):
            assert [stop for _, stop in read(text)[0]] == [Stop.FAULT], text[-20:]


@pytest.mark.parametrize("count", [249, 250, 251, 252, 502])
@pytest.mark.parametrize(
    "unit", [b"1,", b'"a",', b'"\\n\\u00e9",', b"[1],", b"[[]],", b'{"a":1},', b"[" + b"1," * 250 + b"1],", b"null ,"]
)
def test_a_stretch_may_be_longer_than_a_leap(unit: bytes, count: int) -> None:
    """Runs of elements and members, nested or not, go on behind the 250 that one leap covers."""
    assert is_json(b"[" + unit * count + b"0]")
    assert not is_json(b"[" + unit * count + b"]")
    member = b'"a":' + unit
    for before, after in ((b"{", b"}"), (b'[{"x":{', b"}}]")):
        assert is_json(before + member * count + b'"b":0' + after)
        assert not is_json(before + member * count + after)
        assert not is_json(before + member * count + b'"b"' + after)
    last = before + member * count + b'"trace_id":0}'
    assert Stop.VALUE not in [stop for _, stop in read(last)[0]]


@pytest.mark.contract("D1")
@pytest.mark.parametrize("count", [0, 1, 249, 250, 251, 600])
def test_a_trace_id_behind_many_members_is_found(count: int) -> None:
    """No leap jumps over the name, escaped or not."""
    for name in (b"trace_id", rb"trace\u005Fid", rb"trace\u005fid"):
        text = b"{" + b'"a" : [1, 2] , ' * count + b'"' + name + b'":null,"b":0}'
        at = text.index(b"null")
        assert read(text)[0][:2] == [(at, Stop.VALUE), (at + 4, Stop.VALUE_END)]


@pytest.mark.parametrize("count", [0, 1, 249, 250, 251, 5000])
def test_a_string_may_have_any_number_of_escapes(count: int) -> None:
    """As a value, as a key and as an element, and not with one that is none."""
    string = b'"' + rb"x\n\ud800" * count + b'"'
    for text in (string, b"[0," + string + b"]", b"{" + string + b":" + string + b"}", b'{"a":{' + string + b":0}}"):
        assert is_json(text)
        assert not is_json(text.replace(b'"', rb'\x"', 2))


LONG_TEXTS = {
    "elements": (b"[", b"1,", b"1]"),
    "members": (b"{", b'"a":1,', b'"a":1}'),
    "records": (b'{"items":[', b'{"id":1,"tags":["a"],"text":"b c"},', b"{}]}"),
    "escapes": (b'["', rb"\n", b'"]'),
    "characters": (b'["', "é€".encode(), b'"]'),
    "text": (b'["', b"some words ", b'"]'),
    "digits": (b"", b"12345", b""),
    "blanks": (b"[", b" \n\t", b"]"),
    "deep arrays": (b"", b"[", b""),
    "deep objects": (b"", b'{"a":', b""),
    "deep and wide": (b"", b'[1,{"a":1,"b":', b""),
    "wide and shallow": (b"[", b"[[1,2],[]],", b"[]]"),
    "names": (b"{", b'"trace_id":null,', b'"a":"\xc3\xa9"}'),
    "key": (b'{"', b"k\\u00e9", b'":1}'),
    "no JSON": (b"[", b'"a":1,', b"]"),
}


@pytest.mark.parametrize("name", LONG_TEXTS)
def test_a_text_twice_as_long_is_looked_at_twice_as_often(name: str) -> None:
    """Looks at single bytes are counted, no time is taken; leaps only make them fewer."""
    before, unit, after = LONG_TEXTS[name]
    once, twice = (looks(before + unit * count + after) for count in (1500, 3000))
    assert twice <= 2 * once + 10
    assert once <= 2 * (len(before) + len(unit) * 1500 + len(after))


@pytest.mark.parametrize(
    ("name", "bytes_per_look"),
    [
        ("elements", 100),
        ("members", 100),
        ("records", 4),
        ("escapes", 100),
        ("characters", 500),
        ("text", 500),
        ("digits", 500),
        ("blanks", 500),
        ("wide and shallow", 1),
    ],
)
def test_leaps_make_the_looks_few(name: str, bytes_per_look: int) -> None:
    """Where a text is long of one kind, the reader hardly looks at single bytes."""
    before, unit, after = LONG_TEXTS[name]
    text = before + unit * 1500 + after
    assert looks(text) <= len(text) / bytes_per_look
    assert looks(text.replace(b",", b" ,\n")) <= 2 * looks(text) + 10


@pytest.mark.parametrize("number", [b"0", b"-1", b"10", b"1.5", b"-0.25", b"1e5", b"1E+5", b"2e-7", b"-0", b"1.0e0"])
@pytest.mark.parametrize("around", [b"%b,", b" %b ,", b"%b\n,", b"[%b],", b'"\\u00E9\\"/",%b,', b"true,false,null,%b,"])
def test_leaps_take_every_kind_of_number(number: bytes, around: bytes) -> None:
    """A run of any of them costs few looks, nested in an array as well."""
    text = b"[" + around.replace(b"%b", number) * 240 + b"0]"
    assert is_json(text)
    assert looks(text) <= 40


def test_leaps_add_nothing_to_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them, the reader finds the same in every kind of long text."""
    texts = [before + unit * 300 + after for before, unit, after in LONG_TEXTS.values()]
    with_leaps = [read(text) for text in texts]
    monkeypatch.setattr(json_reader, "_ROUTES", TABLE)
    assert [read(text) for text in texts] == with_leaps


def test_between_two_pieces_a_reader_keeps_one_number_and_a_byte_per_open_container() -> None:
    """Whatever it has read: no key, no value, no piece."""
    reader = JsonReader()
    for piece in (b'{"' + b"k" * 100_000, b'":[[{"trace_id":"' + b"v" * 100_000, b'"' + b" " * 100_000):
        list(reader.read(piece))
    assert JsonReader.__slots__ == ("_stack", "_state")
    assert len(reader._stack) == 5
