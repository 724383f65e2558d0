"""Which requests are made of which application? The one table of the matrix."""

from __future__ import annotations

from tests.integration.applications.scripts import OTHER_TRACE
from tests.integration.applications.variant import CONSOLE
from tests.integration.matrix.case import GOOD, MINTED, SERVER_ERROR, TRACE_ERROR, Case, Kind, Shape

__all__ = ["CASES", "ORIGIN", "PREFLIGHT"]

ABSENT: tuple[bytes, ...] = ()
ORIGIN = b"Origin: " + CONSOLE.encode()
PREFLIGHT = (ORIGIN, b"Access-Control-Request-Method: GET", b"Access-Control-Request-Headers: x-trace-id")
GZIP = b"Accept-Encoding: gzip"
PARENT = b"00f067aa0ba902b7-01"
OTHER = OTHER_TRACE.encode()
ARABIC_INDIC = "".join(chr(0x660 + digit) for digit in range(10))
OTHER_HEX = OTHER.replace(b"-", b"")

BARE_STATUS_KNOWN = {Shape.SAME, Shape.MEMBER, Shape.ENVELOPE, Shape.EVENTS}
RAW = (Kind.ASGI, Kind.WSGI)


def case(kind: Kind, name: str, shape: Shape, status: int = 200, **more: object) -> Case:
    """Return a case whose path is its name, unless *more* says another, with what follows from its shape filled in."""
    known = shape in BARE_STATUS_KNOWN
    filled: dict[str, object] = {"path": f"/{name}", "bare": status if known else None, **more}
    if shape is Shape.OVERWRITE:
        filled = {"detail": "trace_overwrite_refused", "error_code": TRACE_ERROR, "status": 409, **filled}
    elif shape is Shape.REFUSED:
        filled = {"error_code": TRACE_ERROR, "status": 409, "bound": MINTED, **filled}
    elif shape is Shape.CRASH:
        filled = {"error_code": SERVER_ERROR, "status": 500, **filled}
    elif shape is Shape.BROKEN_EVENTS:
        filled = {"error_code": SERVER_ERROR, **filled}
    filled = {"status": status, **filled}
    return Case(kind=kind, name=name, shape=shape, **filled)  # type: ignore[arg-type]  # checked by the dataclass's users


def raw(name: str, shape: Shape, status: int = 200, *, kinds: tuple[Kind, ...] = RAW, **more: object) -> list[Case]:
    """Return the case for the raw applications, which put a witness on each reply of their own."""
    own = shape in BARE_STATUS_KNOWN or more.get("bare") is not None
    return [case(kind, name, shape, status, **{"witness": own, **more}) for kind in kinds]


def asgi(name: str, shape: Shape, status: int = 200, **more: object) -> list[Case]:
    """Return the case for the raw ASGI application alone."""
    return raw(name, shape, status, kinds=(Kind.ASGI,), **more)


def wsgi(name: str, shape: Shape, status: int = 200, **more: object) -> list[Case]:
    """Return the case for the raw WSGI application alone."""
    return raw(name, shape, status, kinds=(Kind.WSGI,), **more)


def fastapi(name: str, shape: Shape, status: int = 200, **more: object) -> list[Case]:
    """Return the case for the FastAPI application."""
    return [case(Kind.FASTAPI, name, shape, status, **more)]


def flask(name: str, shape: Shape, status: int = 200, **more: object) -> list[Case]:
    """Return the case for the Flask application."""
    return [case(Kind.FLASK, name, shape, status, **more)]


def frameworks(name: str, shape: Shape, status: int = 200, **more: object) -> list[Case]:
    """Return the case for both frameworks."""
    return [*fastapi(name, shape, status, **more), *flask(name, shape, status, **more)]


def inbound(name: str, identity: tuple[bytes, ...], bound: str) -> list[Case]:
    """Return the case of an identity that is accepted."""
    return raw(name, Shape.SAME, path="/echo", identity=identity, bound=bound)


def refused(name: str, detail: str, *identity: bytes, server_may_answer: bool = False) -> list[Case]:
    """Return the case of an identity that is refused; the bare application answers 200."""
    return raw(name, Shape.REFUSED, 409, path="/echo", identity=identity, detail=detail, bare=200,
               server_may_answer=server_may_answer)  # fmt: skip


def flat(*groups: list[Case]) -> tuple[Case, ...]:
    """Return the cases of all *groups*."""
    return tuple(item for group in groups for item in group)


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

