"""Does a reply that needs nothing but the header reach the server as the application made it?"""
# ruff: noqa: ANN401 - an application under test may be, return and pass anything

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest

from tests.unit.adapters.wsgi_server import (
    JSON,
    OTHER,
    OWN,
    STREAM,
    TEXT,
    Environ,
    FileWrapper,
    Server,
    Start,
    environ,
    gated,
)
from tracegate.adapters.wsgi_passage import exchange_in
from tracegate.context import current_trace, trace_scope
from tracegate.core.policy import Policy
from tracegate.errors import ReplyAbortedError


def answering(body: Any, headers: Any = TEXT, status: str = "200 OK") -> Callable[[Environ, Start], Any]:
    """Return an application that answers with *body*."""

    def app(_request: Environ, start_response: Start) -> Any:
        start_response(status, headers if type(headers) is not list else list(headers))
        return body

    return app


def with_length(length: object) -> list[tuple[str, str]]:
    """Return the headers of a text of *length* bytes."""
    return [*TEXT, ("Content-Length", str(length))]


@pytest.mark.contract("C8")
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ([b"hello"], TEXT),
        ([b"hello"], with_length(5)),
        ([b"he", b"", b"llo"], with_length(5)),
        ((b"he", b"llo"), TEXT),
        ((b"hello",), with_length(5)),
        ([], TEXT),
        ([], with_length(0)),
    ],
)
def test_a_list_that_agrees_with_its_head_is_the_applications_own(body: Any, headers: list[tuple[str, str]]) -> None:
    """Servers treat lists of one item in special ways."""
    gate, _ = gated(answering(body, headers))
    server = Server().serve(gate)
    assert server.result is body
    assert server.headers == [*headers, ("X-Trace-Id", OWN)]
    assert server.told == ["200 OK"]


@pytest.mark.contract("C8", "D4")
def test_a_head_that_needed_a_look_leaves_its_list_alone_too() -> None:
    """CORS, another status, marked success bodies: the body is still the application's own."""
    for headers, status in (
        ([("Access-Control-Allow-Origin", "*"), *TEXT], "200 OK"),
        (TEXT, "404 Not Found"),
        (TEXT, "299 Odd"),
        (with_length(5), "503 Service Unavailable"),
    ):
        body = [b"hello"]
        gate, _ = gated(answering(body, headers, status))
        server = Server().serve(gate)
        assert (server.result is body, server.status) == (True, status)
        assert server.headers[: len(headers)] == headers
        assert server.values("x-trace-id") == [OWN]
    gate, _ = gated(answering([b"[1]"], JSON), Policy(bodies="all"))
    assert Server().serve(gate).body == b"[1]"


@pytest.mark.contract("C8")
@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_reply_without_a_body_may_declare_any_length(status: str) -> None:
    """As may one to HEAD: nothing is counted."""
    for request in (environ(), environ(REQUEST_METHOD="HEAD")):
        body: list[bytes] = []
        gate, events = gated(answering(body, with_length(9), status))
        server = Server().serve(gate, request)
        assert (server.result is body, server.status, events) == (True, status, [])
    gate, events = gated(answering(iter(()), with_length(9)))
    server = Server().serve(gate, environ(REQUEST_METHOD="HEAD"))
    assert (server.status, server.clean, events) == ("200 OK", True, [])


@pytest.mark.contract("C8", "D3")
def test_the_servers_file_wrapper_is_the_servers_again() -> None:
    """It knows how to send its own type."""
    for status in ("200 OK", "404 Not Found"):
        body = FileWrapper(io.BytesIO(b"file"))
        gate, _ = gated(answering(body, TEXT, status))
        assert Server().serve(gate).result is body
    body = FileWrapper(io.BytesIO(b"file"))
    gate, _ = gated(answering(body))
    server = Server().serve(gate, environ(**{"wsgi.file_wrapper": lambda file: file}))
    assert (server.result is body, server.body) == (False, b"file")


@pytest.mark.contract("C8", "C10")
def test_pairs_that_are_no_tuples_become_some() -> None:
    """Lists and other iterables of pairs are legal to some servers; here they are legal to all."""
    for headers in ((("Content-Type", "text/plain"),), [["Content-Type", "text/plain"]], iter(TEXT)):
        gate, _ = gated(answering([b"x"], headers))
        server = Server().serve(gate)
        assert (server.headers, server.body) == ([*TEXT, ("X-Trace-Id", OWN)], b"x")


@pytest.mark.contract("C8")
def test_padded_values_leave_without_their_padding() -> None:
    """It is no part of the value (RFC 9110, section 5.5)."""
    gate, _ = gated(answering([b"x"], [("X-A", " b "), *TEXT]))
    assert Server().serve(gate).headers == [("X-A", "b"), *TEXT, ("X-Trace-Id", OWN)]


@pytest.mark.contract("C8")
def test_latin_1_passes_as_it_is() -> None:
    """Native strings of PEP 3333 stand for bytes."""
    headers = [("X-Name", "caf\xe9"), *TEXT]
    gate, _ = gated(answering([b"x"], headers, "200 C\xe9"))
    server = Server().serve(gate)
    assert (server.status, server.headers[:2]) == ("200 C\xe9", headers)


