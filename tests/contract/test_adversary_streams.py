"""Which bodies and streams did an attacker break, and do they hold now?"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest
import trio
import trio.testing

from tests.unit.adapters.asgi_server import turns
from tests.unit.adapters.test_asgi_recorder import (
    END,
    START,
    Connection,
    Message,
    Store,
    body,
    both_loops,
    endings,
    events,
    recorder_of,
    sending,
)
from tests.unit.adapters.wsgi_server import JSON, OWN, STREAM, TEXT, Server, environ, gated
from tracegate.adapters.recorder import key_of
from tracegate.adapters.wsgi import TraceGate
from tracegate.adapters.wsgi_recorder import StreamRecorder
from tracegate.core.policy import Policy
from tracegate.core.streams.policy import StreamPolicy
from tracegate.core.streams.recording import Step
from tracegate.runtime import Runtime

Headers = list[tuple[str, str]]


class Rewinding:
    """Begins anew whenever somebody asks for its iterator, as one that seeks to the start of a file."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.left: list[bytes] = []

    def __iter__(self) -> Rewinding:
        self.left = list(self.pieces)
        return self

    def __next__(self) -> bytes:
        if not self.left:
            raise StopIteration
        return self.left.pop(0)


class Bare:
    """Has an iterator that is nothing but an iterator."""

    def __init__(self, *pieces: bytes) -> None:
        self.left = list(pieces)

    def __iter__(self) -> Any:  # noqa: ANN401 - type checkers want an __iter__ of it, and Python does not
        return _Steps(self.left)


class _Steps:
    def __init__(self, left: list[bytes]) -> None:
        self.left = left

    def __next__(self) -> bytes:
        if not self.left:
            raise StopIteration
        return self.left.pop(0)


class Impatient:
    """Must not be asked again behind its end: it would wait for a queue that nobody fills."""

    def __init__(self, *pieces: bytes) -> None:
        self.left = list(pieces)
        self.over = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        assert not self.over, "asked again behind the end"
        if not self.left:
            self.over = True
            raise StopIteration
        return self.left.pop(0)


def returning(body: Iterable[Any], headers: Headers) -> Any:  # noqa: ANN401 - a WSGI application
    """Return an application whose reply has *body*."""

    def application(_environ: Any, start_response: Any) -> Iterable[Any]:  # noqa: ANN401
        start_response("200 OK", headers)
        return body

    return application


@pytest.mark.contract("C8")
@pytest.mark.parametrize("headers", [TEXT, [*TEXT, ("Content-Length", "6")], STREAM])
@pytest.mark.parametrize("kind", [Rewinding, Bare, Impatient])
def test_a_body_is_asked_for_its_iterator_once_and_for_its_end_once(kind: Any, headers: Headers) -> None:  # noqa: ANN401
    """A server's ``for`` does no more: what more the gate asked for would be other bytes, or none ever."""
    app, noted = gated(returning(kind(b"one", b"two"), headers))

    server = Server().serve(app, take=9)

    assert server.body == b"onetwo"
    assert server.clean
    assert server.raised is None
    assert server.values("x-trace-id") == [OWN]
    assert noted == []


@pytest.mark.contract("C8")
@pytest.mark.parametrize("headers", [TEXT, STREAM])
@pytest.mark.parametrize("kind", [Rewinding, Bare, Impatient])
def test_an_empty_body_is_asked_for_its_end_once(kind: Any, headers: Headers) -> None:  # noqa: ANN401
    """Although the gate takes the first step before the server does."""
    app, _ = gated(returning(kind(), headers))

    server = Server().serve(app, take=9)

    assert (server.body, server.clean, server.raised) == (b"", True, None)


class Strict(Server):
    """A server that takes no piece but bytes, as most do."""

    def _send(self, take: int) -> None:
        for piece, _ in zip(self.result, range(take), strict=False):
            if type(piece) is not bytes:
                raise TypeError(piece)
            self._send_head()
            self.pieces.append(piece)
        self._send_head()
        self.clean = True


@pytest.mark.contract("C5")
@pytest.mark.parametrize("headers", [TEXT, STREAM])
@pytest.mark.parametrize("odd", [None, 7, 0])
def test_a_piece_that_is_none_is_no_clean_end(odd: object, headers: Headers) -> None:
    """What follows it would be lost, and nobody would know."""
    app, noted = gated(returning(iter([b"data: 1\n\n", odd, b"data: 2\n\n"]), headers))

    server = Strict().serve(app)

    assert not server.clean
    assert isinstance(server.raised, TypeError)
    assert [event.kind for event in noted] == ["stream_broken"]


