"""Where does a recorder stand in an application?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask, Response
from starlette.responses import PlainTextResponse, StreamingResponse

from tests.integration.event_stream import read_event_stream
from tests.property.plan import OTHER, OWN
from tracegate.adapters.recorder import Recorder
from tracegate.core.policy import Policy
from tracegate.core.streams.policy import StreamPolicy
from tracegate.integrations.fastapi import install
from tracegate.integrations.fastapi import record_streams as record_fastapi
from tracegate.integrations.flask import TraceGate
from tracegate.integrations.flask import record_streams as record_flask
from tracegate.runtime import Runtime
from tracegate.store.engine import open_engine
from tracegate.store.streams import StreamStore
from tracegate.store.upgrade import upgrade

pytestmark = pytest.mark.contract("D8")

WORDS = ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"]
NUMBERED = StreamPolicy(number_events=True)


@pytest.fixture
def store(tmp_path: Path) -> Any:  # noqa: ANN401 - a generator of one
    """Give a store."""
    engine = open_engine(f"sqlite:///{tmp_path / 'events.db'}")
    upgrade(engine)
    yield StreamStore(engine)
    engine.dispose()


class Starlike:
    """Asks a FastAPI application."""

    def __init__(self, store: StreamStore, *, gate_first: bool) -> None:
        self.app = FastAPI()
        self.calls = 0
        self.app.get("/words")(self.words)
        if gate_first:
            install(self.app, runtime=Runtime(Policy()))
        self.recorder: Recorder = record_fastapi(
            self.app,
            store,
            principal=lambda request: request.headers.get("x-user"),
            stream_key=lambda request: request.url.path,
            tenant=lambda request: request.headers.get("x-tenant", "t"),
            policy=NUMBERED,
        )
        if not gate_first:
            install(self.app, runtime=Runtime(Policy()))

        async def admit(request: Any, call_next: Any) -> Any:  # noqa: ANN401
            if "authorization" not in request.headers:
                return PlainTextResponse("no", 401)
            return await call_next(request)

        self.app.middleware("http")(admit)

    async def words(self) -> StreamingResponse:
        """Stream some."""
        self.calls += 1
        return StreamingResponse(iter(WORDS), media_type="text/event-stream")

    def ask(self, trace: bytes, **headers: str) -> tuple[int, bytes]:
        """Make a request."""
        lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        sent: list[Any] = []

        async def receive() -> Any:  # noqa: ANN401
            await asyncio.Event().wait()

        async def send(message: Any) -> None:  # noqa: ANN401
            sent.append(message)

        scope = {
            "type": "http", "method": "GET", "path": "/words", "raw_path": b"/words", "query_string": b"x=%s" % trace,
            "headers": [(b"x-trace-id", trace), *lines], "http_version": "1.1", "scheme": "http", "root_path": "",
            "server": ("a", 80), "client": ("b", 1),
        }  # fmt: skip
        asyncio.run(self.app(scope, receive, send))
        assert self.recorder.writer.flush(5)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


class Flasklike:
    """Asks a Flask application."""

    def __init__(self, store: StreamStore, *, gate_first: bool) -> None:
        self.app = Flask("words")
        self.calls = 0
        self.app.get("/words")(self.words)
        if gate_first:
            TraceGate(self.app, runtime=Runtime(Policy()))
        self.recorder: Recorder = record_flask(
            self.app,
            store,
            principal=lambda request: request.headers.get("x-user"),
            stream_key=lambda request: request.path,
            tenant=lambda request: request.headers.get("x-tenant", "t"),
            policy=NUMBERED,
        )
        if not gate_first:
            TraceGate(self.app, runtime=Runtime(Policy()))

    def words(self) -> Response:
        """Stream some."""
        self.calls += 1
        return Response(iter(WORDS), mimetype="text/event-stream")

    def ask(self, trace: bytes, **headers: str) -> tuple[int, bytes]:
        """Make a request."""
        lines = {name.replace("_", "-"): value for name, value in headers.items()}
        with self.app.test_client() as client:
            reply = client.get(f"/words?x={trace.decode()}", headers={"x-trace-id": trace.decode(), **lines})
            found = reply.status_code, reply.data
        assert self.recorder.writer.flush(5)
        return found


@pytest.mark.parametrize("gate_first", [True, False])
@pytest.mark.parametrize("framework", [Starlike, Flasklike])
def test_a_recorder_stands_inside_the_gate_whichever_came_first(
    store: StreamStore,
    framework: Any,  # noqa: ANN401 - either class
    gate_first: bool,  # noqa: FBT001
) -> None:
    """It records under the bound trace, and what it sends again is marked with the new one."""
    service = framework(store, gate_first=gate_first)
    known = {"authorization": "a", "x_user": "ann"}
    _, body = service.ask(OWN, **known)
    first = read_event_stream(body).events
    assert [dict(event.unknown) for event in first] == [{"trace_id": OWN.decode()}] * 3

    status, body = service.ask(OTHER, last_event_id=first[0].last_event_id, **known)
    rest = read_event_stream(body).events
    assert (status, [(event.data, event.last_event_id) for event in rest]) == (
        200, [(event.data, event.last_event_id) for event in first[1:]],
    )  # fmt: skip
    assert [dict(event.unknown) for event in rest] == [{"trace_id": OTHER.decode()}] * 2
    assert service.calls == 1
    for facts in ({"x_user": "bob"}, {"x_tenant": "u"}):
        status, body = service.ask(OTHER, last_event_id=first[0].last_event_id, **{**known, **facts})
        assert (status, b"SSE-003-409-RESUME" in body) == (409, True)
    assert service.recorder.writer.close(5)


def test_middleware_that_is_added_later_stands_before_a_resumed_stream(store: StreamStore) -> None:
    """Who is not let in gets nothing from the record either."""
    service = Starlike(store, gate_first=True)
    _, body = service.ask(OWN, authorization="a", x_user="ann")
    event_id = read_event_stream(body).events[0].last_event_id
    assert service.ask(OTHER, last_event_id=event_id, x_user="ann") == (401, b"no")
    assert service.recorder.writer.close(5)
