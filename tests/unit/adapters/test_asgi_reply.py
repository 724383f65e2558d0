"""Does a reply that must be treated, held or refused leave as the exchange says, in order and in time?"""
# ruff: noqa: ANN401 - what runs a coroutine, and what a server's send is, may be anything

from __future__ import annotations

import asyncio
import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.adapters.asgi_server import (
    FORGED,
    ID_LINE,
    JSON,
    STREAM,
    TEXT,
    Message,
    Server,
    body,
    length,
    on_asyncio,
    on_trio,
    scope_of,
    shell_of,
    start,
    turns,
    values,
)
from tests.unit.fakes import OWN, OWN_TRACE
from tracegate.adapters.asgi_reply import Reply
from tracegate.adapters.asgi_scope import exchange_of
from tracegate.core.policy import Policy
from tracegate.core.reply import State
from tracegate.errors import MissingTraceError, ReplyAbortedError, ReplyError

RUNNERS = pytest.mark.parametrize("run", [on_asyncio, on_trio])
AT_ONCE = Policy(sse_hold_seconds=0)
END = body()
HINT = "http.response.early_hint"
TRAILERS = "http.response.trailers"
DISCONNECT: Message = {"type": "http.disconnect"}
MEMBER = b'"trace_id":"%s"' % OWN.encode()


def event(number: int) -> bytes:
    """Return an event as the application sends it."""
    return b"data: %d\n\n" % number


def marked(number: int) -> bytes:
    """Return an event as it leaves."""
    return b"data: %d\ntrace_id: %s\n\n" % (number, OWN.encode())


class Scene:
    """One reply, the server that it is sent to, and the events that come out beside it."""

    def __init__(
        self, policy: Policy | None = None, *, send: Any = None, prefix: str = "http.response", **scope: object
    ) -> None:
        self.server = Server()
        self.shell, self.events = shell_of(policy)
        given = scope_of(**scope)
        self.exchange = exchange_of(self.shell, given, OWN_TRACE)
        self.reply = Reply(self.exchange, send or self.server.send, self.shell, given, prefix)
        self.reads = asyncio.Event()

    async def play(self, *messages: Message) -> None:
        """Send *messages*."""
        for message in messages:
            await self.reply.send(message)

    def stall(self) -> None:
        """Have the client stop reading, until ``reads`` is set."""

        async def wait(_message: Message) -> None:
            await self.reads.wait()

        self.server.before_send = wait

    def leave(self) -> None:
        """Have the client leave: each message fails from now on."""

        async def fail(message: Message) -> None:
            raise ConnectionResetError(message["type"])

        self.server.before_send = fail

    @property
    def kinds(self) -> list[str]:
        """The kinds of the events."""
        return [each.kind for each in self.events]

    def is_error(self, status: int) -> bool:
        """Return whether one whole reply of the gate's own left."""
        (head, only) = self.server.sent
        assert only["more_body"] is False
        assert values(head["headers"], b"content-length") == [b"%d" % len(only["body"])]
        assert json.loads(only["body"])["trace_id"] == OWN
        return self.server.starts == [(status, [OWN.encode()])]


# What is treated.


@pytest.mark.contract("C8", "D1")
@RUNNERS
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_error_json_is_held_until_its_end_and_leaves_as_one_piece(run: Any, kind: Callable[[bytes], Any]) -> None:
    """With the head's other keys, the right length, and one message that is the whole body."""

    async def main() -> None:
        await scene.play(start(404, JSON, length(8), reason="Gone"), body(kind(b'{"a":'), more=True))
        assert scene.server.sent == []
        await scene.play({"type": "http.response.body", "body": kind(b" 1}")})
        await scene.reply.finish()

    scene = Scene()
    run(main)
    text = b'{%s,"a": 1}' % MEMBER
    head, only = scene.server.sent
    assert only == body(text)
    assert type(only["body"]) is bytes
    assert head == start(404, JSON, length(len(text)), ID_LINE, reason="Gone")
    assert scene.events == []


@pytest.mark.contract("D5")
def test_a_last_piece_and_the_end_of_the_body_are_one_message() -> None:
    """Of a body that leaves in pieces, too."""
    scene = Scene(Policy(max_error_body=4))

    async def main() -> None:
        await scene.play(start(404, JSON), body(b'{"a": 1', more=True), body(b"23", more=True), body(b"4}"))
        await scene.reply.finish()

    on_asyncio(main)
    assert [message.get("more_body") for message in scene.server.sent] == [None, True, True, False]
    assert json.loads(scene.server.body) == {"a": 1234, "trace_id": OWN}


