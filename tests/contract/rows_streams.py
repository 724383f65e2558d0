"""Which event streams do applications send, and what must leave (D6, D7)?"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import replace

from tests.contract.table import SSE, Check, Expect, Row
from tests.property.drivers.record import Outcome
from tests.property.oracle import sse_text
from tests.property.plan import OTHER, OWN, Fault, Plan, Raise, Request, Settings

__all__ = ["BROKEN", "ENCODED", "EVENTS"]

LINE = b"trace_id: " + OWN
MEMBER = b'"trace_id":"%s"' % OWN


def _stream(*chunks: bytes) -> Plan:
    return Plan(200, SSE, chunks)


def _event(name: str, sent: bytes, *left: bytes, settings: Settings | None = None) -> Row:
    return Row(name, Expect(body=set(left)), _stream(sent), settings=settings or Settings())


def _member(before: bytes, after: bytes) -> tuple[bytes, bytes]:
    """Return *before* and *after* around a member that stands first or last in an object."""
    return before + b"{" + MEMBER + b"," + after, before + b"{" + after.replace(b"}", b"," + MEMBER + b"}", 1)


_RPC = b'data: {"jsonrpc":"2.0","id":1,"result":{}}\n'
_HUGE_LINE = b"data: " + b"x" * 10_000_000 + b"\n"

EVENTS = [
    _event("text", b"data: hello\n\n", b"data: hello\n" + LINE + b"\n\n"),
    _event("text with CRLF", b"data: hello\r\n\r\n", b"data: hello\r\n" + LINE + b"\r\n\r\n"),
    _event("text with CR", b"data: hello\r\r", b"data: hello\r" + LINE + b"\r\r"),
    _event("an object", b'data: {"a":1}\n\n', *_member(b"data: ", b'"a":1}\n\n')),
    _event("an object without a space", b'data:{"a":1}\r\n\r\n', *_member(b"data:", b'"a":1}\r\n\r\n')),
    _event("an empty object", b"data: {}\n\n", b"data: {" + MEMBER + b"}\n\n"),
    _event(
        "an object over two lines",
        b'data: {"a":1,\ndata: "b":2}\n\n',
        b'data: {"a":1,\ndata: "b":2}\n' + LINE + b"\n\n",
    ),
    _event(
        "an object with its trace",
        b'data: {"trace_id":"%s"}\n\n' % OWN.upper(),
        b'data: {"trace_id":"%s"}\n\n' % OWN.upper(),
    ),
    _event("an object with a null trace", b'data: {"trace_id":null}\n\n', b"data: {" + MEMBER + b"}\n\n"),
    _event("a line with its trace", b"data: x\ntrace_id: %s\n\n" % OWN, b"data: x\ntrace_id: %s\n\n" % OWN),
    _event("JSON-RPC", _RPC + b"\n", _RPC + LINE + b"\n\n"),
    _event("an array", b"data: [1]\n\n", b"data: [1]\n" + LINE + b"\n\n"),
    _event("[DONE]", b"data: [DONE]\n\n", b"data: [DONE]\n" + LINE + b"\n\n"),
    _event("empty data", b"data:\n\n", b"data:\n" + LINE + b"\n\n"),
    _event("data without a colon", b"data\n\n", b"data\n" + LINE + b"\n\n"),
    _event("broken JSON", b'data: {"a":\n\n', b'data: {"a":\n' + LINE + b"\n\n"),
    _event("several text lines", b"data: a\ndata: b\n\n", b"data: a\ndata: b\n" + LINE + b"\n\n"),
    _event("invalid UTF-8", b"data: \xff\xfe\n\n", b"data: \xff\xfe\n" + LINE + b"\n\n"),
    _event("NUL", b"data: \0\n\n", b"data: \0\n" + LINE + b"\n\n"),
    _event(
        "id, event and retry stay",
        b"id: 7\nevent: x\nretry: 9\ndata: a\n\n",
        b"id: 7\nevent: x\nretry: 9\ndata: a\n" + LINE + b"\n\n",
    ),
    _event("data before other fields", b"data: a\nid: 7\n\n", b"data: a\nid: 7\n" + LINE + b"\n\n"),
    _event("a ping", b": ping\n\n", b": ping\n\n"),
    _event("an id alone", b"id: 7\n\n", b"id: 7\n\n"),
    _event("a retry alone", b"retry: 7\n\n", b"retry: 7\n\n"),
    _event("nothing", b"", b""),
    _event("empty lines", b"\n\r\n\r\r\n\n", b"\n\r\n\r\r\n\n"),
    _event("an unfinished block", b"data: a\n\ndata: b\n", b"data: a\n" + LINE + b"\n\ndata: b\n"),
    _event("an unfinished line", b"data: a", b"data: a"),
    _event("a byte order mark", b"\xef\xbb\xbfdata: a\n\n", b"\xef\xbb\xbfdata: a\n" + LINE + b"\n\n"),
    _event("two byte order marks", b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n"),
    _event(
        "mixed endings",
        b"data: a\r\ndata: b\rdata: c\n\r\n",
        *(b"data: a\r\ndata: b\rdata: c\n" + LINE + end + b"\r\n" for end in (b"\n", b"\r\n")),
    ),
    _event("upper-case names are other fields", b"Data: a\n\n", b"Data: a\n\n"),
    _event("a line of 10 MB", _HUGE_LINE + b"\n", _HUGE_LINE + LINE + b"\n\n"),
    _event(
        "field lines only",
        b'data: {"a":1}\n\n',
        b'data: {"a":1}\n' + LINE + b"\n\n",
        settings=Settings(sse_carrier="field"),
    ),
    Row(
        "a long object",
        Expect(checks=(lambda outcome: json.loads(outcome.reply.body[6:])["trace_id"] == OWN.decode(),)),
        _stream(b'data: {"a":"' + b"x" * 3000, b"x" * 3000, b'"}\n', b"\n"),
        settings=Settings(max_sse_event=1000),
    ),
    Row(
        "the length is dropped",
        Expect(lacks=(b"content-length",)),
        replace(_stream(b"data: x\n\n"), headers=(*SSE, (b"content-length", b"9"))),
    ),
    Row(
        "X-Accel-Buffering stays",
        Expect(has=((b"x-accel-buffering", b"no"), (b"cache-control", b"no-cache"))),
        replace(
            _stream(b"data: x\n\n"), headers=(*SSE, (b"x-accel-buffering", b"no"), (b"cache-control", b"no-cache"))
        ),
    ),
    Row(
        "parameters of the type",
        Expect(body=b"data: x\n" + LINE + b"\n\n"),
        replace(_stream(b"data: x\n\n"), headers=((b"content-type", b"Text/Event-Stream;charset=utf-8"),)),
    ),
    Row(
        "a stream with status 503",
        Expect(503, body=b"data: x\n" + LINE + b"\n\n"),
        replace(_stream(b"data: x\n\n"), status=503),
    ),
    Row(
        "the caller's spelling",
        Expect(trace=OWN.upper(), body=b"data: x\ntrace_id: %s\n\n" % OWN.upper()),
        _stream(b"data: x\n\n"),
        Request(headers=((b"x-trace-id", OWN.upper()),)),
    ),
]

_PLAIN = b"data: a\n\ndata: b\n\n"
_MARKED = b"data: a\n" + LINE + b"\n\ndata: b\n" + LINE + b"\n\n"

ENCODED = [
    *(
        Row(
            f"{coding.decode()} in {cut}-byte chunks",
            Expect(body=_MARKED, lacks=(b"content-encoding",)),
            Plan(
                200,
                (*SSE, (b"content-encoding", coding)),
                tuple(body[at : at + cut] for at in range(0, len(body), cut)),
            ),
        )
        for coding, body in ((b"gzip", gzip.compress(_PLAIN)), (b"deflate", zlib.compress(_PLAIN)))
        for cut in (1, 7, 1000)
    ),
]


def _ends_with_error(code: str, details: list[str], before: bytes = b"") -> Check:
    """Return a check that after *before* comes one error event, and nothing more."""

    def check(outcome: Outcome) -> bool:
        body = outcome.reply.body
        _, blocks, rest = sse_text.split(body)
        events = sse_text.read(blocks[-1].raw).events
        error = json.loads(events[0].data)
        return (
            body == before + blocks[-1].raw
            and not rest
            and events[0].event == "error"
            and (error["error_code"], error["details"], error["trace_id"]) == (code, details, OWN.decode())
        )

    return check


_CRASHED = _ends_with_error("SYS-003-500", [], _MARKED[: len(_MARKED) // 2])
_OVERWRITE = _ends_with_error("SYS-004-409-TRACE", ["trace_overwrite_refused"], _MARKED[: len(_MARKED) // 2])
_A = b"data: a\n\n"


def _raising(*chunks: bytes, after: int, raises: Raise = Raise.VALUE_ERROR) -> Plan:
    return replace(_stream(*chunks), fault=Fault.RAISE_MID_BODY, fault_after=after, raises=raises)


BROKEN = [
    *(
        Row(
            f"{raises.value} after an event",
            Expect(clean=False, raises=True, events=("stream_broken",), checks=(_CRASHED,)),
            _raising(_A, after=1, raises=raises),
        )
        for raises in (Raise.VALUE_ERROR, Raise.GROUP, Raise.OS_ERROR, Raise.SYSTEM_EXIT)
    ),
    Row(
        "an exception in the middle of an event",
        Expect(clean=False, raises=True, events=("stream_broken",), checks=(_CRASHED,)),
        _raising(_A, b'data: {"half', after=2),
    ),
    Row(
        "an exception in the middle of an event's lines",
        Expect(clean=False, raises=True, events=("stream_broken",), checks=(_CRASHED,)),
        _raising(_A, b"id: 7\ndata: x\n", after=2),
    ),
    Row(
        "an exception before the first byte",
        Expect(
            500,
            members={"error_code": "SYS-003-500", "trace_id": OWN.decode()},
            raises=True,
            checks=(lambda outcome: outcome.reply.values(b"content-type") == [b"application/json; charset=utf-8"],),
        ),
        _raising(_A, after=0),
    ),
    Row(
        "an exception after empty chunks",
        Expect(500, members={"error_code": "SYS-003-500"}, raises=True),
        _raising(b"", b"", after=2),
    ),
    Row(
        "an exception after the end",
        Expect(clean=False, raises=True, events=("stream_broken",), checks=(_CRASHED,)),
        replace(_stream(_A), fault=Fault.RAISE_AFTER_END),
        only="asgi",
    ),
    Row(
        "an exception after an end within an event",
        Expect(clean=False, raises=True, events=("stream_broken",), checks=(_CRASHED,)),
        replace(_stream(_A, b"data: half"), fault=Fault.RAISE_AFTER_END),
        only="asgi",
    ),
    Row(
        "a cancellation after an event",
        Expect(clean=False, raises=True, body=_MARKED[: len(_MARKED) // 2]),
        _raising(_A, after=1, raises=Raise.CANCELLED),
        only="asgi",
        oracle=False,
    ),
    Row(
        "the error event of OpenAI's clients",
        Expect(
            clean=False,
            raises=True,
            events=("stream_broken",),
            checks=(_CRASHED, lambda outcome: b'"error":' in outcome.reply.body),
        ),
        _raising(_A, after=1),
        settings=Settings(sse_error="openai"),
    ),
    *(
        Row(
            f"an event with {name}",
            Expect(clean=False, events=("trace_overwrite_refused",), checks=(_OVERWRITE,), raises=None),
            _stream(_A, event, b"data: never\n\n"),
        )
        for name, event in (
            ("another trace", b'data: {"trace_id":"%s"}\n\n' % OTHER),
            ("another trace in a second line", b'data: {"a":1,\ndata: "trace_id":"%s"}\n\n' % OTHER),
            ("a number as trace", b'data: {"trace_id":1}\n\n'),
            ("another trace in a field line", b"data: x\ntrace_id: %s\n\n" % OTHER),
        )
    ),
    Row(
        "an event with another trace, kept",
        Expect(body=b'data: {"trace_id":"%s"}\n\n' % OTHER, events=("trace_overwrite_refused",)),
        _stream(b'data: {"trace_id":"%s"}\n\n' % OTHER),
        settings=Settings(on_conflict="keep"),
        oracle=False,
    ),
    Row(
        "an event with another trace, observed",
        Expect(body=b'data: {"trace_id":"%s"}\n\n' % OTHER, events=("trace_overwrite_refused",)),
        _stream(b'data: {"trace_id":"%s"}\n\n' % OTHER),
        settings=Settings(mode="observe"),
        oracle=False,
    ),
]
