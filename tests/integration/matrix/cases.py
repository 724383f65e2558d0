"""Which requests are made of which application? The table of the matrix; frameworks have a file of their own."""

from __future__ import annotations

from tests.integration.matrix.case import GOOD, MINTED, TRACE_ERROR, Shape
from tests.integration.matrix.framework_cases import FASTAPI, FLASK, FRAMEWORKS
from tests.integration.matrix.recipes import (
    ABSENT,
    CONFLICT,
    INVALID,
    MISSING,
    ORIGIN,
    OTHER,
    OTHER_HEX,
    PARENT,
    PREFLIGHT,
    asgi,
    fastapi,
    flat,
    inbound,
    raw,
    refused,
    wsgi,
)

__all__ = ["CASES"]

ARABIC_INDIC = "".join(chr(0x660 + digit) for digit in range(10))

SUCCESSES = flat(
    *(raw(name, Shape.SAME) for name in ("json", "text", "bytes", "empty", "cookies", "named-otherwise", "ndjson")),
    *(raw(name, Shape.SAME) for name in ("big", "big-whole", "chunks", "file", "header-equal")),
    raw("created", Shape.SAME, 201, method="POST", body=b"{}"),
    raw("no-content", Shape.SAME, 204),
    raw("partial", Shape.SAME, 206, lines=(b"Range: bytes=0-3",)),
    raw("not-modified", Shape.SAME, 304, lines=(b'If-None-Match: "v1"',)),
    raw("moved", Shape.SAME, 301),
    raw("temporary", Shape.SAME, 307),
    raw("choices", Shape.SAME, 204, method="OPTIONS"),
    raw("preflight", Shape.SAME, 204, method="OPTIONS", identity=ABSENT, lines=PREFLIGHT, bound=MINTED),
    raw("cors", Shape.SAME, lines=(ORIGIN,)),
    raw("head", Shape.SAME, path="/json", method="HEAD"),
    raw("echo", Shape.SAME),
    raw("echo-stream", Shape.SAME),
    raw("read", Shape.SAME, method="POST", body=b"b" * 70_000),
    raw("exempt", Shape.SAME, identity=ABSENT, bound=MINTED),
    raw("exempt-with-id", Shape.SAME, path="/exempt"),
    asgi("headers-tuple", Shape.SAME),
    asgi("headers-iterator", Shape.SAME),
    asgi("headers-reused", Shape.SAME),
    asgi("headers-reused-again", Shape.SAME, path="/headers-reused"),
    asgi("headers-absent", Shape.SAME, witness=False),
    wsgi("write", Shape.SAME),
    wsgi("lazy", Shape.SAME),
    wsgi("empty-first", Shape.SAME),
)

ERRORS = flat(
    *(
        raw(name, Shape.MEMBER, 400)
        for name in ("bad-request", "problem", "odd-object", "empty-object", "error-chunks")
    ),
    *(
        raw(name, Shape.MEMBER, 400)
        for name in ("error-digest", "error-gzip", "error-wide", "member-null", "member-blank")
    ),
    *(
        raw(name, Shape.MEMBER, 400, present=True)
        for name in ("member-equal", "member-upper", "member-hex", "member-twice")
    ),
    raw("unauthorized", Shape.MEMBER, 401),
    raw("missing", Shape.MEMBER, 404),
    raw("method", Shape.MEMBER, 405),
    raw("too-large", Shape.MEMBER, 413, method="POST", body=b"{}"),
    raw("unprocessable", Shape.MEMBER, 422),
    raw("vendor", Shape.MEMBER, 422),
    raw("unavailable", Shape.MEMBER, 503),
    raw("head-missing", Shape.MEMBER, 404, path="/missing", method="HEAD"),
    *(raw(name, Shape.ENVELOPE, 400) for name in ("error-array", "error-empty", "error-truncated", "error-wide-array")),
    raw("error-string", Shape.ENVELOPE, 404),
    raw("error-number", Shape.ENVELOPE, 500),
    raw("error-no-json", Shape.ENVELOPE, 502),
    raw("error-unknown-coding", Shape.ENVELOPE, 400),
    *(raw(name, Shape.SAME, 400) for name in ("error-text", "error-ndjson", "error-grpc")),
    raw("error-html", Shape.SAME, 404),
    *(raw(name, Shape.OVERWRITE, bare=400) for name in ("member-forged", "member-number", "member-forged-twice")),
    *(raw(name, Shape.OVERWRITE, bare=200) for name in ("header-other", "header-two", "header-invalid")),
    raw("header-upper", Shape.SAME, bound="%UPPER%"),
    wsgi("error-file", Shape.MEMBER, 404),
    wsgi("error-write", Shape.MEMBER, 400),
    wsgi("second-start", Shape.MEMBER, 400),
)

