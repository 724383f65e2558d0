"""Does every generated ASGI application leave the gate as the contract says (I1)?"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.drivers.gates import play
from tests.property.drivers.record import ClientGoneError, Interruption, ServerError, Staging
from tests.property.laws import obey
from tests.property.oracle import sse_text
from tests.property.plan import OWN, Fault, Plan, Raise, Request, Settings
from tests.property.strategies.bodies import chunked
from tests.property.strategies.plans import (
    error_plans,
    illegal_plans,
    stream_plans,
    success_objects,
    success_plans,
    with_coding,
    with_faults,
    with_length,
    with_own_id,
    with_shape,
)
from tests.property.strategies.policies import inbound_settings, small_bounds
from tests.property.strategies.requests import any_requests, named_requests
from tests.property.strategies.streams import conflicting_streams, event_streams

REQUESTS = named_requests()
ANY_PLANS = st.one_of(success_plans, error_plans, stream_plans)
EARLY = (Fault.RAISE_BEFORE_START, Fault.NO_REPLY, Fault.BODY_FIRST)
LATE = (Fault.RAISE_MID_BODY, Fault.RETURN_MID_BODY, Fault.START_TWICE, Fault.RAISE_AFTER_END, Fault.SEND_AFTER_END)
HELLO = Plan()


@pytest.mark.contract("A1", "A2", "A3", "A4", "B1", "B2", "B3", "B4", "B5", "B6", "B7", "E1", "E2", "E3", "F3")
@given(request=any_requests(), settings=inbound_settings)
def test_the_request_alone_decides_the_trace_or_the_refusal(request: Request, settings: Settings) -> None:
    """Any mix of ids, traceparents, query parameters, peers and modes binds, mints or refuses as the oracle does."""
    obey("asgi", HELLO, request, settings)


@pytest.mark.contract("B1", "C8")
@given(request=any_requests(), plan=with_shape(ANY_PLANS, "asgi"))
def test_a_one_shot_scope_decides_the_same(request: Request, plan: Plan) -> None:
    """A scope without its optional keys, whose headers can be read once only, changes nothing."""
    request = replace(request, client=None)
    obey("asgi", HELLO, request, staging=Staging(one_shot=True))
    obey("asgi", plan, staging=Staging(one_shot=True))


@pytest.mark.contract("C1", "C6", "C8", "G1", "G2")
@given(plan=with_shape(success_plans, "asgi"), request=REQUESTS)
def test_a_reply_that_is_no_error_json_is_untouched(plan: Plan, request: Request) -> None:
    """It gets one id line; its other headers, bytes and message boundaries stay."""
    obey("asgi", plan, request)


@pytest.mark.contract("C1", "C8")
@given(plan=with_length(with_shape(success_plans, "asgi")), request=REQUESTS)
def test_a_right_length_stays(plan: Plan, request: Request) -> None:
    """A declared length that is right is passed on."""
    obey("asgi", plan, request)


@pytest.mark.contract("C1", "D1", "D2", "D5", "E1", "G1")
@given(plan=with_shape(error_plans, "asgi"), request=REQUESTS)
def test_error_json_is_marked_and_keeps_every_other_byte(plan: Plan, request: Request) -> None:
    """Objects get one member, everything else the envelope; another trace in it is refused."""
    obey("asgi", plan, request)


@pytest.mark.contract("D5")
@given(plan=with_length(with_shape(error_plans, "asgi")), request=REQUESTS)
def test_a_rewritten_body_gets_its_right_length(plan: Plan, request: Request) -> None:
    """A declared length is replaced by the length of what is sent."""
    obey("asgi", plan, request)


@pytest.mark.contract("D5")
@given(plan=with_shape(with_coding(error_plans), "asgi"), request=REQUESTS)
def test_a_compressed_error_is_marked_inside(plan: Plan, request: Request) -> None:
    """Known codings are decoded and re-sent as identity; the others become the standard error."""
    obey("asgi", plan, request)


@pytest.mark.contract("D5", "E4")
@given(plan=with_shape(error_plans, "asgi"), settings=small_bounds)
def test_an_error_above_the_bound_is_marked_as_a_stream(plan: Plan, settings: Settings) -> None:
    """The same law as below the bound, but for a length, and for faults that are seen too late."""
    obey("asgi", plan, settings=settings)


@pytest.mark.contract("D4")
@given(plan=with_shape(st.one_of(success_objects, success_plans), "asgi"), request=REQUESTS)
def test_success_objects_are_marked_where_the_policy_says_so(plan: Plan, request: Request) -> None:
    """`bodies="all"` extends D1 to success JSON objects and to nothing else."""
    obey("asgi", plan, request, Settings(bodies="all"))


@pytest.mark.contract("D3")
@given(plan=with_shape(success_plans, "asgi"), request=REQUESTS)
def test_text_errors_become_the_standard_error_where_the_policy_says_so(plan: Plan, request: Request) -> None:
    """`error_bodies="json"` turns text and HTML errors into E1 and leaves the rest."""
    obey("asgi", plan, request, Settings(error_bodies="json"))


@pytest.mark.contract("D6", "C1")
@given(plan=with_shape(stream_plans, "asgi"), request=REQUESTS)
def test_each_event_of_a_stream_is_marked(plan: Plan, request: Request) -> None:
    """parse(out) minus the trace is parse(in), for every cut, line ending and byte order mark."""
    obey("asgi", plan, request)


@pytest.mark.contract("D6")
@given(plan=with_length(with_shape(with_coding(stream_plans), "asgi")))
def test_an_encoded_stream_is_decoded_as_it_comes(plan: Plan) -> None:
    """Content-Encoding and Content-Length are gone, the events are the same."""
    obey("asgi", plan)


@pytest.mark.contract("D6")
@given(
    plan=with_shape(stream_plans, "asgi"),
    carrier=st.sampled_from(["auto", "field"]),
    bound=st.sampled_from([1, 16, 64]),
)
def test_the_carrier_and_the_bound_of_events_do_not_change_what_is_read(plan: Plan, carrier: str, bound: int) -> None:
    """Field lines only, and events above the bound, obey the same law."""
    assert carrier in ("auto", "field")
    obey("asgi", plan, settings=Settings(sse_carrier="auto" if carrier == "auto" else "field", max_sse_event=bound))


@pytest.mark.contract("D7", "E3", "E4")
@given(chunks=chunked(conflicting_streams, 8), request=REQUESTS, sse_error=st.sampled_from(["standard", "openai"]))
def test_an_event_that_names_another_trace_ends_the_stream(
    chunks: tuple[bytes, ...], request: Request, sse_error: str
) -> None:
    """The events before it leave marked, then one error event, and no clean end."""
    plan = Plan(headers=((b"content-type", b"text/event-stream"),), chunks=chunks)
    obey("asgi", plan, request, Settings(sse_error="openai" if sse_error == "openai" else "standard"))


@pytest.mark.contract("D6", "C8")
@given(chunks=chunked(event_streams, 8))
def test_an_event_is_out_before_the_next_chunk_is_asked_for(chunks: tuple[bytes, ...]) -> None:
    """Whatever a chunk completes has left when the application produces its next one."""
    plan = Plan(headers=((b"content-type", b"text/event-stream"),), chunks=chunks)
    outcome = obey("asgi", plan)
    for number, out in enumerate(outcome.notes.delivered_before_chunk):
        asked = len(sse_text.split(b"".join(chunks[:number]))[1])
        assert len(sse_text.split(outcome.reply.body[:out])[1]) >= asked


@pytest.mark.contract("C3", "E2", "E3", "F3")
@given(plan=with_shape(with_own_id(ANY_PLANS, equal=False), "asgi"), request=REQUESTS)
def test_an_application_cannot_name_another_trace(plan: Plan, request: Request) -> None:
    """Another, an invalid or a repeated id is refused; its body and its representation headers stay behind."""
    obey("asgi", plan, request)


@pytest.mark.contract("A1", "C3")
@given(plan=with_shape(with_own_id(ANY_PLANS, equal=True), "asgi"), request=REQUESTS)
def test_an_equal_id_stays_as_the_application_spelled_it(plan: Plan, request: Request) -> None:
    """Equality is by number; nothing is re-spelled."""
    obey("asgi", plan, request)


@pytest.mark.contract("B4", "C3", "D1", "F3")
@given(
    plan=with_shape(with_own_id(ANY_PLANS, equal=False), "asgi"),
    settings=st.sampled_from([Settings(mode="observe"), Settings(on_conflict="keep")]),
)
def test_what_a_policy_keeps_is_delivered_and_recorded(plan: Plan, settings: Settings) -> None:
    """Mode `observe` and `on_conflict="keep"` deliver the application's own value, with one event."""
    obey("asgi", plan, settings=settings)


