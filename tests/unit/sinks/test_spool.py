"""Where do events wait while the store is away? On the local disk, in order, until the store has taken them.

Clause F3. What only several processes can show stands in tests/integration/test_spool_crash.py.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.unit.sinks.fakes import PATIENCE_SECONDS, FakeStore, event_of, events_of
from tracegate.core.events import Event
from tracegate.errors import StoreError
from tracegate.sinks.spool import Spool
from tracegate.sinks.wire import decode

pytestmark = pytest.mark.contract("F3")


def files_of(directory: Path, suffix: str = ".events") -> list[Path]:
    """Return the spool's files that end so, the oldest first."""
    return sorted(directory.glob(f"*{suffix}"))


def failing(code: int) -> Callable[..., object]:
    """Return a system call that fails."""

    def fail(*_arguments: object) -> object:
        raise OSError(code, os.strerror(code))

    return fail


def test_what_was_appended_is_replayed_in_order_and_then_gone(tmp_path: Path) -> None:
    """Once; files and all."""
    spool, store = Spool(tmp_path), FakeStore()
    spool.append(events_of(1, 2))
    spool.append([])
    spool.append(events_of(3))

    assert (spool.pending(), len(files_of(tmp_path))) == (3, 1)
    assert spool.replay(store) == 3
    assert store.taken == [1, 2, 3]
    assert (spool.replay(store), spool.pending(), list(tmp_path.iterdir())) == (0, 0, [])


def test_every_event_is_on_the_disk_when_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, and before it its name in the directory, were synced after the last write to them."""
    order: list[str] = []
    write, fsync = os.write, os.fsync
    monkeypatch.setattr(os, "write", lambda fd, data: order.append("write") or write(fd, data))

    def noting_fsync(descriptor: int) -> None:
        order.append("name" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    spool = Spool(tmp_path / "new" / "spool")
    spool.append(events_of(1))
    spool.append(events_of(2, 3))

    assert order == ["name", "name", "write", "file", "write", "file"]


def test_the_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    """Events tell tenants and routes."""
    spool = Spool(tmp_path / "var" / "spool")
    assert (spool.pending(), spool.damaged(), spool.replay(FakeStore())) == (0, 0, 0)
    spool.append(events_of(1))
    (file,) = files_of(tmp_path / "var" / "spool")

    assert (file.parent.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_directory_that_vanishes_is_made_again(tmp_path: Path) -> None:
    """Somebody cleaned up; the next event is safe all the same."""
    spool, store = Spool(tmp_path / "spool"), FakeStore()
    spool.append(events_of(1))
    files_of(tmp_path / "spool")[0].unlink()
    (tmp_path / "spool").rmdir()
    spool.append(events_of(2))

    assert (spool.replay(store), store.taken) == (1, [2])


def test_a_directory_that_cannot_be_is_reported(tmp_path: Path) -> None:
    """A file in its place, a file system that takes nothing: never a wrong success, and no path in the message."""
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", tmp_path / "file" / "spool", Path("/proc/tracegate")):
        with pytest.raises(StoreError, match=r"^the spool cannot be (written|listed): [A-Z][a-z ]+$"):
            Spool(directory).append(events_of(1))
    with pytest.raises(StoreError, match="the spool cannot be listed: Not a directory"):
        Spool(tmp_path / "file").pending()


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    """Whatever they are called and hold: not read, not counted, not removed; nor are directories and links."""
    spool, store = Spool(tmp_path, max_bytes=2_000), FakeStore()
    spool.append(events_of(1))
    (file,) = files_of(tmp_path)
    others = ["README", "x.events", file.name + "~", file.name.replace("-", "_")]
    for name in others:
        (tmp_path / name).write_bytes(file.read_bytes() * 9)
    (tmp_path / ("9" + file.name[1:])).mkdir()
    (tmp_path / ("8" + file.name[1:])).symlink_to(tmp_path / "README")
    spool.append(events_of(2))

    assert (spool.pending(), spool.replay(store), store.taken) == (2, 2, [1, 2])
    assert len(list(tmp_path.iterdir())) == len(others) + 2


def test_a_torn_last_line_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its append never returned: nobody was told that it is safe."""
    spool, store = Spool(tmp_path), FakeStore()
    spool.append(events_of(1, 2))
    (file,) = files_of(tmp_path)
    file.write_bytes(file.read_bytes()[:-5])

    assert (spool.replay(store), store.taken, list(tmp_path.iterdir())) == (1, [1], [])
    assert [(record.levelno, "never acknowledged" in record.message) for record in caplog.records] == [
        (logging.WARNING, True)
    ]


