"""Does an id ever cross to another request, or stay behind? What ``make proof-streams`` shows, made small."""

from __future__ import annotations

import threading
import uuid
from contextvars import ContextVar

import pytest

from tests.integration.applications.residue import count_residue
from tests.integration.streams import (
    ABORTED,
    ASKED,
    REQUESTS,
    STREAMS,
    abandon,
    count_left,
    keep_alive,
    pipeline,
    running,
)
from tests.integration.wire import Connection, request

SMALL = 100


@pytest.mark.contract("G2")
@pytest.mark.parametrize("server", ASKED)
def test_long_bodies_on_one_connection_each_run_under_their_own_id(server: str) -> None:
    """Header, handler and a task of the handler agree, for bodies above the servers' read buffers."""
    found = keep_alive(server, REQUESTS // SMALL)
    assert (found.right, found.distinct, found.log) == (found.asked, found.asked, "")


@pytest.mark.contract("G2")
@pytest.mark.parametrize("server", ASKED)
def test_pipelined_requests_each_run_under_their_own_id(server: str) -> None:
    """The next request's head is read while the handler still runs, and no context crosses over."""
    found = pipeline(server, REQUESTS // SMALL)
    assert (found.right, found.distinct, found.log) == (found.asked, found.asked, "")


@pytest.mark.contract("G1", "G2")
@pytest.mark.parametrize(("server", "path"), ABORTED)
def test_clients_that_leave_a_stream_leave_nothing_behind(server: str, path: str) -> None:
    """No error in the log, no stream left open, and no context of any thread or task still holds a trace."""
    left = abandon(server, path, STREAMS // SMALL)
    assert (left.unclosed, left.residue, left.log) == (0, 0, "")
    assert left.opened >= left.asked // 2


@pytest.mark.contract("G2")
def test_a_stream_that_is_still_read_is_seen_in_its_context() -> None:
    """The count is no blind one: while a client listens, a context holds its trace."""
    with running("uvicorn-httptools") as server, Connection(server.port) as connection:
        connection.send(request("GET", "/text", (b"X-Trace-Id: " + str(uuid.uuid4()).encode(),)))
        connection.read_head()
        assert connection.read_some()
        assert count_left(server.port)["residue"] > 0


def test_a_value_in_another_threads_own_context_is_seen() -> None:
    """Not only copied contexts count, but what a thread sets for itself, for as long as it lives."""
    value: ContextVar[str] = ContextVar("tracegate.test_residue")
    is_set, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        value.set("left behind")
        is_set.set()
        may_end.wait()

    before = count_residue()  # of other tests in this process
    thread = threading.Thread(target=hold)
    thread.start()
    is_set.wait()
    assert count_residue() == before + 1
    may_end.set()
    thread.join()
    assert count_residue() == before
