"""Does each end of a handshake carry its trace, and does an open connection pass untouched?"""
# ruff: noqa: ANN401 - an application under test may do anything

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.unit.adapters.asgi_server import (
    FORGED,
    ID_LINE,
    JSON,
    STREAM,
    TEXT,
    Line,
    Message,
    Server,
    length,
    on_asyncio,
    on_trio,
    scope_of,
    shell_of,
    turns,
)
from tests.unit.fakes import OWN, OWN_TRACE
from tracegate.adapters.asgi_passage import exchange_in
from tracegate.adapters.asgi_scope import DENIAL
from tracegate.adapters.websocket import serve_websocket
from tracegate.context import binding, current_trace
from tracegate.core.policy import Policy
from tracegate.core.reply import State
from tracegate.errors import MissingTraceError, ReplyAbortedError, ReplyError

Play = Callable[[Message, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

RUNNERS = pytest.mark.parametrize("run", [on_asyncio, on_trio])
CONNECT: Message = {"type": "websocket.connect"}
GONE: Message = {"type": "websocket.disconnect", "code": 1001}
ACCEPT: Message = {"type": "websocket.accept"}
CLOSE: Message = {"type": "websocket.close", "code": 4000, "reason": "no"}
TEXT_MESSAGE: Message = {"type": "websocket.send", "text": "hello"}


def accept(*headers: Line, **more: object) -> Message:
    """Return a message that accepts the handshake."""
    return {**ACCEPT, "headers": list(headers), **more}


def denial(status: int, *headers: Line) -> Message:
    """Return a message that starts a denial."""
    return {"type": f"{DENIAL}.start", "status": status, "headers": list(headers)}


def piece(data: bytes = b"", **more: bool) -> Message:
    """Return a piece of a denial's body."""
    return {"type": f"{DENIAL}.body", "body": data, **({"more_body": more["more"]} if more else {})}


def sending(*messages: Message, then: BaseException | None = None) -> Play:
    """Return an application that sends *messages* and raises, or returns."""

    async def play(_scope: Message, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        assert await receive() == CONNECT
        for message in messages:
            await send(message)
        if then is not None:
            raise then

    return play


class Scene:
    """One handshake, the server that it came from, and what came out beside it."""

    def __init__(self, play: Play, policy: Policy | None = None, *incoming: Message, deniable: bool = True) -> None:
        self.server = Server(CONNECT, *incoming)
        self.shell, self.events = shell_of(policy, play)
        extensions: Message = {"extensions": {DENIAL: {}}} if deniable else {}
        self.scope = scope_of(type="websocket", **extensions)
        del self.scope["method"]
        self.raised: BaseException | None = None

    async def serve(self) -> None:
        """Serve it as the gate does."""
        assert current_trace() is None
        try:
            await serve_websocket(self.shell, OWN_TRACE, self.scope, self.server.receive, self.server.send)
        except BaseException as error:  # noqa: BLE001  what came out is what is looked at
            self.raised = error
        assert binding.get() is None

    def run(self, run: Any = on_asyncio) -> Scene:
        """Play the scene."""
        run(self.serve)
        return self

    @property
    def kinds(self) -> list[str]:
        """The kinds of the events."""
        return [event.kind for event in self.events]

    def is_denied(self, status: int) -> bool:
        """Return whether one whole denial of the gate's own left, and nothing else."""
        head, only = self.server.sent
        assert (head["type"], only["type"], only["more_body"]) == (f"{DENIAL}.start", f"{DENIAL}.body", False)
        assert json.loads(only["body"])["trace_id"] == OWN
        return self.server.starts == [(status, [OWN.encode()])]


# Acceptance.


@pytest.mark.contract("C1", "C8", "G1")
@RUNNERS
@pytest.mark.parametrize("deniable", [True, False])
def test_an_acceptance_gets_the_id_and_what_follows_is_the_applications_own(run: Any, deniable: bool) -> None:  # noqa: FBT001
    """The very messages, in both directions; a close after the acceptance is one of them."""
    coming: Message = {"type": "websocket.receive", "text": "hi"}
    messages = [TEXT_MESSAGE, {"type": "websocket.send", "bytes": b"x"}, CLOSE]

    async def play(scope: Message, receive: Any, send: Any) -> None:
        assert current_trace() is OWN_TRACE
        assert exchange_in(scope) is binding.get()
        assert await receive() is CONNECT
        await send(accept((b"a", b"b"), subprotocol="x"))
        assert await receive() is coming
        for message in messages:
            await send(message)
        assert await receive() is GONE

    scene = Scene(play, None, coming, GONE, deniable=deniable).run(run)
    assert scene.raised is None
    assert scene.server.sent == [accept((b"a", b"b"), ID_LINE, subprotocol="x"), *messages]
    assert scene.events == []


@pytest.mark.contract("C1")
@pytest.mark.parametrize("message", [ACCEPT, accept(), {**ACCEPT, "headers": ()}, {**ACCEPT, "headers": iter([])}])
def test_an_acceptance_needs_no_headers(message: Message) -> None:
    """ASGI has them optional, and any iterable."""
    assert Scene(sending(message)).run().server.sent == [accept(ID_LINE)]


@pytest.mark.contract("C8")
@pytest.mark.parametrize("line", [JSON, STREAM, length(5)])
@pytest.mark.parametrize("policy", [Policy(), Policy(bodies="all", error_bodies="json")])
def test_an_acceptance_has_no_body_whatever_its_head_says(line: Line, policy: Policy) -> None:
    """Nothing is held, counted or marked."""
    scene = Scene(sending(accept(line), TEXT_MESSAGE), policy).run()
    assert scene.server.sent == [accept(line, ID_LINE), TEXT_MESSAGE]
    assert scene.events == []


@pytest.mark.contract("C3")
@RUNNERS
@pytest.mark.parametrize("then", [[], [TEXT_MESSAGE], [ACCEPT], [CLOSE]])
def test_an_acceptance_that_names_another_trace_is_refused(run: Any, then: list[Message]) -> None:
    """By a denial; what the application goes on to send is swallowed, and it sees a disconnect."""

    async def play(_scope: Message, receive: Any, send: Any) -> None:
        await receive()
        await send(accept(FORGED))
        assert await receive() == {"type": "websocket.disconnect", "code": 1006}
        for message in then:
            await send(message)

    scene = Scene(play).run(run)
    assert scene.raised is None
    assert scene.is_denied(409)
    assert scene.kinds == ["trace_overwrite_refused"]


@pytest.mark.contract("C3")
@RUNNERS
@pytest.mark.parametrize("then", [[], [ACCEPT], [CLOSE]])
def test_where_no_denial_is_offered_such_an_acceptance_becomes_a_close(run: Any, then: list[Message]) -> None:
    """One, with the event; there is no place for an id."""
    scene = Scene(sending(accept(FORGED), *then), deniable=False).run(run)
    assert scene.raised is None
    assert scene.server.sent == [{"type": "websocket.close", "code": 1008, "reason": "trace_overwrite_refused"}]
    assert scene.kinds == ["trace_overwrite_refused"]


@pytest.mark.contract("C3")
def test_an_acceptance_may_name_the_same_trace() -> None:
    """In its own spelling; where the policy keeps it, even another one."""
    own = (b"x-trace-id", OWN.upper().encode())
    assert Scene(sending(accept(own))).run().server.sent == [accept(own)]
    scene = Scene(sending(accept(FORGED), TEXT_MESSAGE), Policy(on_conflict="keep")).run()
    assert scene.server.sent == [accept(FORGED), TEXT_MESSAGE]


@pytest.mark.contract("C10")
def test_an_acceptance_that_no_server_would_send_becomes_a_500() -> None:
    """As a head of a reply does."""
    assert Scene(sending(accept((b"a b", b"c")))).run().is_denied(500)


# Before the acceptance.


@pytest.mark.contract("C1")
@RUNNERS
@pytest.mark.parametrize("then", [[], [CLOSE], [TEXT_MESSAGE], [ACCEPT]])
def test_a_close_before_the_acceptance_becomes_a_403(run: Any, then: list[Message]) -> None:
    """One; what follows it is swallowed."""
    scene = Scene(sending(CLOSE, *then)).run(run)
    assert scene.raised is None
    assert scene.is_denied(403)
    assert scene.events == []


@pytest.mark.contract("C1", "C8")
@RUNNERS
@pytest.mark.parametrize("then", [[], [CLOSE]])
def test_where_no_denial_is_offered_the_applications_close_is_the_answer(run: Any, then: list[Message]) -> None:
    """Its very message, once; the connection is done with then."""
    scene = Scene(sending(CLOSE, *then), deniable=False).run(run)
    assert (scene.server.sent, scene.raised, scene.events) == ([CLOSE], None, [])
    exchange = exchange_in(scene.scope)
    assert exchange is not None
    assert exchange.state is State.DONE


@pytest.mark.contract("C1", "C4")
@RUNNERS
@pytest.mark.parametrize("error", [LookupError("secret"), SystemExit(1), None])
def test_without_an_answer_the_handshake_is_denied_by_a_500(run: Any, error: BaseException | None) -> None:
    """Whether the application raises, which comes out afterwards, or returns."""
    scene = Scene(sending(then=error)).run(run)
    assert scene.raised is error
    assert scene.is_denied(500)
    assert b"secret" not in scene.server.body


@pytest.mark.contract("G3")
def test_a_missing_trace_denies_by_a_409() -> None:
    """As for any request."""
    assert Scene(sending(then=MissingTraceError(recorded=True))).run().is_denied(409)


@pytest.mark.contract("C1", "C8")
@RUNNERS
@pytest.mark.parametrize("error", [LookupError(), None])
def test_where_no_denial_is_offered_an_unanswered_handshake_is_the_servers(run: Any, error: Exception | None) -> None:
    """The exception reaches it, and nothing else does."""
    scene = Scene(sending(then=error), deniable=False).run(run)
    assert (scene.server.sent, scene.raised, scene.events) == ([], error, [])


@pytest.mark.contract("C8")
@RUNNERS
@pytest.mark.parametrize("error", [LookupError(), None])
@pytest.mark.parametrize("deniable", [True, False])
def test_after_the_acceptance_nothing_is_added(
    run: Any,
    error: Exception | None,
    deniable: bool,  # noqa: FBT001 - a parameter
) -> None:
    """How an open connection ends is the server's business."""
    scene = Scene(sending(ACCEPT, then=error), deniable=deniable).run(run)
    assert (scene.server.sent, scene.raised, scene.events) == ([accept(ID_LINE)], error, [])


@pytest.mark.contract("C4")
@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), GeneratorExit()])
@pytest.mark.parametrize("messages", [[], [denial(200, STREAM)], [denial(401, JSON)]])
def test_a_cancelled_handshake_sends_nothing_more(error: BaseException, messages: list[Message]) -> None:
    """Not even what a clock would have let go."""
    scene = Scene(sending(*messages, then=error), Policy(sse_hold_seconds=0))

    async def main() -> None:
        await scene.serve()
        await turns()

    on_asyncio(main)
    assert (scene.server.sent, scene.raised, scene.events) == ([], error, [])


