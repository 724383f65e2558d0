"""Does the line machine keep its laws for every stream and every way of cutting it?

What is expected is told from the input alone, by a reader and a JSON parser that share no code with the machine.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.sse_reader import Dispatched, SseReader, read
from tracegate.core.rewrite.sse import SseRewriter
from tracegate.core.trace_id import TraceId

TRACE = "0af76519-16cd-43dd-8448-eb211c80319c"
SAME = [TRACE, TRACE.upper(), TRACE.replace("-", "")]
OTHER = ["4bf92f35-77b3-4da6-a3ce-929d0e0e4736", "app", "0", TRACE + "0", "\N{LATIN SMALL LETTER E WITH ACUTE}"]
LONG = 24
"""A bound that makes many of the generated events too long to hold."""

# -- streams --------------------------------------------------------------------------------------------------------

NAMES = ["a", "trace_id", "trace_id", "trace\\u005fid", "trace_ID", "jsonrpc", "\\u006asonrp\\u0063", ""]
SCALARS = [
    *("1", "1e400", "null", '""', '"x"', '"\\ud800"', '"\N{SNOWMAN}"', '"}"', "true", "[]", '[{"trace_id":1}]'),
    *(f'"{spelling}"' for spelling in (*SAME, *OTHER)),
    *('{"trace_id":"app"}', '{"jsonrpc":"2.0"}', '{"a":{}}', '"\\"trace_id\\":1"', '"jsonrpc"'),
]
MEMBERS = [f'"{name}"{colon}{value}' for name in NAMES for colon in (":", " : ") for value in SCALARS]
"""Members of objects, ``trace_id`` and ``jsonrpc`` among them, at the top and below it, as names and as values."""

objects = st.lists(st.sampled_from(MEMBERS), max_size=4).map(",".join)
frames = st.sampled_from(
    ["{%s}"] * 6 + ["{%s }", " {\t%s}", "{%s} ", "{%s", "{%s}x", "{%s}{}", "[{%s}]", "\ufeff{%s}", '{"a":{%s}}']
)
names = st.sampled_from([b"data: "] * 6 + [b"data:", b"data:  "])
noise = st.sampled_from([b""] * 12 + [b"\xff", b"\xc3", b"\0", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xe2\x98"])

LINES = [
    *(b"data: " + text for text in (b"", b" ", b"[DONE]", b"token", b"data: x", b":", b"{}", b"1", b"null")),
    *(b"data: " + part for part in (b"{", b'"a":1', b",", b"}", b'"trace_id":', b"null", b'"app"', b'{"a":1,', b'"')),
    *(b"data", b"data", b"data:", b"data: caf\xc3\xa9", b"data: \xff", b"data: {\xc3"),
    *(b"trace_id: " + spelling.encode() for spelling in (*SAME, *SAME, *OTHER)),
    *(b"trace_id", b"trace_id:", b"trace_id: \t", b"trace_id:" + TRACE.encode(), b"trace_id:  " + TRACE.encode()),
    *(b":", b": ping", b":data: {}", b": " + b"x" * 40),
    *(b"event: token", b"id: 4", b"id", b"id: \0", b"retry: 10", b"retry: x", b"event", b"d", b"dat: a"),
    *(b"datax: {}", b"Data: {}", b" data: {}", b"trace_idx: a", b"trace_i", b"trace: a", b"\xef\xbb\xbfdata: {}"),
]
"""Lines of every kind but those that the other strategies make."""

object_lines = st.tuples(names, frames, objects, noise, st.integers(0, 200)).map(
    lambda drawn: drawn[0] + with_noise((drawn[1] % drawn[2]).encode(), drawn[3], drawn[4])
)
lines = st.lists(st.one_of(object_lines, st.sampled_from(LINES)), max_size=5)
SOUP = [b"\r", b"\n", b"\r\n", b":", b" ", b"data", b"data: ", b"{", b"}", b'"a":1', b"trace_id", b"x"]
STARTS = [b""] * 6 + [b"\xef\xbb\xbf", b"\xef\xbb", b"\xef\xbb\xbf\xef\xbb\xbf", b"\n", b"\r"]


def with_noise(text: bytes, what: bytes, where: int) -> bytes:
    """Return *text* with *what* put in somewhere."""
    return text[: where % (len(text) + 1)] + what + text[where % (len(text) + 1) :]


@st.composite
def blocks(draw: st.DrawFn) -> bytes:
    """A few lines and a blank one, with line ends that are mostly alike."""
    ends = draw(st.sampled_from([b"\n", b"\r\n", b"\r", None]))
    if ends is not None:
        return ends.join([*draw(lines), b"", b""])
    line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
    return b"".join(line + draw(line_ends) for line in [*draw(lines), b""])


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A stream: perhaps a BOM, blocks, perhaps an unfinished one; or the alphabet of the grammar, shaken."""
    if draw(st.integers(0, 4)) == 0:
        return b"".join(draw(st.lists(st.sampled_from(SOUP), max_size=30)))
    stream = draw(st.sampled_from(STARTS)) + b"".join(draw(st.lists(blocks(), max_size=4)))
    return stream.rstrip(b"\r\n") if draw(st.integers(0, 3)) == 0 else stream


