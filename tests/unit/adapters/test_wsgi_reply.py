"""Does a reply that fails, streams or must be marked leave as the contract says, whatever shape the application has?"""
# ruff: noqa: ANN401 - an application under test may be, return and pass anything

from __future__ import annotations

import gc
import io
import json
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

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
from tracegate.context import current_trace, require_trace
from tracegate.core.policy import Policy
from tracegate.errors import MissingTraceError, ReplyAbortedError, ReplyError

CRASH = ValueError("secret")
LONG = [*TEXT, ("Content-Length", "9")]


class Body:
    """An iterable that plays its items: bytes are handed out, exceptions raised, callables called.

    Attributes:
        taken: How many items were asked for.
        closed: How often it was closed.
        seen: The traces that its steps ran under.
    """

    def __init__(
        self, *items: bytes | BaseException | Callable[[], object], closing: BaseException | None = None
    ) -> None:
        self._items = list(items)
        self._closing = closing
        self.taken = 0
        self.closed = 0
        self.seen: set[str] = set()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.seen.add(str(current_trace()))
        while self._items:
            item = self._items.pop(0)
            if isinstance(item, bytes):
                self.taken += 1
                return item
            if isinstance(item, BaseException):
                raise item
            item()
        raise StopIteration

    def close(self) -> None:
        self.closed += 1
        self.seen.add(str(current_trace()))
        if self._closing is not None:
            raise self._closing


def playing(
    body: Any, headers: Any = TEXT, status: Any = "200 OK", *, written: tuple[bytes, ...] = ()
) -> Callable[[Environ, Start], Any]:
    """Return an application that writes *written* and answers with *body*; it raises an exception instead."""

    def app(_request: Environ, start_response: Start) -> Any:
        write = start_response(status, list(headers) if type(headers) is list else headers)
        for data in written:
            write(data)
        if isinstance(body, BaseException):
            raise body
        return body

    return app


def serve(
    app: Any,
    policy: Policy | None = None,
    *,
    server: Server | None = None,
    request: Environ | None = None,
    take: int = 1000,
) -> tuple[Server, list[str]]:
    """Return what *app* behind a gate leaves: the server, and the kinds of the events."""
    gate, events = gated(app, policy)
    served = (server or Server()).serve(gate, request, take=take)
    assert current_trace() is None
    return served, [event.kind for event in events]


def is_crash(server: Server) -> bool:
    """Return whether *server* sent one whole traced 500."""
    error = json.loads(server.body)
    assert server.values("content-length") == [str(len(server.body))]
    assert server.values("x-trace-id") == [OWN]
    assert (error["error_code"], error["trace_id"], error["details"]) == ("SYS-003-500", OWN, [])
    return server.status == "500 Internal Server Error"


# Before the reply starts (C4).


@pytest.mark.contract("C4")
@pytest.mark.parametrize("error", [CRASH, SystemExit(1), ExceptionGroup("g", [CRASH]), ConnectionResetError()])
@pytest.mark.parametrize("headers", [TEXT, JSON, STREAM, LONG])
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
@pytest.mark.parametrize("place", ["callable", "first step"])
def test_an_exception_before_the_first_byte_is_one_traced_500(
    error: BaseException, headers: list[tuple[str, str]], status: str, place: str
) -> None:
    """The same exception leaves from __next__ after the last byte, and the head that never left is forgotten."""
    body = Body(error)
    server, events = serve(playing(error if place == "callable" else body, headers, status))
    assert is_crash(server)
    assert server.told == ["500 Internal Server Error"]
    assert (server.raised is error, server.raised_from, events) == (True, "iterate", [])
    if place == "first step":
        assert (body.closed, body.seen) == (1, {OWN})


class NeverIterable:
    """A body whose iterator is one `next()` too many away."""

    def __iter__(self) -> Iterator[bytes]:
        raise StopIteration


@pytest.mark.contract("C4", "C5")
@pytest.mark.parametrize("body", [StopIteration(), NeverIterable()])
@pytest.mark.parametrize("written", [(), (b"half",)])
def test_stop_iteration_is_never_taken_for_a_clean_end(body: Any, written: tuple[bytes, ...]) -> None:
    """It leaves as a generator's does (PEP 479), with itself as the cause."""
    server, events = serve(playing(body, written=written))
    assert (server.clean, server.raised_from) == (False, "iterate")
    assert isinstance(server.raised, RuntimeError)
    assert isinstance(server.raised.__cause__, StopIteration)
    if written:
        assert (server.body, events) == (b"half", ["stream_broken"])
    else:
        assert is_crash(server)


