"""Who may touch one file of the spool? Whoever holds its lock, for one append or one replay, and nobody else.

The lock is the kernel's (``flock``), so it ends with its process, however that ends. A file that was replayed is gone:
who waited for its lock looks whether the file still has its name.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tracegate.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ["Segment", "disk_errors", "opened", "replace_file", "sync_directory"]

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW


class Segment:
    """The file that one process appends to.

    Args:
        path: A name that does not exist yet; its directory does.

    Raises:
        OSError: The file cannot be made.
    """

    __slots__ = ("_descriptor", "_path")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            sync_directory(path.parent)
        except OSError:
            self._undo(0)
            self.close()
            raise

    def append(self, data: bytes) -> int | None:
        """Write *data*, all of it, to the disk.

        Returns:
            How many bytes the file has now; None where nothing was written, because the file is being replayed, or was.

        Raises:
            OSError: The disk did not take it. What it took is cut off again, and an empty file removed, where the disk
                lets that happen; where not, nothing may be written after it: close the segment.
        """
        try:
            if not _lock(self._descriptor, self._path):
                return None
            size = os.fstat(self._descriptor).st_size
            try:
                _write(self._descriptor, data)
                os.fsync(self._descriptor)
            except OSError:
                self._undo(size)
                raise
            return size + len(data)
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the descriptor back. Not the lock: in a forked child it is the parent's."""
        os.close(self._descriptor)

    def _undo(self, size: int) -> None:
        with suppress(OSError):
            os.ftruncate(self._descriptor, size)
            if size == 0:
                self._path.unlink()  # or a full disk would fill with empty files


@contextmanager
def opened(path: Path) -> Generator[bytes | None]:
    """Hold the file's lock, and give its content; None where another one holds it, or the file is gone.

    Raises:
        StoreError: The file cannot be read.
    """
    with disk_errors("read"):
        try:
            descriptor = os.open(path, _FLAGS | os.O_RDONLY)
        except FileNotFoundError:
            descriptor = None
    if descriptor is None:
        yield None
        return
    try:
        with disk_errors("read"):
            data = _read(descriptor) if _lock(descriptor, path) else None
        yield data
    finally:
        # A child forked meanwhile has the descriptor too: only closing it here would leave the lock with the child.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


@contextmanager
def disk_errors(verb: str) -> Generator[None]:
    """Turn what the disk says into a :class:`~tracegate.errors.StoreError`, which names no path."""
    try:
        yield
    except StoreError:
        raise
    except OSError as failure:
        raise StoreError(f"the spool cannot be {verb}: {failure.strerror}") from failure


def replace_file(path: Path, data: bytes) -> None:
    """Have *path* hold *data*, on the disk; whatever it held before.

    Raises:
        OSError: The disk says no. The file may hold a part of *data* then.
    """
    descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    try:
        _write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in *directory* survive a power cut.

    Raises:
        OSError: The disk says no.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except (BlockingIOError, FileNotFoundError):
        return False


def _read(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        return file.read()


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