@pytest.mark.contract("C10")
@given(plan=with_shape(illegal_plans, "asgi"), request=REQUESTS)
def test_a_head_that_a_server_would_refuse_becomes_a_traced_500(plan: Plan, request: Request) -> None:
    """Illegal names, values, lengths and statuses never reach the server."""
    obey("asgi", plan, request)


@pytest.mark.contract("C4", "E1")
@given(plan=with_faults(with_shape(ANY_PLANS, "asgi"), EARLY), request=named_requests(head=True))
def test_a_fault_before_the_reply_becomes_one_traced_500(plan: Plan, request: Request) -> None:
    """Then the same exception comes out, after the last send; cancellation and the like pass with nothing sent."""
    obey("asgi", plan, request)


@pytest.mark.contract("C4", "C5", "D7")
@given(plan=with_faults(with_shape(ANY_PLANS, "asgi"), LATE), request=REQUESTS)
def test_a_fault_after_the_start_is_never_a_clean_end(plan: Plan, request: Request) -> None:
    """The body is left unterminated (a stream with one error event), and the same exception comes out."""
    obey("asgi", plan, request)


@pytest.mark.contract("C5")
@given(plan=with_length(with_shape(ANY_PLANS, "asgi"), right=False), request=REQUESTS)
def test_a_wrong_length_is_never_a_clean_end(plan: Plan, request: Request) -> None:
    """A body shorter or longer than its declared length does not end as if it were whole."""
    obey("asgi", plan, request)


