"""Which store does a test get? Each of them, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.contract.stores import STORES, Templates, opened
from tracegate.store.events import EventStore


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Templates]:
    """Give what new stores are copied from."""
    made = Templates(tmp_path_factory.mktemp("stores"))
    yield made
    made.close()


@pytest.fixture(params=STORES)
def empty_url(request: pytest.FixtureRequest, templates: Templates) -> Iterator[str]:
    """Give a store without tables."""
    with templates.empty(request.param) as url:
        yield url


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest, templates: Templates) -> Iterator[str]:
    """Give a store with its tables, and nothing in them."""
    with templates.upgraded(request.param) as url:
        yield url


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """Give that store, opened."""
    with opened(url) as engine:
        yield engine


@pytest.fixture
def store(engine: Engine) -> EventStore:
    """Give its events."""
    return EventStore(engine)
