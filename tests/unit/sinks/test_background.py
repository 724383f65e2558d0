"""How does a request hand over its events without waiting for a disk, or wait for it exactly as long as it must?

Clauses F3, F4. No test measures time: what must not happen is kept from happening by an event that the test holds.
Fork, exit and kill -9 stand in tests/integration/test_spool_crash.py.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, cast

import pytest

from tests.unit.sinks.fakes import PATIENCE_SECONDS, FakeStore, event_of, events_of
from tracegate.core.events import Event
from tracegate.errors import StoreError
from tracegate.sinks.background import BackgroundWriter
from tracegate.sinks.spool import Spool

pytestmark = pytest.mark.contract("F3")


class Build(Protocol):
    """Builds a writer."""

    def __call__(self, spool: Spool | None, **options: float) -> BackgroundWriter: ...


class SlowSpool(Spool):
    """A spool whose disk hangs while ``go_on`` is not set."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.appends = 0

    def append(self, events: Sequence[Event]) -> None:
        self.appends += 1
        self.entered.set()
        assert self.go_on.wait(PATIENCE_SECONDS)
        super().append(events)


@pytest.fixture
def store() -> FakeStore:
    """A store that works."""
    return FakeStore()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """An empty spool."""
    return Spool(tmp_path / "spool")


@pytest.fixture
def no_disk(tmp_path: Path) -> Spool:
    """A spool that takes nothing."""
    (tmp_path / "file").touch()
    return Spool(tmp_path / "file")


@pytest.fixture
def build(store: FakeStore) -> Iterator[Build]:
    """Build writers for the store that are closed after the test, with the store let go."""
    writers: list[BackgroundWriter] = []

    def build(spool: Spool | None, **options: float) -> BackgroundWriter:
        bounds = cast("dict[str, int]", {"retry_seconds": 0.01, **options})
        writers.append(BackgroundWriter(store, spool, **bounds))
        return writers[-1]

    yield build
    store.go_on.set()
    for writer in writers:
        writer.close()


def until(true: Callable[[], bool]) -> None:
    """Wait until *true*."""
    pause = threading.Event()
    for _ in range(int(PATIENCE_SECONDS * 200)):
        if true():
            return
        pause.wait(0.005)
    raise AssertionError("it never came true")


def hang(writer: BackgroundWriter, store: FakeStore, event: Event) -> None:
    """Have the store hang at *event*."""
    store.entered.clear()
    store.go_on.clear()
    writer(event)
    assert store.entered.wait(PATIENCE_SECONDS)


def test_a_commit_returns_when_the_store_has_the_events(build: Build, store: FakeStore, spool: Spool) -> None:
    """All of them, in one call; nothing goes to the spool. No events are durable at once."""
    writer = build(spool)

    assert writer.commit(events_of(1, 2), PATIENCE_SECONDS)
    assert writer.commit([], PATIENCE_SECONDS)
    assert (store.calls, spool.pending(), writer.lost, writer.backlog) == ([[1, 2]], 0, 0, 0)


def test_an_event_in_the_background_is_taken_without_anyone_waiting(build: Build, store: FakeStore) -> None:
    """The call returns while the store hangs; when it goes on, all that came meanwhile goes in one call, in order."""
    writer = build(None)
    hang(writer, store, event_of(0))
    for number in range(1, 101):
        writer(event_of(number))
    assert (store.calls, writer.backlog) == ([], 101)
    store.go_on.set()

    assert writer.close()
    assert store.calls == [[0], list(range(1, 101))]


def test_all_that_wait_go_in_one_transaction(build: Build, store: FakeStore, spool: Spool) -> None:
    """Fifty threads commit while the store is at work: one more call takes them all."""
    writer = build(spool)
    hang(writer, store, event_of(0))
    with ThreadPoolExecutor(50) as pool:
        commits = [pool.submit(writer.commit, [event_of(number)], PATIENCE_SECONDS) for number in range(1, 51)]
        until(lambda: writer.backlog == 51)
        store.go_on.set()
        assert all(commit.result(PATIENCE_SECONDS) for commit in commits)

    assert [len(call) for call in store.calls] == [1, 50]
    assert sorted(store.taken) == list(range(51))
    assert spool.pending() == 0


