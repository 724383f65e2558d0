"""Is a refusal's event kept before the refusal is answered, and does nothing else wait for it?"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from fastapi import FastAPI
from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import EnvironBuilder

from tests.property.plan import OTHER, OWN
from tracegate.adapters.asgi import TraceGate
from tracegate.adapters.wiring import wired
from tracegate.adapters.wsgi import TraceGate as WsgiGate
from tracegate.context import require_trace
from tracegate.core.events import Event
from tracegate.core.policy import Policy
from tracegate.errors import ConfigurationError, MissingTraceError
from tracegate.integrations.fastapi import install
from tracegate.integrations.flask import TraceGate as FlaskGate
from tracegate.runtime import Runtime
from tracegate.sinks.fanout import Fanout
from tracegate.store.engine import open_engine
from tracegate.store.events import EventQuery, EventStore
from tracegate.store.gate import read_causes
from tracegate.store.schema import reply_count
from tracegate.store.upgrade import upgrade

Message = dict[str, Any]
GOOD = [(b"x-trace-id", OWN)]
FORGED = (b"x-trace-id", OTHER)


class Keeper:
    """A sink that keeps events when it is told to.

    Attributes:
        taken: What it was given to keep, with the seconds that it may take.
        heard: What it was told without having to keep it.
        answers: What it answers, in turn; those are done by the test.
    """

    def __init__(self) -> None:
        self.taken: list[tuple[Event, float]] = []
        self.heard: list[Event] = []
        self.answers: list[Future[bool]] = []
        self.asked = threading.Event()

    def __call__(self, event: Event, /) -> None:
        self.heard.append(event)

    def submit(self, events: Sequence[Event], timeout_seconds: float) -> Future[bool]:
        self.taken += [(event, timeout_seconds) for event in events]
        self.answers.append(Future())
        self.asked.set()
        return self.answers[-1]


async def echo(_scope: Message, _receive: object, send: Callable[[Message], Awaitable[None]]) -> None:
    """Answer with what is asked for."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})


async def forge(_scope: Message, _receive: object, send: Callable[[Message], Awaitable[None]]) -> None:
    """Answer with another trace."""
    await send({"type": "http.response.start", "status": 200, "headers": [FORGED]})
    await send({"type": "http.response.body", "body": b"forged"})


async def serve(gate: Any, headers: list[tuple[bytes, bytes]], sent: list[Message]) -> None:  # noqa: ANN401
    """Make one request."""

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
    await gate(scope, receive, send)


def told(heads: list[Any], *head: object) -> None:
    """Keep what ``start_response`` is told."""
    heads.append(head)


def gate_of(application: object, keeper: Keeper, **settings: Any) -> Any:  # noqa: ANN401
    """Return a gate that waits for *keeper*."""
    wrap: Any = TraceGate
    return wrap(application, runtime=Runtime(Policy(**settings), sink=Fanout(keeper)))


@pytest.mark.contract("F3")
@pytest.mark.parametrize(("application", "headers"), [(echo, []), (forge, GOOD)], ids=["inbound", "outbound"])
def test_a_refusal_waits_until_its_event_is_kept_and_nobody_waits_with_it(
    application: object, headers: list[tuple[bytes, bytes]]
) -> None:
    """A good request on the same loop is answered meanwhile."""

    async def main() -> None:
        keeper = Keeper()
        refused: list[Message] = []
        good: list[Message] = []
        refusing = asyncio.create_task(serve(gate_of(application, keeper, commit_wait_seconds=10), headers, refused))
        await asyncio.to_thread(keeper.asked.wait)
        await serve(gate_of(echo, keeper), GOOD, good)
        assert [message["type"] for message in good] == ["http.response.start", "http.response.body"]
        assert refused == []
        threading.Thread(target=keeper.answers[0].set_result, args=(True,)).start()
        await refusing
        assert refused[0]["status"] == 409
        ((event, seconds),) = keeper.taken
        assert (event.status, seconds, keeper.heard) == (409, 10, [])

    asyncio.run(main())


@pytest.mark.contract("F3")
@pytest.mark.parametrize("keeps", [True, False])
def test_on_trio_a_refusal_waits_too(*, keeps: bool) -> None:
    """As long as it may, and no longer."""

    async def main() -> None:
        keeper, sent = Keeper(), list[Message]()
        gate = gate_of(echo, keeper, commit_wait_seconds=10 if keeps else 0.005)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, gate, [], sent)
            await trio.to_thread.run_sync(keeper.asked.wait)
            if keeps:
                assert sent == []
                threading.Thread(target=keeper.answers[0].set_result, args=(True,)).start()
        assert sent[0]["status"] == 409

    trio.run(main)


