"""Does the line machine keep its laws for every stream and every way of cutting it?

What is expected is told from the input alone, by a reader and a JSON parser that share no code with the machine.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
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

line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
names = st.sampled_from(["a", "trace_id", "trace\\u005fid", "trace_ID", "nested", "jsonrpc", "\\u006asonrp\\u0063", ""])
scalars = st.sampled_from(
    ["1", "1e400", "null", '""', '"x"', '"\\ud800"', '"\N{SNOWMAN}"', '"}"', "true"]
    + [f'"{spelling}"' for spelling in (*SAME, *OTHER)]
)
blanks = st.sampled_from(["", "", "", " ", "\t", "  "])


def members(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return the texts of objects with a few members."""
    member = st.tuples(blanks, names, blanks, blanks, values, blanks).map(
        lambda m: f'{m[0]}"{m[1]}"{m[2]}:{m[3]}{m[4]}{m[5]}'
    )
    return st.tuples(blanks, st.lists(member, max_size=4)).map(lambda m: "{" + (",".join(m[1]) or m[0]) + "}")


objects = st.recursive(scalars, members, max_leaves=4).flatmap(
    lambda inner: members(st.sampled_from([inner, "1", "null"]))
)
texts = st.one_of(
    st.sampled_from(["", " ", "[DONE]", "[1]", "{", "}", "{}x", '{"a":1', "token", "\ufeff{}", "data: x", ":", "{}{}"]),
    st.tuples(blanks, objects, blanks).map("".join),
    scalars,
)
noise = st.sampled_from([b"\xff", b"\xc3", b"\0", b"\xef\xbb\xbf", b"\xed\xa0\x80"])


@st.composite
def data_values(draw: st.DrawFn) -> bytes:
    """One value of a data line, now and then not UTF-8."""
    value = draw(texts).encode()
    if draw(st.integers(0, 7)) == 0:
        at = draw(st.integers(0, len(value)))
        value = value[:at] + draw(noise) + value[at:]
    return value


@st.composite
def field_lines(draw: st.DrawFn) -> bytes:
    """One line of a block, without its end."""
    kind = draw(st.sampled_from(["data", "data", "data", "data", "trace_id", "other", "comment", "split"]))
    colon = draw(st.sampled_from([b": ", b":", b":  "]))
    if kind == "data":
        return b"data" + draw(st.one_of(st.just(b""), data_values().map(colon.__add__)))
    if kind == "trace_id":
        spelling = draw(st.sampled_from(["", " ", "\t", *SAME, *SAME, *SAME, *OTHER]))
        return b"trace_id" + draw(st.sampled_from([b"", colon + spelling.encode()]))
    if kind == "comment":
        return b":" + draw(st.sampled_from([b"", b" ping", b"data: {}", b"x" * 40]))
    if kind == "split":  # a member of an object that goes on in another line
        return b"data: " + draw(
            st.sampled_from([b"{", b'"a":1', b",", b"}", b'"trace_id":', b"null", b'"app"', b'{"a":1,'])
        )
    return draw(
        st.sampled_from([b"event: token", b"id: 4", b"id", b"retry: 10", b"dat: a", b"datax: {}", b"Data: {}"])
        | st.sampled_from(
            [b"trace_idx: a", b"trace_i", b"trace: a", b" data: {}", b"\xef\xbb\xbfdata: {}", b"event", b"d"]
        )
    )


@st.composite
def blocks(draw: st.DrawFn) -> bytes:
    """A few lines and a blank one, with line ends that are mostly alike."""
    usual = draw(line_ends)
    ends = st.one_of(st.just(usual), st.just(usual), st.just(usual), line_ends)
    lines = draw(st.lists(field_lines(), max_size=5))
    return b"".join(line + draw(ends) for line in [*lines, b""])


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A stream: perhaps a BOM, blocks, perhaps an unfinished one; or the alphabet of the grammar, shaken."""
    if draw(st.integers(0, 4)) == 0:
        soup = st.sampled_from(
            [b"\r", b"\n", b"\r\n", b":", b" ", b"data", b"data: ", b"{", b"}", b'"a":1', b"trace_id", b"x"]
        )
        return b"".join(draw(st.lists(soup, max_size=30)))
    start = draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf", b"\xef\xbb", b"\xef\xbb\xbf\xef\xbb\xbf"]))
    rest = draw(st.one_of(st.just(b""), blocks().map(lambda block: block.rstrip(b"\r\n"))))
    return start + b"".join(draw(st.lists(blocks(), max_size=4))) + rest


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


def data_lines(stream: bytes) -> list[int]:
    """Return the number of data lines of each event."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    counts = [sum(line.partition(b":")[0] == b"data" for line in block.split(b"\n")) for block in blocks_of(text)]
    return [count for count in counts if count]


def blocks_of(text: bytes) -> list[bytes]:
    """Return the blocks of a stream whose line ends are LF; the last, unfinished one is left out."""
    return re.sub(rb"\n\n+", b"\n\n", text.lstrip(b"\n")).split(b"\n\n")[:-1]


# -- the laws ---------------------------------------------------------------------------------------------------------


def is_refused_early(stream: bytes, bound: int) -> bool:
    """Return whether an event may be refused that is none in the end: too long to hold, it is not waited for.

    It named another trace, and then its object or its block did not go on as one.
    """
    return bound < 1 << 20 and re.search(rb'"trace(?:_|\\u005f)id"', stream) is not None


@pytest.mark.contract("D6", "D7")
@settings(max_examples=2500)
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

    assert watched.rewriter.overwrite == (good < len(before.events)) or is_refused_early(stream, bound)
    good = min(good, watched.rewriter.events) if is_refused_early(stream, bound) else good
    assert len(watched.after.events) == watched.rewriter.events == good
    for seen, sent, lines in zip(before.events, watched.after.events, data_lines(stream), strict=False):
        check_marked(seen, sent, lines, carrier, long=bound < 1 << 20)
    if not watched.rewriter.overwrite:
        assert unmarked_stream(out) == unmarked_stream(stream)
        assert watched.after.comments == before.comments
        assert watched.after.retries == before.retries
        assert watched.after.last_event_id == before.last_event_id


@pytest.mark.contract("D6")
@settings(max_examples=2500)
@given(chunks=chunked_streams(), carrier=carriers, bound=bounds, conflicts=st.sampled_from(["refuse", "keep"]))
def test_where_a_stream_is_cut_does_not_matter(chunks: list[bytes], carrier: str, bound: int, conflicts: str) -> None:
    """The same bytes come out of one chunk, of many, and of single bytes; of a refused stream a beginning of them."""
    stream = b"".join(chunks)
    outs: list[bytes] = []
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
@settings(max_examples=2500)
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
@settings(max_examples=2500)
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
@settings(max_examples=2500)
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
@settings(max_examples=2500)
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
    assert watched.rewriter.kept == len(others) or is_refused_early(b"".join(chunks), bound)
    assert watched.rewriter.kept + watched.rewriter.events == len(watched.after.events) == len(before)
    for seen, sent in zip(before, watched.after.events, strict=True):
        if is_refused(seen):
            assert sent.unknown == seen.unknown
            assert unmarked(sent.data) == unmarked(seen.data)
        elif not is_refused_early(b"".join(chunks), bound):
            assert TRACE.encode() in sent.data or any(name == b"trace_id" for name, _ in sent.unknown)
    assert unmarked_stream(out) == unmarked_stream(b"".join(chunks))