def test_a_batch_is_bounded_and_what_was_committed_together_stays_together(build: Build, store: FakeStore) -> None:
    """Three at a time; a larger commit is one transaction all the same."""
    writer = build(None, batch=3)
    hang(writer, store, event_of(0))
    parts = [[1, 2], [3], [4, 5], [6, 7, 8, 9], [10]]
    answers = [writer.submit(events_of(*part), PATIENCE_SECONDS) for part in parts]
    store.go_on.set()

    assert all(answer.result(PATIENCE_SECONDS) for answer in answers)
    assert store.calls == [[0], [1, 2, 3], [4, 5], [6, 7, 8, 9], [10]]


def test_a_store_that_hangs_holds_a_commit_no_longer_than_its_timeout(
    build: Build, store: FakeStore, spool: Spool
) -> None:
    """The events are in the spool then, though the store never answered; who comes later is not made to wait for it."""
    writer = build(spool)
    hang(writer, store, event_of(0))
    assert writer.submit(events_of(1), 0.01).result(PATIENCE_SECONDS)
    assert writer.commit(events_of(2), PATIENCE_SECONDS)
    writer(event_of(3))
    until(lambda: spool.pending() == 3 and writer.backlog == 1)
    assert (store.calls, writer.lost) == ([], 0)
    store.go_on.set()
    until(lambda: spool.pending() == 0)

    assert (store.calls[0], store.taken) == ([0], [0, 1, 2, 3])


def test_a_commit_that_the_hanging_store_has_in_its_hands_is_spooled_too(
    build: Build, store: FakeStore, spool: Spool
) -> None:
    """Nobody knows whether it was written; it is given again, and the store knows its id."""
    store.go_on.clear()
    writer = build(spool)
    assert writer.submit(events_of(1), 0.01).result(PATIENCE_SECONDS)
    assert (store.tries, spool.pending(), writer.backlog) == (1, 1, 0)
    store.go_on.set()
    until(lambda: spool.pending() == 0)

    assert store.taken == [1, 1]


def test_no_more_than_a_bounded_number_wait_for_the_store(build: Build, store: FakeStore, spool: Spool) -> None:
    """Two may; the third is spooled at once, while the two still wait."""
    writer = build(spool, max_waiters=2)
    hang(writer, store, event_of(0))
    waiting = [writer.submit([event_of(number)], PATIENCE_SECONDS) for number in (1, 2)]
    assert writer.commit(events_of(3), PATIENCE_SECONDS)
    assert not any(answer.done() for answer in waiting)
    assert (spool.pending(), store.calls) == (1, [])
    store.go_on.set()

    assert all(answer.result(PATIENCE_SECONDS) for answer in waiting)
    until(lambda: spool.pending() == 0)
    assert sorted(store.taken) == [0, 1, 2, 3]


