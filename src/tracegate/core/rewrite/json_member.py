"""Is this member the trace, is it free to become it, or does it say something else?"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

import msgspec

from tracegate.core.rewrite.json_grammar import MEMBER

if TYPE_CHECKING:
    from tracegate.core.trace_id import TraceId

__all__ = ["LONGEST_VALUE", "Verdict", "as_member", "as_value", "judge"]

LONGEST_VALUE: Final = 2 + 6 * 128
"""Bytes of the longest JSON string that can spell a trace: 128 characters (clause A3), each escaped, and two quotes."""

_decode_string: Final = msgspec.json.Decoder(str).decode


class Verdict(Enum):
    """What becomes of a top-level ``trace_id`` that the application wrote (clause D1)."""

    KEEP = "it names the bound trace"
    FILL = "it is null or empty: the bound trace takes its place"
    REFUSE = "it says something else"


def as_value(trace: TraceId) -> bytes:
    """Return *trace* as JSON text. No spelling has a character that needs an escape (clause A3)."""
    return b'"' + trace.raw + b'"'


def as_member(trace: TraceId) -> bytes:
    """Return the member that names *trace*, without a comma."""
    return b'"' + MEMBER + b'":"' + trace.raw + b'"'


def judge(value: bytes, trace: TraceId) -> Verdict:
    """Return the verdict on the *value* of one member; other members of the same name do not count.

    Where a name stands several times, a client reads the first or the last. Judged each for itself, either all of them
    become the trace or the whole is refused, so that it does not matter which.

    Args:
        value: Valid JSON text without blanks around it.
        trace: The bound trace.

    Source: contract clauses A1 and D1; RFC 8259 section 4.
    """
    if value == as_value(trace):
        return Verdict.KEEP
    if value in {b"null", b'""'}:
        return Verdict.FILL
    if len(value) > LONGEST_VALUE:
        return Verdict.REFUSE
    try:
        spelling = _decode_string(value)
    except msgspec.DecodeError:  # another type, or a lone surrogate: legal JSON, and no text
        return Verdict.REFUSE
    return Verdict.KEEP if trace.is_named_by(spelling.encode()) else Verdict.REFUSE
