"""Does an ordinary reply pass as the application made it, and does the slow half take over where it must?"""
# ruff: noqa: ANN401 - a status and headers under test may be anything

from __future__ import annotations

import asyncio
import enum
import json
import sys
from collections.abc import Iterator
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
    body,
    length,
    on_asyncio,
    on_trio,
    scope_of,
    shell_of,
    start,
    turns,
)
from tests.unit.fakes import OWN, OWN_TRACE
from tracegate.adapters.asgi_passage import FRESH, Passage, exchange_in
from tracegate.adapters.asgi_traffic import counted
from tracegate.core.events import Event
from tracegate.core.exchange import Exchange
from tracegate.core.policy import Policy
from tracegate.core.reply import State
from tracegate.errors import ReplyAbortedError, ReplyError
from tracegate.sinks.traffic import Traffic

END: Message = {"type": "http.response.body"}
HINT: Message = {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]}
DISCONNECT: Message = {"type": "http.disconnect"}
RUNNERS = pytest.mark.parametrize("run", [on_asyncio, on_trio])


@pytest.fixture(autouse=True, params=["as usual", "counted"])
def _both_kinds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where traffic is counted there is another passage, which repeats a part of this one: it must do the same."""
    if request.param == "counted":
        policy = Policy()
        (_, kind), _ = counted(lambda _headers: None, Traffic(policy, lambda: None), policy)
        monkeypatch.setattr(sys.modules[__name__], "Passage", kind)


def passage_of(server: Any, policy: Policy | None = None, **scope: object) -> tuple[Passage, list[Event]]:
    """Return what the gate hands to an application for one request, and the list that its events go to."""
    shell, events = shell_of(policy)
    passage = Passage()
    passage.shell, passage.trace, passage.scope = shell, OWN_TRACE, scope_of(**scope)
    passage.server_receive, passage.server_send = server.receive, server.send
    passage.last, passage.reply, passage.forward, passage.status, passage.left, passage.gone = FRESH
    return passage, events


async def ended(passage: Passage) -> None:
    """Take the application's return, as the gate does."""
    if passage.left and not passage.is_whole():
        await passage.finish()


async def played(passage: Passage, *messages: Message) -> None:
    """Send *messages* and return."""
    for message in messages:
        await passage.send(message)
    await ended(passage)


