"""What leaves for one reply, whatever the application does? Every state with every input, then clause by clause."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.fakes import HEX, OTHER, OTHER_HEX, OWN, OWN_TRACE, CountingMint
from tracegate.core.events import Event
from tracegate.core.exchange import Exchange, Part, Signal, Start, State
from tracegate.core.policy import Policy
from tracegate.core.terms import Terms
from tracegate.core.trace import Trace
from tracegate.errors import MissingTraceError, ReplyError

Lines = list[tuple[bytes, bytes]]
JSON = (b"content-type", b"application/json")
SSE = (b"content-type", b"text/event-stream")
TEXT = (b"content-type", b"text/plain")
ID_LINE = (b"x-trace-id", OWN.encode())
OTHER_LINE = (b"x-trace-id", OTHER.encode())
MEMBER = b'"trace_id":"%s"' % OWN.encode()
END, ABORT = Signal.END, Signal.ABORT
GZIP = (b"content-encoding", b"gzip")


def opened(policy: Policy | None = None, method: str = "GET", headers: Lines | None = None, **facts: Any) -> Exchange:  # noqa: ANN401
    """Return an exchange whose reply has not begun."""
    terms = Terms(policy or Policy(), CountingMint(), b"x-trace-id")
    return Exchange(terms, OWN_TRACE, method, "/orders", headers or [], **facts)


def started(status: int, *lines: tuple[bytes, bytes], **given: Any) -> Exchange:  # noqa: ANN401
    """Return an exchange after its start, which did not pass."""
    exchange = opened(**given)
    assert exchange.start(status, list(lines)) is None
    return exchange


def whole(exchange: Exchange, *pieces: bytes) -> list[Part]:
    """Feed a whole body and the application's return; return all that leaves."""
    parts: list[Part] = []
    for piece in pieces:
        exchange.body(piece, more=True)
        parts += exchange.take()
    exchange.body(b"", more=False)
    exchange.finish()
    return [*parts, *exchange.take()]


def body_of(parts: list[Part] | tuple[Part, ...]) -> bytes:
    """Return the body bytes among *parts*."""
    return b"".join(part for part in parts if isinstance(part, bytes))


def head_of(parts: list[Part] | tuple[Part, ...]) -> Start:
    """Return the head among *parts*: the first of them, and the only one."""
    heads = [part for part in parts if isinstance(part, Start)]
    assert heads == [parts[0]]
    assert [name.lower() for name, _ in heads[0].headers].count(b"x-trace-id") == 1
    return heads[0]


def only(exchange: Exchange) -> Event:
    """Return the one event, of which there is no second."""
    (event,) = exchange.take_events()
    assert exchange.take_events() == ()
    return event


def error_in(parts: list[Part] | tuple[Part, ...]) -> dict[str, Any]:
    """Return the standard error object of a complete reply."""
    head, body, end = parts
    assert isinstance(head, Start)
    assert isinstance(body, bytes)
    assert end is END
    assert (b"content-length", b"%d" % len(body)) in head.headers
    found: dict[str, Any] = json.loads(body)
    return found


# Every state, with every input


def _open() -> Exchange:
    return opened()


def _held() -> Exchange:
    exchange = started(404, JSON)
    exchange.body(b'{"a":', more=True)
    return exchange


def _waiting() -> Exchange:
    return started(200, SSE)


def _empty() -> Exchange:
    exchange = _waiting()
    exchange.body(b"", more=False)
    return exchange


def _passing() -> Exchange:
    exchange = opened()
    assert exchange.start(200, []) == [ID_LINE]
    return exchange


def _treated() -> Exchange:
    exchange = _waiting()
    exchange.body(b"data: x\n\n", more=True)
    return exchange


def _closing() -> Exchange:
    exchange = _treated()
    exchange.body(b"", more=False)
    return exchange


def _replaced() -> Exchange:
    exchange = opened()
    exchange.fail(ValueError())
    return exchange


def _done() -> Exchange:
    exchange = _closing()
    exchange.release()
    return exchange


def _aborted() -> Exchange:
    exchange = _treated()
    exchange.fail(ValueError())
    return exchange


STATES: dict[State, Callable[[], Exchange]] = {
    State.OPEN: _open,
    State.HELD: _held,
    State.WAITING: _waiting,
    State.EMPTY: _empty,
    State.PASSING: _passing,
    State.TREATED: _treated,
    State.CLOSING: _closing,
    State.REPLACED: _replaced,
    State.DONE: _done,
    State.ABORTED: _aborted,
}
INPUTS: dict[str, Callable[[Exchange], object]] = {
    "start": lambda exchange: exchange.start(404, [JSON]),
    "piece": lambda exchange: exchange.body(b"data: y\n\n", more=True),
    "nothing": lambda exchange: exchange.body(b"", more=True),
    "end": lambda exchange: exchange.body(b"", more=False),
    "raise": lambda exchange: exchange.fail(ValueError("secret")),
    "no trace": lambda exchange: exchange.fail(MissingTraceError()),
    "return": lambda exchange: exchange.finish(),
    "trailers": lambda exchange: exchange.allows([OTHER_LINE], "body"),
    "client gone": lambda exchange: (setattr(exchange, "gone", True), exchange.fail(OSError())),
}
MISUSE = "misuse"
NOTHING_LEFT = ("500", "body", "END")
REFUSED = ("409", "body", "END")
TABLE: dict[State, dict[str, Any]] = {
    State.OPEN: {
        "start": (State.HELD, (), ()),
        "piece": MISUSE,
        "nothing": MISUSE,
        "end": MISUSE,
        "raise": (State.REPLACED, NOTHING_LEFT, ()),
        "no trace": (State.REPLACED, REFUSED, ("missing_trace",)),
        "return": (State.REPLACED, NOTHING_LEFT, ()),
        "trailers": (State.REPLACED, REFUSED, ("trace_overwrite_refused",)),
        "client gone": (State.ABORTED, (), ()),
    },
    State.HELD: {
        "start": MISUSE,
        "piece": (State.HELD, (), ()),
        "nothing": (State.HELD, (), ()),
        "end": (State.DONE, ("404", "body", "END"), ()),
        "raise": (State.REPLACED, NOTHING_LEFT, ()),
        "no trace": (State.REPLACED, REFUSED, ("missing_trace",)),
        "return": (State.REPLACED, NOTHING_LEFT, ()),
        "trailers": (State.REPLACED, REFUSED, ("trace_overwrite_refused",)),
        "client gone": (State.ABORTED, (), ()),
    },
    State.WAITING: {
        "start": MISUSE,
        "piece": (State.TREATED, ("200", "body"), ()),
        "nothing": (State.WAITING, (), ()),
        "end": (State.EMPTY, (), ()),
        "raise": (State.REPLACED, NOTHING_LEFT, ()),
        "no trace": (State.REPLACED, REFUSED, ("missing_trace",)),
        "return": (State.REPLACED, NOTHING_LEFT, ()),
        "trailers": (State.REPLACED, REFUSED, ("trace_overwrite_refused",)),
        "client gone": (State.ABORTED, (), ()),
    },
    State.EMPTY: {
        "start": MISUSE,
        "piece": MISUSE,
        "nothing": MISUSE,
        "end": MISUSE,
        "raise": (State.REPLACED, NOTHING_LEFT, ()),
        "no trace": (State.REPLACED, REFUSED, ("missing_trace",)),
        "return": (State.DONE, ("200", "END"), ()),
        "trailers": (State.REPLACED, REFUSED, ("trace_overwrite_refused",)),
        "client gone": (State.ABORTED, (), ()),
    },
    State.PASSING: {
        "start": MISUSE,
        "piece": MISUSE,
        "nothing": MISUSE,
        "end": MISUSE,
        "raise": (State.ABORTED, ("ABORT",), ("stream_broken",)),
        "no trace": (State.ABORTED, ("ABORT",), ("stream_broken",)),
        "return": (State.ABORTED, ("ABORT",), ("stream_broken",)),
        "trailers": (State.ABORTED, ("ABORT",), ("trace_overwrite_refused",)),
        "client gone": (State.ABORTED, (), ()),
    },
    State.TREATED: {
        "start": MISUSE,
        "piece": (State.TREATED, ("body",), ()),
        "nothing": (State.TREATED, (), ()),
        "end": (State.CLOSING, (), ()),
        "raise": (State.ABORTED, ("body", "ABORT"), ("stream_broken",)),
        "no trace": (State.ABORTED, ("body", "ABORT"), ("stream_broken",)),
        "return": (State.ABORTED, ("body", "ABORT"), ("stream_broken",)),
        "trailers": (State.ABORTED, ("body", "ABORT"), ("trace_overwrite_refused",)),
        "client gone": (State.ABORTED, (), ()),
    },
    State.CLOSING: {
        "start": MISUSE,
        "piece": MISUSE,
        "nothing": MISUSE,
        "end": MISUSE,
        "raise": (State.ABORTED, ("body", "ABORT"), ("stream_broken",)),
        "no trace": (State.ABORTED, ("body", "ABORT"), ("stream_broken",)),
        "return": (State.DONE, ("END",), ()),
        "trailers": (State.ABORTED, ("body", "ABORT"), ("trace_overwrite_refused",)),
        "client gone": (State.ABORTED, (), ()),
    },
    State.REPLACED: dict.fromkeys(INPUTS, (State.REPLACED, (), ())),
    State.DONE: {
        "start": MISUSE,
        "piece": MISUSE,
        "nothing": MISUSE,
        "end": MISUSE,
        "raise": (State.DONE, (), ()),
        "no trace": (State.DONE, (), ()),
        "return": (State.DONE, (), ()),
        "trailers": (State.ABORTED, ("ABORT",), ("trace_overwrite_refused",)),
        "client gone": (State.DONE, (), ()),
    },
    State.ABORTED: dict.fromkeys(INPUTS, (State.ABORTED, (), ())),
}


