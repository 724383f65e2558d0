"""Does the oracle see what is wrong? Right replies pass, and each kind of damage to them is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.integration.applications.scripts import SCRIPTS, play
from tests.integration.matrix.case import Case
from tests.integration.matrix.cases import CASES
from tests.integration.matrix.losses import find_losses
from tests.integration.matrix.oracle import judge
from tests.integration.matrix.runner import Cell
from tests.integration.wire import Ending, Reply

MINTED = "5e6f3c0e-9a55-4c38-8f7b-0c4d8a3f1e22"
ERROR_TYPE = (b"content-type", b"application/json; charset=utf-8")
NO_STORE = (b"cache-control", b"no-store")


def bare(case: Case) -> Reply:
    """Return what a perfect server delivers of the bare application's reply."""
    script = play(SCRIPTS.get(case.path.strip("/"), SCRIPTS["text"]), case.trace)
    headers = tuple((name.encode(), value.encode()) for name, value in script.headers)
    return Reply(script.status, headers, b"".join(script.chunks), Ending.FULL_LENGTH)


def with_id(reply: Reply, trace: str) -> Reply:
    """Return *reply* with the id line."""
    return replace(reply, headers=(*reply.headers, (b"x-trace-id", trace.encode())))


def error(status: int, code: str, trace: str, details: str = "[]") -> Reply:
    """Return a reply of the gate's own."""
    body = f'{{"error_code": "{code}", "message": "m", "trace_id": "{trace}", "details": {details}}}'
    return with_id(Reply(status, (ERROR_TYPE, NO_STORE), body.encode(), Ending.FULL_LENGTH), trace)


def faults(name: str, gated: Reply | str, original: Reply | str | None = None) -> list[str]:
    """Return what the oracle finds wrong with *gated*."""
    case = CASES[name]
    return judge(Cell(case, bare(case) if original is None else original, gated), None).faults


def right(name: str) -> Reply:
    """Return a gated reply of *name* that is right."""
    case = CASES[name]
    reply = with_id(bare(case), case.trace)
    mark = b'"trace_id": "' + case.trace.encode() + b'"'
    match name.partition("/")[2]:
        case "missing":
            return replace(reply, body=reply.body.replace(b"{", b"{" + mark + b", ", 1))
        case "sse-json":
            return replace(reply, body=reply.body.replace(b"{", b"{" + mark + b", "))
        case "sse-text":
            return replace(reply, body=reply.body.replace(b"\n\n", b"\ntrace_id: " + case.trace.encode() + b"\n\n"))
        case "crash":
            return error(500, "SYS-003-500", case.trace)
        case "id-missing":
            return error(409, "SYS-004-409-TRACE", MINTED, '["missing_trace_id"]')
        case "crash-middle":
            return replace(reply, ending=Ending.CUT)
        case _:
            return reply


RIGHT = ("json", "cors", "missing", "sse-json", "sse-text", "crash", "crash-middle")


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_reply_has_no_fault(name: str) -> None:
    """What the contract asks for is accepted, byte for byte."""
    reply = right(f"wsgi/{name}")
    if name == "cors":
        lines = tuple((key, value + b", X-Trace-Id" if b"expose" in key else value) for key, value in reply.headers)
        reply = replace(reply, headers=lines)
    assert faults(f"wsgi/{name}", reply) == []


def test_a_right_refusal_has_no_fault() -> None:
    """A refusal is judged without the bare reply's bytes."""
    assert faults("wsgi/id-missing", right("wsgi/id-missing"), Reply(200, (), b"", Ending.FULL_LENGTH)) == []


def without(reply: Reply, name: bytes) -> Reply:
    """Return *reply* without the line called *name*."""
    return replace(reply, headers=tuple(line for line in reply.headers if line[0] != name))


