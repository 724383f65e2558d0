"""What of an event can go out before it is whole, so that the trace can still go into its data?

The data is spliced while it passes. What the splicer withholds also holds back what follows: where no member may mark
the event after all, that goes out as it came. The splicer sees what a client does, U+FFFD for what is not UTF-8: where
that happens the data is not spliced, and still must not name another trace.

Source: contract clauses D1 and D6.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Final, final

from tracegate.core.rewrite.json_grammar import BLANKS
from tracegate.core.rewrite.json_stream import ObjectSplicer
from tracegate.core.rewrite.sse_event import JSON_RPC_NAME

if TYPE_CHECKING:
    from tracegate.core.rewrite.json_stream import Fault
    from tracegate.core.trace_id import TraceId

__all__ = ["LongData"]

_LONGEST_NAME: Final = 2 + 6 * len("jsonrpc")
_MOST_HELD: Final = 1 << 16
"""Bytes held behind the end of the object. Where more follow, the object is not marked."""


_MANY_BLANKS: Final = b" " * 512
_many_blanks: Final = re.compile(rb"([ \t]{512,})")


def _split_at_blanks(data: bytes) -> list[bytes]:
    """Return *data* in pieces, many blanks in a row in a piece of their own.

    Behind the end of an object there may be more of them than the splicer waits for, and then what makes it no object.
    """
    if data.replace(b"\t", b" ").find(_MANY_BLANKS) < 0:  # the usual case, for a hundredth of the cost
        return [data]
    return _many_blanks.split(data)


def _find_flaw(data: bytes, *, final: bool) -> int | None:
    """Return where *data* is no UTF-8, or None; what may become a character is none only where it is *final*."""
    try:
        codecs.utf_8_decode(data, "strict", final)
    except UnicodeDecodeError as flaw:
        return flaw.start
    return None


@final
class LongData:
    """Passes on one event in order: its data by :meth:`read`, what stands around the data by :meth:`pass_on`.

    Args:
        trace: The bound trace.
        may_splice: A member may carry the trace.

    Attributes:
        conflict: The data names another trace. It is not followed any longer.
    """

    __slots__ = ("_begun", "_behind", "_decoder", "_is_json_rpc", "_out", "_recent", "_splicer", "_splices", "conflict")

    def __init__(self, trace: TraceId, *, may_splice: bool) -> None:
        self._splicer: ObjectSplicer | None = ObjectSplicer(trace)  # None: nothing to look for
        self._splices = may_splice  # if not, the splicer only watches
        self._begun = False  # there was more than white space
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._is_json_rpc = False
        self._recent = b""  # the name jsonrpc may have begun in it
        self._behind = bytearray()  # what came after what the splicer withholds
        self._out: list[bytes] = []
        self.conflict = False

    def take(self) -> bytes:
        """Return what can go out now, once."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def pass_on(self, raw: bytes) -> None:
        """Send *raw* on as it is, after what came before."""
        if not self._withheld:
            self._out.append(raw)
            return
        self._behind += raw
        if len(self._behind) > _MOST_HELD:
            self._stop_splicing()

    def read(self, data: bytes) -> None:
        """Send the next piece of the data on, spliced where that is what becomes of it."""
        self._look_for_json_rpc(data)
        for piece in _split_at_blanks(data):
            text = piece.rstrip(BLANKS)
            if text and not self._may_be_object(text):
                self.give_up()
            self._feed(text)
            if self._is_closed and not self._unfinished:
                self.pass_on(piece[len(text) :])
            else:
                self._feed(piece[len(text) :])

    def end_line(self) -> None:
        """Take note that the line of data ends: a character that is not whole will not be."""
        self._feed(b"", final=True)

    def begin_line(self) -> None:
        """Take note that the data goes on in another line, where no member can be put in."""
        self._stop_splicing()
        if self._splicer is not None:
            self._splicer.feed(b"\n")
            self._heed(self._splicer.fault)

    def give_up(self) -> None:
        """Look no longer for an object, nor for what it says."""
        self._stop_splicing()
        self._splicer = None
        self._out.append(self._unfinished)
        self._decoder.reset()

    def end(self) -> bool:
        """Send everything on that was held; return whether a member carries the trace."""
        if self._splices and self._splicer is not None and not self._is_json_rpc:
            last = self._splicer.finish()
            if self._splicer.fault is None:
                self._out += last, bytes(self._behind)
                return True
        self._stop_splicing()
        return False

    @property
    def _unfinished(self) -> bytes:
        return self._decoder.getstate()[0]

    @property
    def _withheld(self) -> bytes:
        return self._splicer.withheld if self._splices and self._splicer is not None else b""

    @property
    def _is_closed(self) -> bool:
        return self._withheld.startswith(b"}")

    def _look_for_json_rpc(self, data: bytes) -> None:
        if self._splices and not self._is_json_rpc:
            window = self._recent + data
            self._recent = window[-_LONGEST_NAME:]
            self._is_json_rpc = JSON_RPC_NAME.search(window) is not None

    def _may_be_object(self, text: bytes) -> bool:
        if self._begun:
            return not self._is_closed
        self._begun = True
        return text.lstrip(BLANKS).startswith(b"{")

    def _feed(self, data: bytes, *, final: bool = False) -> None:
        held = self._unfinished
        flaw = _find_flaw(held + data, final=final) if self._splices else None
        if flaw is None:
            self._pass(data, final=final)
            return
        sound = max(flaw - len(held), 0)  # what stands before the flaw is spliced, however the stream is cut
        self._pass(data[:sound])
        self._stop_splicing()
        self._pass(data[sound:], final=final)

    def _pass(self, data: bytes, *, final: bool = False) -> None:
        if self._splicer is None:
            self._out.append(data)
            return
        whole = self._unfinished + data
        seen = self._decoder.decode(data, final).encode()
        spliced = self._splicer.feed(seen)
        self._out.append(spliced if self._splices else whole[: len(whole) - len(self._unfinished)])
        self._heed(self._splicer.fault)

    def _heed(self, fault: Fault | None) -> None:
        if fault is not None:
            self.conflict = fault == "overwrite"
            self.give_up()

    def _stop_splicing(self) -> None:
        self._out += self._withheld, bytes(self._behind)
        self._behind.clear()
        self._splices = False