class Direct:
    """A server whose ``send`` is no coroutine function: what it returns can be told from anything else."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.receive = Server().receive

    def send(self, message: Any) -> Direct:
        self.sent.append(message)
        return self

    def __await__(self) -> Iterator[None]:
        return iter(())


def taken(sent: Any) -> None:
    """Await *sent*, which the server takes at once."""
    with pytest.raises(StopIteration):
        sent.send(None)


# The fast half.


@pytest.mark.contract("C1", "C8")
@pytest.mark.parametrize(
    ("head", "bodies", "scope"),
    [
        (start(200, TEXT), [body(b"a", more=True), body()], {}),
        (start(200, TEXT), [body(b"a", more=True), body()], {"http_version": "1.0"}),
        (start(200, TEXT), [body(b"a", more=True), body()], {"http_version": "2"}),
        (start(200, JSON, length(3)), [body(b"ab", more=True), body(b"c")], {}),
        (start(200, JSON, length(3)), [body(b"ab", more=True), body(b"c")], {"http_version": "2"}),
        (start(302, length(0)), [END], {}),
        (start(200, length(9)), [END], {"method": "HEAD"}),
    ],
)
def test_an_ordinary_reply_goes_straight_to_the_server(
    head: Message, bodies: list[Message], scope: dict[str, str]
) -> None:
    """The application gets the server's own awaitable, and the server the application's own message."""
    server: Any = Direct()
    passage, _ = passage_of(server, None, **scope)
    taken(passage.send(head))
    assert server.sent == [{**head, "headers": [*head["headers"], ID_LINE]}]
    for message in bodies:
        assert not passage.is_whole()
        assert passage.send(message) is server
        assert server.sent[-1] is message
    assert passage.is_whole()
    assert passage.reply is None


@pytest.mark.contract("C8")
def test_the_applications_head_is_not_edited() -> None:
    """Neither the message nor its list: an application may send both again. What else it says stays."""
    server: Any = Direct()
    passage, _ = passage_of(server)
    headers = [TEXT]
    head = {"type": "http.response.start", "status": 200, "headers": headers, "reason": "Fine"}
    taken(passage.send(head))
    assert (headers, head["headers"] is headers) == ([TEXT], True)
    assert server.sent == [{**head, "headers": [TEXT, ID_LINE]}]


def test_over_http_1_a_body_without_a_length_passes_without_a_look() -> None:
    """Nothing but a body can follow a head there; over HTTP/2, and where the version is unknown, trailers can."""
    for scope, straight in (
        ({"http_version": "1.1"}, True),
        ({"http_version": "1.0"}, True),
        ({"http_version": "2"}, False),
        ({"http_version": None}, False),
    ):
        server = Server()
        passage, _ = passage_of(server, **scope)
        on_asyncio(lambda passage=passage: played(passage, start(200, TEXT), END))  # type: ignore[misc]
        assert (passage.forward == server.send) is straight
    server = Server()
    passage, _ = passage_of(server)
    del passage.scope["http_version"]
    on_asyncio(lambda: played(passage, start(200, TEXT), END))
    assert passage.forward != server.send


# The declared length.


@pytest.mark.contract("C5", "C8")
@pytest.mark.parametrize(
    ("size", "bodies"),
    [
        (0, [END]),
        (0, [body()]),
        (0, [body(more=True), body(more=True), END]),
        (1, [body(b"a")]),
        (5, [body(b"hello")]),
        (5, [body(b"hello", more=True), END]),
        (5, [body(b"hello", more=True), body(more=True), body()]),
        (5, [body(more=True), body(b"he", more=True), body(b"llo")]),
        (5, [{**END, "more_body": True}, body(bytearray(b"he"), more=True), {**END, "body": memoryview(b"llo")}]),
    ],
)
def test_a_body_as_long_as_declared_passes_however_it_is_cut(size: int, bodies: list[Message]) -> None:
    """It is whole with its end, and not before: not even where all its bytes have left."""

    async def main() -> None:
        await passage.send(start(200, TEXT, length(size)))
        for message in bodies:
            assert not passage.is_whole()
            await passage.send(message)
        assert passage.is_whole()
        assert passage.left == 0
        await ended(passage)

    server = Server()
    passage, events = passage_of(server)
    on_asyncio(main)
    assert passage.reply is None
    assert server.sent == [start(200, TEXT, length(size), ID_LINE), *bodies]
    assert events == []


@pytest.mark.contract("C5")
@pytest.mark.parametrize(
    ("size", "bodies", "left"),
    [
        (0, [body(b"a")], b""),
        (0, [body(b"a", more=True)], b""),
        (1, [body(b"ab")], b""),
        (1, [END], b""),
        (5, [body(b"hell")], b"hell"),
        (5, [body(b"hello!")], b"hell"),
        (5, [body(b"hello!", more=True)], b"hell"),
        (5, [body(b"he", more=True), body(b"l")], b"hel"),
        (5, [body(b"he", more=True), body(b"llo!")], b"hell"),
        (5, [body(b"hell", more=True), body(b"o!")], b"hell"),
        (5, [body(b"hell", more=True), END], b"hell"),
        (5, [body(b"hello", more=True), body(b"!")], b"hello"),
        (5, [body(b"hello", more=True), body(b"!", more=True)], b"hello"),
    ],
)
def test_a_body_that_disagrees_with_its_declared_length_has_no_clean_end(
    size: int, bodies: list[Message], left: bytes
) -> None:
    """Nor a last byte, where that has not left before. One event says so, and the application is stopped."""

    async def main() -> None:
        await played(passage, start(200, TEXT, length(size)), *bodies)
        with pytest.raises(ReplyAbortedError):
            await passage.send(END)

    server = Server()
    passage, events = passage_of(server)
    on_asyncio(main)
    assert (server.body, server.ends) == (left, 0)
    assert [(event.kind, event.status) for event in events] == [("stream_broken", 200)]
    assert not passage.is_whole()


@pytest.mark.contract("C5")
@pytest.mark.parametrize("raises", [True, False])
@pytest.mark.parametrize(
    ("messages", "is_broken"),
    [
        ([start(200, length(0))], True),
        ([start(200, length(0)), END], False),
        ([start(200, length(2)), body(b"a", more=True)], True),
        ([start(200, length(2)), body(b"ab", more=True)], True),
        ([start(200, length(2)), body(b"ab")], False),
        ([start(200, TEXT)], True),
        ([start(200, TEXT), body(b"ab", more=True)], True),
        ([start(200, TEXT), body(b"ab")], False),
        ([start(200, TEXT), END], False),
    ],
)
def test_a_reply_that_stops_before_its_end_is_not_ended(
    messages: list[Message],
    is_broken: bool,  # noqa: FBT001 - a parameter
    raises: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Whether the application raises or returns; after its end there is nothing to say any more."""

    async def main() -> None:
        if raises:
            for message in messages:
                await passage.send(message)
            await passage.stop(LookupError())
        else:
            await played(passage, *messages)

    server = Server()
    passage, events = passage_of(server)
    on_asyncio(main)
    assert server.sent == [{**messages[0], "headers": [*messages[0]["headers"], ID_LINE]}, *messages[1:]]
    assert [event.kind for event in events] == ["stream_broken"] * is_broken
    assert (passage.reply is None) is not is_broken


