"""Which error bodies do applications send, and what must leave (D1-D5)?"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace

import brotli
import zstandard

from tests.contract.table import JSON, Check, Expect, Row, splices
from tests.property.drivers.record import Outcome
from tests.property.oracle.marks import object_in
from tests.property.plan import OTHER, OWN, Headers, Plan, Request, Settings, Shape

__all__ = ["CODINGS", "ENVELOPED", "FILES", "LONG", "MARKED", "REFUSED", "SPARED"]

HEX = OWN.replace(b"-", b"")
NOT_FOUND = b'{"detail":"Not Found"}'


def _plan(body: bytes, *more: tuple[bytes, bytes], status: int = 404, headers: Headers = JSON) -> Plan:
    return Plan(status=status, headers=(*headers, *more), chunks=(body,))


def _marked(name: str, body: bytes, *more: tuple[bytes, bytes]) -> Row:
    return Row(name, Expect(404, body=splices(body)), _plan(body, *more))


def _deep(depth: int) -> bytes:
    return b'{"a":' + b"[" * depth + b"]" * depth + b"}"


MARKED = [
    _marked("FastAPI's 404", NOT_FOUND),
    _marked(
        "FastAPI's 422", b'{"detail":[{"type":"missing","loc":["query","q"],"msg":"Field required","input":null}]}'
    ),
    _marked("an empty object", b"{}"),
    _marked("an empty object with space", b"{ \n }"),
    _marked("white space around", b' \n\t{"a": 1}  \r\n'),
    _marked("duplicate keys", b'{"a":1,"a":2}'),
    _marked("a nested trace_id only", b'{"error":{"trace_id":"inner"}}'),
    _marked("a trace_id in an array only", b'{"errors":[{"trace_id":"x"}]}'),
    _marked("trace_id as a value", b'{"a":"trace_id"}'),
    _marked("trace_id inside a string", b'{"a":"\\"trace_id\\":1"}'),
    _marked("other cases of the name", b'{"Trace_Id":"x","TRACE_ID":"y"}'),
    _marked("a longer name", b'{"trace_id2":1,"trace_id ":3}'),
    _marked("braces in strings", b'{"a":"}{\\"}","b":"{"}'),
    _marked("a 5,000-digit number", b'{"a":' + b"9" * 5000 + b"}"),
    _marked("numbers as written", b'{"a":1.0,"b":1.10,"c":1E+30,"d":-0,"e":1E400}'),
    _marked("escapes as written", b'{"a":"\\/x\\u002f\\u003cb\\u003e"}'),
    _marked("a lone surrogate", b'{"a":"\\ud800"}'),
    _marked("depth 500", _deep(500)),
    _marked("depth 100,000", _deep(100_000)),
    _marked("a long string", b'{"a":"' + b"x" * 200_000 + b'"}'),
    _marked("non-ASCII text", '{"a":"\u2665 \U0001f600"}'.encode()),
    Row(
        "equal, present",
        Expect(404, body=b'{"a":1, "trace_id" : "%s"}' % OWN),
        _plan(b'{"a":1, "trace_id" : "%s"}' % OWN, (b"etag", b'"x"')),
    ),
    Row(
        "equal, spelled otherwise",
        Expect(404, body=b'{"trace_id":"%s"}' % HEX.upper()),
        _plan(b'{"trace_id":"%s"}' % HEX.upper()),
    ),
    Row(
        "equal, its key escaped",
        Expect(404, body=b'{"\\u0074race_id":"%s"}' % OWN),
        _plan(b'{"\\u0074race_id":"%s"}' % OWN),
    ),
    Row(
        "equal, twice",
        Expect(404, body=b'{"trace_id":"%s","trace_id":"%s"}' % (OWN, HEX)),
        _plan(b'{"trace_id":"%s","trace_id":"%s"}' % (OWN, HEX)),
    ),
    Row("null", Expect(404, body=b'{"trace_id": "%s" ,"a":1}' % OWN), _plan(b'{"trace_id": null ,"a":1}')),
    Row("an empty string", Expect(404, body=b'{"a":1,"trace_id":"%s"}' % OWN), _plan(b'{"a":1,"trace_id":""}')),
    Row("null, its key escaped", Expect(404, body=b'{"trace\\u005Fid":"%s"}' % OWN), _plan(b'{"trace\\u005Fid":null}')),
    Row(
        "in the caller's spelling",
        Expect(404, body=splices(NOT_FOUND, HEX.upper()), trace=HEX.upper()),
        _plan(NOT_FOUND),
        Request(headers=((b"x-trace-id", HEX.upper()),)),
    ),
    *(
        Row(
            f"media type {kind.decode()}",
            Expect(404, body=splices(NOT_FOUND), has=((b"content-type", kind),)),
            _plan(NOT_FOUND, headers=((b"content-type", kind),)),
        )
        for kind in (
            b"application/problem+json",
            b"Application/JSON",
            b"application/json; charset=utf-8",
            b"application/vnd.api+json",
            b'application/json;profile="x"',
        )
    ),
    *(
        Row(f"status {status}", Expect(status, body=splices(NOT_FOUND)), _plan(NOT_FOUND, status=status))
        for status in (400, 401, 403, 405, 409, 413, 422, 429, 500, 503, 599)
    ),
    Row(
        "length, digests and a strong ETag",
        Expect(
            404,
            body=splices(NOT_FOUND),
            has=((b"content-length", b"%d" % len(min(splices(NOT_FOUND)))), (b"set-cookie", b"a=1")),
            lacks=(b"content-md5", b"content-digest", b"repr-digest", b"digest", b"etag"),
        ),
        _plan(
            NOT_FOUND,
            (b"content-length", b"22"),
            (b"Content-MD5", b"AAAA"),
            (b"content-digest", b"sha-256=:AA:"),
            (b"set-cookie", b"a=1"),
            (b"repr-digest", b"sha-256=:AA:"),
            (b"digest", b"sha-256=AA"),
            (b"etag", b'"strong"'),
        ),
    ),
    Row("a weak ETag", Expect(404, has=((b"etag", b'W/"weak"'),)), _plan(NOT_FOUND, (b"etag", b'W/"weak"'))),
    Row(
        "no-transform is no obstacle",
        Expect(404, body=splices(NOT_FOUND), has=((b"cache-control", b"no-transform"),)),
        _plan(NOT_FOUND, (b"cache-control", b"no-transform")),
    ),
    Row(
        "in many pieces",
        Expect(404, body=splices(NOT_FOUND)),
        replace(_plan(b""), chunks=tuple(NOT_FOUND[i : i + 1] for i in range(len(NOT_FOUND)))),
    ),
    Row(
        "digests stay where nothing changes",
        Expect(404, has=((b"etag", b'"strong"'), (b"content-length", b"51"))),
        _plan(b'{"trace_id":"%s"}' % OWN, (b"etag", b'"strong"'), (b"content-length", b"51")),
    ),
]


def _refused(name: str, body: bytes, *, keeps: bool = False) -> Row:
    expect = Expect(
        409,
        members={
            "error_code": "SYS-004-409-TRACE",
            "details": ["trace_overwrite_refused"],
            "refused_status": 404,
            "trace_id": OWN.decode(),
        },
        has=((b"set-cookie", b"a=1"), (b"retry-after", b"3"), (b"cache-control", b"no-store")),
        lacks=(b"etag", b"last-modified", b"location", b"content-language"),
        events=("trace_overwrite_refused",),
        checks=(
            lambda outcome: OTHER not in outcome.reply.body,
            lambda outcome: (outcome.events[0].status, outcome.events[0].refused_status) == (409, 404),
        ),
    )
    more = (
        (b"set-cookie", b"a=1"),
        (b"retry-after", b"3"),
        (b"etag", b'"x"'),
        (b"last-modified", b"x"),
        (b"location", b"/"),
        (b"content-language", b"en"),
    )
    if keeps:
        expect = Expect(404, body=body, has=more, events=("trace_overwrite_refused",))
    return Row(name, expect, _plan(body, *more), settings=Settings(on_conflict="keep") if keeps else Settings())


_UNEQUAL = {
    "another trace": b'{"trace_id":"%s"}' % OTHER,
    "another trace, its key escaped": b'{"\\u0074race_id":"%s"}' % OTHER,
    "garbage": b'{"trace_id":"app"}',
    "a number": b'{"trace_id":1}',
    "an object": b'{"trace_id":{"x":1}}',
    "an array of the id": b'{"trace_id":["%s"]}' % OWN,
    "a boolean": b'{"trace_id":false}',
    "the id in braces": b'{"trace_id":"{%s}"}' % OWN,
    "the id with a space": b'{"trace_id":"%s "}' % OWN,
    "an equal one and another": b'{"trace_id":"%s","trace_id":"%s"}' % (OWN, OTHER),
    "another one and an equal": b'{"trace_id":"%s","a":1,"trace_id":"%s"}' % (OTHER, OWN),
    "null and another": b'{"trace_id":null,"trace_id":"%s"}' % OTHER,
}

REFUSED = [
    *(_refused(name, body) for name, body in _UNEQUAL.items()),
    *(_refused(f"{name}, kept", body, keeps=True) for name, body in _UNEQUAL.items()),
    *(
        Row(
            f"{name}, observed",
            Expect(
                404,
                body=body,
                events=("trace_overwrite_refused",),
                checks=(lambda outcome: outcome.events[0].would_refuse,),
            ),
            _plan(body),
            settings=Settings(mode="observe"),
        )
        for name, body in _UNEQUAL.items()
    ),
]


def _original(raw: bytes) -> Check:
    """Return a check that the envelope carries *raw* as its original."""

    def check(outcome: Outcome) -> bool:
        body = outcome.reply.body
        document = object_in(body)
        return document is not None and any(
            each.name == "original" and body[each.value_start : each.value_end] == raw for each in document.members
        )

    return check


def _enveloped(
    name: str, body: bytes, *checks: Check, status: int = 404, code: str = "API-004-404", message: str = "Not Found"
) -> Row:
    expect = Expect(
        status,
        members={"error_code": code, "message": message, "trace_id": OWN.decode(), "details": []},
        has=((b"content-type", b"application/json; charset=utf-8"), (b"set-cookie", b"a=1"), (b"x-custom", b"1")),
        checks=checks,
    )
    return Row(name, expect, _plan(body, (b"set-cookie", b"a=1"), (b"x-custom", b"1"), status=status))


ENVELOPED = [
    _enveloped("an array", b'[{"a" : 1.0}]', _original(b'[{"a" : 1.0}]')),
    _enveloped("a string", b' "{}" ', _original(b'"{}"')),
    _enveloped("a number", b"1E400", _original(b"1E400")),
    _enveloped("null", b"null", _original(b"null")),
    _enveloped("false", b"false", _original(b"false")),
    _enveloped(
        "an array of depth 100,000", b"[" * 100_000 + b"]" * 100_000, _original(b"[" * 100_000 + b"]" * 100_000)
    ),
    _enveloped("empty", b""),
    _enveloped("white space", b" \r\n"),
    _enveloped("text", b"Internal Server Error", _original(b'"Internal Server Error"')),
    _enveloped("markup", b"<html>502</html>"),
    _enveloped("truncated", b'{"a":1', _original(b'"{\\"a\\":1"')),
    _enveloped("two documents", b'{"a":1}\n{"b":2}\n'),
    _enveloped("trailing garbage", b'{"a":1} x', _original(b'"{\\"a\\":1} x"')),
    _enveloped("a trailing comma", b'{"a":1,}'),
    _enveloped("single quotes", b"{'a':1}", _original(b"\"{'a':1}\"")),
    _enveloped("NaN", b'{"a":NaN}'),
    _enveloped("a control character", b'{"a":"\x01"}'),
    _enveloped("invalid UTF-8", b'{"a":"\xe9"}'),
    _enveloped("overlong UTF-8", b'{"a":"\xc0\xaf"}'),
    _enveloped("UTF-16", '{"a":1}'.encode("utf-16")),
    _enveloped("depth 100,000, unclosed", b'{"a":' * 100_000),
    _enveloped("a foreign id in what is no JSON", b'{"trace_id":"%s"' % OTHER),
    *(
        _enveloped(f"an array with {status}", b"[]", _original(b"[]"), status=status, code=code, message=message)
        for status, code, message in (
            (500, "SYS-003-500", "Internal Server Error"),
            (503, "SYS-003-503", "Service Unavailable"),
            (418, "HTTP-418", "I'm a Teapot"),
            (402, "HTTP-402", "Payment Required"),
            (502, "HTTP-502", "Bad Gateway"),
        )
    ),
    Row(
        "an array as a problem",
        Expect(
            404,
            has=((b"content-type", b"application/problem+json"),),
            members={"trace_id": OWN.decode(), "error_code": "API-004-404"},
        ),
        _plan(b"[]"),
        Request(headers=((b"x-trace-id", OWN), (b"accept", b"application/problem+json"))),
    ),
    Row(
        "a byte order mark",
        Expect(404, checks=(lambda outcome: OWN in outcome.reply.body,)),
        _plan(b'\xef\xbb\xbf{"a":1}'),
    ),
]

_TEXT: Headers = ((b"content-type", b"text/plain; charset=utf-8"),)
_HTML: Headers = ((b"content-type", b"text/html"),)


def _spared(name: str, plan: Plan, settings: Settings | None = None, *, method: str = "GET") -> Row:
    expect = Expect(
        plan.status,
        body=None if method == "HEAD" else plan.body,
        has=tuple((name.lower(), value) for name, value in plan.headers),
    )
    return Row(name, expect, plan, Request(method=method), settings or Settings())


SPARED = [
    _spared("a text error", _plan(b"no", headers=_TEXT)),
    _spared("an HTML error", _plan(b"<p>no", headers=_HTML)),
    _spared("an error without a type", _plan(NOT_FOUND, headers=())),
    _spared("NDJSON", _plan(b'{"a":1}\n', headers=((b"content-type", b"application/x-ndjson"),))),
    _spared("gRPC JSON", _plan(b'{"a":1}', headers=((b"content-type", b"application/grpc+json"),))),
    _spared("Connect JSON", _plan(b'{"a":1}', headers=((b"content-type", b"application/connect+json"),))),
    _spared("success JSON", _plan(b'{"a":1}', (b"content-length", b"7"), status=200)),
    _spared("success JSON with another trace", _plan(b'{"trace_id":"%s"}' % OTHER, status=200)),
    _spared("a JSON redirect", _plan(b'{"a":1}', (b"location", b"/x"), status=307)),
    _spared("204", replace(_plan(b"", status=204), chunks=())),
    _spared("304", replace(_plan(b"", (b"etag", b'"x"'), status=304), chunks=())),
    _spared("206", _plan(b"part", (b"content-range", b"bytes 0-3/9"), status=206, headers=_TEXT)),
    _spared("HEAD of success JSON", _plan(b"", (b"content-length", b"700"), status=200), method="HEAD"),
    Row(
        "HEAD of error JSON",
        Expect(404, lacks=(b"content-length",)),
        replace(_plan(b"", (b"content-length", b"22")), chunks=()),
        Request(method="HEAD"),
    ),
    Row(
        "a text error where the policy wants JSON",
        Expect(
            404, members={"error_code": "API-004-404", "message": "Not Found", "trace_id": OWN.decode(), "details": []}
        ),
        _plan(b"no", headers=_TEXT),
        settings=Settings(error_bodies="json"),
    ),
    Row(
        "an HTML error where the policy wants JSON",
        Expect(500, members={"error_code": "SYS-003-500", "trace_id": OWN.decode()}),
        _plan(b"<p>no", status=500, headers=_HTML),
        settings=Settings(error_bodies="json"),
    ),
    _spared(
        "an image error where the policy wants JSON",
        _plan(b"GIF", headers=((b"content-type", b"image/gif"),)),
        Settings(error_bodies="json"),
    ),
    Row(
        "success JSON where the policy wants all",
        Expect(200, body=splices(NOT_FOUND)),
        _plan(NOT_FOUND, status=200),
        settings=Settings(bodies="all"),
    ),
    _spared("a success array where the policy wants all", _plan(b"[1]", status=200), Settings(bodies="all")),
    _spared(
        "gRPC JSON where the policy wants all",
        _plan(b'{"a":1}', status=200, headers=((b"content-type", b"application/grpc+json"),)),
        Settings(bodies="all"),
    ),
    _spared(
        "a success text where the policy wants all", _plan(b"x", status=200, headers=_TEXT), Settings(bodies="all")
    ),
]


def _coded(name: str, coding: bytes, body: bytes) -> Row:
    expect = Expect(404, body=splices(NOT_FOUND), lacks=(b"content-encoding", b"etag"))
    return Row(
        name,
        expect,
        _plan(body, (b"content-encoding", coding), (b"content-length", b"%d" % len(body)), (b"etag", b'"x"')),
    )


def _unread(name: str, coding: bytes, body: bytes) -> Row:
    members = {"error_code": "API-004-404", "trace_id": OWN.decode(), "details": []}
    return Row(
        name, Expect(404, members=members, lacks=(b"content-encoding",)), _plan(body, (b"content-encoding", coding))
    )


_BOMB = b'{"a":"' + b" " * 30_000_000 + b'"}'

CODINGS = [
    _coded("gzip", b"gzip", gzip.compress(NOT_FOUND)),
    _coded("GZIP", b"GZIP", gzip.compress(NOT_FOUND)),
    _coded("two gzip members", b"gzip", gzip.compress(NOT_FOUND[:9]) + gzip.compress(NOT_FOUND[9:])),
    _coded("deflate", b"deflate", zlib.compress(NOT_FOUND)),
    _coded("raw deflate", b"deflate", zlib.compress(NOT_FOUND, wbits=-15)),
    _coded("br", b"br", brotli.compress(NOT_FOUND)),
    _coded("zstd", b"zstd", zstandard.compress(NOT_FOUND)),
    Row("identity", Expect(404, body=splices(NOT_FOUND)), _plan(NOT_FOUND, (b"content-encoding", b"identity"))),
    _unread("an unknown coding", b"aes128gcm", b"\x00\x01\x02"),
    _unread("broken gzip", b"gzip", b"not gzip"),
    _unread("truncated gzip", b"gzip", gzip.compress(NOT_FOUND)[:-9]),
    replace(_unread("a gzip bomb", b"gzip", gzip.compress(_BOMB)), oracle=False),
    replace(_unread("a br bomb", b"br", brotli.compress(_BOMB, quality=1)), oracle=False),
    replace(_unread("a zstd bomb", b"zstd", zstandard.compress(_BOMB)), oracle=False),
    Row(
        "another trace inside gzip",
        Expect(409, members={"refused_status": 404}, events=("trace_overwrite_refused",), lacks=(b"content-encoding",)),
        _plan(gzip.compress(b'{"trace_id":"x"}'), (b"content-encoding", b"gzip")),
    ),
    Row(
        "a signed body",
        Expect(
            409,
            members={"refused_status": 404, "trace_id": OWN.decode()},
            lacks=(b"signature", b"signature-input"),
            checks=(lambda outcome: len(outcome.events) == 1,),
            events=("trace_overwrite_refused",),
        ),
        _plan(NOT_FOUND, (b"signature-input", b"sig1=()"), (b"signature", b"sig1=:AA:")),
    ),
    Row(
        "a signed body that is let through",
        Expect(404, body=NOT_FOUND, has=((b"signature", b"sig1=:AA:"),), events=("trace_overwrite_refused",)),
        _plan(NOT_FOUND, (b"signature-input", b"sig1=()"), (b"signature", b"sig1=:AA:")),
        settings=Settings(signed_errors="header"),
        oracle=False,
    ),
]

_LONG = b'{"items":[' + b",".join(b'{"n":%d}' % n for n in range(4000)) + b'], "end": true}'
_SMALL = Settings(max_error_body=1000)
_CUT = tuple(_LONG[at : at + 700] for at in range(0, len(_LONG), 700))

LONG = [
    Row(
        "a long object",
        Expect(404, body=splices(_LONG), lacks=(b"content-length",)),
        replace(_plan(_LONG, (b"content-length", b"%d" % len(_LONG))), chunks=_CUT),
        settings=_SMALL,
    ),
    Row("a long object in one piece", Expect(404, body=splices(_LONG)), _plan(_LONG), settings=_SMALL),
    Row(
        "a long object that names its trace",
        Expect(404, body=b'{"trace_id":"%s",' % OWN + _LONG[1:]),
        _plan(b'{"trace_id":"%s",' % OWN + _LONG[1:]),
        settings=_SMALL,
    ),
    Row(
        "a long object whose trace is null",
        Expect(404, body=_LONG[:-1] + b',"trace_id":"%s"}' % OWN),
        _plan(_LONG[:-1] + b',"trace_id":null}'),
        settings=_SMALL,
    ),
    Row(
        "a long object that names another at its end",
        Expect(404, clean=False, raises=None, events=("trace_overwrite_refused",)),
        replace(_plan(_LONG), chunks=(*_CUT[:-1], _CUT[-1][:-1] + b',"trace_id":"x"}')),
        settings=_SMALL,
    ),
    Row(
        "a long object that names another at its end, kept",
        Expect(404, clean=True, events=("trace_overwrite_refused",)),
        replace(_plan(_LONG), chunks=(*_CUT[:-1], _CUT[-1][:-1] + b',"trace_id":"x"}')),
        settings=replace(_SMALL, on_conflict="keep"),
    ),
    Row(
        "a long array",
        Expect(
            404,
            members={"trace_id": OWN.decode(), "error_code": "API-004-404", "details": []},
            lacks=(b"content-length",),
        ),
        _plan(b"[" + _LONG + b"]"),
        settings=_SMALL,
    ),
    Row(
        "a long text",
        Expect(404, members={"trace_id": OWN.decode(), "original": "x" * 5000}),
        _plan(b"x" * 5000),
        settings=_SMALL,
    ),
    Row(
        "a long object of 3 MB",
        Expect(
            404,
            checks=(lambda outcome: object_in(outcome.reply.body), lambda outcome: outcome.reply.body.count(OWN) == 1),
        ),
        _plan(b'{"a":"' + b"x" * 3_000_000 + b'"}'),
    ),
]

FILES = [
    Row(
        f"an error by {kind}",
        Expect(404, body=splices(NOT_FOUND)),
        replace(_plan(NOT_FOUND), shape=Shape(file=kind)),
        only="asgi",
    )
    for kind in ("pathsend", "zerocopysend")
]
