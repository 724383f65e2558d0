"""How does a reply's head look in native strings, and does it need a look at all?"""

from __future__ import annotations

import re
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from tracegate.core.head import RECURRING, Headers, reason_phrase
from tracegate.core.rewrite.choose import is_bodiless

if TYPE_CHECKING:
    from tracegate.core.terms import Terms

__all__ = ["NativeHeaders", "PlainHeads", "byte_lines", "native_lines", "status_line", "status_of"]

NativeHeaders = list[tuple[str, str]]
"""Header lines as PEP 3333 wants them: native strings of latin-1."""

_STATUS_LINE = re.compile(r"([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_REMEMBERED_LINES = 2048
_REMEMBERED_CHARACTERS = 128
_NO_LENGTH, _REMARKABLE = -1, -2
_SUCCESSES = {
    f"{status} {status.phrase}": not is_bodiless("GET", status)
    for status in HTTPStatus
    if 200 <= status < 400  # noqa: PLR2004 - the classes of success and redirection
}
"""Whether a reply has a body, by its status line."""


class PlainHeads:
    """Tells the heads that need the trace header and nothing else, without turning them into bytes.

    What the core finds in a line that recurs is remembered, in a bounded dictionary.

    Args:
        terms: The gate's.
    """

    __slots__ = ("_known", "_reader", "_statuses")

    def __init__(self, terms: Terms) -> None:
        self._reader = terms.heads
        self._statuses = _SUCCESSES if terms.plain else {}
        self._known: dict[tuple[str, str], int] = {}

    def length_of(self, status: str, headers: NativeHeaders) -> int | None:
        """Return the declared length of the body (-1: none) where a head needs no look, else None."""
        has_body, length = self._statuses.get(status), _NO_LENGTH
        if has_body is None or type(headers) is not list:
            return None
        known = self._known
        try:
            for line in headers:
                found = known.get(line)
                if found is None:
                    found = self._look(line)
                if found != _NO_LENGTH:
                    if found < 0 or length >= 0:
                        return None
                    length = found
        except TypeError:  # a line that is no pair of strings
            return None
        return length if has_body else _NO_LENGTH

    def _look(self, line: tuple[str, str]) -> int:
        """Return the length that a line declares, or one of the two marks; remember it where it recurs."""
        length = self._reader.glance(byte_lines([line]))
        if length is None:
            return _REMARKABLE
        short = len(line[1]) <= _REMEMBERED_CHARACTERS and len(self._known) < _REMEMBERED_LINES
        if short and line[0].lower().encode("ascii") in RECURRING:
            self._known[line] = length
        return length


def status_line(status: int) -> str:
    """Return the status line of a reply of the gate's own."""
    return f"{status} {reason_phrase(status)}"


@lru_cache(maxsize=512)
def status_of(line: object) -> int:
    """Return the status of a status line, or 0 where it is none; servers do without a reason (RFC 9112, section 4)."""
    found = _STATUS_LINE.fullmatch(line) if isinstance(line, str) else None
    return int(found[1]) if found else 0


def native_lines(lines: Headers) -> NativeHeaders:
    """Return *lines* as native strings."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in lines]


def byte_lines(headers: NativeHeaders) -> Headers:
    """Return *headers* as bytes; where that cannot be, a line that no server would send (C10)."""
    try:
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    except (AttributeError, TypeError, ValueError):
        return [(b"", b"")]
