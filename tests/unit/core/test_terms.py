"""What do all exchanges of one gate share: the marked head, the gate's own replies, the last event of a stream?"""

from __future__ import annotations

import json

import pytest

from tests.unit.fakes import HEX, OWN, OWN_TRACE, CountingMint, minted
from tracegate.core.cors import CorsRules
from tracegate.core.head import ReplyHead
from tracegate.core.policy import Policy
from tracegate.core.refusal import error_object, refusal_object
from tracegate.core.terms import Terms
from tracegate.core.trace import Trace
from tracegate.core.trace_id import TraceId
from tracegate.core.w3c import TraceParent

Lines = list[tuple[bytes, bytes]]
ID_LINE = (b"x-trace-id", OWN.encode())
ORIGIN = (b"origin", b"https://app.example")


def terms_of(policy: Policy | None = None, header: bytes = b"x-trace-id", cors: CorsRules | None = None) -> Terms:
    """Return the terms of a gate of its own."""
    return Terms(policy or Policy(), CountingMint(), header, cors)


def marked(policy: Policy, lines: Lines, trace: Trace = OWN_TRACE, header: bytes = b"x-trace-id") -> Lines:
    """Return a head of 200 with *lines* as it leaves."""
    terms = terms_of(policy, header)
    head = terms.heads.read(200, lines)
    assert isinstance(head, ReplyHead)
    before = list(lines)
    found = terms.marked(head, head.headers, trace)
    assert lines == before, "the application's list was changed"
    assert found is not lines or found == before
    return found


@pytest.mark.contract("C1", "C8")
def test_a_head_gets_the_trace_header_behind_its_own_lines() -> None:
    """As the protocol spells its name, and as the caller spelled the id."""
    upper = Trace.of(TraceId.from_text(OWN.upper()), "header")

    assert marked(Policy(), [(b"a", b"b")]) == [(b"a", b"b"), ID_LINE]
    assert marked(Policy(), [], upper, b"X-Trace-Id") == [(b"X-Trace-Id", OWN.upper().encode())]


@pytest.mark.contract("C1", "C3")
def test_a_head_that_has_the_trace_header_keeps_it() -> None:
    """The exchange has looked at its value."""
    lines = [(b"X-Trace-ID", HEX.encode()), (b"a", b"b")]

    assert marked(Policy(), lines) == lines


@pytest.mark.contract("C6")
def test_the_trace_header_is_exposed_on_cors_replies_only() -> None:
    """Merged into what is exposed already."""
    cors = (b"access-control-allow-origin", b"*")

    assert marked(Policy(), [cors]) == [cors, ID_LINE, (b"access-control-expose-headers", b"x-trace-id")]
    assert marked(Policy(), [cors, (b"access-control-expose-headers", b"A")]) == [
        cors,
        (b"access-control-expose-headers", b"A, x-trace-id"),
        ID_LINE,
    ]
    assert marked(Policy(), [(b"access-control-expose-headers", b"A")])[0] == (b"access-control-expose-headers", b"A")


# traceresponse and Server-Timing


OWN_TAIL = HEX[16:]
PARENT = TraceParent(HEX, "00f067aa0ba902b7", 3)


@pytest.mark.contract("C7")
@pytest.mark.parametrize(
    ("trace", "value"),
    [
        (OWN_TRACE, f"00-{HEX}-{OWN_TAIL}-00"),
        (Trace.of(OWN_TRACE.id, "header", traceparent=PARENT), f"00-{HEX}-00f067aa0ba902b7-03"),
        (Trace.of(TraceId.from_text("1" + "0" * 31), "header"), f"00-1{'0' * 31}-1{'0' * 15}-00"),
    ],
)
def test_the_opt_in_headers_name_the_trace_as_w3c_does(trace: Trace, value: str) -> None:
    """With the caller's span and flags, else with a span that is not zero."""
    plain = [(b"x-trace-id", trace.raw)]

    assert marked(Policy(traceresponse=True), [], trace) == [*plain, (b"traceresponse", value.encode())]
    assert marked(Policy(server_timing=True), [], trace) == [
        *plain,
        (b"server-timing", b"trace;desc=" + value.encode()),
    ]
    assert len(marked(Policy(traceresponse=True, server_timing=True), [], trace)) == 3


