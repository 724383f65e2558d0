"""What does an event look like as a row, and a row as an event?"""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tracegate.core.events import KIND_BY_DETAIL, Event
from tracegate.core.refusal import CODES_BY_KIND
from tracegate.store.schema import as_stored_time, ops_event
from tracegate.store.text import LONGEST_NAME, indexed, is_storable, restored, storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from sqlalchemy import Column

__all__ = ["COLUMNS", "EVENT_COLUMNS", "days_of", "event_from", "rows_of"]

_ATTRIBUTES: Final = tuple(item.name for item in fields(Event))
_COLUMN_OF: Final[Mapping[str, str]] = {"kind": "event_type", "time": "event_time", "tenant": "tenant_id"}
_DERIVED: Final = ("error_code", "metric_key", "dimensions_json")

COLUMNS: Final = (*(_COLUMN_OF.get(name, name) for name in _ATTRIBUTES), *_DERIVED)
"""What a row of :func:`rows_of` holds, in its order."""

EVENT_COLUMNS: Final[tuple[Column[Any], ...]] = tuple(ops_event.c[name] for name in COLUMNS[: len(_ATTRIBUTES)])
"""What an event is read back from."""

_REFUSED: Final = "SYS-004-409-TRACE"
_values: Final = attrgetter(*_ATTRIBUTES)
_TIME: Final = _ATTRIBUTES.index("time")
_ID: Final = _ATTRIBUTES.index("id")
_KIND: Final = _ATTRIBUTES.index("kind")
_TENANT: Final = _ATTRIBUTES.index("tenant")
_LABELS: Final = ("service", "route", "method", "status", "mode")
_labels: Final = itemgetter(*(_ATTRIBUTES.index(name) for name in _LABELS))


def rows_of(events: Iterable[Event], *, time_as_text: bool) -> list[tuple[Any, ...]]:
    """Return one row for each event that differs from those before it by time or id, in the order of the key.

    In that order, because two processes that write the same events then wait for each other, and never in a circle.

    Raises:
        ValueError: An event has no id or no time: nobody has stamped it.
    """
    rows: dict[tuple[object, str], tuple[Any, ...]] = {}
    for event in events:
        if event.time is None or event.time.tzinfo is None or not event.id:
            raise ValueError("an event without its id, or without its time in UTC")
        time = as_stored_time(event.time) if time_as_text else event.time.astimezone(UTC)
        values = _row(event, time)
        rows.setdefault((time, values[_ID]), values)
    return [rows[key] for key in sorted(rows)]


def days_of(rows: Iterable[Sequence[Any]]) -> set[date]:
    """Return the days, UTC, of the rows whose time is no text."""
    return {row[_TIME].date() for row in rows}


def event_from(row: Sequence[Any]) -> Event:
    """Return the event of a row of :data:`EVENT_COLUMNS`."""
    values: list[Any] = [restored(value) if isinstance(value, str) else value for value in row]
    return Event(**dict(zip(_ATTRIBUTES, values, strict=True)))


def _row(event: Event, time: object) -> tuple[Any, ...]:
    values = [*_values(event)]
    values[_TIME] = time
    if len(values[_TENANT]) > LONGEST_NAME:  # a client named it
        values[_TENANT] = indexed(values[_TENANT])
    if not is_storable("".join([value for value in values if isinstance(value, str)])):
        values = [storable(value) if isinstance(value, str) else value for value in values]
    code = _REFUSED if event.detail in KIND_BY_DETAIL else CODES_BY_KIND.get(event.kind)
    return (*values, code, f"{values[_KIND]}_event_count", _labels_json(*_labels(values)))


@lru_cache(maxsize=1024)
def _labels_json(*labels: object) -> str:
    """Return the dimensions of the metric: few combinations occur, and most of the time would go into them."""
    return msgspec.json.encode(dict(zip(_LABELS, labels, strict=True))).decode()