@pytest.mark.contract("C8", "D6")
@RUNNERS
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_each_piece_of_a_stream_leaves_at_once(run: Any, kind: Callable[[bytes], Any]) -> None:
    """In one message; what ends no event yet is not sent as an empty one."""

    async def main() -> None:
        await scene.play(start(200, STREAM))
        for number in range(3):
            await scene.reply.send(body(kind(event(number)), more=True))
            assert scene.server.sent[-1] == body(marked(number), more=True)
        count = len(scene.server.sent)
        await scene.play(body(kind(b""), more=True), {"type": "http.response.body", "more_body": True})
        assert len(scene.server.sent) == count
        await scene.play(body(kind(event(3))))
        await scene.reply.finish()

    scene = Scene()
    run(main)
    assert scene.server.sent[0] == start(200, STREAM, ID_LINE)
    assert scene.server.body == b"".join(map(marked, range(4)))
    assert scene.server.sent[-1] == END
    assert scene.server.ends == 1


@pytest.mark.contract("D6")
def test_pieces_of_several_tasks_leave_in_the_order_in_which_they_were_sent() -> None:
    """While the client reads slowly, no task overtakes another one."""
    scene = Scene()

    async def main() -> None:
        await scene.play(start(200, STREAM), body(event(0), more=True))
        scene.stall()
        tasks = []
        for number in range(1, 4):
            tasks.append(asyncio.create_task(scene.reply.send(body(event(number), more=True))))
            await turns()
        assert not any(task.done() for task in tasks)
        scene.reads.set()
        await asyncio.gather(*tasks)
        await scene.play(END)
        await scene.reply.finish()

    on_asyncio(main)
    assert scene.server.body == b"".join(map(marked, range(4)))
    assert scene.server.ends == 1


@pytest.mark.contract("D6")
@pytest.mark.parametrize(("media", "leaves"), [(STREAM, True), (JSON, False)])
def test_of_a_stream_the_head_outlives_the_task_that_let_it_go(media: Any, leaves: bool) -> None:  # noqa: FBT001
    """Several tasks may feed it, and one of them may be cancelled; any other body belongs to one task."""
    scene = Scene(Policy(max_error_body=1))

    async def main() -> None:
        await scene.play(start(200 if leaves else 404, media))
        scene.stall()
        task = asyncio.create_task(scene.reply.send(body(b'{"a": "b"' if not leaves else event(1), more=True)))
        await turns()
        task.cancel()
        await turns()
        scene.reads.set()
        await turns()

    on_asyncio(main)
    assert bool(scene.server.starts) is leaves


@pytest.mark.contract("C5")
@RUNNERS
@pytest.mark.parametrize(
    "messages",
    [
        [start(200, TEXT)],
        [start(404, JSON), body(b"{}")],
        [start(200, STREAM), body(event(1), more=True)],
        [start(200, STREAM), body(event(1), more=True), body(event(2), more=True)],
    ],
)
def test_a_client_that_leaves_is_told_to_the_application_and_to_nobody_else(run: Any, messages: list[Message]) -> None:
    """The server's own exception comes out of ``send``, and what the application leaves undone is no broken stream."""

    async def main() -> None:
        *before, last = messages
        await scene.play(*before)
        scene.leave()
        with pytest.raises(ConnectionResetError) as caught:
            await scene.play(last)
        assert scene.exchange.gone
        scene.server.before_send = None
        count = len(scene.server.sent)
        await scene.reply.fail(caught.value)
        assert len(scene.server.sent) == count

    scene = Scene()
    run(main)
    assert scene.events == []


# What passes.


@pytest.mark.contract("C1", "C8")
@RUNNERS
@pytest.mark.parametrize("trailers", [{}, {"trailers": True}, {"trailers": False}])
def test_what_passes_is_the_applications_own_message(run: Any, trailers: dict[str, bool]) -> None:
    """And its head says what it said before; that there are no trailers is not worth a key."""

    async def main() -> None:
        await scene.play(*messages)

    async def send(message: Message) -> None:
        sent.append(message)

    sent: list[Message] = []
    messages = [start(201, TEXT, **trailers), body(b"a", more=True), {"type": "http.response.body", "body": b"b"}]
    if trailers.get("trailers"):
        messages.append({"type": TRAILERS, "headers": [TEXT]})
    scene = Scene(send=send)
    run(main)
    head = start(201, TEXT, ID_LINE, **({"trailers": True} if trailers.get("trailers") else {}))
    assert sent[0] == head
    assert all(got is given for got, given in zip(sent[1:], messages[1:], strict=True))
    assert scene.events == []


@pytest.mark.contract("C5")
@pytest.mark.parametrize(
    ("remaining", "data", "more", "leaves"),
    [
        (5, b"hell", False, b"hell"),
        (5, b"hello!", False, b"hell"),
        (5, b"hello!", True, b"hell"),
        (2, b"abc", False, b"a"),
        (1, b"ab", False, b""),
        (1, b"", False, b""),
        (0, b"a", False, b""),
        (0, b"ab", True, b""),
    ],
)
def test_a_body_that_disagrees_with_its_length_is_sent_but_for_its_last_byte(
    remaining: int,
    data: bytes,
    more: bool,  # noqa: FBT001 - a parameter
    leaves: bytes,
) -> None:
    """No client takes it for whole; what is left of it is never sent as the end, nor as an empty piece."""
    scene = Scene()

    async def main() -> None:
        scene.exchange.adopt(200, remaining)
        await scene.play(body(data, more=more))
        with pytest.raises(ReplyAbortedError):
            await scene.play(END)

    on_asyncio(main)
    assert scene.server.sent == [body(leaves, more=True)] * bool(leaves)
    assert scene.kinds == ["stream_broken"]


