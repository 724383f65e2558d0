"""How does the matrix read as a table? Markdown for ``docs/matrix.md``, from nothing but what was measured."""

from __future__ import annotations

import platform
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.integration.matrix.losses import REASONS, Aspect
from tests.integration.servers import SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.integration.matrix.bench import Verdict

__all__ = ["render"]

HEAD = """# The server matrix

Every case of `tests/integration/matrix/cases.py` is asked of two processes of each server over a raw socket: the bare
application, and the same file gated by tracegate. The oracle (`tests/integration/matrix/oracle.py`) shares no code with
tracegate; it compares both replies byte by byte.

Written by `{command}` on {date}, CPython {python}. Versions stand below.

"""
COLUMNS = ("server", "cases", "counted", "exactly one right id", "error JSON", "SSE events", "cases without a fault")


def _share(part: int, whole: int) -> str:
    return f"{part}/{whole}"


def _row(name: str, verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    every = list(verdicts)
    counted = [verdict for verdict in every if verdict.id_counted]
    return (
        name,
        str(len(every)),
        str(len(counted)),
        _share(sum(verdict.id_right for verdict in counted), len(counted)),
        _share(sum(verdict.error_json_covered for verdict in counted), sum(verdict.error_json for verdict in counted)),
        _share(sum(verdict.events_covered for verdict in counted), sum(verdict.events for verdict in counted)),
        _share(sum(not verdict.faults for verdict in counted), len(counted)),
    )


def _table(rows: Iterable[tuple[str, ...]], columns: tuple[str, ...]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _losses(matrix: Mapping[str, Mapping[str, Verdict]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, verdicts in matrix.items():
        keys = Counter(verdict.loss.key for verdict in verdicts.values() if verdict.loss)
        shown = {verdict.loss.key: verdict.loss for verdict in verdicts.values() if verdict.loss}
        rows += [
            (name, f"`{key}`", str(keys[key]), loss.aspect.value, loss.seen, REASONS[name].get(key, "not documented"))
            for key, loss in shown.items()
        ]
    return rows


def _faults(matrix: Mapping[str, Mapping[str, Verdict]]) -> list[tuple[str, ...]]:
    return [
        (name, f"`{case}`", "; ".join(verdict.faults).replace("|", "\\|")[:300])
        for name, verdicts in matrix.items()
        for case, verdict in verdicts.items()
        if verdict.faults
    ]


def render(matrix: Mapping[str, Mapping[str, Verdict]], command: str) -> str:
    """Return the page for *matrix*: server name to case id to verdict."""
    text = HEAD.format(command=command, date=datetime.now(UTC).date(), python=platform.python_version())
    text += _table((_row(name, verdicts.values()) for name, verdicts in matrix.items()), COLUMNS)
    text += (
        "\nA case is *counted* unless the bare application loses it already; those are listed below. Of a lost\n"
        "*broken ending* only the ending is not asked; the id, the bytes and the events are.\n"
        "\n## What a bare application loses\n\n"
    )
    columns = ("server", "shown by", "cases", "what is lost", "seen", "why")
    text += _table(_losses(matrix), columns)
    text += f"\n({Aspect.SERVER.value}: such replies never reach an application, CONTRACT C9.)\n"
    if faults := _faults(matrix):
        text += "\n## Faults\n\n" + _table(faults, ("server", "case", "found"))
    text += "\n## Versions\n\n" + "".join(f"- {name}: {SERVERS[name].versions}\n" for name in matrix)
    return text
