"""How do recorded streams reach the store, and what if it does not answer?"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest

from tracegate.core.streams.recording import Beginning, Ending, RecordedEvent, Step, StreamKey, Trimming
from tracegate.errors import StoreError
from tracegate.sinks.stream_writer import StreamWriter

pytestmark = pytest.mark.contract("D8", "F4")

KEY = StreamKey("t", "p", "k")
BEGIN = Beginning("r", KEY, "x", "[]")
LONG = 20


def event(seq: int, size: int = 3) -> RecordedEvent:
    """Return an event of the one recording."""
    return RecordedEvent("r", KEY, seq, str(seq), "message", b"x" * size, "x")


class Store:
    """Keeps what it gets, and does what it is told.

    Attributes:
        batches: What came in each call.
        beats: Who was said to be alive, each time.
        failure: Raised for each call, or None.
        refuses: Steps that it will never take.
        open: While it is not set, calls hang.
        asked: Set once it is called.
    """

    def __init__(self) -> None:
        self.batches: list[list[Step]] = []
        self.beats: list[tuple[str, ...]] = []
        self.tidied: list[float] = []
        self.failure: Exception | None = None
        self.refuses: tuple[Step, ...] = ()
        self.open = threading.Event()
        self.open.set()
        self.asked = threading.Event()

    def write(self, steps: Sequence[Step]) -> None:
        self.asked.set()
        self.open.wait(LONG)
        if self.failure is not None:
            raise self.failure
        if set(steps) & set(self.refuses):
            raise StoreError("never", final=True)
        self.batches.append(list(steps))

    def beat(self, recordings: Iterable[str]) -> None:
        self.beats.append(tuple(recordings))

    def tidy(self, max_age_seconds: float) -> None:
        self.tidied.append(max_age_seconds)

    @property
    def steps(self) -> list[Step]:
        """All that was taken, in order."""
        return [step for batch in self.batches for step in batch]


@pytest.fixture
def store() -> Store:
    """Give one."""
    return Store()


@pytest.fixture
def writer(store: Store) -> Iterator[StreamWriter]:
    """Give a writer to it with small bounds."""
    made = StreamWriter(store, lease_seconds=0.3, max_queued=6, max_queued_bytes=10, retry_seconds=0.01)
    yield made
    store.failure, store.refuses = None, ()
    store.open.set()
    made.close(LONG)


def until(true: Callable[[], object]) -> None:
    """Wait for something that happens on another thread."""
    deadline = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_steps_arrive_in_order_and_what_gathers_goes_together(writer: StreamWriter, store: Store) -> None:
    """While the store is at one transaction, the next one gathers; who waits is told after the commit."""
    store.open.clear()
    writer.begin(BEGIN)
    store.asked.wait(LONG)
    pending = [writer.add(event(1), awaited=True), writer.add(event(2), awaited=True)]
    writer.trim(Trimming("r", 1))
    writer.end(Ending("r", "ended", 2))
    assert [one is not None and one.done() for one in pending] == [False, False]
    store.open.set()

    assert all(one is not None and one.result(LONG) for one in pending)
    assert writer.flush(LONG)
    assert store.batches == [[BEGIN], [event(1), event(2), Trimming("r", 1), Ending("r", "ended", 2)]]


def test_what_does_not_fit_is_dropped_and_nothing_before_it(writer: StreamWriter, store: Store) -> None:
    """By their number and by their bytes; one event always fits, and an end always does."""
    store.open.clear()
    writer.begin(BEGIN)
    store.asked.wait(LONG)
    writer.add(event(1, 1000))
    writer.add(event(2, 1))
    for _ in range(20):
        writer.trim(Trimming("r", 1))
    writer.add(event(3, 0))
    assert not writer.begin(BEGIN._replace(recording="other"))
    writer.end(Ending("r", "broken", 3))
    store.open.set()

    assert writer.flush(LONG)
    assert [step for step in store.steps if not isinstance(step, Trimming)] == [
        BEGIN, event(1, 1000), Ending("r", "broken", 3),
    ]  # fmt: skip
    assert writer.dropped == 2


def test_a_store_that_fails_gets_the_same_again(
    writer: StreamWriter, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody waits for it meanwhile, and the log says so once."""
    store.failure = StoreError("the disk is full")
    writer.begin(BEGIN)
    until(lambda: not writer._answering)
    assert writer.add(event(1), awaited=True) is None
    time.sleep(0.05)
    store.failure = None

    assert writer.flush(LONG)
    assert store.steps == [BEGIN, event(1)]
    assert [record.getMessage() for record in caplog.records] == ["streams are not recorded: the disk is full"]
    pending = writer.add(event(2), awaited=True)
    assert pending is not None
    assert pending.result(LONG)


