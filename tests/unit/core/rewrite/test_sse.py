"""Does every event of a stream carry the trace, at once, whatever its lines and its chunks look like?"""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator

import pytest

from tracegate.core.rewrite.sse import SseRewriter
from tracegate.core.rewrite.sse_event import EventMarker
from tracegate.core.trace_id import FORMATS, TraceId, parse_trace_id

TRACE = b"0af76519-16cd-43dd-8448-eb211c80319c"
HEX = TRACE.replace(b"-", b"")
OTHER = b"4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
MEMBER = b'"trace_id":"%s"' % TRACE
LINE = b"trace_id: " + TRACE


def rewriter(carrier: str = "auto", max_event_bytes: int = 1 << 20, *, keep: bool = False) -> SseRewriter:
    """Return a machine for the trace of these tests."""
    trace = TraceId.from_text(TRACE.decode())
    return SseRewriter(
        trace, carrier="field" if carrier == "field" else "auto", max_event_bytes=max_event_bytes, keep=keep
    )


def ways(stream: bytes) -> Iterator[list[bytes]]:
    """Yield *stream* in one chunk, byte by byte, and as a chunk that is not the first: it may take the short way."""
    yield [stream]
    yield [stream[i : i + 1] for i in range(len(stream))]
    if not stream.startswith(b"\xef\xbb\xbf"):
        yield [b"id\n\n", stream]


def marked(stream: bytes, carrier: str = "auto") -> bytes:
    """Return what comes out for *stream* in one chunk, which must be what comes out in any others."""
    outs: list[bytes] = []
    for chunks in ways(stream):
        machine = rewriter(carrier)
        outs.append(b"".join(map(machine.feed, chunks)) + machine.finish())
        assert not machine.overwrite
    assert {out.removeprefix(b"id\n\n") for out in outs} == {outs[0]}
    return outs[0]


def refused(stream: bytes, carrier: str = "auto") -> bytes:
    """Return what comes out for *stream* before it is refused, which it must be."""
    outs: list[bytes] = []
    for chunks in ways(stream):
        machine = rewriter(carrier)
        outs.append(b"".join(map(machine.feed, chunks)))
        assert machine.overwrite
        assert machine.at_boundary
        assert machine.finish() == b""
    assert {out.removeprefix(b"id\n\n") for out in outs} == {outs[0]}
    return outs[0]


# -- which carrier ----------------------------------------------------------------------------------------------------


@pytest.mark.contract("D6", "D1")
@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b'data: {"a":1}\n\n', b'data: {%s,"a":1}\n\n' % MEMBER),
        (b"data: {}\n\n", b"data: {%s}\n\n" % MEMBER),
        (b"data:{ }\n\n", b"data:{%s }\n\n" % MEMBER),
        (b'data:   {"a":1} \t\n\n', b'data:   {%s,"a":1} \t\n\n' % MEMBER),
        (b'data: { "a":1}\n\n', b'data: {%s, "a":1}\n\n' % MEMBER),
        (
            b'event: token\r\nid: 4\r\ndata: {"a":1}\r\nretry: 9\r\n\r\n',
            b'event: token\r\nid: 4\r\ndata: {%s,"a":1}\r\nretry: 9\r\n\r\n' % MEMBER,
        ),
        (b'data: {"a":1}\r\r', b'data: {%s,"a":1}\r\r' % MEMBER),
        (b': c\ndata: {"a":1}\n: c\n\n', b': c\ndata: {%s,"a":1}\n: c\n\n' % MEMBER),
        (b'data: {"a":1e999,"a":"\\ud800"}\n\n', b'data: {%s,"a":1e999,"a":"\\ud800"}\n\n' % MEMBER),
        (b'data: {"a":{"trace_id":"app"}}\n\n', b'data: {%s,"a":{"trace_id":"app"}}\n\n' % MEMBER),
        (b'data: {"a":"\xc3\xa9"}\n\n', b'data: {%s,"a":"\xc3\xa9"}\n\n' % MEMBER),
        (
            b'data: {"a":%s1%s}\n\n' % (b"[" * 3000, b"]" * 3000),
            b'data: {%s,"a":%s1%s}\n\n' % (MEMBER, b"[" * 3000, b"]" * 3000),
        ),
        (b'data: {"a":1,"trace_id":null}\n\n', b'data: {"a":1,%s}\n\n' % MEMBER),
        (b'data: {"a":1,"trace_id":""}\n\n', b'data: {"a":1,%s}\n\n' % MEMBER),
    ],
)
def test_data_that_is_an_object_gets_the_member(stream: bytes, expected: bytes) -> None:
    """Spliced inside its line as in a body, whatever stands around it; ``null`` and ``""`` are filled."""
    assert marked(stream) == expected