MISSING, INVALID, CONFLICT = "missing_trace_id", "invalid_trace_id_format", "conflicting_trace_id"

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

FRAMEWORKS = flat(
    *(frameworks(name, Shape.SAME) for name in ("json", "text", "html", "echo", "stream", "file", "header-equal")),
    frameworks("created", Shape.SAME, 201, method="POST", body=b"{}"),
    frameworks("no-content", Shape.SAME, 204, method="DELETE"),
    frameworks("redirect", Shape.SAME, 307),
    frameworks("cors", Shape.SAME, path="/json", lines=(ORIGIN,)),
    frameworks("range", Shape.SAME, 206, path="/file", lines=(b"Range: bytes=0-3",)),
    frameworks("range-unsatisfiable", Shape.SAME, 416, path="/file", lines=(b"Range: bytes=9999-",)),
    frameworks("static", Shape.SAME, path="/static/style.css"),
    frameworks("static-not-modified", Shape.SAME, 304, path="/static/style.css",
               lines=(b"If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT",)),
    frameworks("exempt", Shape.SAME, identity=ABSENT, bound=MINTED),
    frameworks("id-missing", Shape.REFUSED, path="/json", identity=ABSENT, detail=MISSING, bare=200),
    frameworks("id-invalid", Shape.REFUSED, path="/json", identity=(b"X-Trace-Id: 1",), detail=INVALID, bare=200),
    frameworks("id-missing-origin", Shape.REFUSED, path="/json", identity=ABSENT, lines=(ORIGIN,), detail=MISSING,
               bare=200),
    frameworks("crash", Shape.CRASH),
    frameworks("crash-handled", Shape.MEMBER, 418),
    frameworks("array-error", Shape.ENVELOPE, 400),
    frameworks("problem", Shape.MEMBER, 400),
    frameworks("text-error", Shape.SAME, 400),
    frameworks("member-null", Shape.MEMBER, 400),
    frameworks("member-equal", Shape.MEMBER, 400, present=True),
    frameworks("member-forged", Shape.OVERWRITE, bare=400),
    frameworks("header-other", Shape.OVERWRITE, bare=200),
    frameworks("stream-crash", Shape.BROKEN, bare=200),
    frameworks("sse", Shape.EVENTS),
    frameworks("sse-forged", Shape.BROKEN_EVENTS, bare=200, error_code=TRACE_ERROR, detail="trace_overwrite_refused"),
    frameworks("sse-crash-first", Shape.CRASH),
    frameworks("sse-crash-middle", Shape.BROKEN_EVENTS, bare=200),
)  # fmt: skip

FASTAPI = flat(
    *(fastapi(name, Shape.SAME) for name in ("echo-sync", "echo-thread", "echo-task", "stream-sync", "wide")),
    fastapi("slash", Shape.SAME, 307, path="/items"),
    fastapi("gzip", Shape.SAME, path="/wide", lines=(GZIP,)),
    fastapi("openapi", Shape.SAME, path="/inner/openapi.json"),
    fastapi("docs", Shape.SAME, path="/inner/docs"),
    fastapi("preflight", Shape.SAME, method="OPTIONS", path="/json", identity=ABSENT, lines=PREFLIGHT, bound=MINTED),
    fastapi("preflight-refused", Shape.SAME, 400, method="OPTIONS", path="/json", identity=ABSENT, bound=MINTED,
            lines=(b"Origin: https://elsewhere.example", *PREFLIGHT[1:])),
    fastapi("background", Shape.SAME, path="/background/slot", follow="/background-seen/slot"),
    fastapi("mounted", Shape.SAME, path="/inner/echo"),
    fastapi("mounted-stream", Shape.SAME, path="/inner/stream"),
    # BaseHTTPMiddleware completes the reply before it raises; what is no event stream is never held back (C8)
    fastapi("mounted-stream-crash", Shape.SAME, path="/inner/stream-crash"),
    fastapi("mounted-sse-crash", Shape.BROKEN_EVENTS, path="/inner/sse-crash", bare=200),
    fastapi("missing", Shape.MEMBER, 404),
    fastapi("mounted-missing", Shape.MEMBER, 404, path="/inner/missing"),
    fastapi("method", Shape.MEMBER, 405, path="/json", method="PUT"),
    fastapi("head", Shape.MEMBER, 405, path="/json", method="HEAD"),
    fastapi("options", Shape.MEMBER, 405, path="/json", method="OPTIONS"),
    fastapi("unprocessable", Shape.MEMBER, 422, path="/number/abc"),
    fastapi("too-large", Shape.SAME, 413, path="/upload", method="POST", body=b"u" * (1 << 20) + b"u"),
    fastapi("http-error", Shape.MEMBER, 400),
    fastapi("http-error-dict", Shape.MEMBER, 409),
    fastapi("dependency", Shape.MEMBER, 401),
    fastapi("wide-error", Shape.MEMBER, 400),
    fastapi("gzip-error", Shape.MEMBER, 400, path="/wide-error", lines=(GZIP,)),
    fastapi("error-origin", Shape.MEMBER, 400, path="/http-error", lines=(ORIGIN,)),
    fastapi("own-handler", Shape.MEMBER, 500, path="/own/crash"),
    fastapi("dependency-crash", Shape.SAME),
    *(fastapi(name, Shape.CRASH) for name in ("crash-sync", "crash-group", "crash-model", "middleware-crash")),
    fastapi("crash-origin", Shape.CRASH, path="/crash", lines=(ORIGIN,)),
    # the mounted application answers with its own page before it raises; the one that is installed is the outer
    fastapi("mounted-crash", Shape.SAME, 500, path="/inner/crash"),
    fastapi("mounted-teapot", Shape.SAME, 418, path="/inner/teapot"),
    fastapi("sse-sync", Shape.EVENTS),
    fastapi("sse-starlette", Shape.EVENTS),
    fastapi("sse-plain", Shape.EVENTS),
    fastapi("sse-http-error", Shape.CRASH),
    fastapi("sse-starlette-crash", Shape.BROKEN_EVENTS, bare=200),
)  # fmt: skip

