"""Which ids come in, and what becomes of them (A, B)?"""

from __future__ import annotations

from tests.contract.table import Expect, Row, one_of
from tests.property.drivers.record import Outcome
from tests.property.plan import OTHER, OWN, Headers, Request, Settings

__all__ = ["EDGES", "FORMATS", "HOSTILE", "PARENTS", "SOURCES"]

HEX = OWN.replace(b"-", b"")
UPPER = OWN.upper()
PARENT = b"00-" + HEX + b"-00f067aa0ba902b7-01"
OTHER_PARENT = b"00-" + OTHER.replace(b"-", b"") + b"-00f067aa0ba902b7-01"


def _named(*values: bytes, parents: tuple[bytes, ...] = (), more: Headers = ()) -> Request:
    ids = tuple((b"x-trace-id", value) for value in values)
    return Request(headers=(*ids, *((b"traceparent", value) for value in parents), *more))


def _refused(detail: str) -> Expect:
    kind = {
        "missing_trace_id": "missing_trace",
        "invalid_trace_id_format": "invalid_trace",
        "conflicting_trace_id": "conflicting_trace",
    }
    return Expect(
        status=409,
        members={"error_code": "SYS-004-409-TRACE", "details": [detail]},
        has=((b"content-type", b"application/json; charset=utf-8"), (b"cache-control", b"no-store")),
        trace=None,
        events=(kind[detail],),
        checks=(
            lambda outcome: not outcome.notes.entered,
            lambda outcome: "refused_status" not in outcome.reply.body.decode(),
        ),
    )


MISSING, INVALID, CONFLICT = map(_refused, ("missing_trace_id", "invalid_trace_id_format", "conflicting_trace_id"))


def _invalid(value: bytes) -> Expect:
    """Refused, and never reflected (B3)."""

    def is_kept_out(outcome: Outcome) -> bool:
        shown = repr(outcome.reply.headers).encode() + outcome.reply.body
        return value not in shown

    return Expect(
        status=409,
        members={"error_code": "SYS-004-409-TRACE", "details": ["invalid_trace_id_format"]},
        trace=None,
        events=("invalid_trace",),
        checks=(is_kept_out, lambda outcome: len(outcome.events[0].message) < 1000),
    )


def _bound(spelling: bytes) -> Expect:
    return Expect(body=b"hello", trace=spelling, checks=(one_of(spelling.decode()),))


MINTED = Expect(body=b"hello", trace=None, checks=(lambda outcome: outcome.notes.entered == 1,))

