"""Which event streams do applications send?"""

from __future__ import annotations

from hypothesis import strategies as st

from tests.property.plan import OTHER, OWN
from tests.property.strategies.bodies import objects

__all__ = ["conflicting_streams", "event_streams", "unfinished"]

_ENDINGS = st.sampled_from([b"\n", b"\r\n", b"\r"])
_ONE_LINE_OBJECTS = objects().map(lambda text: text.replace(b"\r\n", b" ").replace(b"\n", b" "))
_RPC = st.sampled_from([b'{"jsonrpc":"2.0","id":1,"result":{}}', b'{"id":1,"jsonrpc":"2.0","method":"ping"}'])
_TEXT = st.one_of(
    st.sampled_from(
        [
            b"[DONE]",
            b"",
            b" ",
            b"hello",
            b"42",
            b"[1,2]",
            b'"x"',
            b"{",
            b'{"a":',
            b"\xff\xfe",
            b"\xe2\x99\xa5",
            b"\0",
            b":",
        ]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12).map(str.encode),
)
_DATA = st.one_of(
    _TEXT.map(lambda text: [text]),
    _ONE_LINE_OBJECTS.map(lambda text: [text]),
    objects("equal").map(lambda text: [text.replace(b"\r\n", b" ").replace(b"\n", b" ")]),
    objects("empty").map(lambda text: [text.replace(b"\r\n", b" ").replace(b"\n", b" ")]),
    _RPC.map(lambda text: [text]),
    st.lists(_TEXT, min_size=2, max_size=3),
    objects().map(lambda text: text.replace(b"\r\n", b"\n").split(b"\n")),
)
_OTHER_LINES = st.sampled_from(
    [
        b"event: token",
        b"event:x",
        b"id: 7",
        b"id",
        b"retry: 100",
        b": ping",
        b":",
        b"foo: bar",
        b"data2: x",
        b"Data: x",
        b"nothing",
    ]
)
_DATA_FIELDS = st.sampled_from([b"data: ", b"data: ", b"data:"])


@st.composite
def _blocks(draw: st.DrawFn, data: st.SearchStrategy[list[bytes]] = _DATA) -> bytes:
    """Return one block with its empty line."""
    lines = draw(st.lists(_OTHER_LINES, max_size=2))
    for text in draw(st.one_of(st.just([]), data)):
        lines.insert(draw(st.integers(0, len(lines))), draw(_DATA_FIELDS) + text) if draw(
            st.booleans()
        ) else lines.append(draw(_DATA_FIELDS) + text)
    if draw(st.integers(0, 9)) == 0:
        lines.append(b"data")
    ending = draw(_ENDINGS)
    return b"".join(line + ending for line in (*lines, b""))


_MARKED = st.sampled_from(
    [b"data: x\ntrace_id: %s\n\n" % OWN, b'data: {"trace_id":"%s"}\n\n' % OWN, b"trace_id:%s\rdata: y\r\r" % OWN]
)
_STREAM = st.lists(st.one_of(_blocks(), _MARKED), max_size=5).map(b"".join)
_MARKS = st.sampled_from([b"", b"", b"\xef\xbb\xbf"])

unfinished: st.SearchStrategy[bytes] = st.sampled_from(
    [b"", b"", b"data: half", b"data: half\n", b": ping\n", b"event: error\r\n", b'data: {"a":1}\r', b'data: {"a":']
)
"""What may stand after the last empty line."""

event_streams: st.SearchStrategy[bytes] = st.tuples(_MARKS, _STREAM, unfinished).map(b"".join)
"""Event streams that name no other trace."""

_CONFLICTS = st.sampled_from(
    [
        b'data: {"trace_id":"%s"}\n\n' % OTHER,
        b'event: x\r\ndata: {"a":1,"\\u0074race_id":5}\r\n\r\n',
        b'data: {"a":\ndata: 1,"trace_id":"%s"}\n\n' % OTHER,
        b"data: x\ntrace_id: %s\n\n" % OTHER,
    ]
)

conflicting_streams: st.SearchStrategy[bytes] = st.tuples(_STREAM, _CONFLICTS, _STREAM).map(b"".join)
"""Event streams in which one event names another trace."""
