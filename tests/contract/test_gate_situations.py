"""What does a pipeline hear in each situation? As a process, as pipelines ask; and all of it on both stores."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.gate_situations import ONLY_ON_SQLITE, SITUATIONS, STATUS, Stage, checked
from tests.contract.stores import Templates, opened
from tests.integration.warm_python import warm_python

EVERY = [
    *(("sqlite", name) for name in SITUATIONS),
    *(("postgresql", name) for name in SITUATIONS if name not in ONLY_ON_SQLITE),
]


@pytest.fixture(scope="module")
def python() -> Iterator[str]:
    """Give a Python that starts at once: eighty starts would be eighty seconds of imports."""
    with warm_python() as folder:
        yield str(folder / "python")


def heard(kind: str, name: str, templates: Templates, folder: Path, python: str) -> tuple[str, int]:
    """Return the verdict that is told, and the exit code."""
    with templates.upgraded(kind) as url, opened(url) as engine:
        return checked(name, Stage(engine, folder / "spool", url), python)


def test_there_are_at_least_25_situations_and_each_verdict_among_them() -> None:
    """The table is the point."""
    assert len(SITUATIONS) >= 25
    assert {verdict for verdict, *_ in SITUATIONS.values()} == set(STATUS)


@pytest.mark.contract("H1", "H3", "F4")
@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_situation_has_its_verdict_and_its_exit_code(
    kind: str, name: str, templates: Templates, tmp_path: Path, python: str
) -> None:
    """0 for open and for nothing else, 1 for locked, 3 where nobody knows."""
    verdict = SITUATIONS[name][0]
    assert heard(kind, name, templates, tmp_path, python) == (verdict, STATUS[verdict])


@pytest.mark.contract("H3")
@pytest.mark.parametrize("name", ["nothing has happened, traffic unjudged", "a missing trace", "nothing has been seen"])
def test_a_python_that_starts_cold_says_the_same(name: str, templates: Templates, tmp_path: Path) -> None:
    """One of each verdict, with every import."""
    verdict = SITUATIONS[name][0]
    assert heard("sqlite", name, templates, tmp_path, sys.executable) == (verdict, STATUS[verdict])
