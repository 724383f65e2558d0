"""How does an event become a line in the log?"""

from __future__ import annotations

import logging
import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import msgspec

from tracegate.core.events import Event
from tracegate.errors import ConfigurationError
from tracegate.sinks.log_fields import MEMBERS

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
_BREAKS_A_LINE = re.compile("[\x7f-\x9f\u2028\u2029]")
"""What JSON lets stand, and a reader of lines, or a terminal, does not take for text."""


def as_json(event: Event, names: str = "tracegate", formats: tuple[str, ...] = ()) -> str:
    """Return *event* as one line of JSON, whatever its texts hold. No Unicode (lone surrogates) becomes an escape.

    Args:
        event: The fact. By tracegate's names the line has every column of contract clause F2, in a fixed order.
        names: What its facts are called: one of :data:`~tracegate.sinks.log_fields.MEMBERS`.
        formats: The opt-in formats in which trace ids may be spelled, where the line holds an id's number.
    """
    try:
        line = msgspec.json.encode(MEMBERS[names](event, formats)).decode()
    except UnicodeEncodeError:
        line = msgspec.json.encode(MEMBERS[names](_in_unicode(event), formats)).decode()
    return _BREAKS_A_LINE.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def _in_unicode(event: Event) -> Event:
    texts = {name: value for name in _NAMES if isinstance(value := getattr(event, name), str)}
    escaped: dict[str, Any] = {name: text.encode("utf-8", "backslashreplace").decode() for name, text in texts.items()}
    return replace(event, **escaped)


class LogSink:
    """Writes each event as one line of JSON.

    Args:
        logger: Where to; None: the logger ``tracegate.events``.
        names: What its facts are called: ``tracegate``, ``ecs`` (Elastic Common Schema) or ``otel`` (OpenTelemetry's
            log data model).
        formats: The opt-in formats in which trace ids may be spelled, as the policy has them.

    Raises:
        ConfigurationError: There are no such *names*.
    """

    __slots__ = ("_formats", "_logger", "_names")

    def __init__(
        self, logger: logging.Logger | None = None, *, names: str = "tracegate", formats: tuple[str, ...] = ()
    ) -> None:
        if names not in MEMBERS:
            raise ConfigurationError((("log_fields", f"{names!r} is not one of {', '.join(MEMBERS)}"),))
        self._logger = logger or logging.getLogger("tracegate.events")
        self._names = names
        self._formats = formats

    def __call__(self, event: Event, /) -> None:
        """Write *event* at the level of its severity."""
        self._logger.log(_LEVELS[event.severity], "%s", as_json(event, self._names, self._formats))
