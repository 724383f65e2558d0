"""Where did an adversary get through the gates? One test for each hole, driven by raw messages."""

from __future__ import annotations

import asyncio
import contextvars
import enum
import json
import threading
import types
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import Any, NoReturn

import pytest
import trio

from tests.property.drivers.asgi import AsgiApplication, Message, Receive, Send
from tests.property.drivers.wsgi import ExcInfo, StartResponse, WsgiApplication
from tests.property.plan import OTHER, OWN
from tracegate.adapters.asgi import TraceGate
from tracegate.adapters.wsgi import TraceGate as WsgiGate
from tracegate.context import current_trace, trace_scope
from tracegate.core.events import Event
from tracegate.core.policy import Policy
from tracegate.core.ports import Sink
from tracegate.errors import ConfigurationError
from tracegate.runtime import Runtime

Play = Callable[[Send], Awaitable[None]]
Line = tuple[bytes, bytes]

TEXT, JSON, STREAM = ((b"content-type", media) for media in (b"text/plain", b"application/json", b"text/event-stream"))
FORGED = (b"x-trace-id", OTHER)
DENIAL = "websocket.http.response"
MARKED = b"data: %d\ntrace_id: " + OWN + b"\n\n"


class Scene:
    """One exchange: what the server got, and what came out of the gate beside it."""

    def __init__(
        self, play: Play, policy: Policy | None = None, *, gate: AsgiApplication | None = None, sink: Sink | None = None
    ) -> None:
        async def application(scope: Message, receive: Receive, send: Send) -> None:
            if scope["type"] == "websocket":
                await receive()
            await play(send)

        self.events: list[Event] = []
        self.sent: list[Message] = []
        self.at_return = 0
        self.raised: BaseException | None = None
        self.before_send: Callable[[Message], Awaitable[None]] | None = None
        wrap: Any = TraceGate
        self.gate = gate or wrap(application, runtime=Runtime(policy, sink=sink or self.events.append))

    async def serve(self, **scope: object) -> None:
        """Call the gate as a server would."""
        kind = scope.get("type", "http")
        request: Message = {"type": "websocket.connect"} if kind == "websocket" else {"type": "http.request"}

        async def receive() -> Message:
            return request

        async def send(message: Message) -> None:
            if self.before_send is not None:
                await self.before_send(message)
            self.sent.append(message)

        usual = {"type": "http", "method": "GET", "path": "/", "headers": [(b"x-trace-id", OWN)], "extensions": {}}
        try:
            await self.gate({**usual, **scope}, receive, send)
        except BaseException as error:  # noqa: BLE001  what came out is what is looked at
            self.raised = error
        self.at_return = len(self.sent)

    def run(self, *, then_seconds: float = 0.0, **scope: object) -> Scene:
        """Play the scene on asyncio, and go on for a while."""

        async def main() -> None:
            await self.serve(**scope)
            await asyncio.sleep(then_seconds)

        asyncio.run(main())
        return self

    @property
    def starts(self) -> list[Message]:
        """The heads that the server got."""
        return [message for message in self.sent if message["type"].endswith(".start")]

    @property
    def body(self) -> bytes:
        """The body bytes that the server got."""
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def ended(self) -> bool:
        """Whether the body had a clean end."""
        return any(message["type"].endswith(".body") and not message.get("more_body") for message in self.sent)

    def traced(self, status: int) -> None:
        """Check that one whole reply of *status* left, with one right id."""
        assert [message["status"] for message in self.starts] == [status]
        assert values(self.starts[0]["headers"]) == [OWN]
        assert self.ended


def values(headers: Iterable[Line], name: bytes = b"x-trace-id") -> list[bytes]:
    """Return the values of the lines called *name*."""
    return [value for key, value in headers if key.lower() == name]


def start(status: int, *headers: Line, **more: object) -> Message:
    """Return the message that starts a reply."""
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def body(data: object = b"", *, more: bool = False) -> Message:
    """Return a body message."""
    return {"type": "http.response.body", "body": data, "more_body": more}


def reply(*messages: Message) -> Play:
    """Return an application that sends *messages*."""

    async def play(send: Send) -> None:
        for message in messages:
            await send(message)

    return play


def failing(error: BaseException, *messages: Message) -> Play:
    """Return an application that sends *messages* and raises *error*."""

    async def play(send: Send) -> None:
        await reply(*messages)(send)
        raise error

    return play


