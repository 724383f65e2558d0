"""Does an event get the trace that is too long to be held, while it is handed out?"""

from __future__ import annotations

import pytest

from tracegate.core.rewrite.sse import SseRewriter
from tracegate.core.trace_id import TraceId

TRACE = b"0af76519-16cd-43dd-8448-eb211c80319c"
OTHER = b"4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
MEMBER = b'"trace_id":"%s"' % TRACE
LINE = b"trace_id: " + TRACE


def rewriter(carrier: str = "auto", *, keep: bool = False) -> SseRewriter:
    """Return a machine that finds every event too long."""
    trace = TraceId.from_text(TRACE.decode())
    return SseRewriter(trace, carrier="field" if carrier == "field" else "auto", max_event_bytes=1, keep=keep)


def marked(stream: bytes, carrier: str = "auto", *, keep: bool = False) -> bytes:
    """Return what comes out for *stream*, the same in one chunk, in two, and byte by byte."""
    outs: set[bytes] = set()
    cuts = [[stream[:cut], stream[cut:]] for cut in range(len(stream) + 1)]
    for chunks in (*cuts, [stream[i : i + 1] for i in range(len(stream))]):
        machine = rewriter(carrier, keep=keep)
        outs.add(b"".join(map(machine.feed, chunks)) + machine.finish())
        assert not machine.overwrite
    (out,) = outs
    return out


@pytest.mark.contract("D6", "D1")
@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b'data: {"a":1}\n\n', b'data: {"a":1,%s}\n\n' % MEMBER),
        (b"data: {}\n\n", b"data: {%s}\n\n" % MEMBER),
        (b"data:{ }\r\r", b"data:{ %s}\r\r" % MEMBER),
        (b'data:   { "a":{}} \t\n\n', b'data:   { "a":{},%s} \t\n\n' % MEMBER),
        (
            b'id: 4\r\ndata: {"a":1}\r\nevent: token\r\n\r\n',
            b'id: 4\r\ndata: {"a":1,%s}\r\nevent: token\r\n\r\n' % MEMBER,
        ),
        (b'\xef\xbb\xbf: c\ndata: {"a":1}\n: c\n\n', b'\xef\xbb\xbf: c\ndata: {"a":1,%s}\n: c\n\n' % MEMBER),
        (b'data: {"a":"\xf0\x9f\x98\x80"}\n\n', b'data: {"a":"\xf0\x9f\x98\x80",%s}\n\n' % MEMBER),
        (b'data: {"trace_id":null,"a":1}\n\n', b'data: {%s,"a":1}\n\n' % MEMBER),
        (b'data: {"a":1,"trace_id":"" }\n\n', b'data: {"a":1,%s }\n\n' % MEMBER),
        (b'data: {"trace_id":"%s"}\n\n' % TRACE.upper(), b'data: {"trace_id":"%s"}\n\n' % TRACE.upper()),
        (b'data: {"a":"jsonrp","c":"sonrpc"}\n\n', b'data: {"a":"jsonrp","c":"sonrpc",%s}\n\n' % MEMBER),
        (b"data: {}" + b" " * 1500 + b"\n\n", b"data: {%s}" % MEMBER + b" " * 1500 + b"\n\n"),
        (b'data: {"a":%s1}\n\n' % (b" " * 600), b'data: {"a":%s1,%s}\n\n' % (b" " * 600, MEMBER)),
    ],
)
def test_an_object_gets_the_member_before_its_last_brace(stream: bytes, expected: bytes) -> None:
    """Where the end of the object is found, and nothing of the kind follows it."""
    assert marked(stream) == expected


