"""Does the oracle read the contract right, and does it bite?

An oracle that finds nothing proves nothing: its readers are checked on the public vectors, and its judgement on gates
that each get one thing wrong.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.adapter_vectors import body_vectors, stream_vectors, traceparent_vectors
from tests.property.drivers import asgi
from tests.property.drivers.asgi import AsgiApplication, Message, Receive, Send
from tests.property.drivers.asgi_application import asgi_application
from tests.property.drivers.record import Notes, Outcome, Reply
from tests.property.oracle import json_text, sse_text
from tests.property.oracle.ids import traceparent_number
from tests.property.oracle.marks import events_faults, object_faults
from tests.property.oracle.verdict import faults_of
from tests.property.plan import OTHER, OWN, Fault, Plan, Request, Settings


def kind_of(body: bytes) -> str:
    """Return the kind of the JSON value, or that there is none."""
    try:
        return json_text.read(body).kind
    except json_text.NotJsonError:
        return "not JSON"


@pytest.mark.contract("I1")
def test_the_json_reader_agrees_with_the_public_vectors() -> None:
    """What is to be injected is an object; what is to stay is none, but for those that name a trace."""
    for vector in body_vectors():
        is_object = kind_of(vector.body) == "object"
        if vector.expect == "inject":
            assert is_object, vector.id
        elif vector.expect == "untouched":
            assert is_object == vector.id.startswith("own/exists-"), vector.id


@pytest.mark.contract("I1")
def test_the_event_reader_agrees_with_the_public_vectors() -> None:
    """Events, retries and comments of every stream, big ones included."""
    for vector in (*stream_vectors(), *stream_vectors(big=True)):
        reading = sse_text.read(vector.stream)
        assert tuple((event.event, event.data, event.id) for event in reading.events) == vector.events, vector.id
        assert reading.retries == vector.retries, vector.id
        assert reading.comments == vector.comments, vector.id


@pytest.mark.contract("I1")
def test_the_traceparent_reader_agrees_with_the_w3c_suite() -> None:
    """Every header set of the suite, with its reference parser's verdict."""
    for headers, valid in traceparent_vectors():
        lines = [value for name, value in headers if name.lower() == b"traceparent"]
        assert (traceparent_number(lines) is not None) == valid, headers


@pytest.mark.contract("I1")
@pytest.mark.parametrize(
    "after",
    [
        b'{"a":1}',
        b'{"a": 1,"trace_id":"%s"}' % OWN,
        b'{"a":1,"trace_id":"%s"}' % OTHER,
        b'{"a":1,"trace_id":"%s"}' % OWN.upper(),
        b'{"a":1,"trace_id":"%s","trace_id":"%s"}' % (OWN, OWN),
        b'{"trace_id":"%s"}' % OWN,
        b'{"a":1,"b":{"trace_id":"%s"}}' % OWN,
        b'{"a":1,"trace_id":"%s"} ' % OWN,
        b'{"a":1.0,"trace_id":"%s"}' % OWN,
        b'{"a":1,trace_id:"%s"}' % OWN,
    ],
)
def test_a_wrong_splice_is_found(after: bytes) -> None:
    """Unmarked, re-spaced, another id, re-spelled, doubled, lost, nested, padded, re-written, broken."""
    assert object_faults(b'{"a":1}', after, OWN)
    assert not object_faults(b'{"a":1}', b'{"a":1,"trace_id":"%s"}' % OWN, OWN)


