"""What do applications do?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from tests.property.plan import OTHER, OWN, Fault, Headers, Plan, Raise, Shape, spellings
from tests.property.strategies.bodies import chunked, encoded, error_bodies, objects, opaque_bodies
from tests.property.strategies.streams import event_streams

__all__ = [
    "CONFLICTS",
    "error_plans",
    "illegal_plans",
    "other_headers",
    "stream_plans",
    "success_plans",
    "with_faults",
    "with_length",
    "with_own_id",
    "with_shape",
]

JSON_TYPES = (
    b"application/json",
    b"application/json; charset=utf-8",
    b"Application/JSON",
    b"application/problem+json",
    b"application/vnd.api+json;v=1",
    b"application/json ;charset=utf-8",
)
PLAIN_TYPES = (
    b"text/plain; charset=utf-8",
    b"text/html",
    b"application/x-ndjson",
    b"application/octet-stream",
    b"image/png",
    b"application/grpc+json",
    b"text/json-like",
    b"application/jsonp",
    b"multipart/form-data; boundary=x",
)

_ONE_HEADER = st.sampled_from(
    [
        (b"set-cookie", b"a=1; Path=/"),
        (b"set-cookie", b"b=2"),
        (b"Set-Cookie", b"c=3"),
        (b"retry-after", b"30"),
        (b"www-authenticate", b"Bearer"),
        (b"vary", b"Accept"),
        (b"x-custom", b"1"),
        (b"X-Custom", b"two words"),
        (b"x-empty", b""),
        (b"x-latin", b"caf\xe9"),
        (b"last-modified", b"Mon, 23 Nov 2026 10:00:00 GMT"),
        (b"location", b"/x"),
        (b"cache-control", b"max-age=60, no-transform"),
        (b"access-control-allow-origin", b"https://app.example"),
        (b"access-control-expose-headers", b"X-Total, ETag"),
        (b"content-language", b"en"),
        (b"traceparent", b"x"),
        (b"x-trace-idx", b"not ours"),
        (b"server-timing", b"db;dur=53"),
        (b"link", b"</a>; rel=preload"),
    ]
)
_TAGS = st.lists(
    st.sampled_from(
        [
            (b"etag", b'"strong"'),
            (b"ETag", b'W/"weak"'),
            (b"content-digest", b"sha-256=:AAAA:"),
            (b"repr-digest", b"sha-256=:AAAA:"),
            (b"content-md5", b"AAAA"),
            (b"digest", b"sha-256=AAAA"),
        ]
    ),
    max_size=2,
    unique_by=lambda pair: pair[0].lower(),
)

other_headers: st.SearchStrategy[list[tuple[bytes, bytes]]] = st.lists(_ONE_HEADER, max_size=4)

CONFLICTS: Sequence[Headers] = (
    *(((b"x-trace-id", text),) for text in spellings(OTHER)),
    ((b"X-Trace-Id", b"garbage"),),
    ((b"x-trace-id", b""),),
    ((b"x-trace-id", OWN + b"," + OWN),),
    ((b"x-trace-id", OWN), (b"x-trace-id", OWN)),
    ((b"x-trace-id", OWN), (b"X-TRACE-ID", OTHER)),
)


def _plan(
    status: int, kind: bytes | None, others: list[tuple[bytes, bytes]], chunks: tuple[bytes, ...], at: int
) -> Plan:
    headers = list(others)
    if kind is not None:
        headers.insert(at % (len(headers) + 1), (b"content-type", kind))
    return Plan(status=status, headers=tuple(headers), chunks=chunks)


_AT = st.integers(0, 5)
_SUCCESS = st.sampled_from([200, 200, 200, 201, 202, 206, 301, 302, 307, 399])
_ERRORS = st.sampled_from(
    [400, 401, 403, 404, 405, 409, 413, 416, 418, 422, 429, 451, 499, 500, 502, 503, 504, 599, 799]
)

success_plans: st.SearchStrategy[Plan] = st.one_of(
    st.builds(
        _plan, _SUCCESS, st.sampled_from([*JSON_TYPES, *PLAIN_TYPES, None]), other_headers, chunked(opaque_bodies), _AT
    ),
    st.builds(
        _plan, st.sampled_from([204, 304]), st.sampled_from([*JSON_TYPES, None]), other_headers, st.just(()), _AT
    ),
    st.builds(_plan, _ERRORS, st.sampled_from([*PLAIN_TYPES, None]), other_headers, chunked(opaque_bodies), _AT),
)
"""Replies that C8 protects: successes of every type, and errors that are not JSON."""

error_plans: st.SearchStrategy[Plan] = st.builds(
    _plan,
    _ERRORS,
    st.sampled_from(JSON_TYPES),
    st.tuples(other_headers, _TAGS).map(lambda t: t[0] + t[1]),
    chunked(error_bodies),
    _AT,
)
"""Error JSON."""

success_objects: st.SearchStrategy[Plan] = st.builds(
    _plan, _SUCCESS, st.sampled_from(JSON_TYPES), other_headers, chunked(objects()), _AT
)

stream_plans: st.SearchStrategy[Plan] = st.builds(
    _plan,
    st.just(200),
    st.sampled_from([b"text/event-stream", b"Text/Event-Stream; charset=utf-8"]),
    other_headers,
    chunked(event_streams, 8),
    _AT,
)
"""Event streams."""


@st.composite
def with_length(draw: st.DrawFn, plans: st.SearchStrategy[Plan], *, right: bool = True) -> Plan:
    """Return a plan that declares a length, the right one or another."""
    plan = draw(plans)
    length = len(plan.body)
    if not right:
        length = draw(st.integers(0, 2 * length + 9).filter(lambda n: n != length))
    return replace(plan, headers=(*plan.headers, (b"Content-Length", b"%d" % length)))


@st.composite
def with_coding(draw: st.DrawFn, plans: st.SearchStrategy[Plan]) -> Plan:
    """Return a plan whose body is compressed, claims an unknown coding, or is not what it claims."""
    plan = draw(plans)
    coding = draw(
        st.sampled_from([b"gzip", b"gzip", b"x-gzip", b"deflate", b"br", b"zstd", b"GZip", b"identity", b"aes128gcm"])
    )
    body = encoded(coding.lower(), plan.body)
    if draw(st.integers(0, 9)) == 0:
        body = body[: len(body) // 2]
    return replace(plan, headers=(*plan.headers, (b"content-encoding", coding)), chunks=draw(chunked(st.just(body))))


@st.composite
def with_own_id(draw: st.DrawFn, plans: st.SearchStrategy[Plan], *, equal: bool) -> Plan:
    """Return a plan whose head names the trace OWN, in some spelling, or something else."""
    plan = draw(plans)
    own = ((b"x-trace-id", draw(st.sampled_from(spellings(OWN)))),) if equal else draw(st.sampled_from(CONFLICTS))
    at = draw(st.integers(0, len(plan.headers)))
    return replace(plan, headers=(*plan.headers[:at], *own, *plan.headers[at:]))


@st.composite
def with_faults(
    draw: st.DrawFn, plans: st.SearchStrategy[Plan], faults: Sequence[Fault], raises: Sequence[Raise] = tuple(Raise)
) -> Plan:
    """Return a plan with one of *faults*, at any chunk."""
    plan = draw(plans)
    after = draw(st.integers(0, len(plan.chunks)))
    return replace(plan, fault=draw(st.sampled_from(faults)), fault_after=after, raises=draw(st.sampled_from(raises)))


@st.composite
def with_shape(draw: st.DrawFn, plans: st.SearchStrategy[Plan], transport: str) -> Plan:
    """Return a plan spoken in one of the legal ways of *transport*."""
    plan = draw(plans)
    reads = draw(st.booleans())
    if transport == "wsgi":
        kinds = ["list", "tuple", "generator", "closeable", "write", "lazy_start"]
        restarts: Any = draw(st.sampled_from([None, None, (200, ((b"content-type", b"text/plain"),)), (500, ())]))
        shape = Shape(
            headers_as=draw(st.sampled_from(["list", "reused"])),
            reads_request=reads,
            body_as=draw(st.sampled_from(kinds)),
            restarts=restarts,
        )
    else:
        shape = Shape(
            headers_as=draw(st.sampled_from(["list", "tuple", "iterator", "lists", "reused"])),
            ending=draw(st.sampled_from(["last_chunk", "empty_chunk", "bare_chunk"])),
            pauses=draw(st.booleans()),
            reads_request=reads,
            waits_for_disconnect=draw(st.booleans()),
            omits_more_body=draw(st.booleans()),
        )
    return replace(plan, shape=shape)


def _spoilt(plan: Plan, status: int, header: tuple[bytes, bytes] | None) -> Plan:
    return replace(plan, status=status, headers=(*plan.headers, header) if header else plan.headers)


_ILLEGAL_HEADERS = st.sampled_from(
    [
        (b"x-a", b"b\nset-cookie: c=1"),
        (b"x-a", b"b\r\n"),
        (b"x-a", b"\x00"),
        (b"bad name", b"x"),
        (b"", b"x"),
        (b"na\xefve", b"x"),
        (b"x:y", b"z"),
        (b"content-length", b"abc"),
        (b"content-length", b"-1"),
        (b"x-a\n", b"x"),
    ]
)

illegal_plans: st.SearchStrategy[Plan] = st.one_of(
    st.builds(
        _spoilt, st.one_of(success_plans, error_plans, stream_plans), st.sampled_from([200, 404, 500]), _ILLEGAL_HEADERS
    ),
    st.builds(
        _spoilt, st.one_of(success_plans, stream_plans), st.sampled_from([0, 99, 100, 101, 199, 1000, -1]), st.none()
    ),
)
"""Heads that a server refuses or mangles (C10)."""