@pytest.mark.contract("C3", "C7")
def test_the_opt_in_headers_touch_nothing_that_is_there() -> None:
    """A traceresponse stays the only one; a Server-Timing gets company."""
    lines = [(b"TraceResponse", b"00-x"), (b"Server-Timing", b"db;dur=5")]
    found = marked(Policy(traceresponse=True, server_timing=True), lines)

    assert found[:3] == [*lines, ID_LINE]
    assert [name for name, _ in found] == [b"TraceResponse", b"Server-Timing", b"x-trace-id", b"server-timing"]


@pytest.mark.contract("C7", "C8")
@pytest.mark.parametrize(
    ("policy", "plain"),
    [
        (Policy(), True),
        (Policy(traceresponse=True), False),
        (Policy(server_timing=True), False),
        (Policy(bodies="all"), False),
        (Policy(error_bodies="json"), True),
    ],
)
def test_success_heads_are_plain_where_the_policy_asks_nothing_of_them(policy: Policy, *, plain: bool) -> None:
    """Then the hot path may take them."""
    assert bool(terms_of(policy).plain) is plain


# The gate's own replies


def own(
    policy: Policy | None = None,
    request: Lines | None = None,
    kept: Lines | None = None,
    method: str = "GET",
    cors: CorsRules | None = None,
) -> tuple[Lines, bytes]:
    """Return the head and body of a 500 of the gate's own."""
    return terms_of(policy, cors=cors).own_headers(error_object(500, OWN_TRACE), request or [], kept or [], method, "/")


@pytest.mark.contract("C1", "C4", "E1")
def test_a_reply_of_the_gates_own_is_complete() -> None:
    """Type, length, no-store and the id, once."""
    lines, body = own()

    assert lines == [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        ID_LINE,
    ]
    assert json.loads(body)["trace_id"] == OWN


@pytest.mark.contract("D5", "E1")
def test_for_head_it_has_no_body_and_no_length() -> None:
    """Nothing that a server could count."""
    lines, body = own(method="HEAD")

    assert body == b""
    assert [name for name, _ in lines] == [b"content-type", b"cache-control", b"x-trace-id"]


@pytest.mark.contract("C1", "D2", "E2")
def test_the_applications_headers_that_stay_come_first() -> None:
    """Its own trace header does not stay; its Cache-Control stands for ours."""
    lines, _ = own(kept=[(b"set-cookie", b"a=1"), (b"X-Trace-ID", b"other"), (b"Cache-Control", b"private")])

    assert [name for name, _ in lines] == [
        b"set-cookie", b"Cache-Control", b"content-type", b"content-length", b"x-trace-id",
    ]  # fmt: skip
    assert lines[-1] == ID_LINE


@pytest.mark.contract("E1")
def test_the_body_follows_the_callers_accept_lines() -> None:
    """All of them as one list (RFC 9110, section 5.3)."""
    lines, _ = own(request=[(b"accept", b"application/json;q=0.5"), (b"Accept", b"application/problem+json")])

    assert lines[0] == (b"content-type", b"application/problem+json")


@pytest.mark.parametrize(
    ("request_lines", "accept"),
    [
        ([], None),
        ([(b"accept-language", b"de")], None),
        ([(b"ACCEPT", b"a/b")], b"a/b"),
        ([(b"accept", b"a/b"), (b"x", b"y"), (b"accept", b"c/d")], b"a/b, c/d"),
    ],
)
def test_the_accept_lines_of_a_request_are_one_list(request_lines: Lines, accept: bytes | None) -> None:
    """Or None where there is none."""
    assert Terms.accept(request_lines) == accept


RULES = CorsRules(origins=("https://app.example",))


@pytest.mark.contract("C6")
def test_a_browser_can_read_the_gates_own_reply() -> None:
    """Where the rules of the application or of the policy allow its origin."""
    allow = (b"access-control-allow-origin", b"https://app.example")

    for lines in (
        own(request=[ORIGIN], cors=RULES)[0],
        own(Policy(cors_origins=("https://app.example",)), [ORIGIN])[0],
    ):
        assert lines[4:] == [allow, (b"access-control-expose-headers", b"X-Trace-Id"), (b"vary", b"Origin")]


@pytest.mark.contract("C6")
def test_the_applications_own_rules_come_before_the_policys() -> None:
    """The integration knows better."""
    lines, _ = own(Policy(cors_origins=("*",)), [(b"origin", b"https://else.example")], cors=RULES)

    assert [name for name, _ in lines][4:] == []


