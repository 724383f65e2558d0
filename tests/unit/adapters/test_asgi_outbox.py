"""In which order do the messages of several tasks leave, and what if one of the tasks is cancelled or fails?"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import trio
import trio.testing

from tests.unit.adapters.asgi_server import Message, Server, on_asyncio, on_trio, turns
from tracegate.adapters.asgi_outbox import Outbox

Put = Callable[[Outbox, str], Coroutine[Any, Any, None]]


def named(*names: str) -> list[Message]:
    """Return a message for each name."""
    return [{"type": name} for name in names]


async def put(outbox: Outbox, *names: str, shielded: bool = False) -> None:
    """Put messages of these names."""
    await outbox.put(named(*names), shielded=shielded)


async def put_shielded(outbox: Outbox, *names: str) -> None:
    """Put messages of these names, which must leave."""
    await put(outbox, *names, shielded=True)


async def send_one(outbox: Outbox, name: str) -> None:
    """Send one message of an idle outbox."""
    await outbox.send_one({"type": name})


class Client(Server):
    """A client that takes a message only when it is told to, and says who sent it.

    Attributes:
        reads: Set while it reads.
        senders: The task that sent each message.
        fails: Names of the messages that it fails at, once each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads = asyncio.Event()
        self.senders: list[asyncio.Task[Any] | None] = []
        self.fails: set[str] = set()
        self.before_send = self.wait

    async def wait(self, message: Message) -> None:
        self.senders.append(asyncio.current_task())
        await self.reads.wait()
        if message["type"] in self.fails:
            self.fails.remove(message["type"])
            raise ConnectionResetError(message["type"])

    @property
    def names(self) -> list[str]:
        """The names of the messages that it took."""
        return [message["type"] for message in self.sent]


async def begun(*steps: Coroutine[Any, Any, None]) -> list[asyncio.Task[None]]:
    """Begin each step in a task of its own, in order, and let it come as far as it can."""
    tasks = []
    for step in steps:
        tasks.append(asyncio.create_task(step))
        await turns()
    return tasks


WAYS = pytest.mark.parametrize("first", [put, put_shielded, send_one])


# One task.


@WAYS
def test_an_outbox_is_idle_but_while_something_is_on_its_way(first: Put) -> None:
    """Whatever way it was put."""

    async def main() -> None:
        client = Client()
        outbox = Outbox(client.send)
        assert outbox.idle
        (task,) = await begun(first(outbox, "a"))
        assert (outbox.idle, client.names, task.done()) == (False, [], False)
        client.reads.set()
        await task
        assert (outbox.idle, client.names) == (True, ["a"])

    on_asyncio(main)


@pytest.mark.parametrize(("first", "own"), [(put, True), (send_one, True), (put_shielded, False)])
def test_a_task_that_finds_it_idle_sends_its_own_unless_it_must_leave(first: Put, own: bool) -> None:  # noqa: FBT001
    """A task of the outbox costs time; only what no cancellation may reach is worth one."""

    async def main() -> None:
        client = Client()
        client.reads.set()
        await first(Outbox(client.send), "a")
        assert (client.senders == [asyncio.current_task()]) is own

    on_asyncio(main)


@pytest.mark.parametrize("shielded", [True, False])
def test_messages_put_together_leave_in_order(shielded: bool) -> None:  # noqa: FBT001
    """From any iterable, looked at once."""

    async def main() -> None:
        client = Client()
        client.reads.set()
        await Outbox(client.send).put(iter(named("a", "b", "c")), shielded=shielded)
        assert client.names == ["a", "b", "c"]

    on_asyncio(main)


# Several tasks.


@WAYS
@pytest.mark.contract("C8", "D6")
def test_the_messages_of_several_tasks_leave_in_the_order_in_which_they_were_put(first: Put) -> None:
    """And each task waits until its own have left: a stalled client slows every sender down."""

    async def main() -> None:
        client = Client()
        outbox = Outbox(client.send)
        tasks = await begun(
            first(outbox, "a"), put(outbox, "b", "c"), put_shielded(outbox, "d"), put(outbox, "e", shielded=False)
        )
        assert (client.names, [task.done() for task in tasks]) == ([], [False] * 4)
        client.reads.set()
        await asyncio.gather(*tasks)
        assert client.names == ["a", "b", "c", "d", "e"]
        assert outbox.idle
        assert len(client.senders) == 5

    on_asyncio(main)


def test_a_task_sends_all_of_its_own_before_the_turn_passes_to_the_others() -> None:
    """What was put together is not torn apart."""

    async def main() -> None:
        client = Client()
        outbox = Outbox(client.send)
        tasks = await begun(put(outbox, "a", "b"), put(outbox, "c"))
        client.reads.set()
        await asyncio.gather(*tasks)
        assert client.names == ["a", "b", "c"]

    on_asyncio(main)