# What the client does.


@pytest.mark.contract("C5")
@RUNNERS
@pytest.mark.parametrize("error", [ConnectionError(), None])
def test_a_client_that_left_before_the_answer_gets_none(run: Any, error: Exception | None) -> None:
    """Neither a denial nor an event is made of what the application leaves undone."""

    async def play(scope: Message, receive: Any, _send: Any) -> None:
        await receive()
        opened = exchange_in(scope)
        assert opened is not None
        assert not opened.gone
        assert await receive() is GONE
        assert opened.gone
        if error is not None:
            raise error

    scene = Scene(play, None, GONE).run(run)
    assert (scene.server.sent, scene.raised, scene.events) == ([], error, [])


@pytest.mark.contract("E2")
def test_after_a_denial_the_application_sees_a_disconnect() -> None:
    """The server is not asked: it has nothing more to say."""

    async def play(_scope: Message, receive: Any, send: Any) -> None:
        await receive()
        await send(CLOSE)
        for _ in range(2):
            assert await receive() == {"type": "websocket.disconnect", "code": 1006}

    scene = Scene(play).run()
    assert scene.raised is None
    assert scene.is_denied(403)


# The application's own denial.


@pytest.mark.contract("C1", "C8")
@RUNNERS
@pytest.mark.parametrize(
    "pieces",
    [
        [piece(b"no")],
        [piece(b"no", more=False)],
        [piece(b"n", more=True), piece(b"o")],
        [piece(b"no", more=True), piece()],
    ],
)
@pytest.mark.parametrize("error", [LookupError(), None])
@pytest.mark.parametrize("headers", [[TEXT], [TEXT, length(2)]])
def test_a_denial_that_needs_nothing_but_the_id_passes(
    run: Any, pieces: list[Message], error: Exception | None, headers: list[Line]
) -> None:
    """Its very messages, and nothing after them."""
    scene = Scene(sending(denial(403, *headers), *pieces, then=error)).run(run)
    assert scene.server.sent == [denial(403, *headers, ID_LINE), *pieces]
    assert (scene.raised, scene.events) == (error, [])


