"""What can an operator decide about recorded streams?"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal

from tracegate.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["StreamPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPolicy:
    """How streams are recorded and resumed; frozen, checked when it is made.

    Attributes:
        number_events: Give each event without an id of the application's own one that no other event ever has:
            ``id: <recording>.<sequence number>``. Without it such events are recorded and cannot be resumed from.
        durability: ``background`` sends an event at once and records it within moments; after a crash a client may have
            an event that is not recorded, and is told so when it resumes. ``before_event`` sends it when it is
            recorded, waiting at most *commit_wait_seconds*.
        on_disconnect: When the client goes away, ``stop`` lets the application know, as without a recorder; ``finish``
            does not, so that it goes on and all of the stream is there for the client that resumes it.
        commit_wait_seconds: How long is waited for the store: before an event, and for an event that is not there yet.
        max_event_bytes: A longer event is sent and not recorded: the recording has a gap there.
        max_events: How many events of a stream are kept: the last ones.
        max_age_seconds: An older event is not sent again.
        lease_seconds: A recording whose producer has not been heard of for so long has lost it.
        poll_seconds: How often a resumed client's stream looks for new events.
        keep_alive_seconds: How often it says that it is still there, by a comment.

    Raises:
        ConfigurationError: With all faults at once.

    Source: contract clause D8.
    """

    number_events: bool = False
    durability: Literal["background", "before_event"] = "background"
    on_disconnect: Literal["stop", "finish"] = "stop"
    commit_wait_seconds: float = 0.25
    max_event_bytes: int = 1 << 20
    max_events: int = 10_000
    max_age_seconds: float = 86_400.0
    lease_seconds: float = 15.0
    poll_seconds: float = 0.25
    keep_alive_seconds: float = 15.0

    def __post_init__(self) -> None:
        """Check every decision.

        Raises:
            ConfigurationError: With all faults at once.
        """
        faults = tuple(_faults({item.name: getattr(self, item.name) for item in fields(self)}))
        if faults:
            raise ConfigurationError(faults)


_CHOICES: Final[Mapping[str, tuple[object, ...]]] = {
    "number_events": (True, False),
    "durability": ("background", "before_event"),
    "on_disconnect": ("stop", "finish"),
}
_NUMBERS: Final[Mapping[str, tuple[type, float, float]]] = {
    "commit_wait_seconds": (float, 0, 10),
    "max_event_bytes": (int, 1, 1 << 30),
    "max_events": (int, 1, 1 << 31),
    "max_age_seconds": (float, 1, 10**9),
    "lease_seconds": (float, 0.5, 3600),
    "poll_seconds": (float, 0.01, 60),
    "keep_alive_seconds": (float, 0.01, 3600),
}


def _faults(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, choices in _CHOICES.items():
        if values[name] not in choices:
            yield name, f"{values[name]!r} is not one of {', '.join(map(str, choices))}"
    for name, (kind, least, most) in _NUMBERS.items():
        value = values[name]
        fits = type(value) is int or (kind is float and type(value) is float)
        if not fits or not least <= value <= most:
            what = "whole number" if kind is int else "number"
            yield name, f"{value!r} is not a {what} from {least} to {most}"
