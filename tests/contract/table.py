"""What does a row of the case table say, and which adapters must it hold for?

A row is written by hand: a request, what the application does, and what must leave. Every row runs for every adapter
that can speak it, and is brought before the oracle of the property proof as well, so that each checks the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.property.drivers.gates import play
from tests.property.drivers.record import PLAIN, Outcome, Staging, Transport
from tests.property.oracle.marks import object_in
from tests.property.oracle.verdict import faults_of
from tests.property.plan import OWN, Headers, Plan, Request, Settings

__all__ = ["ADAPTERS", "JSON", "SSE", "Expect", "Row", "judge", "one_of", "params", "splices"]

ADAPTERS: tuple[Transport, ...] = ("asgi", "wsgi")

JSON: Headers = ((b"content-type", b"application/json"),)
SSE: Headers = ((b"content-type", b"text/event-stream"),)

Check = Callable[[Outcome], object]


@dataclass(frozen=True, slots=True)
class Expect:
    """What must be seen outside.

    Attributes:
        status: The status that leaves; None: nothing leaves.
        body: The exact body, or all that it may be; None: not looked at here.
        members: Members of a JSON body, with their values.
        has: Header lines that must be there, name in lower case.
        lacks: Header names that must not be there, in lower case.
        trace: The id line; None: a minted one.
        clean: Whether the reply ends as a whole one does.
        raises: Whether an exception comes out of the gate; None: not looked at here.
        events: The kinds that are recorded, in order; None: not looked at here.
        checks: More to assert, each true for a right outcome.
    """

    status: int | None = 200
    body: bytes | Collection[bytes] | None = None
    members: dict[str, Any] = field(default_factory=dict)
    has: Headers = ()
    lacks: tuple[bytes, ...] = ()
    trace: bytes | None = OWN
    clean: bool = True
    raises: bool | None = False
    events: tuple[str, ...] | None = ()
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One case."""

    name: str
    expect: Expect
    plan: Plan = field(default_factory=Plan)
    request: Request = field(default_factory=Request)
    settings: Settings = field(default_factory=Settings)
    staging: Staging = PLAIN
    only: Transport | None = None
    oracle: bool = True


def one_of(*names: str) -> Check:
    """Return a check that the application was called and saw one of *names*."""
    return lambda outcome: set(outcome.notes.inside) <= set(names) and outcome.notes.inside


def splices(body: bytes, trace: bytes = OWN) -> set[bytes]:
    """Return *body*, a JSON object, with the member spliced in after its first brace or before its last."""
    member = b'"trace_id":"%s"' % trace
    head, tail = body.index(b"{") + 1, body.rindex(b"}")
    comma = b"," if body[head:tail].strip() else b""
    kept = len(body[:tail].rstrip())
    return {
        body[:head] + member + comma + body[head:],
        *(body[:at] + comma + member + body[at:] for at in (tail, kept)),
    }


def params(rows: Sequence[Row]) -> list[Any]:
    """Return one pytest parameter for each row and each adapter that can speak it."""
    return [
        pytest.param(adapter, row, id=f"{adapter}-{row.name}")
        for row in rows
        for adapter in ADAPTERS
        if row.only in (None, adapter)
    ]


def judge(adapter: Transport, row: Row) -> Outcome:
    """Play *row* behind *adapter* and assert everything that it says."""
    outcome = play(adapter, row.plan, row.request, row.settings, row.staging)
    expect, reply = row.expect, outcome.reply
    seen = f"{reply}\n{outcome.events}"
    assert reply.status == expect.status, seen
    assert expect.events in (None, tuple(event.kind for event in outcome.events)), seen
    assert expect.raises in (None, reply.raised is not None), seen
    assert reply.clean == (expect.clean and expect.status is not None), seen
    if expect.status is not None:
        ids = reply.values(b"x-trace-id")
        assert len(ids) == 1, seen
        assert expect.trace in (None, ids[0]), seen
    if expect.body is not None:
        allowed = [expect.body] if isinstance(expect.body, bytes) else list(expect.body)
        assert reply.body in allowed, seen
    if expect.members:
        document = object_in(reply.body)
        assert document is not None, seen
        members = {each.name: reply.body[each.value_start : each.value_end] for each in document.members}
        assert {name: json.loads(members[name]) for name in expect.members} == expect.members, seen
    lines = [(name.lower(), value) for name, value in reply.headers]
    assert [line for line in expect.has if line not in lines] == [], seen
    assert [name for name in expect.lacks if reply.values(name)] == [], seen
    for check in expect.checks:
        assert check(outcome), seen
    if row.oracle:
        assert faults_of(adapter, row.plan, row.request, row.settings, outcome) == [], seen
    return outcome
