"""What does a recorder do with the messages of an ASGI application, on asyncio and on trio?"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from tests.property.plan import OTHER, OWN
from tracegate.adapters import asgi_recorder
from tracegate.adapters.asgi_recorder import StreamRecorder
from tracegate.adapters.asgi_scope import MARK
from tracegate.adapters.recorder import target_of
from tracegate.context import binding
from tracegate.core.policy import Policy
from tracegate.core.streams.policy import StreamPolicy
from tracegate.core.streams.recording import Beginning, Chapter, Ending, Place, RecordedEvent, Step, StreamKey
from tracegate.core.trace import Trace
from tracegate.core.trace_id import TraceId
from tracegate.errors import ReplyAbortedError, StoreError
from tracegate.runtime import Runtime

pytestmark = pytest.mark.contract("D8")

Message = dict[str, Any]
START: Message = {
    "type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")],
}  # fmt: skip
END: Message = {"type": "http.response.body", "body": b""}
KEY = StreamKey("default", "ann", "GET /answers?")


class Store:
    """Keeps steps, and answers with what it was given to answer.

    Attributes:
        steps: What came, in order.
        chapters: What reading gives, in turn.
        place: Where every client is.
    """

    def __init__(self, *chapters: Chapter) -> None:
        self.steps: list[Step] = []
        self.chapters = list(chapters)
        self.place: Any = Place("r", 1, '[["content-type","text/event-stream"]]', over=False)
        self.keys: list[StreamKey] = []

    def write(self, steps: Sequence[Step]) -> None:
        self.steps += steps

    def beat(self, recordings: Iterable[str]) -> None:
        """Take note."""

    def tidy(self, max_age_seconds: float) -> None:
        """Do nothing."""

    def find(self, key: StreamKey, _event_id: str, **_bounds: float) -> Any:  # noqa: ANN401
        self.keys.append(key)
        return self.place

    def read(self, _recording: str, _after: int, **_bounds: float) -> Chapter:
        return self.chapters.pop(0)


class Connection:
    """One request, with a client that does as it is told.

    Attributes:
        sent: What left.
        leaves: Raised by ``send`` from now on, if set.
        gone: Set when ``receive`` is to say that the client has left.
    """

    def __init__(self, **scope: Any) -> None:  # noqa: ANN401
        self.sent: list[Message] = []
        self.leaves: Exception | None = None
        self.gone = threading.Event()
        policy = scope.pop("policy", Policy())
        bound = {"tracegate": Trace.of(TraceId(OWN), "header")}
        usual: Message = {"type": "http", "method": "GET", "path": "/answers", "headers": [], "state": bound}
        self.scope = {**usual, MARK: SimpleNamespace(terms=Runtime(policy).terms(b"x-trace-id")), **scope}

    async def receive(self) -> Message:
        while not self.gone.is_set():
            await pause()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:  # noqa: ANN401
        if self.leaves is not None:
            raise self.leaves
        self.sent.append(dict(message))

    @property
    def body(self) -> bytes:
        """What left of the body."""
        return b"".join(message.get("body", b"") for message in self.sent)


async def pause() -> None:
    """Let others run, on either loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        await trio.sleep(0.001)
    else:
        await asyncio.sleep(0.001)