@pytest.mark.contract("D6")
@pytest.mark.parametrize(
    "stream",
    [
        b"data: token\n\n",
        b"data: [DONE]\n\n",
        b"data: [1]\n\n",
        b"data: 5\n\n",
        b"data: null\n\n",
        b'data: "{}"\n\n',
        b"data\n\n",
        b"data:\n\n",
        b"data: \n\n",
        b"data: {\n\n",
        b"data: {not json}\n\n",
        b'data: {"a":1} trailing\n\n',
        b'data: {"a":1}X\n\n',
        b'data: {"a":1}\x0b\n\n',
        b'data: \x0c{"a":1}\n\n',
        b'data: {"a":1}{}\n\n',
        b"data: \xef\xbb\xbf{}\n\n",
        b'data: {"a":"\xff"}\n\n',
        b'data: {"a":"\xed\xa0\x80"}\n\n',
        b"data: \xff\n\n",
        b'data: {\x00"\x00a\x00"\x00:\x001\x00}\x00\n\n',
        b'data: {"a":1,\ndata: "b":2}\n\n',
        b"data: {}\ndata\n\n",
        b"data: {}\ndata: {}\n\n",
        b'data: {"trace_id":null,\ndata: "b":2}\n\n',
        b'data: {"jsonrpc":"2.0","id":1}\n\n',
        b'data: {"id":1,"js\\u006fn\\u0072pc" : "2.0"}\n\n',
        b'data: {"a":"\\ud800","jsonrpc":"2.0"}\n\n',
        b'data: {"jsonrpc":"2.0","trace_id":"%s"}\n\n' % TRACE,
        b'data: {"jsonrpc":"2.0","trace_id":null}\n\n',
        b"event: x\nid: 1\nretry: 5\nunknown: {}\ndata: token\nData: {}\n\n",
    ],
)
def test_any_other_event_gets_one_field_line(stream: bytes) -> None:
    """Text, arrays, scalars, what is not JSON or not UTF-8, JSON-RPC and several lines: one line, as the last."""
    assert marked(stream) == stream[:-1] + LINE + b"\n\n"


@pytest.mark.contract("D6")
@pytest.mark.parametrize(
    "text",
    [b'{"a":{"jsonrpc":"2.0"}}', b'{"a":"jsonrpc"}', b'{"jsonrpcs":1}', b'{"a":"\\"jsonrpc\\":1"}', b'{"json":"rpc"}'],
)
def test_json_rpc_is_what_has_the_member_at_its_top(text: bytes) -> None:
    """Below it, in a string or in a longer name it says nothing."""
    assert marked(b"data: %s\n\n" % text) == b"data: {%s,%s\n\n" % (MEMBER, text[1:])


@pytest.mark.contract("D6")
@pytest.mark.parametrize(
    "name", [b"jsonrpc", b"\\u006Asonrp\\u0063", b"\\u006a\\u0073\\u006f\\u006e\\u0072\\u0070\\u0063"]
)
def test_json_rpc_is_found_in_what_msgspec_declines(name: bytes) -> None:
    """A lone surrogate or a great depth is legal JSON: there the name decides, escaped or not, wherever it stands."""
    for value in (b'"\\ud800"', b"[" * 2000 + b"]" * 2000):
        stream = b'data: {"a":%s,"%s":"2.0"}\n\n' % (value, name)
        assert marked(stream) == stream[:-1] + LINE + b"\n\n"
        stream = b'data: {"a":%s,"%s_":"2.0"}\n\n' % (value, name)
        assert marked(stream) == b"data: {%s,%s" % (MEMBER, stream[7:])