# Files.


@pytest.mark.contract("C8")
@pytest.mark.parametrize(
    "file",
    [
        {"type": "http.response.pathsend", "path": "/nowhere"},
        {"type": "http.response.zerocopysend", "file": -1, "count": 99},
    ],
)
def test_a_file_that_passes_is_left_to_the_server(file: Message) -> None:
    """It is not read, and not counted: the server does both."""
    scene = Scene()

    async def main() -> None:
        await scene.play(start(200, TEXT, length(5)), file)
        assert scene.exchange.remaining == -1
        await scene.play(END)

    on_asyncio(main)
    assert scene.server.sent == [start(200, TEXT, length(5), ID_LINE), file, END]
    assert scene.events == []


@pytest.mark.contract("D1", "D3")
def test_error_json_in_a_file_is_read_and_marked(tmp_path: Path) -> None:
    """Given by its path, or by a descriptor in one piece or in several."""
    path = tmp_path / "error.json"
    path.write_bytes(b'{"a": 1}')
    descriptor = os.open(path, os.O_RDONLY)
    zerocopy = {"type": "http.response.zerocopysend", "file": descriptor}
    try:
        for messages in (
            [{"type": "http.response.pathsend", "path": str(path)}],
            [{**zerocopy, "offset": 0}],
            [{**zerocopy, "offset": 0, "count": 4, "more_body": True}, {**zerocopy, "count": 4}],
            [{**zerocopy, "offset": 0, "count": 4, "more_body": True}, body(b": 1}")],
        ):
            scene = Scene()
            on_asyncio(functools.partial(scene.play, start(404, JSON), *messages))
            assert scene.server.starts == [(404, [OWN.encode()])]
            assert scene.server.sent[1:] == [body(b'{%s,"a": 1}' % MEMBER)]
    finally:
        os.close(descriptor)


@pytest.mark.contract("C4", "D3")
def test_an_error_file_that_cannot_be_read_becomes_a_traced_500(tmp_path: Path) -> None:
    """The application is told so, and that is its failure."""
    scene = Scene()

    async def main() -> None:
        await scene.play(start(404, JSON))
        with pytest.raises(FileNotFoundError) as caught:
            await scene.play({"type": "http.response.pathsend", "path": str(tmp_path / "missing")})
        await scene.reply.fail(caught.value)

    on_asyncio(main)
    assert scene.is_error(500)


# What is refused.


@pytest.mark.contract("C3", "E2")
@RUNNERS
def test_after_a_refusal_all_that_the_application_sends_is_swallowed(run: Any) -> None:
    """The refusal has nothing of the application's head message; the event was recorded before it left."""
    known: list[int] = []

    async def look(_message: Message) -> None:
        known.append(len(scene.events))

    async def main() -> None:
        scene.server.before_send = look
        await scene.play(start(200, TEXT, FORGED, trailers=True, reason="Fine"))
        assert scene.is_error(409)
        await scene.play(
            start(200, TEXT),
            body(b"x", more=True),
            {"type": HINT, "headers": [FORGED]},
            {"type": TRAILERS, "headers": []},
            {"type": "http.response.debug", "info": {}},
            END,
        )
        await scene.reply.finish()
        assert await scene.reply.before_receive() == DISCONNECT

    scene = Scene()
    run(main)
    assert scene.is_error(409)
    assert set(scene.server.sent[0]) == {"type", "status", "headers"}
    assert (scene.kinds, known) == (["trace_overwrite_refused"], [1, 1])


@pytest.mark.contract("C10")
@RUNNERS
def test_a_head_that_no_server_would_send_is_raised_into_the_application_after_the_500(run: Any) -> None:
    """As a server would; the failure that comes of it changes nothing any more."""

    async def main() -> None:
        with pytest.raises(ReplyError, match="no server would send"):
            await scene.play(start(200, (b"a b", b"c")))
        assert scene.is_error(500)
        await scene.reply.fail(ReplyError())

    scene = Scene()
    run(main)
    assert scene.is_error(500)


