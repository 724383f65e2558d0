"""In which situations is a pipeline's question asked, and what is the answer? One table."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, make_url, text, update

import tracegate
from tests.contract.audit_forger import harm
from tests.contract.stores import an_event
from tracegate.core.events import Event
from tracegate.ops.gate_actions import Wish, act
from tracegate.sinks.spool import Spool
from tracegate.store.audit_gate import AuditedAction, append_audited_action
from tracegate.store.engine import is_postgresql, writing
from tracegate.store.events import EventStore
from tracegate.store.gate import ActionKind, ActionRow, append_action
from tracegate.store.schema import reply_count
from tracegate.store.traffic import CountRow, put_counts
from tracegate.store.upgrade import downgrade

STATUS = {"open": 0, "locked": 1, "inconclusive": 3}
TRACE = an_event().trace_id
NAME = "/v1/orders/{order_id}:missing_trace"


def run(python: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m tracegate gate`` as a pipeline does."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TRACEGATE_")}
    return subprocess.run(
        [python, "-m", "tracegate", "gate", *arguments],
        env={**inherited, "PYTHONWARNINGS": "error", "PYTHONPATH": str(Path(tracegate.__file__).parents[1]), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@dataclass
class Stage:
    """A store, and a spool, in which a situation is made.

    Attributes:
        engine: The store.
        spool: A directory that is not there yet.
        url: What the process is told; a situation may change it.
    """

    engine: Engine
    spool: Path
    url: str


Setup = Callable[[Stage], object]


def an_event_now(number: int = 0, *, ago: timedelta = timedelta(), **facts: Any) -> Event:  # noqa: ANN401 - any fact
    """Return an event of this moment, or of a time before."""
    return an_event(number, **{"time": datetime.now(UTC) - ago, **facts})


def seen(**facts: Any) -> Setup:  # noqa: ANN401 - same
    """Have an event in the store."""
    return lambda stage: EventStore(stage.engine).append([an_event_now(**facts)])


def done(kind: ActionKind, *, ago: timedelta = timedelta(minutes=1), **says: Any) -> Setup:  # noqa: ANN401 - same
    """Have an action in the store, of a time before, past all checks."""

    def setup(stage: Stage) -> None:
        at = datetime.now(UTC) - ago
        if "lasts" in says:
            says["until"] = at + says.pop("lasts")
        with writing(stage.engine) as connection:
            action = ActionRow(kind, at, actor="ana", **says)
            append_audited_action(connection, AuditedAction(service="orders", action=action, trace_id=TRACE))

    return setup


def unlocked(*accepts: str) -> Setup:
    """Unlock now, as an operator does."""

    def setup(stage: Stage) -> None:
        wish = Wish(
            kind="unlock", service="orders", actor="ana", incident="INC-1", trace_id=TRACE, accepts=frozenset(accepts)
        )
        assert act(stage.engine, wish) == ()

    return setup


def replied(
    replies: int = 1, *, ago: timedelta = timedelta(), silent: timedelta = timedelta(), service: str = "orders"
) -> Setup:
    """Have replies counted, in a minute of a time before; whoever counted has been silent for some time."""

    def setup(stage: Stage) -> None:
        now = datetime.now(UTC)
        row = CountRow("default", now - ago, replies, replies, replies, 0)
        put_counts(stage.engine, service, "host-1:4711/1", [row])
        with writing(stage.engine) as connection:
            connection.execute(update(reply_count).values(flushed_at=now - silent))

    return setup


def spooled(stage: Stage) -> None:
    """Have an event wait."""
    Spool(stage.spool).append([an_event_now()])


def spool_damaged(stage: Stage) -> None:
    """Have a file of the spool set aside."""
    spooled(stage)
    (file,) = stage.spool.iterdir()
    file.write_bytes(b"nonsense\n")
    Spool(stage.spool).replay(lambda _events: None)


def refused_for_good(stage: Stage) -> None:
    """Have an event set aside that no store takes."""

    def refuse(_events: object) -> None:
        raise ValueError

    spooled(stage)
    Spool(stage.spool).replay(refuse)


def recorded_nowhere(stage: Stage) -> None:
    """Have neither the store nor the spool take an event."""
    Spool(stage.spool).mark_lost(1)


def spool_is_a_file(stage: Stage) -> None:
    """Point to what is no directory."""
    stage.spool.write_text("")


def elsewhere(url: str) -> Setup:
    """Ask another store."""

    def setup(stage: Stage) -> None:
        stage.url = url.format(folder=stage.spool.parent)

    return setup


def damaged(stage: Stage) -> None:
    """Have something else in the file."""
    stage.engine.dispose()
    path = Path(make_url(stage.url).database or "")
    path.write_bytes(b"no database at all" * 500)


def execute(statement: str) -> Setup:
    """Do harm."""

    def setup(stage: Stage) -> None:
        with writing(stage.engine) as connection:
            connection.execute(text(statement))

    return setup


def without_trigger(stage: Stage) -> None:
    """Take away what keeps actions from being changed."""
    name = "tb_deploy_gate_no_" + ("change ON tb_deploy_gate" if is_postgresql(stage.engine) else "delete")
    execute(f"DROP TRIGGER {name}")(stage)


def unreadable(stage: Stage) -> None:
    """Have an action that nobody of tracegate has written."""
    execute(
        "INSERT INTO tb_deploy_gate (id, service, action, action_time, accepts_json, actor, audit_id)"
        " VALUES ('x', 'orders', 'lock', '2026-01-01T00:00:00.000000Z', '{\"accepts\": 7}', 'eve', '')"
    )(stage)


def unaudited(stage: Stage) -> None:
    """Have an unlock of which the audit log says nothing."""
    with writing(stage.engine) as connection:
        append_action(connection, "orders", ActionRow("unlock", datetime.now(UTC), actor="eve"), audit_id="x")


LOCKS = seen()
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ANY = ("--min-replies", "0")

SITUATIONS: dict[str, tuple[str, Sequence[Setup], tuple[str, ...]]] = {
    # Causes.
    "nothing has happened, traffic unjudged": ("open", (), ANY),
    "a missing trace": ("locked", (LOCKS,), ANY),
    "an invalid trace": ("locked", (seen(kind="invalid_trace"),), ANY),
    "a conflicting trace": ("locked", (seen(kind="conflicting_trace"),), ANY),
    "a missing trace of last month": ("locked", (seen(ago=720 * HOUR),), ANY),
    "a missing trace of another service": ("open", (seen(service="carts"),), ANY),
    "a missing trace where no route matched": ("open", (seen(route=None),), ANY),
    "a missing trace in mode mint": ("open", (seen(mode="mint"),), ANY),
    "a missing trace in mode observe": ("open", (seen(mode="observe"),), ANY),
    "an event of another kind": ("open", (seen(kind="stream_broken"),), ANY),
    # Unlocks.
    "unlocked": ("open", (seen(), unlocked(NAME)), ANY),
    "unlocked, and the accepted cause again": ("open", (seen(), unlocked(NAME), seen(number=1)), ANY),
    "unlocked, and another cause": ("locked", (seen(), unlocked(NAME), seen(number=1, kind="invalid_trace")), ANY),
    "unlocked without accepting, and the cause again": ("locked", (done("unlock"), seen()), ANY),
    "unlocked, and a late event of before": ("locked", (done("unlock"), seen(ago=HOUR)), ANY),
    # By hand.
    "locked by hand": ("locked", (done("lock"),), ANY),
    "locked and unlocked by hand": ("open", (done("lock"), unlocked()), ANY),
    "unlocked, then locked by hand": ("locked", (done("unlock", ago=HOUR), done("lock")), ANY),
    # Overrides.
    "overridden": ("open", (seen(), done("override", lasts=HOUR)), ()),
    "an override that has ended": ("locked", (seen(), done("override", ago=2 * HOUR, lasts=HOUR)), ANY),
    "an override for longer than allowed": ("locked", (seen(), done("override", ago=5 * HOUR, lasts=99 * HOUR)), ANY),
    "overridden, then locked": ("locked", (done("override", ago=HOUR, lasts=4 * HOUR), done("lock")), ANY),
    "overridden, with a spool that waits": ("open", (spooled, done("override", lasts=HOUR)), ()),
    "overridden, with a clock that is ahead": (
        "inconclusive", (seen(ago=-HOUR, mode="mint"), done("override", lasts=HOUR)), (),
    ),
    # Traffic.
    "nothing has been seen": ("inconclusive", (), ()),
    "a reply has been seen": ("open", (replied(),), ()),
    "as many replies as asked for": ("open", (replied(3), replied(2, ago=MINUTE)), ("--min-replies", "5")),
    "fewer replies than asked for": ("inconclusive", (replied(4),), ("--min-replies", "5")),
    "replies of another service only": ("inconclusive", (replied(service="order"),), ()),
    "replies before the window only": ("inconclusive", (replied(ago=20 * MINUTE),), ()),
    "replies within a longer window": ("open", (replied(ago=20 * MINUTE),), ("--window", "30")),
    "a worker that counts, and no reply": ("inconclusive", (replied(0),), ()),
    "replies, and nobody who counts any more": ("inconclusive", (replied(silent=2 * MINUTE),), ()),
    "nobody who counts any more, traffic unjudged": ("open", (replied(silent=2 * MINUTE),), ANY),
    "replies, and a missing trace": ("locked", (replied(), seen()), ()),
    "replies, and a spool that waits": ("inconclusive", (replied(), spooled), ()),
    "overridden, and nothing has been seen": ("open", (done("override", lasts=HOUR),), ()),
    "a first release, and workers that wait for traffic": ("open", (done("init"), replied(0)), ()),
    "no first release any more, by a reply": ("inconclusive", (done("init"), replied(ago=HOUR)), ()),
    "a first release": ("open", (done("init"),), ()),
    "no first release any more": ("inconclusive", (done("init"), seen(mode="mint")), ()),
    # Doubts.
    "a spool that waits": ("inconclusive", (spooled,), ANY),
    "a spool that waits, of a first release": ("inconclusive", (spooled, done("init")), ()),
    "a spool that was damaged": ("inconclusive", (spool_damaged,), ANY),
    "an event that no store takes": ("inconclusive", (refused_for_good,), ANY),
    "an event that was recorded nowhere": ("inconclusive", (recorded_nowhere,), ANY),
    "a spool that is none": ("inconclusive", (spool_is_a_file,), ANY),
    "a locked gate and a spool that waits": ("locked", (seen(), spooled), ANY),
    "an event from the future": ("inconclusive", (seen(ago=-HOUR, mode="mint"),), ANY),
    "an unlock from the future": ("inconclusive", (done("unlock", ago=-HOUR),), ANY),
    "an action that cannot be read": ("inconclusive", (unreadable,), ANY),
    "no trigger that keeps actions": ("inconclusive", (without_trigger,), ANY),
    "an unlock that nobody audited": ("inconclusive", (seen(), unaudited), ANY),
    "a broken audit chain": (
        "inconclusive", (done("lock"), unlocked(), lambda stage: harm(stage.engine, "DELETE FROM tb_audit_head")), ANY,
    ),
    "tables of an older version": ("inconclusive", (lambda stage: downgrade(stage.engine, "0002"),), ANY),
    "tables of a newer version": (
        "inconclusive", (execute("UPDATE tb_tracegate_version SET version_num = '9999'"),), ANY,
    ),
    "no tables": ("inconclusive", (elsewhere("sqlite:///{folder}/other.db"),), ANY),
    "no such folder": ("inconclusive", (elsewhere("sqlite:///{folder}/no/such.db"),), ANY),
    "no such server": ("inconclusive", (elsewhere("postgresql://ada:geheim@127.0.0.1:1/x"),), ANY),
    "no database in the file": ("inconclusive", (damaged,), ANY),
}  # fmt: skip
"""What it is called, the verdict, how it is made, and what else the process is told."""

ONLY_ON_SQLITE = frozenset(("no database in the file",))


def arranged(name: str, stage: Stage) -> list[str]:
    """Make the situation, and return the arguments of the question."""
    _, setups, options = SITUATIONS[name]
    for setup in setups:
        setup(stage)
    stage.engine.dispose()
    return ["check", "--service", "orders", "--spool", str(stage.spool), *options]


def checked(name: str, stage: Stage, python: str) -> tuple[str, int]:
    """Ask as a pipeline does, and return the state that is told and the exit code."""
    asked = run(python, *arranged(name, stage), TRACEGATE_STORE_URL=stage.url)
    assert "geheim" not in asked.stdout + asked.stderr
    assert stage.url not in asked.stdout + asked.stderr
    assert asked.stderr == ""
    return asked.stdout.split()[1], asked.returncode
