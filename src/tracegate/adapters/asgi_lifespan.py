"""What is to be done before a server ends? What waits in memory is made durable while there is still a process.

A server may end by the signal that stopped it, as uvicorn does, past everything that an interpreter does at its end.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

from tracegate.adapters.asgi_wait import until_done

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracegate.adapters.asgi_scope import Application, Message, Receive, Scope, Send

__all__ = ["serve_other"]

_LAST: Final = ("lifespan.shutdown.complete", "lifespan.shutdown.failed")
_FLUSH_SECONDS: Final = 20.0
"""How long a server's end waits; what it flushes has bounds of its own, which are shorter."""


async def serve_other(
    app: Application, flush: Callable[[], object] | None, scope: Scope, receive: Receive, send: Send
) -> None:
    """Serve a scope that is none of the gate's; of a ``lifespan``, *flush* before its last word reaches the server.

    Source: the ASGI lifespan specification.
    """
    if flush is None or scope["type"] != "lifespan":
        return await app(scope, receive, send)

    async def send_after_flush(message: Message) -> None:
        if message["type"] in _LAST:
            await until_done(_begin(flush), _FLUSH_SECONDS)
        await send(message)

    return await app(scope, receive, send_after_flush)


def _begin(flush: Callable[[], object]) -> Future[bool]:
    """Call *flush* in a thread of its own, which may hang."""
    done: Future[bool] = Future()

    def run() -> None:
        try:
            flush()
        finally:
            done.set_result(True)

    try:
        threading.Thread(target=run, name="tracegate_flush", daemon=True).start()
    except RuntimeError:  # no more threads: the interpreter's end is another chance
        done.set_result(False)
    return done
