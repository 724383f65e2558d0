"""What does a pipeline hear in each situation? As a process, as pipelines ask; and all of it on both stores."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.contract.gate_situations import (
    NOT_AS_PROCESSES,
    ON_POSTGRESQL,
    ONLY_ON_SQLITE,
    SITUATIONS,
    STATUS,
    Stage,
    arranged,
    checked,
)
from tests.contract.stores import Templates, opened
from tracegate.cli import main


def expected(names: list[str]) -> dict[str, tuple[str, int]]:
    """Return what the table says."""
    return {name: (SITUATIONS[name][0], STATUS[SITUATIONS[name][0]]) for name in names}


def answers(kind: str, names: list[str], templates: Templates, folder: Path) -> dict[str, tuple[str, int]]:
    """Ask in all situations, a few at a time."""
    with ExitStack() as held:
        stages: list[Stage] = []
        for number, _ in enumerate(names):
            url = held.enter_context(templates.upgraded(kind))
            (own := folder / str(number)).mkdir()
            stages.append(Stage(held.enter_context(opened(url)), own / "spool", url))
        with ThreadPoolExecutor(3) as pool:
            return dict(zip(names, pool.map(checked, names, stages), strict=True))


@pytest.mark.contract("H3", "F4")
def test_every_situation_has_its_verdict_and_its_exit_code(templates: Templates, tmp_path: Path) -> None:
    """On SQLite: 0 for open and for nothing else, 1 for locked, 3 where nobody knows."""
    names = [name for name in SITUATIONS if name not in NOT_AS_PROCESSES]
    assert len(names) >= 25
    assert answers("sqlite", names, templates, tmp_path) == expected(names)


@pytest.mark.contract("H3", "H1")
def test_a_server_gives_the_same_answers(templates: Templates, tmp_path: Path) -> None:
    """One of each verdict on PostgreSQL."""
    names = list(ON_POSTGRESQL)
    assert {SITUATIONS[name][0] for name in names} == set(STATUS)
    assert answers("postgresql", names, templates, tmp_path) == expected(names)


IN_PROCESS = [
    *(("sqlite", name) for name in SITUATIONS if name in NOT_AS_PROCESSES),
    *(("postgresql", name) for name in SITUATIONS if name not in ONLY_ON_SQLITE),
]


@pytest.mark.contract("H3", "H1")
@pytest.mark.parametrize(("kind", "name"), IN_PROCESS)
def test_a_situation_has_its_verdict_on_each_store(
    kind: str,
    name: str,
    templates: Templates,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same table; what a row is on SQLite it is on PostgreSQL."""
    with templates.upgraded(kind) as url, opened(url) as engine:
        stage = Stage(engine, tmp_path / "spool", url)
        status = main(["gate", *arranged(name, stage), "--url", stage.url])

    assert {name: (capsys.readouterr().out.split()[1], status)} == expected([name])