def test_a_damaged_file_gives_what_it_can_and_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A person has to look at it: it is kept, counted and never replayed again."""
    spool, store = Spool(tmp_path), FakeStore()
    spool.append(events_of(1, 2, 3))
    (file,) = files_of(tmp_path)
    file.write_bytes(file.read_bytes().replace(b'"id":"2"', b'"id":"7"'))
    spool.append(events_of(4))

    assert (spool.replay(store), store.taken) == (3, [1, 3, 4])
    assert (spool.pending(), spool.damaged(), spool.replay(store)) == (0, 1, 0)
    assert files_of(tmp_path, ".damaged")[0].read_bytes().count(b"\n") == 4
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "1 damaged lines" in caplog.text


def test_an_empty_file_is_removed(tmp_path: Path) -> None:
    """Its writer was killed before it wrote; *take* is not called for nothing."""
    spool, store = Spool(tmp_path), FakeStore()
    spool.append(events_of(1))
    files_of(tmp_path)[0].write_bytes(b"")

    assert (spool.replay(store), store.tries, list(tmp_path.iterdir())) == (0, 0, [])


def test_a_full_spool_takes_nothing_more_and_keeps_what_it_has(tmp_path: Path) -> None:
    """All files count, other processes' and damaged ones too; a replay makes room again."""
    first, second, store = Spool(tmp_path, max_bytes=1_000), Spool(tmp_path, max_bytes=1_000), FakeStore()
    first.append(events_of(1))
    second.append(events_of(2))
    for spool in (first, second):
        with pytest.raises(StoreError, match=r"^the spool is full$"):
            spool.append(events_of(3))

    assert (first.replay(store), store.taken) == (2, [1, 2])
    second.append(events_of(3))
    assert (first.replay(store), store.taken) == (1, [1, 2, 3])