@pytest.mark.contract("C8")
@pytest.mark.parametrize("more", [END, body(more=True)])
def test_an_empty_message_after_the_end_passes_as_without_a_gate(more: Message) -> None:
    """What has ended stays whole: a piece that says that more follows does not open it again."""
    server = Server()
    passage, events = passage_of(server)
    on_asyncio(lambda: played(passage, start(200, length(2)), body(b"ab"), more))
    assert server.sent[1:] == [body(b"ab"), more]
    assert events == []


# The exchange, asked for at any time.


@pytest.mark.parametrize(
    ("messages", "state", "remaining"),
    [
        ([], State.OPEN, -1),
        ([start(200, TEXT)], State.PASSING, -1),
        ([start(200, TEXT), body(b"a", more=True)], State.PASSING, -1),
        ([start(200, length(5))], State.PASSING, 5),
        ([start(200, length(5)), body(b"he", more=True)], State.PASSING, 3),
        ([start(200, length(5)), body(b"hello", more=True)], State.PASSING, 0),
        ([start(200, length(0))], State.PASSING, 0),
        ([start(200, length(0)), END], State.PASSING, 0),
        ([start(200, length(5)), body(b"hello")], State.PASSING, 0),
    ],
)
def test_the_exchange_goes_on_where_the_passage_stands(messages: list[Message], state: State, remaining: int) -> None:
    """It is made once, and knows the status and what of the body is to come."""

    async def main() -> Exchange:
        for message in messages:
            await passage.send(message)
        return passage.exchange

    passage, _ = passage_of(Server())
    exchange = on_asyncio(main)
    assert (exchange.state, exchange.remaining) == (state, remaining)
    assert exchange.status == (200 if messages else None)
    assert (exchange.trace, exchange.method, exchange.path) == (OWN_TRACE, "GET", "/things")
    assert passage.exchange is exchange


@pytest.mark.contract("C5", "C8")
@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("head", [start(200, TEXT), start(200, TEXT, length(5))])
@pytest.mark.parametrize("version", ["1.1", "2"])
def test_a_reply_passes_whole_whenever_the_exchange_is_asked_for(head: Message, version: str, at: int) -> None:
    """Also once it has ended: a reply that is whole is not taken for one that broke off."""
    messages = [head, body(b"he", more=True), body(b"llo")]

    async def main() -> None:
        for count, message in enumerate(messages):
            if count == at:
                assert passage.exchange.state in (State.OPEN, State.PASSING)
            await passage.send(message)
        assert passage.exchange.state is State.PASSING
        assert passage.is_whole()
        await ended(passage)
        await passage.stop(LookupError())

    server = Server()
    passage, events = passage_of(server, http_version=version)
    on_asyncio(main)
    assert server.sent == [{**head, "headers": [*head["headers"], ID_LINE]}, *messages[1:]]
    assert events == []


