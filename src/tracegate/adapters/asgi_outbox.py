"""In which order do the messages of several tasks leave, and what if one of the tasks is cancelled?"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tracegate.adapters.asgi_scope import Message, Send

__all__ = ["Outbox"]


class Outbox:
    """Sends messages one after the other, in the order in which they were put.

    A task that finds it idle sends its own. What else there is leaves in a task of the outbox, which no cancellation of
    a sender reaches: a stream's head must not be lost with the ping that let it go. Whoever puts something waits
    until it has left, so that a stalled client slows every sender down. On trio, which has no tasks to start from here,
    whoever is sending sends for all.

    Args:
        send: The server's.

    Attributes:
        idle: Whether nothing is on its way, and nothing waits.
    """

    __slots__ = ("_is_taken", "_send", "_task", "_turn", "_waiting", "idle")

    def __init__(self, send: Send) -> None:
        self.idle = True
        self._is_taken = False  # somebody is sending
        self._send = send
        self._waiting: deque[Message] = deque()
        self._task: asyncio.Task[None] | None = None
        self._turn: asyncio.Event | None = None  # set when the task that sends its own has done so

    async def put(self, messages: Iterable[Message], *, shielded: bool) -> None:
        """Send *messages*, after those put before.

        Args:
            messages: In order.
            shielded: Whether they must leave even if this task is cancelled.

        Raises:
            OSError: The client left.
        """
        if self.idle and not shielded:
            return await self._send_all(iter(messages))
        self._waiting.extend(messages)
        self.idle = False
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # trio
            return await self._send_all(iter(())) if not self._is_taken else None
        if self._task is None:
            if self._is_taken:
                self._turn = asyncio.Event()
            task = loop.create_task(self._drain())
            task.add_done_callback(_retrieve)
            if task.done():  # an eager one
                return await task
            self._task = task
        return await asyncio.shield(self._task)

    async def send_one(self, message: Message) -> None:
        """Send one message of an idle outbox, as :meth:`put` does, with less ado."""
        self.idle, self._is_taken = False, True
        try:
            await self._send(message)
            if self._waiting and self._turn is None:
                await self._send_waiting()
        finally:
            self._pass_on()

    async def settle(self) -> None:
        """Wait until all that was put has left."""
        while self._task is not None:
            await asyncio.shield(self._task)

    def close(self) -> None:
        """Send nothing more."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    async def _send_all(self, messages: Iterator[Message]) -> None:
        """Send *messages*, and on trio what others put meanwhile."""
        self.idle, self._is_taken = False, True
        try:
            for message in messages:
                await self._send(message)
            if self._turn is None:
                await self._send_waiting()
        finally:
            self._pass_on()

    async def _send_waiting(self) -> None:
        while self._waiting:
            await self._send(self._waiting.popleft())

    def _pass_on(self) -> None:
        self._is_taken = False
        if self._turn is not None:
            self._turn.set()
        else:
            self.idle = not self._waiting

    async def _drain(self) -> None:
        try:
            if self._turn is not None:
                await self._turn.wait()
                self._turn = None
            await self._send_waiting()
        except BaseException:
            self._waiting.clear()  # whoever put them gets the same exception
            raise
        finally:
            self._task = None
            self.idle = not self._waiting


def _retrieve(task: asyncio.Task[None]) -> None:
    """Look at the exception of *task*, which those who wait for it get: after cancellations nobody may."""
    if not task.cancelled():
        task.exception()
