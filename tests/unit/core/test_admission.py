"""What leaves, and what is recorded, where the gate does not let a request in, or lets it in against its will?"""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from tests.unit.fakes import OWN, OWN_TRACE, CountingMint
from tracegate.core.admission import inbound_event, refusal_reply
from tracegate.core.events import Event
from tracegate.core.gate import Refused
from tracegate.core.policy import Policy
from tracegate.core.refusal import refusal_object
from tracegate.core.terms import Terms
from tracegate.core.trace import Trace

DETAILS = [
    ("missing_trace_id", "missing_trace", "The request named no trace."),
    ("invalid_trace_id_format", "invalid_trace", "The request's trace id does not parse: 'bad'"),
    ("conflicting_trace_id", "conflicting_trace", "The request named more than one trace: 'bad'"),
]


@pytest.mark.contract("E1", "E2", "E3")
@pytest.mark.parametrize("detail", [row[0] for row in DETAILS])
def test_a_refused_request_gets_a_complete_409_under_a_real_id(detail: str) -> None:
    """In header and body, and nothing of what was rejected."""
    terms = Terms(Policy(header="X-Own"), CountingMint(), b"x-own")
    status, lines, body = refusal_reply(terms, Refused(detail, OWN_TRACE, "'bad'"), "GET", [], "/")
    document = json.loads(body)

    assert status == 409
    assert (b"x-own", OWN.encode()) in lines
    assert (document["trace_id"], document["details"], document["error_code"]) == (OWN, [detail], "SYS-004-409-TRACE")
    assert b"bad" not in body
    assert document["message"] == refusal_object(detail, OWN_TRACE, "X-Own").message


class Layer:
    """An application's own CORS layer, which remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, str, str]] = []

    def headers(self, origin: bytes, trace_header: str, path: str = "") -> list[tuple[bytes, bytes]]:
        self.asked.append((origin, trace_header, path))
        return []


@pytest.mark.contract("C6")
def test_the_applications_cors_layer_is_asked_about_the_refused_request() -> None:
    """Its origin and its path: layers differ by path."""
    layer = Layer()
    terms = Terms(Policy(header="X-Own"), CountingMint(), b"x-own", layer)
    refusal_reply(terms, Refused("missing_trace_id", OWN_TRACE, ""), "GET", [(b"origin", b"https://a.example")], "/pay")

    assert layer.asked == [(b"https://a.example", "X-Own", "/pay")]


@pytest.mark.contract("C6", "E1", "E2")
def test_it_follows_what_the_request_asks_of_an_answer() -> None:
    """The method, the media type and the origin."""
    terms = Terms(Policy(cors_origins=("*",)), CountingMint(), b"x-trace-id")
    request = [(b"accept", b"application/problem+json"), (b"origin", b"https://app.example")]
    _, lines, body = refusal_reply(terms, Refused("missing_trace_id", OWN_TRACE, ""), "HEAD", request, "/")

    assert body == b""
    assert lines == [
        (b"content-type", b"application/problem+json"),
        (b"cache-control", b"no-store"),
        (b"x-trace-id", OWN.encode()),
        (b"access-control-allow-origin", b"*"),
        (b"access-control-expose-headers", b"X-Trace-Id"),
    ]


@pytest.mark.contract("E3", "F1", "F2", "F3")
@pytest.mark.parametrize(("detail", "kind", "message"), DETAILS)
def test_a_refusal_is_one_event(detail: str, kind: str, message: str) -> None:
    """With what was rejected in it, escaped and bounded, and the id that the caller got."""
    rejected = "" if detail == "missing_trace_id" else "'bad'"
    event = inbound_event(Refused(detail, OWN_TRACE, rejected), "require", "POST", transport="websocket")

    assert event is not None
    blank = asdict(
        Event(
            kind="missing_trace",
            severity="error",
            component="tracegate.gate",
            message="",
            trace_id=OWN,
            stage="request",
        )
    )
    assert asdict(event) == {
        **blank, "kind": kind, "message": message, "method": "POST", "transport": "websocket", "status": 409,
        "mode": "require", "detail": detail,
    }  # fmt: skip


@pytest.mark.contract("B4", "F3")
@pytest.mark.parametrize(("detail", "kind", "message"), DETAILS)
def test_what_was_only_observed_is_an_event_that_says_so(detail: str, kind: str, message: str) -> None:
    """A warning, with no status yet, and ``would_refuse``."""
    trace = Trace.of(OWN_TRACE.id, "minted", fault=detail, rejected="" if detail == "missing_trace_id" else "'bad'")
    event = inbound_event(trace, "observe", "GET")

    assert event is not None
    assert (event.kind, event.message, event.detail, event.mode) == (kind, message, detail, "observe")
    assert (event.would_refuse, event.severity, event.status, event.transport) == (True, "warning", None, "http")
    assert event.trace_id == OWN


@pytest.mark.contract("F3")
@pytest.mark.parametrize("origin", ["header", "traceparent", "query", "minted"])
def test_a_request_without_a_fault_is_no_event(origin: str) -> None:
    """Minted for an exempt path, say."""
    assert inbound_event(Trace.of(OWN_TRACE.id, origin), "mint", "GET") is None  # type: ignore[arg-type]