@pytest.mark.contract("C5")
@pytest.mark.parametrize("sent", [b"", b"he", b"hell"])
@pytest.mark.parametrize(("rest", "left"), [(b"!!!!!!", b"hell"), (b"", b"")])
def test_the_length_is_kept_across_the_exchange(sent: bytes, rest: bytes, left: bytes) -> None:
    """What remains to be sent is what was declared without what has left."""

    async def main() -> None:
        await passage.send(start(200, length(5)))
        await passage.send(body(sent, more=True))
        assert passage.exchange.remaining == 5 - len(sent)
        await played(passage, body(rest))

    server = Server()
    passage, events = passage_of(server)
    on_asyncio(main)
    assert (len(server.body), server.ends) == (max(len(left), len(sent)), 0)
    assert [event.kind for event in events] == ["stream_broken"]


@pytest.mark.contract("C1", "C4")
def test_an_integration_can_answer_through_the_exchange() -> None:
    """What it was given leaves with the application's next message, which is swallowed itself."""

    async def main() -> None:
        passage.exchange.fail(LookupError())
        await played(passage, start(200, TEXT), body(b"swallowed"))

    server = Server()
    passage, _ = passage_of(server)
    on_asyncio(main)
    assert server.starts == [(500, [OWN.encode()])]
    assert json.loads(server.body)["trace_id"] == OWN
    assert server.ends == 1


def test_a_scope_knows_its_exchange() -> None:
    """By the passage; a handshake's scope, or one behind a bridge, holds the exchange itself."""
    passage, _ = passage_of(Server())
    assert exchange_in({}) is None
    assert exchange_in({"tracegate.exchange": passage}) is passage.exchange
    assert exchange_in({"tracegate.exchange": passage.exchange}) is passage.exchange


# Heads that need more.


class Status(enum.IntEnum):
    """A framework's own enumeration."""

    FINE = 200
    MISSING = 404


@pytest.mark.contract("C1", "C8")
@pytest.mark.parametrize(
    "status", [200, 203, 299, 302, 399, 204, 205, 304, 400, 404, 599, 999, Status.FINE, Status.MISSING]
)
@pytest.mark.parametrize("kind", [list, tuple, iter, lambda lines: [list(line) for line in lines]])
@pytest.mark.parametrize("headers", [[TEXT], []])
@pytest.mark.parametrize("policy", [Policy(), Policy(bodies="all")])
def test_every_final_status_passes_with_one_id(status: int, kind: Any, headers: list[Any], policy: Policy) -> None:
    """Whatever kind of integer and whatever kind of lines."""
    server = Server()
    passage, events = passage_of(server, policy)
    on_asyncio(
        lambda: played(passage, {"type": "http.response.start", "status": status, "headers": kind(headers)}, END)
    )
    assert server.starts == [(status, [OWN.encode()])]
    assert [tuple(line) for line in server.sent[0]["headers"]] == [*headers, ID_LINE]
    assert (server.sent[1:], events) == ([END], [])


@pytest.mark.contract("C1")
def test_a_head_without_headers_gets_the_one() -> None:
    """ASGI has them optional."""
    server = Server()
    passage, _ = passage_of(server)
    on_asyncio(lambda: played(passage, {"type": "http.response.start", "status": 200}, END))
    assert server.sent == [start(200, ID_LINE), END]


@pytest.mark.contract("C10")
@pytest.mark.parametrize("status", [True, False, "200", 200.0, None, 99, 199, 1000, -200])
def test_what_is_no_final_status_becomes_a_traced_500(status: object) -> None:
    """``True`` is no number here, though Python takes it for one; 200.0 is none either."""

    async def main() -> None:
        with pytest.raises(ReplyError):
            await passage.send(start(status, TEXT))
        await played(passage, body(b"swallowed"))

    server = Server()
    passage, _ = passage_of(server)
    on_asyncio(main)
    assert server.starts == [(500, [OWN.encode()])]
    assert (json.loads(server.body)["error_code"], server.ends) == ("SYS-003-500", 1)