@pytest.mark.contract("D6", "E4")
@RUNNERS
def test_an_event_that_names_another_trace_ends_the_stream(run: Any) -> None:
    """What came before it has left, one error event says why, and there is no clean end, whatever comes then."""
    forged = b'data: {"trace_id": "0af76519-16cd-43dd-8448-eb211c80319c"}\n\n'

    async def main() -> None:
        await scene.play(start(200, STREAM), body(event(1), more=True), body(event(2) + forged, more=True))
        for message in (body(event(3), more=True), END, start(200), {"type": TRAILERS, "headers": []}):
            with pytest.raises(ReplyAbortedError):
                await scene.reply.send(message)
        assert await scene.reply.before_receive() == DISCONNECT
        await scene.reply.finish()

    scene = Scene()
    run(main)
    assert scene.server.body.startswith(marked(1) + marked(2) + b"event: error\n")
    assert scene.server.body.count(b"data:") == 3
    assert (scene.server.ends, scene.kinds) == (0, ["trace_overwrite_refused"])


@pytest.mark.contract("C3", "C8")
@RUNNERS
@pytest.mark.parametrize(
    ("policy", "headers", "leaves", "kinds"),
    [
        (Policy(), {}, True, []),
        (Policy(), {"headers": [TEXT]}, True, []),
        (Policy(), {"headers": [ID_LINE]}, True, []),
        (Policy(), {"headers": [FORGED]}, False, ["trace_overwrite_refused"]),
        (Policy(), {"headers": [ID_LINE, ID_LINE]}, False, ["trace_overwrite_refused"]),
        (Policy(on_conflict="keep"), {"headers": [FORGED]}, True, ["trace_overwrite_refused"]),
    ],
)
@pytest.mark.parametrize("kind", [HINT, TRAILERS])
def test_hints_and_trailers_leave_unless_they_name_another_trace(  # noqa: PLR0913, PLR0917 - a table
    run: Any,
    kind: str,
    policy: Policy,
    headers: Message,
    leaves: bool,  # noqa: FBT001 - a parameter
    kinds: list[str],
) -> None:
    """A hint that does is answered by a refusal; trailers come too late for one, but the end is told to nobody."""
    message = {"type": kind, **headers}
    is_hint = kind == HINT

    async def main() -> None:
        rest = [start(200, TEXT, trailers=True), END]
        await scene.play(*([message, *rest] if is_hint else [*rest, message]))

    scene = Scene(policy)
    run(main)
    assert scene.kinds == kinds
    assert scene.server.sent.count(message) == leaves
    if leaves:
        assert scene.server.sent.index(message) == (0 if is_hint else 2)
    elif is_hint:
        assert scene.is_error(409)
    else:
        assert (scene.server.starts, scene.exchange.state) == ([(200, [OWN.encode()])], State.ABORTED)


@pytest.mark.contract("C3")
@RUNNERS
@pytest.mark.parametrize("messages", [[], [start(404, JSON)], [start(404, JSON), body(b"{", more=True)]])
def test_trailers_before_the_head_has_left_are_out_of_order(run: Any, messages: list[Message]) -> None:
    """Some servers make a reply of them."""

    async def main() -> None:
        await scene.play(*messages)
        with pytest.raises(ReplyError, match="trailers"):
            await scene.play({"type": TRAILERS, "headers": []})
        assert scene.server.sent == []
        await scene.reply.fail(ReplyError())

    scene = Scene()
    run(main)
    assert scene.is_error(500)


@pytest.mark.contract("C3", "D7")
def test_trailers_do_not_let_a_held_start_go() -> None:
    """A stream has neither begun nor ended with it."""
    scene = Scene()

    async def main() -> None:
        await scene.play(start(200, STREAM, trailers=True))
        with pytest.raises(ReplyError, match="trailers"):
            await scene.play({"type": TRAILERS, "headers": []})
        assert scene.server.sent == []
        await scene.reply.fail(ReplyError())

    on_asyncio(main)
    assert scene.is_error(500)


@pytest.mark.contract("C8", "D7")
@RUNNERS
@pytest.mark.parametrize("pieces", [[body(event(1), more=True), END], [body(event(1))], [END]])
def test_trailers_let_a_held_end_go_before_them(run: Any, pieces: list[Message]) -> None:
    """A stream without a byte of a body is sent whole then, too."""
    trailers = {"type": TRAILERS, "headers": [TEXT]}

    async def main() -> None:
        await scene.play(start(200, STREAM, trailers=True), *pieces)
        assert scene.server.ends == 0
        await scene.play(trailers)
        assert scene.server.ends == 1
        await scene.reply.finish()

    scene = Scene()
    run(main)
    assert scene.server.sent[0] == start(200, STREAM, ID_LINE, trailers=True)
    assert scene.server.sent[-2:] == [END, trailers]


@pytest.mark.contract("C8")
@pytest.mark.parametrize(
    "messages", [[], [start(404, JSON)], [start(200, TEXT)], [start(200, STREAM), body(event(1), more=True)]]
)
def test_a_message_of_an_unknown_kind_passes(messages: list[Message]) -> None:
    """Wherever the reply stands, and even if it has headers: nobody knows what they mean."""
    unknown = {"type": "http.response.debug", "info": {}, "headers": [FORGED]}
    scene = Scene()
    on_asyncio(functools.partial(scene.play, *messages, unknown))
    assert scene.server.sent[-1] == unknown
    assert scene.events == []