def shown(part: Part) -> str:
    """Return *part* in one word."""
    if isinstance(part, Start):
        return str(part.status)
    return "body" if isinstance(part, bytes) else part.name


@pytest.mark.contract("C4", "C5", "C10", "D7", "E2", "E4", "G3")
@pytest.mark.parametrize(
    ("state", "given", "outcome"),
    [
        pytest.param(state, given, row[given], id=f"{state.name} {given}")
        for state, row in TABLE.items()
        for given in row
    ],
)
def test_every_state_answers_every_input(state: State, given: str, outcome: Any) -> None:  # noqa: ANN401
    """One row of the table: where it goes, what leaves, what is recorded; misuse raises and changes nothing."""
    exchange = STATES[state]()
    assert exchange.state is state
    exchange.take()
    exchange.take_events()

    if outcome == MISUSE:
        with pytest.raises(
            ReplyError, match=r"started twice|a body came before the start of the reply or after its end"
        ):
            INPUTS[given](exchange)
        outcome = (state, (), ())
    else:
        INPUTS[given](exchange)

    left, events = exchange.take(), exchange.take_events()
    assert (exchange.state, tuple(map(shown, left)), tuple(event.kind for event in events)) == outcome
    assert b"secret" not in body_of(left)
    assert (exchange.take(), exchange.take_events()) == ((), ())
    assert exchange.over is (exchange.state in (State.REPLACED, State.ABORTED))
    assert exchange.waits is (exchange.state in (State.WAITING, State.EMPTY, State.CLOSING))


@pytest.mark.contract("D7")
@pytest.mark.parametrize(
    ("state", "after", "parts"),
    [
        (State.WAITING, State.TREATED, ("200",)),
        (State.EMPTY, State.DONE, ("200", "END")),
        (State.CLOSING, State.DONE, ("END",)),
    ],
)
def test_what_is_held_goes_when_its_time_is_up(state: State, after: State, parts: tuple[str, ...]) -> None:
    """Each of the three holds."""
    exchange = STATES[state]()
    exchange.take()

    exchange.release()

    assert (exchange.state, tuple(map(shown, exchange.take())), exchange.take_events()) == (after, parts, ())
    assert not exchange.waits


# Heads that pass (C1, C3, C5, C8)


@pytest.mark.contract("C1", "C8")
@pytest.mark.parametrize(
    ("status", "lines"),
    [
        (200, [JSON]),
        (204, []),
        (206, [(b"content-type", b"image/png"), (b"content-range", b"bytes 0-1/2")]),
        (304, [(b"etag", b'"1"')]),
        (307, [(b"location", b"/x")]),
        (404, [TEXT]),
        (500, [(b"content-type", b"application/octet-stream")]),
        (404, []),
        (200, [(b"vary", b"*")]),
    ],
)
@pytest.mark.parametrize("policy", [Policy(), Policy(server_timing=True)], ids=["plain", "with extras"])
def test_a_body_that_needs_nothing_passes_straight_through(status: int, lines: Lines, policy: Policy) -> None:
    """The head leaves at once with the id on it; the application's list is not touched."""
    exchange = opened(policy)
    given = list(lines)

    left = exchange.start(status, given)

    assert left is not None
    assert left[: len(lines) + 1] == [*lines, ID_LINE]
    assert (given, exchange.state, exchange.take()) == (lines, State.PASSING, ())
    assert (exchange.status, exchange.error) == (status, None)


@pytest.mark.contract("C5", "C8")
@pytest.mark.parametrize("name", [b"x-sendfile", b"X-Accel-Redirect", b"x-lighttpd-send-file"])
def test_a_file_that_a_server_in_front_sends_is_not_missed(name: bytes) -> None:
    """The length is that of the file, and the body is empty: Flask's USE_X_SENDFILE does so."""
    exchange = opened()
    lines = [(b"content-type", b"application/pdf"), (b"content-length", b"7"), (name, b"/files/a.pdf")]
    assert exchange.start(200, lines) == [*lines, ID_LINE]
    assert exchange.fits(0, more=False)
    assert exchange.take_events() == ()


@pytest.mark.contract("C5")
@pytest.mark.parametrize(
    ("status", "method", "remaining"),
    [
        (200, "GET", 5),
        (200, "HEAD", -1),
        (204, "GET", -1),
        (205, "GET", -1),
        (304, "GET", -1),
        (404, "GET", 5),
        (404, "HEAD", -1),
    ],
)
@pytest.mark.parametrize("policy", [Policy(), Policy(server_timing=True)], ids=["plain", "with extras"])
def test_a_declared_length_is_kept_count_of_where_there_is_a_body(
    status: int, method: str, remaining: int, policy: Policy
) -> None:
    """HEAD, 204, 205 and 304 have none, whatever the head says."""
    exchange = opened(policy, method)
    exchange.start(status, [(b"content-type", b"image/png"), (b"content-length", b"5")])

    assert exchange.remaining == remaining


