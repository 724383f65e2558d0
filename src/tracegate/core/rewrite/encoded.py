"""What does a body say under its ``Content-Encoding``, piece by piece, and do its codings end as they must?

Source: contract clause D5; RFC 9110 section 8.4.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final, Literal, final

from tracegate.core.rewrite.codings import MAX_PIECE, coding_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tracegate.core.rewrite.codings import Coding

__all__ = ["MAX_PIECE", "Decoder", "decoder_for"]

_MAX_CODINGS: Final = 3


class _CodedError(Exception):
    """The coded bytes are at fault."""


class _Layer:
    """One coding around the body: its members or frames, one after the other."""

    def __init__(self, begin: Callable[[], Coding]) -> None:
        self._begin = begin
        self._coding: Coding | None = None  # none is under way: it may end here
        self._over = False

    @property
    def ended(self) -> bool:
        return self._coding is None

    def take_off(self, data: bytes) -> Iterator[bytes]:
        """Take *data*; yield every piece that can be made of it, one step at a time."""
        at = 0
        while at < len(data):
            coding = self._coding or self._next()
            part = data[at : at + coding.bite]
            at += len(part)
            try:
                while piece := coding.step(part):
                    yield piece
                    if coding.ended:
                        break
                    part = b""
            except coding.error as error:
                raise _CodedError from error
            if coding.ended:
                at -= len(coding.unused)
                self._coding = None
                self._over = not coding.repeats

    def _next(self) -> Coding:
        if self._over:
            raise _CodedError
        self._coding = self._begin()
        return self._coding


@final
class Decoder:
    """Takes the codings off one body: ``feed`` what comes, then ``finish``.

    Attributes:
        fault: ``corrupt``: the codings do not read; ``truncated``: the body ended within one. Nothing comes after it.

    Source: contract clause D5.
    """

    __slots__ = ("_layers", "fault")

    def __init__(self, layers: Sequence[Callable[[], Coding]]) -> None:
        self._layers = [_Layer(begin) for begin in layers]
        self.fault: Literal["corrupt", "truncated"] | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes of the body; yield all that they say, in pieces of at most :data:`MAX_PIECE` bytes.

        A piece is made when it is asked for: a caller who has had enough stops asking, and drops the decoder. Otherwise
        every piece must be asked for before the next call.
        """
        pieces: Iterable[bytes] = (data,)
        for layer in self._layers:
            pieces = chain.from_iterable(map(layer.take_off, pieces))
        try:
            if self.fault is None:
                yield from pieces
        except _CodedError:
            self.fault = "corrupt"

    def finish(self) -> bool:
        """Return whether the body ended where its codings end (an empty one does); if not, :attr:`fault` says so."""
        if self.fault is None and not all(layer.ended for layer in self._layers):
            self.fault = "truncated"
        return self.fault is None


def decoder_for(content_encoding: bytes) -> Decoder | None:
    """Return what takes these codings off, or ``None``: one is unknown or has no library, or they are more than three.

    Args:
        content_encoding: The value of the field, several lines joined by commas; in the order applied.

    Source: RFC 9110 sections 5.6.1 and 8.4.
    """
    names = [name.strip(b" \t").lower() for name in content_encoding.split(b",")]
    names = [name for name in names if name not in (b"", b"identity")]
    layers = [begin for name in reversed(names[: _MAX_CODINGS + 1]) if (begin := coding_named(name))]
    return Decoder(layers) if len(layers) == len(names) <= _MAX_CODINGS else None
