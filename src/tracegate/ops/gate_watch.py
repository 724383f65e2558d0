"""When does a service's deploy gate open or lock? Asks again and again, and hands on what is new.

A store that goes away and comes back is a verdict, like any other; what a kept connection still shows of a file that
has been moved away is not.

Source: contract clause H3.
"""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import msgspec

from tracegate.ops.deploy_gate import WINDOW, judge
from tracegate.ops.evidence import collect
from tracegate.ops.gate_report import render
from tracegate.store.engine import is_postgresql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta

    from sqlalchemy import Engine

    from tracegate.ops.deploy_gate import Verdict
    from tracegate.ops.evidence import Found
    from tracegate.sinks.spool import Spool

__all__ = ["Seen", "Timer", "look", "tell", "watch"]

_COUNT: Final = re.compile(r"\A\d+ × ")


class Seen(NamedTuple):
    """A verdict, and what it was made from."""

    verdict: Verdict
    found: Found


class Timer(Protocol):
    """What of the module ``time`` is needed."""

    def monotonic(self) -> float:
        """Return seconds, which never go back."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Wait so long."""
        ...


def look(
    engine: Engine, service: str, *, spool: Spool | None = None, min_replies: int = 1, window: timedelta = WINDOW
) -> Seen:
    """Return how the gate of *service* stands now; the arguments are those of :func:`~.evidence.collect`."""
    found = collect(engine, service, spool=spool, min_replies=min_replies, window=window)
    if not is_postgresql(engine):
        engine.dispose()  # a connection goes on showing a file that is no longer there
    return Seen(judge(found.evidence), found)


def watch(
    ask: Callable[[], Seen],
    *,
    interval_seconds: float,
    until: str | None = None,
    timeout_seconds: float | None = None,
    timer: Timer = time,
) -> Iterator[Seen]:
    """Yield the first verdict, and each one that differs from the one before it. Counts alone are no difference.

    Args:
        ask: Returns how the gate stands.
        interval_seconds: From one answer to the next question.
        until: End with the first verdict of this state.
        timeout_seconds: Ask for the last time when so much time has passed, counted from the call; None: never.
        timer: Another one than the machine's, for tests.
    """
    end = math.inf if timeout_seconds is None else timer.monotonic() + timeout_seconds
    told = None
    while True:
        seen = ask()
        if (sense := _sense(seen.verdict)) != told:
            told = sense
            yield seen
        left = end - timer.monotonic()
        if seen.verdict.state == until or left <= 0:
            return
        timer.sleep(min(interval_seconds, left))


def tell(service: str, seen: Seen, form: str = "text") -> str:
    """Return a verdict as one line.

    Args:
        service: Whose.
        seen: The verdict.
        form: ``text`` or ``json``.
    """
    told = render(service, seen.verdict, seen.found, form)
    if form == "json":
        return msgspec.json.format(told.encode(), indent=0).decode()
    head, *rest = told.split("\n")
    says = [line.strip() for line in rest[: len(seen.verdict.reasons) + len(seen.found.details)]]
    return f"{seen.found.evidence.now:%Y-%m-%dT%H:%M:%SZ} {head}: {'; '.join(says)}"


def _sense(verdict: Verdict) -> tuple[object, ...]:
    """Return what makes a verdict another one: the counts of its causes may grow with every question."""
    return verdict.state, verdict.until, tuple(_COUNT.sub("", reason) for reason in verdict.reasons)
