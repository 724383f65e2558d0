"""Do the counts of a process reach the store, each once, whatever the store does meanwhile?"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import tracegate
from tracegate.core.policy import Policy
from tracegate.errors import StoreError
from tracegate.sinks import traffic as counting
from tracegate.sinks.traffic import Counts, Minute, Traffic
from tracegate.sinks.traffic_writer import TrafficWriter

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
PATIENCE_SECONDS = 30.0


class StandingClock:
    """Tells the time that it is told."""

    def __init__(self) -> None:
        self.time = NOON + timedelta(seconds=59)

    def now(self) -> datetime:
        return self.time


class Book:
    """Keeps the newest row of each minute, as the store does.

    Args:
        failure: What the store raises first.
    """

    def __init__(self, failure: BaseException | None = None) -> None:
        self.rows: dict[tuple[str, str, datetime], Counts] = {}
        self.failure = failure
        self.changed = threading.Condition()

    def put(self, process: str, minutes: Sequence[Minute]) -> None:
        with self.changed:
            failure, self.failure = self.failure, None
            self.changed.notify_all()
            if failure is not None:
                raise failure
            self.rows.update({(process, minute.tenant, minute.start): minute.counts for minute in minutes})

    def holds(self, condition: Callable[[Book], bool]) -> bool:
        """Wait for *condition*."""
        with self.changed:
            return self.changed.wait_for(lambda: condition(self), PATIENCE_SECONDS)

    @property
    def total(self) -> Counts:
        """All of them together."""
        return sum(self.rows.values(), Counts())


def count(traffic: Traffic, requests: int = 1, tenant: str | None = None) -> None:
    """Have requests, each with its reply."""
    tally = traffic.tally(tenant)
    for _ in range(requests):
        tally.request()
        tally.traced()


def test_the_first_request_starts_the_thread_and_the_end_writes_the_rest() -> None:
    """Nothing runs before there is anything to count."""
    book = Book()
    writer = TrafficWriter(Policy(), book.put, every_seconds=3600)
    before = threading.active_count()
    count(writer.traffic)
    assert book.holds(lambda book: bool(book.rows))
    assert threading.active_count() == before + 1
    count(writer.traffic, 7)
    writer.close()
    assert book.total == Counts(8, 8)
    assert threading.active_count() == before
    assert len({process for process, _, _ in book.rows}) == 1


def test_counts_are_written_again_and_again_and_stay_what_they_are() -> None:
    """All that was counted in a minute, not what was added: a write may be repeated."""
    book, clock = Book(), StandingClock()
    writer = TrafficWriter(Policy(), book.put, clock=clock, every_seconds=0.01)
    for number in range(1, 4):
        count(writer.traffic)
        assert book.holds(lambda book, number=number: book.total == Counts(number, number))  # type: ignore[misc]
    clock.time = LATER
    assert book.holds(lambda book: any(start == LATER for _, _, start in book.rows))
    count(writer.traffic)
    assert book.holds(lambda book: book.total == Counts(4, 4))
    writer.close()
    assert sorted((start, counts) for (_, _, start), counts in book.rows.items()) == [
        (NOON, Counts(3, 3)),
        (LATER, Counts(1, 1)),
    ]


@pytest.mark.contract("F4")
@pytest.mark.parametrize("failure", [StoreError("away"), RuntimeError("a bug"), SystemExit()])
def test_what_a_store_does_not_take_is_written_later(failure: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """One line in the log when it begins, and one when it ends; without what a driver's message may hold."""
    caplog.set_level("INFO", "tracegate.sinks")
    book = Book(failure)
    writer = TrafficWriter(Policy(), book.put, every_seconds=0.01)
    count(writer.traffic, 3)
    assert book.holds(lambda book: book.total == Counts(3, 3))
    writer.close()
    reason = "away" if isinstance(failure, StoreError) else type(failure).__name__
    assert [record.getMessage() for record in caplog.records] == [
        f"the store does not take counts of replies: {reason}",
        "the store takes counts of replies again",
    ]