@pytest.mark.contract("F3")
def test_an_event_is_recorded_once() -> None:
    """However often something leaves after it."""
    scene = Scene(Policy(on_conflict="keep"))

    async def main() -> None:
        await scene.play(start(404, JSON, FORGED), body(b"{}"))
        await scene.reply.flush()
        await scene.reply.finish()

    on_asyncio(main)
    assert scene.kinds == ["trace_overwrite_refused"]


# How the application ends.


@pytest.mark.contract("C4", "C5", "D7")
@RUNNERS
@pytest.mark.parametrize("raises", [True, False])
def test_how_an_unfinished_reply_ends(run: Any, raises: bool) -> None:  # noqa: FBT001
    """By one traced 500 where nothing has left, else without a clean end; a stream says why."""

    async def main(*messages: Message) -> Scene:
        scene = Scene()
        await scene.play(*messages)
        await (scene.reply.fail(LookupError("secret")) if raises else scene.reply.finish())
        return scene

    for messages in ([], [start(404, JSON)], [start(404, JSON), body(b"{", more=True)]):
        scene = run(functools.partial(main, *messages))
        assert scene.is_error(500)
        assert (scene.kinds, b"secret" in scene.server.body) == ([], False)
    scene = run(functools.partial(main, start(200, TEXT), body(b"a", more=True)))
    assert (scene.server.sent[1:], scene.kinds) == ([body(b"a", more=True)], ["stream_broken"])
    scene = run(functools.partial(main, start(200, STREAM), body(event(1), more=True)))
    assert scene.server.body.startswith(marked(1) + b"event: error\n")
    assert (scene.server.ends, scene.kinds) == (0, ["stream_broken"])


@pytest.mark.contract("D7")
@RUNNERS
@pytest.mark.parametrize("pieces", [[END], [body(event(1))]])
def test_a_stream_that_fails_after_its_end_has_no_clean_one(run: Any, pieces: list[Message]) -> None:
    """Its end was held; where on trio its start was not, that has left already."""

    async def main() -> None:
        await scene.play(start(200, STREAM), *pieces)
        await scene.reply.fail(LookupError())

    scene = Scene()
    run(main)
    if pieces == [END] and run is on_asyncio:
        assert scene.is_error(500)
    else:
        assert (scene.server.ends, scene.kinds) == (0, ["stream_broken"])


@pytest.mark.contract("G3")
def test_a_missing_trace_becomes_a_409() -> None:
    """Where nothing has left."""
    scene = Scene()
    on_asyncio(lambda: scene.reply.fail(MissingTraceError(recorded=True)))
    assert scene.is_error(409)
    assert scene.events == []


async def _caught(send: Any, message: Message | None = None) -> Exception:
    """Return what *send* raises."""
    try:
        await send(message or body())
    except Exception as error:  # noqa: BLE001  the exception is what is asked for
        return error
    raise AssertionError


def _raised(error: Exception, cause: Exception | None = None) -> Exception:
    """Return *error* as raised, from *cause*."""
    with pytest.raises(type(error)) as caught:
        raise error from cause
    return caught.value


def _in_a_circle(error: Exception) -> Exception:
    other = _raised(RuntimeError(), error)
    error.__context__ = other
    return other


def _while_handling(error: Exception) -> Exception:
    other = RuntimeError()
    other.__context__ = error
    return other


WRAPPINGS: list[Callable[[Exception], Exception]] = [
    lambda error: error,
    lambda error: _raised(RuntimeError(), error),
    lambda error: _raised(KeyError(), _raised(RuntimeError(), error)),
    lambda error: ExceptionGroup("tasks", [ValueError(), error]),
    lambda error: ExceptionGroup("tasks", [ExceptionGroup("more", [error])]),
    _in_a_circle,
    _while_handling,
]


@pytest.mark.contract("C5")
@RUNNERS
@pytest.mark.parametrize("wrapped", WRAPPINGS)
@pytest.mark.parametrize("streams", [True, False])
def test_an_os_error_out_of_the_servers_send_means_that_the_client_left(
    run: Any,
    wrapped: Callable[[Exception], Exception],
    streams: bool,  # noqa: FBT001 - a parameter
) -> None:
    """However the application's frameworks wrapped it: nothing more is sent, and nothing recorded."""

    async def main() -> None:
        if streams:
            await scene.play(start(200, STREAM), body(event(1), more=True))
        count = len(scene.server.sent)
        scene.leave()
        error = wrapped(await _caught(scene.server.send))
        scene.server.before_send = None
        await scene.reply.fail(error)
        assert scene.exchange.gone
        assert len(scene.server.sent) == count

    scene = Scene()
    run(main)
    assert scene.events == []


