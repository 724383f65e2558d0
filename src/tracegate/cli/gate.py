"""May this service be released? Asks its deploy gate, and lets an operator lock and unlock it."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tracegate.errors import ConfigurationError, StoreError
from tracegate.ops.deploy_gate import LONGEST_OVERRIDE, WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from types import FrameType

    from sqlalchemy import Engine

    from tracegate.ops.gate_watch import Seen

__all__ = ["add_to"]

_VARIABLE = "TRACEGATE_STORE_URL"
_SPOOL_VARIABLE = "TRACEGATE_SPOOL_DIRECTORY"
_LONGEST_TEXT: Final = 500
_MOST_DIGITS: Final = 9
_SHORTEST_SECONDS: Final = 0.1
_LONGEST_SECONDS: Final = 86_400
_LONGEST_HOURS: Final = LONGEST_OVERRIDE / timedelta(hours=1)
_STATUS_BY_STATE: Final[Mapping[str, int]] = {"open": 0, "locked": 1, "inconclusive": 3}

_WINDOW: Final = WINDOW / timedelta(minutes=1)
_LONGEST_WINDOW: Final = 24 * 60
_IN_WINDOW = "within how many minutes until now (%(default)g)"
_CHECK = "leave with 0 only where the gate is open: 1 locked, 3 inconclusive"
_WATCH = "say how the gate stands, and again whenever that changes; leave as `check` would after the last verdict"
_REPLIES = "how many replies of the service must have been seen (%(default)s); 0 leaves traffic unjudged"
_SPOOL = f"where its events wait while the store is away; else {_SPOOL_VARIABLE}, else where a service here has them"
_UNLOCK_TRACE = "a trace of the incident, as the verdict names it"


def add_to(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add the verb ``gate``."""
    parser = verbs.add_parser("gate", help="ask, lock and unlock the deploy gate of a service")
    steps = parser.add_subparsers(title="steps", required=True, metavar="STEP")
    _add_step(steps, "status", _status, "say how the gate stands")
    _add_step(steps, "check", _check, _CHECK)
    watch = _add_step(steps, "watch", _watch, _WATCH, formats=("text", "json"))
    watch.add_argument("--interval", type=_seconds, default=5.0, metavar="SECONDS", help="ask so often (%(default)g)")
    watch.add_argument("--until", choices=("open", "locked"), help="leave with the first verdict of this kind")
    watch.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="leave after so long, whatever the verdict")
    _add_action(steps, "lock", "close the gate by hand")
    unlock = _add_action(steps, "unlock", "say that what locks the gate is dealt with")
    unlock.add_argument("--incident", type=_text, required=True, help="which one is dealt with")
    unlock.add_argument("--trace", type=_text, required=True, dest="trace_id", metavar="TRACE", help=_UNLOCK_TRACE)
    unlock.add_argument(
        "--accept",
        type=_text,
        action="append",
        default=[],
        metavar="ROUTE:KIND",
        help="a cause that still arrives and may go on; once for each",
    )
    override = _add_action(steps, "override", "open the gate for a fix; it closes by itself")
    override.add_argument(
        "--hours", type=_hours, default=1.0, help=f"for so long, at most {_LONGEST_HOURS:g} (%(default)g)"
    )
    _add_action(steps, "init", "let out the first release of a service of which nothing has been seen")


def _add_step(
    steps: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]
    name: str,
    step: Callable[[argparse.Namespace], int],
    says: str,
    *,
    formats: tuple[str, ...] = ("text", "json", "junit", "sarif"),
) -> argparse.ArgumentParser:
    parser = steps.add_parser(name, help=says, description=says)
    parser.add_argument("--service", type=_text, required=True, help="its name in events")
    parser.add_argument("--url", help=f"sqlite:///path or postgresql://…; else {_VARIABLE} of the environment")
    parser.add_argument("--spool", type=Path, metavar="DIRECTORY", help=_SPOOL)
    parser.add_argument("--min-replies", type=_count, default=1, metavar="N", help=_REPLIES)
    parser.add_argument("--window", type=_minutes, default=_WINDOW, metavar="MINUTES", help=_IN_WINDOW)
    parser.add_argument("--format", choices=formats, default="text")
    parser.set_defaults(run=_run, step=step, kind=name, parser=parser)
    return parser


def _add_action(
    steps: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]
    name: str,
    says: str,
) -> argparse.ArgumentParser:
    parser = _add_step(steps, name, _act, says)
    parser.add_argument("--actor", type=_text, required=True, help="who does it")
    parser.add_argument("--reason", type=_text, required=name == "override", help="why")
    return parser


def _run(chosen: argparse.Namespace) -> int:
    """Run one step; what goes wrong is one line on the error stream."""
    try:
        step: Callable[[argparse.Namespace], int] = chosen.step
        return step(chosen)
    except ModuleNotFoundError as error:
        print(f'{error.name} is not installed; run: pip install "tracegate-http[store]"', file=sys.stderr)
    except StoreError as error:
        print(error, file=sys.stderr)
    unknown = _STATUS_BY_STATE["inconclusive"]
    return {"check": unknown, "watch": unknown, "status": 0}.get(chosen.kind, 1)