@pytest.mark.contract("C4")
@pytest.mark.parametrize("error", [KeyboardInterrupt(), GeneratorExit()])
@pytest.mark.parametrize("place", ["callable", "first step", "later step"])
def test_interrupts_pass_with_nothing_sent(error: BaseException, place: str) -> None:
    """And the body is closed all the same."""
    body = Body(error) if place == "first step" else Body(b"one", error)
    server, events = serve(playing(error if place == "callable" else body))
    assert (server.raised is error, events) == (True, [])
    if place == "callable":
        assert (server.status, server.raised_from, body.closed) == (None, "call", 0)
    elif place == "first step":
        assert (server.status, server.raised_from, body.closed) == (None, "call", 1)
    else:
        assert (server.body, server.raised_from, body.closed) == (b"one", "iterate", 1)


@pytest.mark.contract("C4")
def test_an_exception_for_head_sends_its_head_before_it_leaves() -> None:
    """Without a byte of a body the head leaves with write(); a server that has none sends it first anyway."""
    server, _ = serve(playing(CRASH), request=environ(REQUEST_METHOD="HEAD"))
    assert (server.status, server.body, server.raised) == ("500 Internal Server Error", b"", CRASH)
    server, _ = serve(playing(CRASH), request=environ(REQUEST_METHOD="HEAD"), server=Server(writes=False))
    assert (server.told, server.raised) == (["500 Internal Server Error"], CRASH)


@pytest.mark.contract("C4")
@pytest.mark.parametrize("error", [CRASH, SystemExit(1)])
def test_an_exception_after_an_empty_piece_is_still_before_the_reply(error: BaseException) -> None:
    """The server has kept its head, and takes another one with exc_info."""
    server, _ = serve(playing(Body(b"", error)))
    assert is_crash(server)
    assert (server.told, server.raised) == (["200 OK", "500 Internal Server Error"], error)


@pytest.mark.contract("C4")
def test_a_server_that_has_sent_its_head_too_early_raises_the_exception_itself() -> None:
    """As PEP 3333 says; nothing of the 500 is sent."""
    server = Server()
    gate, _ = gated(playing(Body(b"", CRASH)))
    iterator = iter(gate(environ(), server.start_response))
    assert next(iterator) == b""
    server._send_head()
    with pytest.raises(ValueError, match="secret") as caught:
        next(iterator)
    assert caught.value is CRASH


@pytest.mark.contract("C4", "C5")
def test_a_server_without_write_sends_its_head_when_the_callable_returns() -> None:
    """It would send the 500 as the body of what was started (granian)."""
    server, events = serve(playing(Body(b"", CRASH)), server=Server(writes=False))
    assert (server.told, server.body, server.raised, events) == (["200 OK"], b"", CRASH, ["stream_broken"])


@pytest.mark.contract("C4")
@pytest.mark.parametrize("body", [[], Body(), iter(())])
def test_no_start_is_one_traced_500(body: Any) -> None:
    """Whether the application returned or its iterable ended."""
    server, events = serve(lambda _request, _start: body)
    assert is_crash(server)
    assert (server.clean, events) == (True, [])


@pytest.mark.contract("C4")
@pytest.mark.parametrize("piece", [b"early", b""])
def test_a_body_before_the_start_is_one_traced_500(piece: bytes) -> None:
    """Even an empty piece is too early (PEP 3333)."""
    server, _ = serve(lambda _request, _start: Body(piece))
    assert is_crash(server)
    assert isinstance(server.raised, ReplyError)


@pytest.mark.contract("C4")
def test_what_is_no_body_is_one_traced_500() -> None:
    """An application may return anything."""
    for body in (None, 7, [None]):
        server, _ = serve(playing(body, LONG))
        assert is_crash(server)
        assert isinstance(server.raised, TypeError)


