"""What is a trace id, how is it spelled, and when are two of them the same?"""

from __future__ import annotations

import hashlib
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tracegate.errors import InvalidTraceIdError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FORMATS", "TraceFormat", "TraceId", "is_canonical", "mint_trace_id", "parse_trace_id"]


class TraceFormat(NamedTuple):
    """One way to spell a 128-bit number.

    Every grammar is ASCII and bounded, and leaves out white space, quotes, backslash, comma and control characters: a
    spelling stands in a header field, a JSON string, an event stream line and a log line as it is, without escaping.

    Attributes:
        grammar: What the whole of a spelling must match.
        number: From a spelling that matches to its number, ``1 <= number < 2**128``, but for the nil values.
    """

    grammar: re.Pattern[bytes]
    number: Callable[[bytes], int]


def _hexadecimal(raw: bytes) -> int:
    return int(raw.replace(b"-", b""), 16)


def _amazon(raw: bytes) -> int:
    return _hexadecimal(raw.removeprefix(b"Root=1-"))


# int() reads base 32 with the digits of RFC 4648 base32hex; Crockford's alphabet has the same order without I, L, O, U.
_BASE32HEX: Final = bytes.maketrans(b"JKMNPQRSTVWXYZjkmnpqrstvwxyz", b"IJKLMNOPQRSTUVijklmnopqrstuv")


def _crockford(raw: bytes) -> int:
    return int(raw.translate(_BASE32HEX), 32)


def _digest(raw: bytes) -> int:
    return int.from_bytes(hashlib.sha256(raw).digest()[:16]) or 1


_CANONICAL: Final = TraceFormat(
    re.compile(
        rb"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"  # RFC 9562 section 4
        rb"|[0-9A-Fa-f]{32}",
    ),
    _hexadecimal,
)

FORMATS: Final[Mapping[str, TraceFormat]] = MappingProxyType(
    {
        # $request_id is 32 hex digits, canonical anyway: the name is here so that a configuration can say it.
        "nginx": _CANONICAL,
        # What a load balancer sends when it makes the id. Not the console's bare 1-…, which no header carries; nor a
        # list with Self=, Parent= or Sampled=: to take the root out of it would be to re-spell it.
        "aws": TraceFormat(re.compile(rb"Root=1-[0-9A-Fa-f]{8}-[0-9A-Fa-f]{24}"), _amazon),
        # 26 digits hold 130 bits: the first is at most 7.
        "ulid": TraceFormat(re.compile(rb"[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}"), _crockford),
        "opaque": TraceFormat(re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}"), _digest),
    },
)
"""The opt-in formats of other fleets, by the name that a policy gives; the first in this order that matches decides.

``opaque`` takes any token and derives the number from it, as the first 128 bits of its SHA-256. That is no re-spelling
(clause A1): header, body, stream and log carry the caller's token byte for byte, and the digest is seen only where a
standard demands a number, in ``traceparent`` and in OpenTelemetry. Every service that takes the token derives the same.

Source: contract clause A3; the ULID specification; AWS, "Request tracing for your Application Load Balancer".
"""

_ENTROPY_BYTES: Final = 16
_LONGEST: Final = 128
NIL: Final = (b"00000000-0000-0000-0000-000000000000", b"00000000000000000000000000000000")
_NIL_ELSEWHERE: Final = (*NIL, b"Root=1-00000000-000000000000000000000000", b"00000000000000000000000000")
"""Zero is no trace id in any spelling, and must not get in as an opaque token either."""

# With every hex digit made a zero, a canonical spelling is a nil one: the hot path's grammar, in a quarter of its time.
DIGITS_TO_ZERO: Final = bytes.maketrans(b"123456789abcdefABCDEF", b"0" * 21)


