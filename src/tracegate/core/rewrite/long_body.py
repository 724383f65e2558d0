"""How does a JSON body leave that is marked while it streams? Clauses D4 and D5."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracegate.core.rewrite.json_stream import EnvelopeStream, ObjectSplicer, opens_object
from tracegate.core.rewrite.step import Fate, Step

if TYPE_CHECKING:
    from tracegate.core.head import Headers
    from tracegate.core.trace_id import TraceId

__all__ = ["LongBody", "SilentBody", "SuccessBody"]


class LongBody:
    """A body whose head has left.

    Args:
        stream: Marks it; None delivers it as it is.
        keep: Whether another trace is delivered.
        lenient: Whether what is not JSON after all is delivered as it is, as for success bodies.
    """

    __slots__ = ("_keep", "_lenient", "_stream")

    def __init__(self, stream: ObjectSplicer | EnvelopeStream | None, *, keep: bool, lenient: bool = False) -> None:
        self._stream = stream
        self._keep = keep
        self._lenient = lenient

    unsent = b""

    def feed(self, data: bytes, *, more: bool) -> Step:
        """Take a piece of the body, the last one unless *more*."""
        end = Fate.MORE if more else Fate.END
        stream = self._stream
        if stream is None:
            return Step(data, fate=end)
        out = stream.feed(data)
        if not more and stream.fault is None:
            out += stream.finish()
        if stream.fault is None:
            return Step(out, fate=end)
        overwrite = stream.fault == "overwrite"
        if isinstance(stream, ObjectSplicer) and (self._keep if overwrite else self._lenient):
            self._stream = None
            return Step(out + stream.withheld, fate=end, kept=overwrite)
        return Step(out, fate=Fate.OVERWRITE if overwrite else Fate.BROKEN)


class SuccessBody:
    """A success JSON body under ``bodies="all"``: an object is marked, anything else is delivered as it is (D4).

    Args:
        trace: The bound trace's id.
        headers: The application's header lines.
        rewritten: The lines for a marked body.
        keep: Whether another trace is delivered.
    """

    __slots__ = ("_headers", "_keep", "_long", "_rewritten", "_trace", "unsent")

    def __init__(self, trace: TraceId, headers: Headers, rewritten: Headers, *, keep: bool) -> None:
        self._trace = trace
        self._headers = headers
        self._rewritten = rewritten
        self._keep = keep
        self._long: LongBody | None = None
        self.unsent = b""

    def feed(self, data: bytes, *, more: bool) -> Step:
        """Take a piece of the body, the last one unless *more*."""
        if self._long is not None:
            return self._long.feed(data, more=more)
        start = self.unsent + data
        is_object = opens_object(start)
        if is_object is None and more:
            self.unsent = start
            return Step()
        self.unsent = b""
        self._long = LongBody(ObjectSplicer(self._trace) if is_object else None, keep=self._keep, lenient=True)
        step = self._long.feed(start, more=more)
        return step._replace(headers=self._rewritten if is_object else self._headers)


class SilentBody:
    """The body of an error that was asked for by HEAD: none, and no length that a server could derive (D5).

    Args:
        headers: The lines of the head.
    """

    __slots__ = ("_headers",)

    unsent = b""

    def __init__(self, headers: Headers) -> None:
        self._headers: Headers | None = headers

    def feed(self, data: bytes, *, more: bool) -> Step:  # noqa: ARG002 - the shape of every treatment
        """Take a piece of the body, the last one unless *more*, and let none of it leave."""
        headers, self._headers = self._headers, None
        return Step(headers=headers, fate=Fate.MORE if more else Fate.END)
