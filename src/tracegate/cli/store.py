"""How does an operator keep the event store? Makes and removes its tables, examines it, drops old events."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import msgspec

from tracegate.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    Verb = Callable[[argparse.Namespace, Engine], int]

__all__ = ["add_to"]

_VARIABLE = "TRACEGATE_STORE_URL"
_LONGEST_DIGITS = 5


def add_to(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add the verb ``store``."""
    parser = verbs.add_parser("store", help="keep the event store: its tables, its health, its old events")
    steps = parser.add_subparsers(title="steps", required=True, metavar="STEP")
    _step(steps, "upgrade", _upgrade, "make the tables of this version, or bring them up to it")
    down = _step(steps, "downgrade", _downgrade, "take the tables back to a revision")
    down.add_argument("revision", help="a revision, or `base`: drop all tables")
    down.add_argument("--discard", action="store_true", help="also where events or audit rows would be lost")
    doctor = _step(steps, "doctor", _doctor, "examine the store; leaves with 1 where there is a fault")
    doctor.add_argument("--format", choices=("text", "json"), default="text")
    rollup = _step(steps, "rollup", _rollup, "bring the hourly metrics up to what has come since the last time")
    rollup.add_argument("--since", type=_time, metavar="TIME", help="instead: from this hour on; 2026-11-23T10, UTC")
    rollup.add_argument("--until", type=_time, metavar="TIME", help="and before this time (now)")
    retain = _step(steps, "retain", _retain, "drop the events of old days; audit rows are kept, whatever their age")
    which = retain.add_mutually_exclusive_group(required=True)
    which.add_argument("--before", type=_day, metavar="YYYY-MM-DD", help="the first day to keep, UTC")
    which.add_argument("--keep-days", type=_days, metavar="N", help="keep today and the N days before it")


def _step(
    steps: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]
    name: str,
    verb: Verb,
    says: str,
) -> argparse.ArgumentParser:
    parser = steps.add_parser(name, help=says, description=says)
    parser.add_argument("--url", help=f"sqlite:///path or postgresql://…; else {_VARIABLE} of the environment")
    parser.set_defaults(run=_run, step=verb, parser=parser)
    return parser


def _run(chosen: argparse.Namespace) -> int:
    """Run one step; what goes wrong is one line on the error stream, and status 1."""
    url: str = chosen.url or os.environ.get(_VARIABLE, "")
    if not url:
        chosen.parser.error(f"which store? give --url, or set {_VARIABLE}")
    try:
        from tracegate.store.engine import open_engine  # noqa: PLC0415 - other verbs do not pay for SQLAlchemy

        engine = open_engine(url)
        try:
            step: Verb = chosen.step
            return step(chosen, engine)
        finally:
            engine.dispose()
    except ModuleNotFoundError as error:
        print(f'{error.name} is not installed; run: pip install "tracegate-http[store]"', file=sys.stderr)
    except (StoreError, ConfigurationError) as error:
        print(error, file=sys.stderr)
    return 1


def _upgrade(_chosen: argparse.Namespace, engine: Engine) -> int:
    from tracegate.store.upgrade import state, upgrade  # noqa: PLC0415 - same

    before = state(engine)
    upgrade(engine)
    print("nothing to do: the tables are those of this version" if before == "current" else "the tables are made")
    return 0


def _downgrade(chosen: argparse.Namespace, engine: Engine) -> int:
    from tracegate.store.upgrade import REVISIONS, downgrade, holds_rows  # noqa: PLC0415 - same

    if chosen.revision not in (*REVISIONS, "base"):
        print(f"there is no revision {chosen.revision!a}: {', '.join(REVISIONS)} or base", file=sys.stderr)
        return 1
    if chosen.revision == "base" and not chosen.discard and holds_rows(engine):
        print("the store holds events or audit rows; to drop them with the tables, add --discard", file=sys.stderr)
        return 1
    downgrade(engine, chosen.revision)
    print(f"the tables are those of {chosen.revision}")
    return 0


def _doctor(chosen: argparse.Namespace, engine: Engine) -> int:
    from tracegate.store.doctor import examine  # noqa: PLC0415 - same

    findings = examine(engine)
    if chosen.format == "json":
        print(msgspec.json.format(msgspec.json.encode(findings)).decode())
    else:
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            print(f"{finding.verdict:7}  {finding.subject:{width}}  {finding.says}")
    return int(any(finding.verdict == "fault" for finding in findings))


def _rollup(chosen: argparse.Namespace, engine: Engine) -> int:
    from tracegate.store.rollup import roll_up_new, rollup  # noqa: PLC0415 - same

    if chosen.since is None:
        if chosen.until is not None:
            chosen.parser.error("--until goes with --since")
        hours = roll_up_new(engine)
    else:
        hours = rollup(engine, chosen.since, chosen.until or datetime.now(UTC))
    print(f"{hours} hours are up to date" if hours else "nothing to do: nothing has come")
    return 0


def _retain(chosen: argparse.Namespace, engine: Engine) -> int:
    from tracegate.store.retain import retain  # noqa: PLC0415 - same
    from tracegate.store.rollup import roll_up_new  # noqa: PLC0415 - same
    from tracegate.store.streams import drop_streams  # noqa: PLC0415 - same
    from tracegate.store.traffic import drop_counts  # noqa: PLC0415 - same

    today = datetime.now(UTC).date()
    before = chosen.before or today - timedelta(days=chosen.keep_days)
    drop_streams(engine, datetime.combine(before, time(), UTC))
    roll_up_new(engine)  # from what is about to go
    dropped = retain(engine, before)
    drop_counts(engine, datetime.combine(before, time(), UTC))
    print(f"{dropped} events before {before} dropped; audit rows are kept: only a signed checkpoint lets them go")
    return 0


def _day(value: str) -> date:
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is not a day") from None
    if day > datetime.now(UTC).date():
        raise argparse.ArgumentTypeError(f"{value} is after today")
    return day


def _days(value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > _LONGEST_DIGITS:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number of days up to {'9' * _LONGEST_DIGITS}")
    return int(value)


def _time(value: str) -> datetime:
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is not a time") from None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
