"""Do the counts of a server with several processes add up to the requests that its clients made?"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.servers import ROOT, SERVERS, run_server
from tests.integration.wire import ask

TRACE = (b"X-Trace-Id: 4bf92f35-77b3-4da6-a3ce-929d0e0e4736",)
REQUESTS = 240


@pytest.mark.contract("H1", "F4")
@pytest.mark.parametrize(
    ("server", "app"),
    [("gunicorn-gthread", "stored_wsgi"), ("gunicorn-asgi", "stored_fastapi"), ("uvicorn-httptools", "stored_fastapi")],
)
def test_the_counts_of_four_processes_are_exact(server: str, app: str, tmp_path: Path) -> None:
    """Each request and each reply once, whoever served it, refusals among them; by process and minute."""
    store = {"TRACEGATE_STORE_URL": f"sqlite:///{tmp_path}/events.db", "TRACEGATE_SERVICE": "orders"}
    upgrade = [sys.executable, "-m", "tracegate", "store", "upgrade", "--url", store["TRACEGATE_STORE_URL"]]
    subprocess.run(upgrade, check=True, cwd=ROOT, env={"PYTHONPATH": "src"}, capture_output=True, timeout=60)
    served = SERVERS[server]
    command = served.command.replace("--workers 1", "--workers 4")
    if command == served.command:
        command += " --workers 4"
    with (
        run_server(
            replace(served, command=command), f"tests.integration.applications.{app}:app", ready_path="/ok", **store
        ) as running,
        ThreadPoolExecutor(8) as clients,
    ):
        asked = [clients.submit(ask, running.port, "GET", "/ok", TRACE if i % 4 else ()) for i in range(REQUESTS)]
        statuses = Counter(reply.result().status for reply in asked)
    assert statuses == {200: REQUESTS * 3 // 4, 409: REQUESTS // 4}

    with closing(sqlite3.connect(tmp_path / "events.db")) as connection:
        (counts,) = connection.execute(
            "SELECT sum(requests), sum(replies), sum(traced_replies), count(DISTINCT instance) > 1 FROM tb_reply_count"
        )
        (refusals,) = connection.execute("SELECT count(*) FROM tb_ops_event WHERE event_type = 'missing_trace'")
    readiness = 1  # is asked for until the first answer, without a trace
    total = REQUESTS + readiness
    assert counts == (total, total, total, 1)
    assert refusals == (REQUESTS // 4 + readiness,)