DAMAGED: dict[str, tuple[str, Callable[[Reply], Reply]]] = {
    "no id": ("json", lambda reply: without(reply, b"x-trace-id")),
    "two ids": ("json", lambda reply: with_id(reply, CASES["wsgi/json"].trace)),
    "another id": ("json", lambda reply: with_id(without(reply, b"x-trace-id"), MINTED)),
    "another spelling": (
        "json",
        lambda reply: with_id(without(reply, b"x-trace-id"), CASES["wsgi/json"].trace.upper()),
    ),
    "another status": ("json", lambda reply: replace(reply, status=201)),
    "a lost header": ("json", lambda reply: without(reply, b"x-app")),
    "a new header": ("json", lambda reply: replace(reply, headers=(*reply.headers, (b"x-new", b"1")))),
    "another order": ("json", lambda reply: replace(reply, headers=reply.headers[::-1])),
    "another byte": ("json", lambda reply: replace(reply, body=reply.body + b" ")),
    "another ending": ("json", lambda reply: replace(reply, ending=Ending.TERMINAL_CHUNK)),
    "an id that is not exposed": ("cors", lambda reply: reply),
    "no member": ("missing", lambda reply: replace(reply, body=SCRIPTS["missing"].chunks[0])),
    "a doubled member": ("missing", lambda reply: replace(reply, body=b'{"trace_id": "1", ' + reply.body[1:])),
    "a changed member": ("missing", lambda reply: replace(reply, body=reply.body.replace(b"API-404", b"API-405"))),
    "changed white space": ("missing", lambda reply: replace(reply, body=reply.body.replace(b": ", b":"))),
    "an unmarked event": ("sse-text", lambda reply: replace(reply, body=SCRIPTS["sse-text"].chunks[0] * 2)),
    "a doubled mark": (
        "sse-json",
        lambda reply: replace(reply, body=reply.body.replace(b"\n\n", b"\ntrace_id: x\n\n")),
    ),
    "a lost event": ("sse-json", lambda reply: replace(reply, body=reply.body.partition(b"\n\n")[0] + b"\n\n")),
    "a new comment": ("sse-json", lambda reply: replace(reply, body=b": hi\n\n" + reply.body)),
    "changed data": ("sse-text", lambda reply: replace(reply, body=reply.body.replace(b"hello", b"hallo"))),
    "a shown secret": ("crash", lambda reply: replace(reply, body=reply.body.replace(b'"m"', b'"secret"'))),
    "a cached error": ("crash", lambda reply: without(reply, b"cache-control")),
    "another code": ("crash", lambda reply: replace(reply, body=reply.body.replace(b"SYS-003-500", b"HTTP-500"))),
    "a clean end": ("crash-middle", lambda reply: replace(reply, ending=Ending.TERMINAL_CHUNK)),
    "foreign bytes": ("crash-middle", lambda reply: replace(reply, body=b'{"error_code": "x"}')),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_reply_has_a_fault(what: str) -> None:
    """One thing is wrong at a time, and it is noticed."""
    name, damage = DAMAGED[what]
    assert faults(f"wsgi/{name}", damage(right(f"wsgi/{name}"))) != []


def test_a_reflected_bad_id_is_a_fault() -> None:
    """A refusal that carries anything but a minted UUIDv4 is seen."""
    reply = error(409, "SYS-004-409-TRACE", CASES["wsgi/id-missing"].trace, '["missing_trace_id"]')
    assert faults("wsgi/id-missing", reply, Reply(200, (), b"", Ending.FULL_LENGTH)) != []


def test_silence_is_a_fault_of_the_gate_and_a_loss_of_the_bare_application() -> None:
    """No reply counts against the gate only where the bare application has one."""
    case = CASES["wsgi/json"]
    assert faults("wsgi/json", "silent") == ["no reply: silent"]
    losses = find_losses("waitress", {case.id: (case, "silent")})
    verdict = judge(Cell(case, "silent", "silent"), losses[case.id])
    assert (verdict.faults, verdict.id_counted) == ([], False)
