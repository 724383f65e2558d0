"""How does an event get the trace that is too long to be held?

Source: contract clause D6; WHATWG HTML 9.2.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tracegate.core.rewrite.sse_event import Claim, read_field, split_blank
from tracegate.core.rewrite.sse_long_data import LongData

if TYPE_CHECKING:
    from tracegate.core.rewrite.sse_event import EventMarker

__all__ = ["LongEvent"]

_LONGEST_NAME: Final = len(b"trace_id: ")
_LONGEST_CLAIM: Final = 256


@final
class LongEvent:
    """One block (or comment) that is handed out while it comes in: ``feed`` its parts, then ``end`` it.

    Both return ``None`` where it is found to name another trace; nothing can follow then.

    Args:
        marker: Marks the events of the stream.

    Attributes:
        handed_out: Some of the block was given out.
    """

    __slots__ = ("_claim", "_claims", "_data", "_ending", "_field", "_head", "_kept", "_lines", "_marker", "handed_out")

    def __init__(self, marker: EventMarker) -> None:
        self._marker = marker
        self._data = LongData(marker.trace, may_splice=marker.carrier == "auto")
        self._head = b""  # of the line under way, while its field is not known
        self._field: bytes | None = None
        self._lines = 0  # of data
        self._claim = b""  # of the trace_id line under way
        self._claims: set[Claim] = set()
        self._ending = b""  # of the line before
        self._kept = False
        self.handed_out = False

    def feed(self, part: bytes) -> bytes | None:
        """Take the next part of the block, which cuts no line end; return what can go out."""
        for line in part.splitlines(keepends=True):
            text = line.rstrip(b"\r\n")
            if text:
                self._go_on(text)
            if len(text) < len(line):
                self._end_line(line[len(text) :])
            if self._conflicts():
                if not self._marker.keep:
                    return None
                self._kept = True
        return self._take()

    def end(self, part: bytes) -> bytes | None:
        """Take the last part, up to and with the blank line; return the rest of the block, with the trace in it."""
        fields, blank = split_blank(part)
        out = self.feed(fields)
        if out is None:
            return None
        if self._field is not None or self._head:
            self._end_line(b"")  # a comment's: it is no block
        if self._marks():
            self._data.pass_on(self._marker.line + self._ending)
        self._data.pass_on(blank)
        return out + self._take()

    def abandon(self) -> bytes:
        """Return what is held, unchanged."""
        self._data.give_up()
        self._data.pass_on(self._head)
        return self._take()

    def _go_on(self, text: bytes) -> None:
        if self._field is None:
            self._head += text
            if len(self._head) >= _LONGEST_NAME:
                self._begin_value()
        elif self._field == b"data":
            self._data.read(text)
        else:
            if self._field == b"trace_id" and len(self._claim) <= _LONGEST_CLAIM:
                self._claim += text[: _LONGEST_CLAIM + 1]
            self._data.pass_on(text)

    def _begin_value(self) -> None:
        head, self._head = self._head, b""
        self._field, value = read_field(head)
        if self._field == b"data":
            self._lines += 1
            if self._lines > 1:
                self._data.begin_line()
        self._data.pass_on(head[: len(head) - len(value)])
        if value:
            self._go_on(value)

    def _end_line(self, ending: bytes) -> None:
        if self._field is None:
            self._begin_value()
        if self._field == b"trace_id":
            named = len(self._claim) <= _LONGEST_CLAIM
            self._claims.add(self._marker.claim(self._claim) if named else Claim.OTHER)
            self._claim = b""
        elif self._field == b"data":
            self._data.end_line()
        self._data.pass_on(ending)
        self._ending = ending
        self._field = None

    def _conflicts(self) -> bool:
        return self._lines > 0 and not self._kept and (self._data.conflict or Claim.OTHER in self._claims)

    def _marks(self) -> bool:
        """Count the event and send its data on; return whether the trace still has to be put into a line."""
        if self._kept:
            self._marker.kept += 1
        elif self._lines:
            self._marker.events += 1
            if Claim.OURS not in self._claims:
                return not self._data.end() or Claim.NONE in self._claims
        self._data.give_up()
        return False

    def _take(self) -> bytes:
        out = self._data.take()
        self.handed_out = self.handed_out or out != b""
        return out
