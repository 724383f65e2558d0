"""Does an id ever cross to another request, or stay behind? What ``make proof-streams`` shows, made small."""

from __future__ import annotations

import pytest

from tests.integration.streams import ABORTED, ASKED, REQUESTS, STREAMS, abandon, keep_alive, pipeline

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