@pytest.mark.contract("D6")
@pytest.mark.parametrize(
    "data", [b"{}", b'{"a":1}', b'{"trace_id":null}', b'{"trace_id":"%s"}' % TRACE, b"x", b"", b' {"a":1}']
)
def test_the_field_carrier_always_takes_the_line(data: bytes) -> None:
    """``sse_carrier="field"`` leaves every object as it is."""
    stream = b"data: %s\n\n" % data
    assert marked(stream, "field") == stream[:-1] + LINE + b"\n\n"


@pytest.mark.contract("D6")
@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\n", b"data: a\n%s\n\n"),
        (b"data: a\r\n\r\n", b"data: a\r\n%s\r\n\r\n"),
        (b"data: a\r\r", b"data: a\r%s\r\r"),
        (b"event: b\r\ndata: a\n\r\n", b"event: b\r\ndata: a\n%s\n\r\n"),
        (b"event: b\ndata: a\r\n\n", b"event: b\ndata: a\r\n%s\r\n\n"),
        (b"data: a\n\r", b"data: a\n%s\n\r"),
        (b"data: a\r\r\n", b"data: a\r%s\r\r\n"),
        (b"data: a\rdata: b\n\n", b"data: a\rdata: b\n%s\n\n"),
        (b'data: {"a":1\r}\r\n\n', b'data: {"a":1\r}\r\n%s\r\n\n'),
        (b'data: {"a":1\r}\n\n', b'data: {"a":1\r}\n%s\n\n'),
    ],
)
def test_the_line_ends_as_the_line_before_it(stream: bytes, expected: bytes) -> None:
    """The block's own line end, that of its last line; the blank line keeps its own."""
    assert marked(stream) == expected % LINE


# -- what says it already ---------------------------------------------------------------------------------------------


@pytest.mark.contract("D1", "A1")
@pytest.mark.parametrize("spelling", [TRACE, TRACE.upper(), HEX, HEX.upper(), b"\\u0030" + TRACE[1:]])
def test_a_member_that_names_the_trace_stays(spelling: bytes) -> None:
    """In any spelling: not a byte changes."""
    for text in (b'{"trace_id":"%s"}', b'{"a":1, "trace\\u005fid" : "%s"}', b'{"trace_id":"%s","trace_id":"%s"}'):
        stream = b"data: " + text.replace(b"%s", spelling) + b"\n\n"
        assert marked(stream) == stream


@pytest.mark.contract("D6", "A1", "B8")
@pytest.mark.parametrize("spelling", [TRACE, HEX.upper(), b" " + TRACE, TRACE + b"\t"])
@pytest.mark.parametrize("data", [b"x", b"{}", b'{"jsonrpc":"2.0"}', b'{"trace_id":null}', b"{\ndata: }"])
def test_a_field_line_that_names_the_trace_is_enough(spelling: bytes, data: bytes) -> None:
    """The block is left as it is, wherever the line stands, in any spelling, and with either carrier."""
    for block in (b"trace_id: %s\ndata: %s\n\n", b"data: %s\ntrace_id:%s\nid: 3\n\n"):
        stream = block % ((spelling, data) if block.startswith(b"t") else (data, spelling))
        assert marked(stream) == stream
        assert marked(stream, "field") == stream


@pytest.mark.contract("D6")
@pytest.mark.parametrize("line", [b"trace_id", b"trace_id:", b"trace_id: ", b"trace_id: \t "])
def test_an_empty_field_line_names_nobody(line: bytes) -> None:
    """It stays, and the line that names the trace is the last, which counts; an object gets its member as well."""
    assert marked(line + b"\ndata: x\n\n") == line + b"\ndata: x\n" + LINE + b"\n\n"
    assert marked(b"data: {}\n" + line + b"\n\n") == b"data: {%s}\n%s\n%s\n\n" % (MEMBER, line, LINE)
    assert marked(b"data: {}\n" + line + b"\n\n", "field") == b"data: {}\n%s\n%s\n\n" % (line, LINE)
    equal = b"data: {}\n" + line + b"\n" + LINE + b"\n\n"
    assert marked(equal) == equal


