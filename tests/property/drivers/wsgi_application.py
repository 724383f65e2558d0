"""How does a plan look when a raw WSGI application acts it out?"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

from tests.property.drivers.exceptions import SECRET, make
from tests.property.drivers.record import Notes
from tests.property.drivers.wsgi import StartResponse, WsgiApplication
from tests.property.plan import Fault, Headers, Plan

__all__ = ["status_line", "wsgi_application"]


def status_line(status: int) -> str:
    """Return *status* with its reason phrase."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Whatever"


def wsgi_application(plan: Plan, notes: Notes) -> WsgiApplication:
    """Return the application; it writes what it sees into *notes*."""
    reused = _native(plan.headers)

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        notes.entered += 1
        notes.scopes.append(dict(environ))
        notes.look()
        if plan.shape.reads_request:
            environ["wsgi.input"].read()
        actor = _Actor(plan, notes, start_response, reused)
        try:
            return actor.answer(environ)
        except BaseException as error:
            notes.raised = error
            raise

    return application


def _native(headers: Headers) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


class _Actor:
    """One run of the plan; as an iterable it is the reply's body."""

    def __init__(self, plan: Plan, notes: Notes, start_response: StartResponse, reused: list[tuple[str, str]]) -> None:
        self.plan = plan
        self.notes = notes
        self.start_response = start_response
        self.headers = reused if plan.shape.headers_as == "reused" else list(reused)

    def answer(self, environ: dict[str, Any]) -> Iterable[bytes]:
        plan, fault, kind = self.plan, self.plan.fault, self.plan.shape.body_as
        if fault is Fault.NO_REPLY:
            return []
        if kind == "lazy_start" or fault is Fault.BODY_FIRST:
            return self._steps(starts=True)
        if fault is Fault.RAISE_BEFORE_START:
            raise make(plan.raises)
        write = self._start()
        if fault is Fault.START_TWICE and plan.fault_after == 0:
            self._start_again()
        if kind == "write":
            for chunk in self._steps(starts=False):
                write(chunk)
            return _Closing(iter(()), self) if fault is Fault.RAISE_AFTER_END else []
        if kind == "file_wrapper":
            wrapper: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(plan.body))
            return wrapper
        if kind in ("list", "tuple") and fault is Fault.NONE:
            return list(plan.chunks) if kind == "list" else plan.chunks
        if kind == "generator" and fault is not Fault.RAISE_AFTER_END:
            return self._steps(starts=False)
        return _Closing(self._steps(starts=False), self)

    def _start(self) -> Callable[[bytes], object]:
        if self.plan.shape.restarts is not None:
            status, headers = self.plan.shape.restarts
            self.start_response(status_line(status), _native(headers))
            try:
                raise LookupError  # noqa: TRY301  exc_info needs one
            except LookupError:
                return self.start_response(status_line(self.plan.status), self.headers, sys.exc_info())
        return self.start_response(status_line(self.plan.status), self.headers)

    def _start_again(self) -> None:
        self.start_response(status_line(self.plan.status), list(self.headers))

    def _steps(self, *, starts: bool) -> Iterator[bytes]:
        try:
            yield from self._chunks(starts=starts)
        except BaseException as error:
            if not isinstance(error, GeneratorExit) or error.args == (
                SECRET,
            ):  # not close() of an unfinished generator
                self.notes.raised = self.notes.raised or error
            raise

    def _chunks(self, *, starts: bool) -> Iterator[bytes]:
        plan = self.plan
        self.notes.look()
        if plan.fault is Fault.RAISE_BEFORE_START:
            raise make(plan.raises)
        if plan.fault is Fault.BODY_FIRST:
            yield plan.chunks[0] if plan.chunks else b"early"
        if starts:
            self._start()
        for number, chunk in enumerate((*plan.chunks, None)):
            self.notes.look()
            self.notes.ask()
            if number == plan.fault_after and plan.fault is Fault.RAISE_MID_BODY:
                raise make(plan.raises)
            if number == plan.fault_after and plan.fault is Fault.START_TWICE and (starts or number):
                self._start_again()
            if chunk is not None:
                yield chunk


class _Closing:
    """An iterable that counts how often it is closed."""

    def __init__(self, steps: Iterator[bytes], actor: _Actor) -> None:
        self.steps = steps
        self.actor = actor

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self.steps)

    def close(self) -> None:
        """Count, and raise where the plan says so."""
        self.actor.notes.closed += 1
        self.actor.notes.look()
        if self.actor.plan.fault is Fault.RAISE_AFTER_END:
            self.actor.notes.raised = make(self.actor.plan.raises)
            raise self.actor.notes.raised