@pytest.mark.contract("C3", "C10")
@pytest.mark.parametrize(
    ("line", "status"), [(FORGED, 409), ((b"x\r\n", b"a"), 500), ((b"content-length", b"x"), 500), (("a", "b"), 500)]
)
def test_a_head_with_a_bad_line_does_not_pass(line: Any, status: int) -> None:
    """One whole traced reply stands in for it."""

    async def main() -> None:
        try:
            await passage.send(start(200, TEXT, line))
        except ReplyError:
            assert status == 500
        await ended(passage)

    server = Server()
    passage, _ = passage_of(server)
    on_asyncio(main)
    assert server.starts == [(status, [OWN.encode()])]
    assert server.ends == 1


@pytest.mark.contract("C4")
@pytest.mark.parametrize("messages", [[END], [body(b"x", more=True)], [HINT], []])
@pytest.mark.parametrize("raises", [True, False])
def test_before_the_head_anything_ends_in_one_traced_500(messages: list[Message], raises: bool) -> None:  # noqa: FBT001
    """A body without a head is none; early hints pass, and are no reply."""

    async def main() -> None:
        for message in messages:
            if message is HINT:
                await passage.send(message)
            else:
                with pytest.raises(ReplyError):
                    await passage.send(message)
        if raises:
            await passage.stop(LookupError())
        else:
            await ended(passage)

    server = Server()
    passage, _ = passage_of(server)
    on_asyncio(main)
    assert [message for message in server.sent if message == HINT] == [each for each in messages if each is HINT]
    assert server.starts == [(500, [OWN.encode()])]
    assert server.ends == 1


@pytest.mark.contract("C1", "C3")
@pytest.mark.parametrize("head", [start(200, TEXT), start(200, TEXT, length(2))])
@pytest.mark.parametrize("second", [start(200, TEXT), start(200, FORGED)])
def test_a_second_head_does_not_pass(head: Message, second: Message) -> None:
    """The reply has begun."""

    async def main() -> None:
        await passage.send(head)
        with pytest.raises(ReplyError):
            await passage.send(second)
        await played(passage, body(b"ab"))

    server = Server()
    passage, _ = passage_of(server, http_version="2")
    on_asyncio(main)
    assert server.starts == [(200, [OWN.encode()])]
    assert (server.body, server.ends) == (b"ab", 1)


@pytest.mark.contract("C3", "C8")
@pytest.mark.parametrize(
    ("head", "version"),
    [
        (start(200, TEXT), "2"),
        (start(200, TEXT, length(2)), "2"),
        (start(200, TEXT, length(2)), "1.1"),
        (start(200, TEXT, trailers=True), "2"),
        (start(200, TEXT, trailers=True), "1.1"),
    ],
)
def test_trailers_pass_unless_they_name_another_trace(head: Message, version: str) -> None:
    """Announced or, over HTTP/2, unannounced."""
    for line, passes in ((TEXT, True), (ID_LINE, True), (FORGED, False)):
        server = Server()
        passage, events = passage_of(server, http_version=version)
        trailers = {"type": "http.response.trailers", "headers": [line]}
        on_asyncio(
            lambda passage=passage, trailers=trailers: played(passage, head, body(b"ab"), trailers)  # type: ignore[misc]
        )
        assert server.sent == [{**head, "headers": [*head["headers"], ID_LINE]}, body(b"ab"), *[trailers] * passes]
        assert [event.kind for event in events] == ["trace_overwrite_refused"] * (not passes)


# The end of what passes.