@pytest.mark.contract("D7", "D1")
@pytest.mark.parametrize("carrier", ["auto", "field"])
@pytest.mark.parametrize(
    "block",
    [
        b'data: {"trace_id":"%s"}\n\n' % OTHER,
        b'data: {"trace_id":"app"}\r\n\r\n',
        b'data: {"trace_id":1}\n\n',
        b'data: {"trace_id":[]}\n\n',
        b'data: {"a":1,"trace\\u005fid":"x"}\n\n',
        b'data: {"trace_id":"%s","trace_id":"%s"}\n\n' % (TRACE, OTHER),
        b'data: {"trace_id":"%s","trace_id":null,"trace_id":"x"}\n\n' % TRACE,
        b'data:  {"trace_id":"app"}\n\n',
        b'data: {"jsonrpc":"2.0","trace_id":"app"}\n\n',
        b'data: {"trace_id":"app","a":"\xff"}\n\n',
        b'data: {"trace_id":"app",\ndata: "b":2}\n\n',
        b'data:\ndata: {"trace_id":"app"}\n\n',
        b"data: x\ntrace_id: %s\n\n" % OTHER,
        b"trace_id: app\ndata: {}\n\n",
        b"trace_id: \xff\ndata: {}\n\n",
        b"trace_id: X%sX\ndata: {}\n\n" % TRACE,
        b"trace_id: \x0c%s\ndata: {}\n\n" % TRACE,
        b"trace_id: %s\x0b\ndata: {}\n\n" % TRACE,
        b"data: x\n%s\ntrace_id: %s\n\n" % (LINE, OTHER),
        b"data: x\ntrace_id: %s %s\n\n" % (TRACE, TRACE),
        b'data: {"trace_id":"app"}\n%s\n\n' % LINE,
    ],
)
def test_an_event_that_names_another_trace_is_refused(block: bytes, carrier: str) -> None:
    """In its data as a client reads it, or in a field: what stands before it goes out, it and the rest do not."""
    assert refused(block, carrier) == b""
    before = b": ping\n\ndata: a\n%s\n\n" % LINE
    assert refused(before + block + b"data: b\n\n", carrier) == before


@pytest.mark.contract("D7")
def test_what_follows_a_refused_event_is_swallowed() -> None:
    """Later chunks and the end give nothing, the simplest events included."""
    machine = rewriter()
    assert machine.feed(b"data: 1\n\n")
    assert machine.feed(b'data: {"trace_id":"app"}\n\ndata: 2\n\n') == b""
    assert machine.feed(b"data: 3\n\n") == machine.feed(b": ping\n\n") == machine.finish() == b""
    assert machine.events == 1


@pytest.mark.contract("D6")
@pytest.mark.parametrize(
    "stream",
    [
        b"trace_id: app\n\n",
        b'id: 4\ntrace_id: app\n: {"trace_id":"app"}\n\n',
        b'event: {"trace_id":"app"}\n\n',
        b'data: {"trace_id":"app"}',
        b'data: {"trace_id":"app"}\n',
        b'data: {"trace_id":"app"}\r\n',
        b"data: a\ntrace_id: app\n",
        b"data \n\n",
        b"dataX\n\n",
    ],
)
def test_what_is_no_event_names_nobody(stream: bytes) -> None:
    """A block without data, and a block that does not end, are not dispatched: they pass as they are."""
    assert marked(stream) == stream


@pytest.mark.contract("C3", "D7")
def test_what_names_another_trace_is_delivered_where_the_policy_keeps_it() -> None:
    """``on_conflict="keep"``: untouched, counted, and the stream goes on."""
    machine = rewriter(keep=True)
    others = b'data: {"trace_id":"app"}\n\nid: 3\ntrace_id: app\ndata: x\n\n'

    assert machine.feed(b"data: 1\n\n" + others + b"data: 2\n\n") == b"data: 1\n%s\n\n%sdata: 2\n%s\n\n" % (
        LINE,
        others,
        LINE,
    )
    assert machine.feed(others) == others
    assert (machine.kept, machine.events, machine.overwrite) == (4, 2, False)


@pytest.mark.contract("A1", "A3")
def test_an_opaque_trace_is_named_by_its_spelling() -> None:
    """Other fleets' ids work the same: the spelling goes out as it came, and is known again."""
    trace = parse_trace_id(b"req/42=~", tuple(FORMATS))
    assert trace is not None
    machine = SseRewriter(trace)
    stream = b"data: x\n\ndata: {}\n\ndata: y\ntrace_id: req/42=~\n\n"

    assert (
        machine.feed(stream)
        == b'data: x\ntrace_id: req/42=~\n\ndata: {"trace_id":"req/42=~"}\n\ndata: y\ntrace_id: req/42=~\n\n'
    )