@pytest.mark.contract("F3", "F4")
def test_a_refusal_is_answered_where_nothing_keeps_its_event_in_time() -> None:
    """What is answered late is no exception of the loop's."""

    async def main() -> None:
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        keeper, sent = Keeper(), list[Message]()
        await serve(gate_of(echo, keeper, commit_wait_seconds=0.005), [], sent)
        assert sent[0]["status"] == 409
        keeper.answers[0].set_result(False)
        await asyncio.sleep(0)
        assert complaints == []

    asyncio.run(main())


@pytest.mark.contract("F3")
def test_in_the_background_no_refusal_waits() -> None:
    """Its event is queued like any other."""
    keeper, sent = Keeper(), list[Message]()
    asyncio.run(serve(gate_of(echo, keeper, durability="background"), [], sent))
    assert sent[0]["status"] == 409
    assert (keeper.taken, [event.kind for event in keeper.heard]) == ([], ["missing_trace"])


@pytest.mark.contract("F3", "B4")
def test_what_is_only_observed_does_not_wait() -> None:
    """The request is a good one."""
    keeper, sent = Keeper(), list[Message]()
    asyncio.run(serve(gate_of(echo, keeper, mode="observe"), [], sent))
    assert sent[0]["status"] == 200
    assert (keeper.taken, [event.would_refuse for event in keeper.heard]) == ([], [True])


