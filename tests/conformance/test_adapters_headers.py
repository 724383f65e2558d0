"""Are hostile header values accepted whole or refused whole by both adapters?"""

from __future__ import annotations

import pytest

from tests.conformance.adapter_vectors import header_values, traceparent_vectors
from tests.property.drivers.gates import play
from tests.property.drivers.record import Transport
from tests.property.oracle.ids import is_minted, number_of
from tests.property.oracle.verdict import faults_of
from tests.property.plan import Plan, Request, Settings

TRANSPORTS: tuple[Transport, ...] = ("asgi", "wsgi")


@pytest.mark.contract("A3", "B3", "E3")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_value_as_an_inbound_id(transport: Transport) -> None:
    """1,819 strings: the oracle's decision, one well-formed reply, and nothing of the value in it."""
    plan = Plan()
    for value in header_values():
        request = Request(headers=((b"x-trace-id", value),))
        outcome = play(transport, plan, request)
        assert faults_of(transport, plan, request, Settings(), outcome) == [], value
        reply = outcome.reply
        assert reply.clean, value
        assert not reply.illegal, value
        (spelled,) = reply.values(b"x-trace-id")
        if reply.status == 409:
            assert is_minted(spelled), value
            assert len(value) < 8 or value not in reply.body, value
            assert len(outcome.events[0].message) < 1000, value
        else:
            assert number_of(spelled) is not None, value


@pytest.mark.contract("A3", "B3")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_value_as_an_opaque_id(transport: Transport) -> None:
    """With the format `opaque` a token is echoed whole, and everything else refused whole."""
    allowed = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=:@-")
    for value in header_values():
        outcome = play(transport, Plan(), Request(headers=((b"x-trace-id", value),)), Settings(formats=("opaque",)))
        reply = outcome.reply
        assert reply.clean, value
        text = value.strip(b" \t")
        is_token = 0 < len(text) <= 128 and allowed.issuperset(text)
        if text == value and is_token and set(value) - set(b"0-"):
            assert (reply.status, reply.values(b"x-trace-id")) == (200, [value])
        elif not is_token and b"," not in value:
            assert reply.status == 409, value
            assert is_minted(reply.values(b"x-trace-id")[0])


@pytest.mark.contract("A2", "B1", "B3")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_traceparent_of_the_w3c_suite(transport: Transport) -> None:
    """Valid ones bind their trace, the others count as absent."""
    for headers, valid in traceparent_vectors():
        request = Request(headers=headers)
        outcome = play(transport, Plan(), request, Settings(mode="mint"))
        assert faults_of(transport, Plan(), request, Settings(mode="mint"), outcome) == [], headers
        (spelled,) = outcome.reply.values(b"x-trace-id")
        named = [value.split(b"-")[1] for name, value in headers if name.lower() == b"traceparent" and valid]
        assert named == [spelled] if valid else is_minted(spelled), headers
