"""What does the raw application answer on each path? One table, played by the raw ASGI and the raw WSGI application.

``%TRACE%`` in a value or chunk becomes the request's own ``X-Trace-Id`` as it was spelled, ``%UPPER%`` the same in
upper case, ``%HEX%`` the same in 32 digits. Every script says ``x-app: reached``: where this line is missing from a
reply, the application did not make that reply's head.
"""

from __future__ import annotations

import enum
import gzip
import json
from dataclasses import dataclass

__all__ = ["OTHER_TRACE", "SCRIPTS", "ApplicationError", "Fault", "Script", "play"]

OTHER_TRACE = "0b6f9a52-6d0c-4b63-a7f5-8a6f2f0d9c11"
"""A good id that no request of the matrix sends."""

KIB = 1024


class ApplicationError(Exception):
    """What the applications raise; its text must reach no client."""


class Fault(enum.Enum):
    """Where the application fails."""

    NONE = "answers"
    NO_REPLY = "returns without a reply"
    BEFORE_START = "raises before the reply starts"
    AFTER_CHUNKS = "raises after its last chunk"


@dataclass(frozen=True, slots=True)
class Script:
    """One reply: its head, its body in the pieces that it is sent in, and how it fails."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    chunks: tuple[bytes, ...] = ()
    fault: Fault = Fault.NONE


def play(script: Script, trace: str) -> Script:
    """Return *script* with its placeholders filled in for a request that sent *trace*."""
    marks = {"%TRACE%": trace, "%UPPER%": trace.upper(), "%HEX%": trace.replace("-", "").lower()}

    def fill(text: str) -> str:
        for mark, value in marks.items():
            text = text.replace(mark, value)
        return text

    headers = tuple((name, fill(value)) for name, value in script.headers)
    chunks = tuple(fill(chunk.decode("latin-1")).encode("latin-1") for chunk in script.chunks)
    if dict(headers).get("content-length") == "all":
        length = str(sum(map(len, chunks)))
        headers = tuple((name, length if name == "content-length" else value) for name, value in headers)
    return Script(script.status, (*headers, ("x-app", "reached")), chunks, script.fault)


def whole(status: int, content_type: str, body: bytes, *headers: tuple[str, str]) -> Script:
    """Return a script that sends *body* at once with its length."""
    return Script(
        status, (("content-type", content_type), ("content-length", "all"), *headers), (body,) if body else ()
    )


def pieces(status: int, content_type: str, *chunks: bytes, fault: Fault = Fault.NONE) -> Script:
    """Return a script that sends its body piece by piece, without a length."""
    return Script(status, (("content-type", content_type),), chunks, fault)


def cut(body: bytes, size: int) -> tuple[bytes, ...]:
    """Return *body* in pieces of *size* bytes."""
    return tuple(body[at : at + size] for at in range(0, len(body), size))


def declared(length: int, status: int, content_type: str, *chunks: bytes) -> Script:
    """Return a script whose declared length is *length*, whatever its chunks hold."""
    return Script(status, (("content-type", content_type), ("content-length", str(length))), chunks)


JSON = "application/json"
EVENTS = "text/event-stream"
NOT_FOUND = b'{"error_code": "API-404", "message": "no such item"}'
ODD_OBJECT = b' {\n  "b": 1.0e+05, "a":\t"\\u00e9\\/", "b": 2,\r\n "deep": {"trace_id": "inner"}, "n": -0.0 }\n'
WIDE_OBJECT = b'{"pad": "' + b"x" * 2048 * KIB + b'", "last": 1}'
WIDE_ARRAY = b'["' + b"y" * 2048 * KIB + b'"]'
LONG_OBJECT = json.dumps({"error_code": "API-400", "message": "z" * 3000}).encode()
TWO_EVENTS = b'data: {"token": "a"}\n\ndata: {"token": "b"}\n\n'
HTML = "text/html; charset=utf-8"

SUCCESSES = {
    "json": whole(200, JSON, b'{"ok": true}'),
    "text": whole(200, "text/plain; charset=utf-8", "grüße\n".encode()),
    "bytes": whole(200, "application/octet-stream", bytes(byte for byte in range(256) if byte != ord("%"))),
    "empty": whole(200, "text/plain", b""),
    "created": whole(201, JSON, b'{"id": 7}', ("location", "/items/7")),
    "no-content": Script(204),
    "partial": whole(206, "text/plain", b"0123", ("content-range", "bytes 0-3/10"), ("accept-ranges", "bytes")),
    "not-modified": Script(304, (("etag", '"v1"'),)),
    "moved": whole(301, "text/plain", b"", ("location", "/json")),
    "temporary": whole(307, "text/plain", b"", ("location", "/json")),
    "choices": Script(204, (("allow", "GET, HEAD, OPTIONS"),)),
    "preflight": Script(
        204,
        (
            ("access-control-allow-origin", "https://console.example"),
            ("access-control-allow-methods", "GET"),
            ("access-control-allow-headers", "X-Trace-Id"),
        ),
    ),
    "cors": whole(200, JSON, b"{}", ("access-control-allow-origin", "https://console.example"),
                  ("access-control-expose-headers", "X-Total")),
    "cookies": whole(200, JSON, b"{}", ("set-cookie", "a=1"), ("set-cookie", "b=2"), ("etag", '"strong"')),
    "named-otherwise": whole(200, JSON, b'{"trace_id": "the application\'s own business"}'),
    "ndjson": whole(200, "application/x-ndjson", b'{"a": 1}\n{"a": 2}\n'),
    "big": pieces(200, "application/octet-stream", *[bytes([65 + at % 26]) * 64 * KIB for at in range(80)]),
    "big-whole": whole(200, "application/octet-stream", b"w" * 5120 * KIB),
    "chunks": pieces(200, "text/plain", b"one ", b"two ", b"three"),
}  # fmt: skip

ERRORS = {
    "bad-request": whole(400, JSON, b'{"error": "bad"}'),
    "unauthorized": whole(401, JSON, b'{"error": "who?"}', ("www-authenticate", "Bearer"), ("set-cookie", "s=1")),
    "missing": whole(404, JSON, NOT_FOUND),
    "method": whole(405, JSON, b'{"error": "method"}', ("allow", "GET")),
    "too-large": whole(413, "application/json; charset=utf-8", b'{"error": "too large"}'),
    "unprocessable": whole(422, JSON, b'{"detail": [{"loc": ["query", "n"], "msg": "int?"}]}'),
    "unavailable": whole(503, JSON, b'{"error": "later"}', ("retry-after", "3")),
    "problem": whole(400, "application/problem+json", b'{"type": "about:blank", "title": "Bad", "status": 400}'),
    "vendor": whole(422, "application/vnd.api+json", b'{"errors": [{"status": "422"}]}'),
    "odd-object": whole(400, JSON, ODD_OBJECT),
    "empty-object": whole(400, JSON, b"{}"),
    "error-chunks": pieces(400, JSON, *cut(ODD_OBJECT, 7)),
    "error-digest": whole(400, JSON, b'{"error": "digest"}', ("etag", '"strong"'), ("content-md5", "x"),
                          ("repr-digest", "sha-256=:AAAA:"), ("cache-control", "no-transform")),
    "error-gzip": whole(400, JSON, gzip.compress(LONG_OBJECT, mtime=0), ("content-encoding", "gzip")),
    "error-unknown-coding": whole(400, JSON, b"\x01\x02\x03", ("content-encoding", "x-rot13")),
    "error-array": whole(400, JSON, b'[{"error": 1}, 2.50]'),
    "error-string": whole(404, JSON, b'"no such item"'),
    "error-number": whole(500, JSON, b"1E400"),
    "error-empty": whole(400, JSON, b""),
    "error-no-json": whole(502, JSON, b"<h1>Bad Gateway</h1>"),
    "error-truncated": whole(400, JSON, b'{"error": '),
    "error-short": declared(99, 400, JSON, b'{"error": "short"}'),
    "error-long": declared(5, 400, JSON, b'{"error": "long"}'),
    "error-wide": pieces(400, JSON, *cut(WIDE_OBJECT, 64 * KIB)),
    "error-wide-array": pieces(400, JSON, *cut(WIDE_ARRAY, 64 * KIB)),
    "member-null": whole(400, JSON, b'{"trace_id": null, "error": 1}'),
    "member-blank": whole(400, JSON, b'{"error": 1, "trace_id": ""}'),
    "member-equal": whole(400, JSON, b'{"trace_id":"%TRACE%"}'),
    "member-upper": whole(400, JSON, b'{"trace_id":"%UPPER%"}'),
    "member-hex": whole(400, JSON, b'{"trace_\\u0069d":"%HEX%"}'),
    "member-twice": whole(400, JSON, b'{"trace_id":"%TRACE%", "trace_id":"%HEX%"}'),
    "member-forged": whole(400, JSON, b'{"trace_id":"' + OTHER_TRACE.encode() + b'"}', ("set-cookie", "s=1"),
                           ("retry-after", "3"), ("etag", '"strong"')),
    "member-number": whole(400, JSON, b'{"trace_id": 7}'),
    "member-forged-twice": whole(400, JSON, b'{"trace_id":"%TRACE%", "trace_id":"' + OTHER_TRACE.encode() + b'"}'),
    "error-text": whole(400, "text/plain", b"bad"),
    "error-html": whole(404, HTML, b"<h1>Not Found</h1>"),
    "error-ndjson": whole(400, "application/x-ndjson", b'{"a": 1}\n{"a": 2}\n'),
    "error-grpc": whole(400, "application/grpc+json", b'{"a": 1}'),
}  # fmt: skip

HEADERS = {
    "header-equal": whole(200, JSON, b"{}", ("x-trace-id", "%TRACE%")),
    "header-upper": whole(200, JSON, b"{}", ("x-trace-id", "%UPPER%")),
    "header-other": whole(200, JSON, b'{"secret": 1}', ("x-trace-id", OTHER_TRACE), ("set-cookie", "s=1"),
                          ("etag", '"strong"')),
    "header-two": whole(200, JSON, b"{}", ("x-trace-id", "%TRACE%"), ("x-trace-id", OTHER_TRACE)),
    "header-two-equal": whole(200, JSON, b"{}", ("x-trace-id", "%TRACE%"), ("x-trace-id", "%TRACE%")),
    "header-invalid": whole(200, JSON, b"{}", ("x-trace-id", "not an id")),
    "header-line-feed": whole(200, JSON, b"{}", ("x-broken", "a\nX-Injected: 1")),
}  # fmt: skip

FAULTS = {
    "crash": Script(fault=Fault.BEFORE_START),
    "no-reply": Script(fault=Fault.NO_REPLY),
    "crash-first": pieces(200, "text/plain", fault=Fault.AFTER_CHUNKS),
    "crash-middle": pieces(200, "text/plain", b"one ", b"two ", fault=Fault.AFTER_CHUNKS),
    "crash-length": Script(
        200, (("content-type", "text/plain"), ("content-length", "99")), (b"short",), Fault.AFTER_CHUNKS
    ),
    "short": declared(99, 200, "text/plain", b"short"),
    "long": declared(5, 200, "text/plain", b"much too long"),
}

STREAMS = {
    "sse-json": pieces(200, EVENTS, b'data: {"token": "a"}\n\n', b'data: {"token": "b", "n": 1.50}\n\n'),
    "sse-text": pieces(200, EVENTS, b"data: hello\n\n", b"data: wide world\n\n"),
    "sse-lines": pieces(200, EVENTS, b"data: one\ndata: two\n\n", b'data: {"a":\ndata: 1}\n\n'),
    "sse-fields": pieces(200, EVENTS, b'retry: 3000\nevent: token\nid: 7\ndata: {"token": "a"}\n\n', b"id: 8\n\n"),
    "sse-comments": pieces(200, EVENTS, b": open\n\n", b"data: a\n\n", b": ping 1\n\n", b":ping 2\ndata: {}\n\n"),
    "sse-crlf": pieces(200, EVENTS, b'data: {"token": "a"}\r\n\r\n', b"data: b\r\n\r\n"),
    "sse-cr": pieces(200, EVENTS, b'data: {"token": "a"}\r\r', b"data: b\r\r"),
    "sse-bom": pieces(200, EVENTS, b'\xef\xbb\xbfdata: {"token": "a"}\n\n'),
    "sse-done": pieces(200, EVENTS, TWO_EVENTS, b"data: [DONE]\n\n"),
    "sse-json-rpc": pieces(200, EVENTS, b'data: {"jsonrpc": "2.0", "id": 1, "result": {}}\n\n'),
    "sse-scalars": pieces(200, EVENTS, b"data: [1, 2]\n\n", b"data: null\n\n", b"data\n\n", b'data: "text"\n\n'),
    "sse-equal": pieces(200, EVENTS, b'data: {"trace_id": "%UPPER%"}\n\n', b'data: {"trace_id": null}\n\n'),
    "sse-bytes": pieces(200, EVENTS, *cut(b': ping\r\n\r\ndata: {"token": "\xc3\xa9"}\r\n\r\ndata: b\n\n', 1)),
    "sse-wide": pieces(200, EVENTS, *cut(b'data: {"pad": "' + b"p" * 10 * KIB + b'"}\n\n', KIB)),
    "sse-unfinished": pieces(200, EVENTS, TWO_EVENTS, b"data: unfinished"),
    "sse-length": whole(200, EVENTS, TWO_EVENTS),
    "sse-forged": pieces(
        200, EVENTS, TWO_EVENTS, b'data: {"trace_id": "' + OTHER_TRACE.encode() + b'"}\n\n', TWO_EVENTS
    ),
    "sse-crash": Script(fault=Fault.BEFORE_START),
    "sse-crash-first": pieces(200, EVENTS, fault=Fault.AFTER_CHUNKS),
    "sse-crash-middle": pieces(200, EVENTS, TWO_EVENTS, fault=Fault.AFTER_CHUNKS),
    "sse-crash-partial": pieces(200, EVENTS, TWO_EVENTS, b'data: {"tok', fault=Fault.AFTER_CHUNKS),
}

SCRIPTS: dict[str, Script] = {**SUCCESSES, **ERRORS, **HEADERS, **FAULTS, **STREAMS}