@st.composite
def chunked_streams(draw: st.DrawFn) -> list[bytes]:
    """A stream in chunks: at the ends of lines and events, or anywhere, or byte by byte."""
    stream = draw(streams())
    how = draw(st.sampled_from(["lines", "blocks", "anywhere", "bytes"]))
    if how == "bytes":
        return [stream[i : i + 1] for i in range(len(stream))]
    if how == "anywhere":
        places = draw(st.lists(st.integers(0, len(stream)), max_size=8))
    else:
        pattern = rb"\r\n?|\n" if how == "lines" else rb"(?:\r\n|\n|\r){2}"
        places = [found.end() for found in re.finditer(pattern, stream)]
    edges = [0, *sorted(places), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


carriers = st.sampled_from(["auto", "field"])
bounds = st.sampled_from([1, LONG, 1 << 20])

# -- what must become of an event -----------------------------------------------------------------------------------


def names_trace(text: str) -> bool:
    """Return whether *text* spells the trace."""
    canonical = re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Fa-f]{32}", text)
    return canonical is not None and text.replace("-", "").lower() == TRACE.replace("-", "")


def refuse_constant(name: str) -> None:
    """NaN and Infinity are not JSON."""
    raise ValueError(name)


def object_in(data: bytes, errors: str = "strict") -> list[tuple[str, object]] | None:
    """Return the members of the JSON object that *data* is, or None."""
    try:
        text = data.decode(errors=errors)
        value = json.loads(
            text, object_pairs_hook=Members, parse_constant=refuse_constant, parse_float=str, parse_int=int
        )
    except ValueError:
        return None
    return value if isinstance(value, Members) else None


class Members(list[tuple[str, object]]):
    """An object's members, doubles included."""


def is_refused(event: Dispatched) -> bool:
    """Return whether the event names another trace: in its data, as a client decodes it, or in a field."""
    claims = [value.strip(b" \t").decode(errors="replace") for name, value in event.unknown if name == b"trace_id"]
    if any(claim and not names_trace(claim) for claim in claims):
        return True
    said = [value for name, value in object_in(event.data, "replace") or [] if name == "trace_id"]
    return any(value not in (None, "") and not (isinstance(value, str) and names_trace(value)) for value in said)


_ANY_NAME = re.compile(rb"trace(?:_|\\u005f)id")
_JSON_RPC_NAME = re.compile(rb'"(?:j|\\u006a)sonrp(?:c|\\u0063)"')


def check_marked(before: Dispatched, after: Dispatched, lines: int, carrier: str, *, long: bool) -> None:
    """Check that the event carries the trace where it must, and is otherwise the same."""
    assert (after.event, after.last_event_id) == (before.event, before.last_event_id)
    claims = [value.strip(b" \t").decode(errors="replace") for name, value in before.unknown if name == b"trace_id"]
    line = (b"trace_id", TRACE.encode())
    if any(map(names_trace, claims)):
        assert after.unknown == before.unknown
        assert unmarked(after.data) == unmarked(before.data)
        return
    members_before, members_after = object_in(before.data), object_in(after.data)
    rpc = any(name == "jsonrpc" for name, _ in members_before or [])
    if long and _JSON_RPC_NAME.search(before.data):
        # Nested, or a value: in what is too long to hold that may count as well (a field line is always right).
        rpc = after.unknown != before.unknown
    if members_before is not None and lines == 1 and carrier == "auto" and not rpc:
        said = [value for name, value in members_after or [] if name == "trace_id"]
        assert said
        assert all(isinstance(value, str) and names_trace(value) for value in said)
        others = [(name, value) for name, value in members_before if name != "trace_id"]
        assert [(name, value) for name, value in members_after or [] if name != "trace_id"] == others
        assert unmarked(after.data) == unmarked(before.data)
        assert after.unknown == (before.unknown if not claims else (*before.unknown, line))
    else:
        assert after.unknown == (*before.unknown, line)
        assert unmarked(after.data) == unmarked(before.data)