def wsgi(
    application: WsgiApplication, policy: Policy | None = None, **environ: object
) -> tuple[list[Any], list[bytes], BaseException | None]:
    """Return the heads, the pieces and the exception that a server gets of a WSGI *application* behind the gate."""
    heads: list[Any] = []
    pieces: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        heads.append((status, headers, exc_info))
        return pieces.append

    request = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_X_TRACE_ID": OWN.decode(), **environ}
    try:
        pieces.extend(WsgiGate(application, runtime=Runtime(policy))(request, start_response))
    except BaseException as error:  # noqa: BLE001  what came out is what is looked at
        return heads, pieces, error
    return heads, pieces, None


def unusable(*_: object) -> NoReturn:
    """Stand for a hook of the operator's that is broken."""
    raise ZeroDivisionError


# Bytes.


@pytest.mark.contract("C8", "D6")
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_chunks_of_any_bytes_type_are_marked_and_none_is_lost(kind: Callable[[bytes], Any]) -> None:
    """Starlette hands on a memoryview, and every server sends a bytearray."""
    scene = Scene(
        reply(start(200, STREAM), body(kind(b"data: 1\n\n"), more=True), body(kind(b"data: 2\n\n"), more=True), body())
    )
    assert scene.run().body == MARKED % 1 + MARKED % 2
    array = (start(200, JSON), body(kind(b"[1"), more=True), body(kind(b",2]")))
    assert Scene(reply(*array), Policy(bodies="all")).run().body == b"[1,2]"


@pytest.mark.contract("C1", "C3", "C8", "C10")
def test_a_header_list_that_changes_while_the_head_is_held_changes_nothing() -> None:
    """An application that reuses one list for its replies; what was checked is what leaves."""

    async def play(send: Send) -> None:
        headers = [JSON]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        headers += [FORGED, (b"x\r\nset-cookie", b"a=1")]
        await send(body(b"{}"))

    scene = Scene(play).run()
    scene.traced(404)
    assert not values(scene.starts[0]["headers"], b"x\r\nset-cookie")


@pytest.mark.contract("C8")
def test_any_integer_status_passes_as_without_a_gate() -> None:
    """An enumeration of the application's own: every server sends it."""
    own = enum.IntEnum("own", {"FINE": 200})
    scene = Scene(reply(start(own(200), TEXT), body(b"fine"))).run()
    scene.traced(200)
    assert scene.body == b"fine"


@pytest.mark.contract("C5", "C8")
def test_a_file_counts_towards_the_declared_length() -> None:
    """A file that the server sends and the application's own end after it are a whole reply."""
    file = {"type": "http.response.zerocopysend", "file": 3, "count": 2, "more_body": True}
    scene = Scene(reply(start(200, TEXT, (b"content-length", b"2")), file, body())).run()
    scene.traced(200)
    assert scene.events == []


# Several senders, time, and cancellation.


class Client:
    """A client that reads or does not; while it does not, every send waits, as a server's flow control has it."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.takes_second = asyncio.Event()

    async def wait(self, message: Message) -> None:
        """Wait as long as the client does not read; the event number 1 takes its time."""
        await self.reads.wait()
        if b": 1" in message.get("body", b""):
            self.takes_second.set()
            await asyncio.sleep(0.01)

    async def begin(self, send: Send, *, begun: bool) -> asyncio.Future[None]:
        """Start a stream, with an event where it has *begun*, and let a second task's ping wait for the client."""
        await send(start(200, STREAM))
        if begun:
            await send(body(b"data: 0\n\n", more=True))
        self.reads.clear()
        ping = asyncio.ensure_future(send(body(b": ping\n\n", more=True)))
        await asyncio.sleep(0)
        return ping


@pytest.mark.contract("C5", "D6")
@pytest.mark.parametrize("begun", [True, False])
def test_an_event_is_not_lost_with_the_task_that_was_sending_it(begun: bool) -> None:  # noqa: FBT001  a parameter
    """sse-starlette cancels its ping when the stream is over; what the ping's task sends for others must leave."""
    client = Client()

    async def play(send: Send) -> None:
        ping = await client.begin(send, begun=begun)
        event = asyncio.ensure_future(send(body(b"data: 1\n\n", more=True)))
        await asyncio.sleep(0)
        client.reads.set()
        await client.takes_second.wait()
        ping.cancel()
        await event
        await send(body(b"data: 2\n\n"))

    scene = Scene(play)
    scene.before_send = client.wait
    expected = MARKED % 0 * begun + MARKED % 1 + MARKED % 2
    assert scene.run().body.replace(b": ping\n\n", b"") == expected


