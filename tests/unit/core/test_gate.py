"""Under which trace does a request run, or why does it not get in? The rules B1 to B7, one by one and together."""

from __future__ import annotations

import pytest

from tests.unit.fakes import HEX, OTHER, OTHER_HEX, OWN, CountingMint, minted
from tracegate.core.gate import Gate, Refused
from tracegate.core.policy import Policy
from tracegate.core.trace import Trace

Lines = list[tuple[bytes, bytes]]

OWN_LINE = (b"x-trace-id", OWN.encode())
OTHER_LINE = (b"x-trace-id", OTHER.encode())
SPAN = "00f067aa0ba902b7"


def parent_line(trace_id: str, flags: str = "01") -> tuple[bytes, bytes]:
    """Return a traceparent line that names *trace_id*."""
    return (b"traceparent", f"00-{trace_id}-{SPAN}-{flags}".encode())


OWN_PARENT = parent_line(HEX)
OTHER_PARENT = parent_line(OTHER_HEX)
MISSING, INVALID, CONFLICT = "missing_trace_id", "invalid_trace_id_format", "conflicting_trace_id"


def decide(  # noqa: PLR0913, PLR0917 - the primitives of one request head
    policy: Policy,
    headers: Lines,
    method: str = "GET",
    path: str = "/orders",
    raw_path: bytes | None = None,
    query: bytes = b"",
    peer: str | None = "203.0.113.9",
) -> Trace | Refused:
    """Return what a fresh gate decides; what the one-pass :meth:`Gate.accept` says must never disagree."""
    gate = Gate(policy, CountingMint())
    decision = gate.decide(headers, method, path, raw_path, query, peer)
    quick = gate.accept(headers)
    if quick is not None:
        assert isinstance(decision, Trace)
        assert (quick.trace_id, quick.origin, quick.traceparent) == (decision.trace_id, decision.origin, None)
    return decision


def admitted(decision: Trace | Refused) -> Trace:
    """Return the trace of a decision that lets the request in."""
    assert isinstance(decision, Trace)
    return decision


def refused(decision: Trace | Refused) -> Refused:
    """Return a decision that does not, after a look at the id it carries: a real one, made for it (E3)."""
    assert isinstance(decision, Refused)
    assert decision.trace.trace_id == minted(1)
    assert decision.trace.minted
    return decision


NAMED = [
    ("the header", [OWN_LINE], OWN, "header"),
    ("the header in another case", [(b"X-Trace-ID", OWN.encode())], OWN, "header"),
    ("an upper-case spelling", [(b"x-trace-id", OWN.upper().encode())], OWN.upper(), "header"),
    ("32 digits", [(b"x-trace-id", HEX.encode())], HEX, "header"),
    ("white space around it", [(b"x-trace-id", b" \t" + OWN.encode() + b"\t ")], OWN, "header"),
    ("an equal line again", [OWN_LINE, OWN_LINE], OWN, "header"),
    ("an equal number spelled otherwise: the first stands", [OWN_LINE, (b"x-trace-id", HEX.encode())], OWN, "header"),
    ("an equal pair joined by a comma", [(b"x-trace-id", f"{OWN}, {OWN}".encode())], OWN, "header"),
    ("a comma and nothing", [(b"x-trace-id", f"{OWN},".encode())], OWN, "header"),
    ("a blank line and a good one", [(b"x-trace-id", b" "), OWN_LINE], OWN, "header"),
    ("a traceparent", [OWN_PARENT], HEX, "traceparent"),
    ("a traceparent in another case of its name", [(b"TraceParent", OWN_PARENT[1])], HEX, "traceparent"),
    ("a blank header and a traceparent", [(b"x-trace-id", b""), OWN_PARENT], HEX, "traceparent"),
    ("both, in agreement", [OWN_LINE, OWN_PARENT], OWN, "header"),
    ("both, the traceparent first", [OWN_PARENT, OWN_LINE], OWN, "header"),
    ("a header and a broken traceparent", [OWN_LINE, (b"traceparent", b"00-nope")], OWN, "header"),
    ("a header and two traceparents", [OWN_LINE, OTHER_PARENT, OTHER_PARENT], OWN, "header"),
]


