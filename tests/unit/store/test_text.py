"""Does every text survive a database that does not take every text?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracegate.store.text import is_storable, restored, storable

ANY = st.text(st.characters() | st.sampled_from("\x00\x1a\ud800\udfff0adf"))


@given(text=ANY)
def test_a_stored_text_is_the_text_again(text: str) -> None:
    """And what is stored can be: UTF-8, and no NUL."""
    stored = storable(text)

    assert restored(stored) == text
    assert "\x00" not in stored.encode("utf-8").decode("utf-8")
    assert is_storable(text) == (stored == text)


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\x00\x1a")))
def test_an_ordinary_text_is_stored_as_it_is(text: str) -> None:
    """Byte for byte: whoever reads the column with SQL reads what was said."""
    assert is_storable(text)
    assert storable(text) == text


@given(left=ANY, right=ANY)
def test_two_texts_never_become_one(left: str, right: str) -> None:
    """So equality in the store is equality outside."""
    assert (storable(left) == storable(right)) == (left == right)


@given(text=ANY, part=ANY)
def test_a_part_stays_a_part(text: str, part: str) -> None:
    """So a keyword is found in the store where it stands in the message."""
    assert storable(part) in storable(text + part + text)


@pytest.mark.parametrize(
    ("text", "stored"), [("a\x00b", "a\x1a0000b"), ("\x1a", "\x1a001a"), ("\ud83d", "\x1ad83d"), ("😀", "😀")]
)
def test_the_escape_is_a_substitute_and_four_digits(text: str, stored: str) -> None:
    """It stands in databases, so it never changes."""
    assert storable(text) == stored
