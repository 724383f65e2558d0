"""Which heads do applications send, and what must leave (C1, C3, C6-C8, C10)?"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from tests.contract.table import JSON, SSE, Check, Expect, Row
from tests.property.drivers.record import Outcome
from tests.property.plan import OTHER, OWN, Headers, Plan, Request, Settings, Shape

__all__ = ["CORS", "EVERY_STATUS", "ILLEGAL", "OPTED_IN", "OWN_ID", "SHAPES"]

HEX = OWN.replace(b"-", b"")
TEXT: Headers = ((b"content-type", b"text/plain"),)
ORIGIN: Headers = ((b"x-trace-id", OWN), (b"origin", b"https://app.example"))


def _text(*more: tuple[bytes, bytes], status: int = 200) -> Plan:
    return Plan(status=status, headers=(*TEXT, *more))


EVERY_STATUS = [
    Row(
        f"{method} {status.value}",
        Expect(status.value),
        Plan(status.value, TEXT, () if status in (204, 304) else (b"body",)),
        Request(method=method),
    )
    for status in HTTPStatus
    if status >= 200
    for method in ("GET", "HEAD", "OPTIONS")
]

_CRASH = Expect(
    500,
    members={"error_code": "SYS-003-500", "trace_id": OWN.decode(), "details": []},
    has=((b"content-type", b"application/json; charset=utf-8"), (b"cache-control", b"no-store")),
    lacks=(b"x-a", b"set-cookie"),
    raises=None,
)


def _illegal(name: str, plan: Plan) -> Row:
    return Row(name, _CRASH, plan)


ILLEGAL = [
    *(
        _illegal(f"illegal header {name!r}: {value!r}", _text((name, value)))
        for name, value in (
            (b"x-a", b"a\nset-cookie: b=c"),
            (b"x-a", b"a\r\nset-cookie: b=c"),
            (b"x-a", b"\r"),
            (b"x-a", b"a\x00b"),
            (b"x a", b"b"),
            (b"", b"b"),
            (b"x:a", b"b"),
            (b"x-\xe9", b"b"),
            (b"x\n", b"b"),
            (b"content-length", b"x"),
            (b"content-length", b"-5"),
        )
    ),
    *(_illegal(f"illegal status {status}", _text(status=status)) for status in (0, 99, 100, 103, 199, 1000)),
    _illegal("an illegal head of error JSON", Plan(404, (*JSON, (b"x-a", b"\n")), (b"{}",))),
    _illegal("an illegal head of a stream", Plan(200, (*SSE, (b"x-a", b"\n")), (b"data: x\n\n",))),
]


def _conflict(name: str, *ids: bytes, spelled: bytes = b"x-trace-id", plan: Plan | None = None) -> list[Row]:
    plan = plan or Plan()
    lines = tuple((spelled, value) for value in ids)
    given = replace(
        plan,
        headers=(
            *plan.headers,
            *lines,
            (b"set-cookie", b"a=1"),
            (b"vary", b"Accept"),
            (b"etag", b'"x"'),
            (b"www-authenticate", b"Basic"),
            (b"x-custom", b"1"),
        ),
    )
    refused = Expect(
        409,
        members={
            "error_code": "SYS-004-409-TRACE",
            "details": ["trace_overwrite_refused"],
            "refused_status": plan.status,
            "trace_id": OWN.decode(),
        },
        has=(
            (b"set-cookie", b"a=1"),
            (b"vary", b"Accept"),
            (b"www-authenticate", b"Basic"),
            (b"x-custom", b"1"),
            (b"cache-control", b"no-store"),
        ),
        lacks=(b"etag",),
        events=("trace_overwrite_refused",),
        checks=(
            lambda outcome: outcome.events[0].refused_status == plan.status,
            lambda outcome: OTHER not in outcome.reply.body,
        ),
    )
    rows = [Row(name, refused, given)]
    if len(ids) == 1:
        for how, settings in (("kept", Settings(on_conflict="keep")), ("observed", Settings(mode="observe"))):
            kept = Expect(
                plan.status,
                has=((b"x-trace-id", ids[0]), (b"set-cookie", b"a=1")),
                trace=ids[0],
                events=("trace_overwrite_refused",),
            )
            rows.append(Row(f"{name}, {how}", kept, given, settings=settings))
    return rows


OWN_ID = [
    *_conflict("another id", OTHER),
    *_conflict("another id in upper-case letters", OTHER, spelled=b"X-TRACE-ID"),
    *_conflict("garbage as id", b"garbage"),
    *_conflict("an empty id", b""),
    *_conflict("the id twice", OWN, OWN),
    *_conflict("the id and another", OWN, OTHER),
    *_conflict("the id comma-joined", OWN + b", " + OWN),
    *_conflict("the id in braces", b"{" + OWN + b"}"),
    *_conflict("another id on a 404", OTHER, plan=Plan(404, JSON, (b'{"a":1}',))),
    *_conflict("another id on a redirect", OTHER, plan=Plan(307, ((b"x-a", b"b"),), ())),
    *_conflict("another id on a stream", OTHER, plan=Plan(200, SSE, (b"data: x\n\n",))),
    *(
        Row(f"its own equal id as {own.decode()}", Expect(body=b"hello", trace=own), _text((b"X-Trace-Id", own)))
        for own in (OWN, OWN.upper(), HEX, HEX.upper())
    ),
    Row(
        "a minted id is not the application's to choose",
        Expect(409, trace=None, events=("trace_overwrite_refused",)),
        _text((b"x-trace-id", OTHER)),
        Request(headers=()),
        Settings(mode="mint"),
    ),
    Row(
        "another id for HEAD",
        Expect(409, events=("trace_overwrite_refused",)),
        _text((b"x-trace-id", OTHER)),
        Request(method="HEAD"),
    ),
    Row(
        "a traceresponse of another number is left",
        Expect(
            body=b"hello",
            has=((b"traceresponse", b"00-" + OTHER.replace(b"-", b"") + b"-00f067aa0ba902b7-01"),),
            checks=(lambda outcome: len(outcome.events) == 1,),
            events=("trace_overwrite_refused",),
        ),
        _text((b"traceresponse", b"00-" + OTHER.replace(b"-", b"") + b"-00f067aa0ba902b7-01")),
        oracle=False,
    ),
]

_ALLOWED = (b"access-control-allow-origin", b"https://app.example")
_EXPOSED = b"access-control-expose-headers"


def _exposes(*names: bytes) -> Check:
    """Return a check that one line exposes exactly *names*, in this order."""

    def check(outcome: Outcome) -> bool:
        return [[name.strip().lower() for name in line.split(b",")] for line in outcome.reply.values(_EXPOSED)] == [
            list(names)
        ]

    return check


CORS = [
    Row("no CORS, no exposed header", Expect(lacks=(_EXPOSED,)), _text(), Request(headers=ORIGIN)),
    Row(
        "a CORS reply exposes the id",
        Expect(checks=(_exposes(b"x-trace-id"),)),
        _text(_ALLOWED),
        Request(headers=ORIGIN),
        oracle=False,
    ),
    Row(
        "what is exposed is merged into",
        Expect(checks=(_exposes(b"x-total", b"etag", b"x-trace-id"),)),
        _text(_ALLOWED, (_EXPOSED, b"X-Total, ETag")),
        Request(headers=ORIGIN),
    ),
    Row(
        "what is exposed already stays",
        Expect(has=((_EXPOSED, b"x-trace-id,X-Total"),)),
        _text(_ALLOWED, (_EXPOSED, b"x-trace-id,X-Total")),
        Request(headers=ORIGIN),
    ),
    Row(
        "everything is exposed already",
        Expect(has=((_EXPOSED, b"*"),)),
        _text(_ALLOWED, (_EXPOSED, b"*")),
        Request(headers=ORIGIN),
    ),
    Row(
        "the gate's own reply can be read",
        Expect(
            409,
            has=((b"access-control-allow-origin", b"https://app.example"),),
            checks=(lambda outcome: b"X-Trace-Id" in b",".join(outcome.reply.values(_EXPOSED)),),
            trace=None,
            events=("missing_trace",),
        ),
        request=Request(headers=ORIGIN[1:]),
        settings=Settings(cors_origins=("https://app.example",)),
    ),
    Row(
        "the gate's own reply is not for another origin",
        Expect(409, lacks=(b"access-control-allow-origin",), trace=None, events=("missing_trace",)),
        request=Request(headers=((b"origin", b"https://evil.example"),)),
        settings=Settings(cors_origins=("https://app.example",)),
    ),
    Row(
        "the gate's own reply without Origin",
        Expect(409, lacks=(b"access-control-allow-origin", _EXPOSED), trace=None, events=("missing_trace",)),
        request=Request(headers=()),
        settings=Settings(cors_origins=("https://app.example",)),
    ),
    Row(
        "a refusal keeps the application's CORS headers",
        Expect(409, has=(_ALLOWED,), events=("trace_overwrite_refused",)),
        _text(_ALLOWED, (b"x-trace-id", OTHER)),
        Request(headers=ORIGIN),
    ),
]

_BOTH = Settings(traceresponse=True, server_timing=True)

OPTED_IN = [
    Row(
        "traceresponse and Server-Timing",
        Expect(
            body=b"hello",
            checks=(
                lambda outcome: outcome.reply.values(b"traceresponse")[0].startswith(b"00-" + HEX + b"-"),
                lambda outcome: b"trace;desc=" in outcome.reply.values(b"server-timing")[-1],
                lambda outcome: HEX in outcome.reply.values(b"server-timing")[-1],
            ),
        ),
        settings=_BOTH,
        oracle=False,
    ),
    Row(
        "Server-Timing is appended to",
        Expect(
            body=b"hello",
            checks=(
                lambda outcome: b",".join(outcome.reply.values(b"server-timing")).startswith(b"db;dur=53"),
                lambda outcome: HEX in b",".join(outcome.reply.values(b"server-timing")),
            ),
        ),
        _text((b"server-timing", b"db;dur=53")),
        settings=_BOTH,
        oracle=False,
    ),
    Row(
        "an equal traceresponse stays alone",
        Expect(body=b"hello", checks=(lambda outcome: len(outcome.reply.values(b"traceresponse")) == 1,)),
        _text((b"traceresponse", b"00-" + HEX + b"-00f067aa0ba902b7-01")),
        settings=_BOTH,
        oracle=False,
    ),
    Row("not by default", Expect(lacks=(b"traceresponse", b"server-timing"))),
]

_TRAILING: Headers = ((b"x-checksum", b"abc"),)
_HINT: dict[str, object] = {"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]}
_PUSH: dict[str, object] = {"type": "http.response.push", "path": "/style.css", "headers": []}
_DEBUG: dict[str, object] = {"type": "http.response.debug", "info": {"template": "x"}}
_UNKNOWN: dict[str, object] = {"type": "http.response.future", "payload": 1}


def _passes(message: dict[str, object]) -> Check:
    """Return a check that *message* reached the server as it was, and none like it."""
    return lambda outcome: outcome.reply.others == [message]


SHAPES = [
    *(
        Row(f"headers as {kind}", Expect(body=b"hello"), Plan(shape=Shape(headers_as=kind)), only="asgi")
        for kind in ("list", "tuple", "iterator", "lists", "reused")
    ),
    Row("no headers key", Expect(body=b"hello"), Plan(headers=()), only="asgi"),
    Row(
        "upper-case names",
        Expect(body=b"hello", checks=(lambda outcome: (b"X-UPPER", b"Kept") in outcome.reply.headers,)),
        _text((b"X-UPPER", b"Kept")),
    ),
    Row(
        "headers keep their order",
        Expect(
            checks=(
                lambda outcome: (
                    [v for k, v in outcome.reply.headers if k.lower() == b"set-cookie"] == [b"b", b"a", b"c"]
                ),
            )
        ),
        _text((b"set-cookie", b"b"), (b"x-a", b"1"), (b"Set-Cookie", b"a"), (b"set-cookie", b"c")),
    ),
    Row("latin-1 values", Expect(has=((b"x-name", b"caf\xe9"),)), _text((b"x-name", b"caf\xe9"))),
    *(
        Row(
            f"a body ends with a {kind}",
            Expect(body=b"ab"),
            Plan(chunks=(b"a", b"b"), shape=Shape(ending=kind)),
            only="asgi",
        )
        for kind in ("last_chunk", "empty_chunk", "bare_chunk")
    ),
    Row(
        "no more_body key",
        Expect(body=b"a"),
        Plan(chunks=(b"a",), shape=Shape(ending="last_chunk", omits_more_body=True)),
        only="asgi",
    ),
    Row(
        "empty chunks",
        Expect(
            body=b"ab",
            checks=(
                lambda outcome: (
                    outcome.reply.parts == [(b"", True), (b"a", True), (b"", True), (b"b", True), (b"", False)]
                ),
            ),
        ),
        Plan(chunks=(b"", b"a", b"", b"b")),
        only="asgi",
    ),
    Row(
        "trailers",
        Expect(body=b"hello", checks=(lambda outcome: outcome.reply.trailers == list(_TRAILING),)),
        Plan(shape=Shape(trailers=_TRAILING)),
        only="asgi",
    ),
    Row(
        "another id in trailers",
        Expect(clean=False, raises=None, events=("trace_overwrite_refused",)),
        Plan(shape=Shape(trailers=((b"x-trace-id", OTHER),))),
        only="asgi",
        oracle=False,
    ),
    Row(
        "an equal id in trailers",
        Expect(body=b"hello", checks=(lambda outcome: outcome.reply.trailers == [(b"x-trace-id", OWN)],)),
        Plan(shape=Shape(trailers=((b"x-trace-id", OWN),))),
        only="asgi",
    ),
    *(
        Row(
            f"{message['type']} {where}",
            Expect(body=b"hello", checks=(_passes(message),)),
            Plan(shape=shape),
            only="asgi",
        )
        for message in (_HINT, _PUSH, _DEBUG, _UNKNOWN)
        for where, shape in (
            ("before the start", Shape(before_start=(message,))),
            ("after the start", Shape(after_start=(message,))),
        )
    ),
    Row(
        "extra keys of a start",
        Expect(checks=(lambda outcome: outcome.reply.start_extras == {"x": 1},)),
        Plan(shape=Shape(start_extras=(("x", 1),))),
        only="asgi",
    ),
    *(
        Row(
            f"a success by {kind}",
            Expect(body=b"hello", checks=(lambda outcome: outcome.reply.used_file,)),
            Plan(shape=Shape(file=kind)),
            only="asgi",
        )
        for kind in ("pathsend", "zerocopysend")
    ),
    *(
        Row(f"a body as {kind}", Expect(body=b"ab"), Plan(chunks=(b"a", b"b"), shape=Shape(body_as=kind)), only="wsgi")
        for kind in ("list", "tuple", "generator", "closeable", "write", "lazy_start", "file_wrapper")
    ),
    *(
        Row(
            f"error JSON as {kind}",
            Expect(404, members={"a": 1, "trace_id": OWN.decode()}),
            Plan(404, JSON, (b'{"a"', b":1}"), shape=Shape(body_as=kind)),
            only="wsgi",
        )
        for kind in ("list", "tuple", "generator", "closeable", "write", "lazy_start", "file_wrapper")
    ),
    *(
        Row(
            f"a stream as {kind}",
            Expect(members={}, body=b"data: a\ntrace_id: %s\n\n" % OWN),
            Plan(200, SSE, (b"data: a\n", b"\n"), shape=Shape(body_as=kind)),
            only="wsgi",
        )
        for kind in ("list", "tuple", "generator", "closeable", "write", "lazy_start", "file_wrapper")
    ),
    Row(
        "start_response again with exc_info",
        Expect(503, body=b"hello"),
        replace(_text(status=503), shape=Shape(restarts=(200, ((b"x-old", b"1"),)))),
        only="wsgi",
    ),
    Row(
        "start_response again, away from error JSON",
        Expect(200, body=b"hello"),
        replace(_text(), shape=Shape(restarts=(404, JSON))),
        only="wsgi",
    ),
    Row(
        "start_response again, into error JSON",
        Expect(404, members={"trace_id": OWN.decode()}),
        Plan(404, JSON, (b"{}",), shape=Shape(restarts=(200, TEXT))),
        only="wsgi",
    ),
    Row(
        "start_response again, away from another id",
        Expect(200, body=b"hello"),
        replace(_text(), shape=Shape(restarts=(200, ((b"x-trace-id", OTHER),)))),
        only="wsgi",
        oracle=False,
    ),
]