@pytest.mark.contract("C5")
def test_a_passing_body_must_be_as_long_as_it_declared() -> None:
    """Not shorter at its end, never longer."""
    exchange = opened()
    exchange.start(200, [(b"content-length", b"5")])

    assert exchange.fits(3, more=True)
    assert not exchange.fits(1, more=False)
    assert not exchange.fits(3, more=True)
    assert exchange.fits(2, more=True)
    assert exchange.fits(0, more=False)
    exchange.mismatch()
    event = only(exchange)
    assert (event.kind, event.stage, event.status) == ("stream_broken", "body", 200)
    assert event.message == "The body is shorter or longer than its declared length."
    assert exchange.take() == (ABORT,)


@pytest.mark.contract("C5")
def test_a_body_of_no_declared_length_fits_always() -> None:
    """Any size, any time."""
    exchange = opened()
    exchange.start(200, [])

    assert exchange.fits(10**9, more=True)
    assert exchange.fits(0, more=False)


@pytest.mark.contract("C5")
def test_a_reply_that_a_shell_began_can_be_adopted() -> None:
    """What happens to it then is told as for any other."""
    exchange = opened()
    exchange.adopt(206, 7)

    assert (exchange.state, exchange.status, exchange.remaining) == (State.PASSING, 206, 7)
    exchange.fail(ValueError())
    assert (only(exchange).status, exchange.take()) == (206, (ABORT,))


@pytest.mark.contract("C10")
@pytest.mark.parametrize(
    ("status", "lines"),
    [
        (200, [(b"a b", b"c")]),
        (200, [(b"a", b"b\n")]),
        (99, []),
        ("200", []),
        (200, None),
        (200, [(b"content-length", b"x")]),
    ],
)
def test_a_head_that_no_server_would_send_becomes_a_traced_500(status: Any, lines: Any) -> None:  # noqa: ANN401
    """And the application hears why, as it would without a gate."""
    exchange = opened()

    assert exchange.start(status, lines) is None

    assert error_in(exchange.take())["error_code"] == "SYS-003-500"
    assert isinstance(exchange.error, ReplyError)
    assert str(exchange.error).startswith("no server would send this reply: ")
    assert (exchange.state, exchange.take_events()) == (State.REPLACED, ())


@pytest.mark.contract("C3", "C10")
def test_a_head_that_is_illegal_keeps_nothing_of_the_application() -> None:
    """Not even the lines that are legal."""
    exchange = started(200, (b"set-cookie", b"a=1"), (b"a b", b"c"))

    assert [name for name, _ in head_of(exchange.take()).headers] == [
        b"content-type", b"content-length", b"cache-control", b"x-trace-id",
    ]  # fmt: skip


# The application names a trace itself (C3, C7)


@pytest.mark.contract("A1", "C1", "C3")
@pytest.mark.parametrize("value", [OWN, OWN.upper(), HEX, HEX.upper()])
@pytest.mark.parametrize("name", [b"x-trace-id", b"X-TRACE-Id"])
def test_an_equal_id_of_the_application_is_left_as_it_is(value: str, name: bytes) -> None:
    """Its spelling, its place, and no second line."""
    lines = [(b"a", b"b"), (name, value.encode()), (b"c", b"d")]

    exchange = opened()

    assert exchange.start(200, lines) == lines
    assert exchange.take_events() == ()


CONTRADICTIONS: list[Lines] = [
    [OTHER_LINE],
    [(b"X-Trace-Id", b"bad")],
    [(b"x-trace-id", b"")],
    [ID_LINE, OTHER_LINE],
    [ID_LINE, ID_LINE],
    [(b"x-trace-id", f"{OWN}, {OWN}".encode())],
]


@pytest.mark.contract("C3", "E1", "E2", "E3", "F2", "F3")
@pytest.mark.parametrize("lines", CONTRADICTIONS)
@pytest.mark.parametrize("kind", [[], [JSON], [SSE]], ids=["plain", "json", "sse"])
def test_any_other_id_of_the_application_is_refused(lines: Lines, kind: Lines) -> None:
    """409 under the bound trace, with what the application had chosen; its representation goes, other headers stay."""
    exchange = started(201, *kind, (b"set-cookie", b"a=1"), (b"etag", b'"1"'), *lines)
    parts = exchange.take()
    error = error_in(parts)

    assert head_of(parts).status == 409
    assert (error["details"], error["refused_status"], error["trace_id"]) == (["trace_overwrite_refused"], 201, OWN)
    names = [name for name, _ in head_of(parts).headers]
    assert b"set-cookie" in names
    assert b"etag" not in names
    assert names.count(b"content-type") == 1
    event = only(exchange)
    assert (event.kind, event.severity, event.stage, event.status, event.refused_status) == (
        "trace_overwrite_refused", "error", "head", 409, 201,
    )  # fmt: skip
    assert (event.trace_id, event.method, event.mode, event.detail) == (
        OWN,
        "GET",
        "require",
        "trace_overwrite_refused",
    )
    assert event.would_refuse is False
    assert event.component == "tracegate.exchange"
    assert OTHER not in str(parts)


KEEPING = [
    Policy(on_conflict="keep"),
    Policy(on_conflict_paths={"/orders": "keep"}),
    Policy(mode="observe"),
    Policy(modes={"/orders": "observe"}, on_conflict_paths={"/else": "keep"}),
]


@pytest.mark.contract("B4", "C3")
@pytest.mark.parametrize("policy", KEEPING)
@pytest.mark.parametrize("lines", CONTRADICTIONS)
def test_a_policy_may_deliver_it_and_record_it(policy: Policy, lines: Lines) -> None:
    """Untouched, with an event that says what would have been."""
    exchange = opened(policy)

    assert exchange.start(200, lines) == lines
    event = only(exchange)
    assert (event.kind, event.severity, event.would_refuse, event.status) == (
        "trace_overwrite_refused", "warning", True, 200,
    )  # fmt: skip
    assert (event.detail, event.refused_status, event.stage) == (None, None, "head")
    assert event.message == "Another trace in the reply was delivered, as configured."


@pytest.mark.contract("C3")
@pytest.mark.parametrize(
    "policy",
    [
        Policy(on_conflict="keep", on_conflict_paths={"/orders": "refuse"}),
        Policy(on_conflict_paths={"/order": "keep"}),
        Policy(mode="observe", modes={"/orders": "mint"}),
    ],
)
def test_the_policy_of_the_path_decides(policy: Policy) -> None:
    """The most specific one."""
    exchange = opened(policy)

    assert exchange.start(200, [OTHER_LINE]) is None
    assert head_of(exchange.take()).status == 409


@pytest.mark.contract("C3", "B5")
def test_an_ambiguous_path_gets_no_leave_to_contradict() -> None:
    """An encoded slash falls under no rule."""
    exchange = opened(Policy(on_conflict_paths={"/*": "keep"}, modes={"/*": "observe"}), raw_path=b"/orders%2F")

    assert exchange.start(200, [OTHER_LINE]) is None


@pytest.mark.contract("A3", "C3")
def test_the_applications_id_may_be_in_an_opt_in_format() -> None:
    """As the caller's was."""
    aws = b"Root=1-" + HEX[:8].encode() + b"-" + HEX[8:].encode()

    assert opened(Policy(formats=("aws",))).start(200, [(b"x-trace-id", aws)]) == [(b"x-trace-id", aws)]
    assert started(200, (b"x-trace-id", aws)).over


