"""Does the decoder say what a coded body says, in bounded pieces, and tell when the coding is at fault?"""

from __future__ import annotations

import gzip
import hashlib
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from types import ModuleType

import brotli  # type: ignore[import-untyped]  # it ships no types
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tracegate.core.rewrite.encoded import MAX_PIECE, Decoder, decoder_for

TEXT = b'{"error":"' + hashlib.shake_256(b"text").hexdigest(150_000).encode() + b'"}'
SHORT = b'{"error":"none"}'


def deflate_raw(data: bytes) -> bytes:
    """Return deflate without the header and checksum of zlib's format."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


CODINGS: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "gzip": (b"gzip", gzip.compress),
    "x-gzip": (b"x-gzip", gzip.compress),
    "deflate": (b"deflate", zlib.compress),
    "deflate, raw": (b"deflate", deflate_raw),
    "br": (b"br", brotli.compress),
    "zstd": (b"zstd", zstandard.compress),
    "gzip in br": (b"gzip, br", lambda data: brotli.compress(gzip.compress(data))),
    "zstd in deflate in gzip": (
        b"zstd,deflate,gzip",
        lambda data: gzip.compress(zlib.compress(zstandard.compress(data))),
    ),
}
every_coding = pytest.mark.parametrize(("name", "compress"), CODINGS.values(), ids=CODINGS)


def decoder(name: bytes) -> Decoder:
    """Return the decoder that must be there."""
    made = decoder_for(name)
    assert made is not None
    return made


def decode(name: bytes, *chunks: bytes) -> tuple[bytes, str | None]:
    """Return all that *chunks* say, and the fault."""
    taken = decoder(name)
    said = b"".join(piece for chunk in chunks for piece in taken.feed(chunk))
    assert taken.finish() is (taken.fault is None)
    return said, taken.fault


def bytewise(data: bytes) -> Iterator[bytes]:
    """Yield *data* byte by byte."""
    return (data[i : i + 1] for i in range(len(data)))


@pytest.mark.contract("D5")
@every_coding
def test_a_body_says_what_it_said_before_it_was_coded(name: bytes, compress: Callable[[bytes], bytes]) -> None:
    """Every known coding, alone and in layers, gives the body back, whole and byte by byte."""
    assert decode(name, compress(TEXT)) == (TEXT, None)
    assert decode(name, *bytewise(compress(TEXT[:3000]))) == (TEXT[:3000], None)
    assert decode(name, compress(b"")) == (b"", None)


@pytest.mark.contract("D5")
@pytest.mark.parametrize("name", [b"identity", b"", b" , ", b"Identity,identity , identity, identity"])
def test_identity_is_no_coding(name: bytes) -> None:
    """``identity``, and empty members of the list, take nothing off."""
    assert decode(name, TEXT, SHORT) == (TEXT + SHORT, None)


@pytest.mark.contract("D5")
def test_names_are_read_without_case_and_around_white_space() -> None:
    """Names compare without case; the list has optional white space and empty members."""
    assert decode(b"\tGZip , , X-GZIP,identity", gzip.compress(gzip.compress(SHORT))) == (SHORT, None)


@pytest.mark.contract("D5")
@pytest.mark.parametrize(
    "name",
    [
        *(b"compress", b"gzip;q=1", b"gzip, aes128gcm", b"dcb", b"gzip gzip", b"gzip,gzip,gzip,gzip", b"\xff", b"*"),
        *(b"\x0bgzip", b"Xgzip"),
    ],
)
def test_an_unknown_coding_has_no_decoder(name: bytes) -> None:
    """What is not known, and more than three codings, is not guessed at."""
    assert decoder_for(name) is None


@pytest.mark.contract("D5")
@pytest.mark.parametrize("name", [b"br", b"zstd"])
def test_a_coding_without_its_library_is_unknown(name: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries are optional: without them the coding is unknown, and nothing is raised."""
    for library in ("brotli", "brotlicffi", "zstandard", "compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, library, None)

    assert decoder_for(name) is None
    assert decoder_for(b"gzip") is not None


@pytest.mark.contract("D5")
def test_brotlicffi_serves_where_brotli_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both libraries have the same interface; the second stands in for the first."""
    monkeypatch.setitem(sys.modules, "brotlicffi", brotli)
    monkeypatch.setitem(sys.modules, "brotli", None)

    assert decode(b"br", brotli.compress(TEXT)) == (TEXT, None)


@pytest.mark.contract("D5")
def test_a_brotli_that_cannot_be_told_to_stop_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 1.2 the library has no output limit: rather no decoder than a bomb."""

    class Decompressor:
        """As it was up to 1.1."""

    old = ModuleType("brotli")
    vars(old)["Decompressor"] = Decompressor
    monkeypatch.setitem(sys.modules, "brotli", old)

    assert decoder_for(b"br") is None


def standard_library_zstd() -> ModuleType:
    """Return a stand-in for ``compression.zstd`` of Python 3.14, as far as the decoder uses it."""

    class DecompressionParameter:
        window_log_max = "window_log_max"

    class ZstdDecompressor:
        def __init__(self, options: dict[str, int]) -> None:
            window = 1 << options["window_log_max"]
            self._frame = zstandard.ZstdDecompressor(max_window_size=window).decompressobj()
            self._ready = bytearray()

        @property
        def eof(self) -> bool:
            return self._frame.eof and not self._ready

        @property
        def unused_data(self) -> bytes:
            return self._frame.unused_data

        def decompress(self, data: bytes, max_length: int) -> bytes:
            self._ready += self._frame.decompress(data) if data else b""
            piece = bytes(self._ready[:max_length])
            del self._ready[:max_length]
            return piece

    module = ModuleType("compression.zstd")
    vars(module).update(
        DecompressionParameter=DecompressionParameter, ZstdDecompressor=ZstdDecompressor, ZstdError=zstandard.ZstdError
    )
    return module


@pytest.fixture(params=["zstandard", "compression.zstd", "backports.zstd"])
def zstd_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make one library for zstd the only one."""
    for package, name in (("compression", "compression.zstd"), ("backports", "backports.zstd")):
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
        monkeypatch.setitem(sys.modules, name, standard_library_zstd() if name == request.param else None)
    if request.param != "zstandard":
        monkeypatch.setitem(sys.modules, "zstandard", None)
    return str(request.param)


@pytest.mark.contract("D5")
def test_every_library_for_zstd_serves(zstd_library: str) -> None:
    """The standard library of 3.14, its backport and zstandard decode frame after frame, and find the same faults."""
    assert zstd_library
    frames = zstandard.compress(TEXT) + zstandard.compress(SHORT)

    assert decode(b"zstd", frames) == (TEXT + SHORT, None)
    assert decode(b"zstd", *bytewise(zstandard.compress(SHORT) * 2)) == (SHORT * 2, None)
    assert decode(b"zstd", frames + b"garbage") == (TEXT + SHORT, "corrupt")
    assert decode(b"zstd", frames[:-1])[1] == "truncated"
    assert decode(b"zstd", b"\x28\xb5\x2f\xfd\x00\xff garbage")[1] == "corrupt"


@pytest.mark.contract("D5")
def test_every_library_for_zstd_gives_bounded_pieces(zstd_library: str) -> None:
    """8 MiB of zeros are a few hundred bytes; they come one piece after the other."""
    assert zstd_library
    taken = decoder(b"zstd")
    sizes = [len(piece) for piece in taken.feed(zstandard.compress(bytes(8 << 20)))]

    assert max(sizes) <= MAX_PIECE
    assert (sum(sizes), taken.finish()) == (8 << 20, True)


@pytest.mark.contract("D5")
def test_a_zstd_window_above_8_mib_is_a_fault(zstd_library: str) -> None:
    """RFC 9659 section 3: an encoder must not ask a decoder for more."""
    assert zstd_library
    wide = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=24, write_content_size=False)
    ).compressobj()

    assert decode(b"zstd", wide.compress(TEXT) + wide.flush()) == (b"", "corrupt")


@pytest.mark.contract("D5")
@pytest.mark.parametrize(("name", "compress"), [(b"gzip", gzip.compress), (b"zstd", zstandard.compress)])
def test_members_and_frames_may_follow_each_other(name: bytes, compress: Callable[[bytes], bytes]) -> None:
    """RFC 1952 section 2.2 and RFC 8878 section 3: several in a row are one body, however they are cut."""
    coded = compress(SHORT) + compress(b"") + compress(TEXT[:500])

    assert decode(name, coded) == (SHORT + TEXT[:500], None)
    assert decode(name, *bytewise(coded)) == (SHORT + TEXT[:500], None)
    assert decode(name, coded[: len(compress(SHORT)) + 3])[1] == "truncated"


@pytest.mark.contract("D5")
@pytest.mark.parametrize("garbage", [b"x", b"\0", b"garbage" * 9000])
@every_coding
def test_what_follows_the_end_is_a_fault(name: bytes, compress: Callable[[bytes], bytes], garbage: bytes) -> None:
    """A body is its coding and nothing else, whether the rest comes along or later."""
    assert decode(name, compress(SHORT) + garbage)[1] is not None
    said, fault = decode(name, *bytewise(compress(SHORT)), garbage)
    assert said == SHORT
    assert fault == "corrupt" or (fault, len(garbage)) == ("truncated", 1)  # one byte may begin another member


@pytest.mark.contract("D5")
@pytest.mark.parametrize("name", ["deflate", "deflate, raw", "br"])
def test_a_stream_does_not_begin_again(name: str) -> None:
    """A gzip member or a zstd frame may follow another; of the others there is one stream, and no more."""
    coding, compress = CODINGS[name]

    assert decode(coding, compress(SHORT) + compress(SHORT))[1] == "corrupt"
    assert decode(coding, compress(SHORT), compress(SHORT)) == (SHORT, "corrupt")


@pytest.mark.contract("D5")
def test_a_raw_stream_is_told_from_one_with_a_header_by_both_bytes() -> None:
    """Some raw streams pass zlib's check of the first two bytes, which is a remainder, and are none of its format."""
    bodies = [b"%c text" % first for first in range(0x20, 0x7F)]
    alike = [body for body in bodies if int.from_bytes(deflate_raw(body)[:2]) % 31 == 0]

    assert alike
    for body in alike:
        assert decode(b"deflate", deflate_raw(body)) == (body, None)


@pytest.mark.contract("D5")
@every_coding
def test_a_body_that_ends_within_its_coding_is_truncated(name: bytes, compress: Callable[[bytes], bytes]) -> None:
    """Every proper beginning but the empty one is told from the whole, and says a beginning of the body."""
    coded = compress(SHORT)
    for end in range(1, len(coded)):
        said, fault = decode(name, coded[:end])
        assert fault == "truncated"
        assert SHORT.startswith(said)


@pytest.mark.contract("D5")
@every_coding
def test_no_bytes_at_all_are_an_empty_body(name: bytes, compress: object) -> None:
    """A reply may announce a coding and have no body (HEAD, 304): that is no fault."""
    assert compress
    assert decode(name) == (b"", None)
    assert decode(name, b"", b"") == (b"", None)


@pytest.mark.contract("D5")
@every_coding
def test_nothing_comes_after_a_fault(name: bytes, compress: Callable[[bytes], bytes]) -> None:
    """Once corrupt, a body stays so: what comes later is not decoded."""
    taken = decoder(name)
    assert list(taken.feed(b"\xff\xff\xff\xff\xff\xff\xff\xff garbage")) == []
    assert taken.fault == "corrupt"
    assert list(taken.feed(compress(SHORT))) == []
    assert not taken.finish()
    assert taken.fault == "corrupt"


@pytest.mark.contract("D5")
@pytest.mark.parametrize(
    ("name", "coded"),
    [(b"gzip", gzip.compress(SHORT, mtime=0)), (b"deflate", zlib.compress(SHORT))],
    ids=["gzip", "deflate"],
)
def test_a_wrong_checksum_is_a_fault(name: bytes, coded: bytes) -> None:
    """Where the coding carries a checksum, a body that does not match it is not taken for the body."""
    trailer = 8 if name == b"gzip" else 4
    for place in range(len(coded) - trailer, len(coded)):
        damaged = coded[:place] + bytes([coded[place] ^ 1]) + coded[place + 1 :]
        assert decode(name, damaged)[1] == "corrupt"


def flushed(name: bytes, events: list[bytes]) -> Iterator[bytes]:
    """Yield what a server sends for each of *events* when it flushes its encoder after it."""
    if name == b"br":
        encoder = brotli.Compressor()
        yield from (encoder.process(event) + encoder.flush() for event in events)
    elif name == b"zstd":
        frame = zstandard.ZstdCompressor().compressobj()
        yield from (frame.compress(event) + frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for event in events)
    else:
        stream = zlib.compressobj(wbits={b"gzip": 31, b"deflate": 15}[name])
        yield from (stream.compress(event) + stream.flush(zlib.Z_SYNC_FLUSH) for event in events)


@pytest.mark.contract("D5", "D6")
@pytest.mark.parametrize("name", [b"gzip", b"deflate", b"br", b"zstd"])
def test_what_was_flushed_is_out_at_once(name: bytes) -> None:
    """An event must not wait for the next one: each chunk gives all that the sender flushed with it."""
    events = [b"data: %d\n\n" % i for i in range(50)] + [TEXT]
    taken = decoder(name)

    assert [b"".join(taken.feed(chunk)) for chunk in flushed(name, events)] == events


GIB = 1 << 30


def bomb(name: bytes) -> bytes:
    """Return 1 GiB of zeros, coded; as raw deflate one flushed piece, many times over, for zlib is slow."""
    block = bytes(1 << 24)
    if name == b"zstd":
        frame = zstandard.ZstdCompressor().compressobj()
        return b"".join([frame.compress(block) for _ in range(GIB >> 24)]) + frame.flush()
    if name == b"br":
        encoder = brotli.Compressor(quality=1)
        return bytes(b"".join([encoder.process(block) for _ in range(GIB >> 24)]) + encoder.finish())
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return (stream.compress(block) + stream.flush(zlib.Z_FULL_FLUSH)) * (GIB >> 24)


@pytest.mark.contract("D5")
@pytest.mark.parametrize("name", [b"deflate", b"br", b"zstd"])
def test_a_bomb_goes_off_in_bounded_pieces(name: bytes) -> None:
    """1 GiB of zeros comes in pieces, each made when it is asked for: memory stays bounded, and one can stop."""
    coded = bomb(name)
    taken = decoder(name)
    tracemalloc.start()
    try:
        sizes = [len(piece) for _, piece in zip(range(200), taken.feed(coded), strict=False)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert max(sizes) <= MAX_PIECE
    assert sum(sizes) > 10 << 20
    assert peak < 4 << 20
    assert taken.fault is None


@pytest.mark.contract("D5")
def test_a_bomb_in_layers_is_made_as_it_is_asked_for() -> None:
    """The inner layer's pieces are made one at a time, too."""
    taken = decoder(b"zstd, gzip")
    pieces = taken.feed(gzip.compress(bomb(b"zstd")))

    assert [len(piece) <= MAX_PIECE for _, piece in zip(range(20), pieces, strict=False)] == [True] * 20


@pytest.mark.contract("D5")
@given(body=st.binary(max_size=2000), cuts=st.lists(st.integers(0, 3000), max_size=12))
@every_coding
def test_where_a_body_is_cut_does_not_matter(
    name: bytes, compress: Callable[[bytes], bytes], body: bytes, cuts: list[int]
) -> None:
    """Every split of every coded body gives the body."""
    coded = compress(body)
    edges = [0, *sorted(cuts), len(coded)]

    assert decode(name, *(coded[a:b] for a, b in pairwise(edges)), b"") == (body, None)


@pytest.mark.contract("D5")
@given(data=st.data(), body=st.binary(min_size=1, max_size=300))
@every_coding
def test_damage_is_a_fault_and_never_an_exception(
    name: bytes, compress: Callable[[bytes], bytes], data: st.DataObject, body: bytes
) -> None:
    """Change, drop or add any byte: what comes is what a decoder makes of it, and nothing is raised.

    gzip finds every such change that changes the body, having a checksum and a length; the others cannot.
    """
    coded = bytearray(compress(body))
    place = data.draw(st.integers(0, len(coded) - 1))
    coded[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    chunks = [bytes(coded[:place]), bytes(coded[place:])]

    said, fault = decode(name, *chunks)

    assert fault is not None or said == body or name not in (b"gzip", b"x-gzip")
    assert decode(name, bytes(coded))[1] == fault


@pytest.mark.contract("D5")
@given(noise=st.binary(max_size=200))
@every_coding
def test_noise_is_never_an_exception(name: bytes, compress: object, noise: bytes) -> None:
    """Any bytes at all give some bytes or a fault."""
    assert compress
    decode(name, noise)