FAULTS = flat(
    raw("crash", Shape.CRASH),
    raw("head-crash", Shape.CRASH, path="/crash", method="HEAD"),
    raw("no-reply", Shape.CRASH),
    raw("header-line-feed", Shape.CRASH),
    raw("crash-middle", Shape.BROKEN, bare=200, bare_cut=True),
    raw("crash-length", Shape.BROKEN, bare=200, bare_cut=True, declared=True, tries=100),
    raw("short", Shape.BROKEN, bare=200, bare_cut=True, declared=True),
    raw("long", Shape.BROKEN, bare=200, declared=True),
    raw("error-short", Shape.BROKEN, 400, bare=400, declared=True),
    raw("error-long", Shape.BROKEN, 400, bare=400, declared=True),
    asgi("crash-first", Shape.BROKEN, bare=200, bare_cut=True),
    wsgi("crash-first", Shape.CRASH),
    asgi("body-first", Shape.CRASH),
    asgi("start-twice", Shape.SAME),
)

STREAMS = flat(
    *(
        raw(f"sse-{name}", Shape.EVENTS)
        for name in ("json", "text", "lines", "fields", "comments", "crlf", "cr", "bom")
    ),
    *(
        raw(f"sse-{name}", Shape.EVENTS)
        for name in ("done", "json-rpc", "scalars", "equal", "bytes", "wide", "unfinished")
    ),
    raw("sse-length", Shape.EVENTS),
    raw("sse-forged", Shape.BROKEN_EVENTS, bare=200, error_code=TRACE_ERROR, detail="trace_overwrite_refused"),
    raw("sse-crash", Shape.CRASH),
    raw("sse-crash-first", Shape.CRASH),
    raw("sse-crash-middle", Shape.BROKEN_EVENTS, bare=200, bare_cut=True),
    raw("sse-crash-partial", Shape.BROKEN_EVENTS, bare=200, bare_cut=True),
)