@pytest.mark.contract("C5", "C8")
@pytest.mark.parametrize(
    ("last", "is_whole"),
    [
        (END, True),
        (body(), True),
        (body(more=True), False),
        ({"type": "http.response.pathsend", "path": "/a"}, True),
        ({"type": "http.response.zerocopysend", "file": 3}, True),
        ({"type": "http.response.zerocopysend", "file": 3, "more_body": False}, True),
        ({"type": "http.response.zerocopysend", "file": 3, "more_body": True}, False),
        ({"type": "http.response.trailers", "headers": []}, True),
        ({"type": "http.response.trailers", "headers": [], "more_trailers": False}, True),
        ({"type": "http.response.trailers", "headers": [], "more_trailers": True}, False),
        (HINT, False),
    ],
)
@pytest.mark.parametrize("head", [start(200, TEXT), start(200, TEXT, length(0)), start(200, TEXT, trailers=True)])
@pytest.mark.parametrize("version", ["1.1", "2"])
def test_a_reply_is_whole_with_the_message_that_ends_it(
    head: Message,
    last: Message,
    is_whole: bool,  # noqa: FBT001 - a parameter
    version: str,
) -> None:
    """A body's last piece, a file, or trailers; a reply that is none is recorded as broken."""
    server = Server()
    passage, events = passage_of(server, http_version=version)
    on_asyncio(lambda: played(passage, head, last))
    assert server.sent == [{**head, "headers": [*head["headers"], ID_LINE]}, last]
    assert (passage.left == 0 or passage.is_whole()) is is_whole
    assert [event.kind for event in events] == ["stream_broken"] * (not is_whole)


def test_nothing_is_whole_before_its_head() -> None:
    """Nor where the gate, and not the application, has the next word."""

    async def main() -> None:
        assert not passage.is_whole()
        assert not passage.exchange.over
        assert not passage.is_whole()
        await passage.send(start(404, JSON))
        await passage.send(body(b"{}"))
        assert (passage.exchange.state, passage.is_whole()) == (State.DONE, False)
        await ended(passage)

    server = Server()
    passage, events = passage_of(server)
    on_asyncio(main)
    assert (server.starts, server.ends, events) == ([(404, [OWN.encode()])], 1, [])


@pytest.mark.contract("C5", "C8")
@pytest.mark.parametrize(("cut", "is_broken"), [(b"", False), (b"a", True)])
def test_a_head_for_head_owes_no_body_whatever_it_declares(cut: bytes, is_broken: bool) -> None:  # noqa: FBT001
    """Only an end; a reply to GET owes what it declares."""
    server = Server()
    passage, events = passage_of(server, method="HEAD")
    on_asyncio(lambda: played(passage, start(200, length(5)), body(cut, more=is_broken)))
    assert server.sent == [start(200, length(5), ID_LINE), body(cut, more=is_broken)]
    assert passage.left == -1
    assert [event.kind for event in events] == ["stream_broken"] * is_broken


# What comes in.


@RUNNERS
def test_what_the_client_sends_passes(run: Any) -> None:
    """Message for message, whatever the reply is doing."""
    first, second = {"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.request", "body": b"b"}

    async def main() -> None:
        assert await passage.receive() is first
        assert not passage.exchange.gone
        assert await passage.receive() is second
        assert not passage.gone
        assert not passage.exchange.gone

    server = Server(first, second)
    passage, _ = passage_of(server)
    run(main)


@pytest.mark.contract("C5")
@RUNNERS
@pytest.mark.parametrize("asked_first", [True, False])
@pytest.mark.parametrize("raises", [True, False])
@pytest.mark.parametrize("messages", [[], [start(404, JSON)], [start(200, length(5)), body(b"a", more=True)]])
def test_after_a_disconnect_nothing_is_made_of_what_the_application_leaves_undone(
    run: Any,
    messages: list[Message],
    asked_first: bool,  # noqa: FBT001 - a parameter
    raises: bool,  # noqa: FBT001 - a parameter
) -> None:
    """A client that left is no broken stream and no missing reply; also one that left before the first message."""

    async def main() -> None:
        if asked_first:
            assert not passage.exchange.gone
        assert await passage.receive() == DISCONNECT
        assert passage.gone
        assert passage.exchange.gone
        for message in messages:
            await passage.send(message)
        count = len(server.sent)
        if raises:
            await passage.stop(ConnectionError())
        else:
            await ended(passage)
        assert len(server.sent) == count

    server = Server(DISCONNECT)
    passage, events = passage_of(server)
    run(main)
    assert events == []
    assert server.ends == 0


