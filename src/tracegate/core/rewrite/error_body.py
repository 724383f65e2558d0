"""What leaves instead of an error JSON body? Clauses D1, D2 and D5.

The body is read whole, within the bound, so that its head can still say what it became. A body above the bound is
marked while it streams.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import TYPE_CHECKING

from tracegate.core.rewrite.encoded import decoder_for
from tracegate.core.rewrite.headers import coding_of, is_signed, rewritten
from tracegate.core.rewrite.json_body import Obstacle, original_value, splice
from tracegate.core.rewrite.json_stream import EnvelopeStream, ObjectSplicer, opens_object
from tracegate.core.rewrite.long_body import LongBody
from tracegate.core.rewrite.step import Fate, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracegate.core.head import Headers
    from tracegate.core.trace_id import TraceId

__all__ = ["ErrorBody"]

_ORIGINAL = b',"original":'


class ErrorBody:
    """One error JSON body on its way out.

    Args:
        trace: The bound trace's id.
        headers: The application's header lines.
        limit: The bound, in decoded bytes.
        envelope: Returns the standard error object for D2, encoded, and its media type.
        keep: Whether another trace is delivered (``on_conflict``, mode ``observe``).
        keep_signed: Whether a signed body is delivered unmarked.
        observes: Whether a body that cannot be read is delivered as it is (B4).
    """

    __slots__ = (
        *("_envelope", "_headers", "_keep", "_keep_signed", "_limit", "_long"),
        *("_observes", "_pieces", "_size", "_trace"),
    )

    def __init__(  # noqa: PLR0913 - all of it is decided before the first byte
        self,
        trace: TraceId,
        headers: Headers,
        limit: int,
        envelope: Callable[[], tuple[bytes, bytes]],
        *,
        keep: bool,
        keep_signed: bool,
        observes: bool = False,
    ) -> None:
        self._trace = trace
        self._headers = headers
        self._limit = limit
        self._envelope = envelope
        self._keep = keep
        self._keep_signed = keep_signed
        self._observes = observes
        self._pieces: list[bytes] = []
        self._size = 0
        self._long: LongBody | None = None

    @property
    def unsent(self) -> bytes:
        """What was read and has not left."""
        return b"".join(self._pieces)

    def feed(self, data: bytes, *, more: bool) -> Step:
        """Take a piece of the body, the last one unless *more*."""
        if self._long is not None:
            return self._long.feed(data, more=more)
        self._pieces.append(data)
        self._size += len(data)
        if self._size > self._limit:
            return self._outgrow(more=more)
        return Step() if more else self._settle(self.unsent)

    def _settle(self, raw: bytes) -> Step:
        """Return the reply, now that its body is whole."""
        coding = coding_of(self._headers)
        body = _decoded(raw, coding, self._limit) if coding else raw
        if body is None:
            return Step(raw, self._headers, Fate.END, kept=True) if self._observes else Step(fate=Fate.UNREADABLE)
        marked = splice(body, self._trace)
        if marked is body:
            return Step(raw, self._headers, Fate.END)
        refused = marked is Obstacle.OVERWRITE
        if refused or is_signed(self._headers):
            keep = self._keep if refused else self._keep_signed
            return Step(raw, self._headers, Fate.END, kept=True) if keep else Step(fate=Fate.OVERWRITE)
        media_type = None
        if isinstance(marked, Obstacle):
            envelope, media_type = self._envelope()
            marked = envelope[:-1] + _ORIGINAL + original_value(body, marked) + b"}"
        lines = rewritten(self._headers, length=len(marked), decoded=bool(coding), media_type=media_type)
        return Step(marked, lines, Fate.END)

    def _outgrow(self, *, more: bool) -> Step:
        """Start to stream what outgrew the bound; its first byte that is not blank decides how."""
        signed, coded = is_signed(self._headers), bool(coding_of(self._headers))
        if (signed and self._keep_signed) or (coded and self._observes):
            self._long = LongBody(None, keep=True, lenient=True)
            return self._begin(self._headers, more=more)._replace(kept=True)
        if signed:
            return Step(fate=Fate.OVERWRITE)
        if coded:
            return Step(fate=Fate.UNREADABLE)  # a bomb, for all we know
        is_object = opens_object(self.unsent)
        if is_object is None and more:
            self._pieces = [_first_of(self.unsent)]  # white space before a value says nothing
            return Step()
        if is_object:
            self._long = LongBody(ObjectSplicer(self._trace), keep=self._keep)
            return self._begin(rewritten(self._headers, length=None), more=more)
        envelope, media_type = self._envelope()
        self._long = LongBody(EnvelopeStream(envelope[:-1] + _ORIGINAL, b"}"), keep=self._keep)
        return self._begin(rewritten(self._headers, length=None, media_type=media_type), more=more)

    def _begin(self, headers: Headers, *, more: bool) -> Step:
        assert self._long is not None  # noqa: S101 - the callers made it
        start, self._pieces = self.unsent, []
        return self._long.feed(start, more=more)._replace(headers=headers)


def _first_of(blank: bytes) -> bytes:
    """Return what tells of the start of a body that has been *blank* so far: a byte order mark, or one blank."""
    mark = blank[: len(BOM_UTF8)]
    return mark if BOM_UTF8.startswith(mark) else blank[:1]


def _decoded(raw: bytes, coding: bytes, limit: int) -> bytes | None:
    """Return the body without its coding, or None where it cannot be read within *limit* bytes (D5)."""
    decoder = decoder_for(coding)
    if decoder is None:
        return None
    pieces: list[bytes] = []
    for piece in decoder.feed(raw):
        pieces.append(piece)
        limit -= len(piece)
        if limit < 0:
            return None
    decoder.finish()
    return None if decoder.fault else b"".join(pieces)
