"""Which byte may follow which in a JSON text, and what does it begin or end?

One deterministic automaton for RFC 8259 and UTF-8 together, as a table: per state a row of 256 numbers. A number below
``FAULTY`` is the next state; the others are *moves* (:data:`MOVES`), which also touch the stack, or stop the reader.
The top of the stack is always the state that follows the key or value under way: nothing recurses.

The outermost object has states of its own (``top …``), because one of its names is looked for. The automaton itself
compares that name, unescaped, letter by letter (``name 0`` … ``name 8``): no key is ever held, however long it is.

Source: RFC 8259 sections 2 to 8; RFC 3629 section 4.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Generic, NamedTuple, TypeVar

__all__ = ["BLANKS", "FAULTY", "MEMBER", "MOVES", "STATES", "TABLE", "Move", "Stop"]

MEMBER: Final = b"trace_id"
"""The name of the top-level member that is looked for; none of its letters has an escape shorter than ``\\u0074``."""

BLANKS: Final = b" \t\n\r"


State = TypeVar("State", str, int)


class Stop(Enum):
    """Why a reader came back."""

    MORE = "the data ended first"
    VALUE = "here begins the value of a top-level trace_id"
    VALUE_END = "here that value has ended"
    CLOSED = "the byte before closed the top-level object"
    CLOSED_EMPTY = "the same, and the object has no members"
    FAULT = "no JSON text goes on with this byte"


class Move(NamedTuple, Generic[State]):
    """What a byte does besides, or instead of, choosing a state.

    Attributes:
        to: The next state; ``None``: the one on top of the stack, after the changes to it.
        drops: The top of the stack goes.
        adds: The state that is then put on the stack, if any.
        consumes: The byte belongs to what came before; if not, the next state sees it again.
        stop: Why the reader comes back; ``None``: it goes on.
    """

    to: State | None = None
    drops: bool = False
    adds: State | None = None
    consumes: bool = True
    stop: Stop | None = None


_Rules = dict[bytes, str | Move[str]]


def _span(first: int, last: int) -> bytes:
    return bytes(range(first, last + 1))


_DIGITS: Final = b"0123456789"
_HEX: Final = b"0123456789abcdefABCDEF"
_FAULT: Final = Move("faulty", consumes=False, stop=Stop.FAULT)
_CLOSE: Final = Move[str](drops=True)
_ENDS_HERE: Final = Move[str]()
_ENDED_BEFORE: Final[_Rules] = {BLANKS + b",]}": Move(consumes=False)}

_VALUE: Final[_Rules] = {
    b'"': "string",
    b"{": Move("first member", adds="after member"),
    b"[": Move("first element", adds="after element"),
    b"-": "minus",
    b"0": "zero",
    b"123456789": "integer",
    b"t": "t",
    b"f": "f",
    b"n": "n",
}
_ROOT: Final[_Rules] = {**_VALUE, BLANKS: "root", b"{": Move("top first", adds="top after")}
_KEY: Final[_Rules] = {b'"': Move("string", drops=True, adds="colon")}
_TOP_KEY: Final[_Rules] = {b'"': Move("name 0", drops=True, adds="top colon")}

_STRING: Final[_Rules] = {
    b" !" + _span(0x23, 0x5B) + _span(0x5D, 0x7F): "string",
    b"\\": "escape",
    b'"': _ENDS_HERE,
    _span(0xC2, 0xDF): "tail 1",
    b"\xe0": "tail e0",
    _span(0xE1, 0xEC) + b"\xee\xef": "tail 2",
    b"\xed": "tail ed",
    b"\xf0": "tail f0",
    b"\xf1\xf2\xf3": "tail 3",
    b"\xf4": "tail f4",
}
_ESCAPE: Final[dict[str, _Rules]] = {
    "escape": {b'"\\/bfnrt': "string", b"u": "hex 4"},
    "hex 4": {_HEX: "hex 3"},
    "hex 3": {_HEX: "hex 2"},
    "hex 2": {_HEX: "hex 1"},
    "hex 1": {_HEX: "string"},
}


def _literal(word: str) -> dict[str, _Rules]:
    """Return the states ``t``, ``tr``, ``tru``: what has been read of *word*."""
    read = [word[:i] for i in range(1, len(word))]
    steps: list[str | Move[str]] = [*read[1:], _ENDS_HERE]
    return {state: {letter.encode(): step} for state, letter, step in zip(read, word[1:], steps, strict=True)}


def _name() -> dict[str, _Rules]:
    r"""Return the states of a top-level key: after ``name 5``, ``trace``; after ``name 5 hex 1``, ``trace\u005``.

    Any other character leads where it leads in every string.
    """
    rules: dict[str, _Rules] = {f"name {len(MEMBER)}": {**_STRING, b'"': "named colon"}}
    for i, letter in enumerate(MEMBER):
        rules[f"name {i}"] = {**_STRING, bytes([letter]): f"name {i + 1}", b"\\": f"name {i} escape"}
        expected = [b"u", *((digit + digit.upper()).encode() for digit in f"{letter:04x}")]
        goals = [*(f"name {i} {part}" for part in list(_ESCAPE)[1:]), f"name {i + 1}"]
        for part, characters, goal in zip(_ESCAPE, expected, goals, strict=True):
            rules[f"name {i} {part}"] = {**_ESCAPE[part], characters: goal}
    return rules


_RULES: Final[dict[str, _Rules]] = {
    "start": {**_ROOT, b"\xef": "mark 1"},  # a byte order mark: RFC 8259 section 8.1 lets a reader ignore it
    "mark 1": {b"\xbb": "mark 2"},
    "mark 2": {b"\xbf": "root"},
    "root": _ROOT,
    "end": {BLANKS: "end"},
    "value": {**_VALUE, BLANKS: "value"},
    "first element": {**_VALUE, BLANKS: "first element", b"]": _CLOSE},
    "after element": {BLANKS: "after element", b",": "value", b"]": _CLOSE},
    "first member": {**_KEY, BLANKS: "first member", b"}": _CLOSE},
    "next member": {**_KEY, BLANKS: "next member"},
    "colon": {BLANKS: "colon", b":": Move("value", drops=True, adds="after member")},
    "after member": {BLANKS: "after member", b",": "next member", b"}": _CLOSE},
    "top first": {**_TOP_KEY, BLANKS: "top first", b"}": Move(drops=True, stop=Stop.CLOSED_EMPTY)},
    "top next": {**_TOP_KEY, BLANKS: "top next"},
    "top colon": {BLANKS: "top colon", b":": Move("value", drops=True, adds="top after")},
    "top after": {BLANKS: "top after", b",": "top next", b"}": Move(drops=True, stop=Stop.CLOSED)},
    **_name(),
    "named colon": {BLANKS: "named colon", b":": "named value"},
    "named value": {
        b"".join(_VALUE): Move("value", drops=True, adds="named after", consumes=False, stop=Stop.VALUE),
        BLANKS: "named value",
    },
    "named after": {_span(0x00, 0xFF): Move(drops=True, adds="top after", consumes=False, stop=Stop.VALUE_END)},
    "string": _STRING,
    **_ESCAPE,
    "tail 1": {_span(0x80, 0xBF): "string"},
    "tail 2": {_span(0x80, 0xBF): "tail 1"},
    "tail 3": {_span(0x80, 0xBF): "tail 2"},
    "tail e0": {_span(0xA0, 0xBF): "tail 1"},  # not overlong
    "tail ed": {_span(0x80, 0x9F): "tail 1"},  # not a surrogate
    "tail f0": {_span(0x90, 0xBF): "tail 2"},  # not overlong
    "tail f4": {_span(0x80, 0x8F): "tail 2"},  # not beyond U+10FFFF
    "minus": {b"0": "zero", b"123456789": "integer"},
    "zero": {**_ENDED_BEFORE, b".": "point", b"eE": "e"},
    "integer": {**_ENDED_BEFORE, _DIGITS: "integer", b".": "point", b"eE": "e"},
    "point": {_DIGITS: "fraction"},
    "fraction": {**_ENDED_BEFORE, _DIGITS: "fraction", b"eE": "e"},
    "e": {b"+-": "sign", _DIGITS: "exponent"},
    "sign": {_DIGITS: "exponent"},
    "exponent": {**_ENDED_BEFORE, _DIGITS: "exponent"},
    **_literal("true"),
    **_literal("false"),
    **_literal("null"),
    "faulty": {},
}

STATES: Final[dict[str, int]] = {name: number for number, name in enumerate(_RULES)}
FAULTY: Final = len(_RULES)
"""The lowest number that is a move, and the move that every byte makes which no rule allows."""


def _number(state: str | None) -> int | None:
    return None if state is None else STATES[state]


def _compiled() -> tuple[tuple[bytes, ...], tuple[Move[int], ...]]:
    moves = {_FAULT: FAULTY}
    table: list[bytes] = []
    for rules in _RULES.values():
        row = bytearray([FAULTY]) * 256
        for characters, step in rules.items():
            number = STATES[step] if isinstance(step, str) else moves.setdefault(step, FAULTY + len(moves))
            for character in characters:
                row[character] = number
        table.append(bytes(row))
    return tuple(table), tuple(Move(_number(m.to), m.drops, _number(m.adds), m.consumes, m.stop) for m in moves)


TABLE, MOVES = _compiled()
"""``TABLE[state][byte]`` is a state or a move; ``MOVES[number - FAULTY]`` is that move."""
