"""What does a recorder do with the steps of a WSGI application, in all the ways that PEP 3333 allows?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest

from tests.property.plan import OWN
from tests.unit.adapters.test_asgi_recorder import Store, endings, events
from tracegate.adapters.wsgi_environ import MARK
from tracegate.adapters.wsgi_recorder import StreamRecorder
from tracegate.core.policy import Policy
from tracegate.core.streams.policy import StreamPolicy
from tracegate.core.trace import Trace
from tracegate.core.trace_id import TraceId
from tracegate.runtime import Runtime
from tracegate.sinks.fanout import Fanout

pytestmark = pytest.mark.contract("D8")

STREAM = [("Content-Type", "text/event-stream")]
Application = Callable[[Any, Any], Iterable[bytes]]


class Server:
    """Serves one request, and keeps what it is told.

    Attributes:
        heads: What ``start_response`` was told.
        sent: What was written or iterated over.
    """

    def __init__(self, store: Store, application: Application, *, traced: bool = True, **policy: Any) -> None:  # noqa: ANN401
        known: Any = {"poll_seconds": 0.01, **policy}
        kept: Any = store
        self.recorder = StreamRecorder(application, kept, principal=lambda _: "ann", policy=StreamPolicy(**known))
        self.heads: list[tuple[str, Any]] = []
        self.sent: list[bytes] = []
        self.environ: dict[str, Any] = {"REQUEST_METHOD": "GET", "PATH_INFO": "/answers"}
        if traced:
            self.environ["tracegate.trace"] = Trace.of(TraceId(OWN), "header")
            self.environ[MARK] = SimpleNamespace(terms=Runtime(Policy()).terms(b"X-Trace-Id"))

    def start_response(self, status: str, headers: Any, *_: Any) -> Callable[[bytes], None]:  # noqa: ANN401
        self.heads.append((status, headers))
        return self.sent.append

    def serve(self, take: int = 1000) -> Any:  # noqa: ANN401 - what the application returned
        """Ask for at most *take* pieces, and close."""
        start_response: Any = self.start_response
        body = self.recorder(self.environ, start_response)
        try:
            self.sent += islice(body, take)
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
            assert self.recorder.recorder.writer.close(5)
        return body


def test_what_is_written_is_recorded_too() -> None:
    """In the order in which it was; an unfinished block leaves at the end."""

    def application(_environ: Any, start_response: Any) -> list[bytes]:  # noqa: ANN401
        write = start_response("200 OK", STREAM)
        write(b"data: a\n\nda")
        write(b"ta: b\n")
        return [b"\ndata: c\n\n", b"data: d"]

    store = Store()
    server = Server(store, application)
    server.serve()
    assert events(store) == [b"data: a\n\n", b"data: b\n\n", b"data: c\n\n"]
    assert b"".join(server.sent) == b"data: a\n\ndata: b\n\ndata: c\n\ndata: d"
    assert endings(store) == ["ended"]


def fail() -> None:
    """Raise, as code does."""
    raise ValueError


def test_a_head_that_is_taken_back_begins_another_recording() -> None:
    """Or none."""

    def application(_environ: Any, start_response: Any) -> Iterator[bytes]:  # noqa: ANN401
        start_response("200 OK", STREAM)
        try:
            fail()
        except ValueError:
            start_response("200 OK", STREAM, sys.exc_info())
        yield b"data: a\n\n"

    store = Store()
    Server(store, application).serve()
    assert endings(store) == ["broken", "ended"]

    def failing(_environ: Any, start_response: Any) -> list[bytes]:  # noqa: ANN401
        start_response("200 OK", STREAM)
        try:
            fail()
        except ValueError:
            start_response("500 Failed", [("Content-Type", "text/plain")], sys.exc_info())
        return [b"failed"]

    store = Store()
    server = Server(store, failing)
    body = server.serve()
    assert (endings(store), events(store), body) == (["broken"], [], [b"failed"])


def test_an_application_that_raises_at_once_has_broken_its_stream() -> None:
    """Wherever it does."""

    def application(_environ: Any, start_response: Any) -> list[bytes]:  # noqa: ANN401
        start_response("200 OK", STREAM)
        raise RuntimeError("gone")

    store = Store()
    server = Server(store, application)
    with pytest.raises(RuntimeError):
        server.serve()
    assert server.recorder.recorder.writer.close(5)
    assert endings(store) == ["broken"]


class Body:
    """An application's body that says when it was closed."""

    def __init__(self, *steps: bytes | Exception) -> None:
        self._steps = iter(steps)
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        step = next(self._steps)
        if isinstance(step, Exception):
            raise step
        return step

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    ("reaction", "steps", "ending", "count"),
    [
        ("stop", (b"data: 2\n\n",), "broken", 1),
        ("finish", (b"data: 2\n\n",), "ended", 2),
        ("finish", (b"data: 2\n\n", RuntimeError("secret")), "broken", 2),
    ],
)
def test_the_body_is_closed_once_whatever_its_client_does(
    reaction: str, steps: tuple[Any, ...], ending: str, count: int
) -> None:
    """After the rest has been recorded; nothing is raised from there (C4)."""
    body = Body(b"data: 1\n\n", *steps)

    def application(_environ: Any, start_response: Any) -> Body:  # noqa: ANN401
        start_response("200 OK", STREAM)
        return body

    store = Store()
    server = Server(store, application, on_disconnect=reaction)
    server.serve(take=1)
    assert (body.closed, endings(store), len(events(store))) == (1, [ending], count)
    assert server.sent == [b"data: 1\n\n"]


@pytest.mark.contract("E2")
@pytest.mark.parametrize("lazy", [True, False])
def test_without_a_gate_nothing_of_the_stream_leaves(lazy: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """Also where the application starts its reply with its first step, or writes."""
    monkeypatch.setattr("tracegate.adapters.recorder._ungated", lambda: Runtime(Policy(), sink=Fanout()))

    def starting_late(_environ: Any, start_response: Any) -> Iterator[bytes]:  # noqa: ANN401
        start_response("200 OK", STREAM)
        yield b"data: secret\n\n"

    def starting(_environ: Any, start_response: Any) -> list[bytes]:  # noqa: ANN401
        start_response("200 OK", STREAM)(b"data: secret\n\n")
        return [b"data: secret\n\n"]

    server = Server(Store(), starting_late if lazy else starting, traced=False)
    server.serve()
    assert [status for status, _ in server.heads] == ["409 Conflict"]
    assert len(server.sent) == 1
    assert b"secret" not in server.sent[0]
    assert b'"refused_status":200' in server.sent[0]


def test_behind_a_bridge_a_failed_resume_is_an_event_too() -> None:
    """The gate is an ASGI one; what is bound here leads to it."""
    from tracegate.context import binding

    seen: list[Any] = []
    store = Store()
    store.place = "unknown"
    server = Server(store, lambda *_: [], commit_wait_seconds=0)
    server.environ["HTTP_LAST_EVENT_ID"] = "1"
    bound: Any = SimpleNamespace(shell=SimpleNamespace(runtime=Runtime(Policy(), sink=seen.append)), trace=None)
    found = binding.get()
    binding.set(bound)
    try:
        server.serve()
    finally:
        binding.set(found)
    assert ([event.kind for event in seen], server.heads[0][0]) == (["sse_resume_failed"], "409 Conflict")