@pytest.mark.contract("C4")
@pytest.mark.parametrize("wrapped", WRAPPINGS)
@pytest.mark.parametrize("error", [ConnectionResetError(), FileNotFoundError()])
def test_the_applications_own_os_error_is_a_failure(error: OSError, wrapped: Callable[[Exception], Exception]) -> None:
    """A database that is gone is no client that is."""
    error.__context__ = error.__cause__ = None
    scene = Scene()
    on_asyncio(lambda: scene.reply.fail(wrapped(_raised(error))))
    assert scene.is_error(500)
    assert not scene.exchange.gone


@pytest.mark.contract("C4")
def test_what_else_the_servers_send_raises_is_a_failure() -> None:
    """It did not like the message; an OSError that the application makes of that is its own."""
    scene = Scene()

    async def refuse(_message: Message) -> None:
        raise RuntimeError

    async def main() -> None:
        scene.server.before_send = refuse
        error = await _caught(scene.server.send)
        scene.server.before_send = None
        await scene.reply.fail(_raised(ConnectionError(), error))

    on_asyncio(main)
    assert scene.is_error(500)


@pytest.mark.contract("C4", "C5")
@pytest.mark.parametrize("is_method", [True, False])
def test_a_send_that_is_no_python_function_has_no_frame_to_be_told_by(is_method: bool) -> None:  # noqa: FBT001
    """A function or a method has; of anything else an OSError may be the application's own."""
    scene = Scene()

    async def plain(message: Message) -> None:
        await scene.server.send(message)

    async def main(send: Any) -> None:
        reply = Reply(scene.exchange, send, scene.shell, scope_of())
        scene.leave()
        error = await _caught(send)
        scene.server.before_send = None
        await reply.fail(error)

    on_asyncio(functools.partial(main, plain if is_method else functools.partial(plain)))
    assert scene.exchange.gone is is_method
    assert bool(scene.server.sent) is not is_method


@pytest.mark.contract("C4")
@RUNNERS
def test_the_applications_exception_stays_the_one_that_the_server_sees(run: Any) -> None:
    """Though the 500 finds nobody; but where the application returned, the server's own exception comes out."""

    async def main() -> None:
        scene.leave()
        await scene.reply.fail(LookupError())
        assert scene.exchange.gone
        other.leave()
        with pytest.raises(ConnectionResetError):
            await other.reply.finish()
        assert other.exchange.gone

    scene, other = Scene(), Scene()
    run(main)
    assert scene.server.sent == other.server.sent == []


# Time.


@pytest.mark.contract("D7")
@pytest.mark.parametrize("pieces", [[], [body(more=True)], [END]])
def test_a_stream_without_a_byte_is_held_until_its_time_is_up(pieces: list[Message]) -> None:
    """Then its head leaves, with its end if that came."""
    scene = Scene(AT_ONCE)

    async def main() -> None:
        await scene.play(start(200, STREAM), *pieces)
        assert scene.server.sent == []
        await turns()
        expected = [start(200, STREAM, ID_LINE), *[END] * (pieces == [END])]
        assert scene.server.sent == expected
        await turns()
        assert scene.server.sent == expected
        await scene.play(*([] if pieces == [END] else [END]))
        await scene.reply.finish()

    on_asyncio(main)
    assert (scene.server.ends, scene.events) == (1, [])


@pytest.mark.contract("D7")
def test_the_end_of_a_stream_is_held_until_its_time_is_up() -> None:
    """Its last piece is not."""
    scene = Scene(AT_ONCE)

    async def main() -> None:
        await scene.play(start(200, STREAM), body(event(1)))
        assert (scene.server.body, scene.server.ends) == (marked(1), 0)
        await turns()
        assert scene.server.ends == 1
        with pytest.raises(ReplyError, match="after its end"):
            await scene.play(body(event(2)))
        await scene.reply.finish()

    on_asyncio(main)
    assert (scene.server.body, scene.server.ends, scene.events) == (marked(1), 1, [])


@pytest.mark.contract("D7")
@RUNNERS
@pytest.mark.parametrize("pieces", [[END], [body(event(1))]])
def test_an_application_that_waits_for_the_client_lets_a_held_end_go(run: Any, pieces: list[Message]) -> None:
    """But not a start: it may be listening for a disconnect beside."""

    async def main() -> None:
        await scene.play(start(200, STREAM))
        assert await scene.reply.before_receive() is None
        assert scene.server.ends == 0
        assert bool(scene.server.sent) is (run is on_trio)
        await scene.play(*pieces)
        assert scene.server.ends == 0
        for _ in range(2):
            assert await scene.reply.before_receive() is None
            assert scene.server.ends == 1
        await scene.reply.finish()

    scene = Scene()
    run(main)
    assert (scene.server.ends, scene.events) == (1, [])


