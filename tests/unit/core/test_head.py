"""What does a reply's head say, and would a server send it as it is?

Clause C10.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from enum import IntEnum
from http import HTTPStatus
from typing import Any

import pytest

from tracegate.core.head import HeadReader, Media, ReplyHead, drop, reason_phrase, value_of

Lines = list[tuple[bytes, bytes]]
TYPE = b"content-type"


def read(headers: Any, status: Any = 200, reader: HeadReader | None = None) -> ReplyHead | str:  # noqa: ANN401
    """Read whatever an application may pass."""
    return (reader or HeadReader(b"x-trace-id")).read(status, headers)


def legal(headers: Any, status: Any = 200, reader: HeadReader | None = None) -> ReplyHead:  # noqa: ANN401
    """Read a head that a server would send."""
    head = read(headers, status, reader)
    assert isinstance(head, ReplyHead)
    return head


def memory(reader: HeadReader) -> list[Collection[tuple[bytes, bytes]]]:
    """Return each collection of lines that *reader* remembers."""
    kept = (getattr(reader, name) for name in HeadReader.__slots__)
    return [found for found in kept if isinstance(found, (dict, set))]


@pytest.mark.contract("C8")
def test_a_usual_head_is_read_as_it_is() -> None:
    """The same lines, in a list that the application cannot change any more."""
    lines = [(b"Content-Type", b"application/json"), (b"Content-Length", b"12"), (b"x-a", b"1")]
    head = legal(lines, 404)

    assert (head.status, head.media, head.length, head.cors, head.traceresponse) == (404, Media.JSON, 12, False, None)
    assert head.headers == lines
    assert head.headers is not lines
    assert head.trace_values == ()


@pytest.mark.contract("D1", "D3", "D6")
@pytest.mark.parametrize(
    ("value", "media"),
    [
        (b"application/json", Media.JSON),
        (b"Application/JSON ; charset=utf-8", Media.JSON),
        (b"application/problem+json", Media.JSON),
        (b"application/vnd.api+json;v=1", Media.JSON),
        (b"application/x.y-z+json", Media.JSON),
        (b"application/json\t;x", Media.JSON),
        (b"application/x-ndjson", Media.OTHER),
        (b"application/jsonl", Media.OTHER),
        (b"application/json-seq", Media.OTHER),
        (b"application/+json", Media.OTHER),
        (b"xapplication/json", Media.OTHER),
        (b"text/json", Media.TEXT),
        (b"image/svg+json", Media.JSON),
        (b"text/event-stream", Media.SSE),
        (b"TEXT/event-stream; charset=utf-8", Media.SSE),
        (b"text/event-streams", Media.TEXT),
        (b"text/plain", Media.TEXT),
        (b"text/html; charset=utf-8", Media.TEXT),
        (b"application/xhtml+xml", Media.TEXT),
        (b"application/octet-stream", Media.OTHER),
        (b"", Media.OTHER),
    ],
)
def test_the_media_type_says_what_the_contract_asks_of_a_body(value: bytes, media: int) -> None:
    """Any case, any parameters; NDJSON is no JSON."""
    assert legal([(b"Content-TYPE", value)]).media == media


@pytest.mark.contract("C3", "C6", "C7")
def test_lines_that_matter_are_noted() -> None:
    """The trace header's values in order, CORS, traceresponse."""
    head = legal(
        [
            (b"X-Trace-Id", b"a"),
            (b"Access-Control-Allow-Origin", b"*"),
            (b"x-trace-id", b"b"),
            (b"TraceResponse", b"00-x"),
            (b"x-trace-ids", b"c"),
        ]
    )

    assert (head.trace_values, head.cors, head.traceresponse) == ((b"a", b"b"), True, b"00-x")