@pytest.mark.contract("A1", "B1", "B2", "B3")
@pytest.mark.parametrize(("headers", "spelled", "origin"), [row[1:] for row in NAMED], ids=[row[0] for row in NAMED])
@pytest.mark.parametrize("mode", ["require", "mint", "observe"])
def test_a_request_that_names_one_number_runs_under_it(headers: Lines, spelled: str, origin: str, mode: str) -> None:
    """Whatever the mode, and in the caller's own spelling; no id is made for it."""
    trace = admitted(decide(Policy(mode=mode), headers))  # type: ignore[arg-type]

    assert (trace.trace_id, trace.origin) == (spelled, origin)
    assert (trace.fault, trace.rejected, trace.client_trace_id, trace.parent_trace_id) == (None, "", None, None)


REFUSED = [
    ("nothing", [], MISSING),
    ("other headers only", [(b"x-request-id", OWN.encode()), (b"accept", b"*/*")], MISSING),
    ("an empty header", [(b"x-trace-id", b"")], MISSING),
    ("blanks", [(b"x-trace-id", b" \t ")], MISSING),
    ("commas and blanks", [(b"x-trace-id", b" , ,")], MISSING),
    ("a broken traceparent", [(b"traceparent", b"00-zz")], MISSING),
    ("two equal traceparents", [OWN_PARENT, OWN_PARENT], MISSING),
    ("a tracestate alone", [(b"tracestate", b"a=b")], MISSING),
    ("text", [(b"x-trace-id", b"hello")], INVALID),
    ("the nil value", [(b"x-trace-id", b"0" * 32)], INVALID),
    ("31 digits", [(b"x-trace-id", HEX[:31].encode())], INVALID),
    ("33 digits", [(b"x-trace-id", HEX.encode() + b"0")], INVALID),
    ("braces", [(b"x-trace-id", b"{" + OWN.encode() + b"}")], INVALID),
    ("urn:uuid:", [(b"x-trace-id", b"urn:uuid:" + OWN.encode())], INVALID),
    ("Arabic-Indic digits", [(b"x-trace-id", "٤".encode() * 32)], INVALID),
    ("a line feed behind it", [(b"x-trace-id", OWN.encode() + b"\n")], INVALID),
    ("NUL", [(b"x-trace-id", OWN.encode() + b"\0")], INVALID),
    ("a no-break space in front", [(b"x-trace-id", b"\xa0" + OWN.encode())], INVALID),
    ("60 KB", [(b"x-trace-id", b"a" * 60_000)], INVALID),
    ("a good line and a bad one", [OWN_LINE, (b"x-trace-id", b"bad")], INVALID),
    ("a bad line and a good one", [(b"x-trace-id", b"bad"), OWN_LINE], INVALID),
    ("a bad header and a good traceparent", [(b"x-trace-id", b"bad"), OWN_PARENT], INVALID),
    ("a good and a bad one joined", [(b"x-trace-id", OWN.encode() + b",bad")], INVALID),
    ("two numbers in two lines", [OWN_LINE, OTHER_LINE], CONFLICT),
    ("two numbers joined by a comma", [(b"x-trace-id", f"{OWN}, {OTHER}".encode())], CONFLICT),
    ("three lines, the last one other", [OWN_LINE, OWN_LINE, OTHER_LINE], CONFLICT),
    ("header and traceparent of two numbers", [OWN_LINE, OTHER_PARENT], CONFLICT),
    (
        "an opt-in format that nobody opted into",
        [(b"x-trace-id", b"Root=1-67891233-abcdef012345678912345678")],
        INVALID,
    ),
]