def _status(chosen: argparse.Namespace) -> int:
    _tell(chosen)
    return 0


def _check(chosen: argparse.Namespace) -> int:
    return _STATUS_BY_STATE[_tell(chosen)]


def _act(chosen: argparse.Namespace) -> int:
    from tracegate.ops.gate_actions import Wish, act  # noqa: PLC0415 - other verbs do not pay for SQLAlchemy

    wish = Wish(
        kind=chosen.kind,
        service=chosen.service,
        actor=chosen.actor,
        reason=chosen.reason or "",
        incident=getattr(chosen, "incident", ""),
        trace_id=getattr(chosen, "trace_id", ""),
        accepts=frozenset(getattr(chosen, "accept", ())),
        lasts=timedelta(hours=getattr(chosen, "hours", 1)),
    )
    with _opened(chosen) as engine:
        refusals = act(engine, wish)
    for refusal in refusals:
        print(refusal, file=sys.stderr)
    if refusals:
        return 1
    _tell(chosen)
    return 0


def _watch(chosen: argparse.Namespace) -> int:
    """Tell each change, until it is time to leave or somebody says so."""
    state = "inconclusive"
    with _ended_by_signals():
        try:
            from tracegate.ops.gate_watch import tell, watch  # noqa: PLC0415 - same

            with _asking(chosen) as ask:
                for seen in watch(
                    ask, interval_seconds=chosen.interval, until=chosen.until, timeout_seconds=chosen.timeout
                ):
                    state = seen.verdict.state
                    print(tell(chosen.service, seen, chosen.format), flush=True)
        except KeyboardInterrupt:
            pass
        except BrokenPipeError:  # nobody reads on; what is left in the buffer must not fail again at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _STATUS_BY_STATE[state]


@contextmanager
def _ended_by_signals() -> Generator[None]:
    """Raise KeyboardInterrupt at the first SIGINT or SIGTERM; leave undisturbed what is done after it."""

    def end(_number: int, _frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    for each in before:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _tell(chosen: argparse.Namespace) -> str:
    """Print the verdict, and return its state."""
    from tracegate.ops.gate_report import render  # noqa: PLC0415 - same

    with _asking(chosen) as ask:
        verdict, found = ask()
    print(render(chosen.service, verdict, found, chosen.format))
    return verdict.state


@contextmanager
def _asking(chosen: argparse.Namespace) -> Generator[Callable[[], Seen]]:
    """Give what asks for the verdict, as often as wanted, of one opened store."""
    from tracegate.ops.gate_watch import look  # noqa: PLC0415 - same
    from tracegate.ops.own_spool import own_spool  # noqa: PLC0415 - same

    with _opened(chosen) as engine:
        spool = own_spool(_url(chosen), chosen.spool or os.environ.get(_SPOOL_VARIABLE, ""))
        window = timedelta(minutes=chosen.window)
        yield lambda: look(engine, chosen.service, spool=spool, min_replies=chosen.min_replies, window=window)


@contextmanager
def _opened(chosen: argparse.Namespace) -> Generator[Engine]:
    from tracegate.store.engine import open_engine  # noqa: PLC0415 - same

    url = _url(chosen)
    if not url:
        chosen.parser.error(f"which store? give --url, or set {_VARIABLE}")
    engine = None
    try:
        engine = open_engine(url)
        yield engine
    except ConfigurationError as error:
        chosen.parser.error(str(error))
    finally:
        if engine is not None:
            engine.dispose()


def _url(chosen: argparse.Namespace) -> str:
    url: str = chosen.url or os.environ.get(_VARIABLE, "")
    return url


def _text(value: str) -> str:
    if not value.strip() or not value.isprintable() or len(value) > _LONGEST_TEXT:
        raise argparse.ArgumentTypeError(f"must be printable, not empty, and at most {_LONGEST_TEXT} characters")
    return value


def _count(value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > _MOST_DIGITS:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number of replies")
    return int(value)


def _minutes(value: str) -> float:
    try:
        minutes = float(value)
    except ValueError:
        minutes = math.nan
    if not 1 <= minutes <= _LONGEST_WINDOW:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number of minutes from 1 up to {_LONGEST_WINDOW}")
    return minutes


def _hours(value: str) -> float:
    try:
        hours = float(value)
    except ValueError:
        hours = math.nan
    if not 0 < hours <= _LONGEST_HOURS:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number of hours above 0, up to {_LONGEST_HOURS:g}")
    return hours


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not _SHORTEST_SECONDS <= seconds <= _LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(
            f"{value!r} is not a number of seconds from {_SHORTEST_SECONDS:g} to {_LONGEST_SECONDS}"
        )
    return seconds
