"""What happens to a request when a sink fails?

Clauses F4, F5.
"""

from __future__ import annotations

import logging

import pytest

from tests.unit.fakes import OWN, Collector, Refusing
from tracegate.core.events import Event
from tracegate.sinks.fanout import Fanout

EVENT = Event(kind="missing_trace", severity="error", component="c", message="no id", trace_id=OWN, stage="request")


@pytest.mark.contract("F5")
def test_every_sink_gets_every_event() -> None:
    """Once, in order; none is fine too."""
    first, second = Collector(), Collector()
    fanout = Fanout(first, second)
    fanout(EVENT)
    Fanout()(EVENT)

    assert (first.events, second.events, fanout.failures) == ([EVENT], [EVENT], 0)


@pytest.mark.contract("F4")
def test_a_failing_sink_is_counted_and_nobody_else_notices(caplog: pytest.LogCaptureFixture) -> None:
    """The others get the event, and the log has what could not be recorded."""
    after = Collector()
    fanout = Fanout(Refusing(), Refusing(), after)
    with caplog.at_level(logging.ERROR):
        fanout(EVENT)
        fanout(EVENT)

    assert (after.events, fanout.failures) == ([EVENT, EVENT], 4)
    assert {record.name for record in caplog.records} == {"tracegate.sinks"}
    assert caplog.messages == [f"a sink failed; the event was: missing_trace {OWN} no id"] * 4
    assert all(record.exc_info is not None for record in caplog.records)


@pytest.mark.contract("F4")
def test_under_test_a_failure_is_raised_after_all_sinks_were_called(caplog: pytest.LogCaptureFixture) -> None:
    """The first one as it came, and all counted."""
    after = Collector()

    def full(_event: Event, /) -> None:
        raise MemoryError

    fanout = Fanout(Refusing(), after, full, strict=True)
    with pytest.raises(OSError, match="no room for missing_trace"):
        fanout(EVENT)

    assert (after.events, fanout.failures) == ([EVENT], 2)
    assert len(caplog.records) == 2
    Fanout(after, strict=True)(EVENT)
    assert after.events == [EVENT, EVENT]


@pytest.mark.contract("F4")
def test_what_is_no_failure_of_a_sink_is_not_swallowed() -> None:
    """Ctrl-C and a server's own SystemExit go through."""

    def interrupted(_event: Event, /) -> None:
        raise KeyboardInterrupt

    fanout = Fanout(interrupted)
    with pytest.raises(KeyboardInterrupt):
        fanout(EVENT)
    assert fanout.failures == 0