SOURCES = [
    Row("a UUID", _bound(OWN)),
    Row("a UUID in upper case", _bound(UPPER), request=_named(UPPER)),
    Row("32 hex digits", _bound(HEX), request=_named(HEX)),
    Row("32 upper-case hex digits", _bound(HEX.upper()), request=_named(HEX.upper())),
    Row(
        "a UUID of version 7",
        _bound(b"01890a5d-ac96-774b-bcce-b302099a8057"),
        request=_named(b"01890a5d-ac96-774b-bcce-b302099a8057"),
    ),
    Row("a traceparent alone", _bound(HEX), request=_named(parents=(PARENT,))),
    Row("an id and its traceparent", _bound(OWN), request=_named(OWN, parents=(PARENT,))),
    Row("an equal id repeated", _bound(OWN), request=_named(OWN, OWN)),
    Row("an equal id comma-joined", _bound(OWN), request=_named(OWN + b", " + OWN)),
    Row("an equal id in two spellings", Expect(body=b"hello", trace=None), request=_named(OWN, HEX)),
    Row("two ids", CONFLICT, request=_named(OWN, OTHER)),
    Row("two ids comma-joined", CONFLICT, request=_named(OWN + b"," + OTHER)),
    Row("an id and another traceparent", CONFLICT, request=_named(OWN, parents=(OTHER_PARENT,))),
    Row(
        "an id and a mesh's traceparent",
        _bound(OWN),
        request=_named(OWN, parents=(OTHER_PARENT,)),
        settings=Settings(traceparent_mismatch="parent"),
    ),
    Row("no id", MISSING, request=_named()),
    Row(
        "no id, the message says how to send one",
        Expect(
            409, trace=None, events=("missing_trace",), checks=(lambda outcome: b"X-Trace-Id" in outcome.reply.body,)
        ),
        request=_named(),
    ),
    Row("an empty id", MISSING, request=_named(b"")),
    Row("a blank id", MISSING, request=_named(b" \t ")),
    Row("a blank id and a traceparent", _bound(HEX), request=_named(b" ", parents=(PARENT,))),
    Row("no id, mode mint", MINTED, request=_named(), settings=Settings(mode="mint")),
    Row("a bad id, mode mint", INVALID, request=_named(b"garbage"), settings=Settings(mode="mint")),
    Row("two ids, mode mint", CONFLICT, request=_named(OWN, OTHER), settings=Settings(mode="mint")),
    Row(
        "no id, mode observe",
        Expect(
            body=b"hello",
            trace=None,
            events=("missing_trace",),
            checks=(lambda outcome: outcome.events[0].would_refuse,),
        ),
        request=_named(),
        settings=Settings(mode="observe"),
    ),
    Row(
        "a bad id, mode observe",
        Expect(
            body=b"hello",
            trace=None,
            events=("invalid_trace",),
            checks=(lambda outcome: outcome.events[0].would_refuse,),
        ),
        request=_named(b"garbage"),
        settings=Settings(mode="observe"),
    ),
    Row(
        "two ids, mode observe",
        Expect(body=b"hello", trace=None, events=("conflicting_trace",)),
        request=_named(OWN, OTHER),
        settings=Settings(mode="observe"),
    ),
    Row("a good id, mode observe", _bound(OWN), settings=Settings(mode="observe")),
    Row(
        "a problem is preferred",
        Expect(
            409,
            has=((b"content-type", b"application/problem+json"),),
            members={"details": ["missing_trace_id"]},
            trace=None,
            events=("missing_trace",),
        ),
        request=_named(more=((b"accept", b"application/problem+json"),)),
    ),
    Row(
        "a refusal for HEAD",
        Expect(409, trace=None, events=("missing_trace",)),
        request=Request(method="HEAD", headers=()),
    ),
]

HOSTILE = [
    Row(f"hostile: {name}", _invalid(value), request=_named(value))
    for name, value in {
        "60 KB": b"a" * 60_000,
        "60 KB of dashes before an id": b"-" * 60_000 + HEX,
        "nil": b"00000000-0000-0000-0000-000000000000",
        "nil digits": b"0" * 32,
        "braces": b"{" + OWN + b"}",
        "urn": b"urn:uuid:" + OWN,
        "Arabic-Indic digits": "\u0664\u0665".encode() * 16,
        "CR LF": OWN + b"\r\nset-cookie: a=1",
        "LF": OWN + b"\n",
        "a leading LF": b"\n" + OWN,
        "NUL": OWN[:-1] + b"\x00",
        "latin-1": b"\xe9" * 36,
        "31 digits": HEX[:-1],
        "33 digits": HEX + b"0",
        "35 characters": OWN[:-1],
        "a plus": b"+" + HEX[1:],
        "an underscore": HEX[:8] + b"_" + HEX[9:],
        "inner white space": HEX[:8] + b" " + HEX[9:],
        "0x": b"0x" + HEX[2:],
        "dashes in other places": b"4bf92f3577b3-4da6-a3ce-929d-0e0e4736",
        "too few dashes": b"4bf92f35-77b34da6-a3ce-929d0e0e4736a",
        "markup": b"<script>alert(1)</script>",
        "a token": b"req-42",
        "a traceparent": PARENT,
    }.items()
] + [
    Row(
        "hostile: an id and garbage",
        Expect(
            409, trace=None, events=("invalid_trace",), checks=(lambda outcome: b"garbage" not in outcome.reply.body,)
        ),
        request=_named(OWN + b",garbage"),
    ),
]

