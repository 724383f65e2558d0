"""Where in these bytes is a JSON text complete, at fault, or at its top-level ``trace_id``?

The reader walks the table of :mod:`~tracegate.core.rewrite.json_grammar` byte by byte, for every way of cutting the
input, and keeps between two pieces one number and a stack of one byte per open container.

*Leaps* are its shortcuts and add nothing to the grammar: long stretches of it as regular expressions, so that C does
most of the walking. A state may have one for a byte; where it does not match, the table decides. Their groups repeat
greedily within a bound (of memory and of work done twice) and have one way to match (no search). Repeating a group
possessively would say that better, but matches wrongly before CPython 3.11.5 (gh-106052), and Debian 12 has 3.11.2.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Final

from tracegate.core.rewrite.json_grammar import BLANKS, FAULTY, MEMBER, MOVES, STATES, TABLE, Stop

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LEAD", "MAX_DEPTH", "JsonReader"]

MAX_DEPTH: Final = 1 << 20
"""Containers that may be open at a time. Deeper is a fault, which RFC 8259 section 9 allows: it bounds the stack to 1 MiB."""

LEAD: Final = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\n\r]*+")
"""What may precede the first byte that counts: a byte order mark, which stays where it is (section 8.1), and blanks."""

_BLANK: Final = rb"[ \t\n\r]*+"
_PLAIN: Final = rb"[#-\[\]-\xff !]"  # UTF-8 is checked apart; the likely range first
_ESCAPE: Final = rb'\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})'
_REST_OF_STRING: Final = _PLAIN + b'*+(?:"|(?:' + _ESCAPE + _PLAIN + b'*+){1,250}")'
_STRING: Final = b'"' + _REST_OF_STRING
_NUMBER: Final = rb"(?:-|)(?:[1-9][0-9]*+|0)(?:\.[0-9]++|)(?:[eE][+-]?[0-9]++|)(?=[ \t\n\r,\]}])"
_SCALAR: Final = b"(?:" + _STRING + b"|true|false|null|" + _NUMBER + b")"
_COMMA: Final = b"," + _BLANK
_MEMBER_NAME: Final = b"".join(
    b"(?:%c|\\\\u%s)" % (letter, b"".join(b"[%c%c]" % (digit, digit ^ 0x20) if digit > 0x39 else b"%c" % digit for digit in b"%04x" % letter))
    for letter in MEMBER
)