class TraceId(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A 128-bit number that is never zero, and the spelling under which its caller knows it.

    Immutable. Equality and hash go by the number; everything that leaves the process carries the spelling. Made by
    :func:`parse_trace_id` (from the wire), :func:`mint_trace_id` and :meth:`from_text` (from code), which check what
    they are given; never directly.

    Attributes:
        raw: The spelling as it came, byte for byte; 1 to 128 bytes, ASCII.
        spelled_in: The opt-in format of the spelling, a name in :data:`FORMATS`; empty for a canonical one.

    Source: contract clauses A1 and A2.
    """

    raw: bytes
    spelled_in: str = ""

    @classmethod
    def from_text(cls, text: str, formats: tuple[str, ...] = ()) -> TraceId:
        """Return the trace that *text* spells, for callers in code.

        Args:
            text: The whole spelling, without white space around it.
            formats: Names from :data:`FORMATS` to accept beside the canonical spellings.

        Raises:
            InvalidTraceIdError: *text* is not a trace id.
        """
        trace = parse_trace_id(text.encode("ascii", "replace"), formats)  # "?" is in no grammar
        if trace is None:
            raise InvalidTraceIdError(text)
        return trace

    @property
    def text(self) -> str:
        """The spelling as it came, as text."""
        return self.raw.decode("ascii")

    @property
    def number(self) -> int:
        """The number that is spelled, ``1 <= number < 2**128``."""
        spelled_in = FORMATS[self.spelled_in] if self.spelled_in else _CANONICAL
        return spelled_in.number(self.raw)

    @property
    def w3c(self) -> str:
        """The number as a W3C ``trace-id``: 32 lower-case hex digits (clause A2)."""
        return f"{self.number:032x}"

    def is_named_by(self, raw: bytes) -> bool:
        """Return whether *raw* spells this trace, be it otherwise than the caller did.

        Takes the spelling itself, the canonical spellings of the number, and other spellings in the trace's own format.
        """
        return raw == self.raw or parse_trace_id(raw, (self.spelled_in,)) == self

    def __eq__(self, other: object) -> bool:
        """Return whether *other* is a trace of the same number, however it is spelled."""
        if not isinstance(other, TraceId):
            return NotImplemented
        return self.number == other.number

    def __ne__(self, other: object) -> bool:
        """Return whether *other* is anything else; said because a Struct would compare identities."""
        return not self == other

    def __hash__(self) -> int:
        """Return the hash of the number."""
        return hash(self.number)

    def __str__(self) -> str:
        """Return the spelling."""
        return self.text

    def __repr__(self) -> str:
        """Return the spelling, between angle brackets."""
        return f"<TraceId {self.text}>"

    def __reduce__(self) -> tuple[Callable[[str, tuple[str, ...]], TraceId], tuple[str, tuple[str, ...]]]:
        """Copy and unpickle by parsing again, so that no trace id comes from bytes that were not checked."""
        return TraceId.from_text, (self.text, (self.spelled_in,))


def is_canonical(raw: bytes) -> bool:
    """Return whether *raw* is UUID text of any version and case, or 32 hex digits, and not zero.

    Source: contract clause A3; RFC 9562 section 4.
    """
    zeros = raw.translate(DIGITS_TO_ZERO)
    return zeros in NIL and zeros != raw


def parse_trace_id(raw: bytes, formats: tuple[str, ...] = ()) -> TraceId | None:
    """Return the trace that *raw* spells, the whole of it, or ``None`` where it spells none.

    A canonical spelling (UUID text of any version and case, or 32 hex digits) is itself in every configuration, however
    many *formats* would take it as well.

    Args:
        raw: A header field's value, or any bytes: white space around it must be gone, as HTTP removes it.
        formats: Names from :data:`FORMATS` to accept beside the canonical spellings.

    Source: contract clause A3; RFC 9562 section 4.
    """
    if is_canonical(raw):
        return TraceId(raw)
    if not formats or len(raw) > _LONGEST or raw in _NIL_ELSEWHERE:
        return None
    for name, known in FORMATS.items():
        if name in formats and known.grammar.fullmatch(raw):
            return TraceId(raw, name)
    return None


def mint_trace_id(entropy: bytes) -> TraceId:
    """Return a new trace id: a UUID version 4, spelled lower-case with dashes.

    Args:
        entropy: 16 bytes from the operating system's generator; 122 of their bits are used, and nothing else.

    Raises:
        ValueError: *entropy* is not 16 bytes long.

    Source: contract clause A4; RFC 9562 section 5.4.
    """
    if len(entropy) != _ENTROPY_BYTES:
        raise ValueError(f"a trace id is minted from {_ENTROPY_BYTES} random bytes, not {len(entropy)}")
    digits = entropy.hex()
    variant = "89ab"[entropy[8] >> 4 & 0b11]
    return TraceId.from_text(f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}")
