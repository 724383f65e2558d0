"""Does an outbound call carry the trace, and nothing malformed?"""

from __future__ import annotations

import pytest

from tracegate.core.outgoing import outgoing_headers
from tracegate.core.trace_id import TraceId, mint_trace_id
from tracegate.core.w3c import TraceContext, TraceParent

SPELLED = "4BF92F35-77B3-4DA6-A3CE-929D0E0E4736"
HEX = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACE = TraceId.from_text(SPELLED)
CALLER = "00f067aa0ba902b7"
SPAN = "b7ad6b7169203331"


@pytest.mark.contract("A1", "A2", "G5")
def test_a_trace_named_by_its_header_alone_begins_a_sampled_traceparent() -> None:
    """The spelling goes on as it came; the number makes the traceparent; nobody vouches for random bits."""
    assert outgoing_headers(TRACE, SPAN) == [
        ("X-Trace-Id", SPELLED),
        ("traceparent", f"00-{HEX}-{SPAN}-01"),
    ]


@pytest.mark.contract("A4", "G5")
def test_a_minted_trace_says_that_its_bits_are_random() -> None:
    """The last 56 bits of a UUID version 4 are random, all of them."""
    trace = mint_trace_id(bytes(range(16)))

    assert outgoing_headers(trace, SPAN, minted=True) == [
        ("X-Trace-Id", "00010203-0405-4607-8809-0a0b0c0d0e0f"),
        ("traceparent", f"00-000102030405460788090a0b0c0d0e0f-{SPAN}-03"),
    ]


@pytest.mark.contract("A2", "G5")
@pytest.mark.parametrize(
    ("received", "sent"), [(0, "00"), (1, "01"), (2, "02"), (3, "03"), (0x05, "01"), (0xFE, "02"), (0xFF, "03")]
)
def test_a_continued_traceparent_keeps_sampled_and_random_and_clears_the_rest(received: int, sent: str) -> None:
    """The caller decided about sampling; an unset random flag must stay unset; reserved bits are zero."""
    inbound = TraceContext(TraceParent(HEX, CALLER, received))

    assert outgoing_headers(TRACE, SPAN, inbound=inbound) == [
        ("X-Trace-Id", SPELLED),
        ("traceparent", f"00-{HEX}-{SPAN}-{sent}"),
    ]


@pytest.mark.contract("B1", "G5")
def test_the_tracestate_goes_on_beside_its_traceparent() -> None:
    """As one field, as it was cleaned on the way in."""
    inbound = TraceContext(TraceParent(HEX, CALLER, 1), "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")

    assert outgoing_headers(TRACE, SPAN, inbound=inbound)[2:] == [
        ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
    ]


@pytest.mark.contract("B2", "G5")
def test_the_trace_of_a_mesh_is_continued_under_its_own_number() -> None:
    """Where the policy lets a mesh name another trace, the header carries ours and the traceparent the mesh's."""
    inbound = TraceContext(TraceParent("0af7651916cd43dd8448eb211c80319c", CALLER, 1))

    assert outgoing_headers(TRACE, SPAN, inbound=inbound, minted=True) == [
        ("X-Trace-Id", SPELLED),
        ("traceparent", f"00-0af7651916cd43dd8448eb211c80319c-{SPAN}-01"),
    ]


@pytest.mark.contract("B1")
def test_the_name_of_the_header_is_the_policys() -> None:
    """The next service may know it under another name."""
    assert outgoing_headers(TRACE, SPAN, header="X-Request-Id")[0] == ("X-Request-Id", SPELLED)


@pytest.mark.contract("A3", "G5")
def test_a_trace_of_another_fleet_is_spelled_in_its_header_and_numbered_in_its_traceparent() -> None:
    """The token is never re-spelled, and every service derives the same number from it."""
    trace = TraceId.from_text("ticket/42", ("opaque",))

    assert outgoing_headers(trace, SPAN) == [
        ("X-Trace-Id", "ticket/42"),
        ("traceparent", f"00-{trace.w3c}-{SPAN}-01"),
    ]


@pytest.mark.contract("G5")
@pytest.mark.parametrize("parent_id", ["", "0" * 16, SPAN.upper(), SPAN[:15], SPAN + "0", SPAN + "\r\nX-Evil: 1"])
def test_a_malformed_span_is_an_error(parent_id: str) -> None:
    """A hook that makes no proper span id hears of it before anything is sent."""
    with pytest.raises(ValueError, match="not the ids of a traceparent"):
        outgoing_headers(TRACE, parent_id)
    with pytest.raises(ValueError, match="not the ids of a traceparent"):
        outgoing_headers(TRACE, parent_id, inbound=TraceContext(TraceParent(HEX, CALLER, 1)))


@pytest.mark.contract("G5")
@pytest.mark.parametrize("tracestate", ["", "foo", "foo=1\r\nX-Evil: 1", "foo=\u0661", " foo=1", "foo=1,,bar=2"])
def test_a_tracestate_that_was_not_cleaned_is_an_error(tracestate: str) -> None:
    """A value that no parser of ours returned is not sent."""
    with pytest.raises(ValueError, match="not a tracestate"):
        outgoing_headers(TRACE, SPAN, inbound=TraceContext(TraceParent(HEX, CALLER, 1), tracestate))