PARENTS = [
    *(
        Row(f"traceparent {name}", _bound(HEX), request=_named(parents=(value,)))
        for name, value in {
            "of a future version": b"cc-" + HEX + b"-00f067aa0ba902b7-01",
            "of a future version with more": b"01-" + HEX + b"-00f067aa0ba902b7-01-what-comes",
            "with other flags": b"00-" + HEX + b"-00f067aa0ba902b7-03",
            "with unknown flags": b"00-" + HEX + b"-00f067aa0ba902b7-ff",
        }.items()
    ),
    *(
        Row(f"traceparent {name} counts as absent", MISSING, request=_named(parents=(value,)))
        for name, value in {
            "of version ff": b"ff-" + HEX + b"-00f067aa0ba902b7-01",
            "of version 00 with more": PARENT + b"-extra",
            "of a future version with a dot": b"01-" + HEX + b"-00f067aa0ba902b7-01.x",
            "in upper case": b"00-" + HEX.upper() + b"-00f067aa0ba902b7-01",
            "with a nil trace": b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01",
            "with a nil parent": b"00-" + HEX + b"-0000000000000000-01",
            "cut short": PARENT[:-1],
            "too long": PARENT + b"0",
            "with a UUID": b"00-" + OWN + b"-00f067aa0ba902b7-01",
            "empty": b"",
            "with NUL": PARENT[:-1] + b"\x00",
        }.items()
    ),
    Row("several traceparents count as absent", MISSING, request=_named(parents=(PARENT, OTHER_PARENT))),
    Row("equal traceparents count as absent", MISSING, request=_named(parents=(PARENT, PARENT))),
    Row("a bad traceparent beside an id", _bound(OWN), request=_named(OWN, parents=(b"garbage",))),
    Row(
        "an oversized tracestate keeps the trace",
        _bound(HEX),
        request=_named(
            parents=(PARENT,),
            more=((b"tracestate", b",".join(b"k%d=v" % n for n in range(40)) + b",x=" + b"y" * 9000),),
        ),
    ),
    Row(
        "a bad tracestate keeps the trace",
        _bound(HEX),
        request=_named(parents=(PARENT,), more=((b"tracestate", b"foo=,=bar"),)),
    ),
]

_EXEMPT = Settings(exempt=("/health",), exempt_prefixes=("/live",))


def _at(path: str, *values: bytes, method: str = "GET", more: Headers = ()) -> Request:
    return Request(method=method, path=path, headers=(*((b"x-trace-id", value) for value in values), *more))


_CORS_PREFLIGHT: Headers = ((b"origin", b"https://app.example"), (b"access-control-request-method", b"GET"))