@pytest.mark.contract("C3", "C7")
@pytest.mark.parametrize(
    ("value", "recorded"),
    [
        (f"00-{HEX}-00f067aa0ba902b7-01", False),
        (f"00-{OTHER_HEX}-00f067aa0ba902b7-01", True),
        (f"00-{HEX[:31]}\xe9-00f067aa0ba902b7-01", True),
        (f"00-{OTHER_HEX}", True),
        ("nothing", False),
    ],
)
def test_a_traceresponse_of_another_trace_is_left_with_an_event(value: str, *, recorded: bool) -> None:
    """It is not ours to refuse."""
    exchange = opened()
    line = (b"TraceResponse", value.encode("latin-1"))

    assert exchange.start(200, [line]) == [line, ID_LINE]
    events = exchange.take_events()
    assert [(event.kind, event.would_refuse, event.stage, event.status) for event in events] == (
        [("trace_overwrite_refused", True, "head", 200)] if recorded else []
    )
    assert [event.message for event in events] == (
        ["traceresponse names another trace; it was left as it is."] if recorded else []
    )


@pytest.mark.contract("C3")
@pytest.mark.parametrize(
    ("lines", "allowed"),
    [
        ([], True),
        ([(b"a", b"b")], True),
        ([(b"X-Trace-Id", HEX.encode())], True),
        ([OTHER_LINE], False),
        ([ID_LINE, ID_LINE], False),
    ],
)
@pytest.mark.parametrize("stage", ["head", "body"])
def test_early_hints_and_trailers_must_not_name_another_trace(lines: Lines, *, allowed: bool, stage: Any) -> None:  # noqa: ANN401
    """One equal id is fine."""
    exchange = opened()

    assert exchange.allows(iter(lines), stage) is allowed
    assert [(event.kind, event.stage) for event in exchange.take_events()] == (
        [] if allowed else [("trace_overwrite_refused", stage)]
    )


@pytest.mark.contract("C3", "F3")
def test_trailers_that_are_kept_are_recorded_and_a_second_refusal_is_not() -> None:
    """One refusal is one event."""
    keeping = opened(Policy(on_conflict="keep"))
    assert keeping.allows([OTHER_LINE], "body")
    assert only(keeping).would_refuse

    refusing = opened()
    assert not refusing.allows([OTHER_LINE], "head")
    assert not refusing.allows([OTHER_LINE], "head")
    only(refusing)


# An exception, a return, a refusal (C4, C5, E2, E4, G3)


@pytest.mark.contract("C4", "C6", "E1")
def test_an_exception_before_the_reply_is_one_complete_traced_500() -> None:
    """Without a word of the exception; readable by the browser that asked."""
    exchange = opened(Policy(cors_origins=("*",)), headers=[(b"origin", b"https://app.example")])
    exchange.fail(ValueError("secret"))
    parts = exchange.take()

    assert error_in(parts) == {
        "error_code": "SYS-003-500",
        "message": "Internal Server Error",
        "trace_id": OWN,
        "details": [],
    }
    assert head_of(parts).headers[-2:] == [
        (b"access-control-allow-origin", b"*"),
        (b"access-control-expose-headers", b"X-Trace-Id"),
    ]
    assert exchange.start(200, []) is None
    exchange.body(b"late", more=True)
    assert exchange.take() == ()


@pytest.mark.contract("C4", "D5")
def test_for_head_the_500_has_no_body() -> None:
    """As for any reply of the gate's own."""
    exchange = opened(method="HEAD")
    exchange.finish()

    assert body_of(exchange.take()) == b""


@pytest.mark.contract("C5", "E4", "F2")
def test_what_stopped_a_reply_is_in_its_event() -> None:
    """The exception's class, not its text."""
    exchange = _passing()
    exchange.fail(ZeroDivisionError("secret"))
    event = only(exchange)

    assert (event.message, event.stage) == ("The application raised ZeroDivisionError.", "body")
    returned = _passing()
    returned.finish()
    assert only(returned).message == "The application returned before its reply was complete."


@pytest.mark.contract("F2", "B2", "B6")
def test_an_event_of_a_reply_says_all_that_the_exchange_knows() -> None:
    """The ids kept aside, the method, the transport, the mode."""
    trace = Trace.of(OWN_TRACE.id, "minted", client_trace_id="client", parent_trace_id="parent")
    terms = Terms(Policy(modes={"/edge/*": "mint"}), CountingMint(), b"x-trace-id")
    exchange = Exchange(terms, trace, "POST", "/edge/x", [], transport="websocket")
    exchange.start(200, [OTHER_LINE])
    event = only(exchange)

    assert (event.client_trace_id, event.parent_trace_id, event.method) == ("client", "parent", "POST")
    assert (event.transport, event.mode, event.status, event.refused_status) == ("websocket", "mint", 409, 200)


@pytest.mark.contract("E2", "G3")
@pytest.mark.parametrize("recorded", [False, True])
def test_code_that_found_no_trace_ends_its_request_with_409(*, recorded: bool) -> None:
    """One event for it: here, or where it was raised."""
    exchange = opened()
    exchange.fail(MissingTraceError(recorded=recorded))

    error = error_in(exchange.take())
    assert error["details"] == ["trace_id_missing"]
    assert "refused_status" not in error
    events = exchange.take_events()
    assert [(event.kind, event.detail, event.stage, event.status) for event in events] == (
        [] if recorded else [("missing_trace", "trace_id_missing", "context", 409)]
    )


@pytest.mark.contract("E2", "G3")
def test_the_headers_of_a_start_that_was_held_stay_when_it_is_refused() -> None:
    """With the status that was refused."""
    exchange = started(503, JSON, (b"retry-after", b"7"), (b"content-length", b"99"))
    exchange.fail(MissingTraceError())
    parts = exchange.take()

    assert error_in(parts)["refused_status"] == 503
    assert head_of(parts).headers[0] == (b"retry-after", b"7")


@pytest.mark.contract("C1")
def test_a_websocket_that_was_closed_before_it_was_accepted_is_denied() -> None:
    """With the status that the shell knows."""
    exchange = opened(transport="websocket")
    exchange.deny(403)
    error = error_in(exchange.take())

    assert (error["error_code"], error["trace_id"], exchange.over) == ("SEC-002-403", OWN, True)
    assert exchange.take_events() == ()


@pytest.mark.contract("C4")
def test_a_client_that_left_is_no_fault_of_the_reply() -> None:
    """Nothing is sent, and nothing is recorded."""
    exchange = _treated()
    exchange.take()
    exchange.gone = True
    exchange.finish()

    assert (exchange.state, exchange.take(), exchange.take_events()) == (State.ABORTED, (), ())


# Error JSON (D1, D2, D5)


@pytest.mark.contract("D1", "D5")
@pytest.mark.parametrize("cut", [1, 3, 100])
@pytest.mark.parametrize("length", [True, False])
def test_error_json_gets_its_member_and_a_right_length(cut: int, *, length: bool) -> None:
    """In one piece, whatever pieces it came in; the digest goes, other headers stay."""
    body = b'{"detail": "no", "n": 1.0}'
    lines = [JSON, (b"etag", b'"1"'), (b"x-own", b"1"), *([(b"content-length", b"%d" % len(body))] if length else [])]
    exchange = started(404, *lines)
    parts = whole(exchange, *(body[at : at + cut] for at in range(0, len(body), cut)))
    left = body_of(parts)

    assert json.loads(left) == {"detail": "no", "n": 1.0, "trace_id": OWN}
    assert left.replace(b"," + MEMBER, b"").replace(MEMBER + b",", b"") == body
    assert [line for line in head_of(parts).headers if line != JSON] == [
        (b"x-own", b"1"),
        (b"content-length", b"%d" % len(left)),
        ID_LINE,
    ]
    assert (head_of(parts).status, parts[-1], exchange.take_events()) == (404, END, ())


