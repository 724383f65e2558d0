"""Does a real client that lost its connection get the rest of its stream, from real servers that share a store?"""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import httpx_sse
import pytest

from tests.integration.servers import SERVERS, RunningServer, run_server
from tracegate.store.engine import open_engine, reading
from tracegate.store.events import EventQuery, EventStore
from tracegate.store.schema import stream_recording
from tracegate.store.upgrade import upgrade

pytestmark = pytest.mark.contract("D8")

APPLICATIONS = {
    "asgi": "tests.integration.applications.recorded_fastapi:app",
    "wsgi": "tests.integration.applications.recorded_flask:app",
}
NAMES = ("uvicorn-httptools", "uvicorn-h11", "gunicorn-gthread", "waitress")
WORDS = [*range(10), "[DONE]"]


class Service:
    """Two servers of one application that share a store.

    Attributes:
        url: Where its events are kept.
        servers: Both.
    """

    def __init__(self, url: str, *servers: RunningServer) -> None:
        self.url = url
        self.servers = servers

    def read(self, path: str, *, server: int = 0, leave_after: int | None = None, **headers: str) -> list[Any]:
        """Return the events of a stream, as httpx-sse reads them; hang up after some of them if asked to."""
        sent = {"X-Trace-Id": str(uuid.uuid4()), "X-User": "ann", "Origin": "https://app.example", **headers}
        found: list[Any] = []
        url = f"http://127.0.0.1:{self.servers[server].port}{path}"
        with httpx.Client(headers=sent, timeout=20) as client, httpx_sse.connect_sse(client, "GET", url) as source:
            assert source.response.headers["access-control-allow-origin"] == "https://app.example"
            assert source.response.headers["x-trace-id"] == sent["X-Trace-Id"]
            try:
                for event in source.iter_sse():
                    if event.data.startswith("{"):
                        assert json.loads(event.data)["trace_id"] == sent["X-Trace-Id"]
                    found.append(event)
                    if len(found) == leave_after:
                        break
            except httpx.RemoteProtocolError:
                found.append(None)  # no clean end
        return found

    def resume(self, path: str, events: list[Any], **facts: Any) -> list[Any]:  # noqa: ANN401 - as read() takes
        """Read on behind *events*."""
        return self.read(path, **{"Last-Event-ID": events[-1].id}, **facts)

    def get(self, path: str, server: int = 0, **headers: str) -> httpx.Response:
        """Make one request."""
        sent = {"X-Trace-Id": str(uuid.uuid4()), "X-User": "ann", **headers}
        return httpx.get(f"http://127.0.0.1:{self.servers[server].port}{path}", headers=sent, timeout=20)

    @property
    def calls(self) -> int:
        """How often the application was asked for an answer."""
        return sum(self.get("/calls", server).json()["calls"] for server in range(len(self.servers)))

    def wait_until(self, status: str) -> None:
        """Wait until every recording stands so."""
        engine = open_engine(self.url)
        for _ in range(400):
            with reading(engine) as connection:
                found = {row.status for row in connection.execute(stream_recording.select())}
            if found == {status}:
                break
            time.sleep(0.025)
        engine.dispose()
        assert found == {status}


def words(events: list[Any]) -> list[Any]:
    """Return which words of the answer the events are."""
    return [json.loads(event.data)["word"] if event.data.startswith("{") else event.data for event in events]


def services(stack: ExitStack, name: str, folder: Path, count: int, **settings: str) -> Service:
    """Start *count* servers on one SQLite store."""
    url = f"sqlite:///{folder / 'events.db'}"
    engine = open_engine(url)
    upgrade(engine)
    engine.dispose()
    server = SERVERS[name]
    settings = {"RECORDER_STORE": url, "TRACEGATE_STORE_URL": url, **settings}
    application = APPLICATIONS[server.protocol]
    running = [run_server(server, application, ready_path="/calls", **settings) for _ in range(count)]
    return Service(url, *(stack.enter_context(one) for one in running))