@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_is_reported_and_what_it_half_wrote_is_undone(
    call: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full or broken, in the first append or a later one; as soon as it works again, so does the spool."""
    spool, store = Spool(tmp_path), FakeStore()
    for round_number in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing(code))
            for _ in range(5):
                with pytest.raises(StoreError, match=f"^the spool cannot be written: {os.strerror(code)}$"):
                    spool.append(events_of(100))
        assert len(files_of(tmp_path)) == round_number
        spool.append(events_of(round_number))

    assert (spool.replay(store), store.taken) == (3, [0, 1, 2])


def test_what_a_disk_half_wrote_and_will_not_undo_is_never_written_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A torn line stays the last one of its file: the next events get another file."""
    spool, store = Spool(tmp_path), FakeStore()
    spool.append(events_of(1))
    write = os.write
    with monkeypatch.context() as patch:

        def write_half(descriptor: int, data: memoryview) -> int:
            patch.setattr(os, "write", failing(errno.ENOSPC))
            return write(descriptor, data[:40])

        patch.setattr(os, "write", write_half)
        patch.setattr(os, "ftruncate", failing(errno.EIO))
        with pytest.raises(StoreError, match="No space left"):
            spool.append(events_of(2))
    spool.append(events_of(3))

    assert (spool.replay(store), store.taken, spool.damaged()) == (2, [1, 3], 0)
    assert len(caplog.records) == 1


def test_a_disk_that_writes_little_at_a_time_is_written_to_until_all_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``write`` may take less than it was given (POSIX)."""
    spool, store, write = Spool(tmp_path), FakeStore(), os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    spool.append(events_of(1, 2))

    assert (spool.replay(store), store.taken) == (2, [1, 2])


def test_what_is_not_taken_stays(tmp_path: Path) -> None:
    """The failure comes out as it was; files that were done before it are gone, the others wait."""
    first, second, store = Spool(tmp_path), Spool(tmp_path), FakeStore()
    first.append(events_of(1))
    second.append(events_of(2))

    def take(events: Sequence[Event]) -> None:
        if events[0].id == "2":
            raise ZeroDivisionError
        store(events)

    with pytest.raises(ZeroDivisionError):
        first.replay(take)
    assert (store.taken, second.pending()) == ([1], 1)
    assert (second.replay(store), store.taken) == (1, [1, 2])


def test_a_file_that_cannot_be_removed_is_reported_and_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk turned read-only after the store had taken it: the store knows the ids."""
    spool, store = Spool(tmp_path), FakeStore()
    spool.append(events_of(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", failing(errno.EROFS))
        with pytest.raises(StoreError, match=r"^the spool cannot be cleared: Read-only file system$"):
            spool.replay(store)

    assert (spool.replay(store), store.taken) == (1, [1, 1])


def test_a_large_file_is_given_in_parts_and_a_long_story_in_several_files(tmp_path: Path) -> None:
    """A thousand events at a time; a file over a mebibyte gets no more, so that a killed replay repeats little."""
    spool, store = Spool(tmp_path), FakeStore()
    long = [event_of(number, "x" * 200) for number in range(2_500)]
    spool.append(long)
    spool.append(events_of(2_500))

    assert len(files_of(tmp_path)) == 2
    assert (spool.pending(), spool.replay(store)) == (2_501, 2_501)
    assert [len(call) for call in store.calls] == [1_000, 1_000, 500, 1]
    assert store.taken == list(range(2_501))


def test_a_file_that_is_being_replayed_is_left_to_that_replay(tmp_path: Path) -> None:
    """A second one at the same time finds nothing; an append meanwhile goes to a new file, and nothing waits."""
    spool, other, store, seen = Spool(tmp_path), Spool(tmp_path), FakeStore(), list[int]()

    def take(events: Sequence[Event]) -> None:
        seen.append(other.replay(store))
        spool.append(events_of(2))
        store(events)

    spool.append(events_of(1))
    assert (spool.replay(take), seen, store.taken) == (1, [0], [1])
    spool.append(events_of(3))
    assert (other.replay(store), store.taken) == (2, [1, 2, 3])


def test_files_that_others_have_done_meanwhile_are_no_matter(tmp_path: Path) -> None:
    """They were listed, and are gone when their turn comes."""
    spools, store = [Spool(tmp_path), Spool(tmp_path)], FakeStore()
    for number, spool in enumerate(spools):
        spool.append(events_of(number))

    def take(events: Sequence[Event]) -> None:
        store(events)
        files_of(tmp_path)[1].unlink()

    assert (spools[0].replay(take), store.taken) == (1, [0])


def test_a_clock_that_is_set_back_does_not_change_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file comes after all that are there."""
    now = iter([2_000_000_000, 1_000_000_000])
    monkeypatch.setattr("time.time_ns", lambda: next(now))
    Spool(tmp_path).append(events_of(1))
    Spool(tmp_path).append(events_of(2))
    store = FakeStore()

    assert (Spool(tmp_path).replay(store), store.taken) == (2, [1, 2])


def test_many_threads_append_while_others_replay(tmp_path: Path) -> None:
    """Each event is taken exactly once, each thread's in its order."""
    spool, store = Spool(tmp_path), FakeStore()
    threads, each = 8, 10

    def append(first: int) -> None:
        for number in range(first, first + each):
            spool.append(events_of(number))

    writers = [threading.Thread(target=append, args=(index * each,)) for index in range(threads)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        Spool(tmp_path).replay(store)
    for writer in writers:
        writer.join(PATIENCE_SECONDS)
    spool.replay(store)

    assert sorted(store.taken) == list(range(threads * each))
    for first in range(0, threads * each, each):
        assert [number for number in store.taken if first <= number < first + each] == list(range(first, first + each))


def refusing(*numbers: int, store: FakeStore) -> Callable[[Sequence[Event]], None]:
    """Return a store that refuses for good whatever holds one of *numbers*."""

    def take(events: Sequence[Event]) -> None:
        if {event.id for event in events} & {str(number) for number in numbers}:
            raise StoreError("too large", final=True)
        store(events)

    return take


@pytest.mark.contract("H3")
def test_events_that_the_store_refuses_for_good_hold_up_none_behind_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are set aside, whole, and counted; a replay that was cut off before its end sets the same ones aside."""
    spool, store = Spool(tmp_path), FakeStore()
    spool.append(events_of(*range(10)))
    path = files_of(tmp_path)[0]
    data = path.read_bytes()
    assert spool.replay(refusing(3, 9, store=store)) == 10
    path.write_bytes(data)
    spool.replay(refusing(3, 9, store=store))

    assert sorted({*store.taken}) == [0, 1, 2, 4, 5, 6, 7, 8]
    assert (spool.pending(), spool.refused(), spool.damaged(), spool.lost()) == (0, 2, 0, 0)
    assert decode(files_of(tmp_path, ".refused")[0].read_bytes()).events == events_of(3, 9)
    assert [record.args[0] for record in caplog.records if record.args] == ["3", "9"] * 2


@pytest.mark.parametrize("failure", [ValueError(), TypeError(), OverflowError()])
def test_what_cannot_become_a_row_is_refused_for_good(tmp_path: Path, failure: Exception) -> None:
    """No event of this version is like that; one of a damaged file may be."""
    spool, store = Spool(tmp_path), FakeStore()
    spool.append(events_of(1, 2))
    store.failing = failure

    assert (spool.replay(store), spool.pending(), spool.refused()) == (2, 0, 2)


@pytest.mark.contract("F4", "H3")
def test_what_is_lost_leaves_one_mark_for_each_process(tmp_path: Path) -> None:
    """Its count grows; a person who has dealt with it removes it, and then it begins anew."""
    spool = Spool(tmp_path / "spool")
    spool.mark_lost(2)
    spool.mark_lost(3)
    Spool(tmp_path / "spool").mark_lost(10)
    assert (spool.lost(), spool.pending(), len(files_of(tmp_path / "spool", ".lost"))) == (15, 0, 2)
    files_of(tmp_path / "spool", ".5.lost")[0].unlink()
    spool.mark_lost(1)

    assert spool.lost() == 11
    assert all(path.stat().st_size == 0 for path in files_of(tmp_path / "spool", ".lost"))
