"""Is what waits in memory kept when a server is told to stop?"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from tests.integration.servers import SERVERS, run_server
from tests.integration.wire import ask
from tracegate.store.engine import open_engine
from tracegate.store.schema import ops_event, reply_count
from tracegate.store.upgrade import upgrade

if TYPE_CHECKING:
    from pathlib import Path

APP = "tests.integration.applications.stored_fastapi:app"


@pytest.mark.contract("F3")
@pytest.mark.parametrize("name", ["uvicorn-httptools", "granian-asgi", "gunicorn-asgi"])
def test_a_server_that_is_told_to_stop_leaves_no_event_and_no_count_behind(name: str, tmp_path: Path) -> None:
    """SIGTERM ends uvicorn by that signal, past what the interpreter does at its end: the lifespan's end is earlier.

    The signal goes to all processes of the server. Hypercorn's workers handle none, and lose the counts of ten seconds.
    """
    url = f"sqlite:///{tmp_path / 'store.db'}"
    engine = open_engine(url)
    upgrade(engine)
    environment = {"TRACEGATE_STORE_URL": url, "TRACEGATE_DURABILITY": "background", "TRACEGATE_SERVICE": "orders"}
    with run_server(SERVERS[name], APP, ready_path="/ok", **environment) as server:
        for _ in range(20):
            assert ask(server.port, "GET", "/ok").status == 409
            assert ask(server.port, "GET", "/ok", (b"X-Trace-Id: " + str(uuid.uuid4()).encode(),)).status == 200

    with engine.connect() as connection:
        events = connection.scalar(select(func.count()).where(ops_event.c.event_type == "missing_trace"))
        sums = (func.sum(reply_count.c.requests), func.sum(reply_count.c.traced_replies))
        counted = connection.execute(select(*sums)).one()
    engine.dispose()
    assert (events, tuple(counted)) == (21, (41, 41))  # one more to see that the server is ready
