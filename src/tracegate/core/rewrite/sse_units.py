"""Where does each unit of an event stream end?

A unit is what can be marked and sent on by itself: the leading BOM, blank lines, a comment line where no field stands
before it, or a block (lines, up to and with the first blank one). A line end counts as soon as its CR is there. An LF
that comes later is then a unit of its own, as a blank line is: nobody waits for it, and it is not lost.

Source: WHATWG HTML 9.2.5.
"""

from __future__ import annotations

import re
from typing import Final, final

__all__ = ["UnitSplitter"]

_BOM: Final = b"\xef\xbb\xbf"
_LINE_ENDS: Final = re.compile(rb"[\r\n]+")
_COMMENT_END: Final = re.compile(rb"[\r\n]")
_BLOCK_END: Final = re.compile(rb"\n\n|\n\r\n?|\r\r\n?")  # neighbours, the second of which ends a blank line
_UNIT_ENDS: Final = {ord("\r"): _LINE_ENDS, ord("\n"): _LINE_ENDS, ord(":"): _COMMENT_END}


@final
class UnitSplitter:
    """Cuts one stream into units, and holds the one under way. Looks at each byte once, for every way of cutting."""

    __slots__ = ("_at_start", "_end", "_has_cr", "_held", "_scanned")

    def __init__(self) -> None:
        self._at_start = True
        self._held = bytearray()  # of the unit under way, what take() has not handed over
        self._scanned = 0  # the unit does not end before this place in it
        self._end: re.Pattern[bytes] | None = None  # how the unit under way ends; None: none has begun

    @property
    def held(self) -> int:
        """How many bytes of the unit under way are held; what may become a BOM is not one yet."""
        return 0 if self._end is None else len(self._held)

    @property
    def idle(self) -> bool:
        """Whether the next byte begins a unit, and not the stream."""
        return self._end is None and not self._at_start

    def split(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes; return the units that they complete, in order."""
        buffer: bytes | bytearray = chunk
        if self._held:
            self._held += chunk
            buffer = self._held
        units: list[bytes] = []
        begin = 0
        self._has_cr = buffer.find(b"\r", self._scanned) >= 0
        while begin < len(buffer) and (end := self._find_end(buffer, begin)):
            units.append(bytes(buffer[begin:end]))
            begin = end
        if buffer is self._held:
            del self._held[:begin]
        elif begin < len(chunk):
            self._held += chunk[begin:]
        self._scanned = max(len(self._held) - 1, 0)
        return units

    def take(self) -> bytes:
        """Hand over what is held, but for a line end at its end: a blank line may follow, and end the unit."""
        size = len(self._held.rstrip(b"\r\n"))
        part = bytes(self._held[:size])
        del self._held[:size]
        self._scanned = 0
        return part

    def take_all(self) -> bytes:
        """Hand over everything that is held."""
        rest = bytes(self._held)
        self._held.clear()
        return rest

    def _find_end(self, buffer: bytes | bytearray, begin: int) -> int:
        if self._end is None:
            if self._at_start:
                if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                    return 0
                self._at_start = False
                if buffer.startswith(_BOM):
                    return len(_BOM)
            self._end = _UNIT_ENDS.get(buffer[begin], _BLOCK_END)
        start = max(begin, self._scanned)
        if self._end is _BLOCK_END and not self._has_cr:
            at = buffer.find(b"\n\n", start)  # the same, ten times faster
            end = at + 2 if at >= 0 else 0
        else:
            found = self._end.search(buffer, start)
            end = found.end() if found else 0
        if end:
            self._end = None
        return end
