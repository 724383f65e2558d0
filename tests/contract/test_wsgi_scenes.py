"""Does the WSGI gate hold where an application is more than a list of chunks?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.property.drivers import wsgi
from tests.property.drivers.gates import peek, runtime_of
from tests.property.drivers.record import Fact, Notes, Reply
from tests.property.drivers.wsgi import ExcInfo, StartResponse, WsgiApplication, WsgiServer
from tests.property.plan import OTHER, OWN, Request, Settings
from tracegate.adapters.wsgi import TraceGate

TEXT = [("Content-Type", "text/plain")]
STREAM = [("Content-Type", "text/event-stream")]


def serve(
    application: WsgiApplication, request: Request | None = None, *, other_thread: bool = False
) -> tuple[Reply, list[Fact]]:
    """Let *application* answer behind the gate."""
    events: list[Fact] = []
    reply = Reply()
    gate: Any = TraceGate(application, runtime=runtime_of(Settings(), events))
    wsgi.exchange(gate, request or Request(), Notes(peek=peek, reply=reply), other_thread=other_thread)
    assert set(reply.trace_outside) == {None}
    return reply, events


@pytest.mark.contract("C8")
def test_a_success_iterable_reaches_the_server_as_the_same_object() -> None:
    """Servers treat lists of one item, and their own file wrappers, in special ways."""
    body = [b"hello"]

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:  # noqa: ARG001  WSGI's signature
        start_response("200 OK", list(TEXT))
        return body

    gate = TraceGate(application, runtime=runtime_of(Settings(), []))
    server = WsgiServer(Request(), Reply(), None)
    assert gate(server.environ(), server.start_response) is body


@pytest.mark.contract("C4", "C8")
def test_a_start_before_the_return_reaches_the_server_before_the_return() -> None:
    """Granian answers `200` without headers when start_response comes after the callable has returned."""
    order: list[str] = []

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        kind = "application/json" if environ["PATH_INFO"] == "/error" else "text/plain"
        start_response("404 Not Found", [("Content-Type", kind)])
        return (chunk for chunk in (b"{", b"}"))

    for path in ("/error", "/text"):
        server = WsgiServer(Request(path=path), Reply(), None)

        def start_response(
            status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /, server: WsgiServer = server
        ) -> Callable[[bytes], object]:
            order.append("start")
            return server.start_response(status, headers, exc_info)

        result = TraceGate(application, runtime=runtime_of(Settings(), []))(server.environ(), start_response)
        order.append("return")
        assert list(result)
    assert order == ["start", "return"] * 2


@pytest.mark.contract("C8")
def test_the_status_line_and_the_headers_list_stay_the_applications() -> None:
    """The reason phrase passes, and a module-level list gathers nothing."""
    headers = [("Content-Type", "application/json")]

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:  # noqa: ARG001  WSGI's signature
        start_response("404 Nothing Here", headers)
        return [b"{}"]

    for spelling in (OWN, OTHER, OWN.upper()):
        reply, _ = serve(application, Request(headers=((b"x-trace-id", spelling),)))
        assert (reply.status, reply.reason) == (404, "Nothing Here")
        assert reply.values(b"x-trace-id") == [spelling]
    assert headers == [("Content-Type", "application/json")]


@pytest.mark.contract("C8")
def test_the_servers_environ_is_not_edited() -> None:
    """What the gate adds goes into a copy."""
    seen: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        seen.append(environ)
        start_response("200 OK", list(TEXT))
        return [b"x"]

    server = WsgiServer(Request(), Reply(), None)
    environ = server.environ()
    before = dict(environ)
    list(TraceGate(application, runtime=runtime_of(Settings(), []))(environ, server.start_response))
    assert environ == before
    assert {key: seen[0][key] for key in before if key != "wsgi.input"} == {
        key: before[key] for key in before if key != "wsgi.input"
    }


@pytest.mark.contract("G1")
def test_the_trace_stands_in_the_environ_too() -> None:
    """For code that has lost its context."""
    found: list[str] = []

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        found.extend(
            key for key, value in environ.items() if not key.startswith("HTTP_") and str(value) == OWN.decode()
        )
        start_response("200 OK", list(TEXT))
        return [b"x"]

    serve(application)
    assert found


@pytest.mark.contract("C5", "C8")
def test_exc_info_after_the_head_is_out_raises_in_the_application() -> None:
    """As PEP 3333 says; the reply stays without an end."""

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:  # noqa: ARG001  WSGI's signature
        start_response("200 OK", list(TEXT))
        yield b"one"
        try:
            raise LookupError  # noqa: TRY301  exc_info needs one
        except LookupError:
            start_response("500 Oh", list(TEXT), sys.exc_info())
        yield b"never"

    reply, events = serve(application)
    assert isinstance(reply.raised, LookupError)
    assert (reply.status, reply.body, reply.clean) == (200, b"one", False)
    assert [event.kind for event in events] == ["stream_broken"]


@pytest.mark.contract("C5")
def test_an_exception_after_write_leaves_the_reply_without_an_end() -> None:
    """The bytes are out; the exception still comes from __next__."""

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:  # noqa: ARG001  WSGI's signature
        start_response("200 OK", list(TEXT))(b"one")
        raise LookupError

    reply, _ = serve(application)
    assert isinstance(reply.raised, LookupError)
    assert (reply.status, reply.body, reply.clean, reply.raised_from) == (200, b"one", False, "next")


@pytest.mark.contract("C8")
def test_written_and_returned_bytes_leave_in_order() -> None:
    """write() first, then the iterable; for error JSON and streams as well."""

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        status, headers = environ["PATH_INFO"][1:], {"2": TEXT, "4": [("Content-Type", "application/json")]}
        write = start_response(f"{status} X", list(headers[status[0]]))
        write(b'{"a":')
        return [b"1", b"}"]

    assert serve(application, Request(path="/200"))[0].body == b'{"a":1}'
    assert b'"trace_id":"%s"' % OWN in serve(application, Request(path="/404"))[0].body


@pytest.mark.contract("D6", "G2")
@pytest.mark.parametrize("other_thread", [False, True])
def test_a_stream_runs_under_its_trace_on_any_thread(other_thread: bool) -> None:  # noqa: FBT001  a parameter
    """Each step binds afresh and leaves the thread as it found it."""
    seen: list[str | None] = []

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:  # noqa: ARG001  WSGI's signature
        start_response("200 OK", list(STREAM))
        for _ in range(3):
            seen.append(peek())
            yield b"data: x\n\n"
        seen.append(peek())

    reply, _ = serve(application, other_thread=other_thread)
    assert reply.clean
    assert seen == [OWN.decode()] * 4