@pytest.mark.contract("E2")
@RUNNERS
def test_once_the_gate_has_ended_the_reply_the_application_sees_a_disconnect(run: Any) -> None:
    """The server is not asked: it would wait for the client."""

    async def main() -> None:
        await passage.send(start(200, TEXT, FORGED))
        assert await passage.receive() == DISCONNECT
        assert await passage.receive() == DISCONNECT
        await ended(passage)

    server = Server()  # nothing to receive: asking it would raise
    passage, events = passage_of(server)
    run(main)
    assert server.starts == [(409, [OWN.encode()])]
    assert [event.kind for event in events] == ["trace_overwrite_refused"]
    assert not passage.gone


# Cancellation.


@pytest.mark.contract("C4")
@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), GeneratorExit()])
@pytest.mark.parametrize("messages", [[], [start(200, length(5))], [start(404, JSON)], [start(200, STREAM)]])
def test_a_cancelled_application_sends_nothing_more(error: BaseException, messages: list[Message]) -> None:
    """Not even what is held for a while: its clock is stopped."""

    async def main() -> int:
        for message in messages:
            await passage.send(message)
        before = len(server.sent)
        await passage.stop(error)
        await turns()
        return len(server.sent) - before

    server = Server()
    passage, events = passage_of(server, Policy(sse_hold_seconds=0))
    assert on_asyncio(main) == 0
    assert events == []


@pytest.mark.contract("D7")
def test_what_is_held_leaves_where_nobody_was_cancelled() -> None:
    """The other half of the proof above."""

    async def main() -> None:
        await passage.send(start(200, STREAM))
        assert server.sent == []
        await turns()
        assert server.starts == [(200, [OWN.encode()])]
        await ended(passage)

    server = Server()
    passage, _ = passage_of(server, Policy(sse_hold_seconds=0))
    on_asyncio(main)


@pytest.mark.contract("C4")
def test_a_failure_beside_a_cancellation_is_a_failure() -> None:
    """As in a group of tasks, of which one fails and the others are cancelled."""
    group = BaseExceptionGroup("tasks", [asyncio.CancelledError(), LookupError()])
    server = Server()
    passage, _ = passage_of(server)
    on_asyncio(lambda: passage.stop(group))
    assert server.starts == [(500, [OWN.encode()])]


@pytest.mark.contract("C1", "C3", "C4")
@pytest.mark.parametrize("lines", [[TEXT], [TEXT, length(3)]])
@pytest.mark.parametrize("kind", [OSError, RuntimeError, asyncio.CancelledError])
def test_a_head_that_the_server_did_not_take_has_not_begun_the_reply(
    kind: type[BaseException], lines: list[Line]
) -> None:
    """Another one gets the id too, or the application's failure a whole traced 500."""

    async def refuse(_message: Message) -> None:
        server.before_send = None
        raise kind

    for then in (start(504, JSON), None):
        server = Server()
        passage, _ = passage_of(server)

        async def main(passage: Any = passage, then: Message | None = then) -> None:
            with pytest.raises(kind):
                await passage.send(start(200, *lines))
            if then is None:
                await passage.stop(ValueError())
            else:
                await passage.send(then)
                await passage.send(body(b"{}"))

        server.before_send = refuse
        on_asyncio(main)
        ((status, ids),) = server.starts
        assert (status, ids) == (500 if then is None else 504, [ID_LINE[1]])
        assert json.loads(server.body)["trace_id"] == OWN


@pytest.mark.contract("C1", "C4")
def test_a_head_that_was_not_taken_after_the_slow_half_took_over_begins_anew_there() -> None:
    """An integration may ask for the exchange while the server is still at the head."""
    server = Server()
    passage, _ = passage_of(server)

    async def refuse(_message: Message) -> None:
        server.before_send = None
        assert passage.exchange.state is State.PASSING
        raise RuntimeError

    async def main() -> None:
        with pytest.raises(RuntimeError):
            await passage.send(start(200, TEXT))
        assert passage.exchange.state is State.OPEN
        await passage.send(start(504, JSON))
        await passage.send(body(b"{}"))

    server.before_send = refuse
    on_asyncio(main)
    assert server.starts == [(504, [ID_LINE[1]])]
    assert json.loads(server.body)["trace_id"] == OWN
    assert passage.exchange.state is State.DONE