@pytest.mark.contract("D1")
def test_error_json_that_has_its_trace_is_untouched() -> None:
    """Head and body."""
    body = b'{"trace_id": "%s"}' % HEX.upper().encode()
    lines = [JSON, (b"etag", b'"1"'), (b"content-length", b"%d" % len(body))]
    parts = whole(started(400, *lines), body)

    assert parts == [Start(400, [*lines, ID_LINE]), body, END]


@pytest.mark.contract("D1", "E2", "F3")
@pytest.mark.parametrize("value", [b'"%s"' % OTHER.encode(), b"1", b"{}", b"true"])
def test_error_json_of_another_trace_is_refused(value: bytes) -> None:
    """Before its head has left: 409."""
    exchange = started(422, JSON, (b"set-cookie", b"a=1"))
    parts = whole(exchange, b'{"trace_id":' + value + b"}")

    assert error_in(parts)["refused_status"] == 422
    assert head_of(parts).headers[0] == (b"set-cookie", b"a=1")
    event = only(exchange)
    assert (event.kind, event.stage, event.status, event.refused_status) == (
        "trace_overwrite_refused",
        "body",
        409,
        422,
    )


@pytest.mark.contract("B4", "C3", "D1")
@pytest.mark.parametrize("policy", KEEPING)
def test_error_json_of_another_trace_may_be_kept(policy: Policy) -> None:
    """Untouched, with an event."""
    body = b'{"trace_id":"%s"}' % OTHER.encode()
    exchange = started(422, JSON, policy=policy)

    assert whole(exchange, body) == [Start(422, [JSON, ID_LINE]), body, END]
    assert (only(exchange).would_refuse, exchange.state) == (True, State.DONE)


@pytest.mark.contract("D2")
@pytest.mark.parametrize(
    ("body", "original"),
    [
        (b'["a", 1.0]', b'["a", 1.0]'),
        (b"null", b"null"),
        (b'"text"', b'"text"'),
        (b"", b'""'),
        (b"oops", b'"oops"'),
        (b'{"a":', b'"{\\"a\\":"'),
    ],
)
def test_error_json_that_is_no_object_is_delivered_within_one(body: bytes, original: bytes) -> None:
    """Same status, the original byte for byte or as text, other headers as they were."""
    exchange = started(422, JSON, (b"retry-after", b"7"))
    parts = whole(exchange, body)
    left = body_of(parts)

    assert left == (
        b'{"error_code":"API-003-422","message":"Unprocessable Entity","trace_id":"%s","details":[],"original":%s}'
        % (OWN.encode(), original)
    ) or json.loads(left)["original"] == json.loads(original)
    assert head_of(parts).status == 422
    assert (b"retry-after", b"7") in head_of(parts).headers
    assert (b"content-type", b"application/json; charset=utf-8") in head_of(parts).headers


@pytest.mark.contract("D2", "E1")
def test_the_envelope_follows_the_callers_accept() -> None:
    """A problem object for whoever prefers one."""
    exchange = started(404, JSON, headers=[(b"accept", b"application/problem+json")])
    parts = whole(exchange, b"[]")

    assert (b"content-type", b"application/problem+json") in head_of(parts).headers
    assert json.loads(body_of(parts))["original"] == []


@pytest.mark.contract("D5")
def test_error_json_for_head_leaves_without_a_length_and_without_a_body() -> None:
    """The type stays, and the id is there."""
    exchange = started(404, JSON, (b"content-length", b"12"), method="HEAD")
    parts = whole(exchange, b"never seen")

    assert parts == [Start(404, [JSON, ID_LINE]), END]


@pytest.mark.contract("D5")
def test_coded_error_json_is_sent_as_identity() -> None:
    """Decoded within the bound."""
    body = gzip.compress(b'{"a":1}')
    exchange = started(404, JSON, GZIP, (b"content-length", b"%d" % len(body)))
    parts = whole(exchange, body)

    assert json.loads(body_of(parts)) == {"a": 1, "trace_id": OWN}
    assert GZIP not in head_of(parts).headers


@pytest.mark.contract("D5")
@pytest.mark.parametrize("coding", [b"gzip", b"compress"])
def test_error_json_that_cannot_be_decoded_becomes_the_standard_object(coding: bytes) -> None:
    """Same status; the headers that do not speak of the bytes stay."""
    exchange = started(404, JSON, (b"content-encoding", coding), (b"x-own", b"1"))
    parts = whole(exchange, b"no such coding")
    error = error_in(parts)

    assert (error["error_code"], error["message"]) == ("API-004-404", "Not Found")
    assert [name for name, _ in head_of(parts).headers] == [
        b"x-own", b"content-type", b"content-length", b"cache-control", b"x-trace-id",
    ]  # fmt: skip
    assert head_of(parts).status == 404


SIGNED = (b"signature-input", b"sig=()")


@pytest.mark.contract("D5", "E2")
def test_signed_error_json_is_refused() -> None:
    """It cannot be marked without breaking its signature."""
    exchange = started(404, JSON, SIGNED)

    assert error_in(whole(exchange, b'{"a":1}'))["details"] == ["trace_overwrite_refused"]
    assert only(exchange).refused_status == 404


@pytest.mark.contract("B4", "D5")
@pytest.mark.parametrize("policy", [Policy(signed_errors="header"), Policy(mode="observe")])
def test_signed_error_json_may_be_delivered_as_it_is(policy: Policy) -> None:
    """With the id in its head, and an event."""
    exchange = started(404, JSON, SIGNED, policy=policy)

    assert whole(exchange, b'{"a":1}') == [Start(404, [JSON, SIGNED, ID_LINE]), b'{"a":1}', END]
    assert only(exchange).would_refuse


@pytest.mark.contract("C3", "D5")
def test_leave_to_contradict_is_no_leave_to_send_signed_errors() -> None:
    """Two settings for two things."""
    exchange = started(404, JSON, SIGNED, policy=Policy(on_conflict="keep"))

    assert error_in(whole(exchange, b'{"a":1}'))["details"] == ["trace_overwrite_refused"]


@pytest.mark.contract("D5")
def test_error_json_above_the_bound_is_marked_while_it_streams() -> None:
    """Its head has no length then, and leaves before the body has ended."""
    exchange = started(500, JSON, (b"content-length", b"17"), policy=Policy(max_error_body=8))
    exchange.body(b'{"a":"bcde', more=True)
    first = exchange.take()
    exchange.body(b'fghij"}', more=False)
    parts = [*first, *exchange.take()]

    assert head_of(first).headers == [JSON, ID_LINE]
    assert json.loads(body_of(parts)) == {"a": "bcdefghij", "trace_id": OWN}
    assert (parts[-1], exchange.state) == (END, State.DONE)


@pytest.mark.contract("D1", "D5", "E4")
@pytest.mark.parametrize(
    ("tail", "kind"),
    [(b'"trace_id":1}', "trace_overwrite_refused"), (b"}", "stream_broken"), (b"", "stream_broken")],
)
def test_a_fault_above_the_bound_ends_without_a_clean_end(tail: bytes, kind: str) -> None:
    """What has left cannot be taken back; it is not made to look whole."""
    exchange = started(500, JSON, policy=Policy(max_error_body=8))
    exchange.body(b'{"a":"bcdefghij",', more=True)
    exchange.take()
    exchange.body(tail, more=False)
    event = only(exchange)

    assert exchange.take()[-1] is ABORT
    assert exchange.state is State.ABORTED
    assert (event.kind, event.stage, event.status) == (kind, "body", 500)
    if kind == "stream_broken":
        assert event.message == "The body is not what its head says."


