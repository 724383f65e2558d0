"""Is a refusal that a client saw answered ever lost, or there twice, when its worker is killed?

Clause F3; ``make proof-crash`` kills twenty times for each store.
"""

from __future__ import annotations

import random

import pytest

from tests.contract.conftest import templates
from tests.contract.stores import Templates
from tests.integration.store_crash import CASES, crash

__all__ = ["templates"]

RUNS = (
    ("SQLite", "uvicorn"),
    ("SQLite", "gunicorn-gthread"),
    ("PostgreSQL", "gunicorn-asgi"),
    ("PostgreSQL", "gunicorn-gthread"),
    ("spool, then SQLite", "uvicorn"),
    ("spool, then PostgreSQL", "gunicorn-gthread"),
)


@pytest.mark.contract("F3")
@pytest.mark.parametrize(("case", "kind"), RUNS)
def test_each_refusal_that_was_answered_is_in_the_store_once_though_workers_were_killed(
    case: str, kind: str, templates: Templates
) -> None:
    """In a storm, and in the replay after it; the wait is long, so that a busy machine answers nothing unkept."""
    assert case in CASES
    chance = random.Random(f"{case} {kind}")  # noqa: S311 - no secret
    found = crash(case, kind, templates.empty, chance, commit_wait_seconds="5")
    assert found.kills >= 2
    assert found.stored >= found.answered > 0
    assert (found.lost, found.twice) == (0, 0)