@pytest.mark.contract("B1", "B2", "B3", "B4", "E2", "E3")
@pytest.mark.parametrize(("headers", "detail"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_anything_else_is_refused_with_the_detail_of_its_fault(headers: Lines, detail: str) -> None:
    """In mode require, the default; one id is minted for the refusal and no more."""
    assert refused(decide(Policy(), headers)).detail == detail


@pytest.mark.contract("B2", "B3", "B4")
@pytest.mark.parametrize(("headers", "detail"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_mode_mint_makes_an_id_where_none_is_named_and_still_refuses_bad_ones(headers: Lines, detail: str) -> None:
    """The edge has callers without an id; a caller who sends a wrong one must hear of it."""
    decision = decide(Policy(mode="mint"), headers)

    if detail == MISSING:
        trace = admitted(decision)
        assert (trace.trace_id, trace.minted, trace.fault) == (minted(1), True, None)
    else:
        assert refused(decision).detail == detail


@pytest.mark.contract("B4")
@pytest.mark.parametrize(("headers", "detail"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_mode_observe_lets_everyone_in_and_says_what_it_would_have_refused(headers: Lines, detail: str) -> None:
    """A new id, and the fault on the trace for the event."""
    trace = admitted(decide(Policy(mode="observe"), headers))

    assert (trace.trace_id, trace.minted, trace.fault) == (minted(1), True, detail)


@pytest.mark.contract("B1")
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"00-" + HEX.encode() + b"-" + SPAN.encode() + b"-01", True),
        (b"cc-" + HEX.encode() + b"-" + SPAN.encode() + b"-01-more", True),
        (b"00-" + HEX.encode() + b"-" + SPAN.encode() + b"-01-more", False),
        (b"ff-" + HEX.encode() + b"-" + SPAN.encode() + b"-01", False),
    ],
)
def test_a_traceparent_names_the_trace_only_where_w3c_says_that_it_parses(value: bytes, shown: bool) -> None:  # noqa: FBT001
    """One that does not is as good as none."""
    assert isinstance(decide(Policy(), [(b"traceparent", value)]), Trace) is shown


@pytest.mark.contract("B1", "B3")
def test_the_trace_keeps_what_the_traceparent_and_tracestate_said() -> None:
    """For flags, links and outbound calls."""
    trace = admitted(decide(Policy(), [OWN_LINE, OWN_PARENT, (b"tracestate", b"a=1"), (b"TraceState", b" b=2 ,")]))

    assert trace.traceparent is not None
    assert (trace.traceparent.parent_id, trace.traceparent.flags) == (SPAN, 1)
    assert trace.tracestate == "a=1,b=2"


@pytest.mark.contract("B3")
@pytest.mark.parametrize("parent", [[], [(b"traceparent", b"00-x")], [OWN_PARENT, OWN_PARENT]])
def test_a_tracestate_without_a_valid_traceparent_is_dropped(parent: Lines) -> None:
    """It means nothing by itself."""
    trace = admitted(decide(Policy(), [OWN_LINE, *parent, (b"tracestate", b"a=1")]))

    assert (trace.traceparent, trace.tracestate) == (None, None)


@pytest.mark.contract("B1", "B3")
def test_a_traceparent_that_names_the_trace_alone_keeps_its_tracestate() -> None:
    """As beside a header."""
    trace = admitted(decide(Policy(), [OWN_PARENT, (b"tracestate", b"a=1")]))

    assert (trace.origin, trace.tracestate) == ("traceparent", "a=1")
    assert (trace.w3c, trace.spelled_in) == (HEX, "")
    assert trace.traceparent is not None


@pytest.mark.contract("B1")
def test_the_name_of_the_header_is_the_policys() -> None:
    """In any case; the usual name then says nothing."""
    policy = Policy(header="X-Correlation-Id")

    assert admitted(decide(policy, [(b"x-CORRELATION-id", OWN.encode()), OTHER_LINE])).trace_id == OWN
    assert refused(decide(policy, [OWN_LINE])).detail == MISSING


@pytest.mark.contract("A3")
@pytest.mark.parametrize(
    ("formats", "spelled"),
    [
        (("aws",), "Root=1-67891233-abcdef012345678912345678"),
        (("ulid",), "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        (("opaque",), "tenant-7.order~99"),
        (("nginx", "aws"), "Root=1-67891233-abcdef012345678912345678"),
    ],
)
def test_ids_of_other_fleets_get_in_where_their_format_is_named(formats: tuple[str, ...], spelled: str) -> None:
    """Whole, and in their own spelling; the same id is refused where the format is not named."""
    line = (b"x-trace-id", spelled.encode())

    assert admitted(decide(Policy(formats=formats), [line])).trace_id == spelled
    assert refused(decide(Policy(), [line])).detail == INVALID


# A mesh that adds its own traceparent


@pytest.mark.contract("B2")
def test_a_mesh_may_add_its_own_traceparent_where_the_policy_says_so() -> None:
    """The header is bound, and the other number is kept."""
    trace = admitted(decide(Policy(traceparent_mismatch="parent"), [OWN_LINE, OTHER_PARENT]))

    assert (trace.trace_id, trace.origin, trace.parent_trace_id) == (OWN, "header", OTHER_HEX)


@pytest.mark.contract("B2")
@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        ([OWN_LINE, OWN_PARENT], (OWN, None)),
        ([OTHER_PARENT], (OTHER_HEX, None)),
        ([OWN_LINE, OTHER_LINE, OWN_PARENT], CONFLICT),
        ([(b"x-trace-id", b"bad"), OTHER_PARENT], INVALID),
        ([], MISSING),
    ],
)
def test_the_mesh_setting_waives_nothing_else(headers: Lines, outcome: object) -> None:
    """Two headers still conflict, a bad one is still bad, and an equal traceparent is no other."""
    decision = decide(Policy(traceparent_mismatch="parent"), headers)

    if isinstance(decision, Refused):
        assert decision.detail == outcome
    else:
        assert (decision.trace_id, decision.parent_trace_id) == outcome


# Modes by path, exempt paths, preflights


@pytest.mark.contract("B4")
@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/", "require"),
        ("/edge", "mint"),
        ("/edge/a/b", "mint"),
        ("/edges", "require"),
        ("/edge/strict", "require"),
        ("/edge/strict/x", "observe"),
        ("/edge//strict", "require"),
        ("/edge/../x", "require"),
        ("/edge/.", "require"),
    ],
)
def test_a_mode_can_be_set_for_a_part_of_the_paths(path: str, mode: str) -> None:
    """By whole segments, the most specific rule wins, and a path that could be read otherwise gets the general mode."""
    policy = Policy(modes={"/edge/*": "mint", "/edge/strict": "require", "/edge/strict/*": "observe"})

    assert Gate(policy, CountingMint()).mode_of(path, None) == mode