def on_asyncio(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run *main* on asyncio."""
    asyncio.run(main())


def on_trio(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run *main* on trio."""
    trio.run(main)


both_loops = pytest.mark.parametrize("run", [on_asyncio, on_trio])


def body(data: bytes) -> Message:
    """Return a piece that is not the last."""
    return {"type": "http.response.body", "body": data, "more_body": True}


def recorder_of(
    store: Store,
    application: Callable[[Any, Any, Any], Awaitable[None]],
    who: Callable[[Any], Any] = lambda _: "ann",
    **policy: Any,  # noqa: ANN401
) -> StreamRecorder:
    """Return a recorder around *application*."""
    known: Any = {"poll_seconds": 0.01, "commit_wait_seconds": 5, **policy}
    kept: Any = store
    return StreamRecorder(application, kept, principal=who, policy=StreamPolicy(**known))


def sending(*messages: Message) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """Return an application that sends *messages*."""

    async def application(_scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401
        for message in messages:
            await send(message)

    return application


def events(store: Store) -> list[bytes]:
    """Return the payloads that were recorded."""
    return [step.payload for step in store.steps if isinstance(step, RecordedEvent)]


def endings(store: Store) -> list[str]:
    """Return how recordings ended."""
    return [step.status for step in store.steps if isinstance(step, Ending)]


@both_loops
@pytest.mark.parametrize("durability", ["background", "before_event"])
def test_pieces_leave_whole_and_are_recorded(run: Any, durability: str) -> None:  # noqa: ANN401
    """A message with nothing whole in it does not leave; an empty one of the application's does."""
    store, connection = Store(), Connection()
    messages = (START, body(b""), body(b"data: a"), body(b"\n\ndata: b\n\nda"), {**END, "body": b"ta: c"})
    recorder = recorder_of(store, sending(*messages), durability=durability)

    run(lambda: recorder(connection.scope, connection.receive, connection.send))
    assert recorder.recorder.writer.close(5)

    assert [message.get("body") for message in connection.sent[1:]] == [b"", b"data: a\n\ndata: b\n\n", b"data: c"]
    assert events(store) == [b"data: a\n\n", b"data: b\n\n"]
    assert (endings(store), isinstance(store.steps[0], Beginning)) == (["ended"], True)


@both_loops
def test_several_tasks_may_send(run: Any) -> None:  # noqa: ANN401
    """In the order in which they do, also where each waits for the store."""

    async def application(_scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401
        await send(START)
        pieces = [body(b"data: %d\n\n" % number) for number in range(5)]
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            async with trio.open_nursery() as nursery:
                for piece in pieces:
                    nursery.start_soon(send, piece)
        else:
            await asyncio.gather(*(send(piece) for piece in pieces))
        await send(END)

    store, connection = Store(), Connection()
    recorder = recorder_of(store, application, durability="before_event")
    run(lambda: recorder(connection.scope, connection.receive, connection.send))
    assert recorder.recorder.writer.close(5)

    assert b"".join(events(store)) == connection.body
    assert len(events(store)) == 5


@both_loops
def test_a_replay_follows_and_says_that_it_is_there(run: Any) -> None:  # noqa: ANN401
    """Then it ends as the stream has."""
    event = RecordedEvent("r", KEY, 2, "2", "message", b"id: 2\ndata: x\n\n", OTHER.decode())
    store = Store(Chapter(), Chapter(), Chapter((event,)), Chapter(end="ended"))
    connection = Connection(headers=[(b"Last-Event-ID", b"1")])
    recorder = recorder_of(store, sending(), keep_alive_seconds=0.02, durability="before_event")
    run(lambda: recorder(connection.scope, connection.receive, connection.send))

    assert connection.body == b":\n\nid: 2\ndata: x\n\n"
    assert connection.sent[0]["headers"] == [(b"content-type", b"text/event-stream")]
    assert connection.sent[-1] == END
    assert store.keys == [KEY]


def test_two_positions_are_none() -> None:
    """Nobody can tell which of them the client has; the store is not even asked."""
    seen: list[Any] = []
    shell = SimpleNamespace(runtime=Runtime(Policy(), sink=seen.append))
    bound: Any = SimpleNamespace(shell=shell, trace=None)
    connection = Connection(headers=[(b"last-event-id", b"1"), (b"last-event-id", b"2")])
    store = Store()
    recorder = recorder_of(store, sending())
    found = binding.get()
    binding.set(bound)  # as behind a bridge, whose gate is elsewhere
    try:
        on_asyncio(lambda: recorder(connection.scope, connection.receive, connection.send))
    finally:
        binding.set(found)
    assert (connection.sent[0]["status"], store.keys) == (409, [])
    assert [(event.kind, event.detail) for event in seen] == [("sse_resume_failed", "unknown")]


@pytest.mark.parametrize(("end", "why"), [("gap", "has a gap"), ("broken", "broke off")])
def test_a_replay_that_cannot_go_on_raises(end: Any, why: str) -> None:  # noqa: ANN401
    """So that the gate ends it with the error event (D7)."""
    connection = Connection(headers=[(b"last-event-id", b"1")])
    recorder = recorder_of(Store(Chapter(end=end)), sending(), durability="before_event")
    with pytest.raises(StoreError, match=why):
        on_asyncio(lambda: recorder(connection.scope, connection.receive, connection.send))


def test_a_replay_ends_when_its_client_leaves() -> None:
    """It would follow for ever."""
    connection = Connection(headers=[(b"last-event-id", b"1")])
    recorder = recorder_of(Store(*[Chapter()] * 1000), sending(), durability="before_event", poll_seconds=5)
    threading.Timer(0.05, connection.gone.set).start()
    on_asyncio(lambda: recorder(connection.scope, connection.receive, connection.send))
    assert [message["type"] for message in connection.sent] == ["http.response.start"]


@both_loops
@pytest.mark.parametrize("reaction", ["stop", "finish"])
def test_an_application_that_listens_hears_of_its_client_or_does_not(run: Any, reaction: str) -> None:  # noqa: ANN401
    """As frameworks listen: beside the stream."""
    store, connection = Store(), Connection()
    heard: list[str] = []

    async def listen(receive: Any) -> None:  # noqa: ANN401
        heard.append((await receive())["type"])

    async def stream(send: Any) -> None:  # noqa: ANN401
        await send(START)
        for number in range(5):
            await send(body(b"data: %d\n\n" % number))
            connection.gone.set()
            for _ in range(10):
                await pause()
        await send(END)

    async def application(_scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen, receive)
                await stream(send)
                nursery.cancel_scope.cancel()
        else:
            listener = asyncio.create_task(listen(receive))
            await stream(send)
            listener.cancel()

    recorder = recorder_of(store, application, on_disconnect=reaction)
    run(lambda: recorder(connection.scope, connection.receive, connection.send))
    assert recorder.recorder.writer.close(5)

    assert heard == (["http.disconnect"] if reaction == "stop" else [])
    assert endings(store) == ["ended"]
    assert len(events(store)) == 5


@pytest.mark.parametrize(
    ("failure", "reaction", "ending"),
    [
        (ConnectionResetError(), "stop", "broken"),
        (ConnectionResetError(), "finish", "ended"),
        (ReplyAbortedError(), "finish", "broken"),
    ],
)
def test_a_send_that_fails_is_the_client_s_leaving_unless_the_gate_ended_it(
    failure: Exception, reaction: str, ending: str
) -> None:
    """Who names another trace must not go on in secret."""
    store, connection = Store(), Connection()

    async def application(_scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401
        await send(START)
        await send(body(b"data: 1\n\n"))
        connection.leaves = failure
        await send(body(b"data: 2\n\n"))
        await send(END)

    recorder = recorder_of(store, application, on_disconnect=reaction)
    with nullcontext() if ending == "ended" else pytest.raises(type(failure)):
        on_asyncio(lambda: recorder(connection.scope, connection.receive, connection.send))
    assert recorder.recorder.writer.close(5)

    assert (endings(store), events(store)) == ([ending], [b"data: 1\n\n", b"data: 2\n\n"])


def test_a_stream_that_has_ended_is_over_before_its_application_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Background tasks may take long; who follows does not wait for them."""
    monkeypatch.setattr(asgi_recorder, "_END_SECONDS", 0.01)
    store, connection = Store(), Connection()

    async def application(_scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401
        await send(START)
        await send(END)
        while not endings(store):
            await pause()
        raise RuntimeError("too late to matter")

    recorder = recorder_of(store, application)
    with pytest.raises(RuntimeError):
        on_asyncio(lambda: recorder(connection.scope, connection.receive, connection.send))
    assert recorder.recorder.writer.close(5)
    assert endings(store) == ["ended"]


def test_an_application_that_returns_in_the_middle_has_not_ended() -> None:
    """As one that was told that its client has left."""
    store, connection = Store(), Connection()
    recorder = recorder_of(store, sending(START, body(b"data: 1\n\n")))
    on_asyncio(lambda: recorder(connection.scope, connection.receive, connection.send))
    assert recorder.recorder.writer.close(5)
    assert endings(store) == ["broken"]


def test_other_scopes_and_other_people_s_streams_pass() -> None:
    """Untouched: the application gets the server's own callables."""
    seen: list[tuple[Any, ...]] = []

    async def application(*given: Any) -> None:  # noqa: ANN401
        seen.append(given)

    async def nobody(_: Any) -> None:  # noqa: ANN401
        await pause()

    for scope, who in (({"type": "websocket"}, lambda _: "ann"), ({}, nobody), ({}, lambda _: None)):
        connection = Connection(**scope)
        recorder = recorder_of(Store(), application, who)
        on_asyncio(lambda: recorder(connection.scope, connection.receive, connection.send))  # noqa: B023
        assert seen[-1] == (connection.scope, connection.receive, connection.send)


def test_a_stream_that_does_not_fit_passes_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """Without numbers that nobody could resume from; and the log says so."""
    store, connection = Store(), Connection()
    recorder = recorder_of(store, sending(START, body(b"data: 1\n\nda"), body(b"ta: 2\n\n"), END), number_events=True)
    recorder.recorder.writer._max_queued = 0
    on_asyncio(lambda: recorder(connection.scope, connection.receive, connection.send))

    assert connection.body == b"data: 1\n\ndata: 2\n\n"
    assert store.steps == []
    assert "a stream is not recorded" in caplog.text


def test_the_tenant_and_the_name_of_a_stream_can_be_told() -> None:
    """Else they are the gate's tenant, and the target."""
    policy = Policy(tenant_header="X-Tenant", default_tenant="none")
    store = Store(*[Chapter(end="ended")] * 3)
    recorder = recorder_of(store, sending(), durability="before_event")
    for lines in ([], [(b"x-tenant", b"t1")]):
        connection = Connection(headers=[(b"last-event-id", b"1"), *lines], policy=policy, query_string=b"q=1")
        on_asyncio(lambda: recorder(connection.scope, connection.receive, connection.send))  # noqa: B023
    recorder._tenant, recorder._stream_key = lambda _: "told", lambda scope: scope["path"]
    on_asyncio(lambda: recorder(connection.scope, connection.receive, connection.send))

    assert [key.tenant for key in store.keys] == ["none", "t1", "told"]
    assert [key.name for key in store.keys] == ["GET /answers?q=1", "GET /answers?q=1", "/answers"]
    recorder._stream_key = lambda _: None
    on_asyncio(lambda: recorder(connection.scope, connection.receive, connection.send))
    assert len(store.keys) == 3


def test_the_parameter_that_names_the_trace_does_not_name_the_stream() -> None:
    """A client that comes back has a new trace, and wants the same stream."""
    policy = Policy(query_parameter="trace id")
    assert target_of("GET", "/a", b"x=1&trace+id=5&trace%20id=6&y", policy) == "GET /a?x=1&y"
    assert target_of("GET", "/a", b"x=1&trace+id=5", Policy()) == "GET /a?x=1&trace+id=5"