@pytest.mark.contract("C5")
@pytest.mark.parametrize(
    ("pieces", "sent"),
    [
        ((b'{"a":1}',), b'{"a":1}'),
        ((b'{"a"', b":1}"), b'{"a":1}'),
        ((b'{"a":1}' + b" " * 20,), b'{"a":1}  '),
        ((b"",), b""),
    ],
)
def test_an_error_body_of_another_length_is_never_delivered_whole(pieces: tuple[bytes, ...], sent: bytes) -> None:
    """At most one byte less than it promised, and no clean end: no client takes it for complete."""
    exchange = started(404, JSON, (b"content-length", b"10"))
    parts: list[Part] = []
    for piece in pieces:
        exchange.body(piece, more=True)
    exchange.body(b"", more=False)
    parts += exchange.take()

    assert parts[0] == Start(404, [JSON, (b"content-length", b"10"), ID_LINE])
    assert (body_of(parts), parts[-1]) == (sent, ABORT)
    event = only(exchange)
    assert (event.kind, event.message) == ("stream_broken", "The body is shorter or longer than its declared length.")


@pytest.mark.contract("C5")
def test_a_body_that_declared_nothing_and_has_something_is_replaced() -> None:
    """Nothing can be left out of nothing: it is a failure before the reply, whole and traced."""
    exchange = started(404, JSON, (b"content-length", b"0"))
    exchange.body(b"x", more=False)

    assert error_in(exchange.take())["error_code"] == "SYS-003-500"
    assert exchange.state is State.REPLACED


# What is left alone (D3), and text (D3)


@pytest.mark.contract("D3")
def test_errors_that_the_policy_exempts_get_the_header_only() -> None:
    """By path or by media type."""
    for policy, line in (
        (Policy(exempt_body_paths=("/orders",)), JSON),
        (Policy(), (b"content-type", b"application/grpc-web+json")),
        (Policy(exempt_media_types=("application/json",)), JSON),
    ):
        assert opened(policy).start(500, [line]) == [line, ID_LINE]


@pytest.mark.contract("D3", "E1")
def test_text_errors_become_the_standard_object_where_the_policy_says_so() -> None:
    """At once; their headers stay but those of the text."""
    exchange = started(404, TEXT, (b"content-length", b"9"), (b"x-own", b"1"), policy=Policy(error_bodies="json"))
    parts = exchange.take()

    assert error_in(parts)["error_code"] == "API-004-404"
    assert head_of(parts).headers[0] == (b"x-own", b"1")
    assert (b"content-type", b"text/plain") not in head_of(parts).headers
    exchange.body(b"Not Found", more=False)
    exchange.finish()
    assert (exchange.take(), exchange.take_events(), exchange.over) == ((), (), True)


# Success JSON (D4)

ALL = Policy(bodies="all")


@pytest.mark.contract("D4")
def test_success_json_is_marked_where_the_policy_says_so() -> None:
    """While it streams, without a length of its own."""
    exchange = started(200, JSON, (b"content-length", b"8"), (b"etag", b'"1"'), policy=ALL)
    exchange.body(b' {"a":', more=True)
    first = exchange.take()
    parts = [*first, *whole(exchange, b"1}")]

    assert head_of(first).headers == [JSON, ID_LINE]
    assert json.loads(body_of(parts)) == {"a": 1, "trace_id": OWN}
    assert parts[-1] is END


@pytest.mark.contract("D4")
@pytest.mark.parametrize("body", [b"[1]", b" 7", b"oops", b"", b"  "])
def test_success_that_is_no_object_is_delivered_as_it_is(body: bytes) -> None:
    """Its length and tag too."""
    lines = [JSON, (b"content-length", b"%d" % len(body)), (b"etag", b'"1"')]
    parts = whole(started(200, *lines, policy=ALL), body)

    assert (head_of(parts).headers, body_of(parts), parts[-1]) == ([*lines, ID_LINE], body, END)


@pytest.mark.contract("D4")
@pytest.mark.parametrize("line", [GZIP, SIGNED])
def test_coded_or_signed_success_passes(line: tuple[bytes, bytes]) -> None:
    """Only errors are worth a decoder."""
    exchange = opened(ALL)

    assert exchange.start(200, [JSON, line]) == [JSON, line, ID_LINE]
    assert exchange.state is State.PASSING


@pytest.mark.contract("D4", "D1", "E4")
def test_success_json_of_another_trace_is_ended() -> None:
    """409 where its head has not left, else unclean; or kept as it is."""
    body = b'{"trace_id":"%s"}' % OTHER.encode()
    early = started(200, JSON, policy=ALL)
    early.body(body, more=True)
    assert error_in(early.take())["refused_status"] == 200
    assert only(early).status == 409

    late = started(200, JSON, policy=ALL)
    late.body(b"{", more=True)
    late.take()
    late.body(body[1:], more=True)
    assert (late.take()[-1], only(late).stage, late.over) == (ABORT, "body", True)

    kept = started(200, JSON, policy=Policy(bodies="all", on_conflict="keep"))
    assert body_of(whole(kept, body)) == body
    assert only(kept).would_refuse


@pytest.mark.contract("C5", "D4")
def test_a_success_object_of_another_length_is_never_ended_cleanly() -> None:
    """Before and after its head has left."""
    short = started(200, JSON, (b"content-length", b"9"), policy=ALL)
    short.body(b'{"a":', more=True)
    short.take()
    short.body(b"1}", more=False)
    assert (short.take()[-1], only(short).kind) == (ABORT, "stream_broken")

    blank = started(200, JSON, (b"content-length", b"2"), policy=ALL)
    blank.body(b" ", more=True)
    blank.body(b" 7", more=True)
    parts = blank.take()
    assert (body_of(parts), parts[-1]) == (b" ", ABORT)


# Event streams (D6, D7)


@pytest.mark.contract("D6")
def test_events_are_marked_one_by_one_as_they_come() -> None:
    """The head leaves with the first of them, without a length."""
    exchange = started(200, SSE, (b"content-length", b"18"), (b"x-accel-buffering", b"no"))
    exchange.body(b"data: a\n\n", more=True)
    first = exchange.take()
    exchange.body(b"data: b\n\n", more=True)
    second = exchange.take()

    assert first == (
        Start(200, [SSE, (b"x-accel-buffering", b"no"), ID_LINE]),
        b"data: a\ntrace_id: %s\n\n" % OWN.encode(),
    )
    assert second == (b"data: b\ntrace_id: %s\n\n" % OWN.encode(),)


@pytest.mark.contract("D6")
def test_events_can_be_relayed_without_a_queue() -> None:
    """What a piece gives is returned at once, nothing included; the next way to ask finds nothing."""
    exchange = _treated()
    exchange.take()

    assert exchange.relay(b"data: b\n\ndata: c") == b"data: b\ntrace_id: %s\n\n" % OWN.encode()
    assert exchange.relay(b": no end yet") == b""
    assert (exchange.take(), exchange.take_events(), exchange.state) == ((), (), State.TREATED)