@pytest.mark.contract("B4")
def test_the_mode_of_a_path_decides_about_a_missing_id() -> None:
    """Here: a strict corner of an open service, and the other way round."""
    strict_corner = Policy(mode="mint", modes={"/pay/*": "require"})
    open_corner = Policy(modes={"/edge/*": "mint", "/trial/*": "observe"})

    assert admitted(decide(strict_corner, [], path="/shop")).minted
    assert refused(decide(strict_corner, [], path="/pay/1")).detail == MISSING
    assert admitted(decide(open_corner, [], path="/edge/x")).fault is None
    assert admitted(decide(open_corner, [], path="/trial")).fault == MISSING
    assert refused(decide(open_corner, [], path="/edge/x", raw_path=b"/edge%2Fx")).detail == MISSING


EXEMPT = Policy(exempt_paths=("/healthz", "/probes/*"))


@pytest.mark.contract("B5")
@pytest.mark.parametrize(
    ("path", "raw_path", "is_exempt"),
    [
        ("/healthz", None, True),
        ("/healthz", b"/healthz", True),
        ("/healthz/", None, False),
        ("/healthz/deep", None, False),
        ("/HEALTHZ", None, False),
        ("/probes", None, True),
        ("/probes/", None, True),
        ("/probes/live", b"/probes/live", True),
        ("/probesx", None, False),
        ("/x/probes/live", None, False),
        ("/probes//live", None, False),
        ("//probes/live", None, False),
        ("/probes/./live", None, False),
        ("/probes/.", None, False),
        ("/probes/..", None, False),
        ("/probes/../pay", None, False),
        ("/probes/..x", None, True),
        ("/probes/.hidden", None, True),
        ("/probes/live", b"/probes%2flive", False),
        ("/probes/live", b"/probes%2Flive", False),
        ("/probes/live", b"/prob%65s/live", True),
    ],
)
def test_an_exempt_path_needs_no_id_and_only_itself_is_exempt(
    path: str, raw_path: bytes | None, *, is_exempt: bool
) -> None:
    """Whole segments of the decoded path; nothing that another reader could resolve to another path."""
    decision = decide(EXEMPT, [], path=path, raw_path=raw_path)

    assert isinstance(decision, Trace) is is_exempt
    if is_exempt:
        assert (admitted(decision).minted, admitted(decision).fault) == (True, None)


@pytest.mark.contract("B5")
@pytest.mark.parametrize("mode", ["require", "mint", "observe"])
def test_an_exempt_path_is_exempt_in_every_mode_and_no_fault(mode: str) -> None:
    """A probe without an id is nothing to observe."""
    policy = Policy(mode=mode, exempt_paths=("/healthz",))  # type: ignore[arg-type]

    assert admitted(decide(policy, [], path="/healthz")).fault is None