_MEMBER = rb'"(?:trace_id|trace\\u005fid)"\s*:\s*(?:null|""|"%s")' % TRACE.encode()


def unmarked(data: bytes) -> bytes:
    """Return *data* without any member that a mark may be, or may have filled."""
    return re.sub(_MEMBER + rb",|,?" + _MEMBER, b"", data)


def unmarked_stream(stream: bytes) -> bytes:
    """Return *stream* without any mark, in a member or a line."""
    line = rb"(?<![^\r\n])trace_id: %s(?:\r\n|\r|\n)" % TRACE.encode()
    return unmarked(re.sub(line, b"", stream))


class Watched:
    """A rewriter between two readers."""

    def __init__(self, *, carrier: str = "auto", bound: int = 1 << 20, keep: bool = False) -> None:
        assert carrier in ("auto", "field")
        trace = TraceId.from_text(TRACE)
        self.rewriter = SseRewriter(
            trace, carrier="auto" if carrier == "auto" else "field", max_event_bytes=bound, keep=keep
        )
        self.sent = bytearray()
        self.before, self.after = SseReader(), SseReader()

    def feed(self, chunk: bytes) -> None:
        """Send a chunk through."""
        piece = self.rewriter.feed(chunk)
        self.sent += piece
        self.before.feed(chunk)
        self.after.feed(piece)

    def finish(self) -> bytes:
        """End the stream well; return all that came out."""
        rest = self.rewriter.finish()
        self.sent += rest
        self.after.feed(rest)
        return bytes(self.sent)


def blocks_of(stream: bytes) -> list[bytes]:
    """Return the lines up to each blank one, with LF for line ends; the last block may be unfinished."""
    return stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n")


def data_lines(stream: bytes) -> list[int]:
    """Return the number of data lines of each event."""
    counts = [sum(line.partition(b":")[0] == b"data" for line in block.split(b"\n")) for block in blocks_of(stream)]
    return [count for count in counts if count]


# -- the laws ---------------------------------------------------------------------------------------------------------


def is_refused_early(stream: bytes, done: int, bound: int) -> bool:
    """Return whether what follows *done* events may be refused though it never becomes an event that names another.

    What is too long to hold is refused as soon as it names another trace, in an object that is not whole yet, and in a
    block that is not.
    """
    found = [block for block in blocks_of(stream) if block.strip()]
    events = [block for block in found if any(line.partition(b":")[0] == b"data" for line in block.split(b"\n"))]
    rest = events[done:]
    return bound < 1 << 20 and bool(rest) and _ANY_NAME.search(rest[0]) is not None


@pytest.mark.contract("D6", "D7")
@given(chunks=chunked_streams(), carrier=carriers, bound=bounds)
def test_every_event_carries_the_trace_and_nothing_else_changes(chunks: list[bytes], carrier: str, bound: int) -> None:
    """parse(out) minus the trace is parse(in), up to the first event that names another trace: that one never comes."""
    watched = Watched(carrier=carrier, bound=bound)
    for chunk in chunks:
        watched.feed(chunk)
    out = watched.finish()
    stream = b"".join(chunks)
    before = read(stream)
    good = next((i for i, event in enumerate(before.events) if is_refused(event)), len(before.events))

    done = watched.rewriter.events
    assert len(watched.after.events) == done
    if watched.rewriter.overwrite and is_refused_early(stream, done, bound):
        assert done <= good
    else:
        assert done == good
        assert watched.rewriter.overwrite == (good < len(before.events))
    for seen, sent, lines in zip(before.events, watched.after.events, data_lines(stream), strict=False):
        check_marked(seen, sent, lines, carrier, long=bound < 1 << 20)
    if not watched.rewriter.overwrite:
        assert unmarked_stream(out) == unmarked_stream(stream)
        assert watched.after.comments == before.comments
        assert watched.after.retries == before.retries
        assert watched.after.last_event_id == before.last_event_id


