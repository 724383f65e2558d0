"""How is each content coding taken off in bounded steps, and by which library?

zlib is always there. br and zstd need a library that the user may have installed. It is imported by name at run time,
because it is optional, and because the core imports nothing but msgspec of third parties.

Source: RFC 1950, 1951, 1952 (deflate, gzip), RFC 7932 (br), RFC 8878 and 9659 (zstd); RFC 9110 section 8.4.1.
"""

from __future__ import annotations

import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_PIECE", "Coding", "coding_named"]

MAX_PIECE: Final = 640 << 10
"""The most bytes that one step makes. That much only with the library zstandard, else about 64 KiB."""

_OUTPUT: Final = 64 << 10  # asked for at a time
_INPUT: Final = 16 << 10  # given at a time: zlib copies what it did not get to
_GZIP: Final = zlib.MAX_WBITS | 16
_ZSTD_WINDOW_LOG: Final = 23  # 8 MiB, the most that RFC 9659 section 3 allows


class Coding(Protocol):
    """Takes the coding off one member (gzip), frame (zstd) or stream (br, deflate), in steps."""

    @property
    def bite(self) -> int:
        """The most bytes to give in one step."""
        ...

    @property
    def error(self) -> type[Exception]:
        """What :meth:`step` raises where the coded bytes are at fault."""
        ...

    @property
    def repeats(self) -> bool:
        """Whether another member or frame may follow the end."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the end was found."""
        ...

    @property
    def unused(self) -> bytes:
        """What the last step was given behind the end."""
        ...

    def step(self, data: bytes) -> bytes:
        """Take *data*, return at most :data:`MAX_PIECE` bytes. While some come there may be more: step with nothing."""
        ...


class _Gzip:
    bite = _INPUT
    error = zlib.error
    repeats = True

    def __init__(self, window_bits: int = _GZIP) -> None:
        self._stream = zlib.decompressobj(window_bits)

    @property
    def ended(self) -> bool:
        return self._stream.eof

    @property
    def unused(self) -> bytes:
        return self._stream.unused_data

    def step(self, data: bytes) -> bytes:
        return self._stream.decompress(self._stream.unconsumed_tail + data, _OUTPUT)


class _Deflate(_Gzip):
    """``deflate`` means zlib's format, but some senders leave its header and checksum out, and browsers let them.

    No raw stream looks like the header: it would start with a stored block whose padding is not zero.
    """

    repeats = False

    def __init__(self) -> None:
        super().__init__(zlib.MAX_WBITS)
        self._header: bytes | None = b""

    def step(self, data: bytes) -> bytes:
        if self._header is not None:
            data = self._header + data
            if len(data) < 2:  # noqa: PLR2004 - RFC 1950 section 2.2: CMF and FLG
                self._header = data
                return b""
            self._header = None
            if data[0] & 0x8F != zlib.DEFLATED or int.from_bytes(data[:2]) % 31:
                self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        return super().step(data)


class _Brotli:
    """With the library brotli or brotlicffi. Both refuse what comes behind the end."""

    bite = _INPUT
    repeats = False
    unused = b""

    def __init__(self, library: Any) -> None:  # noqa: ANN401 - an optional module
        self._stream = library.Decompressor()
        self.error: type[Exception] = library.error

    @property
    def ended(self) -> bool:
        return bool(self._stream.is_finished())

    def step(self, data: bytes) -> bytes:
        return bytes(self._stream.process(data, output_buffer_limit=_OUTPUT))


class _Zstd:
    """With the standard library of Python 3.14, or its backport."""

    bite = _INPUT
    repeats = True

    def __init__(self, library: Any) -> None:  # noqa: ANN401 - an optional module
        self._frame = library.ZstdDecompressor(
            options={library.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG},
        )
        self.error: type[Exception] = library.ZstdError

    @property
    def ended(self) -> bool:
        return bool(self._frame.eof)

    @property
    def unused(self) -> bytes:
        return bytes(self._frame.unused_data)

    def step(self, data: bytes) -> bytes:
        return bytes(self._frame.decompress(data, _OUTPUT))


class _Zstandard:
    """With the library zstandard, which cannot be told to stop, so that it is the input that must be small.

    A block has at least 4 bytes and makes at most 128 KiB (RFC 8878 section 3.1.1.2): 16 bytes can complete 5 of them.
    """

    bite = 16
    repeats = True

    def __init__(self, library: Any) -> None:  # noqa: ANN401 - an optional module
        self._frame = library.ZstdDecompressor(max_window_size=1 << _ZSTD_WINDOW_LOG).decompressobj()
        self.error: type[Exception] = library.ZstdError

    @property
    def ended(self) -> bool:
        return bool(self._frame.eof)

    @property
    def unused(self) -> bytes:
        return bytes(self._frame.unused_data)

    def step(self, data: bytes) -> bytes:
        return bytes(self._frame.decompress(data))


def _load(*names: str) -> Any:  # noqa: ANN401 - an optional module, or None
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    return None


def _brotli() -> Callable[[], Coding] | None:
    library = _load("brotli", "brotlicffi")
    # Before 1.2 neither could be told to stop: a bomb would go off.
    if library is None or not hasattr(library.Decompressor, "can_accept_more_data"):
        return None
    return lambda: _Brotli(library)


def _zstd() -> Callable[[], Coding] | None:
    if library := _load("compression.zstd", "backports.zstd"):
        return lambda: _Zstd(library)
    if library := _load("zstandard"):
        return lambda: _Zstandard(library)
    return None


def coding_named(name: bytes) -> Callable[[], Coding] | None:
    """Return what makes a :class:`Coding`, or ``None`` where the name is unknown or no library is installed for it.

    Args:
        name: One content coding, lower-case.
    """
    match name:
        case b"gzip" | b"x-gzip":
            return _Gzip
        case b"deflate":
            return _Deflate
        case b"br":
            return _brotli()
        case b"zstd":
            return _zstd()
        case _:
            return None