@WAYS
def test_after_several_tasks_the_next_one_sends_its_own_again(first: Put) -> None:
    """Nothing of the turn that passed is left over."""

    async def main() -> None:
        client = Client()
        outbox = Outbox(client.send)
        tasks = await begun(first(outbox, "a"), put(outbox, "b"))
        client.reads.set()
        await asyncio.gather(*tasks)
        await put(outbox, "c")
        assert client.senders[-1] is asyncio.current_task()
        client.reads.clear()
        again = await begun(first(outbox, "d"), put(outbox, "e"))
        client.reads.set()
        await asyncio.gather(*again)
        assert client.names == ["a", "b", "c", "d", "e"]
        assert outbox.idle

    on_asyncio(main)


# Cancellation.


@pytest.mark.contract("D6")
@pytest.mark.parametrize(("first", "leaves"), [(put, []), (send_one, []), (put_shielded, ["a"])])
def test_with_its_task_a_message_is_lost_unless_it_was_shielded(first: Put, leaves: list[str]) -> None:
    """A held head leaves, though the ping that let it go is cancelled. Either way the outbox goes on."""

    async def main() -> None:
        client = Client()
        outbox = Outbox(client.send)
        (task,) = await begun(first(outbox, "a"))
        task.cancel()
        await turns()
        assert task.cancelled()
        client.reads.set()
        await turns()
        assert (client.names, outbox.idle) == (leaves, True)
        await put(outbox, "b")
        assert client.names == [*leaves, "b"]

    on_asyncio(main)


@WAYS
@pytest.mark.contract("D6")
def test_the_cancellation_of_the_first_sender_holds_nobody_else_up(first: Put) -> None:
    """The turn passes on, and in order."""

    async def main() -> None:
        client = Client()
        outbox = Outbox(client.send)
        ping, *others = await begun(first(outbox, "ping"), put(outbox, "a"), put(outbox, "b"))
        ping.cancel()
        await turns()
        client.reads.set()
        await asyncio.gather(*others)
        assert [name for name in client.names if name != "ping"] == ["a", "b"]
        assert (ping.cancelled(), outbox.idle) == (True, True)

    on_asyncio(main)


@WAYS
@pytest.mark.contract("D6")
def test_what_was_put_behind_others_leaves_though_its_task_is_cancelled(first: Put) -> None:
    """It is in the hands of the outbox by then."""

    async def main() -> None:
        client = Client()
        outbox = Outbox(client.send)
        sender, behind, last = await begun(first(outbox, "a"), put(outbox, "b"), put(outbox, "c"))
        behind.cancel()
        await turns()
        assert behind.cancelled()
        client.reads.set()
        await asyncio.gather(sender, last)
        assert client.names == ["a", "b", "c"]

    on_asyncio(main)


# Failure.


@pytest.mark.parametrize("first", [put, send_one])
def test_a_failure_reaches_the_task_that_sent_and_the_turn_passes_on(first: Put) -> None:
    """The others find out by themselves whether the client is there."""

    async def main() -> None:
        client = Client()
        client.fails = {"a"}
        outbox = Outbox(client.send)
        tasks = await begun(first(outbox, "a"), put(outbox, "b"))
        client.reads.set()
        failed, fine = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(failed, ConnectionResetError)
        assert (fine, client.names, outbox.idle) == (None, ["b"], True)

    on_asyncio(main)


def test_a_failure_of_the_outboxs_task_reaches_everybody_who_waits_for_it() -> None:
    """None of them may take its message for sent."""

    async def main() -> None:
        client = Client()
        client.fails = {"a"}
        outbox = Outbox(client.send)
        tasks = await begun(put_shielded(outbox, "a"), put(outbox, "b"))
        client.reads.set()
        failed = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(error) for error in failed] == [ConnectionResetError] * 2
        assert (client.names, outbox.idle) == ([], True)

    on_asyncio(main)


@pytest.mark.parametrize("cancelled", ["the sender", "the outbox's task"])
def test_a_failure_that_nobody_waits_for_any_more_is_no_complaint_of_the_loop(cancelled: str) -> None:
    """A client that left after the sender was cancelled is no news."""
    complaints: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        client = Client()
        client.fails = {"a"}
        outbox = Outbox(client.send)
        (task,) = await begun(put_shielded(outbox, "a"))
        if cancelled == "the sender":
            task.cancel()
        else:
            outbox.close()
        await turns()
        assert task.cancelled()
        del task
        client.reads.set()
        await turns()
        client.senders.clear()  # else the loop had nothing to complain about yet
        gc.collect()

    on_asyncio(main)
    assert complaints == []


# The end.