@pytest.mark.contract("C10")
@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        ([(b"a b", b"c")], "illegal header name b'a b'"),
        ([(b"", b"c")], "illegal header name b''"),
        ([(b"a:", b"c")], "illegal header name b'a:'"),
        ([(b"a\n", b"c")], "illegal header name b'a\\n'"),
        ([("é".encode(), b"c")], "illegal header name b'\\xc3\\xa9'"),
        ([(b"\x00" * 100, b"c")], "illegal header name b'" + "\\x00" * 14 + "\\x"),
        ([(b"x-a", b"b\nc")], "illegal value of header 'x-a'"),
        ([(b"x-a", b"b\rc")], "illegal value of header 'x-a'"),
        ([(b"x-a", b"\0")], "illegal value of header 'x-a'"),
        ([(b"x-a", b"b\x7f")], "illegal value of header 'x-a'"),
        ([(b"x-a", b"b\x1f")], "illegal value of header 'x-a'"),
        ([(b"vary", b"b\n")], "illegal value of header 'vary'"),
        ([(b"x-a", b" padded "), (b"x-b", b"b\n")], "illegal value of header 'x-b'"),
        ([("x-a", b"b")], "a header is not a pair of byte strings"),
        ([(b"x-a", "b")], "a header is not a pair of byte strings"),
        ([(b"x-a", 7)], "a header is not a pair of byte strings"),
        ([(b"x-a", None)], "a header is not a pair of byte strings"),
        ([(None, b"a")], "a header is not a pair of byte strings"),
        ([(b"x-a",)], "a header is not a pair of byte strings"),
        ([(b"x-a", b"b", b"c")], "a header is not a pair of byte strings"),
        ([b"xa"], "a header is not a pair of byte strings"),
        ([7], "a header is not a pair of byte strings"),
        ([(memoryview(b"x-a"), b"b")], "a header is not a pair of byte strings"),
        ([(b"x-a", memoryview(b"b"))], "a header is not a pair of byte strings"),
        (None, "the headers are not pairs of byte strings"),
        (7, "the headers are not pairs of byte strings"),
        ((7,), "a header is not a pair of byte strings"),
        ([(b"content-length", b"-1")], "Content-Length is not a number"),
        ([(b"content-length", b"")], "Content-Length is not a number"),
        ([(b"content-length", b"1_0")], "Content-Length is not a number"),
        ([(b"content-length", b"+1")], "Content-Length is not a number"),
        ([(b"content-length", b"1, 1")], "Content-Length is not a number"),
        ([(b"content-length", b"9" * 19)], "Content-Length is not a number"),
        ([(b"content-length", b"1"), (b"Content-Length", b"2")], "two Content-Length lines differ"),
    ],
)
def test_a_head_that_a_server_would_refuse_or_mangle_is_found(headers: object, fault: str) -> None:
    """With what is wrong, escaped and bounded; twice, for what was learned from the first look."""
    reader = HeadReader(b"x-trace-id")

    assert read(headers, reader=reader) == fault
    assert read(headers, reader=reader) == fault


@pytest.mark.contract("C10")
@pytest.mark.parametrize(
    "line", [(bytearray(b"x-a"), b"b"), (b"x-a", bytearray(b"b")), (bytearray(b"vary"), bytearray(b"*"))]
)
def test_a_line_of_another_bytes_type_never_breaks_the_gate(line: object) -> None:
    """It is sent or refused, as the servers do; what is not done is to raise."""
    assert isinstance(read([line]), (ReplyHead, str))
    assert HeadReader(b"x-trace-id").glance([line]) is None  # type: ignore[list-item]


@pytest.mark.contract("C1", "C10")
def test_what_the_application_changes_later_changes_no_head() -> None:
    """A head may be held until its body is read, and was checked before."""
    name, value = bytearray(b"x-a"), bytearray(b"b")
    pair = [b"x-c", bytearray(b"d")]
    head = legal([(name, value), pair])

    name[:], value[:] = b"x\n", b"\r\n"
    pair[1] = b"\0"
    assert head.headers == [(b"x-a", b"b"), (b"x-c", b"d")]


@pytest.mark.contract("C10")
@pytest.mark.parametrize("status", [200, 204, 299, 304, 404, 418, 500, 599, 600, 999, HTTPStatus.NOT_FOUND])
def test_the_status_of_a_final_reply_is_taken(status: int) -> None:
    """Every number that a server sends."""
    assert legal([], status).status == status


class Answer(IntEnum):
    """An application's own kind of number."""

    OK = 200


@pytest.mark.contract("C10")
@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (100, "100 is not the status of a final reply"),
        (199, "199 is not the status of a final reply"),
        (1000, "1000 is not the status of a final reply"),
        (0, "0 is not the status of a final reply"),
        (-200, "-200 is not the status of a final reply"),
        (HTTPStatus.CONTINUE, "100 is not the status of a final reply"),
        ("200", "the status is not a number: '200'"),
        (200.0, "the status is not a number: 200.0"),
        (None, "the status is not a number: None"),
        (True, "the status is not a number: True"),
        ("x" * 99, "the status is not a number: '" + "x" * 39),
    ],
)
def test_any_other_status_is_found(status: object, fault: str) -> None:
    """Also what only looks like a number."""
    assert read([], status) == fault


