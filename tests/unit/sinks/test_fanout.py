"""What happens to a request when a sink fails?

Clauses F4, F5.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future

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


class Keeping(Collector):
    """A sink that keeps events, or fails to begin."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.fails = fails
        self.answer: Future[bool] = Future()

    def submit(self, events: Sequence[Event], timeout_seconds: float) -> Future[bool]:
        """Begin to keep *events*."""
        if self.fails:
            raise OSError(f"not for {timeout_seconds} seconds")
        self.events += events
        return self.answer


@pytest.mark.contract("F3", "F5")
def test_what_is_to_be_kept_goes_to_every_sink_and_one_that_keeps_answers() -> None:
    """The others are told as ever."""
    told, keeping = Collector(), Keeping()

    assert Fanout(keeping, told).submit([EVENT], 1.0) is keeping.answer
    assert (told.events, keeping.events) == ([EVENT], [EVENT])
    assert Fanout(told).submit([EVENT], 1.0) is None


@pytest.mark.contract("F4")
def test_a_sink_that_cannot_begin_to_keep_is_counted_and_the_others_get_the_event() -> None:
    """Nobody waits for it."""
    after, keeping = Collector(), Keeping()
    fanout = Fanout(Keeping(fails=True), after, keeping)

    assert fanout.submit([EVENT], 1.0) is keeping.answer
    assert (after.events, keeping.events, fanout.failures) == ([EVENT], [EVENT], 1)
    with pytest.raises(OSError, match=r"^not for 1.0 seconds$"):
        Fanout(Keeping(fails=True), after, strict=True).submit([EVENT], 1.0)
    assert len(after.events) == 2


@pytest.mark.contract("F4")
def test_a_failure_is_raised_where_it_happened_and_in_no_other_call() -> None:
    """A fan-out is shared by all requests, and keeps nothing of one: another call may come in the midst of this one."""
    other = Event(kind="missing_trace", severity="error", component="c", message="", trace_id=OWN, stage="request")
    within: list[str] = []

    def fails(event: Event, /) -> None:
        if event is EVENT:
            raise MemoryError

    def calls(event: Event, /) -> None:
        if event is EVENT:
            fanout(other)
            within.append("returned")

    fanout = Fanout(fails, calls, strict=True)
    with pytest.raises(MemoryError):
        fanout(EVENT)
    assert (within, fanout.failures) == (["returned"], 1)
