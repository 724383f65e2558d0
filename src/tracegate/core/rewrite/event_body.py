"""How does an event stream leave, whatever its content coding? Clauses D5 and D6."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tracegate.core.rewrite.encoded import decoder_for
from tracegate.core.rewrite.sse import SseRewriter
from tracegate.core.rewrite.step import Fate, Step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracegate.core.rewrite.encoded import Decoder
    from tracegate.core.trace_id import TraceId

__all__ = ["EventBody"]


class EventBody:
    """The line machine behind an optional decoder.

    Args:
        machine: Marks the events.
        decoder: Removes the content coding, or None.
    """

    __slots__ = ("_decoder", "_machine")

    def __init__(self, machine: SseRewriter, decoder: Decoder | None) -> None:
        self._machine = machine
        self._decoder = decoder

    @classmethod
    def of(
        cls, trace: TraceId, coding: bytes, *, carrier: Literal["auto", "field"], limit: int, keep: bool
    ) -> EventBody | None:
        """Return the body for a stream, or None where its coding is unknown."""
        decoder = decoder_for(coding) if coding else None
        if coding and decoder is None:
            return None
        return cls(SseRewriter(trace, carrier=carrier, max_event_bytes=limit, keep=keep), decoder)

    @property
    def at_boundary(self) -> bool:
        """Whether an event of our own may follow: no part of an unfinished block has left."""
        return self._machine.at_boundary

    def feed(self, data: bytes, *, more: bool) -> Step:
        """Take a piece of the stream, the last one unless *more*."""
        machine = self._machine
        kept = machine.kept
        out = machine.feed(data) if self._decoder is None else b"".join(map(machine.feed, self._plain(data, more=more)))
        if machine.overwrite:
            return Step(out, fate=Fate.OVERWRITE)
        if self._decoder is not None and self._decoder.fault:
            return Step(out, fate=Fate.BROKEN, kept=machine.kept > kept)
        return Step(out, fate=Fate.MORE if more else Fate.END, kept=machine.kept > kept)

    def rest(self) -> bytes:
        """Return what is held of an unfinished block, once the end is certain to be a clean one."""
        return self._machine.finish()

    def _plain(self, data: bytes, *, more: bool) -> Iterable[bytes]:
        assert self._decoder is not None  # noqa: S101 - the caller looked
        yield from self._decoder.feed(data)
        if not more:
            self._decoder.finish()
