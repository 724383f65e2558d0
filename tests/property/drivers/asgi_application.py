"""How does a plan look when a raw ASGI application acts it out?"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from tests.property.drivers.asgi import AsgiApplication, Message, Receive, Send
from tests.property.drivers.exceptions import make
from tests.property.drivers.record import Notes
from tests.property.plan import Fault, Headers, Plan

__all__ = ["asgi_application"]

_RAISE: Message = {"type": "raise"}
_INTERRUPTED = (Fault.RAISE_MID_BODY, Fault.RETURN_MID_BODY, Fault.START_TWICE)


def asgi_application(plan: Plan, notes: Notes) -> AsgiApplication:
    """Return the application; it writes what it sees into *notes*."""
    reused = [(name, value) for name, value in plan.headers]

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        notes.entered += 1
        notes.scopes.append(dict(scope))
        notes.look()
        try:
            await _act(plan, notes, reused, receive, send)
        except BaseException as error:
            notes.raised = error
            raise

    return application


async def _act(plan: Plan, notes: Notes, reused: list[tuple[bytes, bytes]], receive: Receive, send: Send) -> None:
    if plan.shape.reads_request:
        notes.received.append((await receive())["type"])
    for message in _script(plan, reused):
        if plan.shape.pauses:
            await asyncio.sleep(0)
        notes.look()
        if message is _RAISE:
            raise make(plan.raises)
        if message["type"] == "http.response.body":
            notes.ask()
        await send(message)
    while plan.shape.waits_for_disconnect and plan.fault is Fault.NONE and notes.received[-1:] != ["http.disconnect"]:
        notes.received.append((await receive())["type"])
    notes.look()


def _script(plan: Plan, reused: list[tuple[bytes, bytes]]) -> list[Message]:
    """Return what the plan sends, in order, faults included."""
    start: Message = {"type": "http.response.start", "status": plan.status, **dict(plan.shape.start_extras)}
    if plan.headers:
        start["headers"] = _contain(plan, reused)
    if plan.shape.trailers is not None:
        start["trailers"] = True
    opening = [*map(dict, plan.shape.before_start), start, *map(dict, plan.shape.after_start)]
    body = _body(plan)
    done, left = body[: plan.fault_after], body[plan.fault_after :]
    for message in done if plan.fault in _INTERRUPTED else ():
        message["more_body"] = True
    again: Message = {"type": "http.response.start", "status": plan.status, "headers": list(plan.headers)}
    late: Message = {"type": "http.response.body", "body": b"late", "more_body": False}
    return {
        Fault.NONE: [*opening, *body],
        Fault.RAISE_BEFORE_START: [_RAISE],
        Fault.NO_REPLY: [],
        Fault.BODY_FIRST: [*body[:1], *opening, *body],
        Fault.RAISE_MID_BODY: [*opening, *done, _RAISE],
        Fault.RETURN_MID_BODY: [*opening, *done],
        Fault.START_TWICE: [*opening, *done, again, *left],
        Fault.RAISE_AFTER_END: [*opening, *body, _RAISE],
        Fault.SEND_AFTER_END: [*opening, *body, late],
    }[plan.fault]


def _contain(plan: Plan, reused: list[tuple[bytes, bytes]]) -> Iterable[Any]:
    match plan.shape.headers_as:
        case "list":
            return list(plan.headers)
        case "tuple":
            return plan.headers
        case "iterator":
            return iter(plan.headers)
        case "lists":
            return [[name, value] for name, value in plan.headers]
        case "reused":
            return reused


def _body(plan: Plan) -> list[Message]:
    """Return the body messages; all but the last leave the body open, so that a fault can follow each chunk."""
    if plan.shape.file:
        return [_file_message(plan)]
    messages: list[Message] = [
        {"type": "http.response.body", "body": chunk, "more_body": True} for chunk in plan.chunks
    ]
    if plan.shape.ending == "last_chunk" and messages:
        messages[-1]["more_body"] = False
    elif plan.shape.ending == "bare_chunk":
        messages.append({"type": "http.response.body"})
    else:
        messages.append({"type": "http.response.body", "body": b"", "more_body": False})
    if plan.shape.omits_more_body:
        messages[-1].pop("more_body", None)
    if plan.shape.trailers is not None:
        messages.append(_trailers(plan.shape.trailers))
    return messages


def _trailers(headers: Headers) -> Message:
    return {"type": "http.response.trailers", "headers": list(headers), "more_trailers": False}


def _file_message(plan: Plan) -> Message:
    path = _file_of(plan.body)
    if plan.shape.file == "pathsend":
        return {"type": "http.response.pathsend", "path": path}
    return {"type": "http.response.zerocopysend", "file": _descriptor_of(plan.body), "more_body": False}


@lru_cache
def _file_of(body: bytes) -> str:
    with tempfile.NamedTemporaryFile(delete=False, prefix="tracegate-test-") as file:
        file.write(body)
    return file.name


@lru_cache(maxsize=64)
def _descriptor_of(body: bytes) -> int:
    return os.open(_file_of(body), os.O_RDONLY)
