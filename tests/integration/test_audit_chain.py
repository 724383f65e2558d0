"""Does a long audit chain verify in constant memory, and after a kill? What ``make proof-chain`` shows, made small."""

from __future__ import annotations

import pytest

from tests.integration.audit_chain import KINDS, ROWS, emptied, prove

SMALL = 100


@pytest.mark.contract("H2")
@pytest.mark.parametrize("kind", KINDS)
def test_a_long_chain_is_verified_piece_by_piece(kind: str) -> None:
    """Whole; by a run that is killed and one that goes on where it was; and a changed row is found where it is."""
    with emptied(kind) as url:
        proof = prove(url, ROWS // SMALL)
    assert proof.sound, proof
