"""What must hold of every audit chain, whatever its rows say? Pure: no store, and an oracle that hashes by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tracegate.store.audit_chain import BEGINNING, ChainVerifier, Failure, Head, Position
from tracegate.store.audit_hash import COLUMNS, DOMAIN, AuditKey, encoded, hash_of

pytestmark = pytest.mark.contract("H2")

VALUES = st.none() | st.text(max_size=6) | st.integers(0, 99) | st.binary(max_size=3)
LISTS = st.lists(VALUES, max_size=6)
OF = {name: number for number, name in enumerate(COLUMNS)}
SAID = tuple(name for name in COLUMNS if name not in ("chain_seq", "created_at") and not name.startswith("hash_"))
KEY = AuditKey(b"k" * 32)


def oracle_hash(row: Sequence[Any]) -> str:
    """Hash a row of texts and one number as the docs say."""
    text = hashlib.sha256(b"tracegate audit row 1\n")
    for name, value in zip(COLUMNS, row, strict=True):
        if name != "hash_curr":
            data = f"{'' if value is None else value}".encode()
            text.update(b"-" if value is None else b"%d:" % len(data) + data)
    return text.hexdigest()


@st.composite
def chains(draw: st.DrawFn, least: int = 1) -> list[list[Any]]:
    """Return sound chains, made by the oracle."""
    last, made = "GENESIS", list[list[Any]]()
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    for seq in range(1, draw(st.integers(least, 6)) + 1):
        row: list[Any] = [draw(st.none() | text) for _ in COLUMNS]
        row[OF["id"]] = f"id-{seq}"
        row[OF["chain_seq"]], row[OF["hash_prev"]], row[OF["hash_algo"]] = seq, last, "sha256"
        row[OF["created_at"]] = f"2026-11-23T12:00:00.{seq // draw(st.integers(1, 3)):06}Z" if seq == 1 else max(
            made[-1][OF["created_at"]], f"2026-11-23T12:00:00.{seq:06}Z"
        )  # fmt: skip
        row[OF["hash_curr"]] = last = oracle_hash(row)
        made.append(row)
    return made


def failures(rows: Sequence[Sequence[Any]], head: Head | None, start: Position = BEGINNING) -> list[Failure]:
    """Return what the verifier says."""
    verifier = ChainVerifier("t", start)
    return [*(failure for row in rows for failure in verifier.feed(row)), *verifier.finish(head)]


def head_of(rows: Sequence[Sequence[Any]]) -> Head:
    """Return the right head."""
    return Head(len(rows), rows[-1][OF["hash_curr"]])


@given(one=LISTS, other=LISTS)
def test_no_two_rows_have_the_same_encoding(one: list[Any], other: list[Any]) -> None:
    """NULL is not the empty text, and nothing moves from one column to the next; a number is its digits."""
    texts = [[str(value) if isinstance(value, int) else value for value in values] for values in (one, other)]
    assert (encoded(DOMAIN, one) == encoded(DOMAIN, other)) == (texts[0] == texts[1])


@given(rows=chains())
def test_a_sound_chain_is_sound(rows: list[list[Any]]) -> None:
    """The oracle's hash is the verifier's."""
    assert [hash_of(row) for row in rows] == [oracle_hash(row) for row in rows]
    assert failures(rows, head_of(rows)) == []


@given(rows=chains(), data=st.data())
def test_it_can_be_verified_from_any_row_on(rows: list[list[Any]], data: st.DataObject) -> None:
    """As if it had been read from the first."""
    cut = data.draw(st.integers(1, len(rows)))
    last = rows[cut - 1]
    start = Position(cut, last[OF["hash_curr"]], last[OF["created_at"]])
    assert failures(rows[cut:], head_of(rows), start) == []
    assert failures(rows[cut:], head_of(rows), start._replace(chain_hash="x")) != []


@given(rows=chains(), data=st.data())
def test_any_other_value_in_any_column_is_found_at_its_row(rows: list[list[Any]], data: st.DataObject) -> None:
    """By the first failure; the number of a row aside, which is its place."""
    seq = data.draw(st.integers(1, len(rows)))
    column = data.draw(st.sampled_from([name for name in COLUMNS if name != "chain_seq"]))
    value = data.draw(VALUES)
    assume(value != rows[seq - 1][OF[column]] and str(value) != rows[seq - 1][OF[column]])
    rows[seq - 1][OF[column]] = value
    found = failures(rows, head_of(rows))
    if column == "hash_curr":
        assert {failure.chain_seq for failure in found} <= {seq, seq + 1}
    assert found[0].chain_seq == seq


@given(rows=chains(), data=st.data())
def test_a_missing_row_is_found_at_its_place(rows: list[list[Any]], data: st.DataObject) -> None:
    """In the middle, or at the end by the head."""
    seq = data.draw(st.integers(1, len(rows)))
    head = head_of(rows)
    del rows[seq - 1]
    assert failures(rows, head)[0].chain_seq == seq


@given(rows=chains(least=2), data=st.data())
def test_any_other_order_is_found_at_the_first_row_out_of_place(rows: list[list[Any]], data: st.DataObject) -> None:
    """Renumbered as they come, so that only their hashes tell."""
    other = data.draw(st.permutations(rows))
    assume(other != rows)
    moved = next(at for at, (one, two) in enumerate(zip(other, rows, strict=True), 1) if one is not two)
    renumbered = [[seq if name == "chain_seq" else value for name, value in zip(COLUMNS, row, strict=True)]
                  for seq, row in enumerate(other, 1)]  # fmt: skip
    assert failures(renumbered, head_of(rows))[0].chain_seq == moved


@given(rows=chains(), data=st.data())
def test_a_twin_is_a_fork(rows: list[list[Any]], data: st.DataObject) -> None:
    """Two rows with one number: no store of ours takes the second, a forger's does."""
    seq = data.draw(st.integers(1, len(rows)))
    head = head_of(rows)
    rows.insert(seq, rows[seq - 1])
    assert ("chain_fork", seq) in [failure[:2] for failure in failures(rows, head)]


@given(rows=chains())
def test_nothing_without_the_key_passes_for_it(rows: list[list[Any]]) -> None:
    """Every row is named; and with another key, or none, a row that has one is unknown."""
    verifier = ChainVerifier("t", key=KEY)
    found = [failure for row in rows for failure in verifier.feed(row)]
    assert [failure[:2] for failure in found] == [("hash_algo_mismatch", row[OF["chain_seq"]]) for row in rows]
    rows[0][OF["hash_algo"]] = f"hmac-sha256:{KEY.id}"
    assert failures(rows, head_of(rows))[0][:2] == ("hash_key_unknown", 1)
    assert next(ChainVerifier("t", key=KEY).feed(rows[0]))[:2] == ("hash_curr_mismatch", 1)
