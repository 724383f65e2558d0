"""How does an event become a line in the log?"""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import TYPE_CHECKING

import msgspec

from tracegate.core.events import Event

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LogSink", "as_json"]

_LEVELS: Mapping[str, int] = {
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
_NAMES = tuple(field.name for field in fields(Event))


def as_json(event: Event) -> str:
    """Return *event* as one line of JSON: the columns of contract clause F2, in a fixed order, times in ISO 8601."""
    ordered = ("id", "time", "kind", "severity", *(name for name in _NAMES if name not in _FIRST))
    return msgspec.json.encode({name: getattr(event, name) for name in ordered}).decode("utf-8")


_FIRST = ("id", "time", "kind", "severity")


class LogSink:
    """Writes each event as one line of JSON.

    Args:
        logger: Where to; None: the logger ``tracegate.events``.
    """

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("tracegate.events")

    def __call__(self, event: Event, /) -> None:
        """Write *event* at the level of its severity."""
        self._logger.log(_LEVELS[event.severity], "%s", as_json(event))
