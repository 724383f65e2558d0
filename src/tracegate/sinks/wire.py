"""How does an event lie on a disk, so that a torn or a changed line is noticed when it is read again?

A line is eight hexadecimal digits (CRC-32 of the rest), a blank, the event as JSON, and a line feed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec

from tracegate.core.events import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Reading", "decode", "encode"]

_NAMES = frozenset(field.name for field in fields(Event))
_DIGITS = 8
_json = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Reading:
    """What stood in some bytes.

    Attributes:
        events: All that can be read, in the order they were written.
        damaged: How many whole lines say something else than what was written.
        torn_bytes: How much of a last line there is that was never finished: its writer was killed, and told nobody
            that it had written it.
    """

    events: list[Event]
    damaged: int
    torn_bytes: int


def encode(events: Sequence[Event]) -> bytes:
    """Return *events* as lines. Text that is no Unicode (lone surrogates) is escaped: an event is never refused."""
    return b"".join(_line(event) for event in events)


def decode(data: bytes) -> Reading:
    """Return what stands in *data*: lines of :func:`encode`, the last one perhaps torn, any of them perhaps damaged."""
    *lines, tail = data.split(b"\n")
    events: list[Event] = []
    damaged = 0
    for line in lines:
        try:
            events.append(_event(line))
        except (ValueError, TypeError):  # of other bytes, or of a version whose events had other columns
            damaged += 1
    return Reading(events, damaged, len(tail))


def _line(event: Event) -> bytes:
    try:
        payload = _json.encode(event)
    except UnicodeEncodeError:
        texts = {name: value for name in _NAMES if isinstance(value := getattr(event, name), str)}
        escaped = {name: text.encode("utf-8", "backslashreplace").decode() for name, text in texts.items()}
        changes: dict[str, Any] = escaped
        payload = _json.encode(replace(event, **changes))
    return b"%0*x %b\n" % (_DIGITS, crc32(payload), payload)


def _event(line: bytes) -> Event:
    """Return the event of one line.

    Raises:
        ValueError: The bytes are not those that were written.
        TypeError: They are, and say what this version cannot read.
    """
    payload = line[_DIGITS + 1 :]
    if line[: _DIGITS + 1] != b"%0*x " % (_DIGITS, crc32(payload)):
        raise ValueError("the checksum differs")
    columns = msgspec.json.decode(payload, type=dict[str, Any])
    known = {name: value for name, value in columns.items() if name in _NAMES}
    if known.get("time") is not None:
        known["time"] = datetime.fromisoformat(known["time"])
    return Event(**known)
