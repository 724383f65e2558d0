"""Does every WebSocket handshake carry its id?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.drivers.asgi import AsgiApplication, Message, Receive, Send
from tests.property.drivers.gates import peek, runtime_of
from tests.property.drivers.record import Fact, Notes, Reply
from tests.property.drivers.websocket import connect
from tests.property.oracle.ids import is_minted
from tests.property.plan import OTHER, OWN, Headers, Settings
from tracegate.adapters.asgi import TraceGate

NAMED: Headers = ((b"x-trace-id", OWN),)
ECHO: Message = {"type": "websocket.receive", "text": "hello"}


def open_socket(
    application: AsgiApplication,
    headers: Headers = NAMED,
    settings: Settings | None = None,
    *messages: Message,
    denial: bool = True,
) -> tuple[Reply, list[Fact]]:
    """Connect to *application* behind the gate."""
    events: list[Fact] = []
    gate: Any = TraceGate(application, runtime=runtime_of(settings or Settings(), events))
    reply = connect(gate, headers, Notes(peek=peek), *messages, denial=denial)
    assert reply.trace_outside == [None]
    assert not reply.illegal
    return reply, events


async def echo(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
    """Accept, repeat what comes, and close."""
    assert (await receive())["type"] == "websocket.connect"
    assert peek() is not None
    await send({"type": "websocket.accept", "subprotocol": "x", "headers": [(b"set-cookie", b"a=1")]})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
    await send({"type": "websocket.close", "code": 1000})


async def decline(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
    """Close before accepting."""
    await receive()
    await send({"type": "websocket.close", "code": 1008, "reason": "no"})


async def fail(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
    """Raise before accepting."""
    await receive()
    raise LookupError("s3cret")


async def return_at_once(scope: Message, receive: Receive, send: Send) -> None:
    """Do nothing."""


async def deny(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
    """Answer the handshake with an error of the application's own."""
    await receive()
    head = [(b"content-type", b"application/json"), (b"content-length", b"22")]
    await send({"type": "websocket.http.response.start", "status": 401, "headers": head})
    await send({"type": "websocket.http.response.body", "body": b'{"detail":"Not Found"}'})


@pytest.mark.contract("C1", "C8", "G1")
def test_an_accepted_handshake_carries_the_id_and_the_messages_pass() -> None:
    """The accept message keeps its subprotocol and headers; nothing is added to what follows."""
    reply, events = open_socket(echo, NAMED, None, ECHO)
    assert reply.status == 101
    assert reply.headers == [(b"set-cookie", b"a=1"), (b"x-trace-id", OWN)]
    assert reply.start_extras == {"subprotocol": "x"}
    assert reply.others == [{"type": "websocket.send", "text": "hello"}, {"type": "websocket.close", "code": 1000}]
    assert events == []


@pytest.mark.contract("C1", "C4")
@pytest.mark.parametrize(("application", "status"), [(decline, 403), (return_at_once, 500), (fail, 500)])
def test_what_ends_before_the_accept_becomes_a_traced_denial(application: AsgiApplication, status: int) -> None:
    """A close is a 403, a return or an exception a 500; the exception comes out afterwards."""
    reply, _ = open_socket(application)
    assert (reply.status, reply.clean) == (status, True)
    assert reply.values(b"x-trace-id") == [OWN]
    assert isinstance(reply.raised, LookupError) == (application is fail)
    error = json.loads(reply.body)
    assert error["trace_id"] == OWN.decode()
    assert b"s3cret" not in reply.body


@pytest.mark.contract("C1")
@pytest.mark.parametrize("application", [decline, fail])
def test_a_server_without_denials_gets_the_applications_own_end(application: AsgiApplication) -> None:
    """There is no place for an id then; what the bare application does stays."""
    reply, _ = open_socket(application, denial=False)
    assert reply.values(b"x-trace-id") == []
    assert isinstance(reply.raised, LookupError) == (application is fail)


@pytest.mark.contract("C1", "D1")
def test_a_denial_of_the_applications_own_is_marked() -> None:
    """It is an HTTP reply: header, member and length."""
    reply, _ = open_socket(deny)
    assert reply.status == 401
    assert reply.values(b"x-trace-id") == [OWN]
    assert json.loads(reply.body) == {"detail": "Not Found", "trace_id": OWN.decode()}
    assert reply.values(b"content-length") == [b"%d" % len(reply.body)]


@pytest.mark.contract("B3", "B4", "E2", "F3")
@pytest.mark.parametrize(
    ("headers", "detail", "kind"),
    [
        ((), "missing_trace_id", "missing_trace"),
        (((b"x-trace-id", b"bad"),), "invalid_trace_id_format", "invalid_trace"),
        (((b"x-trace-id", OWN), (b"x-trace-id", OTHER)), "conflicting_trace_id", "conflicting_trace"),
    ],
)
def test_a_handshake_without_a_good_id_is_refused(headers: Headers, detail: str, kind: str) -> None:
    """With a 409 where the server offers denials, else by closing."""
    calls: list[str] = []

    async def application(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
        calls.append("called")

    reply, events = open_socket(application, headers)
    assert (reply.status, calls) == (409, [])
    assert json.loads(reply.body)["details"] == [detail]
    assert is_minted(reply.values(b"x-trace-id")[0])
    assert [event.kind for event in events] == [kind]
    assert [event.transport for event in events] == ["websocket"]
    reply, events = open_socket(application, headers, denial=False)
    assert (reply.status, calls) == (403, [])
    assert [event.kind for event in events] == [kind]


@pytest.mark.contract("C3")
def test_an_accept_that_names_another_trace_is_refused() -> None:
    """The handshake is denied with a 409."""

    async def application(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
        await receive()
        await send({"type": "websocket.accept", "headers": [(b"x-trace-id", OTHER)]})

    reply, events = open_socket(application)
    assert reply.status == 409
    assert reply.values(b"x-trace-id") == [OWN]
    assert [event.kind for event in events] == ["trace_overwrite_refused"]


@pytest.mark.contract("C8")
@given(texts=st.lists(st.one_of(st.text(max_size=9), st.binary(max_size=9)), max_size=6))
def test_messages_of_an_open_socket_are_untouched(texts: list[str | bytes]) -> None:
    """Text and bytes pass in both directions, message for message."""

    async def application(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's signature
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})

    messages: list[Message] = [
        {"type": "websocket.receive", "bytes" if isinstance(text, bytes) else "text": text} for text in texts
    ]
    reply, _ = open_socket(application, NAMED, None, *messages)
    assert reply.others == [{**message, "type": "websocket.send"} for message in messages]
    assert reply.values(b"x-trace-id") == [OWN]