@pytest.mark.contract("C8")
@pytest.mark.parametrize("begun", [True, False])
def test_a_stalled_client_slows_every_sender_down(begun: bool) -> None:  # noqa: FBT001  a parameter
    """While one task waits for the client, another one's send does not return at once: that would fill the memory."""
    client = Client()
    returned: list[int] = []

    async def play(send: Send) -> None:
        ping = await client.begin(send, begun=begun)

        async def produce() -> None:
            for number in range(100):
                await send(body(b"data: x\n\n", more=True))
                returned.append(number)

        task = asyncio.create_task(produce())
        await asyncio.sleep(0.01)
        assert returned == []
        client.reads.set()
        await asyncio.gather(ping, task)
        await send(body())

    scene = Scene(play)
    scene.before_send = client.wait
    assert scene.run().raised is None
    assert len(returned) == 100


@pytest.mark.contract("C5", "D6")
@pytest.mark.parametrize("begun", [True, False])
def test_the_gate_returns_only_when_all_it_was_given_is_out(begun: bool) -> None:  # noqa: FBT001  a parameter
    """A server takes the return for the end, and breaks off what has not been sent by then."""
    client = Client()

    async def play(send: Send) -> None:
        ping = await client.begin(send, begun=begun)
        asyncio.get_running_loop().call_later(0.01, client.reads.set)
        await send(body(b"data: 2\n\n"))
        del ping

    scene = Scene(play)
    scene.before_send = client.wait
    scene.run(then_seconds=0.05)
    assert len(scene.sent) == scene.at_return
    assert scene.ended


@pytest.mark.contract("C4", "D7")
@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt])
@pytest.mark.parametrize("messages", [(), (body(),), (body(b"data: 1\n\n", more=True), body())])
def test_nothing_is_sent_after_the_application_was_cancelled(
    kind: type[BaseException], messages: tuple[Message, ...]
) -> None:
    """The clock of a held start or end stops with the application."""
    scene = Scene(failing(kind(), start(200, STREAM), *messages), Policy(sse_hold_seconds=0.01))
    scene.run(then_seconds=0.05)
    assert isinstance(scene.raised, kind)
    assert len(scene.sent) == scene.at_return


@pytest.mark.contract("C4", "D7")
@pytest.mark.parametrize("at", ["returns", "raises"])
def test_nothing_is_sent_after_a_cancellation_while_the_end_is_on_its_way(at: str) -> None:
    """The application is through, and the client slow, when the server gives the request up."""

    async def play(send: Send) -> None:
        await send(start(200, STREAM))
        await send(body(b"", more=True))
        if at == "raises":
            raise ValueError

    async def main() -> None:
        serving = asyncio.create_task(scene.serve())

        async def give_up(_message: Message) -> None:
            serving.cancel()
            await asyncio.sleep(0)

        scene.before_send = give_up
        await serving
        await asyncio.sleep(0.05)

    scene = Scene(play)
    asyncio.run(main())
    assert isinstance(scene.raised, asyncio.CancelledError)
    assert len(scene.sent) == scene.at_return == 0


@pytest.mark.contract("C4")
def test_the_applications_exception_is_not_masked_by_a_client_that_left() -> None:
    """Error trackers see what the application raised, though the held start found nobody."""

    async def play(send: Send) -> None:
        await send(start(200, STREAM))
        await asyncio.sleep(0.03)
        raise LookupError

    async def gone(message: Message) -> None:
        raise ConnectionResetError(message["type"])

    scene = Scene(play, Policy(sse_hold_seconds=0.01))
    scene.before_send = gone
    assert isinstance(scene.run().raised, LookupError)


@pytest.mark.contract("D7")
def test_on_trio_an_end_is_held_until_the_application_returns() -> None:
    """A framework that ends first and raises afterwards is caught on hypercorn's trio worker too."""
    scene = Scene(failing(LookupError(), start(200, STREAM), body(b"data: 1\n\n", more=True), body()))
    trio.run(scene.serve)
    assert isinstance(scene.raised, LookupError)
    assert not scene.ended


