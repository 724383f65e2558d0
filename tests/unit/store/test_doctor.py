"""Does the doctor know which SQLite libraries can damage a file?"""

from __future__ import annotations

import pytest

from tracegate.store.doctor import has_wal_reset_bug


@pytest.mark.parametrize(
    ("version", "has_it"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 0), True),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 4), False),
        ((4, 0, 0), False),
    ],
)
def test_the_wal_reset_bug_is_in_some_versions(version: tuple[int, ...], has_it: bool) -> None:  # noqa: FBT001 - a column
    """From 3.7.0 on; mended in 3.51.3 and in two older lines."""
    assert has_wal_reset_bug(version) == has_it
