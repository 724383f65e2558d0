"""What does a WHATWG client see in an event stream, byte after byte? A state machine for the tests alone.

The standard decodes the stream as UTF-8 with replacement first. That neither makes nor takes away a CR, LF, colon or
space, so this reader works on bytes, and keeps in its events what was sent.

Source: WHATWG HTML 9.2.5 (Parsing an event stream) and 9.2.6 (Interpreting an event stream).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["Dispatched", "SseReader", "read"]

_PLAIN = re.compile(rb"[^\r\n]*")


@dataclass(frozen=True, slots=True)
class Dispatched:
    """One event, as a client gets it, and the fields of its block that the standard does not name."""

    event: bytes
    data: bytes
    last_event_id: bytes
    unknown: tuple[tuple[bytes, bytes], ...]


class _State(Enum):
    MARK = auto()  # at the start of the stream, within what may be a byte order mark
    LINE = auto()  # at the start of a line
    AFTER_CR = auto()  # the same, but an LF would belong to the line before
    COMMENT = auto()
    NAME = auto()
    AFTER_COLON = auto()
    VALUE = auto()


class SseReader:
    """Reads one stream, in any pieces.

    Attributes:
        events: What was dispatched.
        comments: The comments, in order.
        retries: The reconnection times, in order.
        last_event_id: What a reconnection would send.
    """

    def __init__(self) -> None:
        self.events: list[Dispatched] = []
        self.comments: list[bytes] = []
        self.retries: list[int] = []
        self.last_event_id = b""
        self._state = _State.MARK
        self._mark = bytearray()
        self._name = bytearray()
        self._value = bytearray()
        self._data = bytearray()
        self._event = b""
        self._id = b""
        self._unknown: list[tuple[bytes, bytes]] = []
        self._fields = 0

    @property
    def in_block(self) -> bool:
        """Whether a field line, or a part of a line, has come since the last blank line."""
        return self._fields > 0 or self._state not in (_State.LINE, _State.AFTER_CR)

    def feed(self, data: bytes) -> None:
        """Read the next bytes."""
        at = 0
        while at < len(data):
            self._read(data[at : at + 1])
            at += 1
            if self._state in (_State.COMMENT, _State.VALUE):  # nothing but a line end counts: the short way there
                plain = _PLAIN.match(data, at)
                assert plain is not None
                self._value += plain[0]
                at = plain.end()

    def _read(self, c: bytes) -> None:
        if self._state is _State.MARK:
            self._read_mark(c)
        elif self._state is _State.AFTER_CR:
            self._state = _State.LINE
            if c != b"\n":
                self._read(c)
        elif c in (b"\r", b"\n"):
            self._end_line()
            self._state = _State.AFTER_CR if c == b"\r" else _State.LINE
        else:
            self._read_line(c)

    def _read_mark(self, c: bytes) -> None:
        self._mark += c
        if self._mark == b"\xef\xbb\xbf":
            self._state = _State.LINE
        elif not b"\xef\xbb\xbf".startswith(self._mark):
            self._state = _State.LINE
            self.feed(bytes(self._mark))

    def _read_line(self, c: bytes) -> None:
        if self._state is _State.LINE:
            self._state = _State.COMMENT if c == b":" else _State.NAME
            self._name += c
        elif self._state is _State.NAME and c == b":":
            self._state = _State.AFTER_COLON
        elif self._state is _State.NAME:
            self._name += c
        elif self._state is _State.AFTER_COLON:
            self._state = _State.VALUE
            self._value += b"" if c == b" " else c
        else:
            self._value += c

    def _end_line(self) -> None:
        name, value = bytes(self._name), bytes(self._value)
        self._name.clear()
        self._value.clear()
        if self._state is _State.LINE:
            self._dispatch()
        elif self._state is _State.COMMENT:
            self.comments.append(value)
        else:
            self._fields += 1
            self._field(name, value)

    def _field(self, name: bytes, value: bytes) -> None:
        if name == b"event":
            self._event = value
        elif name == b"data":
            self._data += value + b"\n"
        elif name == b"id":
            if b"\0" not in value:
                self._id = value
        elif name == b"retry":
            if value.isdigit():
                self.retries.append(int(value))
        else:
            self._unknown.append((name, value))

    def _dispatch(self) -> None:
        self.last_event_id = self._id
        if self._data:
            self.events.append(
                Dispatched(self._event or b"message", bytes(self._data[:-1]), self._id, tuple(self._unknown))
            )
        self._data.clear()
        self._event = b""
        self._unknown = []
        self._fields = 0


def read(stream: bytes) -> SseReader:
    """Return the reader of a whole *stream*."""
    reader = SseReader()
    reader.feed(stream)
    return reader