@pytest.mark.contract("C8", "C10")
def test_white_space_around_a_value_is_no_part_of_it() -> None:
    """RFC 9110, section 5.5: one server strips it, another refuses it; all lines stay, in order."""
    lines = [(b"x-a", b" b\t"), (b"Content-Type", b"application/json "), (b"content-length", b" 3"), (b"c", b"d e")]
    head = legal(lines)

    assert head.headers == [
        (b"x-a", b"b"),
        (b"Content-Type", b"application/json"),
        (b"content-length", b"3"),
        (b"c", b"d e"),
    ]
    assert (head.media, head.length) == (Media.JSON, 3)
    assert lines[0] == (b"x-a", b" b\t")


@pytest.mark.contract("C10")
@pytest.mark.parametrize("value", [b"\ta\tb", "é".encode("latin-1"), b"\x80\xff", b"!~", b"XMLX", b" XMLX"])
def test_obsolete_text_and_tabs_in_a_value_are_legal(value: bytes) -> None:
    """Servers send them as they are."""
    assert legal([(b"x-a", value)]).headers == [(b"x-a", value.strip())]


@pytest.mark.contract("C10")
def test_equal_lengths_twice_are_one_length() -> None:
    """RFC 9110, section 8.6."""
    assert legal([(b"content-length", b"18"), (b"Content-Length", b"18")]).length == 18
    assert legal([(b"content-length", b"9" * 18)]).length == 10**18 - 1
    assert legal([(b"content-length", b"0")]).length == 0


@pytest.mark.contract("C8")
@pytest.mark.parametrize("form", [tuple, iter, dict.fromkeys])
def test_headers_of_any_iterable_are_taken_once(form: Any) -> None:  # noqa: ANN401 - a function over lines
    """Tuples, iterators, views: whatever the application has."""
    lines = [(b"content-type", b"application/json"), (b"x-a", b" 1")]
    head = legal(form(lines))

    assert head.headers == [(b"content-type", b"application/json"), (b"x-a", b"1")]
    assert head.media == Media.JSON


@pytest.mark.contract("C8")
def test_lines_that_are_lists_become_pairs() -> None:
    """JSON-born applications have lists for pairs; a server takes them."""
    seen: list[int] = []

    def lines() -> Iterator[list[bytes]]:
        seen.append(1)
        yield [b"content-type", b"text/event-stream"]

    head = legal(lines())

    assert (head.headers, head.media, seen) == ([(b"content-type", b"text/event-stream")], Media.SSE, [1])
    assert legal([[b"content-type", b"text/event-stream"]]).media == Media.SSE


@pytest.mark.contract("C1", "C10")
def test_what_a_reader_remembers_is_bounded_and_never_wrong() -> None:
    """However many values recur, each head is read as a fresh reader would."""
    reader = HeadReader(b"x-trace-id")

    for number in range(5000):
        lines = [(b"vary", b"a%d" % number), (b"content-length", b"%d" % number), (b"x-own", b"%d" % number)]
        assert legal(lines, reader=reader).length == number
        assert reader.glance(lines) == number
    assert all(len(kept) <= 2048 for kept in memory(reader))
    assert not [line for kept in memory(reader) for line in kept if line[0] == b"x-own"]


@pytest.mark.contract("C10")
def test_a_long_value_is_not_kept() -> None:
    """128 bytes are enough for what recurs: an attacker's header is not."""
    reader = HeadReader(b"x-trace-id")

    for value in (b"v" * 128, b"v" * 129):
        legal([(b"vary", value)], reader=reader)
        reader.glance([(b"vary", value)])
    assert [[len(value) for _, value in kept] for kept in memory(reader) if kept] == [[128], [128]]


@pytest.mark.contract("C1", "C10")
def test_a_reader_is_not_poisoned_by_lines_that_compare_equal() -> None:
    """A line is remembered as plain bytes, and an illegal one not at all."""
    reader = HeadReader(b"vary")

    assert read([(b"vary", b"a\n")], reader=reader) == "illegal value of header 'vary'"
    assert legal([(b"vary", b"a")], reader=reader).trace_values == (b"a",)
    assert legal([(b"vary", b"a")], reader=reader).trace_values == (b"a",)
    assert all(type(part) is bytes for kept in memory(reader) for line in kept for part in line)


class Odd(bytes):
    """A byte string of an application's own class."""

    def lower(self) -> bytes:
        return b"vary"


@pytest.mark.contract("C10")
def test_what_is_remembered_is_keyed_by_plain_bytes() -> None:
    """So that no class of an application stands in the gate's memory."""
    reader = HeadReader(b"x-trace-id")
    read([(Odd(b"x-odd"), Odd(b"1"))], reader=reader)

    assert {type(part) for kept in memory(reader) for line in kept for part in line} <= {bytes}


