"""Which bytes of a file does a message name?"""

from __future__ import annotations

import fcntl
import os
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracegate.adapters.asgi_file import read_path, read_range

CONTENT = b"0123456789"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a file of ten digits."""
    file = tmp_path / "digits"
    file.write_bytes(CONTENT)
    return file


@pytest.fixture
def descriptor(path: Path) -> Iterator[int]:
    """Return a descriptor of a file of ten digits."""
    opened = os.open(path, os.O_RDONLY)
    yield opened
    os.close(opened)


@pytest.mark.contract("D3")
def test_a_path_stands_for_the_whole_file(path: Path) -> None:
    """Given as text, as ASGI has it."""
    assert read_path({"type": "http.response.pathsend", "path": str(path)}) == CONTENT


@pytest.mark.contract("D3")
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, CONTENT),
        ({"offset": None, "count": None}, CONTENT),
        ({"offset": 0}, CONTENT),
        ({"offset": 4}, b"456789"),
        ({"count": 3}, b"012"),
        ({"offset": 8, "count": 1}, b"8"),
        ({"offset": 8, "count": 99}, b"89"),
        ({"offset": 99}, b""),
        ({"count": 0}, b""),
    ],
)
def test_offset_and_count_bound_the_range(descriptor: int, given: dict[str, int | None], expected: bytes) -> None:
    """Without an offset a file just opened is read from its first byte, without a count to its last."""
    assert read_range({"file": descriptor, **given}) == expected


@pytest.mark.contract("D3")
def test_without_an_offset_a_range_begins_where_the_file_stands(descriptor: int) -> None:
    """So messages one after the other read it one after the other; with one, from the file's beginning each time."""
    assert [read_range({"file": descriptor, "count": 4}) for _ in range(3)] == [b"0123", b"4567", b"89"]
    for offset, expected in ((1, b"1234"), (0, b"0123")):
        found = [read_range({"file": descriptor, "count": 4, "offset": offset}) for _ in range(2)]
        assert found == [expected] * 2


@pytest.mark.contract("D3")
@pytest.mark.parametrize("count", [None, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, 3 << 16])
def test_a_large_range_is_read_whole_and_not_a_byte_further(tmp_path: Path, count: int | None) -> None:
    """In as many pieces as it takes."""
    file = tmp_path / "large"
    content = bytes(range(256)) * (1 << 10)
    file.write_bytes(content)
    opened = os.open(file, os.O_RDONLY)
    try:
        assert read_range({"file": opened, "count": count}) == content[:count]
        assert os.lseek(opened, 0, os.SEEK_CUR) == len(content[:count])
    finally:
        os.close(opened)


@pytest.mark.contract("D3")
@pytest.mark.parametrize("count", [5, None])
def test_a_pipe_is_read_as_it_comes(count: int | None) -> None:
    """It hands out less than it is asked for; what matters is the count, or its end."""
    reader, writer = os.pipe()

    def write() -> None:
        os.write(writer, b"01")
        while int.from_bytes(fcntl.ioctl(reader, termios.FIONREAD, b"\0" * 4), sys.byteorder):  # not taken yet
            time.sleep(0)
        os.write(writer, b"234")
        os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert read_range({"file": reader, "count": count}) == b"01234"
    finally:
        thread.join()
        os.close(reader)


@pytest.mark.contract("C4", "D3")
def test_what_cannot_be_read_is_the_applications_fault(path: Path) -> None:
    """It is told so by an OSError."""
    with pytest.raises(FileNotFoundError):
        read_path({"path": f"{path}.missing"})
    closed = os.open(path, os.O_RDONLY)
    os.close(closed)
    with pytest.raises(OSError, match="Bad file descriptor"):
        read_range({"file": closed, "offset": 0})