@pytest.mark.contract("D6")
@pytest.mark.parametrize(
    "stream",
    [
        b"data: token\n\n",
        b"data\n\n",
        b"data:\n\n",
        b"data: [1]\n\n",
        b"data: [{}]\n\n",
        b"data: 5\n\n",
        b"data:   \n\n",
        b'data: {"a":1\n\n',
        b'data: {"a":"1\n\n',
        b'data: {"a":nul}\n\n',
        b"data: {}{}\n\n",
        b"data: {} x\n\n",
        b"data: {}" + b" " * 1500 + b"x\n\n",
        b"data: {}" + b" \t" * 800 + b"{}\n\n",
        b"data: {}\ndata\n\n",
        b"data: {}\nid: 3\ndata: {}\n\n",
        b'data: {"a":1,\ndata: "b":2}\n\n',
        b"data: \ndata: {}\n\n",
        b'data: {"trace_id":\ndata: null}\n\n',
        b'data: {"trace_id":"0af\ndata: x"}\n\n',
        b'data: {"trace_id":"0af\n\n',
        b"data: \xef\xbb\xbf{}\n\n",
        b'data: {"a":"\xff"}\n\n',
        b'data: {"a":"\xff","b":"\xf0\x9f\x98\x80"}\n\n',
        b'data: {"a":"\xf0\x9f\n\n',
        b"data: {}\xc3\n\n",
        b"data: {\xc3\xa9\n\n",
        b"data: {\xf0\x9f\ndata: }\n\n",
        b'data: {"jsonrpc":"2.0","id":1}\n\n',
        b'data: {"id":1,"\\u006Asonrp\\u0063" : "2.0"}\n\n',
        b'data: {"jsonrpc":"2.0","trace_id":"%s"}\n\n' % TRACE,
        b'data: {"a":{"jsonrpc":1}}\n\n',
        b"id: 1\ndata: {}\nid: " + b"4" * (1 << 16) + b"\n\n",
    ],
)
@pytest.mark.parametrize("carrier", ["auto", "field"])
def test_any_other_event_gets_the_line(stream: bytes, carrier: str) -> None:
    """What is no object in UTF-8 on one line, JSON-RPC, and an object with very much behind it."""
    if len(stream) < 1 << 16:
        assert marked(stream, carrier) == stream[:-1] + LINE + b"\n\n"
    else:
        machine = rewriter(carrier)
        pieces = [stream[:30], stream[30:60_000], stream[60_000:]]
        assert b"".join(map(machine.feed, pieces)) == stream[:-1] + LINE + b"\n\n"


@pytest.mark.contract("D6")
def test_as_much_as_64_kib_may_stand_behind_an_object() -> None:
    """Held with the end of the object, so that the member can still go in."""
    behind = b"\nid: " + b"4" * ((1 << 16) - 6) + b"\n"
    machine = rewriter()
    assert machine.feed(b"data: {}" + behind + b"\n") == b"data: {" + MEMBER + b"}" + behind + b"\n"
    behind = behind.replace(b"id", b"id:")
    assert rewriter().feed(b"data: {}" + behind + b"\n") == b"data: {}" + behind + LINE + b"\n\n"


@pytest.mark.contract("D6")
@pytest.mark.parametrize("data", [b"{}", b'{"a":1}', b'{"trace_id":null}', b'{"trace_id":"%s"}' % TRACE, b"x", b""])
def test_the_field_carrier_takes_the_line(data: bytes) -> None:
    """Objects stay as they are."""
    stream = b"data: %s\r\n\r\n" % data
    assert marked(stream, "field") == stream[:-2] + LINE + b"\r\n\r\n"


@pytest.mark.contract("D6", "A1")
def test_field_lines_say_what_they_say_in_short_events() -> None:
    """One that names the trace is enough; an empty one is none; either carrier."""
    for carrier in ("auto", "field"):
        for block in (b"trace_id: %s\ndata: {}\n\n", b"data: x\ntrace_id:%s\nid: 3\n\n"):
            stream = block % TRACE.upper().replace(b"-", b"")
            assert marked(stream, carrier) == stream
    for line in (b"trace_id", b"trace_id:", b"trace_id:  \t"):
        assert marked(line + b"\ndata: x\n\n") == line + b"\ndata: x\n" + LINE + b"\n\n"
        assert marked(b"data: {}\n" + line + b"\n\n") == b"data: {%s}\n%s\n%s\n\n" % (MEMBER, line, LINE)
        equal = b"data: {}\n" + line + b"\n" + LINE + b"\n\n"
        assert marked(equal) == equal


@pytest.mark.contract("D6")
@pytest.mark.parametrize(
    "stream",
    [
        b": comment\n",
        b":\n",
        b"event: x\nid: 1\n\n",
        b"trace_id: app\n\n",
        b"trace_idx: app\ntrace_i\nx\ndat\ndatax: {}\n\n",
        b"\n\r\n\r\r\n",
        b"\xef\xbb\xbf",
        b": unfinished",
        b"dat",
        b"data",
        b'data: {"a":1}',
        b'data: {"a":1}\r\nid: 4',
        b'data: {"a":"\xf0\x9f',
        b'data: {"trace_id":"0a',
        b"data: {}\xc3 ",
        b"data: {}\xe2\x98 \t",
        b"data: x\r",
        b"trace_id",
    ],
)
def test_what_is_no_event_passes_byte_for_byte(stream: bytes) -> None:
    """Comments, blocks without data, unfinished ones: nothing is added or lost."""
    assert marked(stream) == stream
    assert marked(stream, "field") == stream


