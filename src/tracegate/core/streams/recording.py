"""What does a recorder tell the store, and what does it read there?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    from tracegate.core.head import Headers

__all__ = [
    "Beginning",
    "Chapter",
    "Ending",
    "Place",
    "RecordedEvent",
    "Step",
    "StreamKey",
    "Trimming",
    "headers_of",
    "kept_headers",
    "numbered_id",
]


class StreamKey(NamedTuple):
    """Whose stream it is, and which of theirs: nobody else finds it.

    Attributes:
        tenant: The tenant.
        principal: Who was authenticated.
        name: Which stream.
    """

    tenant: str
    principal: str
    name: str


class Beginning(NamedTuple):
    """A reply is recorded from now on.

    Attributes:
        recording: A new random id.
        key: Of which stream.
        trace_id: The spelling of the bound trace; never empty.
        headers: Of :func:`kept_headers`.
    """

    recording: str
    key: StreamKey
    trace_id: str
    headers: str


class RecordedEvent(NamedTuple):
    """One event, or one position.

    Attributes:
        recording: Of which recording.
        key: Of which stream.
        seq: Its number in the recording, from 1, without a gap.
        event_id: The id that a client has behind it, or None.
        event_type: Its type; empty: no event, a position only.
        payload: The application's bytes.
        trace_id: The spelling of the trace that it was sent under first; never empty.
    """

    recording: str
    key: StreamKey
    seq: int
    event_id: str | None
    event_type: str
    payload: bytes
    trace_id: str


class Trimming(NamedTuple):
    """The first events of a long stream go.

    Attributes:
        recording: Of which recording.
        last_seq: The last one that goes.
    """

    recording: str
    last_seq: int


class Ending(NamedTuple):
    """A recording is over.

    Attributes:
        recording: Which.
        status: ``ended`` as the application wanted, or ``broken``.
        last_seq: How many events it had.
    """

    recording: str
    status: Literal["ended", "broken"]
    last_seq: int


Step = Beginning | RecordedEvent | Trimming | Ending


class Place(NamedTuple):
    """Where a client is in a recorded stream.

    Attributes:
        recording: The recording.
        seq: The number of the last event that it has.
        headers: Of :func:`kept_headers`.
        over: Nothing comes after it: the stream has ended with it.
    """

    recording: str
    seq: int
    headers: str
    over: bool


@dataclass(frozen=True, slots=True)
class Chapter:
    """The next events of a recorded stream.

    Attributes:
        events: In order, without a gap; empty: nothing new, or the end.
        end: Where *events* is empty, how the stream has ended there; None: it goes on.
    """

    events: tuple[RecordedEvent, ...] = ()
    end: Literal["ended", "broken", "gap"] | None = None


def numbered_id(recording: str, seq: int) -> str:
    """Return the id of an event that no other one ever has."""
    return f"{recording}.{seq}"


_KEPT: Final = frozenset((b"content-type", b"cache-control", b"x-accel-buffering", b"vary"))
_KEPT_FAMILY: Final = b"access-control-"


def kept_headers(headers: Headers) -> str:
    """Return, as JSON, those headers of a reply that a resumed one has as well: what says how to read and cache it.

    What was meant for the one reply, such as a cookie, is not kept.
    """
    kept = [(name.lower(), value) for name, value in headers if name.lower() in _KEPT or _is_of_family(name)]
    return msgspec.json.encode([(name.decode("latin-1"), value.decode("latin-1")) for name, value in kept]).decode()


def headers_of(kept: str) -> Headers:
    """Return the headers of which :func:`kept_headers` made *kept*."""
    pairs = msgspec.json.decode(kept, type=list[tuple[str, str]])
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]


def _is_of_family(name: bytes) -> bool:
    return name.lower().startswith(_KEPT_FAMILY)