INBOUND = flat(
    inbound("id-hex", (b"X-Trace-Id: %HEX%",), "%HEX%"),
    inbound("id-upper", (b"X-Trace-Id: %UPPER%",), "%UPPER%"),
    inbound("id-blanks-around", (b"X-Trace-Id: \t %TRACE% \t",), "%TRACE%"),
    inbound("id-lower-case-name", (b"x-trace-id: %TRACE%",), "%TRACE%"),
    inbound("id-twice", (b"X-Trace-Id: %TRACE%", b"X-Trace-Id: %TRACE%"), "%TRACE%"),
    inbound("id-comma-equal", (b"X-Trace-Id: %TRACE%, %TRACE%",), "%TRACE%"),
    inbound("traceparent", (b"traceparent: 00-%HEX%-" + PARENT,), "%HEX%"),
    inbound("traceparent-future", (b"traceparent: 01-%HEX%-" + PARENT + b"-more",), "%HEX%"),
    inbound("traceparent-agrees", (*GOOD, b"traceparent: 00-%HEX%-" + PARENT), "%TRACE%"),
    inbound("traceparent-bad", (*GOOD, b"traceparent: 00-" + OTHER_HEX + b"-xyz"), "%TRACE%"),
    inbound("traceparent-twice", (*GOOD, *(2 * (b"traceparent: 00-" + OTHER_HEX + b"-" + PARENT,))), "%TRACE%"),
    refused("id-missing", MISSING),
    refused("id-empty", MISSING, b"X-Trace-Id:"),
    refused("id-blank", MISSING, b"X-Trace-Id: \t \t"),
    refused("traceparent-only-bad", MISSING, b"traceparent: ff-%HEX%-" + PARENT),
    refused("traceparent-only-nil", MISSING, b"traceparent: 00-" + b"0" * 32 + b"-" + PARENT),
    refused("traceparent-only-long", MISSING, b"traceparent: 00-%HEX%-" + PARENT + b"-more"),
    refused("id-nil", INVALID, b"X-Trace-Id: 00000000-0000-0000-0000-000000000000"),
    refused("id-braces", INVALID, b"X-Trace-Id: {%TRACE%}"),
    refused("id-urn", INVALID, b"X-Trace-Id: urn:uuid:%TRACE%"),
    refused("id-plus", INVALID, b"X-Trace-Id: +%HEX%"),
    refused("id-underscores", INVALID, b"X-Trace-Id: 0b6f9a52_6d0c_4b63_a7f5_8a6f2f0d9c11"),
    refused("id-31-digits", INVALID, b"X-Trace-Id: " + OTHER_HEX[1:]),
    refused("id-33-digits", INVALID, b"X-Trace-Id: 0%HEX%"),
    refused("id-blank-inside", INVALID, b"X-Trace-Id: 0b6f9a52 6d0c4b63a7f58a6f2f0d9c11"),
    refused("id-script", INVALID, b"X-Trace-Id: <script>alert(1)</script>"),
    refused("id-arabic-indic", INVALID, b"X-Trace-Id: " + ARABIC_INDIC.encode() * 3 + b"ab", server_may_answer=True),
    refused("id-latin-1", INVALID, b"X-Trace-Id: \xe9\xe8%HEX%", server_may_answer=True),
    refused("id-nul", INVALID, b"X-Trace-Id: %TRACE%\0", server_may_answer=True),
    refused("id-carriage-return", INVALID, b"X-Trace-Id: %TRACE%\rX-Forged: 1", server_may_answer=True),
    refused("id-60-kilobytes", INVALID, b"X-Trace-Id: " + b"a" * 60 * 1024, server_may_answer=True),
    refused("id-two-unequal", CONFLICT, *GOOD, b"X-Trace-Id: " + OTHER),
    refused("id-comma-unequal", CONFLICT, b"X-Trace-Id: %TRACE%," + OTHER),
    refused("traceparent-conflicts", CONFLICT, *GOOD, b"traceparent: 00-" + OTHER_HEX + b"-" + PARENT),
    raw("id-missing-post", Shape.REFUSED, path="/read", identity=ABSENT, method="POST", body=b"b" * 70_000,
        detail=MISSING, bare=200),
    raw("id-missing-head", Shape.REFUSED, path="/echo", identity=ABSENT, method="HEAD", detail=MISSING, bare=200),
    raw("id-missing-options", Shape.REFUSED, path="/choices", identity=ABSENT, method="OPTIONS", detail=MISSING,
        bare=204),
    raw("id-missing-origin", Shape.REFUSED, path="/cors", identity=ABSENT, lines=(ORIGIN,), detail=MISSING, bare=200),
    raw("exempt-bad-id", Shape.REFUSED, path="/exempt", identity=(b"X-Trace-Id: 1",), detail=INVALID, bare=200),
    raw("exempt-dots", Shape.REFUSED, path="/exempt/../echo", identity=ABSENT, detail=MISSING, bare=404),
)  # fmt: skip

WEBSOCKETS = flat(
    asgi("ws", Shape.ACCEPTED, 101, bare=101),
    asgi("ws-hex", Shape.ACCEPTED, 101, path="/ws", bare=101, identity=(b"X-Trace-Id: %HEX%",), bound="%HEX%"),
    asgi("ws-denial", Shape.DENIED, 401, bare=401),
    asgi("ws-close", Shape.DENIED, 403),
    asgi("ws-raise", Shape.DENIED, 500),
    asgi("ws-return", Shape.DENIED, 500),
    asgi("ws-missing", Shape.DENIED, 409, path="/ws", identity=ABSENT, bound=MINTED),
    asgi("ws-invalid", Shape.DENIED, 409, path="/ws", identity=(b"X-Trace-Id: 1",), bound=MINTED),
    fastapi("ws", Shape.ACCEPTED, 101, bare=101),
    fastapi("ws-close", Shape.DENIED, 403),
    fastapi("ws-raise", Shape.DENIED, 500),
    fastapi("ws-http-error", Shape.DENIED, 401),
    fastapi("ws-unknown", Shape.DENIED, 403),
    fastapi("ws-missing", Shape.DENIED, 409, path="/ws", identity=ABSENT, bound=MINTED),
)

CASES = {
    item.id: item
    for item in (*SUCCESSES, *ERRORS, *FAULTS, *STREAMS, *INBOUND, *WEBSOCKETS, *FRAMEWORKS, *FASTAPI, *FLASK)
}
