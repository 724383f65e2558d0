"""Which request and which reply does every contestant get? Fresh objects for each call, as a server makes them."""

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from io import BytesIO
from typing import Any, Final

__all__ = [
    "JSON_REPLY",
    "REQUEST_HEADERS",
    "TRACE_ID",
    "ASGIApp",
    "Message",
    "Receive",
    "Send",
    "WSGIApp",
    "asgi_app",
    "asgi_scopes",
    "asgi_stream",
    "environs",
    "wsgi_app",
]

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
ASGIApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

TRACE_ID: Final = "5b8aa5a2-d2c8-4e83-a1c9-1f0b4d7a3e60"
REQUEST_HEADERS: Final = {
    "host": "api.example.com",
    "user-agent": "example-client/4.2 (linux; x86_64)",
    "accept": "application/json",
    "accept-encoding": "gzip, deflate, br",
    "accept-language": "en-GB,en;q=0.8",
    "authorization": "Bearer 0123456789abcdef0123456789abcdef",
    "x-forwarded-for": "203.0.113.9",
    "x-trace-id": TRACE_ID,
    "content-type": "application/json",
    "connection": "keep-alive",
}
JSON_REPLY: Final = json.dumps({"id": 42, "name": "a widget", "tags": ["x" * 40] * 3}).encode()


def asgi_app(status: int = 200, content_type: str = "application/json", body: bytes = JSON_REPLY) -> ASGIApp:
    """Return the bare application: three headers, encoded as Starlette does, and one body message."""

    async def reply(_scope: MutableMapping[str, Any], _receive: Receive, send: Send) -> None:
        fields = {"content-type": content_type, "content-length": str(len(body)), "cache-control": "no-store"}
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return reply


def asgi_stream(content_type: bytes, chunks: Iterable[bytes], status: int = 200) -> ASGIApp:
    """Return a bare application that sends *chunks* in one message each, without a declared length."""

    async def reply(_scope: MutableMapping[str, Any], _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", content_type)]})
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return reply


def asgi_scopes(calls: int) -> list[MutableMapping[str, Any]]:
    """Return *calls* scopes that share no header object: a look-up by hash must pay for the hash, as on a server."""
    return [
        {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/widgets/42",
            "raw_path": b"/widgets/42",
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in REQUEST_HEADERS.items()],
            "client": ("203.0.113.9", 50000),
            "server": ("192.0.2.1", 80),
            "state": {},
            "extensions": {},
        }
        for _ in range(calls)
    ]


def wsgi_app(status: str = "200 OK", content_type: str = "application/json", body: bytes = JSON_REPLY) -> WSGIApp:
    """Return the bare application: three headers and one block."""

    def reply(_environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        fields = {"Content-Type": content_type, "Content-Length": str(len(body)), "Cache-Control": "no-store"}
        start_response(status, list(fields.items()))
        return [body]

    return reply


def environs(calls: int) -> list[dict[str, Any]]:
    """Return *calls* environs as a server makes them."""
    headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in REQUEST_HEADERS.items()}
    headers["CONTENT_TYPE"] = headers.pop("HTTP_CONTENT_TYPE")
    return [
        {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": "/widgets/42",
            "RAW_URI": "/widgets/42",
            "QUERY_STRING": "",
            "SERVER_NAME": "192.0.2.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "203.0.113.9",
            "REMOTE_PORT": "50000",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(),
            "wsgi.errors": None,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            **headers,
        }
        for _ in range(calls)
    ]
