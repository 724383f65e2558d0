"""Is the audit log as it was written? Verifies its chains, signs them, shows and drops rows."""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tracegate.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from tracegate.store.audit_chain import Position
    from tracegate.store.audit_checkpoint import Checkpoint
    from tracegate.store.audit_hash import AuditKey
    from tracegate.store.audit_scan import Report

    Verb = Callable[[argparse.Namespace, Engine], int]

__all__ = ["add_to"]

_VARIABLE: Final = "TRACEGATE_STORE_URL"
_LONGEST_DIGITS: Final = 5
_BAR_CELLS: Final = 30
_BAR_SECONDS: Final = 0.1

_VERIFY = "leave with 0 only where every row is as it was written"
_CHECKPOINT = "verify the chains since their last checkpoint, and print a signed line for each, to be kept elsewhere"
_RETAIN = "drop old rows, up to a signed checkpoint, which stays in their place"


def add_to(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add the verb ``audit``."""
    parser = verbs.add_parser("audit", help="verify, sign and show the audit log")
    steps = parser.add_subparsers(title="steps", required=True, metavar="STEP")
    verify = _step(steps, "verify", _verify, _VERIFY)
    verify.add_argument("--checkpoint", type=Path, metavar="FILE", help="lines kept elsewhere")
    verify.add_argument(
        "--resume", type=_Positions, metavar="FILE", help="go on where the run before that named FILE has stopped"
    )
    checkpoint = _step(steps, "checkpoint", _checkpoint, _CHECKPOINT)
    checkpoint.add_argument("--adopt", action="store_true", help="also rows made without the key: when it is new")
    rows = _step(steps, "list", _list, "show the newest rows")
    rows.add_argument("--incident", metavar="ID", help="of one incident")
    rows.add_argument("--limit", type=_count, default=20, metavar="N", help="at most so many (%(default)s)")
    for step in (verify, rows):
        step.add_argument("--format", choices=("text", "json"), default="text")
    retain = _step(steps, "retain", _retain, _RETAIN)
    retain.add_argument("--actor", required=True, help="who does it: an audit row says so")
    which = retain.add_mutually_exclusive_group(required=True)
    which.add_argument("--before", type=_day, metavar="YYYY-MM-DD", help="the first day to keep, UTC")
    which.add_argument("--keep-days", type=_count, metavar="N", help="keep today and the N days before it")


def _step(
    steps: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]
    name: str,
    verb: Verb,
    says: str,
) -> argparse.ArgumentParser:
    parser = steps.add_parser(name, help=says, description=says)
    parser.add_argument("--url", help=f"sqlite:///path or postgresql://…; else {_VARIABLE} of the environment")
    parser.add_argument("--tenant", help="of one tenant only")
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


def _verify(chosen: argparse.Namespace, engine: Engine) -> int:
    from tracegate.ops.audit_key import audit_key  # noqa: PLC0415 - same
    from tracegate.store.audit_scan import Scan, verify_chain  # noqa: PLC0415 - same

    given = _checkpoints(chosen)
    positions: _Positions | None = chosen.resume
    reports: list[Report] = []
    for tenant in _tenants(chosen, engine, *(checkpoint.tenant_id for checkpoint in given)):
        tell = _Progress(tenant, positions)
        after = None if positions is None else positions.of(tenant)
        scan = Scan(key=audit_key(), after=after, checkpoints=given, progress=tell.page_done)
        reports.append(verify_chain(engine, tenant, scan))
        tell.end()
    passed = bool(reports) and all(report.passed and report.end.chain_seq for report in reports)
    if chosen.format == "json":
        chains = [{**_as_json(report), "checkpoints_not_compared": _not_compared(report, given)} for report in reports]
        print(msgspec.json.format(msgspec.json.encode({"passed": passed, "chains": chains})).decode())
        return int(not passed)
    for report in reports:
        print(_as_text(report, _not_compared(report, given)))
    if not reports:
        print("there is no audit row")
    return int(not passed)


def _checkpoint(chosen: argparse.Namespace, engine: Engine) -> int:
    from tracegate.ops.audit_sign import sign_chain  # noqa: PLC0415 - same

    key = _key()
    for tenant in _tenants(chosen, engine):
        print(sign_chain(engine, tenant, key, adopts=chosen.adopt).as_line(), flush=True)
    return 0


def _list(chosen: argparse.Namespace, engine: Engine) -> int:
    from tracegate.store.audit_read import find_rows  # noqa: PLC0415 - same
    from tracegate.store.engine import reading  # noqa: PLC0415 - same

    with reading(engine) as connection:
        rows = find_rows(
            connection, tenant=_stored(chosen.tenant), incident=_stored(chosen.incident), limit=chosen.limit
        )
    if chosen.format == "json":
        shown = [{name: _readable(value) for name, value in row.items()} for row in rows]
        print(msgspec.json.format(msgspec.json.encode(shown)).decode())
        return 0
    columns = (
        "created_at",
        "tenant_id",
        "chain_seq",
        "action_type",
        "target_id",
        "actor_user_id",
        "incident_id",
        "reason",
    )
    for row in rows:
        print("  ".join(_shown(row[name]) or "-" for name in columns))
    return 0


def _retain(chosen: argparse.Namespace, engine: Engine) -> int:
    from tracegate.runtime import SystemMint  # noqa: PLC0415 - same
    from tracegate.store.audit_gate import OPERATIONS  # noqa: PLC0415 - same
    from tracegate.store.audit_retain import Retention, retain_audit  # noqa: PLC0415 - same

    if chosen.tenant == OPERATIONS:
        chosen.parser.error(f"the rows of {OPERATIONS} stay: the deploy gate is made of them")
    key = _key()
    first_day = chosen.before or datetime.now(UTC).date() - timedelta(days=chosen.keep_days)
    before = datetime.combine(first_day, clock_time(), UTC)
    for tenant in _tenants(chosen, engine):
        if tenant != OPERATIONS:
            asked = Retention(before=before, actor=chosen.actor, trace_id=SystemMint().trace_id().text)
            print(f"{_shown(tenant)}: {retain_audit(engine, tenant, asked, key)} rows before {first_day} dropped")
    return 0


def _key() -> AuditKey:
    from tracegate.ops.audit_key import audit_key  # noqa: PLC0415 - same

    key = audit_key()
    if key is None:
        raise ConfigurationError((("audit_key", "set TRACEGATE_AUDIT_KEY: a checkpoint is signed with it"),))
    return key


def _tenants(chosen: argparse.Namespace, engine: Engine, *more: str) -> list[str]:
    from tracegate.store.audit_read import read_tenants  # noqa: PLC0415 - same
    from tracegate.store.engine import reading  # noqa: PLC0415 - same
    from tracegate.store.upgrade import state  # noqa: PLC0415 - same

    if state(engine) != "current":
        raise StoreError("its tables are not those of this version; run: python -m tracegate store upgrade")
    if chosen.tenant is not None:
        return [_stored(chosen.tenant) or ""]
    with reading(engine) as connection:
        return sorted({*read_tenants(connection), *more})


def _stored(given: str | None) -> str | None:
    from tracegate.store.text import storable  # noqa: PLC0415 - same

    return None if given is None else storable(given)


# What is shown


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "tenant_id": _shown(report.tenant_id),
        "passed": report.passed,
        "checked_rows": report.rows,
        "after": report.start,
        "end": report.end.chain_seq,
        "checkpoints": report.checkpoints,
        "failure_count": report.failure_count,
        "failure_samples": [
            {
                "kind": failure.kind,
                "chain_seq": failure.chain_seq,
                "audit_id": failure.audit_id and _shown(failure.audit_id),
            }
            for failure in report.failures
        ],
    }


def _as_text(report: Report, not_compared: int) -> str:
    first = f"{_shown(report.tenant_id)}: "
    if report.end.chain_seq == 0 and report.passed:
        return f"{first}there is no audit row"
    span = f"{report.rows:,} rows verified, from {report.start + 1} to {report.end.chain_seq}"
    span = span if report.rows else f"no row after {report.start}"
    lines = [f"{first}{'ok' if report.passed else 'BROKEN'}, {span}, {report.checkpoints} checkpoints"]
    if not_compared:
        lines.append(f"  {not_compared} of the checkpoints given are from before those rows: not compared")
    lines += [f"  {_shown(str(failure))}" for failure in report.failures]
    if report.failure_count > len(report.failures):
        lines.append(f"  and {report.failure_count - len(report.failures):,} more")
    return "\n".join(lines)


def _not_compared(report: Report, given: tuple[Checkpoint, ...]) -> int:
    return sum(one.tenant_id == report.tenant_id and one.chain_seq < report.start for one in given)


def _readable(value: object) -> object:
    """Return what JSON can hold, whatever a forger has written."""
    return str(value).encode("utf-8", "backslashreplace").decode() if isinstance(value, str | bytes) else value


def _shown(value: object) -> str:
    """Return what a terminal can take: one line, and no control characters."""
    text = "" if value is None else str(value)
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


class _Positions:
    """Up to which row each chain has been verified, in a file. Who can change that file can hide what is before it."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        try:
            held = self._path.read_bytes()
            self._rows = msgspec.json.decode(held, type=dict[str, tuple[int, str, str]])
        except FileNotFoundError:
            self._rows = {}
        except (OSError, msgspec.MsgspecError) as error:
            raise argparse.ArgumentTypeError(f"{path}: {error}") from None

    def of(self, tenant: str) -> Position | None:
        """Return where to go on."""
        from tracegate.store.audit_chain import Position  # noqa: PLC0415 - same

        return Position(*self._rows[tenant]) if tenant in self._rows else None

    def keep(self, tenant: str, at: Position) -> None:
        """Write it down, whole or not at all."""
        self._rows[tenant] = (at.chain_seq, at.chain_hash, at.created_at)
        new = self._path.with_name(f"{self._path.name}.new")
        new.write_bytes(msgspec.json.encode(self._rows))
        new.replace(self._path)


class _Progress:
    """Keeps the position, and draws a bar where a person looks on."""

    def __init__(self, tenant: str, positions: _Positions | None) -> None:
        self._tenant = tenant
        self._positions = positions
        self._draws = sys.stderr.isatty()
        self._next = 0.0

    def page_done(self, rows: int, total: int, verified: Position) -> None:
        """Take the news of one page."""
        if self._positions is not None and verified.chain_seq:
            self._positions.keep(self._tenant, verified)
        if self._draws and (time.monotonic() >= self._next or rows == total):
            self._next = time.monotonic() + _BAR_SECONDS
            cells = _BAR_CELLS * rows // max(total, 1)
            bar = "#" * cells + "." * (_BAR_CELLS - cells)
            print(f"\r{_shown(self._tenant)} [{bar}] {rows:,} of {total:,} rows", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line of the bar."""
        if self._draws:
            print(file=sys.stderr)


# What is given


def _checkpoints(chosen: argparse.Namespace) -> tuple[Checkpoint, ...]:
    from tracegate.store.audit_checkpoint import Checkpoint  # noqa: PLC0415 - same

    path: Path | None = chosen.checkpoint
    if path is None:
        return ()
    found: tuple[Checkpoint, ...] = ()
    fault = "holds no checkpoint"
    try:
        found = tuple(Checkpoint.from_line(line) for line in path.read_text(encoding="utf-8").splitlines() if line)
    except (OSError, ValueError) as error:
        fault = str(error)
    if not found:
        chosen.parser.error(f"{path}: {fault}")
    return found


def _day(value: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is not a day") from None


def _count(value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > _LONGEST_DIGITS:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number up to {'9' * _LONGEST_DIGITS}")
    return int(value)
