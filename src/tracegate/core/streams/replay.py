"""What does a resumed client get of a recorded event?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracegate.core.streams.blocks import Block, numbered
from tracegate.core.streams.recording import numbered_id
from tracegate.core.streams.relabel import relabelled
from tracegate.core.trace_id import parse_trace_id

if TYPE_CHECKING:
    from tracegate.core.streams.recording import RecordedEvent

__all__ = ["replayed"]


def replayed(event: RecordedEvent, formats: tuple[str, ...]) -> bytes:
    """Return the bytes of *event*, with its number where it was sent with one, and its first trace as the source.

    Args:
        event: As it was recorded.
        formats: The formats of trace ids that the gate takes beside the canonical ones.

    Source: contract clause D8.
    """
    source = parse_trace_id(event.trace_id.encode("ascii", "replace"), formats)
    payload = event.payload if source is None else relabelled(event.payload, source)
    number = numbered_id(event.recording, event.seq)
    return payload if event.event_id != number else numbered(Block(payload, None, event.event_type), number)
