"""Is the repository free of what belongs to one machine only?"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MACHINE = re.compile(rb"/(?:work|farm|root|home)/|file:/{3}")
INDEX = re.compile(rb"pythonhoste[d]|registry\.npm[j]s|https?://[^\s\"']*/simpl[e]\b")


def tracked_files() -> list[Path]:
    """Return the files that git tracks and that are there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def mentions(pattern: re.Pattern[bytes]) -> list[str]:
    """Return ``file:line: text`` for each tracked line that *pattern* is found in."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line[:120]!r}"
        for path in tracked_files()
        for number, line in enumerate(path.read_bytes().splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_file_names_a_path_of_a_machine() -> None:
    """What works only where it was written is not committed."""
    assert mentions(MACHINE) == []


def test_no_file_names_a_package_index() -> None:
    """Where packages come from is the machine's business: locks hold versions, no addresses."""
    assert mentions(INDEX) == []