@pytest.mark.contract("C1", "D5")
@given(plan=with_shape(ANY_PLANS, "asgi"), request=named_requests(head=True))
def test_a_reply_to_head_has_its_id_and_no_wrong_length(plan: Plan, request: Request) -> None:
    """HEAD of error JSON drops Content-Length, because the body for GET would have another one."""
    obey("asgi", plan, replace(request, method="HEAD"))


@pytest.mark.contract("B8", "C2")
@given(
    plan=with_faults(with_shape(ANY_PLANS, "asgi"), (Fault.NONE, *EARLY, *LATE)),
    request=any_requests(),
    settings=inbound_settings,
)
def test_two_gates_are_as_one(plan: Plan, request: Request, settings: Settings) -> None:
    """A gate behind a gate adds nothing: no line, no member, no event, no other trace."""
    obey("asgi", HELLO, request, settings, Staging(gates=2))
    obey("asgi", plan, staging=Staging(gates=2))


@pytest.mark.contract("C8", "D1", "D6")
@given(
    plan=st.one_of(success_plans, error_plans, stream_plans),
    shaped=st.lists(st.integers(0, 10_000), max_size=6),
    settings=st.one_of(st.just(Settings()), small_bounds),
)
def test_the_cut_of_a_body_changes_nothing(plan: Plan, shaped: list[int], settings: Settings) -> None:
    """The same bytes in other pieces give the same reply, byte for byte, wherever the whole can be judged."""
    body = plan.body
    places = sorted(cut % (len(body) + 1) for cut in shaped)
    cut = replace(plan, chunks=tuple(body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)))
    whole, pieces = (obey("asgi", each, settings=settings).reply for each in (replace(plan, chunks=(body,)), cut))
    if whole.clean and pieces.clean:
        assert (whole.status, whole.headers, whole.body) == (pieces.status, pieces.headers, pieces.body)


@pytest.mark.contract("C5", "G2")
@given(
    plan=with_shape(ANY_PLANS, "asgi"),
    interruption=st.builds(Interruption, st.sampled_from(["gone", "dies", "cancel"]), st.integers(0, 6)),
)
def test_a_lost_client_a_dead_server_and_a_cancellation_are_no_refusals(plan: Plan, interruption: Interruption) -> None:
    """Nothing more is sent, no trace stays behind, and it counts as no missing trace."""
    outcome = play("asgi", plan, staging=Staging(interruption=interruption))
    reply = outcome.reply
    assert all(trace is None for trace in reply.trace_outside)
    assert not reply.illegal
    assert "missing_trace" not in {event.kind for event in outcome.events}
    if reply.sends > interruption.at:
        kinds = {"gone": ClientGoneError, "dies": ServerError, "cancel": asyncio.CancelledError}
        # A server that dies is told of the failure it looks like, once; a client that left, or a cancellation, is not.
        assert reply.sends <= interruption.at + (2 if interruption.kind == "dies" else 1)
        assert isinstance(reply.raised, kinds[interruption.kind])
        assert not reply.clean or interruption.kind == "cancel"


@pytest.mark.contract("G1", "G2")
@given(
    plan=with_faults(with_shape(ANY_PLANS, "asgi"), (Fault.NONE, Fault.RAISE_MID_BODY), (Raise.VALUE_ERROR,)),
    request=any_requests(),
)
def test_the_trace_is_bound_inside_and_nowhere_else(plan: Plan, request: Request) -> None:
    """current_trace() is the header's id at every step of the application, and None in the server before and after."""
    outcome = obey("asgi", HELLO, request, Settings(mode="mint"))
    if outcome.notes.entered:
        assert set(outcome.notes.inside) == {outcome.reply.values(b"x-trace-id")[0].decode()}
    outcome = obey("asgi", plan)
    assert set(outcome.notes.inside) == {OWN.decode()}
