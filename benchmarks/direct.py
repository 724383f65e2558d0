"""How is an application called without a server? As a server would, inside an event loop, and nothing else is timed."""

import asyncio
from collections.abc import Callable
from time import thread_time_ns
from typing import Any

from benchmarks.exchange import ASGIApp, Message, WSGIApp, asgi_scopes, environs
from benchmarks.rounds import Batch

__all__ = ["asgi_batch", "wsgi_batch"]

_LOOP = asyncio.new_event_loop()


async def _discard(_message: Message) -> None:
    """Take a message, as a transport with room in its buffer does: at once."""


async def _disconnect() -> Message:
    return {"type": "http.disconnect"}


def asgi_batch(application: ASGIApp) -> Batch:
    """Return a batch of direct ASGI calls; the scopes are made before the clock starts."""

    async def exchanges(calls: int) -> int:
        scopes = asgi_scopes(calls)
        start = thread_time_ns()
        for scope in scopes:
            await application(scope, _disconnect, _discard)
        return thread_time_ns() - start

    return lambda calls: _LOOP.run_until_complete(exchanges(calls))


def wsgi_batch(application: WSGIApp) -> Batch:
    """Return a batch of direct WSGI calls: call, iterate, close, as PEP 3333 asks of a server."""

    def start_response(
        _status: str, _headers: list[tuple[str, str]], _exc_info: object = None
    ) -> Callable[[bytes], None]:
        return _write

    def exchanges(calls: int) -> int:
        requests: list[dict[str, Any]] = environs(calls)
        start = thread_time_ns()
        for environ in requests:
            body = application(environ, start_response)
            for _block in body:
                pass
            close = getattr(body, "close", None)
            if close is not None:
                close()
        return thread_time_ns() - start

    return exchanges


def _write(_data: bytes) -> None:
    """Take bytes from an application that uses ``write()``; none here does."""