@pytest.mark.contract("C1", "C3")
def test_an_own_equal_header_is_the_only_one() -> None:
    """It stays as it is; another one is refused, and the application's status is named."""
    gate, events = gated(answering([b"x"], [("x-trace-id", OWN.upper()), *TEXT]))
    assert Server().serve(gate).headers == [("x-trace-id", OWN.upper()), *TEXT]
    assert events == []
    gate, events = gated(answering([b"x"], [("X-Trace-Id", OTHER), ("Set-Cookie", "a=b"), *TEXT]))
    server = Server().serve(gate)
    assert (server.status, server.values("set-cookie"), server.values("x-trace-id")) == ("409 Conflict", ["a=b"], [OWN])
    assert b'"refused_status":200' in server.body
    assert [(event.kind, event.refused_status) for event in events] == [("trace_overwrite_refused", 200)]


@pytest.mark.contract("C3")
def test_what_a_policy_keeps_is_delivered_and_recorded() -> None:
    """Before it leaves."""
    gate, events = gated(answering([b"x"], [("X-Trace-Id", OTHER)]), Policy(on_conflict="keep"))
    server = Server().serve(gate)
    assert (server.values("x-trace-id"), server.body) == ([OTHER], b"x")
    assert [(event.kind, event.would_refuse) for event in events] == [("trace_overwrite_refused", True)]


@pytest.mark.contract("C7")
def test_opted_in_headers_are_on_every_reply() -> None:
    """A plain head needs more then."""
    gate, _ = gated(answering([b"x"]), Policy(traceresponse=True))
    assert len(Server().serve(gate).values("traceresponse")) == 1


@pytest.mark.contract("C8")
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
def test_the_validator_of_the_standard_library_has_no_complaint(status: str) -> None:
    """On both sides of the gate, whatever the body is."""

    def pieces(_request: Environ, start_response: Start) -> Iterable[bytes]:
        start_response(status, list(JSON))
        yield b'{"a":'
        yield b"1}"

    def stream(_request: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", list(STREAM))
        yield b"data: a"
        yield b"\n\n"

    for app in (answering([b"{}"], JSON, status), pieces, stream):
        gate, _ = gated(validator(app))
        server = Server().serve(validator(gate), environ(**{"wsgi.file_wrapper": None}))
        assert server.raised is None
        assert server.values("x-trace-id") == [OWN]


def test_a_recurring_head_is_remembered_within_bounds() -> None:
    """What may be secret or never comes again is not."""
    heads = [*TEXT, ("Content-Length", "1"), ("Set-Cookie", "secret"), ("Vary", "v" * 200)]
    gate, _ = gated(answering([b"x"], heads))
    for _ in range(2):
        assert Server().serve(gate).headers == [*heads, ("X-Trace-Id", OWN)]
    assert set(gate.plain_heads._known) == {("Content-Type", "text/plain"), ("Content-Length", "1")}
    many = [answering([b"x" * size], with_length(size)) for size in range(2100)]
    for app in many:
        gate.app = app
        assert Server().serve(gate).clean
    assert len(gate.plain_heads._known) == 2048


@pytest.mark.contract("C10")
def test_two_lengths_that_differ_are_no_head() -> None:
    """Neither is a length that is no number; equal ones are one."""
    for values in (("1", "2"), ("x",), ("-1",)):
        gate, _ = gated(answering([b"x"], [("Content-Length", value) for value in values]))
        assert Server().serve(gate).status == "500 Internal Server Error"
    gate, _ = gated(answering([b"x"], [("Content-Length", "1"), ("Content-Length", "1")]))
    assert Server().serve(gate).status == "200 OK"


@pytest.mark.contract("C5", "C8")
@pytest.mark.parametrize("asked_after", [0, 1, 2])
@pytest.mark.parametrize(
    ("length", "ending"), [(None, ""), (6, ""), (None, "fails"), (6, "fails"), (8, "is short"), (5, "is long")]
)
def test_who_asks_for_the_exchange_midway_loses_no_byte(asked_after: int, length: int | None, ending: str) -> None:
    """The slow half goes on where the fast one stood: what was sent counts, and what waited is sent."""
    environs: list[Environ] = []

    def app(environ: Environ, start_response: Start) -> Any:
        environs.append(environ)
        start_response("200 OK", list(TEXT) if length is None else with_length(length))
        return pieces()

    def pieces() -> Iterator[bytes]:
        yield b"one"
        yield b"two"
        if ending == "fails":
            raise ValueError("late")

    gate, events = gated(app)
    server = Server()
    reply = iter(gate(environ(), server.start_response))
    got: list[bytes] = []

    def read() -> None:
        got.extend(next(reply) for _ in range(asked_after))
        assert exchange_in(environs[0]) is not None
        got.extend(reply)

    if ending:
        with pytest.raises(ValueError if ending == "fails" else ReplyAbortedError):
            read()
    else:
        read()
        assert b"".join(got) == b"onetwo"
    assert b"onetwo".startswith(b"".join(got))
    assert (server.told, [event.kind for event in events]) == (["200 OK"], ["stream_broken"] if ending else [])


@pytest.mark.contract("C5", "G2")
def test_a_step_that_does_more_than_to_make_a_piece_is_followed() -> None:
    """It writes, and opens a scope; what it wrote leaves first, and the scope holds for the next step."""
    seen: list[str] = []

    def app(_environ: Environ, start_response: Start) -> Any:
        write = start_response("200 OK", list(TEXT))

        def pieces() -> Iterator[bytes]:
            yield b"one"
            with trace_scope(OTHER):
                write(b"two")
                yield b"three"
                seen.append(str(current_trace()))

        return pieces()

    server = Server().serve(gated(app)[0])
    assert (server.body, seen, current_trace()) == (b"onetwothree", [OTHER], None)
