"""Is this text RFC 8259 JSON, and which members stand at its top level?

A reader of its own: no recursion, raw slices instead of values, duplicates kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

__all__ = ["Document", "Kind", "Member", "NotJsonError", "find", "read", "text_of"]

Kind: TypeAlias = Literal["object", "array", "string", "number", "literal"]

_SPACE = re.compile(rb"[ \t\n\r]*")
_TOKEN = re.compile(
    rb"[{}\[\],:]|true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
    rb'|"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"'
)
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_SHORT = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class NotJsonError(ValueError):
    """The text is not JSON."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the top-level object; offsets are into the text."""

    name: str
    key_start: int
    value_start: int
    value_end: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON text: the kind of its value, where the value stands, and an object's members."""

    kind: Kind
    start: int
    end: int
    members: tuple[Member, ...] = ()


def text_of(string: bytes) -> str:
    """Return the characters that the JSON *string* (quotes included) stands for; lone surrogates stay."""

    def replace(match: re.Match[str]) -> str:
        return chr(int(match[1], 16)) if match[1] else _SHORT[match[2]]

    plain = _ESCAPE.sub(replace, string[1:-1].decode())
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def read(text: bytes) -> Document:
    """Read the whole *text*.

    Raises:
        NotJsonError: The text is not one JSON value in UTF-8, with nothing but white space around it.
    """
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise NotJsonError from error
    reader = _Reader(text)
    for start, end in _tokens(text):
        reader.take(start, end)
    return reader.document()


@lru_cache(maxsize=64)
def find(text: bytes) -> Document | None:
    """Return what :func:`read` does, or None: judges ask for the same few texts again and again."""
    try:
        return read(text)
    except NotJsonError:
        return None


def _tokens(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each token starts and ends."""
    at = 0
    while True:
        match = _SPACE.match(text, at)
        at = match.end() if match else at
        if at == len(text):
            return
        token = _TOKEN.match(text, at)
        if token is None:
            raise NotJsonError(at)
        yield at, token.end()
        at = token.end()


class _Reader:
    """A push-down automaton over tokens; the stack holds the opening brackets."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.stack: list[bytes] = []
        self.awaited = "value"
        self.members: list[Member] = []
        self.top: tuple[Kind, int, int] | None = None
        self.name, self.key_start, self.value_start = "", 0, 0

    def document(self) -> Document:
        if self.top is None or self.awaited != "end":
            message = "the text ends too early"
            raise NotJsonError(message)
        return Document(*self.top, tuple(self.members))

    def take(self, start: int, end: int) -> None:
        """Take one token; an unexpected one raises NotJsonError."""
        token = self.text[start:end]
        first = token[:1]
        if first in (b"}", b"]"):
            self._close(token, end)
        elif first == b"," and self.awaited == "comma or close":
            self.awaited = "key" if self.stack[-1] == b"{" else "value"
        elif first == b":" and self.awaited == "colon":
            self.awaited = "value"
        elif first == b'"' and self.awaited in ("key", "key or close"):
            if len(self.stack) == 1:
                self.name, self.key_start = text_of(token), start
            self.awaited = "colon"
        elif self.awaited in ("value", "value or close") and first not in (b",", b":"):
            self._begin(first, start, end)
        else:
            raise NotJsonError(start)

    def _begin(self, first: bytes, start: int, end: int) -> None:
        if len(self.stack) == (1 if self.stack[:1] == [b"{"] else 0):
            self.value_start = start
        if first in (b"{", b"["):
            self.stack.append(first)
            self.awaited = "key or close" if first == b"{" else "value or close"
            if len(self.stack) == 1:
                self.top = ("object" if first == b"{" else "array", start, -1)
        else:
            kind: Kind = "string" if first == b'"' else "literal" if first in (b"t", b"f", b"n") else "number"
            self._end(kind, end, start)

    def _close(self, token: bytes, end: int) -> None:
        allowed = ("comma or close", "key or close" if token == b"}" else "value or close")
        if not self.stack or self.awaited not in allowed or self.stack[-1] != {b"}": b"{", b"]": b"["}[token]:
            raise NotJsonError(end)
        self.stack.pop()
        self._end("object" if token == b"}" else "array", end, self.top[1] if self.top else 0)

    def _end(self, kind: Kind, end: int, start: int) -> None:
        """A value has ended."""
        if not self.stack:
            self.top = (kind, start, end)
            self.awaited = "end"
            return
        if self.stack == [b"{"]:
            self.members.append(Member(self.name, self.key_start, self.value_start, end, kind))
        self.awaited = "comma or close"