PREFLIGHT: Lines = [(b"Origin", b"https://app.example"), (b"Access-Control-Request-Method", b"POST")]


@pytest.mark.contract("B5")
def test_a_cors_preflight_needs_no_id() -> None:
    """A browser cannot put one there."""
    assert admitted(decide(Policy(), PREFLIGHT, "OPTIONS")).minted


@pytest.mark.contract("B5")
@pytest.mark.parametrize(
    ("headers", "method"),
    [
        (PREFLIGHT, "GET"),
        (PREFLIGHT, "options"),
        (PREFLIGHT[:1], "OPTIONS"),
        (PREFLIGHT[1:], "OPTIONS"),
        ([], "OPTIONS"),
    ],
)
def test_what_only_resembles_a_preflight_needs_an_id(headers: Lines, method: str) -> None:
    """OPTIONS, Origin and Access-Control-Request-Method, all three."""
    assert refused(decide(Policy(), headers, method)).detail == MISSING


@pytest.mark.contract("B2", "B3", "B5")
@pytest.mark.parametrize(
    ("lines", "detail"),
    [([(b"x-trace-id", b"bad")], INVALID), ([OWN_LINE, OTHER_LINE], CONFLICT), ([OWN_LINE, OTHER_PARENT], CONFLICT)],
)
def test_exemption_relaxes_a_missing_id_only(lines: Lines, detail: str) -> None:
    """A bad id and a conflict are refused on exempt paths and preflights too."""
    assert refused(decide(EXEMPT, lines, path="/healthz")).detail == detail
    assert refused(decide(Policy(), [*PREFLIGHT, *lines], "OPTIONS")).detail == detail


@pytest.mark.contract("B5")
def test_an_id_on_an_exempt_path_is_used() -> None:
    """Exempt means "may be without", not "is without"."""
    assert admitted(decide(EXEMPT, [OWN_LINE], path="/healthz")).trace_id == OWN


# Who is trusted

INSIDE = Policy(trusted=("10.0.0.0/8", "2001:db8::/32", "192.0.2.7"))


@pytest.mark.contract("B6")
@pytest.mark.parametrize(
    ("peer", "is_trusted"),
    [
        ("10.1.2.3", True),
        ("11.0.0.1", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.0.0.1", False),
        ("unix", False),
        ("", False),
        (None, False),
        ("10.1.2.3:80", False),
    ],
)
def test_only_a_trusted_peer_names_a_trace(peer: str | None, *, is_trusted: bool) -> None:
    """IPv4, IPv6 and IPv4 in IPv6; an unknown peer is untrusted."""
    trace = admitted(decide(INSIDE, [OWN_LINE], peer=peer))

    assert (trace.trace_id, trace.client_trace_id) == ((OWN, None) if is_trusted else (minted(1), OWN))
    assert trace.minted is not is_trusted


@pytest.mark.contract("B6")
def test_a_peer_keeps_its_trust_from_request_to_request() -> None:
    """Whatever was asked in between, however many peers there are."""
    gate = Gate(INSIDE, CountingMint())

    for number in range(10_000):
        peer = f"10.{number // 65536}.{number // 256 % 256}.{number % 256}"
        assert admitted(gate.decide([OWN_LINE], "GET", "/", peer=peer)).trace_id == OWN
    for peer, spelled in (("10.0.0.1", OWN), ("10.0.0.1", OWN)):
        assert admitted(gate.decide([OWN_LINE], "GET", "/", peer=peer)).trace_id == spelled
    for _ in range(2):
        assert admitted(gate.decide([OWN_LINE], "GET", "/", peer="198.51.100.1")).client_trace_id == OWN


@pytest.mark.contract("B6")
@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ([], None),
        ([OWN_LINE], OWN),
        ([(b"x-trace-id", b"bad")], None),
        ([(b"x-trace-id", b"bad"), OTHER_LINE], OTHER),
        ([OWN_LINE, OTHER_LINE], OWN),
        ([OTHER_PARENT], OTHER_HEX),
        ([OWN_LINE, OTHER_PARENT], OWN),
    ],
)
@pytest.mark.parametrize("mode", ["require", "mint", "observe"])
def test_from_anyone_else_nothing_is_refused_and_a_valid_id_is_kept_aside(
    headers: Lines, client: str | None, mode: str
) -> None:
    """In every mode; and it is no fault that anyone observes."""
    trace = admitted(decide(Policy(mode=mode, trusted=("10.0.0.0/8",)), headers))  # type: ignore[arg-type]

    assert (trace.trace_id, trace.minted, trace.client_trace_id, trace.fault) == (minted(1), True, client, None)


