"""How does every event of a ``text/event-stream`` get the trace, however the stream is cut?"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from tracegate.core.rewrite.sse_event import EventMarker
from tracegate.core.rewrite.sse_long_event import LongEvent
from tracegate.core.rewrite.sse_units import UnitSplitter

if TYPE_CHECKING:
    from tracegate.core.rewrite.sse_event import Carrier
    from tracegate.core.trace_id import TraceId

__all__ = ["SseRewriter"]


@final
class SseRewriter:
    """Puts the trace on every event of one stream: ``feed`` each chunk, then ``finish``.

    What comes out does not depend on how the stream is cut, and an event comes out of the very call that completes it.
    Linear in bytes. At most one unfinished block is held, of *max_event_bytes* and what one chunk adds.

    Args:
        trace: The bound trace.
        carrier: ``auto``: a member where the data is one JSON object, else a field line; ``field``: always the line.
        max_event_bytes: A longer block is not held; it is handed out while it comes in.
        keep: An event that names another trace is delivered as it is (clause C3, ``on_conflict="keep"``).

    Attributes:
        overwrite: An event names another trace. It is withheld (of a long one, the rest), and so is what follows.

    Source: contract clauses D6 and D7.
    """

    __slots__ = ("_long", "_marker", "_max_event_bytes", "_simple", "_units", "overwrite")

    def __init__(
        self, trace: TraceId, *, carrier: Carrier = "auto", max_event_bytes: int = 1 << 20, keep: bool = False
    ) -> None:
        self._units = UnitSplitter()
        self._marker = EventMarker(trace, carrier, keep=keep)
        self._max_event_bytes = max_event_bytes
        self._long: LongEvent | None = None
        self._simple = False  # the next chunk may be one simple event: no unit is under way
        self.overwrite = False

    @property
    def events(self) -> int:
        """How many events carried the trace when they were handed out."""
        return self._marker.events

    @property
    def kept(self) -> int:
        """How many events that name another trace were delivered."""
        return self._marker.kept

    @property
    def at_boundary(self) -> bool:
        """Whether nothing of an unfinished block was handed out, so that an event of the caller's own can follow."""
        return self._long is None or not self._long.handed_out

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes of the stream; return what goes out now.

        Everything before an event that names another trace is returned, and :attr:`overwrite` is set.
        """
        if self._simple and len(chunk) <= self._max_event_bytes:
            marked = self._marker.mark_simple(chunk)
            if marked is not None:
                return marked
        if self.overwrite:
            return b""
        out: list[bytes] = []
        for unit in self._units.split(chunk):
            marked = self._mark(unit)
            if marked is None:
                return self._refuse(out)
            out.append(marked)
        if self._long is not None or self._units.held > self._max_event_bytes:
            marked = self._mark_part()
            if marked is None:
                return self._refuse(out)
            out.append(marked)
        self._simple = self._units.idle
        return b"".join(out)

    def finish(self) -> bytes:
        """Return what is held, unchanged: the stream has ended within a block, which no client dispatches."""
        if self.overwrite:
            return b""
        rest = self._units.take_all()
        return rest if self._long is None else self._long.abandon() + rest

    def _mark(self, unit: bytes) -> bytes | None:
        # A last LF may have come too late to be counted: where the stream is cut must not matter.
        if self._long is None and len(unit) - unit.endswith(b"\r\n") > self._max_event_bytes:
            self._long = LongEvent(self._marker)
        if self._long is None:
            return self._marker.mark(unit)
        marked = self._long.end(unit)
        if marked is not None:
            self._long = None
        return marked

    def _mark_part(self) -> bytes | None:
        if self._long is None:
            self._long = LongEvent(self._marker)
        return self._long.feed(self._units.take())

    def _refuse(self, out: list[bytes]) -> bytes:
        self.overwrite = True
        self._simple = False
        return b"".join(out)