@pytest.mark.contract("C5")
@RUNNERS
@pytest.mark.parametrize("error", [LookupError(), None])
@pytest.mark.parametrize("pieces", [[], [piece(b"n", more=True)]])
def test_a_denial_that_stops_before_its_end_is_not_ended(
    run: Any, pieces: list[Message], error: Exception | None
) -> None:
    """One event says so."""
    scene = Scene(sending(denial(403, TEXT), *pieces, then=error)).run(run)
    assert scene.server.sent == [denial(403, TEXT, ID_LINE), *pieces]
    assert (scene.raised, scene.kinds) == (error, ["stream_broken"])


@pytest.mark.contract("C1", "D1")
@RUNNERS
@pytest.mark.parametrize("error", [LookupError(), None])
def test_error_json_that_denies_is_marked(run: Any, error: Exception | None) -> None:
    """And whole with that."""
    scene = Scene(sending(denial(401, JSON, length(2)), piece(b"{}"), then=error)).run(run)
    assert scene.server.starts == [(401, [OWN.encode()])]
    assert scene.server.body == b'{"trace_id":"%s"}' % OWN.encode()
    assert (scene.server.ends, scene.raised, scene.events) == (1, error, [])


@pytest.mark.contract("C5", "D7")
@RUNNERS
@pytest.mark.parametrize("error", [LookupError(), None])
def test_a_stream_that_denies_is_ended_by_the_applications_return(run: Any, error: Exception | None) -> None:
    """Its end is held until then, as that of any stream; an application that raises has none."""
    scene = Scene(sending(denial(403, STREAM), piece(b"data: 1\n\n"), then=error)).run(run)
    assert scene.server.body.startswith(b"data: 1\ntrace_id: %s\n\n" % OWN.encode())
    assert (scene.server.ends, scene.kinds) == ((0, ["stream_broken"]) if error else (1, []))
    assert scene.raised is error