@pytest.mark.contract("I1")
@pytest.mark.parametrize(
    "after",
    [
        b"data: a\r\n\r\n",
        b"data: a\r\n\r\ntrace_id: %s\r\n\r\n" % OWN,
        b"data: a\r\ntrace_id: %s\n\r\n" % OWN,
        b"data: a\ntrace_id: %s\n\n" % OWN,
        b"trace_id: %s\r\ndata: a\r\n\r\n" % OWN,
        b"data: a\r\ntrace_id: %s\r\n\r\n" % OTHER,
        b"data: a\r\ntrace_id: %s\r\n\r\n\r\n" % OWN,
        b'data: {"trace_id":"%s"}\r\n\r\n' % OWN,
        b"data: a\r\nid: 1\r\ntrace_id: %s\r\n\r\n" % OWN,
    ],
)
def test_a_wrong_mark_in_a_stream_is_found(after: bytes) -> None:
    """Unmarked, a block of its own, another ending, other endings, not last, another id, one more block, other data."""
    assert events_faults(b"data: a\r\n\r\n", after, OWN)
    assert not events_faults(b"data: a\r\n\r\n", b"data: a\r\ntrace_id: %s\r\n\r\n" % OWN, OWN)


Gate = Callable[[AsgiApplication], AsgiApplication]


def bare(application: AsgiApplication) -> AsgiApplication:
    """No gate at all."""
    return application


def header_only(application: AsgiApplication, *lines: tuple[bytes, bytes]) -> AsgiApplication:
    """Return a gate that adds one header to whatever starts, and does nothing else."""

    async def gate(scope: Message, receive: Receive, send: Send) -> None:
        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *(lines or [(b"x-trace-id", OWN)])]}
            await send(message)

        await application(scope, receive, named)

    return gate


def doubling(application: AsgiApplication) -> AsgiApplication:
    """Add the id twice."""
    return header_only(header_only(application))


def chatty(application: AsgiApplication) -> AsgiApplication:
    """Add another header, too."""
    return header_only(application, (b"x-trace-id", OWN), (b"x-powered-by", b"x"))


def buffering(application: AsgiApplication) -> AsgiApplication:
    """Send the body in one piece."""

    async def gate(scope: Message, receive: Receive, send: Send) -> None:
        whole = bytearray()

        async def held(message: Message) -> None:
            if message["type"] == "http.response.body":
                whole.extend(message.get("body", b""))
                if message.get("more_body"):
                    return
                message = {**message, "body": bytes(whole)}
            await send(message)

        await header_only(application)(scope, receive, held)

    return gate


def soothing(application: AsgiApplication) -> AsgiApplication:
    """End every reply cleanly, whatever happened."""

    async def gate(scope: Message, receive: Receive, send: Send) -> None:
        try:
            await header_only(application)(scope, receive, send)
        except ValueError:
            await send({"type": "http.response.body"})

    return gate


PLAIN = Plan(chunks=(b"a", b"b"))
ERROR = Plan(404, ((b"content-type", b"application/json"),), (b"{}",))
STREAM = Plan(200, ((b"content-type", b"text/event-stream"),), (b"data: x\n\n",))


@pytest.mark.contract("I1")
@pytest.mark.parametrize(
    ("gate", "plan", "found"),
    [
        (bare, PLAIN, True),
        (header_only, PLAIN, False),
        (doubling, PLAIN, True),
        (chatty, PLAIN, True),
        (buffering, PLAIN, True),
        (header_only, ERROR, True),
        (header_only, STREAM, True),
        (header_only, Plan(fault=Fault.RAISE_BEFORE_START), True),
        (header_only, Plan(fault=Fault.NO_REPLY), True),
        (header_only, Plan(fault=Fault.RAISE_MID_BODY, fault_after=1), True),
        (soothing, Plan(fault=Fault.RAISE_MID_BODY, fault_after=1), True),
        (header_only, Plan(headers=((b"x-trace-id", OTHER),)), True),
        (header_only, Plan(headers=((b"x-a", b"\n"),)), True),
    ],
)
def test_a_wrong_gate_is_found(gate: Gate, plan: Plan, found: bool) -> None:  # noqa: FBT001  a parameter
    """Each of these gates breaks one law, or keeps the only one that is at stake."""
    reply = Reply()
    notes = Notes(peek=OWN.decode, reply=reply)
    asgi.exchange(gate(asgi_application(plan, notes)), Request(), notes)
    reply.trace_outside.clear()
    assert bool(faults_of("asgi", plan, Request(), Settings(), Outcome(reply, notes))) == found