EDGES = [
    Row("an exempt path needs none", MINTED, request=_at("/health"), settings=_EXEMPT),
    Row("an exempt path keeps a good one", _bound(OWN), request=_at("/health", OWN), settings=_EXEMPT),
    Row("an exempt path refuses a bad one", INVALID, request=_at("/health", b"x"), settings=_EXEMPT),
    Row("an exempt path refuses two", CONFLICT, request=_at("/health", OWN, OTHER), settings=_EXEMPT),
    Row("an exempt prefix needs none", MINTED, request=_at("/live/a/b"), settings=_EXEMPT),
    *(
        Row(f"{path} is not exempt", MISSING, request=_at(path), settings=_EXEMPT)
        for path in (
            "/healthz",
            "/health/x",
            "/lively",
            "//health",
            "/live/../x",
            "/live//x",
            "/live/./x",
            "/x/health",
            "/Health",
        )
    ),
    Row("a preflight needs none", MINTED, request=_at("/x", method="OPTIONS", more=_CORS_PREFLIGHT)),
    Row("a preflight refuses a bad one", INVALID, request=_at("/x", b"bad", method="OPTIONS", more=_CORS_PREFLIGHT)),
    Row(
        "OPTIONS without Origin is no preflight", MISSING, request=_at("/x", method="OPTIONS", more=_CORS_PREFLIGHT[1:])
    ),
    Row(
        "OPTIONS without a requested method is no preflight",
        MISSING,
        request=_at("/x", method="OPTIONS", more=_CORS_PREFLIGHT[:1]),
    ),
    Row(
        "an untrusted caller names nothing",
        Expect(
            body=b"hello",
            trace=None,
            checks=(
                lambda outcome: outcome.reply.values(b"x-trace-id") != [OWN],
                lambda outcome: OWN.decode() not in outcome.notes.inside,
            ),
        ),
        settings=Settings(trusted=("10.0.0.0/8",)),
    ),
    Row(
        "nothing is refused from an untrusted caller",
        MINTED,
        request=_named(b"bad", OWN, OTHER),
        settings=Settings(trusted=("10.0.0.0/8",)),
    ),
    Row("an untrusted caller without an id", MINTED, request=_named(), settings=Settings(trusted=("10.0.0.0/8",))),
    Row(
        "an unknown peer is untrusted",
        MINTED,
        request=Request(client=None, headers=()),
        settings=Settings(trusted=("0.0.0.0/0",)),
    ),
    Row("a trusted caller names it", _bound(OWN), settings=Settings(trusted=("127.0.0.0/8",))),
    Row("a trusted caller needs one", MISSING, request=_named(), settings=Settings(trusted=("127.0.0.0/8",))),
    *(
        Row(
            f"a query parameter {name}",
            expect,
            request=Request(query=query, headers=headers),
            settings=Settings(query_parameter="trace"),
        )
        for name, query, headers, expect in (
            ("names it", b"a=1&trace=" + OWN, (), _bound(OWN)),
            ("names it, escaped", b"trace=" + OWN.replace(b"-", b"%2d"), (), _bound(OWN)),
            ("agrees with the header", b"trace=" + OWN, ((b"x-trace-id", OWN),), _bound(OWN)),
            ("conflicts with the header", b"trace=" + OTHER, ((b"x-trace-id", OWN),), CONFLICT),
            ("conflicts with itself", b"trace=" + OTHER + b"&trace=" + OWN, (), CONFLICT),
            ("is bad", b"trace=bad", (), INVALID),
            ("is empty", b"trace=", (), MISSING),
            ("agrees with the traceparent", b"trace=" + OWN, ((b"traceparent", PARENT),), _bound(OWN)),
            ("conflicts with the traceparent", b"trace=" + OWN, ((b"traceparent", OTHER_PARENT),), CONFLICT),
        )
    ),
    Row("a query parameter is nothing by default", MISSING, request=Request(query=b"trace=" + OWN, headers=())),
]

_AWS = b"Root=1-67891233-abcdef012345678912345678"
_ULID = b"01ARZ3NDEKTSV4RRFFQ69G5FAV"

FORMATS = [
    *(
        Row(
            f"{name} is accepted where it is asked for",
            _bound(value),
            request=_named(value),
            settings=Settings(formats=(name,)),
            oracle=False,
        )
        for name, value in (("nginx", HEX), ("aws", _AWS), ("ulid", _ULID), ("opaque", b"edge/req-42:a=b@c~+.x_y"))
    ),
    *(
        Row(f"{name} is refused by default", INVALID, request=_named(value), oracle=False)
        for name, value in (("aws", _AWS), ("ulid", _ULID), ("opaque", b"edge/req-42"))
    ),
    *(
        Row(f"{value!r} is no {name}", INVALID, request=_named(value), settings=Settings(formats=(name,)), oracle=False)
        for name, value in (
            ("aws", _AWS + b"0"),
            ("aws", b"1-67891233-abcdef012345678912345678"),
            ("ulid", _ULID[:-1]),
            ("ulid", b"81ARZ3NDEKTSV4RRFFQ69G5FAV"),
            ("ulid", b"01ARZ3NDEKTSV4RRFFQ69G5FAU"),
            ("opaque", b"a" * 129),
            ("opaque", b"a b"),
            ("opaque", b"a\xe9"),
            ("opaque", b'a"b'),
        )
    ),
]
