"""Do the public JSON vectors, as error bodies, leave both adapters as the contract says?"""

from __future__ import annotations

import json

import pytest

from tests.conformance.adapter_vectors import BodyVector, body_vectors
from tests.property.drivers.gates import play
from tests.property.drivers.record import Outcome, Transport
from tests.property.oracle.ids import number_of
from tests.property.oracle.marks import is_insertion, naming, object_in
from tests.property.oracle.verdict import faults_of
from tests.property.plan import OWN, Plan, Request, Settings

TRANSPORTS: tuple[Transport, ...] = ("asgi", "wsgi")
NUMBER = number_of(OWN) or 0


def reply_to(transport: Transport, vector: BodyVector, chunks: tuple[bytes, ...], settings: Settings) -> Outcome:
    """Play *vector* as an error body and assert that the oracle finds no fault."""
    plan = Plan(404, ((b"content-type", vector.content_type),), chunks)
    outcome = play(transport, plan, settings=settings)
    assert faults_of(transport, plan, Request(), settings, outcome) == [], vector.id
    return outcome


def judge(vector: BodyVector, outcome: Outcome) -> None:
    """Assert what the vector itself says, beside the oracle."""
    body = outcome.reply.body
    document = object_in(vector.body)
    named = document is not None and naming(vector.body, document, NUMBER) != "absent"
    enveloped = b'"original"' in body and is_envelope(body)
    if vector.expect == "inject":
        assert is_insertion(vector.body, body), vector.id
        assert body != vector.body, vector.id
    elif vector.expect == "either":
        assert enveloped or is_insertion(vector.body, body), vector.id
    elif not named:
        assert enveloped or not vector.body.strip(), vector.id
    assert body.count(OWN) >= 1, vector.id


def is_envelope(body: bytes) -> bool:
    """Say whether *body* is the standard error around an original."""
    document = object_in(body)
    return document is not None and {"error_code", "message", "trace_id", "details", "original"} == {
        member.name for member in document.members
    }


@pytest.mark.contract("D1", "D2")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_vector_whole(transport: Transport) -> None:
    """689 bodies in one chunk."""
    for vector in body_vectors():
        outcome = reply_to(transport, vector, (vector.body,), Settings())
        judge(vector, outcome)


@pytest.mark.contract("D1", "D2", "D5")
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("bound", [1 << 20, 4])
def test_every_vector_cut_at_every_byte(transport: Transport, bound: int) -> None:
    """One byte in each chunk (big vectors: pieces of a prime length), below the bound and above it."""
    for vector in body_vectors():
        step = 1 if len(vector.body) <= 300 else 997
        chunks = tuple(vector.body[at : at + step] for at in range(0, len(vector.body), step))
        outcome = reply_to(transport, vector, chunks, Settings(max_error_body=bound))
        if bound > 4:
            judge(vector, outcome)


@pytest.mark.contract("D1")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_vectors_that_name_a_trace_follow_d1(transport: Transport) -> None:
    """A null is replaced, other values are refused."""
    named = {vector.id: vector for vector in body_vectors() if vector.id.startswith("own/exists-")}
    assert len(named) == 7
    for name, vector in named.items():
        outcome = reply_to(transport, vector, (vector.body,), Settings())
        if name == "own/exists-null":
            assert outcome.reply.status == 404
            assert json.loads(outcome.reply.body) == {"trace_id": OWN.decode()}
        else:
            assert outcome.reply.status == 409, name


@pytest.mark.contract("C8", "D4")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_vector_as_a_success_is_untouched(transport: Transport) -> None:
    """By default a success body passes, whatever it is; with `bodies="all"` objects are marked as they stream."""
    for vector in body_vectors():
        plan = Plan(200, ((b"content-type", vector.content_type),), (vector.body,))
        for settings in (Settings(), Settings(bodies="all")):
            outcome = play(transport, plan, settings=settings)
            assert faults_of(transport, plan, Request(), settings, outcome) == [], vector.id
