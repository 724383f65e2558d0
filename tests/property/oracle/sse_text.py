"""What does a WHATWG client read from an event stream, line by line?

Source: WHATWG HTML, 9.2.5 and 9.2.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Block", "Event", "Line", "Reading", "read", "split"]

BOM = b"\xef\xbb\xbf"
_LINE = re.compile(rb"([^\r\n]*)(\r\n|\r|\n)")


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its field name, its value, and the bytes it was sent in."""

    text: bytes
    ending: bytes

    @property
    def name(self) -> bytes:
        return self.text.partition(b":")[0]

    @property
    def value(self) -> bytes:
        value = self.text.partition(b":")[2]
        return value[1:] if value.startswith(b" ") else value


@dataclass(frozen=True, slots=True)
class Block:
    """The lines up to and with an empty one."""

    lines: tuple[Line, ...]

    @property
    def is_event(self) -> bool:
        """Whether a client dispatches it: at least one data line."""
        return any(line.name == b"data" for line in self.lines)

    @property
    def data(self) -> bytes:
        return b"\n".join(line.value for line in self.lines if line.name == b"data")

    @property
    def raw(self) -> bytes:
        return b"".join(line.text + line.ending for line in self.lines)


@dataclass(frozen=True, slots=True)
class Event:
    """What a client dispatches."""

    event: str
    data: str
    id: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything a client takes from a stream."""

    events: tuple[Event, ...]
    retries: tuple[int, ...]
    comments: tuple[str, ...]
    last_event_id: str


def split(stream: bytes) -> tuple[bytes, tuple[Block, ...], bytes]:
    """Return the byte order mark, the blocks, and the bytes after the last block."""
    mark = BOM if stream.startswith(BOM) else b""
    at = kept = len(mark)
    blocks: list[Block] = []
    lines: list[Line] = []
    while match := _LINE.match(stream, at):
        at = match.end()
        lines.append(Line(match[1], match[2]))
        if not match[1]:
            blocks.append(Block(tuple(lines)))
            lines, kept = [], at
    return mark, tuple(blocks), stream[kept:]


def read(stream: bytes) -> Reading:
    """Read a whole *stream*; a block without its empty line is not dispatched."""
    _, blocks, rest = split(stream)
    events: list[Event] = []
    retries: list[int] = []
    comments: list[str] = []
    last_id = pending_id = ""
    for lines, dispatched in (*((block.lines, True) for block in blocks), (tuple(_lines(rest)), False)):
        kind, data = "", list[str]()
        for line in lines:
            value = line.value.decode(errors="replace")
            if line.text.startswith(b":"):
                comments.append(line.text[1:].decode(errors="replace"))
            elif line.name == b"data":
                data.append(value)
            elif line.name == b"event":
                kind = value
            elif line.name == b"id" and "\0" not in value:
                pending_id = value
            elif line.name == b"retry" and re.fullmatch("[0-9]+", value):
                retries.append(int(value))
        last_id = pending_id if dispatched else last_id
        if data and dispatched:
            events.append(Event(kind or "message", "\n".join(data), last_id))
    return Reading(tuple(events), tuple(retries), tuple(comments), last_id)


def _lines(rest: bytes) -> Iterator[Line]:
    for match in _LINE.finditer(rest):
        yield Line(match[1], match[2])
