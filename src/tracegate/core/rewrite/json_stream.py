"""How does a JSON body too big to hold, or still on its way, get its trace id?

Both streams take the body in pieces, copy through what they can, and give the same bytes for every way of cutting it.
After each call, ``fault`` tells whether the body can be finished: where it cannot, the reply has started, and is to end
without a clean end (clause E4).
"""

from __future__ import annotations

import codecs
from codecs import BOM_UTF8
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from tracegate.core.rewrite.json_grammar import BLANKS, Stop
from tracegate.core.rewrite.json_member import LONGEST_VALUE, Verdict, as_member, as_value, judge
from tracegate.core.rewrite.json_reader import JsonReader

if TYPE_CHECKING:
    from tracegate.core.trace_id import TraceId

__all__ = ["EnvelopeStream", "Fault", "ObjectSplicer", "opens_object"]

Fault = Literal["overwrite", "malformed"]

_MOST_BLANKS: Final = 1024
"""Bytes of white space held back with the last brace; where more follow, the object is taken to be all there is."""

_CLOSING: Final = frozenset({Stop.CLOSED, Stop.CLOSED_EMPTY})
_CAN_BEGIN: Final = b'{["-0123456789tfn'


def _without_lead(prefix: bytes) -> bytes:
    return prefix.removeprefix(BOM_UTF8).lstrip(BLANKS)


def _first_byte(prefix: bytes) -> bytes:
    """Return the first byte that counts, after byte order mark and blanks; none while it has not come."""
    return b"" if BOM_UTF8.startswith(prefix) else _without_lead(prefix)[:1]


def opens_object(prefix: bytes) -> bool | None:
    """Return whether a body that begins with *prefix* is for :class:`ObjectSplicer`, not for :class:`EnvelopeStream`.

    Returns:
        ``None`` while *prefix* does not tell: it is blank, or may become a byte order mark.

    Source: contract clause D5.
    """
    first = _first_byte(prefix)
    return first == b"{" if first else None


class ObjectSplicer:
    """Copies a JSON object through and gives it a top-level ``trace_id``, before its closing brace if it has none.

    Adds no line break. Holds back the value of a ``trace_id`` until it is judged (at most 770 bytes), and the closing
    brace with the blanks behind it (at most 1 KiB), so that nothing is added to what turns out to be no object.

    Args:
        trace: The bound trace.

    Attributes:
        fault: ``"overwrite"``: a ``trace_id`` is something else than the trace. ``"malformed"``: not a JSON object.
            Whichever stands first is found. ``None``: none so far.
        withheld: What has been fed and not given out, as it came. After a fault, what the application sent is what was
            given out, this, and what it sends from then on (but for a ``null`` that was filled): a caller that need not
            break off can go on with it.

    Source: contract clauses D1, D4, D5 and D6.
    """

    __slots__ = ("_ending", "_holding", "_named", "_reader", "_trace", "fault", "withheld")

    def __init__(self, trace: TraceId) -> None:
        self.fault: Fault | None = None
        self.withheld = b""
        self._trace = trace
        self._reader = JsonReader()
        self._holding = False
        self._named = False
        self._ending: bytes | None = None  # what to put before the closing brace, once that has come

    def feed(self, data: bytes) -> bytes:
        """Take the next piece of the body; return what can go out."""
        if self.fault is not None:
            return b""
        out: list[bytes] = []
        start = 0
        for position, stop in self._reader.read(data):
            end = position - 1 if stop in _CLOSING else position  # the brace is held
            piece, start = data[start:end], end
            if not (self._take(piece, out) and self._heed(stop, data[position : position + 1], out)):
                self.withheld += data[start:]
                break
        return b"".join(out)

    def finish(self) -> bytes:
        """Take the end of the body; return what is left to go out: the end of the object, or nothing after a fault."""
        if self.fault is None and self._ending is None:
            self.fault = "malformed"
        return self._release() if self.fault is None else b""

    def _take(self, piece: bytes, out: list[bytes]) -> bool:
        """Give out or hold back what has been read; return whether all is well."""
        if not self._holding:
            out.append(piece)
            return True
        self.withheld += piece
        if self._ending is None:
            return len(self.withheld) <= LONGEST_VALUE or self._fail("overwrite")
        if len(self.withheld) > _MOST_BLANKS:
            out.append(self._release())
        return True

    def _heed(self, stop: Stop, next_byte: bytes, out: list[bytes]) -> bool:
        """Do what is to be done where the reader has stopped; return whether all is well."""
        if stop is Stop.FAULT:
            return self._fail("malformed")
        if stop is Stop.VALUE:
            self._holding = next_byte in {b'"', b"n"}
            return self._holding or self._fail("overwrite")  # neither a string nor null
        if stop is Stop.VALUE_END:
            verdict = judge(self.withheld, self._trace)
            if verdict is Verdict.REFUSE:
                return self._fail("overwrite")
            out.append(self.withheld if verdict is Verdict.KEEP else as_value(self._trace))
            self.withheld, self._holding, self._named = b"", False, True
        elif stop in _CLOSING:
            comma = b"" if stop is Stop.CLOSED_EMPTY else b","
            self._ending = b"" if self._named else comma + as_member(self._trace)
            self._holding = True
        return True

    def _fail(self, fault: Fault) -> bool:
        self.fault = fault
        return False

    def _release(self) -> bytes:
        released = (self._ending or b"") + self.withheld
        self._ending, self.withheld, self._holding = b"", b"", False
        return released


