"""Is the store well? What an operator should know before relying on it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING, Final, Literal

from sqlalchemy import func, select, text

from tracegate.errors import StoreError
from tracegate.store.engine import is_postgresql, reading
from tracegate.store.schema import APPEND_ONLY, ops_event
from tracegate.store.upgrade import state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

__all__ = ["SKEW", "Finding", "examine", "examine_store", "has_wal_reset_bug"]

SKEW: Final = timedelta(seconds=5)
"""How far apart two clocks may be."""

_OWN_NAME: Final = "tracegate-http"
_WAL_BUG_FIRST: Final = (3, 7, 0)
_WAL_BUG_FIXED: Final = (3, 51, 3)
_WAL_BUG_FIXED_ALSO: Final = ((3, 44, 6), (3, 50, 7))

_TRIGGERS_SQLITE: Final = (
    "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'tb~_%~_no~_%' ESCAPE '~'"
)
_TRIGGERS_POSTGRESQL: Final = (
    "SELECT count(*) FROM pg_trigger"
    " WHERE tgfoid IN ('tracegate_append_only'::regproc, 'tracegate_only_prefix'::regproc)"
    " AND tgparentid = 0 AND tgenabled IN ('O', 'A')"
    " AND tgrelid NOT IN (SELECT inhrelid FROM pg_inherits)"
)
_DISABLED_ON_A_DAY: Final = (
    "SELECT count(*) FROM pg_trigger JOIN pg_inherits ON inhrelid = tgrelid"
    " WHERE tgfoid = 'tracegate_append_only'::regproc AND tgenabled NOT IN ('O', 'A')"
)
_TOMORROW: Final = (
    "SELECT to_regclass('tb_ops_event_' || to_char((now() AT TIME ZONE 'UTC')::date + 1, 'YYYYMMDD')) IS NOT NULL"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What.
        verdict: A ``fault`` is to be mended before the store is relied on; a ``warning`` is to be known.
        says: One English sentence.
    """

    subject: str
    verdict: Literal["ok", "warning", "fault"]
    says: str


def examine(engine: Engine) -> list[Finding]:
    """Return what there is to say about the store, the installation, and this machine's clock.

    Never raises for a store that does not answer: that is a finding.
    """
    findings = [_distribution()]
    if not is_postgresql(engine):
        findings.append(_sqlite_library())
    return findings + examine_store(engine)


def examine_store(engine: Engine) -> list[Finding]:
    """Return what there is to say about the store and the clocks: what can change while a process runs.

    Without the installation, which costs a hundred times as much to look at. Never raises for a store that does not
    answer.
    """
    try:
        found = state(engine)
        findings = [Finding("reachable", "ok", "the store answers"), _migrations(found)]
        if found == "current":
            with reading(engine) as connection:
                findings += _tables(connection)
    except StoreError as error:
        return [Finding("reachable", "fault", error.reason)]
    except (TypeError, ValueError):  # of a value that no writer of ours wrote
        return [Finding("reachable", "fault", "a row cannot be read: who wrote it?")]
    return findings


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Return whether SQLite *version* can damage a file that several processes write in WAL mode.

    Source: https://sqlite.org/wal.html, "The WAL-Reset Bug": from 3.7.0, fixed in 3.51.3, 3.50.7 and 3.44.6.
    """
    mended = any(version[:2] == fixed[:2] and version >= fixed for fixed in _WAL_BUG_FIXED_ALSO)
    return _WAL_BUG_FIRST <= version < _WAL_BUG_FIXED and not mended


def _distribution() -> Finding:
    names = sorted(set(packages_distributions().get("tracegate", ())))
    others = [name for name in names if name != _OWN_NAME]
    if others:
        return Finding("installation", "fault", f"the package tracegate also comes from {', '.join(others)}: remove it")
    return Finding("installation", "ok", _OWN_NAME if names else "run from its source")


def _sqlite_library() -> Finding:
    version = sqlite3.sqlite_version
    if has_wal_reset_bug(sqlite3.sqlite_version_info):
        says = f"{version} has the WAL-reset bug: several processes that write can damage the file; use 3.51.3 or newer"
        return Finding("sqlite library", "warning", says)
    return Finding("sqlite library", "ok", version)


def _migrations(found: str) -> Finding:
    if found == "current":
        return Finding("migrations", "ok", "the tables are those of this version")
    if found == "ahead":
        return Finding("migrations", "fault", "the tables are those of a newer tracegate")
    says = "the tables are older than this version" if found == "behind" else "there are no tables"
    return Finding("migrations", "fault", f"{says}; run: python -m tracegate store upgrade")


def _tables(connection: Connection) -> Iterator[Finding]:
    yield _append_only(connection)
    yield _clock(connection)
    if is_postgresql(connection):
        ahead = connection.scalar(text(_TOMORROW))
        says = "tomorrow's partition is there" if ahead else "tomorrow's partition is made when its first event comes"
        yield Finding("partitions", "ok" if ahead else "warning", says)


def _append_only(connection: Connection) -> Finding:
    on_postgresql = is_postgresql(connection)
    expected = len(APPEND_ONLY) * 2 + 1 if on_postgresql else len(APPEND_ONLY) * 3
    in_force = connection.scalar(text(_TRIGGERS_POSTGRESQL if on_postgresql else _TRIGGERS_SQLITE))
    disabled = connection.scalar(text(_DISABLED_ON_A_DAY)) if on_postgresql else 0
    if in_force == expected and not disabled:
        return Finding("append-only", "ok", "the triggers are in force")
    return Finding("append-only", "fault", "triggers that keep rows from being changed are missing or disabled")


def _clock(connection: Connection) -> Finding:
    before = datetime.now(UTC)
    on_postgresql = is_postgresql(connection)
    server: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one() if on_postgresql else before
    after = datetime.now(UTC)
    newest = connection.scalar(select(func.max(ops_event.c.event_time)))
    if not before - SKEW <= server <= after + SKEW:
        apart = abs(server - before).total_seconds()
        return Finding("clock", "fault", f"this clock and the store's differ by {apart:.0f} s")
    if newest is not None and newest > after + SKEW:
        return Finding("clock", "fault", f"the newest event is from the future, {newest:%Y-%m-%dT%H:%M:%SZ}")
    return Finding("clock", "ok", "this clock, the store's and the writers' agree")