# -- what is no event -------------------------------------------------------------------------------------------------


@pytest.mark.contract("D6")
@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"\n",
        b"\r\n\r\n\n\r\r",
        b": ping\n\n",
        b":\r\n",
        b":\n:\n",
        b"event: ping\n\n",
        b"id: 4\r\nretry: 100\r\n\r\n",
        b"retry: 1\n\n: c\n\nid\n\n",
        b"unknown: x\nDATA: {}\n data: {}\ndatax\nxdata: {}\ndata : {}\n\n",
        b"\xef\xbb\xbf",
        b"\xef\xbb",
        b"\xef\xbb\xbf\xef\xbb\xbfdata: {}\n\n",
        b"\xef\xbb\xbf: c\n\n",
        b"\xef\xbbdata: {}\n\n",
        b"no line end",
        b"event: a\n\xef\xbb\xbfdata: {}\n\n",
    ],
)
def test_what_is_no_event_passes_byte_for_byte(stream: bytes) -> None:
    """Comments, pings, blocks without data, unknown fields, blank lines, byte order marks: nothing is added."""
    assert marked(stream) == stream
    machine = rewriter()
    machine.feed(stream)
    assert machine.events == 0


@pytest.mark.contract("D6")
def test_only_the_first_byte_order_mark_is_one() -> None:
    """The one at the start hides nothing; a later one makes its line an unknown field."""
    assert marked(b"\xef\xbb\xbfdata: {}\n\n\xef\xbb\xbfdata: {}\n\n") == (
        b"\xef\xbb\xbfdata: {%s}\n\n\xef\xbb\xbfdata: {}\n\n" % MEMBER
    )
    assert rewriter().feed(b"\xef\xbb\xbf") == b"\xef\xbb\xbf"
    for first in (b"data: {}\n\n", b"data: 1\n\n"):
        machine = rewriter()
        machine.feed(first)
        assert machine.feed(b"\xef\xbb\xbfdata: {}\n\n") == b"\xef\xbb\xbfdata: {}\n\n"


# -- when -------------------------------------------------------------------------------------------------------------


@pytest.mark.contract("D6")
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_is_out_with_the_chunk_that_completes_it(end: bytes) -> None:
    """The CR of the blank line is enough: the LF that follows belongs to it, and passes on its own."""
    machine = rewriter()
    assert machine.feed(b"data: a" + end) == b""
    assert machine.feed(end[:1]) == b"data: a" + end + LINE + end + end[:1]
    assert machine.feed(end[1:]) == end[1:]
    assert machine.feed(b"data: {}" + end + end[:1]) == b"data: {%s}" % MEMBER + end + end[:1]
    assert machine.feed(end[1:] + b"data: b" + end + end[:1]) == end[1:] + b"data: b" + end + LINE + end + end[:1]


@pytest.mark.contract("D6")
def test_a_cut_line_end_within_a_block_is_one_line_end() -> None:
    """CR | LF after a field is not a blank line."""
    machine = rewriter()
    assert machine.feed(b"data: a\r") == b""
    assert machine.feed(b"\ndata: b\r") == b""
    assert machine.feed(b"\n\r") == b"data: a\r\ndata: b\r\n" + LINE + b"\r\n\r"
    assert machine.feed(b"\n") == b"\n"
    assert machine.events == 1


@pytest.mark.contract("C8", "D6")
def test_comments_and_blank_lines_between_blocks_do_not_wait() -> None:
    """A heartbeat of a bare comment line goes out at once, so that no proxy takes the stream for dead."""
    machine = rewriter()
    for beat in (b":\n", b": ping\r\n", b"\n", b"\r", b":\r", b"\n"):
        assert machine.feed(beat) == beat
        assert machine.at_boundary
    assert machine.feed(b": half") == b""
    assert machine.feed(b"\n:") == b": half\n"
    assert machine.feed(b"\nda") == b":\n"


