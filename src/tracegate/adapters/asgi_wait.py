"""How does a task wait for what a thread does, without holding up its event loop?"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from tracegate.errors import MissingTraceError

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["until_done", "until_kept"]


async def until_kept(error: BaseException) -> None:
    """Wait for what *error* says that its refusal waits for, if it does (clauses F3, G3)."""
    if isinstance(error, MissingTraceError) and error.kept is not None:
        await until_done(*error.kept)


async def until_done(pending: Future[bool], seconds: float) -> None:
    """Wait until *pending* is done, at most so many seconds; what it comes to is nobody's exception (clause F4)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        await _until_done_on_trio(pending, seconds)
    else:
        await asyncio.wait([asyncio.wrap_future(pending)], timeout=seconds)


async def _until_done_on_trio(pending: Future[bool], seconds: float) -> None:
    import trio  # noqa: PLC0415 - it runs, so it is loaded

    done = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def tell(_: Future[bool]) -> None:
        with suppress(trio.RunFinishedError):  # whoever waited has gone
            token.run_sync_soon(done.set)

    pending.add_done_callback(tell)
    with trio.move_on_after(seconds):
        await done.wait()