def test_a_store_that_hangs_is_waited_for_by_nobody_after_a_while(writer: StreamWriter, store: Store) -> None:
    """Whatever each of them would be ready to wait."""
    store.open.clear()
    writer.begin(BEGIN)
    store.asked.wait(LONG)
    time.sleep(0.02)
    assert writer.add(event(1), awaited=True) is None


@pytest.mark.parametrize("failure", [None, ValueError("never")])
def test_a_step_that_the_store_will_never_take_holds_up_no_other(
    writer: StreamWriter, store: Store, failure: Exception | None
) -> None:
    """It is left out, and counted."""
    store.open.clear()
    writer.begin(BEGIN)
    store.asked.wait(LONG)
    writer.add(event(1))
    writer.add(event(2))
    store.refuses = (event(1),)
    if failure is not None:
        store.write = picky(store, failure)  # type: ignore[method-assign]
    store.open.set()

    assert writer.flush(LONG)
    assert (store.steps, writer.dropped) == ([BEGIN, event(2)], 1)


def picky(store: Store, failure: Exception) -> Callable[[Sequence[Step]], None]:
    """Return a ``write`` that raises *failure* instead of the store's own."""
    before = store.write

    def write(steps: Sequence[Step]) -> None:
        try:
            before(steps)
        except StoreError:
            raise failure from None

    return write


def test_the_store_hears_who_is_alive(writer: StreamWriter, store: Store) -> None:
    """As long as they are, and no longer."""
    writer.begin(BEGIN)
    until(lambda: len(store.beats) > 2)
    assert set(store.beats) == {("r",)}
    writer.end(Ending("r", "ended", 0))
    assert writer.flush(LONG)
    count = len(store.beats)
    time.sleep(0.15)
    assert len(store.beats) == count


def test_old_streams_are_dropped_now_and_then(writer: StreamWriter, store: Store) -> None:
    """Retention is bounded, whoever forgets to run it."""
    writer._tidy_at = 0.0
    writer.begin(BEGIN)
    writer.add(event(1))
    until(lambda: store.tidied)
    assert store.tidied == [86_400.0]


def test_after_its_end_it_can_begin_anew(writer: StreamWriter, store: Store) -> None:
    """With another thread; while the store hangs it cannot."""
    writer.begin(BEGIN)
    assert writer.close(LONG)
    writer.begin(BEGIN._replace(recording="s"))
    assert writer.close(LONG)
    assert [step.recording for step in store.steps] == ["r", "s"]

    store.open.clear()
    store.asked.clear()
    writer.begin(BEGIN)
    store.asked.wait(LONG)
    assert not writer.close(0.01)
    assert not writer.begin(BEGIN)
    store.open.set()


def test_a_forked_child_writes_what_it_records_and_nothing_of_its_parent(writer: StreamWriter, store: Store) -> None:
    """It has neither the parent's thread nor its queue."""
    store.open.clear()
    writer.begin(BEGIN)
    store.asked.wait(LONG)
    reads, writes = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover - another process
        store.open = threading.Event()
        store.open.set()
        writer.begin(BEGIN._replace(recording="child"))
        flushed = writer.flush(LONG)
        os.write(writes, b"%d %s" % (flushed, b",".join(step.recording.encode() for step in store.steps)))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reads, 100) == b"1 child"
    os.close(reads)
    os.close(writes)
