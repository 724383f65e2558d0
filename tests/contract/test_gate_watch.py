"""Does one watch of the deploy gate outlive a store that goes away? On both stores, with one engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text

from tests.contract.stores import Templates, opened
from tracegate.ops.gate_watch import look, watch

SERVER = "postgresql"
Change = Callable[[], None]


class Scene:
    """Whose time is made of what happens: each wait is the next change."""

    def __init__(self, changes: list[Change]) -> None:
        self._changes = iter(changes)
        self.time = 0.0

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float, /) -> None:
        self.time += seconds
        next(self._changes)()


def nothing() -> None:
    """Let a time pass in which the store is as it was."""


def moves_of(url: str, folder: Path, templates: Templates) -> tuple[Change, Change]:
    """Return how the store of *url* is taken away, and how it is brought back."""
    address = make_url(url)
    if address.get_backend_name() == SERVER:

        def refuse(connections: str) -> Change:
            def change() -> None:
                with opened(templates.postgres) as server, server.connect() as connection:
                    connection.execution_options(isolation_level="AUTOCOMMIT")
                    connection.execute(text(f'ALTER DATABASE "{address.database}" ALLOW_CONNECTIONS {connections}'))
                    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
                    connection.execute(text(ended), {"name": address.database})

            return change

        return refuse("false"), refuse("true")
    file, away = Path(address.database or ""), folder / "away"

    def take() -> None:
        file.rename(away)
        file.mkdir()

    def bring() -> None:
        file.rmdir()
        away.rename(file)

    return take, bring


@pytest.fixture
def watched(url: str) -> Iterator[Engine]:
    """Give the engine of the watch, which no test touches otherwise."""
    with opened(url) as engine:
        yield engine


@pytest.mark.contract("H1", "H3", "F4")
def test_a_store_that_goes_away_and_comes_back_is_two_verdicts(
    url: str, watched: Engine, templates: Templates, tmp_path: Path
) -> None:
    """While it is away nobody knows, however long; then the same watch goes on."""
    take, bring = moves_of(url, tmp_path, templates)
    scene = Scene([nothing, take, nothing, bring, nothing])
    seen = list(
        watch(
            lambda: look(watched, "orders", min_replies=0),
            interval_seconds=1,
            timeout_seconds=5,
            timer=scene,
        )
    )

    assert [(each.verdict.state, each.verdict.reasons[0]) for each in seen] == [
        ("open", "no reply without its trace"),
        ("inconclusive", "the store cannot be reached"),
        ("open", "no reply without its trace"),
    ]
    assert scene.time == 5
