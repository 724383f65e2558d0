"""What goes wrong in applications, clients and servers, and what must leave (C4, C5)?"""

from __future__ import annotations

from dataclasses import replace

from tests.contract.table import JSON, SSE, Check, Expect, Row
from tests.property.drivers.record import ClientGoneError, Interruption, Outcome, ServerError, Staging
from tests.property.plan import OWN, Fault, Headers, Plan, Raise, Request, Shape

__all__ = ["EARLY", "LATE", "LENGTHS", "LOST"]

BODIES: dict[str, Plan] = {
    "a success": Plan(chunks=(b"one", b"two")),
    "error JSON": Plan(404, JSON, (b'{"a"', b":1}")),
    "a stream": Plan(200, SSE, (b"data: a\n\n", b"data: b\n\n")),
}
ANSWERED = (Raise.VALUE_ERROR, Raise.OS_ERROR, Raise.GROUP, Raise.SYSTEM_EXIT)
PASSED = (Raise.CANCELLED, Raise.KEYBOARD_INTERRUPT, Raise.GENERATOR_EXIT)


def _is_same(outcome: Outcome) -> bool:
    """The application's exception came out: the same object, after the last send."""
    reply, notes = outcome.reply, outcome.notes
    return reply.raised is notes.raised and reply.raised_after == reply.sends


def _crash(*, raises: bool, checks: tuple[Check, ...] = ()) -> Expect:
    return Expect(
        500,
        members={"error_code": "SYS-003-500", "details": [], "trace_id": OWN.decode()},
        has=((b"content-type", b"application/json; charset=utf-8"), (b"cache-control", b"no-store")),
        raises=raises,
        checks=checks,
    )


def _failing(plan: Plan, fault: Fault, after: int = 0, raises: Raise = Raise.VALUE_ERROR) -> Plan:
    return replace(plan, fault=fault, fault_after=after, raises=raises)


EARLY = [
    *(
        Row(
            f"{raises.value} before {name}",
            _crash(raises=True, checks=(_is_same,)),
            _failing(plan, Fault.RAISE_BEFORE_START, raises=raises),
        )
        for name, plan in BODIES.items()
        for raises in ANSWERED
    ),
    *(
        Row(
            f"{raises.value} before {name}",
            Expect(None, raises=True, checks=(_is_same, lambda outcome: outcome.reply.sends == 0)),
            _failing(plan, Fault.RAISE_BEFORE_START, raises=raises),
        )
        for name, plan in BODIES.items()
        for raises in PASSED
    ),
    Row(
        "ValueError for HEAD",
        Expect(500, raises=True, checks=(_is_same,)),
        _failing(Plan(), Fault.RAISE_BEFORE_START),
        Request(method="HEAD"),
    ),
    *(
        Row(f"{fault.value}, {name}", replace(_crash(raises=False), checks=()), _failing(plan, fault), only="asgi")
        for name, plan in BODIES.items()
        for fault in (Fault.NO_REPLY,)
    ),
    Row(
        "an exception at the first item",
        _crash(raises=True, checks=(_is_same, lambda outcome: outcome.reply.raised_from == "next")),
        replace(_failing(Plan(), Fault.RAISE_BEFORE_START), shape=Shape(body_as="lazy_start")),
        only="wsgi",
    ),
    Row(
        "an exception from the callable",
        _crash(raises=True, checks=(_is_same, lambda outcome: outcome.reply.raised_from == "next")),
        _failing(Plan(), Fault.RAISE_BEFORE_START),
        only="wsgi",
    ),
]

_BROKEN = Expect(clean=False, raises=True, events=("stream_broken",), checks=(_is_same,))

LATE = [
    *(
        Row(
            f"{raises.value} after {after} chunks of a success",
            replace(_BROKEN, body=b"onetwo"[: 3 * after]),
            _failing(BODIES["a success"], Fault.RAISE_MID_BODY, after, raises),
        )
        for raises in ANSWERED
        for after in (1, 2)
    ),
    *(
        Row(
            f"{raises.value} after a chunk of a success",
            replace(_BROKEN, body=b"one", events=()),
            _failing(BODIES["a success"], Fault.RAISE_MID_BODY, 1, raises),
            only="asgi",
            oracle=False,
        )
        for raises in PASSED
    ),
    Row(
        "an exception between the head and the body",
        replace(_BROKEN, body=b""),
        _failing(BODIES["a success"], Fault.RAISE_MID_BODY),
        only="asgi",
    ),
    Row(
        "an exception in error JSON",
        _crash(raises=True, checks=(_is_same,)),
        _failing(BODIES["error JSON"], Fault.RAISE_MID_BODY, 1),
    ),
    Row(
        "an exception after the end",
        Expect(body=b"onetwo", raises=True, checks=(_is_same,)),
        _failing(BODIES["a success"], Fault.RAISE_AFTER_END),
        only="asgi",
    ),
    Row(
        "an exception after the end of error JSON",
        Expect(404, raises=True, members={"a": 1, "trace_id": OWN.decode()}, checks=(_is_same,)),
        _failing(BODIES["error JSON"], Fault.RAISE_AFTER_END),
        only="asgi",
    ),
    Row(
        "a return in the middle",
        replace(_BROKEN, raises=None, body=b"one", checks=()),
        _failing(BODIES["a success"], Fault.RETURN_MID_BODY, 1),
        only="asgi",
    ),
    Row(
        "a return after the head",
        replace(_BROKEN, raises=None, body=b"", checks=()),
        _failing(BODIES["a success"], Fault.RETURN_MID_BODY),
        only="asgi",
    ),
    Row(
        "more after the end",
        Expect(body=b"onetwo", raises=None, checks=(lambda outcome: outcome.reply.parts[-1][1] is False,)),
        _failing(BODIES["a success"], Fault.SEND_AFTER_END),
        only="asgi",
    ),
]

_NINE: Headers = ((b"content-type", b"text/plain"), (b"content-length", b"9"))
_ONE: Headers = ((b"content-type", b"text/plain"), (b"content-length", b"1"))


LENGTHS = [
    Row("a body that is too short", replace(_BROKEN, raises=None, checks=()), Plan(headers=_NINE)),
    Row("a body that is too long", replace(_BROKEN, raises=None, checks=()), Plan(headers=_ONE)),
]


def _raises(error: type[BaseException]) -> Check:
    """Return a check that an exception of that type came out."""
    return lambda outcome: isinstance(outcome.reply.raised, error)


LOST = [
    *(
        Row(
            f"{kind} at send {at} of {name}",
            Expect(
                None if at == 0 else plan.status,
                clean=False,
                raises=True,
                events=None,
                checks=(
                    _raises(error),
                    lambda outcome: "missing_trace" not in {e.kind for e in outcome.events},
                ),
            ),
            plan,
            staging=Staging(interruption=Interruption(kind, at)),
            only="asgi",
            oracle=False,
        )
        for name, plan in BODIES.items()
        for kind, error in (("gone", ClientGoneError), ("dies", ServerError))
        for at in (0, 1)
    ),
]