@pytest.mark.contract("D7")
def test_an_unfinished_block_is_held_back() -> None:
    """Nothing of it is out, so that it can be dropped for an error event."""
    machine = rewriter()
    assert machine.feed(b"data: a\n\nid: 5\nevent: b\ndata: {") == b"data: a\n" + LINE + b"\n\n"
    assert machine.at_boundary
    assert machine.feed(b'"a"') == b""
    assert machine.at_boundary
    assert machine.finish() == b'id: 5\nevent: b\ndata: {"a"'


@pytest.mark.contract("D6")
def test_several_events_in_one_chunk_are_each_marked() -> None:
    """With what stands between them, and the one that goes on in the next chunk."""
    machine = rewriter()
    assert machine.feed(b": c\n\ndata: 1\n\n\ndata: {}\n\nid: 7\n\ndata: 2\n\nda") == (
        b": c\n\ndata: 1\n%s\n\n\ndata: {%s}\n\nid: 7\n\ndata: 2\n%s\n\n" % (LINE, MEMBER, LINE)
    )
    assert machine.feed(b"ta: 3\n\n") == b"data: 3\n" + LINE + b"\n\n"
    assert machine.events == 4


@pytest.mark.contract("D6")
def test_the_short_way_decides_as_the_long_one() -> None:
    """A chunk that is one event goes another way than one in pieces, and comes out the same."""
    for data in (
        b'{"a":1}',
        b'{"a":1} ',
        b"{}",
        b"x",
        b"",
        b'{"jsonrpc":1}',
        b'{"trace_id":"%s"}' % TRACE,
        b'{"a":"\xff"}',
        b"{",
        b'{"a"',
    ):
        for frame in (
            b"data: %s\n\n",
            b"data:%s\r\n\r\n",
            b"id: 1\ndata: %s\nevent: e\n\n",
            b"event: e\r\ndata: %s\nid: 2\r\n\n",
        ):
            for carrier in ("auto", "field"):
                machine, other = rewriter(carrier), rewriter(carrier)
                chunk = frame % data
                machine.feed(b"\n")
                assert machine.feed(chunk) == b"".join(map(other.feed, (chunk[:4], chunk[4:])))


@pytest.mark.contract("D6")
@pytest.mark.parametrize("data", [b"x", b'{"a":1}', '{"a":"é"}'.encode(), b'{"trace_id":"%s"}' % TRACE])
@pytest.mark.parametrize("frame", [b"data: %s\n\n", b"event: e\r\nid: 1\r\ndata: %s\r\n\r\n"])
def test_the_short_way_is_taken_by_the_usual_event(frame: bytes, data: bytes) -> None:
    """Whatever ends its lines, and in any language: of the two ways it is the fast one."""
    short = EventMarker(TraceId.from_text(TRACE.decode()), "auto", keep=False)

    assert short.mark_simple(frame % data) == marked(frame % data)


@pytest.mark.contract("D6")
@pytest.mark.parametrize(
    "chunk",
    [
        b'data: {"a":1}\rdata: {}\n\n',
        b"data: x\rtrace_id: app\n\n",
        b"event: x\rdata: 1\ndata: 2\n\n",
        b"data: 1\nevent: x\rdata: 2\n\n",
    ],
)
def test_a_line_end_that_is_only_a_cr_is_seen_among_others(chunk: bytes) -> None:
    """Whoever looks for LF alone sees other lines."""
    machine = rewriter(keep=True)
    machine.feed(b"\n")
    out = machine.feed(chunk)
    assert out == (chunk if machine.kept else chunk[:-1] + LINE + b"\n\n")
    assert machine.kept == (b"app" in chunk)


# -- what is too long to hold -----------------------------------------------------------------------------------------


@pytest.mark.contract("D6")
@pytest.mark.parametrize("size", [200, 60_000, 1 << 24])
def test_a_line_of_10_mb_is_spliced_in_constant_memory(size: int) -> None:
    """It is handed out while it comes in; but for its chunks and the bound, nothing of it is held."""
    text = b"some words " * (950_000 if size > 200 else 190_000)
    stream = b'id: 3\ndata: {"text":"' + text + b'"}\n\n'
    machine = rewriter()
    handed_out = held = 0
    last = b""
    tracemalloc.start()
    try:
        for i in range(0, len(stream), size):
            last = machine.feed(stream[i : i + size])
            handed_out += len(last)
            held = max(held, i + size - handed_out)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert handed_out == len(stream) + len(MEMBER) + 1
    assert last.endswith(b"," + MEMBER + b"}\n\n")
    assert machine.events == 1
    assert size > len(stream) or (held <= (1 << 20) + size and peak < 8 << 20)


