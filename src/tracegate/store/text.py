"""What can a column of text hold?

PostgreSQL refuses U+0000, and neither store takes a lone surrogate. Both can stand in an event, so they are kept by a
reversible escape, the same on both stores: U+001A SUBSTITUTE and four hex digits. Every other text is stored as it is.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

__all__ = ["LONGEST_NAME", "indexed", "is_storable", "restored", "storable"]

LONGEST_NAME: Final = 200
"""How many characters of a name are stored as they are, where a client chooses the name and an index has it."""

_BEGINNING: Final = 100

_NOT_STORABLE = re.compile("[\x00\x1a\ud800-\udfff]")
_ESCAPED = re.compile("\x1a([0-9a-f]{4})")


def is_storable(text: str) -> bool:
    """Return whether *text* is stored as it is."""
    return _NOT_STORABLE.search(text) is None


def storable(text: str) -> str:
    """Return *text* in a form that both stores take. :func:`restored` gives it back."""
    return _NOT_STORABLE.sub(lambda found: f"\x1a{ord(found[0]):04x}", text)


def indexed(name: str) -> str:
    """Return *name* as :func:`storable` does; of one that is too long its beginning, and the SHA-256 of all of it.

    PostgreSQL refuses for good a row whose part in an index has more than 2,704 bytes, and all that is written with it.
    """
    stored = storable(name)
    if len(stored) <= LONGEST_NAME:
        return stored
    return f"{stored[:_BEGINNING]}…{hashlib.sha256(stored.encode()).hexdigest()}"


def restored(stored: str) -> str:
    """Return the text of which :func:`storable` made *stored*."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), stored) if "\x1a" in stored else stored