@pytest.mark.contract("C5", "D6")
def test_settling_waits_for_all_that_was_put() -> None:
    """Also for what a task puts that was waiting for its turn; an idle outbox has settled."""

    async def main() -> None:
        client = Client()
        outbox = Outbox(client.send)
        await outbox.settle()

        async def twice() -> None:
            await put_shielded(outbox, "a")
            client.reads.clear()
            await put_shielded(outbox, "b")

        _, settled = await begun(twice(), outbox.settle())
        client.reads.set()
        await turns()
        assert (client.names, settled.done()) == (["a"], False)
        client.reads.set()
        await settled
        assert client.names == ["a", "b"]

    on_asyncio(main)


def test_settling_can_be_cancelled_without_a_loss() -> None:
    """What is on its way leaves all the same."""

    async def main() -> None:
        client = Client()
        outbox = Outbox(client.send)
        sender, settled = await begun(put_shielded(outbox, "a"), outbox.settle())
        settled.cancel()
        await turns()
        assert settled.cancelled()
        client.reads.set()
        await sender
        assert client.names == ["a"]

    on_asyncio(main)


@pytest.mark.contract("C4")
@WAYS
def test_closing_sends_nothing_more(first: Put) -> None:
    """Neither what is on its way in the outbox's task, nor what waits; those who wait are cancelled."""

    async def main() -> None:
        client = Client()
        outbox = Outbox(client.send)
        sender, waiting = await begun(first(outbox, "a"), put(outbox, "b"))
        outbox.close()
        client.reads.set()
        await turns()
        assert waiting.cancelled()
        assert client.names == ([] if first is put_shielded else ["a"])
        assert sender.done()
        await put_shielded(outbox, "c")
        assert client.names[-1:] == ["c"]
        assert "b" not in client.names

    on_asyncio(main)


def test_closing_an_idle_outbox_is_nothing() -> None:
    """As after a reply that is whole."""

    async def main() -> None:
        client = Client()
        Outbox(client.send).close()
        await turns()
        assert client.names == []

    on_asyncio(main)


# On trio.


def test_on_trio_whoever_finds_it_idle_sends_for_all() -> None:
    """The others return at once, and their messages leave in order."""
    server = Server()

    async def main() -> None:
        reads = trio.Event()

        async def wait(_message: Message) -> None:
            await reads.wait()

        server.before_send = wait
        outbox = Outbox(server.send)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(put_shielded, outbox, "a", "b")
            await trio.testing.wait_all_tasks_blocked()
            assert not outbox.idle
            await put_shielded(outbox, "c")
            assert server.sent == []
            reads.set()
        assert outbox.idle
        await put_shielded(outbox, "d")
        await put(outbox, "e")
        await send_one(outbox, "f")
        await outbox.settle()
        outbox.close()

    on_trio(main)
    assert [message["type"] for message in server.sent] == ["a", "b", "c", "d", "e", "f"]


def test_on_trio_a_cancelled_sender_leaves_the_rest_to_the_next_one() -> None:
    """Nothing but what it was sending is lost."""
    server = Server()

    async def main() -> None:
        async def wait(message: Message) -> None:
            if message["type"] == "a":
                await trio.sleep_forever()

        server.before_send = wait
        outbox = Outbox(server.send)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(put_shielded, outbox, "a", "b")
            await trio.testing.wait_all_tasks_blocked()
            await put_shielded(outbox, "c")
            nursery.cancel_scope.cancel()
        assert not outbox.idle
        await put_shielded(outbox, "d")
        assert outbox.idle

    on_trio(main)
    assert [message["type"] for message in server.sent] == ["b", "c", "d"]


@pytest.mark.contract("D6")
@pytest.mark.parametrize("way", ["put", "send_one"])
@pytest.mark.parametrize("cancelled", [False, True])
def test_on_trio_what_was_put_behind_another_task_leaves_in_its_turn(way: str, *, cancelled: bool) -> None:
    """By the task that is sending, or where that is cancelled, by whoever comes next."""
    server = Server()

    async def main() -> None:
        reads = trio.Event()

        async def wait(_message: Message) -> None:
            await reads.wait()

        server.before_send = wait
        outbox = Outbox(server.send)
        scope = trio.CancelScope()

        async def first() -> None:
            with scope:
                await (put(outbox, "a") if way == "put" else send_one(outbox, "a"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            await trio.testing.wait_all_tasks_blocked()
            await put_shielded(outbox, "b")
            assert not outbox.idle
            if cancelled:
                scope.cancel()
                await trio.testing.wait_all_tasks_blocked()
            reads.set()
        await put(outbox, "c")
        assert outbox.idle
        await send_one(outbox, "d")

    on_trio(main)
    assert [message["type"] for message in server.sent] == [*("a" * (not cancelled)), "b", "c", "d"]