@pytest.mark.contract("D6", "D7")
def test_a_part_of_a_long_event_is_no_place_for_another_one() -> None:
    """Between the first part and the end, ``at_boundary`` says so."""
    machine = rewriter(max_event_bytes=100)
    sent = [
        (b"data: 1\n\ndata: {", b"data: 1\n%s\n\n" % LINE, True),
        (b'"a":"' + b"x" * 100, b'data: {"a":"' + b"x" * 100, False),
        (b'"}', b'"', False),
        (b"\n\ndata: 2\n\n", b",%s}\n\ndata: 2\n%s\n\n" % (MEMBER, LINE), True),
    ]
    assert [(chunk, machine.feed(chunk), machine.at_boundary) for chunk, _, _ in sent] == sent
    assert machine.events == 3


@pytest.mark.contract("D6")
def test_a_long_comment_passes_while_it_comes_in() -> None:
    """It needs no bound, and its end is the end of the line."""
    machine = rewriter(max_event_bytes=100)
    sent = [
        (b":" + b"x" * 101, b":" + b"x" * 101, False),
        (b"y", b"y", False),
        (b"\ndata: 1\n", b"\n", True),
        (b"\n", b"data: 1\n" + LINE + b"\n\n", True),
    ]
    assert [(chunk, machine.feed(chunk), machine.at_boundary) for chunk, _, _ in sent] == sent


@pytest.mark.contract("D6")
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_how_long_an_event_is_does_not_depend_on_the_cut(end: bytes) -> None:
    """The bound counts up to the first byte of the blank line: a late LF must not make a difference."""
    block = b'data: {"a":1}' + end + end
    bound = len(b'data: {"a":1}' + end + end[:1])
    for cut in range(len(block) + 1):
        for given, expected in ((bound, b'data: {%s,"a":1}'), (bound - 1, b'data: {"a":1,%s}')):
            machine = rewriter(max_event_bytes=given)
            machine.feed(b"\n")
            assert machine.feed(block[:cut]) + machine.feed(block[cut:]) == expected % MEMBER + end + end


@pytest.mark.contract("D6")
def test_the_default_bound_is_1_mib() -> None:
    """Up to it, the member goes behind the first brace; above it, before the last."""
    for extra, expected in ((0, b"data: {" + MEMBER), (1, b'data: {"a":"x')):
        machine = rewriter()
        trace = TraceId.from_text(TRACE.decode())
        for made in (machine, SseRewriter(trace)):
            stream = b'data: {"a":"' + b"x" * ((1 << 20) - 16 + extra) + b'"}\n\n'
            assert len(stream) == (1 << 20) + extra
            assert made.feed(stream).startswith(expected)
            assert json.loads(stream[6:])


@pytest.mark.contract("D6", "D7")
def test_an_event_is_held_up_to_the_bound() -> None:
    """The bound itself is within it: only then has a part of the event left, and no other one may follow."""
    machine = rewriter(max_event_bytes=10)

    assert (machine.feed(b"data: xxxx"), machine.at_boundary) == (b"", True)
    assert (machine.feed(b"x"), machine.at_boundary) == (b"data: xxxxx", False)


@pytest.mark.contract("C3", "D7")
def test_unless_somebody_says_so_an_event_of_another_trace_is_not_kept() -> None:
    """The default is the strict one."""
    machine = SseRewriter(TraceId.from_text(TRACE.decode()))

    assert machine.feed(b"data: x\ntrace_id: app\n\n") == b""
    assert (machine.overwrite, machine.kept) == (True, 0)


@pytest.mark.contract("D6")
def test_an_unfinished_long_block_passes_unchanged() -> None:
    """A clean end within it: what was held back follows, and no trace, for no client dispatches it."""
    machine = rewriter(max_event_bytes=10)
    stream = b'event: x\ndata: {"a":1}\r\nid: 4\r'
    assert b"".join(machine.feed(stream[i : i + 1]) for i in range(len(stream))) + machine.finish() == stream
    assert machine.events == 0
