"""Where in these bytes is a JSON text complete, at fault, or at its top-level ``trace_id``?

The reader walks the table of :mod:`~tracegate.core.rewrite.json_grammar` byte by byte, for every way of cutting the
input, and keeps between two pieces one number and a stack of one byte per open container.

*Leaps* are its shortcuts and add nothing to the grammar: long stretches of it as regular expressions, so that C does
most of the walking. A state may have one for a byte; where it does not match, the table decides. Their groups repeat
greedily within a bound (of memory, and of work done twice) and have one way to match (no search). Repeating a group
possessively would say that better, but matches wrongly before CPython 3.11.5 (gh-106052), and Debian 12 has 3.11.2.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Final

from tracegate.core.rewrite.json_grammar import BLANKS, FAULTY, MEMBER, MOVES, STATES, TABLE, Stop

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_DEPTH", "JsonReader"]

MAX_DEPTH: Final = 1 << 20
"""Containers open at a time. Deeper is a fault, as RFC 8259 section 9 allows: the stack is never larger than 1 MiB."""
_HIGHEST_STACK: Final = MAX_DEPTH + 1  # its bottom is no container

_WINDOW: Final = 1 << 16
"""Bytes checked for UTF-8 at a time: checking makes a ``str`` of them, for a moment."""

_BLANK: Final = rb"[ \t\n\r]*+"
_PLAIN: Final = rb"[#-\[\]-\xff !]"  # UTF-8 is checked apart; the likeliest range comes first
_ESCAPE: Final = rb'\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})'
_REST_OF_STRING: Final = _PLAIN + b'*+(?:"|(?:' + _ESCAPE + _PLAIN + b'*+){1,250}")'
_NUMBER: Final = rb"(?:-|)(?:[1-9][0-9]*+|0)(?:\.[0-9]++|)(?:[eE][+-]?[0-9]++|)(?=[ \t\n\r,\]}])"
_SCALAR: Final = b'"' + _REST_OF_STRING + b"|true|false|null|" + _NUMBER
_COMMA: Final = b"," + _BLANK
# After a comma comes no closer: the look-ahead lets one group do for the first element and the others.
_ARRAY: Final = rb"\[" + _BLANK + b"(?:(?:" + _SCALAR + b")" + _BLANK + b"(?:" + _COMMA + rb"(?!\])|(?=\]))){0,250}\]"
_SHALLOW: Final = b"(?:" + _SCALAR + b"|" + _ARRAY + b")"
_NAME: Final = b"".join(rb"(?:%c|\\u(?i:%04x))" % (letter, letter) for letter in MEMBER)

# A run may begin with the comma after what stands before it: the byte that a leap is for says whether it does.
# Which group took part says where it ends: the first, after a value; the second, before one; none, where it began.
_LAST: Final = b"(?:" + _SHALLOW + _BLANK + b"()|())"
_ELEMENTS: Final = _COMMA + b"(?:" + _SHALLOW + _BLANK + _COMMA + b"){0,250}" + _LAST


def _members(key: bytes) -> bytes:
    key += _BLANK + b":" + _BLANK
    return b"(?:" + _COMMA + b"|)(?:" + key + _SHALLOW + _BLANK + _COMMA + b"){0,250}" + key + _LAST


_MEMBERS: Final = _members(b'"' + _REST_OF_STRING)
_TOP_MEMBERS: Final = _members(b'"(?!' + _NAME + b'")' + _REST_OF_STRING)

_BETWEEN_TOKENS: Final = [name for name, number in STATES.items() if TABLE[number][ord("\n")] == number]
_DIGITS: Final = b"0123456789"
_IN_STRING: Final = bytes(set(range(0x20, 0x100)) - {ord('"')})

_PLACES: Final[list[tuple[bytes, dict[bytes, list[str]]]]] = [
    (b"[ \t\n\r]++", {BLANKS: _BETWEEN_TOKENS}),
    (b"(?:" + _PLAIN + b"++|" + _ESCAPE + b"){1,250}", {_IN_STRING: ["string"]}),
    (b"[0-9]++", {_DIGITS: ["integer", "fraction", "exponent"]}),
    (b"(?:" + _SCALAR + b")()", {b'"-tfn' + _DIGITS: ["value", "first element"]}),
    (_ELEMENTS, {b",": ["after element"]}),
    (_MEMBERS, {b'"': ["first member", "next member"], b",": ["after member"]}),
    (_TOP_MEMBERS, {b'"': ["top first", "top next"], b",": ["top after"]}),
]
"""The leaps: over what, at which bytes, from which states."""

_FIRST_LEAP: Final = FAULTY + len(MOVES)
_LEAPS: Final = [re.compile(pattern).match for pattern, _ in _PLACES]


def _with_leaps() -> tuple[bytes, ...]:
    rows = [bytearray(row) for row in TABLE]
    for leap, (_, places) in enumerate(_PLACES, _FIRST_LEAP):
        for first_bytes, states in places.items():
            for state in states:
                for byte in first_bytes:
                    rows[STATES[state]][byte] = leap
    return tuple(bytes(row) for row in rows)


_ROUTES: Final = _with_leaps()
_START, _VALUE, _END, _FAULTY = (STATES[name] for name in ("start", "value", "end", "faulty"))
_CAN_END: Final = frozenset(STATES[name] for name in ("end", "zero", "integer", "fraction", "exponent"))


def _sound(data: bytes, start: int) -> int:
    """Return up to where, within a window, *data* is whole UTF-8 characters from *start* on."""
    try:
        _, length = codecs.utf_8_decode(data[start : start + _WINDOW], "strict", False)  # noqa: FBT003 - takes no keywords
    except UnicodeDecodeError as flaw:
        length = flaw.start
    return start + length


class JsonReader:
    """Reads one JSON text, in pieces, and tells what it comes by. Work is linear in bytes; nothing recurses.

    Args:
        inner: The text is a value inside another one: no byte order mark, and a ``trace_id`` in it is not top-level.

    Source: RFC 8259; RFC 3629.
    """

    __slots__ = ("_stack", "_state")

    def __init__(self, *, inner: bool = False) -> None:
        self._state = _VALUE if inner else _START
        self._stack = bytearray([_END])

    @property
    def complete(self) -> bool:
        """What has been read is one whole JSON text (a number may still go on)."""
        return len(self._stack) == 1 and self._state in _CAN_END

    def read(self, data: bytes) -> Iterator[tuple[int, Stop]]:  # noqa: C901 - the hot loop: calls would double its cost
        """Read the next piece of the text.

        Yields:
            Pairs of a position in *data* and what is there. The last one is ``(len(data), Stop.MORE)`` or, at the first
            byte with which no JSON text can go on, ``Stop.FAULT``; every later call gives ``(0, Stop.FAULT)`` at once.
        """
        state, stack = self._state, self._stack
        position, size = 0, len(data)
        sound = size if data.isascii() else 0
        while position < size:
            step = _ROUTES[state][data[position]]
            if step >= _FIRST_LEAP:
                if position >= sound:
                    sound = _sound(data, position)
                leap = _LEAPS[step - _FIRST_LEAP](data, position, sound)
                if leap is not None:
                    position = leap.end()
                    if leap.lastindex is not None:
                        state = stack[-1] if leap.lastindex == 1 else _VALUE
                    continue
                step = TABLE[state][data[position]]
            if step < FAULTY:
                state = step
                position += 1
                continue
            to, drops, adds, consumes, stop = MOVES[step - FAULTY]
            if drops:
                stack.pop()
            if adds is not None:
                stack.append(adds)
                if len(stack) > _HIGHEST_STACK:
                    to = _FAULTY
            state = stack[-1] if to is None else to
            position += consumes
            if stop is not None:
                self._state = state
                yield position, stop
                if stop is Stop.FAULT:
                    return
        self._state = state
        yield position, Stop.MORE