@pytest.mark.contract("C3", "C5", "D6", "D7")
def test_a_relayed_piece_with_more_to_say_goes_through_the_queue() -> None:
    """Another trace, kept or refused; a length to keep; a body that is no event stream."""
    other = b'data: {"trace_id":"%s"}\n\n' % OTHER.encode()
    refused = _treated()
    refused.take()
    assert refused.relay(other) is None
    assert ([shown(part) for part in refused.take()], only(refused).stage) == (["body", "ABORT"], "stream")

    kept = started(200, SSE, policy=Policy(on_conflict="keep"))
    kept.body(b"data: a\n\n", more=True)
    kept.take()
    assert kept.relay(other) is None
    assert (kept.take(), only(kept).would_refuse) == ((other,), True)

    counted = started(200, SSE, (b"content-length", b"12"))
    counted.body(b"data: a\n\n", more=True)
    counted.take()
    assert counted.relay(b"data") is None
    assert only(counted).kind == "stream_broken"

    long = started(500, JSON, policy=Policy(max_error_body=4))
    long.body(b'{"a":', more=True)
    long.take()
    assert long.relay(b"1, ") is None
    assert (long.state, long.remaining, body_of(long.take())) == (State.TREATED, -1, b"1, ")

    full = started(200, SSE, (b"content-length", b"9"))
    full.body(b"data: a\n\n", more=True)
    full.take()
    assert (full.relay(b""), full.state) == (None, State.TREATED)
    assert full.relay(b"x") is None
    assert full.over


@pytest.mark.contract("D6")
def test_the_carrier_and_the_bound_of_events_are_the_policys() -> None:
    """A field line where it says so; a long event is not held."""
    field = started(200, SSE, policy=Policy(sse_carrier="field"))
    assert body_of(whole(field, b'data: {"a":1}\n\n')) == b'data: {"a":1}\ntrace_id: %s\n\n' % OWN.encode()

    long = started(200, SSE, policy=Policy(max_sse_event=16))
    long.body(b"data: " + b"x" * 64, more=True)
    assert body_of(long.take()) == b"data: " + b"x" * 64


@pytest.mark.contract("D5", "D6")
def test_a_coded_stream_is_decoded() -> None:
    """And its head says so."""
    exchange = started(200, SSE, GZIP)
    parts = whole(exchange, gzip.compress(b"data: a\n\n"))

    assert body_of(parts) == b"data: a\ntrace_id: %s\n\n" % OWN.encode()
    assert head_of(parts).headers == [SSE, ID_LINE]


@pytest.mark.contract("D5", "D6")
def test_a_stream_in_an_unknown_coding_becomes_an_error() -> None:
    """Nothing in it could be marked."""
    exchange = started(200, SSE, (b"content-encoding", b"compress"))

    assert error_in(exchange.take())["error_code"] == "SYS-003-500"
    event = only(exchange)
    assert (event.kind, event.stage, event.status, event.message) == (
        "stream_broken", "stream", 500, "The stream's content coding is unknown.",
    )  # fmt: skip


@pytest.mark.contract("D5", "D7")
def test_a_coded_stream_that_is_corrupt_ends_with_an_error_event() -> None:
    """As any stream that fails midway."""
    data = gzip.compress(b"data: a\n\n" * 50)
    exchange = started(200, SSE, GZIP)
    exchange.body(data[:-8], more=True)
    exchange.body(b"\0" * 8, more=True)
    parts = exchange.take()

    assert parts[-1] is ABORT
    assert body_of(parts).count(b"\n\n") == 51
    assert body_of(parts).split(b"\n\n")[-2].startswith(b"event: error\ndata: {")
    assert only(exchange).kind == "stream_broken"


@pytest.mark.contract("C5", "D7", "E4")
def test_a_stream_that_fails_midway_ends_with_one_error_event() -> None:
    """The partial block is dropped, and there is no clean end."""
    exchange = _treated()
    exchange.body(b"data: {half", more=True)
    exchange.take()
    exchange.fail(ValueError("secret"))
    event, abort = exchange.take()

    assert isinstance(event, bytes)
    head, data = event.split(b"\n", 1)
    assert (head, abort) == (b"event: error", ABORT)
    assert json.loads(data.removeprefix(b"data: "))["trace_id"] == OWN
    assert only(exchange).stage == "stream"


@pytest.mark.contract("D7")
def test_where_part_of_a_long_event_has_left_no_error_event_is_glued_to_it() -> None:
    """A client would read it as data of that event."""
    exchange = started(200, SSE, policy=Policy(max_sse_event=16))
    exchange.body(b"data: " + b"x" * 64, more=True)
    exchange.take()
    exchange.fail(ValueError())

    assert exchange.take() == (ABORT,)


@pytest.mark.contract("D6", "D7", "E4")
def test_an_event_of_another_trace_ends_the_stream() -> None:
    """What stood before it leaves; it does not, nor what follows."""
    exchange = _treated()
    exchange.take()
    exchange.body(b'data: ok\n\ndata: {"trace_id":"%s"}\n\ndata: never\n\n' % OTHER.encode(), more=True)
    good, error, abort = exchange.take()

    assert good == b"data: ok\ntrace_id: %s\n\n" % OWN.encode()
    assert isinstance(error, bytes)
    assert b"SYS-004-409-TRACE" in error
    assert abort is ABORT
    event = only(exchange)
    assert (event.kind, event.stage, event.status, event.refused_status) == (
        "trace_overwrite_refused",
        "stream",
        200,
        200,
    )
    exchange.body(b"data: more\n\n", more=True)
    assert exchange.take() == ()


@pytest.mark.contract("C3", "D7")
@pytest.mark.parametrize("policy", KEEPING)
def test_an_event_of_another_trace_may_be_kept(policy: Policy) -> None:
    """As it is, with an event of ours for each piece that had one."""
    exchange = started(200, SSE, policy=policy)
    other = b'data: {"trace_id":"%s"}\n\n' % OTHER.encode()
    exchange.body(other, more=True)
    assert body_of(exchange.take()) == other
    event = only(exchange)
    assert (event.stage, event.would_refuse) == ("stream", True)
    exchange.body(b"data: fine\n\n", more=True)
    assert exchange.take_events() == ()


@pytest.mark.contract("C5", "D6")
@pytest.mark.parametrize(("pieces", "left"), [((b"data: a\n\n",), 1), ((), 0), ((b"data: a\n\n", b"data: b\n\n"), 1)])
def test_a_stream_of_another_length_than_it_declared_is_broken(pieces: tuple[bytes, ...], left: int) -> None:
    """Too short, empty, too long: an error event and no clean end."""
    exchange = started(200, SSE, (b"content-length", b"12"))
    parts: list[Part] = []
    for piece in pieces:
        exchange.body(piece, more=True)
    exchange.body(b"", more=False)
    parts += exchange.take()

    assert head_of(parts).status == 200
    assert body_of(parts).count(OWN.encode() + b"\n\n") == left
    assert body_of(parts).count(b"event: error") == 1
    assert (parts[-1], only(exchange).kind) == (ABORT, "stream_broken")


@pytest.mark.contract("D7")
def test_an_early_failure_of_a_stream_is_a_real_http_error() -> None:
    """Not an empty 200: its start was held."""
    exchange = _waiting()
    exchange.body(b"", more=True)
    exchange.fail(ValueError())
    parts = exchange.take()

    assert head_of(parts).status == 500
    assert error_in(parts)["trace_id"] == OWN


@pytest.mark.contract("D7")
def test_a_stream_that_ended_and_then_raised_did_not_end() -> None:
    """Frameworks that end first and raise afterwards are caught."""
    exchange = _closing()
    exchange.take()
    exchange.fail(ValueError())

    assert [shown(part) for part in exchange.take()] == ["body", "ABORT"]


@pytest.mark.contract("C8")
def test_trailers_that_the_application_announced_are_announced() -> None:
    """With a head that leaves later as well."""
    exchange = opened()
    exchange.start(404, [JSON], trailers=True)
    exchange.body(b"{}", more=False)
    head = head_of(exchange.take())

    assert head.trailers is True