@pytest.mark.contract("C6")
@pytest.mark.parametrize(
    ("request_lines", "cors"),
    [([], RULES), ([ORIGIN], None), ([(b"origin", b"https://else.example")], RULES)],
)
def test_no_cors_header_is_added_where_none_is_due(request_lines: Lines, cors: CorsRules | None) -> None:
    """Without an origin, without rules, or for another origin."""
    assert len(own(request=request_lines, cors=cors)[0]) == 4


@pytest.mark.contract("C6", "E2")
def test_the_cors_headers_that_the_application_gave_are_kept_and_merged() -> None:
    """Not given again."""
    kept = [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", b"A")]
    lines, _ = own(request=[ORIGIN], kept=kept, cors=RULES)

    assert lines[:2] == [kept[0], (b"access-control-expose-headers", b"A, x-trace-id")]
    assert [name for name, _ in lines[2:]] == [b"content-type", b"content-length", b"cache-control", b"x-trace-id"]


# The last event of a failed stream


@pytest.mark.contract("D7")
def test_the_error_event_is_one_event_with_the_standard_object() -> None:
    """Named ``error``, on one line."""
    event = terms_of().error_event(error_object(500, OWN_TRACE))
    head, data = event.split(b"\ndata: ")

    assert head == b"event: error"
    assert data.endswith(b"}\n\n")
    assert json.loads(data) == {
        "error_code": "SYS-003-500", "message": "Internal Server Error", "trace_id": OWN, "details": [],
    }  # fmt: skip


@pytest.mark.contract("D7")
def test_the_error_event_for_openais_clients_has_an_error_member() -> None:
    """Beside the standard ones."""
    error = refusal_object("trace_overwrite_refused", OWN_TRACE, "X-Trace-Id", 200)
    document = json.loads(terms_of(Policy(sse_error="openai")).error_event(error).split(b"data: ")[1])

    assert document["error"] == {"message": error.message, "type": "server_error", "code": "SYS-004-409-TRACE"}
    assert {name: document[name] for name in ("trace_id", "details", "refused_status")} == {
        "trace_id": OWN, "details": ["trace_overwrite_refused"], "refused_status": 200,
    }  # fmt: skip


class Failing:
    """A CORS layer of the application's that does not work."""

    def headers(self, origin: bytes, trace_header: str, path: str = "") -> list[tuple[bytes, bytes]]:
        raise KeyError(origin, trace_header, path)


@pytest.mark.contract("C1", "C6")
def test_a_cors_layer_that_fails_takes_nothing_from_the_reply_but_its_headers() -> None:
    """The error and its id leave."""
    terms = Terms(Policy(), CountingMint(), b"x-trace-id", Failing())
    lines, _ = terms.own_headers(error_object(500, OWN_TRACE), [ORIGIN], [], "GET", "/")

    assert lines[-1] == ID_LINE


class Asked:
    """A CORS layer of the application's that keeps what it was asked."""

    def __init__(self) -> None:
        self.origins: list[bytes] = []

    def headers(self, origin: bytes, trace_header: str, path: str = "") -> list[tuple[bytes, bytes]]:
        self.origins.append(origin)
        return [(b"access-control-allow-origin", b"*"), (b"x-asked", trace_header.encode() + path.encode())]


@pytest.mark.contract("C6")
def test_a_cors_layer_is_asked_about_an_origin_only() -> None:
    """A request that names none gets no CORS header, whatever the layer would say."""
    layer = Asked()
    terms = Terms(Policy(), CountingMint(), b"x-trace-id", layer)
    error = error_object(500, OWN_TRACE)

    assert len(terms.own_headers(error, [], [], "GET", "/")[0]) == 4
    assert layer.origins == []
    assert (b"x-asked", b"X-Trace-Id/") in terms.own_headers(error, [ORIGIN], [], "GET", "/")[0]
    assert layer.origins == [ORIGIN[1]]


@pytest.mark.contract("A4", "B4")
def test_the_gate_of_the_terms_makes_its_ids_with_their_mint() -> None:
    """Where the mode says so."""
    trace = terms_of(Policy(mode="mint")).gate.decide([], "GET", "/")

    assert isinstance(trace, Trace)
    assert trace.trace_id == minted(1)