@pytest.mark.contract("C8", "D7")
def test_trailers_follow_the_end_of_a_stream() -> None:
    """They let the held end go first."""
    trailers = {"type": "http.response.trailers", "headers": [(b"a", b"b")], "more_trailers": False}
    scene = Scene(reply(start(200, STREAM, trailers=True), body(b"data: 1\n\n", more=True), body(), trailers)).run()
    assert scene.ended
    assert scene.sent[-1] == trailers


# Messages out of order.


@pytest.mark.contract("C1", "C3")
@pytest.mark.parametrize("kind", ["start", "early_hint", "trailers"])
def test_nothing_forged_follows_a_plain_head(kind: str) -> None:
    """A head that went straight through does not open the way for another one, for hints or for trailers."""
    forged = {"type": f"http.response.{kind}", "status": 200, "headers": [FORGED]}
    scene = Scene(reply(start(200, TEXT), forged, body(b"x"))).run()
    assert [values(message.get("headers", ())) for message in scene.sent if "headers" in message] == [[OWN]]


@pytest.mark.contract("C1")
def test_trailers_without_a_head_do_not_reach_the_server() -> None:
    """Hypercorn makes a whole reply of status 200 of them (HTTP/2), which would have no id."""
    scene = Scene(reply({"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")]})).run()
    assert [message["type"] for message in scene.sent] == ["http.response.start", "http.response.body"]
    scene.traced(500)


@pytest.mark.contract("C4")
@pytest.mark.parametrize("message", [{}, None, "http.response.start"])
def test_a_message_without_a_type_ends_in_a_traced_500(message: Message) -> None:
    """The application's mistake must not become the gate's own."""
    Scene(reply(message)).run().traced(500)


@pytest.mark.contract("C4")
@pytest.mark.parametrize("group", [False, True])
def test_what_is_no_exception_of_the_loop_becomes_a_traced_500(group: bool) -> None:  # noqa: FBT001  a parameter
    """gevent.Timeout derives from BaseException; a group may hold a cancellation beside the failure."""

    class Timeout(BaseException):
        """One of a library's own."""

    error = BaseExceptionGroup("", [LookupError(), asyncio.CancelledError()]) if group else Timeout()
    scene = Scene(failing(error)).run()
    scene.traced(500)
    assert scene.raised is error


# Heads and bodies of the gate's own.


@pytest.mark.contract("D2", "D3", "D5")
@pytest.mark.parametrize(
    ("media", "coding"),
    [(b"text/plain", b"identity"), (b"application/json", b"unknown"), (b"application/json", b"gzip")],
)
def test_a_body_that_stands_in_is_framed_once(media: bytes, coding: bytes) -> None:
    """With both lengths granian sends nothing at all, and uvicorn a reply that two clients read differently."""
    lines = (
        (b"content-type", media),
        (b"content-encoding", coding),
        (b"transfer-encoding", b"chunked"),
        (b"trailer", b"x"),
    )
    scene = Scene(reply(start(404, *lines), body(b"no")), Policy(error_bodies="json")).run()
    scene.traced(404)
    assert json.loads(scene.body)["trace_id"] == OWN.decode()
    assert values(scene.starts[0]["headers"], b"transfer-encoding") == []
    assert values(scene.starts[0]["headers"], b"trailer") == []


@pytest.mark.contract("D5")
@pytest.mark.parametrize(("media", "coding"), [(b"text/plain", b"identity"), (b"application/json", b"unknown")])
def test_a_signed_error_is_not_replaced_under_its_signature(media: bytes, coding: bytes) -> None:
    """It is refused, or its signature goes with it; a signature over something else never leaves."""
    lines = ((b"content-type", media), (b"content-encoding", coding), (b"signature-input", b"s"), (b"signature", b"s"))
    scene = Scene(reply(start(404, *lines), body(b"no")), Policy(error_bodies="json")).run()
    assert values(scene.starts[0]["headers"]) == [OWN]
    assert values(scene.starts[0]["headers"], b"signature-input") == []


@pytest.mark.contract("D1")
@pytest.mark.parametrize("media", [b"model/gltf+json", b"image/x+JSON; a=b", b"text/vnd.a+json"])
def test_every_json_suffix_is_json(media: bytes) -> None:
    """Whatever the top-level type: `*+json`."""
    scene = Scene(reply(start(404, (b"content-type", media)), body(b"{}"))).run()
    assert json.loads(scene.body) == {"trace_id": OWN.decode()}


