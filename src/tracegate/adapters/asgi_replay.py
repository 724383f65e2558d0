"""How does a resumed client of an ASGI application get the rest of its stream?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from tracegate.adapters.recorder import KEEP_ALIVE, lost
from tracegate.core.streams.recording import headers_of
from tracegate.core.streams.replay import replayed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracegate.adapters.asgi_scope import Receive, Send
    from tracegate.adapters.recorder import Recorder
    from tracegate.core.streams.recording import Place

__all__ = ["in_thread", "replay"]

_Result = TypeVar("_Result")


async def replay(recorder: Recorder, place: Place, formats: tuple[str, ...], receive: Receive, send: Send) -> None:
    """Send what comes after *place*: what is recorded, then what is still being recorded, until the stream ends.

    Args:
        recorder: Reads.
        place: Where the client is.
        formats: The formats of trace ids that the gate takes beside the canonical ones.
        receive: The server's; a client that leaves ends this.
        send: The server's.

    Raises:
        StoreError: The stream has a gap, its producer is gone, or the store does not answer: no clean end (D7).
    """
    await send({"type": "http.response.start", "status": 200, "headers": headers_of(place.headers)})
    client = _Client(receive)
    after, quiet = place.seq, 0.0
    try:
        while not client.gone:
            chapter = await in_thread(lambda: recorder.read(place.recording, after))  # noqa: B023 - it is awaited
            for event in chapter.events:
                await send({"type": "http.response.body", "body": replayed(event, formats), "more_body": True})
                after, quiet = event.seq, 0.0
            if chapter.events:
                continue
            if chapter.end == "ended":
                await send({"type": "http.response.body", "body": b""})
                return
            if chapter.end is not None:
                raise lost(chapter.end)
            await client.wait(recorder.policy.poll_seconds)
            quiet += recorder.policy.poll_seconds
            if quiet >= recorder.policy.keep_alive_seconds and not client.gone:
                await send({"type": "http.response.body", "body": KEEP_ALIVE, "more_body": True})
                quiet = 0.0
    finally:
        client.close()


class _Client:
    """Knows when the client leaves; on trio only ``send`` does."""

    def __init__(self, receive: Receive) -> None:
        self._task: asyncio.Task[None] | None = None
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._task = loop.create_task(_until_gone(receive))

    @property
    def gone(self) -> bool:
        return self._task is not None and self._task.done()

    async def wait(self, seconds: float) -> None:
        """Wait so long, or until the client leaves."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)
            return
        import trio  # noqa: PLC0415 - it runs, so it is loaded

        await trio.sleep(seconds)

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task.add_done_callback(_retrieve)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _retrieve(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()


async def in_thread(work: Callable[[], _Result]) -> _Result:
    """Return what *work* returns, from a thread that may wait."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        import trio  # noqa: PLC0415 - same

        return await trio.to_thread.run_sync(work)
    return await asyncio.to_thread(work)