@pytest.mark.contract("C3")
def test_a_refused_reply_has_no_use_for_its_body() -> None:
    """Whatever the application returned."""
    server, events = serve(playing(None, [("X-Trace-Id", OTHER)]))
    assert (server.status, server.raised, events) == ("409 Conflict", None, ["trace_overwrite_refused"])


@pytest.mark.contract("G3", "E2")
def test_code_that_lacks_its_trace_is_a_refusal() -> None:
    """Whatever had been started; its status is named."""
    server, _ = serve(playing(MissingTraceError(), TEXT, "202 Accepted"))
    assert (server.status, server.values("x-trace-id")) == ("409 Conflict", [OWN])
    assert json.loads(server.body)["details"] == ["trace_id_missing"]
    assert json.loads(server.body)["refused_status"] == 202
    server, _ = serve(lambda _request, _start: Body(MissingTraceError()))
    assert "refused_status" not in json.loads(server.body)


@pytest.mark.contract("C1", "C8")
def test_a_start_on_the_first_step_is_a_start() -> None:
    """A generator calls start_response when it is first asked."""

    def app(_request: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", list(TEXT))
        yield b"one"
        yield b"two"

    server, _ = serve(app)
    assert (server.headers, server.pieces, server.clean) == ([*TEXT, ("X-Trace-Id", OWN)], [b"one", b"two"], True)


# Heads (C10, and start_response again).


@pytest.mark.contract("C10")
@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("200OK", TEXT),
        ("2000", TEXT),
        ("OK", TEXT),
        ("099 Low", TEXT),
        ("100 Continue", TEXT),
        ("200 O\nK", TEXT),
        ("200 \u20ac", TEXT),
        (200, TEXT),
        ("200 OK", [("X A", "b")]),
        ("200 OK", [("X-A", "b\r\nX-B: c")]),
        ("200 OK", [("X-A", "\u20ac")]),
        ("200 OK", [(b"X-A", b"b")]),
        ("200 OK", [("X-A", 7)]),
        ("200 OK", [("X-A",)]),
        ("200 OK", [7]),
        ("200 OK", None),
        ("404 Not Found", [*JSON, ("X-A", "\0")]),
    ],
)
def test_a_head_that_no_server_sends_is_one_traced_500(status: Any, headers: Any) -> None:
    """The application learns of it in start_response, as from a server."""
    server, _ = serve(playing([b"x"], headers, status))
    assert is_crash(server)
    assert isinstance(server.raised, ReplyError)