# The glance


@pytest.mark.contract("C8")
@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ([], -1),
        ([(b"content-type", b"application/json")], -1),
        ([(b"content-type", b"text/html"), (b"content-length", b"7")], 7),
        ([(b"content-type", b"image/png"), (b"Content-Length", b"0"), (b"vary", b"*")], 0),
        ([(b"x-anything", b"1"), (b"set-cookie", b"a=b")], -1),
        ([(b"content-length", b"9" * 18)], 10**18 - 1),
    ],
)
def test_a_glance_is_enough_for_a_head_without_anything_of_the_contracts(headers: Lines, length: int) -> None:
    """It returns the declared length; the first time, and from memory."""
    reader = HeadReader(b"x-trace-id")

    assert [reader.glance(headers) for _ in range(3)] == [length] * 3


@pytest.mark.contract("C1", "C3", "C6", "C7", "C10", "D6")
@pytest.mark.parametrize(
    "line",
    [
        (TYPE, b"text/event-stream"),
        (b"access-control-allow-origin", b"*"),
        (b"X-Trace-Id", b"a"),
        (b"traceresponse", b"00"),
        (b"x-a", b" padded"),
        (b"a b", b"c"),
        (b"x-a", b"b\n"),
        (b"content-length", b"x"),
        (b"content-length", b"-1"),
        (b"content-length", b"9" * 19),
        ("x-a", "b"),
        (b"x-a",),
        [b"x-a", b"b"],
        7,
    ],
)
def test_a_glance_is_not_enough_for_anything_else(line: Any) -> None:  # noqa: ANN401 - whatever an application passes
    """Then the head is read; before, after and between plain lines, and again."""
    reader = HeadReader(b"x-trace-id")
    plain = (b"vary", b"*")

    for lines in ([line], [plain, line], [line, plain], [plain, line, plain]) * 2:
        assert reader.glance(lines) is None


@pytest.mark.contract("C5", "C10")
def test_two_lengths_need_a_look_even_where_they_agree() -> None:
    """A glance knows one."""
    reader = HeadReader(b"x-trace-id")
    lines = [(b"content-length", b"0"), (b"content-length", b"0")]

    assert [reader.glance(lines) for _ in range(2)] == [None, None]


# The small tools


def test_lines_are_dropped_by_their_lower_case_name() -> None:
    """In a new list."""
    lines = [(b"ETag", b"1"), (b"b", b"2"), (b"etag", b"3")]

    assert drop(lines, frozenset((b"etag",))) == [(b"b", b"2")]
    assert len(lines) == 3


def test_the_value_of_a_name_is_that_of_its_first_line() -> None:
    """Or None."""
    lines = [(b"a", b"1"), (b"B", b"2"), (b"b", b"3")]

    assert (value_of(lines, b"b"), value_of(lines, b"c")) == (b"2", None)


@pytest.mark.contract("D2")
@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (404, "Not Found"),
        (200, "OK"),
        (499, "Error"),
        (999, "Error"),
        (400, "Bad Request"),
        (399, "Reply"),
        (299, "Reply"),
    ],
)
def test_every_status_has_a_reason_phrase(status: int, phrase: str) -> None:
    """RFC 9110's, or a general one."""
    assert reason_phrase(status) == phrase


def test_an_iterable_of_the_applications_is_not_changed() -> None:
    """One reused header list serves every reply."""
    lines: Iterable[tuple[bytes, bytes]] = [(b"x-a", b" 1 "), (b"x-trace-id", b"t")]
    reader = HeadReader(b"x-trace-id")
    for _ in range(3):
        legal(lines, reader=reader)

    assert lines == [(b"x-a", b" 1 "), (b"x-trace-id", b"t")]


@pytest.mark.contract("D1", "D6")
@pytest.mark.parametrize(
    ("types", "media"),
    [
        ((b"text/plain", b"application/json"), Media.JSON),
        ((b"application/json", b"text/plain"), Media.JSON),
        ((b"text/event-stream", b"image/png"), Media.SSE),
        ((b"image/png", b"text/event-stream"), Media.SSE),
        ((b"image/png", b"text/plain"), Media.TEXT),
    ],
)
def test_of_two_types_the_one_that_needs_the_trace_counts(types: tuple[bytes, bytes], media: int) -> None:
    """A client may believe either."""
    assert legal([(TYPE, value) for value in types]).media == media