def test_a_store_that_fails_is_spooled_for_and_replayed_before_new_events_when_it_is_back(
    build: Build, store: FakeStore, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    """In the order they came; the log says once that it went, and that it is back, and no address."""
    caplog.set_level(logging.INFO)
    store.failing = OSError("postgresql://user:secret@host")
    writer = build(spool)
    for number in range(10):
        assert writer.commit([event_of(number)], PATIENCE_SECONDS)
    until(lambda: store.tries > 3)
    assert (spool.pending(), writer.lost) == (10, 0)
    store.come_back()
    for number in range(10, 20):
        assert writer.commit([event_of(number)], PATIENCE_SECONDS)
    until(lambda: spool.pending() == 0)

    assert store.taken == list(range(20))
    said = [message for message in caplog.messages if message.startswith("the event store")]  # not who counts replies
    assert said == [
        "the event store does not take events: OSError",
        "the event store gets events again",
    ]


def test_events_in_the_background_keep_their_order_over_a_failure(build: Build, store: FakeStore, spool: Spool) -> None:
    """What failed first, what was queued behind it, what came while the store was away, what came after."""
    writer = build(spool, batch=2)
    hang(writer, store, event_of(0))
    for number in range(1, 10):
        writer(event_of(number))
    store.go_away()
    store.go_on.set()
    until(lambda: spool.pending() == 10)
    for number in range(10, 15):
        writer(event_of(number))
    store.come_back()
    for number in range(15, 30):
        writer(event_of(number))

    assert writer.close()
    until(lambda: writer.backlog == 0)
    spool.replay(store)
    assert store.taken == list(range(30))


def test_what_came_before_the_store_was_back_is_taken_before_what_came_after(
    build: Build, store: FakeStore, tmp_path: Path
) -> None:
    """Even where it is not on the disk yet, because the disk is slow."""
    spool = SlowSpool(tmp_path)
    spool.go_on.set()
    writer = build(spool, retry_seconds=PATIENCE_SECONDS)
    store.go_on.clear()
    assert writer.submit(events_of(0), 0.01).result(PATIENCE_SECONDS)
    spool.go_on.clear()
    writer(event_of(1))
    store.go_on.set()
    until(lambda: writer._queues.answering)
    writer(event_of(2))
    assert not threading.Event().wait(0.05)  # time to do it wrong
    spool.go_on.set()
    until(lambda: store.taken[-1:] == [2])

    assert store.taken == [0, 0, 1, 2]


def test_what_an_earlier_process_left_in_the_spool_comes_first(build: Build, store: FakeStore, spool: Spool) -> None:
    """With the first event, or without any as soon as the writer is started."""
    others = set(threading.enumerate())  # of applications that other tests left behind
    spool.append(events_of(1, 2))
    assert build(spool).commit(events_of(3), PATIENCE_SECONDS)
    assert store.calls == [[1, 2], [3]]
    spool.append(events_of(4))
    writer = build(spool)
    writer.start()
    until(lambda: store.calls[2:] == [[4]] and spool.pending() == 0)
    writer.start()
    assert sum(thread.name == "tracegate_feed_store" for thread in {*threading.enumerate()} - others) == 2


@pytest.mark.contract("F4")
def test_what_neither_takes_is_counted_and_logged_and_the_commit_says_so(
    build: Build, store: FakeStore, no_disk: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    """With its id: the log is the only record there is."""
    store.go_away()
    writer = build(no_disk)
    assert not writer.commit(events_of(1, 2), PATIENCE_SECONDS)
    writer(event_of(3))
    assert not writer.close()

    assert (writer.lost, writer.backlog) == (3, 0)
    assert [record.args[0] for record in caplog.records if record.levelno == logging.ERROR and record.args] == [
        "1",
        "2",
        "3",
    ]
    assert "the event store does not take events: the store is away" in caplog.messages
    assert [text for text in caplog.messages if text.startswith("the spool does not take events: the spool cannot be ")]


@pytest.mark.contract("F4")
def test_a_writer_is_not_closed_before_the_log_has_what_is_lost(build: Build, store: FakeStore) -> None:
    """The interpreter may end right after, and with it the thread that writes the log."""
    entered, go_on, lines = threading.Event(), threading.Event(), list[str]()

    class SlowHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno == logging.ERROR:
                entered.set()
                assert go_on.wait(PATIENCE_SECONDS)
                lines.append(record.getMessage())

    logger, handler = logging.getLogger("tracegate.sinks"), SlowHandler()
    logger.addHandler(handler)
    try:
        store.go_away()
        writer = build(None)
        writer(event_of(1))
        assert entered.wait(PATIENCE_SECONDS)
        with ThreadPoolExecutor(1) as pool:
            closing = pool.submit(writer.close, PATIENCE_SECONDS)
            assert not threading.Event().wait(0.05)  # time to do it wrong
            assert not closing.done()
            go_on.set()
            closing.result(PATIENCE_SECONDS)
        assert (len(lines), writer.lost) == (1, 1)
    finally:
        logger.removeHandler(handler)


@pytest.mark.contract("F4")
def test_a_broken_spool_keeps_nothing_from_a_store_that_works(build: Build, store: FakeStore, no_disk: Spool) -> None:
    """Nor from one that is back: what the spool refused meanwhile is offered to the store once more."""
    writer = build(no_disk)
    assert writer.commit(events_of(1), PATIENCE_SECONDS)
    hang(writer, store, event_of(2))
    assert not writer.submit(events_of(3), 0.01).result(PATIENCE_SECONDS)
    assert writer.lost == 0
    store.go_on.set()

    assert writer.close()
    assert store.taken == [1, 2, 3]


def test_without_a_spool_a_late_commit_says_that_nobody_knows_and_the_store_may_still_take_it(
    build: Build, store: FakeStore
) -> None:
    """Not durable in time is not lost."""
    writer = build(None)
    store.go_on.clear()
    answer = writer.submit(events_of(1), 0.01)
    assert not answer.result(PATIENCE_SECONDS)
    assert (writer.lost, writer.backlog) == (0, 1)
    store.go_on.set()

    assert writer.close()
    assert store.taken == [1]


@pytest.mark.contract("F4")
def test_without_a_spool_what_the_store_refuses_is_lost_and_it_is_asked_again_for_the_next(
    build: Build, store: FakeStore
) -> None:
    """Whatever it raises: the thread goes on."""
    writer = build(None)
    for failure in (StoreError("away"), ValueError(), SystemExit()):
        store.failing = failure
        assert not writer.commit(events_of(1), PATIENCE_SECONDS)
    store.come_back()

    assert writer.commit(events_of(2), PATIENCE_SECONDS)
    assert (writer.lost, store.taken) == (3, [2])


@pytest.mark.contract("F4")
def test_a_full_queue_goes_to_the_spool_and_a_full_spool_queue_to_the_log(
    build: Build, store: FakeStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two may wait for a store that hangs, two for a disk that hangs; the call never blocks, whatever hangs."""
    spool = SlowSpool(tmp_path)
    writer = build(spool, max_queued=2)
    hang(writer, store, event_of(0))
    for number in range(1, 6):
        writer(event_of(number))
    assert (writer.lost, writer.backlog) == (2, 4)
    assert [record.args[0] for record in caplog.records if record.args] == ["4", "5"]
    spool.go_on.set()
    until(lambda: spool.pending() == 2)
    store.go_on.set()

    assert writer.close()
    spool.replay(store)
    assert sorted(store.taken) == [0, 1, 2, 3]


def test_what_was_spooled_while_the_store_answers_is_replayed_though_nothing_else_comes(
    build: Build, store: FakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue was full for a moment; nobody waits for the next look into the spool."""
    monkeypatch.setattr("tracegate.sinks.delivery._LOOK_EVERY_SECONDS", 1_000 * PATIENCE_SECONDS)
    spool = SlowSpool(tmp_path)
    writer = build(spool, max_queued=1)
    hang(writer, store, event_of(0))
    writer(event_of(1))
    store.go_on.set()
    until(lambda: store.taken == [0] and writer.backlog == 1)
    spool.go_on.set()
    until(lambda: store.taken == [0, 1] and spool.pending() == 0)


def test_a_commit_returns_though_store_and_disk_hang(build: Build, store: FakeStore, tmp_path: Path) -> None:
    """It cannot say that the events are durable; they are not lost either."""
    spool = SlowSpool(tmp_path)
    writer = build(spool)
    hang(writer, store, event_of(0))
    assert not writer.commit(events_of(1), 0.01)
    assert spool.entered.wait(PATIENCE_SECONDS)
    assert writer.lost == 0
    spool.go_on.set()
    store.go_on.set()

    assert writer.close()


def test_commits_that_are_spooled_share_one_sync_of_the_disk(build: Build, store: FakeStore, tmp_path: Path) -> None:
    """While the disk is at work the next ones gather."""
    spool = SlowSpool(tmp_path)
    store.go_away()
    writer = build(spool, retry_seconds=PATIENCE_SECONDS)
    first = writer.submit(events_of(0), PATIENCE_SECONDS)
    assert spool.entered.wait(PATIENCE_SECONDS)
    others = [writer.submit([event_of(number)], PATIENCE_SECONDS) for number in range(1, 50)]
    spool.go_on.set()

    assert all(answer.result(PATIENCE_SECONDS) for answer in [first, *others])
    assert (spool.appends, spool.pending()) == (2, 50)


def test_an_event_loop_waits_without_a_thread(build: Build, store: FakeStore, spool: Spool) -> None:
    """The answer is a future; one that nobody waits for any more does no harm."""
    writer = build(spool)

    async def refuse() -> bool:
        hang(writer, store, event_of(0))
        given_up = asyncio.wrap_future(writer.submit(events_of(1), PATIENCE_SECONDS))
        given_up.cancel()
        kept = asyncio.wrap_future(writer.submit(events_of(2), PATIENCE_SECONDS))
        store.go_on.set()
        return await kept

    assert asyncio.run(refuse())
    assert store.calls == [[0], [1, 2]]


def test_a_closed_writer_has_flushed_and_begins_anew_with_the_next_event(
    build: Build, store: FakeStore, spool: Spool
) -> None:
    """What a hanging store does not take in time is in the spool; no thread stays but the one that hangs."""
    others = set(threading.enumerate())  # of applications that other tests left behind
    writer = build(spool)
    hang(writer, store, event_of(0))
    writer(event_of(1))
    until(lambda: writer._delivery.flush(0.01) is None and writer.backlog == 0)
    assert writer.close()
    assert (spool.pending(), writer.backlog, writer.lost) == (2, 0, 0)
    store.go_on.set()
    assert writer.commit(events_of(2), PATIENCE_SECONDS)
    assert writer.close()

    assert sorted(store.taken) == [0, 0, 1, 2]
    until(lambda: not any(thread.name.startswith("tracegate_feed") for thread in {*threading.enumerate()} - others))


@pytest.mark.contract("F4")
def test_what_is_queued_for_nobody_at_the_end_is_lost_and_said(
    build: Build, store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    """No spool, and a store that hangs: close says no, and the count survives it."""
    writer = build(None)
    hang(writer, store, event_of(1))
    writer(event_of(2))
    assert not writer.close(0.01)

    assert writer.lost == 2
    assert [record.args[0] for record in caplog.records if record.args] == ["1", "2"]


@pytest.mark.parametrize("allowed", [0, 1])
def test_where_no_thread_can_be_started_the_spool_is_written_at_once(
    allowed: int, store: FakeStore, spool: Spool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At the end of the interpreter, or under a limit of the system: the call does not raise, the event is durable."""
    start, started = threading.Thread.start, list[str]()

    def start_some(thread: threading.Thread) -> None:
        if len(started) >= allowed:
            raise RuntimeError("can't start new thread")
        started.append(thread.name)
        start(thread)

    store.go_on.clear()
    writer = BackgroundWriter(store, spool)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start_some)
        writer(event_of(1))
        assert writer.commit(events_of(2), PATIENCE_SECONDS)
    store.go_on.set()

    assert writer.close()
    spool.replay(store)
    assert (set(store.taken), writer.lost, caplog.records) == ({1, 2}, 0, [])


@pytest.mark.contract("F4")
def test_an_event_that_meets_the_end_of_its_writer_is_spooled_or_said_to_be_lost(
    build: Build, store: FakeStore, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    """One thread closes while another one hands over: nobody takes what is queued any more."""
    for where in (spool, None):
        writer = build(where)
        writer._delivery.stop()
        answer = writer.submit(events_of(1), PATIENCE_SECONDS)
        assert answer.result(PATIENCE_SECONDS) is (where is spool)
        assert writer.lost == (where is None)

    assert (spool.pending(), store.tries) == (1, 0)
    assert [record.args[0] for record in caplog.records if record.args] == ["1"]


def test_many_threads_lose_nothing_while_the_store_comes_and_goes(build: Build, store: FakeStore, spool: Spool) -> None:
    """Every commit is durable; after the last replay each event is there."""
    writer = build(spool, batch=5, max_waiters=4)
    away = threading.Event()

    def come_and_go() -> None:
        while not away.wait(0.01):
            store.failing = None if store.failing else StoreError("away")

    weather = threading.Thread(target=come_and_go)
    weather.start()
    with ThreadPoolExecutor(8) as pool:
        commits: list[Future[bool]] = []
        for number in range(0, 200, 2):
            commits.append(pool.submit(writer.commit, [event_of(number)], PATIENCE_SECONDS))
            writer(event_of(number + 1))
        assert all(commit.result(PATIENCE_SECONDS) for commit in commits)
    away.set()
    weather.join(PATIENCE_SECONDS)
    store.come_back()

    assert writer.close()
    spool.replay(store)
    until(lambda: spool.pending() == 0)  # a thread of the writer may be replaying a file, which is then its own
    assert (set(store.taken), writer.lost) == (set(range(200)), 0)


def test_an_event_that_the_store_refuses_for_good_costs_no_other_one(store: FakeStore, spool: Spool) -> None:
    """Who waits for it hears that it is durable: on the disk, set aside. The store goes on."""

    class Refusing(FakeStore):
        def __call__(self, events: Sequence[Event]) -> None:
            if "1" in {event.id for event in events}:
                raise StoreError("breaks a rule", final=True)
            store(events)

    writer = BackgroundWriter(Refusing(), spool, retry_seconds=0.01)
    answers = [writer.submit([event_of(number)], PATIENCE_SECONDS) for number in range(3)]
    assert all(answer.result(PATIENCE_SECONDS) for answer in answers)
    assert writer.commit(events_of(3), PATIENCE_SECONDS)
    until(lambda: spool.pending() == 0)

    assert writer.close()
    assert (sorted(store.taken), spool.refused(), writer.lost) == ([0, 2, 3], 1, 0)


@pytest.mark.parametrize("waits_in", ["replay", "take"])
def test_what_waits_in_the_background_for_a_late_store_is_spooled(
    waits_in: str, build: Build, store: FakeStore, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that no more than a second's events are lost with their process, however long the store hangs."""
    monkeypatch.setattr("tracegate.sinks.delivery._LATE_SECONDS", 0.02)
    store.go_on.clear()
    if waits_in == "replay":
        spool.append(events_of(0))
    writer = build(spool)
    writer(event_of(1))
    assert store.entered.wait(PATIENCE_SECONDS)
    for number in range(2, 20):
        writer(event_of(number))
    until(lambda: writer.backlog == 0)
    assert (spool.pending(), store.calls) == (19 + (waits_in == "replay"), [])
    store.go_on.set()
    until(lambda: spool.pending() == 0)

    assert {*store.taken} >= {*range(1, 20)}
    assert writer.lost == 0


@pytest.mark.contract("F4", "H3")
def test_what_is_lost_is_marked_for_the_deploy_gate_as_soon_as_the_disk_takes_a_mark(
    build: Build, store: FakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tried again while the disk refuses that too; at the latest when the writer ends."""
    monkeypatch.setattr("tracegate.sinks.losses._EVERY_SECONDS", 0.01)
    (tmp_path / "spool").touch()
    spool = Spool(tmp_path / "spool")
    store.go_away()
    writer = build(spool)
    assert not writer.commit(events_of(1, 2), PATIENCE_SECONDS)
    (tmp_path / "spool").unlink()
    until(lambda: spool.lost() == 2)
    monkeypatch.setattr("tracegate.sinks.losses._EVERY_SECONDS", 10 * PATIENCE_SECONDS)
    hanging = build(spool)
    hang(hanging, store, event_of(3))
    hanging._queues.give_up()
    hanging.close()

    assert spool.lost() == 3