@pytest.mark.contract("C8", "C10")
@pytest.mark.parametrize(
    ("status", "headers", "body"), [("200", TEXT, b"{}"), ("404 ", TEXT, b"{}"), ("404", JSON, b'{"trace_id":"%s"}')]
)
def test_a_status_line_without_a_reason_passes_as_it_is(
    status: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    """Servers send it; one that does not says so."""
    server, events = serve(playing([b"{}"], headers, status))
    expected = body % OWN.encode() if b"%s" in body else body
    assert (server.told, server.body, server.raised, events) == ([status], expected, None, [])
    assert server.values("x-trace-id") == [OWN]


@pytest.mark.contract("C10")
def test_a_head_that_this_server_refuses_is_one_traced_500() -> None:
    """Such as hop-by-hop headers; on replies of the gate's own, too."""
    hop = ("Connection", "close")

    def refuses(headers: list[tuple[str, str]]) -> bool:
        return hop in headers

    for body, headers, status in (
        ([b"x"], [hop, *TEXT], "200 OK"),
        (Body(b"x"), [hop, *TEXT], "200 OK"),
        ([b"{}"], [hop, *JSON], "404 Not Found"),
        ([b"x"], [hop, *TEXT, ("X-Trace-Id", OTHER)], "200 OK"),
    ):
        server, _ = serve(playing(body, headers, status), server=Server(refuses=refuses))
        assert is_crash(server)
        assert isinstance(server.raised, AssertionError)


def test_a_server_that_takes_no_head_at_all_gets_the_body_closed() -> None:
    """What it raises leaves from the callable: there is nothing to send."""
    body = Body(b"x")
    server, _ = serve(playing(body), server=Server(refuses=lambda _headers: True))
    assert (server.status, server.raised_from, body.closed) == (None, "call", 1)
    assert isinstance(server.raised, AssertionError)


def restarting(first: tuple[str, Any], second: tuple[str, Any], body: Any, *, written: bytes = b"") -> Any:
    """Return an application that starts with *first*, then with *second* and exc_info."""

    def app(_request: Environ, start_response: Start) -> Any:
        try:
            write = start_response(*first)
            if written:
                write(written)
            raise CRASH
        except (ValueError, ReplyError):
            start_response(*second, sys.exc_info())
        return body

    return app


@pytest.mark.contract("C8")
@pytest.mark.parametrize(
    "first",
    [
        ("200 OK", TEXT),
        ("200 OK", LONG),
        ("404 Not Found", JSON),
        ("200 OK", STREAM),
        ("200 OK", [("X-Trace-Id", OTHER)]),
        ("200 OK", [("X A", "")]),
        ("nonsense", TEXT),
    ],
)
def test_a_second_start_with_exc_info_replaces_the_first(first: tuple[str, Any]) -> None:
    """Nothing has left, so nothing of the first remains: no line, no event."""
    server, events = serve(restarting(first, ("503 Later", [*TEXT, ("Retry-After", "3")]), [b"later"]))
    assert (server.told, server.body, server.raised, events) == (["503 Later"], b"later", None, [])
    assert server.headers == [*TEXT, ("Retry-After", "3"), ("X-Trace-Id", OWN)]
    for finish in ([b"{}"], Body(b"{", b"}")):
        server, _ = serve(restarting(first, ("400 No", list(JSON)), finish))
        assert (server.told, json.loads(server.body)) == (["400 No"], {"trace_id": OWN})


@pytest.mark.contract("C8", "D1")
def test_what_is_written_after_a_second_start_belongs_to_it() -> None:
    """The first head is forgotten even where the second one is still held."""

    def app(_request: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", list(TEXT))
        try:
            raise CRASH
        except ValueError:
            write = start_response("400 No", list(JSON), sys.exc_info())
        write(b"{")
        return [b"}"]

    server, _ = serve(app)
    assert (server.told, json.loads(server.body)) == (["400 No"], {"trace_id": OWN})


@pytest.mark.contract("C5", "C8")
def test_a_second_start_after_the_first_byte_raises() -> None:
    """The exception of exc_info, as PEP 3333 says; the body stays without an end."""
    server, events = serve(restarting(("200 OK", TEXT), ("500 Oh", TEXT), [b"never"], written=b"out"))
    assert (server.status, server.body, server.raised, server.clean) == ("200 OK", b"out", CRASH, False)
    assert events == ["stream_broken"]


@pytest.mark.contract("C5", "C8")
def test_exc_info_without_an_exception_starts_while_nothing_has_left() -> None:
    """sys.exc_info() outside of a handler; after the first byte it is one start too many."""

    def app(_request: Environ, start_response: Start) -> list[bytes]:
        start_response("404 Not Found", list(TEXT), sys.exc_info())
        start_response("200 OK", list(TEXT), sys.exc_info())(b"out")
        start_response("200 OK", list(TEXT), sys.exc_info())
        return [b"never"]

    server, events = serve(app)
    assert (server.status, server.body, server.clean, events) == ("200 OK", b"out", False, ["stream_broken"])
    assert isinstance(server.raised, ReplyError)


@pytest.mark.contract("C4")
def test_a_second_start_without_exc_info_is_refused() -> None:
    """As by any server."""

    def app(_request: Environ, start_response: Start) -> list[bytes]:
        start_response("200 OK", list(TEXT))
        start_response("200 OK", list(TEXT))
        return []

    server, _ = serve(app)
    assert is_crash(server)
    assert isinstance(server.raised, ReplyError)


# Bodies that pass (C5, C8, G1).


@pytest.mark.contract("C8", "G1", "G2")
def test_an_iterable_passes_piece_by_piece_under_its_trace() -> None:
    """Each step and close() run under it, and nothing of it stays behind; pieces are asked for one by one."""
    body = Body(b"", b"one", b"", b"two")
    gate, _ = gated(playing(body))
    server = Server()
    reply = gate(environ(), server.start_response)
    assert (server.told, body.taken) == (["200 OK"], 1)
    assert iter(reply) is reply
    for number, piece in enumerate((b"", b"one", b"", b"two"), start=1):
        assert (next(reply), body.taken) == (piece, max(number, 1))
        assert current_trace() is None
    with pytest.raises(StopIteration):
        next(reply)
    reply.close()
    reply.close()
    assert (body.closed, body.seen) == (1, {OWN})


@pytest.mark.contract("C8")
@pytest.mark.parametrize("take", [0, 1, 2])
def test_a_body_is_closed_once_wherever_the_server_stops(take: int) -> None:
    """Even before the first piece; what close() raises leaves from close()."""
    body = Body(b"one", b"two", closing=CRASH)
    server, events = serve(playing(body), take=take)
    assert (body.closed, server.raised is CRASH, server.raised_from, events) == (1, True, "close", [])
    body = Body(b"one", b"two")
    server, _ = serve(playing(body), take=take)
    assert (body.closed, server.raised) == (1, None)


@pytest.mark.contract("C5", "F3")
def test_an_exception_after_the_first_byte_leaves_no_clean_end() -> None:
    """It leaves as it is, and is recorded once."""
    server, events = serve(playing(Body(b"one", CRASH)))
    assert (server.body, server.raised, server.clean, events) == (b"one", CRASH, False, ["stream_broken"])


@pytest.mark.contract("C8", "G1")
def test_a_list_that_can_be_closed_is_closed_under_its_trace() -> None:
    """It is no plain list, so the gate closes it."""
    seen: list[str] = []

    class Closing(list[bytes]):
        def close(self) -> None:
            seen.append(str(current_trace()))

    server, _ = serve(playing(Closing([b"x"])))
    assert (server.body, seen) == (b"x", [OWN])


def failing(*pieces: bytes) -> Iterator[bytes]:
    """Hand out *pieces*, then fail; no variable of it holds the exception."""
    yield from pieces
    raise ValueError


def test_a_failed_reply_leaves_no_reference_cycle() -> None:
    """What a request held is gone when the server lets go of it, without the garbage collector."""
    gate, _ = gated(None)
    gc.collect()
    gc.disable()
    try:
        for pieces in ((), (b"one",)):
            body = failing(*pieces)
            gone = weakref.ref(body)
            gate.app = playing(body)
            reply = gate(environ(), Server().start_response)
            try:
                while True:
                    next(reply)
            except ValueError:
                pass
            assert list(reply) == []
            reply.close()
            gate.app = None
            del body, reply
            assert gone() is None
    finally:
        gc.enable()


@pytest.mark.contract("C5", "F3")
@pytest.mark.parametrize(
    ("pieces", "sent"),
    [
        ((b"short",), b"short"),
        ((), b""),
        ((b"123456789", b"more"), b"123456789"),
        ((b"1234", b"567890"), b"1234"),
        ((b"1234567890",), b""),
    ],
)
@pytest.mark.parametrize("kind", [list, tuple, lambda pieces: Body(*pieces)])
def test_a_body_of_another_length_has_no_clean_end(pieces: tuple[bytes, ...], sent: bytes, kind: Any) -> None:
    """Its head is out, what exceeds is not, and the connection is broken off."""
    server, events = serve(playing(kind(pieces), LONG))
    assert (server.status, server.body, server.clean, events) == ("200 OK", sent, False, ["stream_broken"])
    assert isinstance(server.raised, ReplyAbortedError)


@pytest.mark.contract("C4", "C5")
@pytest.mark.parametrize("written", [(), (b"x",)])
def test_a_body_where_none_was_declared_is_a_traced_500(written: tuple[bytes, ...]) -> None:
    """The head alone would look like a whole reply."""
    server, _ = serve(playing([b"", b"x"], [*TEXT, ("Content-Length", "0")], written=written))
    assert is_crash(server)
    assert isinstance(server.raised, ReplyError)
    server, _ = serve(playing([b"{}"], [*JSON, ("Content-Length", "0")], "404 Not Found", written=written))
    assert is_crash(server)


# write().


@pytest.mark.contract("C8", "G1")
def test_written_bytes_leave_at_once_and_before_the_returned_ones() -> None:
    """The head leaves with the first of them; the list stays the application's own."""
    sent: list[tuple[int, bytes]] = []
    body = [b"three"]
    server = Server()

    def app(_request: Environ, start_response: Start) -> list[bytes]:
        write = start_response("200 OK", list(TEXT))
        for piece in (b"one", b"two"):
            write(piece)
            sent.append((len(server.told), server.body))
        return body

    serve(app, server=server)
    assert sent == [(1, b"one"), (1, b"onetwo")]
    assert (server.body, server.result is body, server.told) == (b"onetwothree", True, ["200 OK"])


@pytest.mark.contract("C5")
def test_written_bytes_count_for_the_declared_length() -> None:
    """Together with the returned ones; too many break the reply off."""
    server, events = serve(playing([b"56789"], LONG, written=(b"1234",)))
    assert (server.body, server.clean, events) == (b"123456789", True, [])
    server, events = serve(playing([], LONG, written=(b"1234",)))
    assert (server.body, server.clean, events) == (b"1234", False, ["stream_broken"])
    server, events = serve(playing([], LONG, written=(b"1234", b"567890", b"never")))
    assert (server.status, server.body, server.clean, events) == ("200 OK", b"1234", False, ["stream_broken"])
    assert isinstance(server.raised, ReplyAbortedError)
    server, events = serve(playing([], LONG, written=(b"1234567890",)))
    assert (server.status, server.body, server.clean, events) == ("200 OK", b"", False, ["stream_broken"])


@pytest.mark.contract("C5", "E4")
def test_an_application_that_goes_on_writing_is_told_again() -> None:
    """It caught the first ReplyAbortedError."""
    told: list[BaseException] = []

    def app(_request: Environ, start_response: Start) -> list[bytes]:
        write = start_response("200 OK", list(LONG))
        for _ in range(3):
            try:
                write(b"123456")
            except ReplyAbortedError as error:
                told.append(error)
        return [b"never"]

    server, events = serve(app)
    assert (len(told), server.body, server.clean, events) == (2, b"123456", False, ["stream_broken"])


@pytest.mark.contract("C4", "C5")
def test_an_exception_after_write_leaves_no_clean_end() -> None:
    """From the callable's own frame, but out of __next__."""
    server, events = serve(playing(CRASH, written=(b"one",)))
    assert (server.body, server.raised, server.raised_from) == (b"one", CRASH, "iterate")
    assert events == ["stream_broken"]


@pytest.mark.contract("C5")
def test_a_client_that_is_gone_is_no_broken_stream() -> None:
    """The server's error reaches the application and comes out again; nothing is recorded."""
    server, events = serve(playing([], written=(b"one", b"two")), server=Server(dies=1))
    assert (server.body, events) == (b"one", [])
    assert isinstance(server.raised, BrokenPipeError)


@pytest.mark.contract("C8", "D1")
def test_written_error_json_is_marked_with_what_follows() -> None:
    """It is held until the body is whole."""
    server, _ = serve(playing([b"1}"], JSON, "404 Not Found", written=(b'{"a"', b":")))
    assert json.loads(server.body) == {"trace_id": OWN, "a": 1}
    server, events = serve(playing([], JSON, "404 Not Found", written=(b'{"trace_id":"%s"}' % OTHER.encode(),)))
    assert (server.status, events) == ("409 Conflict", ["trace_overwrite_refused"])


@pytest.mark.contract("C8")
def test_a_server_without_write_gets_the_bytes_first() -> None:
    """Granian's start_response returns nothing."""
    server, _ = serve(playing([b"three"], written=(b"one", b"two")), server=Server(writes=False))
    assert server.pieces == [b"one", b"two", b"three"]


# Error JSON (D1, D2, D3, D5).


@pytest.mark.contract("D1", "D3", "D5")
@pytest.mark.parametrize(
    "body",
    [
        [b'{"a"', b":1}"],
        (b'{"a":1}',),
        Body(b'{"a"', b"", b":1}"),
        FileWrapper(io.BytesIO(b'{"a":1}')),
    ],
)
def test_error_json_is_read_and_marked_before_the_callable_returns(body: Any) -> None:
    """Granian takes no head after that; the reason phrase stays."""
    gate, _ = gated(playing(body, [*JSON, ("Content-Length", "7")], "404 Nothing Here"))
    server = Server()
    reply = gate(environ(), server.start_response)
    assert server.told == ["404 Nothing Here"]
    sent = b"".join(reply)
    reply.close()
    assert json.loads(sent) == {"trace_id": OWN, "a": 1}
    server._send_head()
    assert server.values("content-length") == [str(len(sent))]
    assert getattr(body, "closed", 1) == 1


@pytest.mark.contract("D2")
def test_other_error_json_stands_in_the_standard_error() -> None:
    """With the application's status."""
    server, _ = serve(playing(Body(b"[1", b"]"), JSON, "418 Teapot"))
    assert (server.status, json.loads(server.body)["original"]) == ("418 Teapot", [1])


@pytest.mark.contract("D5")
def test_error_json_above_the_bound_streams_piece_by_piece() -> None:
    """The head is out before the callable returns; a piece that completes nothing gives an empty one."""
    body = Body(b'{"a":"', b"x" * 20, b'"', b"}")
    server, _ = serve(playing(body, JSON, "404 Not Found"), Policy(max_error_body=10))
    assert json.loads(server.body) == {"trace_id": OWN, "a": "x" * 20}
    assert (server.values("content-length"), body.closed) == ([], 1)


@pytest.mark.contract("C5", "D1", "E4")
def test_error_json_that_fails_late_has_no_clean_end() -> None:
    """Its head is out."""
    body = Body(b'{"a":"' + b"x" * 20, b'","trace_id":"%s"}' % OTHER.encode())
    server, events = serve(playing(body, JSON, "404 Not Found"), Policy(max_error_body=10))
    assert (server.status, server.clean, events) == ("404 Not Found", False, ["trace_overwrite_refused"])
    assert isinstance(server.raised, ReplyAbortedError)


@pytest.mark.contract("D3")
def test_text_errors_become_the_standard_error_and_are_not_read() -> None:
    """Where the policy says so; the body is closed."""
    body = Body(b"never")
    server, _ = serve(playing(body, TEXT, "404 Not Found"), Policy(error_bodies="json"))
    assert json.loads(server.body)["error_code"] == "API-004-404"
    assert (body.taken, body.closed, server.clean) == (0, 1, True)


@pytest.mark.contract("D5")
def test_error_json_for_head_drops_its_length() -> None:
    """The body for GET would have another one."""
    server, _ = serve(
        playing([], [*JSON, ("Content-Length", "7")], "404 Not Found"), request=environ(REQUEST_METHOD="HEAD")
    )
    assert (server.status, server.headers, server.clean) == ("404 Not Found", [*JSON, ("X-Trace-Id", OWN)], True)


# Event streams (D6, D7).


@pytest.mark.contract("D6")
def test_events_leave_as_they_are_complete() -> None:
    """An event is out before the next piece is asked for; one piece in, one piece out."""
    body = Body(b"data: {}\n\n", b"data: ", b"x\n\n", b"data: cut")
    gate, _ = gated(playing(body, [*STREAM, ("Content-Length", "28")]))
    server = Server()
    reply = iter(gate(environ(), server.start_response))
    assert (server.told, body.taken) == (["200 OK"], 1)
    assert (next(reply), body.taken) == (b'data: {"trace_id":"%s"}\n\n' % OWN.encode(), 1)
    assert (next(reply), body.taken) == (b"", 2)
    assert (next(reply), body.taken) == (b"data: x\ntrace_id: %s\n\n" % OWN.encode(), 3)
    assert (next(reply), body.taken) == (b"", 4)
    assert list(reply) == [b"data: cut"]
    server._send_head()
    assert server.headers == [*STREAM, ("X-Trace-Id", OWN)]


@pytest.mark.contract("D7")
def test_a_stream_that_ends_without_a_byte_is_an_empty_reply() -> None:
    """And a clean one."""
    server, events = serve(playing(Body(b""), STREAM))
    assert (server.status, server.body, server.clean, events) == ("200 OK", b"", True, [])


@pytest.mark.contract("D7")
def test_a_stream_that_fails_before_its_first_event_is_a_traced_500() -> None:
    """Empty pieces and half an event do not start the reply."""
    server, events = serve(playing(Body(b"", b"data: half", CRASH), STREAM))
    assert is_crash(server)
    assert (server.told, server.raised, events) == (["500 Internal Server Error"], CRASH, [])


@pytest.mark.contract("C5", "D7", "F3")
def test_a_stream_that_fails_midway_says_so_and_has_no_clean_end() -> None:
    """The partial block is dropped, one error event is sent."""
    server, events = serve(playing(Body(b"data: a\n\n", b"data: half", CRASH), STREAM))
    assert server.body.startswith(b"data: a\ntrace_id: %s\n\nevent: error\ndata: {" % OWN.encode())
    assert b"half" not in server.body
    assert (server.raised, server.clean, events) == (CRASH, False, ["stream_broken"])


@pytest.mark.contract("D7", "E4", "F3")
def test_an_event_that_names_another_trace_ends_the_stream() -> None:
    """Nothing more is asked of the application."""
    body = Body(b"data: a\n\n", b'data: {"trace_id":"%s"}\n\n' % OTHER.encode(), b"data: never\n\n")
    server, events = serve(playing(body, STREAM))
    assert server.body.startswith(b"data: a\ntrace_id: %s\n\nevent: error\ndata: {" % OWN.encode())
    assert (body.taken, body.closed, server.clean, events) == (2, 1, False, ["trace_overwrite_refused"])
    assert isinstance(server.raised, ReplyAbortedError)


@pytest.mark.contract("D7")
@pytest.mark.parametrize("first", [b"", b"data: half"])
def test_a_stream_is_held_no_longer_than_the_policy_says(first: bytes) -> None:
    """Then its head is out, and what completes nothing is an empty piece."""
    body = Body(first, b"", b"data: late\n\n")
    gate, _ = gated(playing(body, STREAM), Policy(sse_hold_seconds=0))
    server = Server()
    reply = iter(gate(environ(), server.start_response))
    assert (server.told, body.taken) == (["200 OK"], 1)
    assert [next(reply), body.taken] == [b"", 2]
    assert b"late" in next(reply)


@pytest.mark.contract("D6", "C8")
def test_written_events_leave_at_once() -> None:
    """write() is no place to wait; what is returned follows."""
    server, _ = serve(playing([b"b\n\n"], STREAM, written=(b"data: a\n\n", b"data: ")))
    mark = b"trace_id: %s\n\n" % OWN.encode()
    assert (server.body, server.clean) == (b"data: a\n" + mark + b"data: b\n" + mark, True)


# Early hints (C3).


@pytest.mark.contract("C3", "C8")
def test_early_hints_pass_unless_they_name_another_trace() -> None:
    """Gunicorn offers them; those that contradict end in a refusal, and what follows is swallowed."""
    hints: list[Any] = []
    link = ("Link", "</a.css>")

    def app(request: Environ, start_response: Start) -> Iterable[bytes]:
        hint = request["wsgi.early_hints"]
        hint([link])
        hint([("X-Trace-Id", OWN.upper())])
        if request["PATH_INFO"] == "/other":
            hint([("X-Trace-Id", OTHER)])
            hint([link])
        start_response("200 OK", list(TEXT))
        return [b"x"]

    request = environ(**{"wsgi.early_hints": hints.append})
    server, events = serve(app, request=request)
    assert (server.status, hints, events) == ("200 OK", [[link], [("X-Trace-Id", OWN.upper())]], [])
    server, events = serve(app, request={**request, "PATH_INFO": "/other"})
    assert (server.status, len(hints), events) == ("409 Conflict", 4, ["trace_overwrite_refused"])


# Facts.


@pytest.mark.contract("F3")
def test_an_event_is_recorded_before_what_it_tells_of_is_sent() -> None:
    """Whoever sees the refusal finds its event."""
    gate, events = gated(playing([b"x"], [("X-Trace-Id", OTHER)]))
    seen: list[int] = []

    def start_response(*_head: Any) -> None:
        seen.append(len(events))

    assert list(gate(environ(), start_response))
    assert seen == [1]


@pytest.mark.contract("G1", "G3")
def test_the_trace_is_bound_wherever_the_application_runs() -> None:
    """In the callable, in write() and in each step."""

    def app(_request: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", list(TEXT))(require_trace().trace_id.encode())
        yield b","
        yield require_trace().trace_id.encode()

    server, _ = serve(app)
    assert server.body == f"{OWN},{OWN}".encode()
