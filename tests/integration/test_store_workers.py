"""Do four worker processes that write one store count exactly, and does a client ever notice the others?

Clauses F3, H1.
"""

from __future__ import annotations

import pytest

from tests.contract.conftest import templates
from tests.contract.stores import STORES, Templates
from tests.integration.store_workers import refuse

__all__ = ["templates"]

COUNT = 400


@pytest.mark.contract("F3", "H1")
@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn-gthread"])
@pytest.mark.parametrize("store", STORES)
def test_four_workers_that_write_one_store_count_exactly(store: str, kind: str, templates: Templates) -> None:
    """Every refusal is answered as one, is in the store once, and nobody reads of a locked database."""
    with templates.empty(store) as url:
        counted = refuse(kind, url, COUNT)
    assert (len(counted.answered), counted.odd, counted.workers) == (COUNT, [], 4)
    assert counted.counts == dict.fromkeys(counted.answered, 1)
    assert "locked" not in counted.log
    assert "an event is lost" not in counted.log