REFUSED = [
    b'data: {"trace_id":"%s"}\n\n' % OTHER,
    b'data: {"trace_id":1}\n\n',
    b'data: {"a":[{}],"trace\\u005fid":"x"}\r\n\r\n',
    b'data: {"trace_id":"%s","trace_id":"%s"}\n\n' % (TRACE, OTHER),
    b'data: {"jsonrpc":"2.0","trace_id":"app"}\n\n',
    b'data: {"a":"\xff","trace_id":"app"}\n\n',
    b'data: {"trace_id":\ndata: "app"}\n\n',
    b'data:\ndata: {"trace_id":"app"} \n\n',
    b"data: {}\ntrace_id: %s\n\n" % OTHER,
    b"trace_id: app\ndata: {}\n\n",
    b"trace_id: app\ndata\n\n",
    b"data: x\ntrace_id: %s%s\n\n" % (TRACE, b" " * 300),
    b"data: x\n%s\ntrace_id: %s\n\n" % (LINE, OTHER),
]


@pytest.mark.contract("D7", "E4")
@pytest.mark.parametrize("carrier", ["auto", "field"])
@pytest.mark.parametrize("block", REFUSED)
def test_an_event_that_names_another_trace_does_not_come_to_its_end(block: bytes, carrier: str) -> None:
    """In one chunk nothing of it comes; where a beginning went out before, the rest does not: that is no boundary."""
    machine = rewriter(carrier)
    assert machine.feed(b"data: 1\n\n" + block + b"data: 2\n\n") == b"data: 1\n" + LINE + b"\n\n"
    assert (machine.overwrite, machine.at_boundary, machine.events) == (True, True, 1)
    machine = rewriter(carrier)
    out = b"".join(machine.feed(block[i : i + 1]) for i in range(len(block)))
    assert (machine.overwrite, machine.at_boundary, machine.events) == (True, False, 0)
    assert len(out) <= len(block) - 2
    assert block.startswith(out)
    assert machine.feed(b"data: 2\n\n") == machine.finish() == b""


@pytest.mark.contract("C3", "D7")
@pytest.mark.parametrize("carrier", ["auto", "field"])
@pytest.mark.parametrize("block", REFUSED)
def test_it_is_delivered_where_the_policy_keeps_it(block: bytes, carrier: str) -> None:
    """``on_conflict="keep"``: untouched and counted, and the stream goes on."""
    assert marked(block + b"data: 2\n\n", carrier, keep=True) == block + b"data: 2\n" + LINE + b"\n\n"
    machine = rewriter(carrier, keep=True)
    machine.feed(block + block + b"data: 2\n\n")
    assert (machine.kept, machine.events) == (2, 1)


@pytest.mark.contract("D6")
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_the_line_ends_as_the_line_before_it(end: bytes) -> None:
    """The block's own line end, also where it is cut."""
    stream = b"event: b\ndata: x" + end + end
    assert marked(stream) == b"event: b\ndata: x" + end + LINE + end + end


@pytest.mark.contract("D6")
@pytest.mark.parametrize("broken", [b"\xff", b"\xc3 ", b"\xe2\x98x", b"\xed\xa0\x80"])
def test_what_is_not_utf8_ends_the_splicing_where_it_stands(broken: bytes) -> None:
    """What was filled before it stays so, and nothing is filled after it, however the stream is cut."""
    before = b'data: {"trace_id":""}%s\n\n' % broken
    assert marked(before) == b"data: {%s}%s\n%s\n\n" % (MEMBER, broken, LINE)
    after = b'data: {"a":"%s","trace_id":null}\n\n' % broken
    assert marked(after) == after[:-1] + LINE + b"\n\n"
    unfinished = b'data: {"trace_id":""}' + broken
    assert marked(unfinished) == b"data: {%s}%s" % (MEMBER, broken)


@pytest.mark.contract("D6")
def test_a_name_that_is_cut_is_known() -> None:
    """``jsonrpc`` in two pieces, and far apart ones."""
    machine = rewriter()
    stream = b'data: {"a":"' + b"x" * 100 + b'","jsonrpc":"2.0","b":"' + b"x" * 100 + b'"}\n\n'
    for cut in range(100, 135):
        machine = rewriter()
        assert machine.feed(stream[:cut]) + machine.feed(stream[cut:]) == stream[:-1] + LINE + b"\n\n"
