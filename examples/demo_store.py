"""What is left of the demonstration when its services are gone? Shows the store as an operator finds it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from datetime import datetime
from pathlib import Path

from sqlalchemy import select

from tracegate.store.engine import open_engine, reading
from tracegate.store.events import EventQuery, EventStore
from tracegate.store.rollup import roll_up_new
from tracegate.store.schema import api_metric_hourly
from tracegate.store.upgrade import upgrade

SERVICE = "orders"
LOCKED = 1
WIDEST = 160
HOUR_WIDTH = 16
METRICS = {
    "requests": "requests_total",
    "replies": "replies_total",
    "traced": "traced_replies_total",
    "coverage %": "trace_coverage_pct",
    "refused": "refusals_total",
    "broken": "broken_streams_total",
    "SSE": "sse_events_total",
}
"""Of ``tb_api_metric_hourly``, what is shown, and under which name."""
SHOWS_MESSAGES = 120


class StoreShown:
    """A store of events on SQLite, with its tables.

    Args:
        folder: Where it is made, with the spool beside it.

    Attributes:
        settings: What a service needs in its environment to keep its events there.
    """

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder / 'events.db'}"
        self.settings = {"TRACEGATE_STORE_URL": url}
        self._engine = open_engine(url)
        upgrade(self._engine)

    def print_events(self) -> None:
        """Print what happened: one event for each refusal and each broken stream."""
        events = EventStore(self._engine).find(EventQuery(service=SERVICE), oldest_first=True)
        _print_head(f"the store now holds {len(events)} events, each with the trace of its reply")
        for event in events:
            message = event.message if _columns() >= SHOWS_MESSAGES else ""
            _print_cut(f"{event.kind:23} {event.trace_id} {event.route or '-':20} {message}".rstrip())

    def print_hour(self) -> None:
        """Print what the hour came to: recomputed from what is kept, however often."""
        roll_up_new(self._engine)
        metric = api_metric_hourly.c
        with reading(self._engine) as connection:
            rows = connection.execute(select(metric.hour_bucket_utc, metric.metric_key, metric.metric_value)).all()
        hours: dict[datetime, dict[str, float]] = {}
        for hour, key, value in rows:
            hours.setdefault(hour, {})[key] = value
        _print_head("and says, by the hour")
        print("hour (UTC)".ljust(HOUR_WIDTH), *(f"{name:>{len(name) + 1}}" for name in METRICS))
        for hour, values in sorted(hours.items()):
            shown = (f"{values.get(key, 0):>{len(name) + 1}g}" for name, key in METRICS.items())
            print(f"{hour:%Y-%m-%d %H:%M}".ljust(HOUR_WIDTH), *shown)

    def print_gate(self) -> bool:
        """Ask the deploy gate as a pipeline does; return whether it is locked."""
        command = ["gate", "check", "--service", SERVICE]
        _print_head("and a pipeline asks whether it may release the service")
        print("$ python -m tracegate", *command)
        self._engine.dispose()
        asked = subprocess.run(
            [sys.executable, "-m", "tracegate", *command],
            env={**inherited(), **self.settings},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        for line in asked.stdout.splitlines():
            print(textwrap.fill(line, _columns(), subsequent_indent="      ", break_on_hyphens=False))
        print(f"exit code {asked.returncode}: {'no' if asked.returncode else 'yes'}")
        return asked.returncode == LOCKED


def inherited() -> dict[str, str]:
    """Return the environment without settings of tracegate: the demonstration brings its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TRACEGATE_")}


def _columns() -> int:
    return min(shutil.get_terminal_size().columns, WIDEST)


def _print_head(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def _print_cut(line: str) -> None:
    print(line if len(line) <= _columns() else f"{line[: _columns() - 1]}…")