@pytest.mark.contract("C8", "D1")
@pytest.mark.parametrize("then", ["end", "yield", "write"])
@pytest.mark.parametrize("first", [TEXT, STREAM])
@pytest.mark.parametrize("asked", [True, False])
def test_a_head_that_is_taken_back_behind_an_empty_piece_is_not_the_one_that_leaves(
    first: Headers,
    then: str,
    asked: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Nothing has left with the empty piece, so that the application may choose another head (PEP 3333)."""

    def application(found: Any, start_response: Any) -> Iterator[bytes]:  # noqa: ANN401
        start_response("200 OK", first)
        return rest(found, start_response)

    def rest(found: Any, start_response: Any) -> Iterator[bytes]:  # noqa: ANN401
        yield b""
        if asked:
            assert found["tracegate.exchange"].exchange
        write = start_response("503 Busy", JSON, (ValueError, ValueError("busy"), None))
        if then == "write":
            write(b'{"a":1}')
        elif then == "yield":
            yield b'{"a":1}'

    app, _ = gated(application, Policy(sse_hold_seconds=0))

    server = Server().serve(app)

    assert server.raised is None
    assert server.status is not None
    assert server.status.startswith("503")
    assert server.values("x-trace-id") == [OWN]
    assert server.values("content-type")[0].startswith("application/json")
    assert server.clean
    assert f'"trace_id":"{OWN}"' in server.body.decode()


class Tally:
    """Counts, and is the traffic of all tenants."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def tally(self, named: str | None) -> Tally:
        assert named is None
        return self

    def request(self) -> None:
        self.counts["requests"] += 1

    def traced(self) -> None:
        self.counts["traced"] += 1

    def untraced(self) -> None:
        self.counts["untraced"] += 1

    def stream(self, exchange: object) -> object:
        return exchange


@pytest.mark.contract("C1", "H1")
@pytest.mark.parametrize("headers", [TEXT, STREAM, JSON])
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_reply_whose_first_head_the_server_refused_is_counted_once(
    headers: Headers,
    status: str,
    listed: bool,  # noqa: FBT001 - a parameter
) -> None:
    """What leaves is the gate's 500, with the trace: not counted, it would look like one without."""
    traffic = Tally()
    body = [b'{"a":1}']

    def application(_environ: Any, start_response: Any) -> Iterable[bytes]:  # noqa: ANN401
        start_response(status, [*headers, ("Connection", "close")])
        return body if listed else iter(body)

    app = TraceGate(application, runtime=Runtime(traffic=traffic))

    server = Server(refuses=lambda lines: ("Connection", "close") in lines).serve(app, environ())

    assert server.status == "500 Internal Server Error"
    assert server.values("x-trace-id") == [OWN]
    assert traffic.counts == {"requests": 1, "traced": 1}


# The recorder.


def recorded(application: Any, *, take: int = 1000, **policy: Any) -> tuple[Server, Store]:  # noqa: ANN401
    """Serve *application* behind a recorder, behind a gate; return what was sent, and what was recorded."""
    store: Any = Store()
    recorder = StreamRecorder(application, store, principal=lambda _: "ann", policy=StreamPolicy(**policy))
    app, _ = gated(recorder)
    server = Server().serve(app, environ(), take=take)
    assert recorder.recorder.writer.close(5)
    return server, store


@pytest.mark.contract("D8", "C8")
@pytest.mark.parametrize("kind", [Rewinding, Bare, Impatient])
@pytest.mark.parametrize("take", [2, 9])
def test_a_recorder_asks_for_an_iterator_once_and_for_its_end_once(kind: Any, take: int) -> None:  # noqa: ANN401
    """Whether the client stays, leaves within a block, or gets what is left of one."""
    pieces = b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\nda"

    server, store = recorded(returning(kind(*pieces), STREAM), take=take, on_disconnect="finish")

    assert server.raised is None
    assert server.clean == (take > len(pieces))
    assert [payload[:7] for payload in events(store)] == [b"data: 1", b"data: 2", b"data: 3"]
    assert endings(store) == ["ended"]
    if server.clean:
        assert server.body.endswith(b"\n\nda")


@pytest.mark.contract("D8", "C8")
@pytest.mark.parametrize("headers", [STREAM, JSON])
def test_a_second_head_that_is_refused_takes_nothing_from_the_first_one_s_stream(headers: Headers) -> None:
    """Not the bytes that the recorder holds, and not the recording."""

    def application(_environ: Any, start_response: Any) -> Iterator[bytes]:  # noqa: ANN401
        start_response("200 OK", STREAM)
        yield b"data: 1\n\nda"
        with pytest.raises(RuntimeError):
            start_response("200 OK", headers)
        with pytest.raises(ValueError, match="too late"):
            start_response("500 Oh", headers, (ValueError, ValueError("too late"), None))
        yield b"ta: 2\n\n"

    server, store = recorded(application)

    marked = f"trace_id: {OWN}\n\n".encode()
    assert server.body == b"data: 1\n" + marked + b"data: 2\n" + marked
    assert server.clean
    assert events(store) == [b"data: 1\n\n", b"data: 2\n\n"]
    assert endings(store) == ["ended"]


@pytest.mark.contract("D8")
def test_a_head_that_the_server_does_not_take_leaves_no_open_recording() -> None:
    """A producer that is said to live is waited for, by each client that comes back."""
    connection, store = Connection(), Store()
    taken: list[Message] = []

    async def send(message: Any) -> None:  # noqa: ANN401
        if message["type"] == "http.response.start" and len(taken) != 1:
            taken.append(message)
            raise RuntimeError("not this one")
        taken.append(message)

    async def application(_scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401
        with pytest.raises(RuntimeError):
            await send(START)
        await send(START)
        await send(body(b"data: 1\n\nda"))
        with pytest.raises(RuntimeError):
            await send(START)
        await send(body(b"ta: 2\n\n"))
        await send(END)

    recorder = recorder_of(store, application)
    asyncio.run(recorder(connection.scope, connection.receive, send))
    assert recorder.recorder.writer.close(5)

    assert b"".join(message.get("body", b"") for message in taken) == b"data: 1\n\ndata: 2\n\n"
    assert events(store) == [b"data: 1\n\n", b"data: 2\n\n"]
    assert sorted(endings(store)) == ["broken", "broken", "ended"]
    assert len({step.recording for step in store.steps}) == len(endings(store))


@pytest.mark.contract("D8")
@both_loops
@pytest.mark.parametrize("asks", ["before", "behind"])
def test_who_waits_for_a_client_to_leave_waits_no_longer_than_its_stream(run: Any, asks: str) -> None:  # noqa: ANN401
    """``finish`` lets the stream go on; behind its end there is nothing to go on with, and nobody hangs."""
    connection, store = Connection(), Store()
    connection.gone.set()
    heard: list[str] = []

    async def listen(receive: Any) -> None:  # noqa: ANN401
        heard.append((await receive())["type"])

    async def application(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        stream = sending(START, body(b"data: 1\n\n"), END)
        if asks == "behind":
            await stream(scope, receive, send)
            await listen(receive)
        else:
            await side_by_side(lambda: listen(receive), lambda: stream(scope, receive, send))

    recorder = recorder_of(store, application, on_disconnect="finish")
    run(lambda: recorder(connection.scope, connection.receive, connection.send))
    assert recorder.recorder.writer.close(5)

    assert heard == ["http.disconnect"]
    assert endings(store) == ["ended"]


async def side_by_side(first: Any, second: Any) -> None:  # noqa: ANN401 - two coroutine functions
    """Run both, the first one up to where it waits before the second begins; wait for both."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(second)
    else:
        listener = asyncio.ensure_future(first())
        await turns()
        await second()
        await listener


class Slow(Store):
    """Takes nothing until it may.

    Attributes:
        may: Set when it may.
    """

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Event()

    def write(self, steps: Sequence[Step]) -> None:
        assert self.may.wait(20)
        super().write(steps)


@pytest.mark.contract("D8")
@both_loops
def test_what_waits_for_the_store_is_there_before_a_server_ends(run: Any) -> None:  # noqa: ANN401
    """A server may end by a signal, past what an interpreter does at its end."""
    connection, store = Connection(), Slow()
    there: list[list[bytes]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        if scope["type"] == "lifespan":
            store.may.set()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await sending(START, body(b"data: 1\n\n"), END)(scope, receive, send)

    async def end(_message: Any) -> None:  # noqa: ANN401
        there.append(events(store))

    recorder = recorder_of(store, application)

    async def serve() -> None:
        await recorder(connection.scope, connection.receive, connection.send)
        await recorder({"type": "lifespan"}, connection.receive, end)

    run(serve)

    assert there == [[b"data: 1\n\n"]]
    assert endings(store) == ["ended"]
    assert recorder.recorder.writer.close(5)


@pytest.mark.contract("D8", "C8")
@both_loops
def test_an_event_that_is_recorded_is_not_lost_with_the_task_that_was_sending_it(run: Any) -> None:  # noqa: ANN401
    """Who resumes behind the next event would never get it."""
    connection, store = Connection(), Slow()

    async def application(_scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401
        await send(START)
        await begin_and_cancel(lambda: send(body(b"data: 1\n\n")))
        store.may.set()
        await send(body(b"data: 2\n\n"))
        await send(END)

    recorder = recorder_of(store, application, durability="before_event")
    run(lambda: recorder(connection.scope, connection.receive, connection.send))
    assert recorder.recorder.writer.close(5)

    assert connection.body == b"data: 1\n\ndata: 2\n\n"
    assert events(store) == [b"data: 1\n\n", b"data: 2\n\n"]
    assert endings(store) == ["ended"]


async def begin_and_cancel(work: Any) -> None:  # noqa: ANN401 - a coroutine function
    """Run *work* up to where it waits, and cancel it there."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    else:
        task = asyncio.ensure_future(work())
        await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.contract("D8")
def test_nobody_gets_another_one_s_streams_by_calling_himself_the_hash_of_that_name() -> None:
    """Long and odd names are kept as a hash, which a short name could spell."""
    ann = key_of("default", "ann" * 100, "GET /answers?")

    mallory = key_of(ann.tenant, ann.principal, ann.name)

    assert ann.principal.startswith("sha256:")
    assert mallory != ann
    assert key_of("default", "ann" * 100, "GET /answers?") == ann