@pytest.mark.contract("C8", "D7")
def test_one_clock_runs_while_something_is_held_and_none_else() -> None:
    """A start has one and an end has one; it stops with the first byte, a return or a failure."""

    async def main() -> None:
        for pieces in ([body(event(1), more=True)], [body(event(1)), END], None):
            scene = Scene()
            assert scene.reply._timer is None
            await scene.play(start(200, STREAM))
            held = scene.reply._timer
            assert held is not None
            await scene.play(body(more=True), body(more=True))
            assert scene.reply._timer is held
            assert not held.cancelled()
            if pieces is None:
                await scene.reply.fail(LookupError())
            else:
                await scene.play(pieces[0])
                assert held.cancelled() is (pieces[0]["more_body"] is True)
                await scene.reply.finish()
            assert scene.reply._timer is None
            assert held.cancelled()

    on_asyncio(main)


@pytest.mark.contract("C8")
def test_an_ordinary_reply_has_no_clock() -> None:
    """Nothing of it is held."""

    async def main() -> None:
        for messages in ([start(200, TEXT), END], [start(404, JSON), body(b"{}")], [start(200, TEXT, FORGED)]):
            scene = Scene()
            for message in messages:
                await scene.play(message)
                assert scene.reply._timer is None

    on_asyncio(main)


@pytest.mark.contract("D7")
def test_a_clock_that_finds_nothing_held_any_more_does_nothing() -> None:
    """An integration may have answered through the exchange meanwhile."""
    scene = Scene(AT_ONCE)

    async def main() -> None:
        await scene.play(start(200, STREAM))
        scene.exchange.fail(LookupError())
        await turns()
        assert scene.server.sent == []
        await scene.reply.finish()

    on_asyncio(main)
    assert scene.is_error(500)


@pytest.mark.contract("D6", "D7")
def test_what_comes_while_a_late_head_is_on_its_way_follows_it() -> None:
    """The clock lets it go in a task of its own; the reply is closed only once that has left."""
    scene = Scene(AT_ONCE)

    async def main() -> None:
        await scene.play(start(200, STREAM))
        scene.stall()
        await turns()
        piece = asyncio.create_task(scene.reply.send(body(event(1))))
        await turns()
        closing = asyncio.create_task(scene.reply.finish())
        await turns()
        assert (piece.done(), closing.done(), scene.server.sent) == (False, False, [])
        scene.reads.set()
        await closing
        assert scene.server.sent == [start(200, STREAM, ID_LINE), body(marked(1), more=True), END]

    on_asyncio(main)


@pytest.mark.contract("C5")
def test_the_reply_is_closed_only_once_a_late_end_has_left() -> None:
    """A server takes the return for the end."""
    scene = Scene(AT_ONCE)

    async def main() -> None:
        await scene.play(start(200, STREAM), body(event(1)))
        scene.stall()
        await turns()
        closing = asyncio.create_task(scene.reply.finish())
        await turns()
        assert (closing.done(), scene.server.ends) == (False, 0)
        scene.reads.set()
        await closing
        assert scene.server.ends == 1

    on_asyncio(main)


@pytest.mark.contract("C5")
def test_the_reply_is_closed_only_once_an_end_has_left_whose_task_was_cancelled() -> None:
    """A task that listens for a disconnect lets the end go, and frameworks cancel it when the stream is over."""
    scene = Scene()

    async def main() -> None:
        await scene.play(start(200, STREAM), body(event(1)))
        scene.stall()
        listening = asyncio.create_task(scene.reply.before_receive())
        await turns()
        listening.cancel()
        await turns()
        closing = asyncio.create_task(scene.reply.finish())
        await turns()
        assert (listening.cancelled(), closing.done(), scene.server.ends) == (True, False, 0)
        scene.reads.set()
        await closing
        assert scene.server.ends == 1

    on_asyncio(main)


@pytest.mark.contract("D7")
def test_a_clock_that_has_struck_is_none_that_runs() -> None:
    """What is held next has one of its own, though the late task has not come to its turn yet."""
    scene = Scene(AT_ONCE)

    async def main() -> None:
        await scene.play(start(200, STREAM))
        while scene.reply._expiry is None:  # noqa: ASYNC110 - an event would give its task a turn
            await asyncio.sleep(0)
        await scene.play(body(event(1)))
        assert (scene.server.body, scene.server.ends) == (marked(1), 0)
        await turns()
        assert scene.server.ends == 1

    on_asyncio(main)


@pytest.mark.contract("C5")
def test_what_the_server_raises_at_a_late_end_comes_out_at_the_end() -> None:
    """Though nobody waited for it when it was raised."""
    scene = Scene(AT_ONCE)

    async def refuse(_message: Message) -> None:
        raise RuntimeError

    async def main() -> None:
        await scene.play(start(200, STREAM), body(event(1)))
        scene.server.before_send = refuse
        await turns()
        with pytest.raises(RuntimeError):
            await scene.reply.finish()

    on_asyncio(main)
    assert (scene.server.ends, scene.exchange.gone) == (0, False)


