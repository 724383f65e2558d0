"""Is there really a PostgreSQL for the tests, wherever they run, and nothing left of it afterwards?"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from tests.integration.postgres import Server, wheel_programs

ROOT = Path(__file__).parents[2]


def test_the_programs_in_the_wheel_make_a_server() -> None:
    """Where none is installed; also for root, whom a server refuses."""
    with Server(programs=wheel_programs()) as server:
        with psycopg.connect(server.dsn) as connection:
            assert connection.info.server_version >= 150_000
        folder = server.folder
    assert not folder.exists()


def test_a_server_outlives_no_run_that_was_killed() -> None:
    """Its keeper notices that nobody holds it any more."""
    program = (
        "import time; from tests.integration.postgres import running_postgres\n"
        "with running_postgres() as dsn: print(dsn, flush=True); time.sleep(600)"
    )
    inherited = {name: value for name, value in os.environ.items() if name != "TEST_POSTGRES_DSN"}
    run = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        env={**inherited, "PYTEST_XDIST_TESTRUNUID": f"killed-{os.getpid()}", "PYTHONPATH": f"{ROOT}/src:{ROOT}"},
    )  # fmt: skip
    assert run.stdout is not None
    dsn = run.stdout.readline().strip()
    folder = Path(tempfile.gettempdir()) / f"tracegate-postgres-killed-{os.getpid()}"
    psycopg.connect(dsn).close()
    assert folder.exists()
    run.kill()
    run.communicate()

    end = time.monotonic() + 60
    while folder.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not folder.exists()
