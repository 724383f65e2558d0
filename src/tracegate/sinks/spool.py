"""Where do events wait while the store is away? On the local disk, in order, until the store has taken them."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from typing import TYPE_CHECKING

from tracegate.errors import StoreError
from tracegate.sinks.fork import begin_anew_after_fork
from tracegate.sinks.refused import give
from tracegate.sinks.segment import Segment, disk_errors, opened, replace_file, sync_directory
from tracegate.sinks.wire import Reading, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tracegate.core.events import Event

__all__ = ["Spool"]

_log = logging.getLogger("tracegate.sinks")

_EVENTS = ".events"
_DAMAGED = ".damaged"
_REFUSED = ".refused"
_LOST = ".lost"
_DIGITS = 20
_OURS = re.compile(r"\d{20}-\d+-[0-9a-f]{8}\.(events|damaged|refused|\d+\.lost)")
_SEGMENT_BYTES = 1 << 20
"""From this size on a file gets no more events: a replay that is killed starts again with the file it was at."""
_BATCH = 1_000


class Spool:
    """Keeps events on the disk, for this process and after it (contract clause F3).

    Any number of processes share one directory, and each writes files of its own, named by time, process and chance.
    Any of them replays all: a file of a process that is gone, or at work, is like one's own. Each process's events are
    in order. Files of other names are not touched. Safe for threads, and for a fork at any moment.

    Args:
        directory: Where; made, for its owner only, when the first event needs it. On a local disk.
        max_bytes: How much all files together may hold. Processes that append at the same moment may exceed it by one
            append each.
    """

    def __init__(self, directory: Path, *, max_bytes: int = 64 << 20) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._segment: Segment | None = None
        self._mark: Path | None = None
        begin_anew_after_fork(self)

    def append(self, events: Sequence[Event]) -> None:
        """Write *events* to the disk; when this returns they survive the process and the power.

        Raises:
            StoreError: The spool is full, or the disk does not take them. Nothing of *events* is promised then; some
                may be found by a replay all the same, where the disk failed in the middle.
        """
        if not events:
            return
        data = encode(events)
        with self._lock, disk_errors("written"):
            self._check_room(len(data))
            try:
                self._append(data)
            except OSError:
                self._close()  # whatever stands at its end now, nothing is written after it
                raise

    def replay(self, take: Callable[[Sequence[Event]], object]) -> int:
        """Give every event to *take*, the oldest first, and forget it when *take* has returned.

        Files that another process is replaying at this moment, or appending to, are left to the next call. An event may
        be given again when this process ends in between: *take* recognises it by its id. An event that it refuses for
        good (:func:`~tracegate.sinks.refused.is_final`) holds up none behind it: it is set aside, in a file of its own.

        Args:
            take: Keeps up to 1,000 events of one file. What else it raises ends the replay, and comes out; what was not
                taken stays.

        Returns:
            How many events were taken or set aside.

        Raises:
            StoreError: A file cannot be read or removed.
        """
        given = 0
        for entry in self._files(_EVENTS):
            path = self._directory / entry.name
            with opened(path) as data:
                if data is None:
                    continue
                reading = decode(data)
                refused: list[Event] = []
                for start in range(0, len(reading.events), _BATCH):
                    refused += give(take, reading.events[start : start + _BATCH])
                _set_aside(path, refused)
                given += len(reading.events)
                _finish(path, reading)
        return given

    def pending(self) -> int:
        """Return how many events wait, in the files of all processes.

        Raises:
            StoreError: The directory cannot be read.
        """
        return sum(_count(self._directory / entry.name) for entry in self._files(_EVENTS))

    def refused(self) -> int:
        """Return how many events were set aside, because the store refuses them for good: a person has to look at them.

        Raises:
            StoreError: The directory cannot be read.
        """
        return sum(_count(self._directory / entry.name) for entry in self._files(_REFUSED))

    def lost(self) -> int:
        """Return how many events processes have marked as lost, until a person has dealt with the marks.

        Raises:
            StoreError: The directory cannot be read.
        """
        return sum(int(entry.name.split(".")[1]) for entry in self._files(_LOST))

    def mark_lost(self, count: int) -> None:
        """Leave a mark that *count* more events of this process were recorded nowhere.

        It is the name of an empty file: a disk without room for an event mostly has room for that.

        Raises:
            StoreError: The disk does not take it either.
        """
        with self._lock, disk_errors("written"):
            if self._mark is not None and self._mark.exists():
                total = count + int(self._mark.name.split(".")[1])
                self._mark = self._mark.rename(self._mark.with_suffix("").with_suffix(f".{total}{_LOST}"))
            else:
                mark = self._new_path(f".{count}{_LOST}")
                mark.touch(mode=0o600, exist_ok=False)
                self._mark = mark
            sync_directory(self._directory)

    def damaged(self) -> int:
        """Return how many files were set aside, because a part of them could not be read: a person has to look at them.

        Raises:
            StoreError: The directory cannot be read.
        """
        return len(self._files(_DAMAGED))

    def begin_anew(self) -> None:
        """Forget, in a forked child, what is the parent's."""
        self._lock = threading.Lock()
        self._mark = None
        self._close()

    def _append(self, data: bytes) -> None:
        size = None
        while size is None:
            if self._segment is None:
                self._segment = Segment(self._new_path(_EVENTS))
            size = self._segment.append(data)
            if size is None or size >= _SEGMENT_BYTES:
                self._close()

    def _new_path(self, suffix: str) -> Path:
        if not self._directory.exists():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(self._directory.parent)
        # A clock that was set back must not put new events before old ones.
        newest = max((int(entry.name[:_DIGITS]) for entry in self._files(_EVENTS)), default=0)
        number = max(time.time_ns(), newest + 1)
        return self._directory / f"{number:0{_DIGITS}}-{os.getpid()}-{os.urandom(4).hex()}{suffix}"

    def _check_room(self, wanted: int) -> None:
        if wanted + sum(_size(entry) for entry in self._files("")) > self._max_bytes:
            raise StoreError("the spool is full")

    def _files(self, suffix: str) -> list[os.DirEntry[str]]:
        """Return the spool's own files that end so, the oldest first."""
        with disk_errors("listed"):
            try:
                with os.scandir(self._directory) as entries:
                    ours = [entry for entry in entries if _OURS.fullmatch(entry.name) and entry.name.endswith(suffix)]
            except FileNotFoundError:
                return []
            return sorted((entry for entry in ours if entry.is_file(follow_symlinks=False)), key=_name)

    def _close(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.close()


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:  # replayed since it was listed
        return 0


def _count(path: Path) -> int:
    with disk_errors("read"):
        try:
            return path.read_bytes().count(b"\n")
        except FileNotFoundError:
            return 0


def _set_aside(path: Path, refused: Sequence[Event]) -> None:
    """Keep what the store refuses of a file; the same file again, where the replay of it begins again."""
    if not refused:
        return
    for event in refused:
        _log.error(
            "an event is refused for good, and set aside: %s %s %s %s",
            event.id, event.kind, event.trace_id, event.message,
        )  # fmt: skip
    with disk_errors("written"):
        replace_file(path.with_suffix(_REFUSED), encode(refused))


def _finish(path: Path, reading: Reading) -> None:
    """Remove a file whose events were all taken; set it aside if it says more than could be read."""
    if reading.torn_bytes:
        _log.warning("%s ends in %d bytes of an event that was never acknowledged", path.name, reading.torn_bytes)
    with disk_errors("cleared"):
        if reading.damaged:
            _log.error("%s has %d damaged lines, and is set aside as *%s", path.name, reading.damaged, _DAMAGED)
            path.rename(path.with_suffix(_DAMAGED))
        else:
            path.unlink()