@pytest.mark.contract("F4")
def test_what_waits_for_a_store_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest minutes go first, and it is known how many."""
    monkeypatch.setattr(counting, "_MOST_KEPT", 3)
    traffic = Traffic(Policy(), lambda: None)
    for number in range(6):
        traffic.read(NOON + timedelta(minutes=number))
        count(traffic, number + 1)
    traffic.read(NOON + timedelta(minutes=6))
    assert [minute.counts.requests for minute in traffic.minutes()] == [5, 6, 0]
    assert traffic.lost == 4


def test_more_tenants_than_one_process_tells_apart_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever invents tenants fills no memory."""
    monkeypatch.setattr(counting, "_MOST_TENANTS", 3)
    traffic = Traffic(Policy(tenant_header="X-Tenant"), lambda: None)
    for name in ("a", "b", "c", "d", "e", "a"):
        count(traffic, tenant=name)
    traffic.read(NOON)
    found = {minute.tenant: minute.counts.requests for minute in traffic.minutes()}
    assert found == {"a": 2, "b": 1, "c": 1, "unknown": 2, "default": 0}


def test_what_comes_between_two_readings_belongs_to_the_minute_of_the_first() -> None:
    """To count takes no look at the clock."""
    traffic = Traffic(Policy(), lambda: None)
    traffic.read(NOON + timedelta(seconds=59))
    count(traffic, 2)
    traffic.read(NOON + timedelta(seconds=60.01))
    count(traffic, 3)
    traffic.read(NOON + timedelta(seconds=70))
    assert [(minute.start, minute.counts.requests) for minute in traffic.minutes()] == [(NOON, 2), (LATER, 3)]


def test_a_minute_is_kept_until_it_is_over_and_stored() -> None:
    """Only then can nothing be added to it."""
    traffic = Traffic(Policy(), lambda: None)
    traffic.read(NOON)
    count(traffic)
    traffic.read(NOON)
    traffic.forget(traffic.minutes())
    assert [minute.counts.requests for minute in traffic.minutes()] == [1]
    traffic.read(LATER)
    traffic.forget(traffic.minutes())
    assert [minute.start for minute in traffic.minutes()] == [LATER]


def test_a_forked_child_writes_its_own_counts_under_its_own_name() -> None:
    """And the parent's thread goes on in the parent only."""
    book = Book()
    books = [book]

    def put(process: str, minutes: Sequence[Minute]) -> None:
        books[-1].put(process, minutes)

    writer = TrafficWriter(Policy(), put, every_seconds=0.01)
    count(writer.traffic, 5)
    assert book.holds(lambda book: book.total == Counts(5, 5))
    (parent,) = {process for process, _, _ in book.rows}
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        books.append(own := Book())  # the other's condition may be held by the parent's thread
        count(writer.traffic, 2)
        writer.close()
        names = {process for process, _, _ in own.rows}
        os.write(write, repr((own.total, parent in names, len(names))).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1000).decode() == repr((Counts(2, 2), False, 1))
    writer.close()
    assert book.total == Counts(5, 5)
    for descriptor in (read, write):
        os.close(descriptor)


SCRIPT = """
import sys
from tracegate.adapters.wsgi import TraceGate
from tracegate.core.policy import Policy
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
gate = TraceGate(app, Policy(service="orders", store_url=sys.argv[1]))
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_X_TRACE_ID": "4bf92f3577b34da6a3ce929d0e0e4736"}
for _ in range(3):
    gate(environ, lambda *_: None)
"""


@pytest.mark.contract("H1")
def test_the_end_of_a_process_writes_what_it_has_counted(tmp_path: Path) -> None:
    """A gate with a store counts, without a line of the application's."""
    url = f"sqlite:///{tmp_path}/events.db"
    environ = {**os.environ, "PYTHONPATH": str(Path(tracegate.__file__).parents[1])}
    for command in (["-m", "tracegate", "store", "upgrade", "--url", url], ["-c", SCRIPT, url]):
        subprocess.run([sys.executable, *command], env=environ, check=True, capture_output=True, timeout=60)
    with sqlite3.connect(tmp_path / "events.db") as connection:
        rows = connection.execute("SELECT service, tenant_id, requests, replies, traced_replies FROM tb_reply_count")
        assert [row for row in rows if row[2]] == [("orders", "default", 3, 3, 3)]
    connection.close()