@pytest.mark.contract("F3")
def test_a_wsgi_refusal_waits_on_its_own_thread() -> None:
    """Until its event is kept, and no longer than it may."""
    keeper = Keeper()
    heads: list[str] = []

    def application(_environ: Message, start_response: Any) -> list[bytes]:  # noqa: ANN401
        start_response("200 OK", [])
        return [b"fine"]

    def call(seconds: float) -> None:
        gate = WsgiGate(application, runtime=Runtime(Policy(commit_wait_seconds=seconds), sink=Fanout(keeper)))
        gate({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda status, *_: heads.append(status))  # type: ignore[arg-type,return-value]

    thread = threading.Thread(target=call, args=(10,))
    thread.start()
    keeper.asked.wait()
    assert heads == []
    keeper.answers[0].set_result(True)
    thread.join()
    call(0.005)
    assert heads == ["409 Conflict"] * 2


@pytest.mark.contract("F2", "F3")
@pytest.mark.parametrize("shell", ["asgi", "wsgi"])
def test_who_reads_a_refusal_finds_its_event_in_the_store(tmp_path: Path, shell: str) -> None:
    """Wired from settings alone; the reply's trace is the event's."""
    url = f"sqlite:///{tmp_path / 'events.db'}"
    engine = open_engine(url)
    upgrade(engine)
    runtime = wired(Policy(store_url=url, service="shop", commit_wait_seconds=10))
    store, found = EventStore(engine), []
    for _ in range(3):
        if shell == "asgi":
            sent: list[Message] = []
            wrap: Any = TraceGate
            asyncio.run(serve(wrap(echo, runtime=runtime), [], sent))
            found.append(dict(sent[0]["headers"])[b"x-trace-id"].decode())
        else:
            heads: list[Any] = []
            start_response: Any = partial(told, heads)
            WsgiGate(lambda *_: [], runtime=runtime)({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, start_response)
            found.append(dict(heads[0][1])["X-Trace-Id"])
        assert [event.trace_id for event in store.find(EventQuery(service="shop"), oldest_first=True)] == found


@pytest.mark.contract("H3")
@pytest.mark.parametrize("find", [None, lambda _scope: str(1 // 0), lambda _scope: "/items/{number}"])
def test_a_missing_trace_locks_where_nobody_can_tell_the_route(
    tmp_path: Path, find: Callable[[object], str | None] | None
) -> None:
    """A bare gate knows of no routes, and an integration's look-up may fail: neither opens the deploy gate."""
    url = f"sqlite:///{tmp_path / 'events.db'}"
    engine = open_engine(url)
    upgrade(engine)
    wrap: Any = TraceGate
    gate = wrap(echo, runtime=wired(Policy(store_url=url, service="shop", commit_wait_seconds=10)), route_of=find)
    asyncio.run(serve(gate, [], []))

    with engine.connect() as connection:
        causes = read_causes(connection, "shop")
    assert [(cause.kind, cause.locks) for cause in causes] == [("missing_trace", True)]


@pytest.mark.contract("F3", "F4")
def test_where_the_store_is_away_the_event_is_in_the_spool(tmp_path: Path) -> None:
    """And in the store when its tables are there."""
    url = f"sqlite:///{tmp_path / 'events.db'}"
    runtime = wired(Policy(store_url=url, commit_wait_seconds=2))
    sent: list[Message] = []
    wrap: Any = TraceGate
    asyncio.run(serve(wrap(echo, runtime=runtime), [], sent))
    assert sent[0]["status"] == 409
    assert list((tmp_path / "events.db.spool").iterdir())

    engine = open_engine(url)
    upgrade(engine)
    again = wired(Policy(store_url=url, commit_wait_seconds=10))
    asyncio.run(serve(wrap(echo, runtime=again), [], sent))
    assert EventStore(engine).count(EventQuery()) == 2


@pytest.mark.contract("F3", "H1")
def test_a_flush_puts_events_and_counts_in_the_store(tmp_path: Path) -> None:
    """What nobody waits for, when the server is about to end."""
    url = f"sqlite:///{tmp_path / 'events.db'}"
    engine = open_engine(url)
    upgrade(engine)
    runtime = wired(Policy(store_url=url, durability="background"))
    wrap: Any = TraceGate
    gate = wrap(echo, runtime=runtime)
    for _ in range(3):
        asyncio.run(serve(gate, [], []))
    assert runtime.flush is not None
    runtime.flush()

    assert EventStore(engine).count(EventQuery()) == 3
    with engine.connect() as connection:
        assert connection.scalar(select(func.sum(reply_count.c.traced_replies))) == 3


def without_binding(call: Callable[[], object]) -> object:
    """Return what *call* does where no trace is bound."""
    return Context().run(call)


@pytest.mark.contract("F3", "G3")
@pytest.mark.parametrize("framework", ["none", "fastapi"])
def test_a_409_of_code_without_a_trace_waits_until_its_event_is_kept(framework: str) -> None:
    """Over ASGI, raised up to the gate, or answered by the framework; the event was recorded where it was raised."""

    async def ask() -> None:
        without_binding(require_trace)

    async def bare(_scope: Message, _receive: object, _send: object) -> None:
        await ask()

    async def main() -> None:
        keeper, sent = Keeper(), list[Message]()
        if framework == "none":
            gate = gate_of(bare, keeper, commit_wait_seconds=10)
        else:
            gate = FastAPI()
            gate.add_api_route("/", ask)
            install(gate, runtime=Runtime(Policy(commit_wait_seconds=10), sink=Fanout(keeper)))
        serving = asyncio.create_task(serve(gate, GOOD, sent))
        assert await asyncio.to_thread(keeper.asked.wait, 30)
        await asyncio.sleep(0.05)  # time to do it wrong
        assert sent == []
        keeper.answers[0].set_result(True)
        with suppress(MissingTraceError):
            await serving
        assert sent[0]["status"] == 409
        assert [event.detail for event, _ in keeper.taken] == ["trace_id_missing"]

    asyncio.run(main())


@pytest.mark.contract("F3", "G3")
@pytest.mark.parametrize("framework", ["none", "flask"])
def test_a_409_of_wsgi_code_without_a_trace_waits_too(framework: str) -> None:
    """On its own thread."""
    keeper, heads = Keeper(), list[str]()

    def ask(*_: object) -> list[bytes]:
        without_binding(require_trace)
        return []

    runtime = Runtime(Policy(commit_wait_seconds=10), sink=Fanout(keeper))
    gate: Any = WsgiGate(ask, runtime=runtime)
    if framework == "flask":
        gate = Flask(__name__)
        gate.add_url_rule("/", view_func=ask)
        FlaskGate(gate, runtime=runtime)

    def call() -> None:
        environ = EnvironBuilder(headers={"X-Trace-Id": OWN.decode()}).get_environ()
        with suppress(MissingTraceError):
            list(gate(environ, lambda status, *_: heads.append(status)))

    thread = threading.Thread(target=call)
    thread.start()
    assert keeper.asked.wait(30)
    assert not threading.Event().wait(0.05)  # time to do it wrong
    assert heads == []
    keeper.answers[0].set_result(True)
    thread.join()
    assert heads[0].startswith("409 ")
    assert [event.detail for event, _ in keeper.taken] == ["trace_id_missing"]


@pytest.mark.contract("F3")
def test_an_address_that_is_no_stores_is_found_at_the_start() -> None:
    """With its setting's name, and without what it says."""
    with pytest.raises(ConfigurationError, match="store_url") as refused:
        wired(Policy(store_url="mysql://me:secret@db/x"))
    assert "secret" not in str(refused.value)
    assert "secret" not in repr(Policy(store_url="postgresql://me:secret@db/x"))