FLASK = flat(
    *(flask(name, Shape.SAME) for name in ("cookies", "stream-context")),
    flask("slash", Shape.SAME, 308, path="/items"),
    flask("head", Shape.SAME, path="/json", method="HEAD"),
    flask("options", Shape.SAME, path="/json", method="OPTIONS"),
    flask("preflight", Shape.SAME, method="OPTIONS", path="/json", identity=ABSENT, lines=PREFLIGHT, bound=MINTED),
    flask("mounted", Shape.SAME, path="/mounted/echo"),
    *(flask(f"abort-{status}", Shape.SAME, status, path=f"/abort/{status}") for status in (400, 401, 403, 409, 503)),
    flask("abort-500", Shape.SAME, 500, path="/abort/500"),
    flask("abort-handled", Shape.MEMBER, 410, path="/abort/410"),
    flask("abort-response", Shape.MEMBER, 400),
    flask("missing", Shape.SAME, 404),
    flask("method", Shape.SAME, 405, path="/json", method="PUT"),
    flask("too-large", Shape.SAME, 413, path="/upload", method="POST", body=b"u" * (1 << 20) + b"u"),
    flask("media-type", Shape.SAME, 415, path="/form", method="POST", body=b"x"),
    flask(
        "no-json", Shape.SAME, 400, path="/form", method="POST", lines=(b"Content-Type: application/json",), body=b"{"
    ),
    flask("text-error", Shape.SAME, 400),
    flask("json-error", Shape.MEMBER, 404),
    flask("head-error", Shape.MEMBER, 404, path="/json-error", method="HEAD"),
    flask("unavailable", Shape.MEMBER, 503),
    flask("refused", Shape.MEMBER, 401),
    flask("error-stream", Shape.MEMBER, 400),
    flask("error-origin", Shape.MEMBER, 404, path="/json-error", lines=(ORIGIN,)),
    flask("override", Shape.MEMBER, 409, method="POST", lines=(b"X-HTTP-Method-Override: DELETE",)),
    flask("blueprint", Shape.MEMBER, 500, path="/part/crash"),
    *(flask(name, Shape.CRASH) for name in ("crash-return", "after-crash", "teardown-crash", "stream-crash-first")),
    flask("crash-origin", Shape.CRASH, path="/crash", lines=(ORIGIN,)),
    flask("mounted-crash", Shape.SAME, 500, path="/mounted/crash"),
    flask("after-forged", Shape.OVERWRITE, bare=200),
    flask("sse-context", Shape.EVENTS),
    flask("sse-crlf", Shape.EVENTS),
)

CASES = {
    item.id: item
    for item in (*SUCCESSES, *ERRORS, *FAULTS, *STREAMS, *INBOUND, *WEBSOCKETS, *FRAMEWORKS, *FASTAPI, *FLASK)
}