@pytest.mark.contract("D1", "D6")
@pytest.mark.parametrize("other", [b"text/plain", b"application/grpc"])
@pytest.mark.parametrize("first", [True, False])
def test_of_two_content_types_the_one_that_needs_the_trace_counts(other: bytes, first: bool) -> None:  # noqa: FBT001  a parameter
    """Go and Node read the first line, browsers the last: whoever finds JSON or events finds the trace."""
    for media, data in ((JSON, b"{}"), (STREAM, b"data: {}\n\n")):
        lines = (media, (b"content-type", other)) if first else ((b"content-type", other), media)
        assert OWN in Scene(reply(start(404, *lines), body(data))).run().body


@pytest.mark.contract("B4")
def test_observing_delivers_what_it_cannot_decode() -> None:
    """A roll-out takes no working reply away."""
    for head, data in (
        (start(200, STREAM, (b"content-encoding", b"x")), b"x"),
        (start(404, JSON, (b"content-encoding", b"x")), b"x"),
    ):
        scene = Scene(reply(head, body(data)), Policy(mode="observe")).run()
        scene.traced(head["status"])
        assert scene.body == data


# The operator's own parts.


@pytest.mark.contract("E3", "F4")
@pytest.mark.parametrize("broken", ["sink", "route"])
def test_a_sink_or_a_route_that_raises_never_reaches_the_client(broken: str) -> None:
    """Good traffic passes, and a refusal is still a refusal."""

    async def application(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
        await reply(start(200, TEXT), body(b"fine"))(send)

    wrap: Any = TraceGate
    for policy, status in ((Policy(mode="observe"), 200), (Policy(), 409)):
        runtime = Runtime(policy, sink=unusable if broken == "sink" else lambda _: None)
        gate = wrap(application, runtime=runtime, route_of=unusable if broken == "route" else None)
        scene = Scene(reply(), gate=gate).run(headers=[])
        assert [message["status"] for message in scene.starts] == [status]
        assert scene.raised is None


@pytest.mark.contract("C1", "C6")
def test_a_cors_layer_that_raises_never_costs_the_reply() -> None:
    """A refusal without CORS headers is better than the server's own page without an id."""

    class Broken:
        headers = staticmethod(unusable)

    async def application(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
        raise LookupError

    wrap: Any = TraceGate
    gate = wrap(application, runtime=Runtime(Policy()), cors=Broken())
    origin = (b"origin", b"https://app.example")
    for headers, status in (([origin], 409), ([origin, (b"x-trace-id", OWN)], 500)):
        scene = Scene(reply(), gate=gate).run(headers=headers)
        assert [message["status"] for message in scene.starts] == [status]


@pytest.mark.contract("E1")
def test_a_shaped_error_names_one_trace() -> None:
    """Two members of one name would let a client read the other."""
    key = enum.Enum("key", {"FORGED": "trace_id"})
    hooks = (lambda found: {**found, key.FORGED: "forged"}, lambda found: {**found, "original": "forged"})
    for hook in hooks:
        scene = Scene(reply(start(404, JSON), body(b"[1]")), Policy(shape_error=hook)).run()
        names = [name for name, _ in json.loads(scene.body, object_pairs_hook=list)]
        assert len(names) == len(set(names))


@pytest.mark.contract("B4", "B5")
def test_an_encoded_slash_never_weakens_a_mode() -> None:
    """Where a path may be read in two ways, the strictest mode of the policy holds."""
    policy = Policy(mode="mint", modes={"/api/*": "require"})
    scene = Scene(reply(start(200, TEXT), body()), policy)
    scene.run(headers=[], path="/api/a/b", raw_path=b"/api/a%2Fb")
    assert scene.starts[0]["status"] == 409


@pytest.mark.contract("B6")
def test_a_predicate_that_must_be_awaited_trusts_nobody() -> None:
    """A coroutine is true, and says nothing."""

    class Answer:
        """What an asynchronous function returns, without the warning that nobody awaited it."""

        def __await__(self) -> NoReturn:
            raise AssertionError

    policy = Policy(trusted=lambda _: Answer())  # type: ignore[arg-type,return-value]  # the mistake
    scene = Scene(reply(start(200, TEXT), body()), policy).run()
    assert values(scene.starts[0]["headers"]) != [OWN]


@pytest.mark.contract("C1")
@pytest.mark.parametrize("name", ["ETag", "Digest", "Content-MD5", "Content-Encoding", "Connection", "Date"])
def test_a_trace_header_is_never_one_that_the_gate_drops(name: str) -> None:
    """Nor one that a server sets or removes itself: the policy says so when it is made."""
    with pytest.raises(ConfigurationError):
        Policy(header=name)


# WebSocket.


def denial(kind: str, **more: object) -> Message:
    """Return a message of a denial."""
    return {"type": f"{DENIAL}.{kind}", **more}


@pytest.mark.contract("C1", "F3")
def test_a_whole_denial_is_not_a_broken_stream() -> None:
    """It left as it was meant."""
    whole = (denial("start", status=403, headers=[TEXT]), denial("body", body=b"no"))
    scene = Scene(reply(*whole)).run(type="websocket", extensions={DENIAL: {}})
    scene.traced(403)
    assert scene.events == []


@pytest.mark.contract("C1")
@pytest.mark.parametrize("whole", [True, False])
def test_a_close_after_a_denial_has_begun_starts_no_second_one(whole: bool) -> None:  # noqa: FBT001  a parameter
    """One handshake has one answer."""
    begun = (denial("start", status=403, headers=[TEXT]), denial("body", body=b"no", more_body=not whole))
    scene = Scene(reply(*begun, {"type": "websocket.close"})).run(type="websocket", extensions={DENIAL: {}})
    assert len(scene.starts) == 1
    assert scene.body == b"no"


@pytest.mark.contract("C1", "C8")
@pytest.mark.parametrize("media", [STREAM, JSON])
def test_an_acceptance_passes_whatever_content_type_it_names(media: Line) -> None:
    """It has no body to be treated."""
    accept = {"type": "websocket.accept", "headers": [media]}
    scene = Scene(reply(accept), Policy(bodies="all")).run(type="websocket", extensions={DENIAL: {}})
    assert scene.sent == [{"type": "websocket.accept", "headers": [media, (b"x-trace-id", OWN)]}]


# WSGI, bridges, context.


@pytest.mark.contract("C5")
def test_stop_iteration_after_a_first_write_never_ends_the_body_cleanly() -> None:
    """Raised from __next__ as it is, it would be the clean end that it must not be (gunicorn, waitress)."""

    def application(environ: Message, start_response: StartResponse) -> list[bytes]:  # noqa: ARG001  WSGI's signature
        start_response("200 OK", [("Content-Type", "text/plain")])(b"half")
        raise StopIteration

    _, pieces, raised = wsgi(application)
    assert pieces == [b"half"]
    assert raised is not None


@pytest.mark.contract("C4")
def test_stop_iteration_is_seen_by_the_server() -> None:
    """After its traced 500: a `next()` too many is a failure like any other."""

    def application(environ: Message, start_response: StartResponse) -> list[bytes]:  # noqa: ARG001  WSGI's signature
        raise StopIteration

    heads, _, raised = wsgi(application)
    assert [head[0] for head in heads] == ["500 Internal Server Error"]
    assert raised is not None


@pytest.mark.contract("C8", "C10")
def test_a_status_line_without_a_reason_passes() -> None:
    """gunicorn, waitress and granian send it; only wsgiref refuses it."""

    def application(environ: Message, start_response: StartResponse) -> list[bytes]:  # noqa: ARG001  WSGI's signature
        start_response("200", [("Content-Type", "text/plain")])
        return [b"fine"]

    heads, pieces, _ = wsgi(application)
    assert heads[0][0].startswith("200")
    assert pieces == [b"fine"]


class Timeout(BaseException):
    """As gevent's: no Exception, and yet a failure."""


@pytest.mark.contract("C4")
@pytest.mark.parametrize("at", ["call", "first piece"])
def test_a_wsgi_timeout_that_is_no_exception_becomes_a_traced_500(at: str) -> None:
    """Gunicorn would answer it itself, without a trace; the application's own error still leaves after the reply."""

    def pieces() -> Iterator[bytes]:
        raise Timeout
        yield b""

    def application(environ: Message, start_response: StartResponse) -> Iterable[bytes]:  # noqa: ARG001  WSGI's
        if at == "call":
            raise Timeout
        start_response("200 OK", [("Content-Type", "text/plain")])
        return pieces()

    heads, out, error = wsgi(application)
    assert heads[-1][0].startswith("500")
    assert dict(heads[-1][1])["X-Trace-Id"].encode() == OWN
    assert OWN in b"".join(out)
    assert isinstance(error, Timeout)


@pytest.mark.contract("C4")
@pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
@pytest.mark.parametrize("at", ["call", "first piece"])
def test_a_wsgi_application_that_is_told_to_stop_answers_nothing(kind: type[BaseException], at: str) -> None:
    """The worker is going down: no reply is made up."""

    def pieces() -> Iterator[bytes]:
        raise kind
        yield b""

    def application(environ: Message, start_response: StartResponse) -> Iterable[bytes]:  # noqa: ARG001  WSGI's
        if at == "call":
            raise kind
        start_response("200 OK", [("Content-Type", "text/plain")])
        return pieces()

    heads, out, error = wsgi(application)
    assert (heads, out) == ([], [])
    assert isinstance(error, kind)


@pytest.mark.contract("G2", "G3")
def test_a_scope_that_a_wsgi_generator_holds_is_there_again_in_its_next_step() -> None:
    """The server asks for each piece in a context of its own making; the generator does not notice."""
    seen: list[object] = []

    def pieces() -> Iterator[bytes]:
        with trace_scope() as job:
            yield b"1"
            seen.append((job, current_trace()))
            yield b"2"
        yield b"3"
        seen.append((None, current_trace()))

    def application(environ: Message, start_response: StartResponse) -> Iterable[bytes]:  # noqa: ARG001  WSGI's
        start_response("200 OK", [("Content-Type", "text/plain")])
        return pieces()

    _, out, error = wsgi(application)
    assert (out, error) == ([b"1", b"2", b"3"], None)
    (job, inside), (_, after) = seen
    assert job is inside
    assert str(after) == OWN.decode()
    assert current_trace() is None


@pytest.mark.contract("B8")
def test_an_asgi_application_behind_a_wsgi_bridge_takes_the_outer_trace() -> None:
    """Both are gated and mint: the inner one adds nothing, and nothing is refused.

    The bridge does as a2wsgi's: it runs the application on another thread, without the caller's context, and hands the
    environ on as ``wsgi_environ``.
    """

    async def play(send: Send) -> None:
        await send(start(200, TEXT))
        await send(body(str(current_trace()).encode()))

    policy = Policy(mode="mint")
    inner = Scene(play, policy)

    def bridge(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        thread = threading.Thread(target=lambda: inner.run(headers=[], wsgi_environ=environ))
        thread.start()
        thread.join()
        lines = [(name.decode(), value.decode()) for name, value in inner.starts[0]["headers"]]
        start_response("200 OK", lines)
        return [inner.body]

    heads, pieces, _ = wsgi(bridge, policy, HTTP_X_TRACE_ID="")
    assert heads[0][0] == "200 OK"
    assert dict(heads[0][1])["X-Trace-Id"].encode() == b"".join(pieces)


@pytest.mark.contract("G2")
def test_a_scope_left_open_does_not_outlive_its_request() -> None:
    """A scope that a handler entered and never left, as a suspended generator does."""
    found: list[object] = []
    open_scopes: list[object] = []

    async def play(send: Send) -> None:
        scope = trace_scope()
        scope.__enter__()
        open_scopes.append(scope)
        await reply(start(200, TEXT), body())(send)

    async def main() -> None:
        scene = Scene(play)
        await scene.serve()
        found.append(current_trace())

    asyncio.run(main())
    assert found == [None]


# What the server did not take.


@pytest.mark.contract("C1", "C3", "C4")
@pytest.mark.parametrize("lines", [[TEXT], [TEXT, (b"content-length", b"9")], [STREAM], [JSON], [(b"vary", b"*")]])
@pytest.mark.parametrize("cors", [False, True])
@pytest.mark.parametrize("after", ["another head", "a failure", "a return"])
def test_a_timeout_while_the_head_waits_does_not_let_an_untraced_reply_out(
    lines: list[Line],
    cors: bool,  # noqa: FBT001  a parameter
    after: str,
) -> None:
    """As where uvicorn's `send` waits for a pipelining client, and a middleware's deadline cancels it."""
    lines = [*lines, (b"access-control-allow-origin", b"*")] if cors else lines

    async def play(send: Send) -> None:
        try:
            async with asyncio.timeout(0.01):
                await send(start(200, *lines))
                await send(body(b"data: 1\n\n", more=STREAM in lines))
        except TimeoutError:
            stuck.set()
        if after == "another head":
            await send(start(504, JSON))
            await send(body(b'{"error": "timeout"}'))
        elif after == "a failure":
            raise LookupError

    stuck = asyncio.Event()

    async def wait(_message: Message) -> None:
        if not stuck.is_set():
            await asyncio.Event().wait() if STREAM not in lines else await stuck.wait()

    scene = Scene(play)
    scene.before_send = wait
    scene.run()
    (head,) = scene.starts
    assert values(head["headers"]) == [OWN]
    if STREAM not in lines:
        scene.traced(504 if after == "another head" else 500)


@pytest.mark.contract("C1", "G2")
@pytest.mark.parametrize("then", ["close", "failure"])
def test_an_acceptance_that_the_server_did_not_take_has_not_opened_the_connection(then: str) -> None:
    """What comes next is a denial with the id, not an untraced 403."""

    async def play(send: Send) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await send({"type": "websocket.accept"})
        stuck.set()
        if then == "failure":
            raise LookupError
        await send({"type": "websocket.close"})

    async def wait(_message: Message) -> None:
        if not stuck.is_set():
            await asyncio.Event().wait()

    stuck = asyncio.Event()
    scene = Scene(play)
    scene.before_send = wait
    scene.run(type="websocket", extensions={DENIAL: {}})
    assert scene.sent[0]["type"] == f"{DENIAL}.start"
    assert values(scene.sent[0]["headers"]) == [OWN]


def done_at_once(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[None, None, None], **_: object
) -> asyncio.Future[None]:
    """Run *coroutine*, which does not wait, and return its result as a future."""
    done = loop.create_future()
    try:
        coroutine.send(None)
    except StopIteration as result:
        done.set_result(result.value)
    return done


@pytest.mark.contract("C1", "D6")
@pytest.mark.parametrize("pause", [False, True])
def test_a_stream_ends_where_tasks_start_eagerly(pause: bool) -> None:  # noqa: FBT001  a parameter
    """The outbox's task may be done before its maker knows it. Python 3.11 has no such factory: ours never waits."""

    async def play(send: Send) -> None:
        await send(start(200, STREAM))
        for number in (1, 2):
            await send(body(b"data: %d\n\n" % number, more=True))
        await send(body())

    async def main() -> None:
        if not pause or hasattr(asyncio, "eager_task_factory"):
            asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory", done_at_once))
        async with asyncio.timeout(10):
            await scene.serve()

    async def wait(_message: Message) -> None:
        if pause:
            await asyncio.sleep(0)

    scene = Scene(play)
    scene.before_send = wait
    asyncio.run(main())
    assert scene.ended
    assert scene.body == MARKED % 1 + MARKED % 2


@pytest.mark.contract("C8")
@pytest.mark.parametrize("lines", [[TEXT], [STREAM]])
def test_trailers_may_be_any_iterable(lines: list[Line]) -> None:
    """The gate reads them, and so does the server."""
    status = (b"grpc-status", b"0")
    trailers = {"type": "http.response.trailers", "headers": (line for line in [status])}
    scene = Scene(reply(start(200, *lines, trailers=True), body(b"data: 1\n\n"), trailers)).run()
    assert list(scene.sent[-1]["headers"]) == [status]


@pytest.mark.contract("G2")
def test_a_request_that_ends_in_a_copy_of_its_context_ends_in_peace() -> None:
    """A server, or the garbage collector, may finish a coroutine wherever it likes."""

    @types.coroutine
    def pause() -> Iterator[None]:
        yield

    async def send(_message: Message) -> None:
        await pause()

    async def application(_scope: Message, _receive: Receive, send: Send) -> None:
        await reply(start(200, TEXT), body(b"x"))(send)

    gate: Any = TraceGate(application, runtime=Runtime())
    serving = gate({"type": "http", "method": "GET", "path": "/", "headers": [(b"x-trace-id", OWN)]}, send, send)

    def drive() -> None:
        while True:
            serving.send(None)

    first = contextvars.copy_context()
    first.run(serving.send, None)
    copied = first.copy()
    with pytest.raises(StopIteration):
        copied.run(drive)
    assert str(copied.run(current_trace)) == OWN.decode()
