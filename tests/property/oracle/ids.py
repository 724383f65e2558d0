"""Which 128-bit number does a text name, if any?

Read from A1, A3 and W3C Trace Context level 2, by hand and by character, without a regular expression for the ids.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["is_minted", "number_of", "traceparent_number"]

_HEX = frozenset(b"0123456789abcdefABCDEF")
_LOWER_HEX = frozenset(b"0123456789abcdef")
_MINTED = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def number_of(text: bytes) -> int | None:
    """Return the number that *text* spells as a UUID or as 32 hex digits (A1, A3), else None."""
    if len(text) == 36:
        groups = text.split(b"-")
        if [len(group) for group in groups] != [8, 4, 4, 4, 12]:
            return None
        text = b"".join(groups)
    if len(text) != 32 or not _HEX.issuperset(text):
        return None
    return int(text, 16) or None


def is_minted(text: bytes) -> bool:
    """Say whether *text* is a random UUIDv4 in lower case with dashes (A4)."""
    return _MINTED.fullmatch(text) is not None


def traceparent_number(lines: Sequence[bytes]) -> int | None:
    """Return the trace that the traceparent *lines* of one request name (B1, B3), else None."""
    if len(lines) != 1 or b"," in lines[0]:
        # A WSGI server joins several lines by commas; no version of the format has one.
        return None
    text = lines[0].strip(b" \t")
    parts = text[:55].split(b"-")
    if [len(part) for part in parts] != [2, 32, 16, 2] or not all(_LOWER_HEX.issuperset(part) for part in parts):
        return None
    version, trace, parent, _ = parts
    if version == b"ff" or int(parent, 16) == 0:
        return None
    rest = text[55:]
    if rest and (version == b"00" or not rest.startswith(b"-")):
        return None
    return int(trace, 16) or None