@pytest.fixture(scope="module", params=NAMES)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give two servers of one kind."""
    with ExitStack() as stack:
        yield services(stack, request.param, tmp_path_factory.mktemp("streams"), 2)


def test_a_client_that_lost_its_connection_gets_the_rest(service: Service) -> None:
    """While the answer is still being made, from the server that makes it or from another one, and afterwards."""
    calls = service.calls
    for server in (0, 1):
        path = f"/answers/{server}?count=10&pause=0.05"
        had = service.read(path, leave_after=3)
        rest = service.resume(path, had, server=server)
        assert words(had + rest) == WORDS
        assert words(service.resume(path, had[:1], server=server)) == WORDS[1:]
        again = service.get(path, **{"Last-Event-ID": rest[-1].id})
        assert (again.status_code, again.content) == (204, b"")
    assert service.calls == calls + 2


def test_nobody_gets_what_is_not_theirs(service: Service) -> None:
    """409 with the error code; the event is in the store, under the reply's trace."""
    path, calls = "/answers/1?count=3&pause=0", service.calls
    had = service.read(path)
    service.wait_until("ended")

    for wrong in ({"X-User": "bob", "Last-Event-ID": had[0].id}, {"Last-Event-ID": "1"}):
        reply = service.get(path, **wrong)
        said = reply.json()
        assert (reply.status_code, said["error_code"], said["details"]) == (409, "SSE-003-409-RESUME", ["unknown"])
        assert reply.headers["x-trace-id"] == said["trace_id"]
        engine = open_engine(service.url)
        (event,) = EventStore(engine).find(EventQuery(keyword="sse_resume_failed", trace_id=said["trace_id"]))
        engine.dispose()
        assert event.route in ("/answers/{number}", "/answers/<int:number>")
    assert service.calls == calls + 1


@pytest.mark.parametrize("name", ["uvicorn-httptools", "gunicorn-gthread"])
def test_where_the_application_stops_with_its_client_the_rest_is_an_error(name: str, tmp_path: Path) -> None:
    """The default: what was recorded, then the error event, and no clean end."""
    with ExitStack() as stack:
        service = services(stack, name, tmp_path, 1, RECORDER_ON_DISCONNECT="stop")
        path = "/answers/1?count=400&pause=0.02"
        had = service.read(path, leave_after=3)
        service.wait_until("broken")
        rest = service.resume(path, had[:1])

    assert words(had[1:])[:2] == words(rest[:2])
    assert (rest[-2].event, rest[-1]) == ("error", None)
    assert len(rest) < 100


@pytest.mark.parametrize("name", ["uvicorn-httptools", "gunicorn-gthread"])
def test_the_stream_of_a_killed_worker_ends_in_an_error(name: str, tmp_path: Path) -> None:
    """Its lease runs out; who follows it on another server is told, and never left in silence.

    Where events wait for the store, no client has one that is not there.
    """
    with ExitStack() as stack:
        settings = {"RECORDER_LEASE_SECONDS": "1", "RECORDER_DURABILITY": "before_event"}
        service = services(stack, name, tmp_path, 2, **settings)
        path = "/answers/1?count=1000&pause=0.02"
        worker = service.get("/calls").json()["worker"]
        with ExitStack() as open_stream:
            sent = {"X-Trace-Id": str(uuid.uuid4()), "X-User": "ann"}
            client = open_stream.enter_context(httpx.Client(headers=sent, timeout=20))
            url = f"http://127.0.0.1:{service.servers[0].port}{path}"
            source = open_stream.enter_context(httpx_sse.connect_sse(client, "GET", url))
            had = [event for event, _ in zip(source.iter_sse(), range(5), strict=False)]
            os.killpg(os.getpgid(worker), signal.SIGKILL)
        rest = service.resume(path, had[:3], server=1)
        sent["Last-Event-ID"] = had[-1].id
        url = f"http://127.0.0.1:{service.servers[1].port}{path}"
        with httpx.stream("GET", url, headers=sent, timeout=20) as last:
            assert last.status_code == 200 or b'"details":["broken"]' in last.read()

    assert words(had[3:]) == words(rest[: len(had) - 3])
    assert (rest[-2].event, rest[-1]) == ("error", None)