@pytest.mark.contract("C4", "C10")
def test_a_replaced_reply_has_no_trailers() -> None:
    """They were the application's."""
    exchange = opened()
    exchange.start(404, [JSON], trailers=True)
    exchange.fail(ValueError())

    assert head_of(exchange.take()).trailers is False


@pytest.mark.contract("B4", "D5")
@pytest.mark.parametrize("line", [JSON, SSE])
def test_where_nothing_is_refused_a_body_in_an_unknown_coding_passes(line: tuple[bytes, bytes]) -> None:
    """In its coding, with the id in its head, and an event."""
    coding = (b"content-encoding", b"compress")
    exchange = opened(Policy(mode="observe"))
    left = exchange.start(500, [line, coding])

    if left is None:
        parts = whole(exchange, b"coded")
        assert parts == [Start(500, [line, coding, ID_LINE]), b"coded", END]
    else:
        assert left == [line, coding, ID_LINE]
        assert exchange.state is State.PASSING
    assert only(exchange).would_refuse


@pytest.mark.contract("D6", "D7")
def test_an_unfinished_block_leaves_when_the_end_is_certain() -> None:
    """After the application's return; where it raises instead, the block is dropped."""
    for raises in (False, True):
        exchange = _treated()
        exchange.take()
        exchange.body(b"data: half", more=False)
        assert exchange.take() == ()
        if raises:
            exchange.fail(ValueError())
            assert b"half" not in body_of(exchange.take())
        else:
            exchange.finish()
            assert exchange.take() == (b"data: half", END)


# Finer points, each of which a planted fault once survived.


@pytest.mark.contract("C5")
def test_a_declared_length_of_nothing_is_counted_too() -> None:
    """One byte more is one too many."""
    exchange = opened()
    assert exchange.start(200, [(b"content-length", b"0")]) is not None

    assert exchange.remaining == 0
    assert not exchange.fits(1, more=True)
    assert exchange.fits(0, more=False)


@pytest.mark.contract("C3")
@pytest.mark.parametrize(
    ("path", "raw_path", "kept"),
    [("/old/x", b"/old/x", True), ("/new", b"/new", False), ("/old/x", b"/old%2fx", False), ("/old/x", None, True)],
)
def test_what_is_kept_on_one_path_is_kept_in_hints_too(path: str, raw_path: bytes | None, *, kept: bool) -> None:
    """By the path as decoded and as sent; the event names the stage."""
    terms = Terms(Policy(on_conflict_paths={"/old/*": "keep"}), CountingMint(), b"x-trace-id")
    exchange = Exchange(terms, OWN_TRACE, "GET", path, [], raw_path)

    assert exchange.allows([OTHER_LINE], "head") is kept
    event = only(exchange)
    assert (event.stage, event.would_refuse) == ("head", kept)


@pytest.mark.contract("D1", "B5")
@pytest.mark.parametrize(("raw_path", "passes"), [(b"/raw/x", True), (b"/raw%2fx", False)])
def test_a_body_is_exempt_by_the_path_as_it_was_sent(raw_path: bytes, *, passes: bool) -> None:
    """An encoded slash could be read in two ways."""
    terms = Terms(Policy(exempt_body_paths=("/raw/*",)), CountingMint(), b"x-trace-id")
    exchange = Exchange(terms, OWN_TRACE, "GET", "/raw/x", [], raw_path)

    assert (exchange.start(404, [JSON]) is not None) is passes


@pytest.mark.contract("B4", "D6")
def test_a_stream_that_cannot_be_read_is_noted_as_a_stream_where_it_is_observed() -> None:
    """It passes, and the event says what would have been refused, and where."""
    exchange = opened(Policy(mode="observe"))
    assert exchange.start(200, [SSE, (b"content-encoding", b"x-own")]) is not None

    event = only(exchange)
    assert (event.stage, event.would_refuse) == ("stream", True)


@pytest.mark.contract("E2", "F2")
def test_a_refusal_says_the_same_in_its_body_and_in_its_event() -> None:
    """A sentence, which names nothing but what is configured."""
    exchange = opened(Policy(header="X-Request-Id"))
    exchange.fail(MissingTraceError())
    message = error_in(exchange.take())["message"]

    assert message == only(exchange).message
    assert message.endswith(".")


@pytest.mark.contract("C6")
def test_the_cors_rules_are_asked_for_the_path() -> None:
    """An application may have rules for some paths only."""
    asked: list[tuple[bytes, str, str]] = []

    class Layer:
        """An application's own rules."""

        def headers(self, origin: bytes, trace_header: str, path: str = "") -> Lines:
            asked.append((origin, trace_header, path))
            return [(b"access-control-allow-origin", origin)]

    terms = Terms(Policy(), CountingMint(), b"x-trace-id", Layer())
    exchange = Exchange(terms, OWN_TRACE, "GET", "/orders/7", [(b"origin", b"https://a.example")])
    exchange.finish()

    assert asked == [(b"https://a.example", "X-Trace-Id", "/orders/7")]
    assert (b"access-control-allow-origin", b"https://a.example") in head_of(exchange.take()).headers


@pytest.mark.contract("F1", "F3")
def test_two_facts_of_one_reply_are_two_events() -> None:
    """Whether or not the shell asked in between."""
    exchange = opened(Policy(on_conflict="keep"))
    exchange.start(200, [OTHER_LINE, (b"traceresponse", f"00-{OTHER_HEX}-00f067aa0ba902b7-01".encode())])

    assert [event.kind for event in exchange.take_events()] == ["trace_overwrite_refused"] * 2


def test_messages_out_of_order_say_what_is_wrong() -> None:
    """To the developer, in the server's log."""
    with pytest.raises(ReplyError, match=r"^the reply was started twice$"):
        _waiting().start(200, [])
    with pytest.raises(ReplyError, match=r"^a body came before the start of the reply or after its end$"):
        opened().body(b"x", more=False)


@pytest.mark.contract("B4", "F2")
@pytest.mark.parametrize(("raw_path", "mode"), [(b"/old/x", "mint"), (b"/old%2fx", "require"), (None, "mint")])
def test_an_event_names_the_mode_of_the_path_as_it_was_sent(raw_path: bytes | None, mode: str) -> None:
    """An encoded slash could be read in two ways: then the strictest mode is in force, and the event says so."""
    terms = Terms(Policy(modes={"/old/*": "mint"}), CountingMint(), b"x-trace-id")
    exchange = Exchange(terms, OWN_TRACE, "GET", "/old/x", [], raw_path)
    exchange.start(200, [OTHER_LINE])

    assert only(exchange).mode == mode


@pytest.mark.contract("C1", "C4")
@pytest.mark.parametrize("lines", [[], [JSON], [SSE], [(b"content-length", b"3")], [(b"a b", b"")]])
def test_a_reply_whose_head_the_server_did_not_take_begins_anew(lines: Lines) -> None:
    """Nothing of the first head is left: not its status, its length, its body's treatment, nor what was to leave."""
    exchange = opened()
    exchange.start(200 if lines != [JSON] else 404, lines)
    exchange.reopen()
    fresh = opened()

    assert (exchange.state, exchange.status, exchange.remaining, exchange.error) == (State.OPEN, None, -1, None)
    assert exchange.take() == ()
    assert exchange.stage == fresh.stage == "body"
    exchange.fail(ValueError())
    fresh.fail(ValueError())
    assert exchange.take() == fresh.take()
