"""What does a body say under its ``Content-Encoding``, piece by piece, and does the coding end as it must?

Everything is decoded in bounded steps: no step makes more than :data:`MAX_PIECE` bytes, whatever a bomb asks for, and
what a step makes is out before the next one starts. How much is too much is the caller's business.

Source: contract clause D5; RFC 9110 section 8.4; RFC 1950, 1951, 1952 (deflate, gzip), 7932 (br), 8878 and 9659 (zstd).
"""

from __future__ import annotations

import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["MAX_PIECE", "Decoder", "decoder_for"]

MAX_PIECE: Final = 640 << 10
"""Most bytes in one piece; zstandard's case below, the others keep to about 64 KiB."""

_OUTPUT: Final = 64 << 10  # asked for at a time, where the library lets one ask
_INPUT: Final = 16 << 10  # given at a time: zlib copies what it did not get to
_MAX_CODINGS: Final = 3
_ZSTD_WINDOW_LOG: Final = 23  # 8 MiB, the most that RFC 9659 allows in HTTP


class _CodingError(Exception):
    """The coded bytes are at fault."""


class _Engine(Protocol):
    """Decodes one member (gzip), frame (zstd) or whole stream (the others).

    Attributes:
        bite: Most bytes to give at a time.
        repeats: Another member or frame may follow the end.
        unused: What came behind the end.
    """

    bite: int
    repeats: bool

    @property
    def ended(self) -> bool: ...

    @property
    def unused(self) -> bytes: ...

    def decode(self, data: bytes) -> bytes:
        """Take *data*; return a piece. While one comes, there may be more: ask again with nothing."""
        ...


class _Inflater:
    """zlib's formats; *window_bits* as in :func:`zlib.decompressobj`."""

    bite = _INPUT

    def __init__(self, window_bits: int, *, repeats: bool) -> None:
        self.repeats = repeats
        self._inflate = zlib.decompressobj(window_bits)

    @property
    def ended(self) -> bool:
        return self._inflate.eof

    @property
    def unused(self) -> bytes:
        return self._inflate.unused_data

    def decode(self, data: bytes) -> bytes:
        try:
            return self._inflate.decompress(self._inflate.unconsumed_tail + data, _OUTPUT)
        except zlib.error as error:
            raise _CodingError from error


class _Deflater(_Inflater):
    """``deflate`` means zlib's format, and some senders leave its two-byte header out; no raw stream looks like one."""

    def __init__(self) -> None:
        super().__init__(zlib.MAX_WBITS, repeats=False)
        self._header: bytes | None = b""

    def decode(self, data: bytes) -> bytes:
        if self._header is None:
            return super().decode(data)
        self._header += data
        if len(self._header) < 2:
            return b""
        data, self._header = self._header, None
        if data[0] & 0x8F != 8 or int.from_bytes(data[:2]) % 31:
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        return super().decode(data)