@pytest.mark.contract("B6")
def test_what_an_untrusted_traceparent_said_is_kept_for_a_link() -> None:
    """As is its tracestate."""
    trace = admitted(decide(INSIDE, [OTHER_PARENT, (b"tracestate", b"a=1")], peer=None))

    assert trace.traceparent is not None
    assert (trace.traceparent.trace_id, trace.tracestate) == (OTHER_HEX, "a=1")


@pytest.mark.contract("B6")
def test_a_predicate_may_decide_about_the_peer() -> None:
    """It gets the address as the server tells it, None where the server does not."""
    asked: list[str | None] = []

    def is_inside(peer: str | None) -> bool:
        asked.append(peer)
        return peer == "gateway"

    policy = Policy(trusted=is_inside)

    assert admitted(decide(policy, [OWN_LINE], peer="gateway")).trace_id == OWN
    assert admitted(decide(policy, [OWN_LINE], peer=None)).client_trace_id == OWN
    assert asked == ["gateway", None]


@pytest.mark.contract("B6")
def test_a_predicate_that_raises_trusts_nobody() -> None:
    """The operator's mistake takes no request down, and opens no door."""

    def fails(_peer: str | None) -> bool:
        raise KeyError("no such peer")

    assert admitted(decide(Policy(trusted=fails), [OWN_LINE])).client_trace_id == OWN


@pytest.mark.contract("B6")
def test_everyone_is_trusted_by_default_and_no_one_by_an_empty_list() -> None:
    """An empty tuple names no network."""
    assert admitted(decide(Policy(), [OWN_LINE], peer=None)).trace_id == OWN
    assert admitted(decide(Policy(trusted=()), [OWN_LINE], peer="127.0.0.1")).client_trace_id == OWN


# The query

BY_QUERY = Policy(query_parameter="trace")


@pytest.mark.contract("B7")
@pytest.mark.parametrize(
    ("query", "spelled"),
    [
        (b"trace=" + OWN.encode(), OWN),
        (b"a=1&trace=" + OWN.encode() + b"&b=2", OWN),
        (b"tr%61ce=" + OWN.replace("-", "%2D").encode(), OWN),
        (b"trace=" + OWN.encode() + b"&trace=" + HEX.encode(), OWN),
        (b"trace=&trace=" + HEX.encode(), HEX),
        (b"junk=%ff\xfe&trace=" + HEX.encode(), HEX),
    ],
)
def test_a_client_that_cannot_set_headers_names_its_trace_in_the_query(query: bytes, spelled: str) -> None:
    """Where the operator said so, in the parameter that the operator named."""
    trace = admitted(decide(BY_QUERY, [], query=query))

    assert (trace.trace_id, trace.origin) == (spelled, "query")


@pytest.mark.contract("B2", "B3", "B7")
@pytest.mark.parametrize(
    ("headers", "query", "detail"),
    [
        ([], b"", MISSING),
        ([], b"trace=", MISSING),
        ([], b"trace", MISSING),
        ([], b"other=" + OWN.encode(), MISSING),
        ([], b"Trace=" + OWN.encode(), MISSING),
        ([], b"trace=bad", INVALID),
        ([], b"trace=%ff", INVALID),
        ([OWN_LINE], b"trace=bad", INVALID),
        ([OWN_LINE], b"trace=" + OTHER.encode(), CONFLICT),
        ([OWN_PARENT], b"trace=" + OTHER.encode(), CONFLICT),
        ([], b"trace=%s&trace=%s" % (OWN.encode(), OTHER.encode()), CONFLICT),
    ],
)
def test_the_query_is_one_more_source_under_the_same_rules(headers: Lines, query: bytes, detail: str) -> None:
    """Missing, invalid and conflicting as for headers."""
    assert refused(decide(BY_QUERY, headers, query=query)).detail == detail


@pytest.mark.contract("B1", "B7")
def test_a_header_that_agrees_with_the_query_comes_first() -> None:
    """Its spelling is bound, and the traceparent may agree too."""
    trace = admitted(decide(BY_QUERY, [OWN_LINE, OWN_PARENT], query=b"trace=" + HEX.encode()))

    assert (trace.trace_id, trace.origin) == (OWN, "header")


