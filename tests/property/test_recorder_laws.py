"""Whatever is streamed, however it is cut: is what a client has, and what it gets when it comes back, the whole?

The oracle is the reader of :mod:`tests.property.sse_reader`, byte by byte: it shares no code with what it judges.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from tests.contract.conftest import engine, templates, url
from tests.contract.recorder_shells import rows
from tests.property.plan import OTHER, OWN
from tests.property.sse_reader import Dispatched, SseReader, read
from tests.property.strategies.bodies import objects
from tracegate.adapters.asgi_recorder import StreamRecorder as AsgiRecorder
from tracegate.adapters.asgi_scope import MARK
from tracegate.adapters.recorder import Recorder
from tracegate.adapters.wsgi_recorder import StreamRecorder as WsgiRecorder
from tracegate.core.policy import Policy
from tracegate.core.streams.policy import StreamPolicy
from tracegate.core.streams.relabel import relabelled
from tracegate.core.trace import Trace
from tracegate.core.trace_id import TraceId
from tracegate.runtime import Runtime
from tracegate.store.streams import StreamStore

__all__ = ["engine", "templates", "url"]

pytestmark = pytest.mark.contract("D8", "I1")

_TERMS = Runtime(Policy()).terms(b"x-trace-id")
_STREAMS = itertools.count()
_PIECES = 3


@dataclass(frozen=True)
class Written:
    """A block that an application writes.

    Attributes:
        raw: Its bytes, with the blank line.
        ids: What its id fields say, of which the last one without a NUL holds.
    """

    raw: bytes
    ids: tuple[bytes, ...] = ()


_COMMENTS = re.compile(rb"\A(?::[^\r\n]*(?:\r\n|\r|\n))+")
_ENDINGS = st.sampled_from([b"\n", b"\r\n", b"\r"])
_IDS = st.sampled_from([b"", b"7", b"8 ", b"a b", b"\xe2\x99\xa5", b"\xff", b"x\0y", b"9" * 300, b":", b"no-1"])
_VALUES = st.sampled_from([b"", b"x", b"[DONE]", b'{"a":1}', b'{"a":1,"b":"%s"}' % OWN, b"\xff\x00", b"\xe2\x99\xa5"])
_OTHER_LINES = st.sampled_from([b"event: token", b"event", b"retry: 9", b": ping", b"nothing", b"Id: 4", b"data2: x"])
_BETWEEN = st.sampled_from([b"", b"", b": ping\n\n", b"\n", b"retry: 5\r\n\r\n", b"\r\r", b":\r"])
_TAILS = st.sampled_from([b"", b"", b"data: half", b"id: 7\ndata: half\n", b": ping\r"])


@st.composite
def _blocks(draw: st.DrawFn) -> Written:
    """Return a block with data, or ids, or both; an id of its own most of the time."""
    ending = draw(_ENDINGS)
    ids = draw(st.lists(st.one_of(st.integers(100, 999).map(lambda n: b"%d" % n), _IDS), max_size=2))
    lines = [b"id: " + text for text in ids]
    lines += [b"data: " + text for text in draw(st.lists(_VALUES, min_size=not ids, max_size=2))]
    lines += draw(st.lists(_OTHER_LINES, max_size=2))
    if draw(st.booleans()):
        lines.reverse()
        ids.reverse()
    return Written(b"".join(line + ending for line in (*lines, b"")), tuple(ids))


_STREAM = st.lists(st.tuples(_BETWEEN, _blocks()), max_size=5)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """Return *stream* in pieces."""
    bounds = [0, *sorted({place % (len(stream) + 1) for place in places}), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(bounds)]


def sent_back(event_id: bytes) -> bytes:
    """Return what a browser sends for an id: the text that it read, as UTF-8; HTTP takes off the blanks around it."""
    return event_id.decode("utf-8", "replace").encode().strip(b" \t")


def play_asgi(recorder: Recorder, key: str, pieces: list[bytes], last_event_id: bytes | None, trace: bytes) -> Any:  # noqa: ANN401
    """Make a request; return the status and the bytes that left."""
    sent: list[Any] = []

    async def application(_scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Any:  # noqa: ANN401
        await asyncio.Event().wait()

    async def send(message: Any) -> None:  # noqa: ANN401
        sent.append(message)

    app = AsgiRecorder(application, recorder, principal=lambda _: "p", stream_key=lambda _: key)
    lines = [] if last_event_id is None else [(b"last-event-id", last_event_id)]
    bound = {"tracegate": Trace.of(TraceId(trace), "header")}
    scope = {"type": "http", "method": "GET", "path": "/", "headers": lines, "state": bound}
    asyncio.run(app({**scope, MARK: SimpleNamespace(terms=_TERMS)}, receive, send))
    assert not sent[-1].get("more_body")
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def play_wsgi(recorder: Recorder, key: str, pieces: list[bytes], last_event_id: bytes | None, trace: bytes) -> Any:  # noqa: ANN401
    """Do the same on WSGI."""
    heads: list[str] = []

    def application(_environ: Any, start_response: Any) -> Iterator[bytes]:  # noqa: ANN401
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        yield from pieces

    def start_response(status: str, *_: Any) -> Any:  # noqa: ANN401
        heads.append(status)

    app = WsgiRecorder(application, recorder, principal=lambda _: "p", stream_key=lambda _: key)
    bound: dict[str, Any] = {"tracegate.trace": Trace.of(TraceId(trace), "header"), MARK: SimpleNamespace(terms=_TERMS)}
    if last_event_id is not None:
        bound["HTTP_LAST_EVENT_ID"] = last_event_id.decode("latin-1")
    body = app({"REQUEST_METHOD": "GET", "PATH_INFO": "/", **bound}, start_response)
    out = b"".join(body)
    if hasattr(body, "close"):
        body.close()
    return int(heads[0][:3]), out


def positions(stream: bytes) -> list[tuple[bytes, int]]:
    """Return each id that a client is left with, and how many events it has when it gets that id.

    The stream is cut behind each of its bytes.
    """
    reader, found = SseReader(), list[tuple[bytes, int]]()
    for at in range(len(stream)):
        before = reader.last_event_id
        reader.feed(stream[at : at + 1])
        if reader.last_event_id != before:
            found.append((reader.last_event_id, len(reader.events)))
    return found


def read_on(last_event_id: bytes, rest: bytes) -> list[Dispatched]:
    """Return the events of *rest* as a client sees them that had *last_event_id* before."""
    reader = SseReader()
    reader._id = reader.last_event_id = last_event_id
    reader.feed(rest)
    return reader.events


@pytest.mark.parametrize("play", [play_asgi, play_wsgi], ids=["asgi", "wsgi"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stream=_STREAM,
    tail=_TAILS,
    places=st.lists(st.integers(0, 4000), max_size=6),
    numbers=st.booleans(),
    small=st.booleans(),
)
def test_what_a_client_has_and_what_it_gets_is_the_whole(  # noqa: PLR0913, PLR0917 - all that is generated
    play: Any,  # noqa: ANN401 - one of the two above
    engine: Engine,
    stream: list[tuple[bytes, Written]],
    tail: bytes,
    places: list[int],
    numbers: bool,  # noqa: FBT001
    small: bool,  # noqa: FBT001
) -> None:
    """For every stream, every chunking and every cut: nothing lost, nothing doubled; where that cannot be, an error."""
    policy = StreamPolicy(number_events=numbers, commit_wait_seconds=0, max_event_bytes=40 if small else 1 << 20)
    recorder = Recorder(StreamStore(engine), policy)
    key = f"stream {next(_STREAMS)}"
    given_ = b"".join(between + block.raw for between, block in stream) + tail
    status, out = play(recorder, key, cut(given_, places), None, OWN)
    assert recorder.writer.close(20)

    whole = read(out).events
    assert status == 200
    assert [(event.event, event.data) for event in whole] == [(e.event, e.data) for e in read(given_).events]
    assert numbers or out == given_
    last_ones = [[text for text in block.ids if b"\0" not in text][-1:] for _, block in stream]
    ids = [sent_back(text) for texts in last_ones for text in texts]
    for event_id, had in positions(out):
        sent = sent_back(event_id)
        if not sent:  # a client that was told to forget its position asks for the beginning
            continue
        status, rest = play(recorder, key, [], sent, OTHER)
        if status == 409:
            assert small or ids.count(sent) > 1
        else:
            assert status in (200, 204)
            if ids.count(sent) > 1:  # all but one of them were too long to be recorded
                assert small
            else:
                assert whole[:had] + read_on(event_id, rest) == whole


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stream=_STREAM, places=st.lists(st.integers(0, 4000), max_size=6), numbers=st.booleans())
def test_the_application_s_bytes_are_kept(
    engine: Engine,
    stream: list[tuple[bytes, Written]],
    places: list[int],
    numbers: bool,  # noqa: FBT001
) -> None:
    """Each block as it was written, without comments before it; the LF of a CRLF that a cut fell into came too late."""
    recorder = Recorder(StreamStore(engine), StreamPolicy(number_events=numbers))
    key = f"stream {next(_STREAMS)}"
    given_ = b"".join(between + block.raw for between, block in stream)
    play_wsgi(recorder, key, cut(given_, places), None, OWN)
    assert recorder.writer.close(20)

    kept = [bytes(row.payload) for row in rows(engine) if row.stream_key == key]
    wanted = [_COMMENTS.sub(b"", block.raw) for _, block in stream if any(map(moves, block.raw.splitlines()))]
    assert [text.removesuffix(b"\n") if text.endswith(b"\r\n") else text for text in kept] == [
        text.removesuffix(b"\n") if text.endswith(b"\r\n") else text for text in wanted
    ]


def moves(line: bytes) -> bool:
    """Return whether a line makes its block an event or a position."""
    name, _, value = line.partition(b":")
    return name == b"data" or (name == b"id" and b"\0" not in value)


@given(value=st.one_of(objects(), objects("equal"), objects("empty")), ending=_ENDINGS)
def test_only_the_name_of_the_first_trace_changes(value: bytes, ending: bytes) -> None:
    """Read as JSON, the members are the same in the same order, but for the one that named it."""
    lines = value.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    block = b"".join(b"data:" + b" " * bool(line[:1] == b" ") + line + ending for line in lines) + ending

    again = relabelled(block, TraceId(OWN))

    members, seen = (members_of(read(text).events[0].data) for text in (block, again))
    assert seen == [
        ("source_trace_id" if name == "trace_id" and names_own(member) else name, member) for name, member in members
    ]
    assert (again == block) == (seen == members)


def members_of(data: bytes) -> list[tuple[str, object]]:
    """Return the members of a JSON object, in order, each of them; numbers as their text."""
    found: list[tuple[str, object]] = json.loads(data, object_pairs_hook=list, parse_int=str, parse_float=str)
    return found


def names_own(member: object) -> bool:
    """Return whether a member's value spells the first trace."""
    return isinstance(member, str) and member.replace("-", "").lower() == OWN.decode().replace("-", "").lower()
