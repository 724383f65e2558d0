"""How far can these bytes be the beginning of a JSON text, and what stands in its outermost object?

A recursive descent over characters, written from the text of RFC 8259: no table, no regular expression, no pieces.
It runs off the end (``unfinished``) or stops at the first byte with which no text can go on (``fault``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Member", "Reading", "read_prefix"]

_BLANK = b" \t\n\r"
_MARK = b"\xef\xbb\xbf"
_SHORT = dict(zip('"\\/bfnrt', '"\\/\b\f\n\r\t', strict=True))
_CODE_POINTS = {2: [(0x80, 0x7FF)], 3: [(0x800, 0xD7FF), (0xE000, 0xFFFF)], 4: [(0x10000, 0x10FFFF)]}


@dataclass
class Member:
    """A member of the outermost object; ``-1`` stands where its value has not begun, or not ended."""

    name: str
    start: int = -1
    end: int = -1


@dataclass
class Reading:
    """What a text turned out to be: ``end`` says why the reading ended, ``at`` where."""

    end: str = "complete"
    at: int = 0
    kind: str = ""
    members: list[Member] = field(default_factory=list)
    brace: int = -1
    closing_brace: int = -1


class _UnfinishedError(Exception):
    pass


class _FaultError(Exception):
    pass


class _Text:
    def __init__(self, data: bytes, *, inner: bool) -> None:
        self.data = data
        self.at = 0
        self.depth = 1 if inner else 0
        self.reading = Reading()

    def peek(self) -> int:
        if self.at == len(self.data):
            raise _UnfinishedError
        return self.data[self.at]

    def take(self, allowed: bytes) -> str:
        byte = self.peek()
        if byte not in allowed:
            raise _FaultError
        self.at += 1
        return chr(byte)

    def word(self, word: bytes) -> None:
        for letter in word:
            self.take(bytes([letter]))

    def end(self) -> None:
        if self.at < len(self.data):
            raise _FaultError

    def blanks(self) -> None:
        while self.at < len(self.data) and self.data[self.at] in _BLANK:
            self.at += 1

    def value(self) -> str:
        byte = self.peek()
        for first, kind, read in (
            (b'"', "string", self.string),
            (b"{", "object", self.object),
            (b"[", "array", self.array),
            (b"-0123456789", "number", self.number),
        ):
            if byte in first:
                read()
                return kind
        for word in (b"true", b"false"):
            if byte == word[0]:
                self.word(word)
                return "literal"
        self.word(b"null")
        return "literal"

    def object(self) -> None:
        self.depth += 1
        if self.depth == 1:
            self.reading.brace = self.at
        self.take(b"{")
        self.blanks()
        while self.peek() != ord("}"):
            member = Member(self.string())
            if self.depth == 1:
                self.reading.members.append(member)
            self.blanks()
            self.take(b":")
            self.blanks()
            member.start = self.at
            self.value()
            member.end = self.at
            self.blanks()
            if self.peek() != ord("}"):
                self.take(b",")
                self.blanks()
                if self.peek() == ord("}"):
                    raise _FaultError
        if self.depth == 1:
            self.reading.closing_brace = self.at
        self.take(b"}")
        self.depth -= 1

    def array(self) -> None:
        self.depth += 1000
        self.take(b"[")
        self.blanks()
        while self.peek() != ord("]"):
            self.value()
            self.blanks()
            if self.peek() != ord("]"):
                self.take(b",")
                self.blanks()
                if self.peek() == ord("]"):
                    raise _FaultError
        self.take(b"]")
        self.depth -= 1000

    def number(self) -> None:
        if self.peek() == ord("-"):
            self.take(b"-")
        if self.take(b"0123456789") != "0":
            self.digits(0)
        if self.next_is(b"."):
            self.take(b".")
            self.digits(1)
        if self.next_is(b"eE"):
            self.take(b"eE")
            if self.peek() in b"+-":
                self.take(b"+-")
            self.digits(1)

    def next_is(self, bytes_: bytes) -> bool:
        return self.at < len(self.data) and self.data[self.at] in bytes_

    def digits(self, least: int) -> None:
        for _ in range(least):
            self.take(b"0123456789")
        while self.next_is(b"0123456789"):
            self.at += 1

    def string(self) -> str:
        units: list[int] = []
        self.take(b'"')
        while (byte := self.peek()) != ord('"'):
            if byte == ord("\\"):
                self.take(b"\\")
                units.append(self.escape())
            else:
                units += [ord(c) for c in self.character()]
        self.take(b'"')
        return "".join(map(chr, units))

    def escape(self) -> int:
        letter = self.take(b'"\\/bfnrtu')
        if letter != "u":
            return ord(_SHORT[letter])
        return int("".join(self.take(b"0123456789abcdefABCDEF") for _ in range(4)), 16)

    def character(self) -> str:
        """Read one UTF-8 character: at each byte, a code point of that length must still be within reach."""
        first = self.peek()
        if first < 0x80:
            return self.take(bytes(range(0x20, 0x80)))
        length = 2 if first >> 5 == 0b110 else 3 if first >> 4 == 0b1110 else 4 if first >> 3 == 0b11110 else 0
        if not length:
            raise _FaultError
        value = first & (0x7F >> length)
        for missing in range(length - 1, -1, -1):
            low = value << 6 * missing
            high = low + (1 << 6 * missing) - 1
            if all(high < least or low > most for least, most in _CODE_POINTS[length]):
                raise _FaultError
            self.at += 1
            if missing:
                if self.peek() >> 6 != 0b10:
                    raise _FaultError
                value = value << 6 | self.peek() & 0x3F
        return chr(value)


def read_prefix(data: bytes, *, inner: bool = False) -> Reading:
    """Read *data* from its start; an *inner* text is a value inside another one, without a byte order mark."""
    text = _Text(data, inner=inner)
    try:
        if not inner and data[:1] == _MARK[:1]:
            text.word(_MARK)
        text.blanks()
        text.reading.kind = text.value()
        text.blanks()
        text.end()
    except _UnfinishedError:
        text.reading.end = "unfinished"
    except _FaultError:
        text.reading.end = "fault"
    text.reading.at = text.at
    return text.reading