@pytest.mark.contract("B7")
def test_without_the_setting_a_query_names_nothing() -> None:
    """And refuses nothing."""
    assert refused(decide(Policy(), [], query=b"trace=" + OWN.encode())).detail == MISSING
    assert admitted(decide(Policy(), [OWN_LINE], query=b"trace=" + OTHER.encode())).trace_id == OWN


@pytest.mark.contract("B7")
def test_a_parameters_name_may_be_any_text() -> None:
    """It is compared as the UTF-8 that browsers send."""
    assert admitted(decide(Policy(query_parameter="spør"), [], query=b"sp%C3%B8r=" + OWN.encode())).trace_id == OWN


# What is rejected, for the event


@pytest.mark.contract("E3")
@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ([], ""),
        ([(b"x-trace-id", b"bad")], "'bad'"),
        ([(b"x-trace-id", b"\x1b[31m\xff\n'")], '"\\x1b[31m\\xff\\n\'"'),
        ([(b"x-trace-id", b"a" * 60_000)], f"'{'a' * 64}'"),
        ([(b"x-trace-id", b"1,2,3,4,5")], "'1', '2', '3', '4'"),
        ([OWN_LINE, OTHER_PARENT], f"'{OWN}', traceparent {OTHER_HEX}"),
    ],
)
def test_what_was_rejected_is_kept_in_an_escaped_and_bounded_form(headers: Lines, shown: str) -> None:
    """Printable ASCII, 64 bytes of a value, four values."""
    assert refused(decide(Policy(), headers)).rejected == shown
    assert admitted(decide(Policy(mode="observe"), headers)).rejected == shown


# The quick ways in


@pytest.mark.contract("B1", "B2", "B3")
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"x-trace-id", b"bad")],
        [(b"x-trace-id", b" " + OWN.encode())],
        [OWN_LINE, OWN_LINE],
        [OWN_LINE, OTHER_LINE],
        [OWN_PARENT],
        [OWN_LINE, OWN_PARENT],
        [OWN_PARENT, OWN_LINE],
        [(b"x-trace-id", b"0" * 32)],
    ],
)
def test_the_quick_way_in_has_no_answer_where_there_is_something_to_weigh(headers: Lines) -> None:
    """Then the gate decides in full."""
    assert Gate(Policy(), CountingMint()).accept(headers) is None


@pytest.mark.contract("B1")
@pytest.mark.parametrize("spelled", [OWN, HEX, OWN.upper()])
def test_the_quick_way_in_takes_the_usual_request(spelled: str) -> None:
    """One good id between other headers."""
    gate = Gate(Policy(), CountingMint())
    headers = [(b"host", b"h"), (b"x-trace-id", spelled.encode()), (b"accept", b"*/*")]

    for trace in (gate.accept(headers), gate.accept_value(spelled.encode())):
        assert trace is not None
        assert (trace.trace_id, trace.origin) == (spelled, "header")


@pytest.mark.contract("B6", "B7")
@pytest.mark.parametrize("policy", [INSIDE, BY_QUERY])
def test_the_quick_way_in_is_shut_where_more_than_headers_decides(policy: Policy) -> None:
    """Who the peer is, or what the query says."""
    gate = Gate(policy, CountingMint())

    assert gate.accept([OWN_LINE]) is None
    assert gate.accept_value(OWN.encode()) is None


@pytest.mark.contract("B3")
@pytest.mark.parametrize("value", [b"", b"bad", b"0" * 32, OWN.encode() + b" ", f"{OWN},{OWN}".encode()])
def test_the_quick_way_in_takes_no_value_but_one_good_id(value: bytes) -> None:
    """What is left over is weighed in full."""
    assert Gate(Policy(), CountingMint()).accept_value(value) is None


@pytest.mark.contract("B6")
@pytest.mark.parametrize("answer", [1, "yes", object()])
def test_a_predicate_that_says_anything_but_true_trusts_nobody(answer: object) -> None:
    """A forgotten await opens no door."""
    policy = Policy(trusted=lambda _peer: answer)  # type: ignore[arg-type, return-value]

    assert admitted(decide(policy, [OWN_LINE])).client_trace_id == OWN