@pytest.mark.contract("C3", "E2")
def test_a_denial_that_names_another_trace_is_refused() -> None:
    """By one of the gate's own."""
    scene = Scene(sending(denial(401, TEXT, FORGED), piece(b"no"))).run()
    assert scene.is_denied(409)
    assert scene.kinds == ["trace_overwrite_refused"]


@pytest.mark.contract("C5")
def test_a_denial_that_disagrees_with_its_length_has_no_clean_end() -> None:
    """And the application is stopped."""
    scene = Scene(sending(denial(403, TEXT, length(2)), piece(b"nono"), piece())).run()
    assert isinstance(scene.raised, ReplyAbortedError)
    assert (scene.server.body, scene.server.ends, scene.kinds) == (b"n", 0, ["stream_broken"])


@pytest.mark.contract("C1")
@RUNNERS
@pytest.mark.parametrize("whole", [True, False])
def test_a_close_after_a_denial_has_begun_is_swallowed(run: Any, whole: bool) -> None:  # noqa: FBT001
    """The server would have it for a second answer."""
    pieces = [piece(b"no")] if whole else [piece(b"n", more=True)]
    scene = Scene(sending(denial(403, TEXT), *pieces, CLOSE)).run(run)
    assert scene.server.sent == [denial(403, TEXT, ID_LINE), *pieces]
    assert (scene.raised, scene.kinds) == (None, [] if whole else ["stream_broken"])


@pytest.mark.contract("C1", "C3")
def test_an_acceptance_after_a_denial_has_begun_is_out_of_order() -> None:
    """It does not reach the server."""
    scene = Scene(sending(denial(403, TEXT), ACCEPT)).run()
    assert isinstance(scene.raised, ReplyError)
    assert scene.server.sent == [denial(403, TEXT, ID_LINE)]


@pytest.mark.contract("C3", "F3")
@pytest.mark.parametrize("policy", [Policy(on_conflict="keep"), Policy(mode="observe")])
def test_another_trace_that_an_acceptance_keeps_is_recorded(policy: Policy) -> None:
    """Before the acceptance leaves: a connection may stay open for days."""
    scene = Scene(sending(accept(FORGED), TEXT_MESSAGE), policy).run()

    assert scene.server.sent == [accept(FORGED), TEXT_MESSAGE]
    assert [(event.kind, event.would_refuse, event.transport) for event in scene.events] == [
        ("trace_overwrite_refused", True, "websocket")
    ]


@pytest.mark.contract("C1", "C10")
def test_an_acceptance_that_no_server_would_send_is_closed_for_what_it_is() -> None:
    """No trace was overwritten."""
    scene = Scene(sending(accept((b"a b", b"c"))), deniable=False).run()

    assert scene.server.sent == [{"type": "websocket.close", "code": 1011, "reason": "internal_error"}]
