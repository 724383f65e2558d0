"""What does an ASGI application without a framework say? It plays the scripts, and what only ASGI has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.integration.applications.scripts import SCRIPTS, ApplicationError, Fault, Script, play
from tests.integration.applications.variant import around_asgi, current

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.integration.applications.variant import Receive, Scope, Send

__all__ = ["app"]

REUSED_HEADERS = [(b"content-type", b"application/json"), (b"x-app", b"reached")]


def _trace(scope: Scope) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-trace-id"), "")


async def _play(script: Script, scope: Scope, send: Send) -> None:
    if script.fault is Fault.BEFORE_START:
        raise ApplicationError("secret")
    if script.fault is Fault.NO_REPLY:
        return
    headers = [(name.encode(), value.encode("latin-1")) for name, value in script.headers]
    await send({"type": "http.response.start", "status": script.status, "headers": headers})
    chunks = () if scope["method"] == "HEAD" else script.chunks
    more_after_last = len(chunks) > 1 or script.fault is Fault.AFTER_CHUNKS
    for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": more_after_last})
    if script.fault is Fault.AFTER_CHUNKS:
        raise ApplicationError("secret")
    if more_after_last or not chunks:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _say(send: Send, body: bytes, headers: Any, status: int = 200) -> None:  # noqa: ANN401 - every shape is sent
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _text(*more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", b"text/plain"), *more, (b"x-app", b"reached")]


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    del receive
    seen = sum(len(value) for name, value in scope["headers"] if name == b"x-trace-id")
    headers = _text((b"x-seen-bytes", b"%d" % seen))
    await _say(send, b"" if scope["method"] == "HEAD" else current().encode(), headers)


async def _echo_stream(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await send({"type": "http.response.start", "status": 200, "headers": _text()})
    for _ in range(3):
        await send({"type": "http.response.body", "body": current().encode() + b"\n", "more_body": True})
    await send({"type": "http.response.body"})


async def _read(scope: Scope, receive: Receive, send: Send) -> None:
    del scope
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await _say(send, b"%s %d" % (current().encode(), size), _text())


async def _file(scope: Scope, receive: Receive, send: Send) -> None:
    del receive
    path = Path(__file__).with_name("file.txt")
    headers = _text((b"content-length", b"%d" % path.stat().st_size))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if "http.response.pathsend" in scope.get("extensions", {}):
        await send({"type": "http.response.pathsend", "path": str(path)})
    else:
        await send({"type": "http.response.body", "body": path.read_bytes()})


async def _headers_tuple(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await _say(send, b"{}", tuple(REUSED_HEADERS))


async def _headers_iterator(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await _say(send, b"{}", iter(REUSED_HEADERS))


async def _headers_reused(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await _say(send, b"{}", REUSED_HEADERS)


async def _headers_absent(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"{}"})


async def _start_twice(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await _say(send, b"{}", REUSED_HEADERS)
    await _say(send, b"{}", REUSED_HEADERS)


async def _body_first(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await send({"type": "http.response.body", "body": b"{}"})


HANDLERS: dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]] = {
    "echo": _echo,
    "exempt": _echo,
    "echo-stream": _echo_stream,
    "read": _read,
    "file": _file,
    "headers-tuple": _headers_tuple,
    "headers-iterator": _headers_iterator,
    "headers-reused": _headers_reused,
    "headers-absent": _headers_absent,
    "start-twice": _start_twice,
    "body-first": _body_first,
}


async def _serve_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    match scope["path"].lstrip("/"):
        case "ws-close":
            await send({"type": "websocket.close", "code": 1008})
        case "ws-raise":
            raise ApplicationError("secret")
        case "ws-return":
            return
        case "ws-denial" if "websocket.http.response" in scope.get("extensions", {}):
            headers = [(b"content-type", b"application/json"), (b"x-app", b"reached")]
            await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
            await send({"type": "websocket.http.response.body", "body": b'{"error": "who?"}'})
        case "ws-denial":
            await send({"type": "websocket.close", "code": 1008})
        case _:
            await send({"type": "websocket.accept", "headers": [(b"x-app", b"reached")]})
            await receive()
            await send({"type": "websocket.send", "text": current()})
            await send({"type": "websocket.close", "code": 1000})


async def _serve_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _serve(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one ASGI scope by its path."""
    if scope["type"] == "lifespan":
        await _serve_lifespan(receive, send)
    elif scope["type"] == "websocket":
        await _serve_websocket(scope, receive, send)
    elif handler := HANDLERS.get(scope["path"].lstrip("/")):
        await handler(scope, receive, send)
    else:
        script = SCRIPTS.get(scope["path"].lstrip("/"), SCRIPTS["missing"])
        await _play(play(script, _trace(scope)), scope, send)


app = around_asgi(_serve)