@pytest.mark.contract("D6")
@given(chunks=chunked_streams(), carrier=carriers, bound=bounds, conflicts=st.sampled_from(["refuse", "keep"]))
def test_where_a_stream_is_cut_does_not_matter(chunks: list[bytes], carrier: str, bound: int, conflicts: str) -> None:
    """The same bytes come out of one chunk, of many, and of single bytes; of a refused stream a beginning of them."""
    stream = b"".join(chunks)
    outs: list[bytes] = []
    refused = False
    for cut in (chunks, [stream], [stream[i : i + 1] for i in range(len(stream))]):
        watched = Watched(carrier=carrier, bound=bound, keep=conflicts == "keep")
        for chunk in cut:
            watched.feed(chunk)
        outs.append(watched.finish())
        refused = watched.rewriter.overwrite
    if refused:
        assert all(max(outs, key=len).startswith(out) for out in outs)
        assert len({len(read(out).events) for out in outs}) == 1
    else:
        assert outs[0] == outs[1] == outs[2]


@pytest.mark.contract("D6")
@given(chunks=chunked_streams(), carrier=carriers, bound=bounds)
def test_an_event_never_waits_for_the_next(chunks: list[bytes], carrier: str, bound: int) -> None:
    """What a client could dispatch it can dispatch after the same chunk; between blocks nothing at all is held."""
    watched = Watched(carrier=carrier, bound=bound)
    fed = bytearray()
    for chunk in chunks:
        watched.feed(chunk)
        fed += chunk
        if watched.rewriter.overwrite:
            break
        assert len(watched.after.events) == len(watched.before.events)
        if not watched.before.in_block:
            assert unmarked_stream(bytes(watched.sent)) == unmarked_stream(bytes(fed))
            assert watched.rewriter.at_boundary


@pytest.mark.contract("D7")
@given(chunks=chunked_streams(), carrier=carriers, bound=bounds)
def test_at_a_boundary_an_event_of_ones_own_can_follow(chunks: list[bytes], carrier: str, bound: int) -> None:
    """Wherever the stream breaks off or is refused at a boundary, one more event is read, and no half of another."""
    watched = Watched(carrier=carrier, bound=bound)
    for chunk in [b"", *chunks]:
        watched.feed(chunk)
        if not watched.rewriter.at_boundary:
            assert bound < 1 << 20
            continue
        whole = read(bytes(watched.sent) + b"event: error\ndata: E1\n\n")
        assert whole.events[:-1] == watched.after.events
        assert (whole.events[-1].event, whole.events[-1].data) == (b"error", b"E1")
        assert whole.last_event_id == watched.after.last_event_id
        if watched.rewriter.overwrite:
            return


@pytest.mark.contract("D6", "B8")
@given(chunks=chunked_streams(), carrier=carriers)
def test_a_stream_that_was_marked_is_left_alone(chunks: list[bytes], carrier: str) -> None:
    """Marking twice is marking once."""
    once, twice = Watched(carrier=carrier), Watched(carrier=carrier)
    for chunk in chunks:
        once.feed(chunk)
    marked = once.finish()
    twice.feed(marked)

    assert twice.finish() == marked
    assert twice.rewriter.events == once.rewriter.events
    assert not twice.rewriter.overwrite


@pytest.mark.contract("C3", "D7")
@given(chunks=chunked_streams(), carrier=carriers, bound=bounds)
def test_kept_events_come_out_as_they_are(chunks: list[bytes], carrier: str, bound: int) -> None:
    """With ``on_conflict="keep"`` what names another trace is delivered untouched and counted, the rest is marked."""
    watched = Watched(carrier=carrier, bound=bound, keep=True)
    for chunk in chunks:
        watched.feed(chunk)
    out = watched.finish()
    before = read(b"".join(chunks)).events
    others = [event for event in before if is_refused(event)]

    assert not watched.rewriter.overwrite
    assert watched.rewriter.kept == len(others) or bound < 1 << 20
    assert watched.rewriter.kept + watched.rewriter.events == len(watched.after.events) == len(before)
    for seen, sent, lines in zip(before, watched.after.events, data_lines(b"".join(chunks)), strict=False):
        if is_refused(seen):
            assert sent.unknown == seen.unknown
            assert unmarked(sent.data) == unmarked(seen.data)
        elif bound == 1 << 20 or not _ANY_NAME.search(seen.data):
            check_marked(seen, sent, lines, carrier, long=bound < 1 << 20)
    assert unmarked_stream(out) == unmarked_stream(b"".join(chunks))