@pytest.mark.contract("C4", "D7")
@pytest.mark.parametrize("raises", [True, False])
def test_a_late_head_that_finds_nobody_is_no_failure(raises: bool) -> None:  # noqa: FBT001
    """The application finds out by itself; nothing is made of what it leaves undone."""
    scene = Scene(AT_ONCE)

    async def main() -> None:
        scene.leave()
        await scene.play(start(200, STREAM))
        await turns()
        assert scene.exchange.gone
        scene.server.before_send = None
        await (scene.reply.fail(LookupError()) if raises else scene.reply.finish())

    on_asyncio(main)
    assert (scene.server.sent, scene.events) == ([], [])


@pytest.mark.contract("D7")
def test_on_trio_a_start_is_not_held() -> None:
    """No clock of the gate's runs there; an end is held until the application returns."""
    scene = Scene()

    async def main() -> None:
        await scene.play(start(200, STREAM))
        assert scene.server.sent == [start(200, STREAM, ID_LINE)]
        await scene.play(body(event(1)))
        assert scene.server.ends == 0
        await scene.reply.finish()

    on_trio(main)
    assert (scene.server.body, scene.server.ends, scene.events) == (marked(1), 1, [])


# Cancellation.


@pytest.mark.contract("C4", "D7")
@pytest.mark.parametrize("pieces", [[], [END], [body(event(1))]])
def test_an_abandoned_reply_sends_nothing_more(pieces: list[Message]) -> None:
    """The clock of what is held is stopped, before and after it has struck."""
    scene, late = Scene(AT_ONCE), Scene(AT_ONCE)

    async def main() -> None:
        await scene.play(start(200, STREAM), *pieces)
        count = len(scene.server.sent)
        scene.reply.abandon()
        await turns()
        assert len(scene.server.sent) == count

        await late.play(start(200, STREAM), *pieces)
        late.stall()
        await turns()
        late.reply.abandon()
        await turns()
        late.reads.set()
        await turns()
        assert len(late.server.sent) == count
        assert late.reply._expiry is not None
        assert late.reply._expiry.cancelled()

    on_asyncio(main)
    assert scene.events == late.events == []


@pytest.mark.contract("C4", "D7")
def test_what_a_clock_has_let_go_does_not_leave_an_abandoned_reply() -> None:
    """Not even where its task has not come to its turn yet."""
    scene = Scene(AT_ONCE)

    async def main() -> None:
        await scene.play(start(200, STREAM))
        while scene.reply._expiry is None:  # noqa: ASYNC110 - an event would give its task a turn
            await asyncio.sleep(0)
        scene.reply.abandon()
        await turns()

    on_asyncio(main)
    assert scene.server.sent == []


@pytest.mark.contract("C4")
def test_abandoning_what_has_neither_begun_nor_is_on_its_way_is_nothing() -> None:
    """As where an application is cancelled at once."""
    scene = Scene()
    scene.reply.abandon()
    assert scene.server.sent == []


@pytest.mark.contract("C4")
@pytest.mark.parametrize("raises", [True, False])
@pytest.mark.parametrize("pieces", [[body(event(1), more=True)], [body(event(1))]])
def test_an_end_that_is_cancelled_on_its_way_does_not_leave(raises: bool, pieces: list[Message]) -> None:  # noqa: FBT001
    """Though it was in the hands of the outbox, which outlives the task."""
    scene = Scene()

    async def main() -> None:
        await scene.play(start(200, STREAM), *pieces)
        count = len(scene.server.sent)
        scene.stall()
        closing = asyncio.create_task(scene.reply.fail(LookupError()) if raises else scene.reply.finish())
        await turns()
        closing.cancel()
        await turns()
        assert closing.cancelled()
        scene.reads.set()
        await turns()
        assert len(scene.server.sent) == count

    on_asyncio(main)


@pytest.mark.contract("C5")
def test_what_the_server_raises_at_the_end_comes_out() -> None:
    """It is no cancellation, and no client that left."""
    scene = Scene()

    async def refuse(_message: Message) -> None:
        raise RuntimeError

    async def main() -> None:
        await scene.play(start(200, STREAM), body(event(1)))
        scene.server.before_send = refuse
        with pytest.raises(RuntimeError):
            await scene.reply.finish()

    on_asyncio(main)
    assert (scene.server.ends, scene.exchange.gone) == (0, False)


# A handshake's denial.


@pytest.mark.contract("C1", "D1")
def test_a_denial_speaks_the_extensions_words() -> None:
    """Else it is a reply like any other one."""
    prefix = "websocket.http.response"
    scene = Scene(prefix=prefix)
    head = {**start(401, JSON), "type": f"{prefix}.start"}
    on_asyncio(functools.partial(scene.play, head, {"type": f"{prefix}.body", "body": b"{}"}))
    assert [message["type"] for message in scene.server.sent] == [f"{prefix}.start", f"{prefix}.body"]
    assert scene.server.starts == [(401, [OWN.encode()])]
    assert scene.server.body == b"{%s}" % MEMBER