class _Verbatim:
    """JSON text, as it is."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self._reader = JsonReader(inner=True)

    def feed(self, data: bytes) -> bytes:
        end, stop = next(self._reader.read(data))  # in an inner text it stops at a fault, and nowhere else
        if stop is Stop.FAULT:
            self.fault = "malformed"
        return data[:end]

    def finish(self) -> bytes:
        if not self._reader.complete:
            self.fault = "malformed"
        return b""


class _Text:
    """Any bytes, as a JSON string."""

    fault: Fault | None = None

    def __init__(self) -> None:
        self._opening = b'"'
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> bytes:
        opening, self._opening = self._opening, b""
        return opening + msgspec.json.encode(self._decoder.decode(data))[1:-1]

    def finish(self) -> bytes:
        return msgspec.json.encode(self._decoder.decode(b"", final=True))[1:]


class EnvelopeStream:
    """Puts a body that is not a JSON object under ``original``, the last member of the standard error object.

    JSON goes through byte for byte, without the byte order mark and the blanks before it. A body whose first byte that
    counts can begin no JSON becomes a JSON string of its text, with U+FFFD for what is not UTF-8; an empty one becomes
    the empty string. Holds back three bytes at most.

    Args:
        head: The envelope up to and with ``"original":``.
        tail: What closes the envelope.

    Attributes:
        fault: ``"malformed"``: what began as JSON does not go on as JSON. ``None``: none so far.

    Source: contract clauses D2 and D5.
    """

    __slots__ = ("_head", "_lead", "_tail", "_value", "fault")

    def __init__(self, head: bytes, tail: bytes) -> None:
        self.fault: Fault | None = None
        self._head = head
        self._tail = tail
        self._lead = b""
        self._value: _Verbatim | _Text | None = None

    def feed(self, data: bytes) -> bytes:
        """Take the next piece of the body; return what can go out."""
        head, self._head = self._head, b""
        if self._value is None:
            data = self._lead + data
            first = _first_byte(data)
            if not first:
                self._lead = data if BOM_UTF8.startswith(data) else b" "  # after a blank, a mark is text
                return head
            self._value = _Verbatim() if first in _CAN_BEGIN else _Text()
            data = _without_lead(data)
        out = head + self._value.feed(data)
        self.fault = self._value.fault
        return out

    def finish(self) -> bytes:
        """Take the end of the body; return what is left to go out, which is without the tail after a fault."""
        out = self._head
        if self._value is None:
            self._value = _Text()
            out += self._value.feed(_without_lead(self._lead))
        out += self._value.finish()
        self.fault = self._value.fault
        return out if self.fault else out + self._tail
