"""Which versions does a checkout run with? Writes requirements/*.txt from pyproject.toml, for every supported Python.

``dev.txt`` pins everything, ``test.txt`` the part that ``make test`` and ``make demo`` need, at the same versions.
Plain pins with markers: pip reads them, and they name no index. No hashes: a mirror may build wheels of its own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

COMPILE = "-m uv pip compile --quiet pyproject.toml --universal --python-version=3.11 --all-extras --no-annotate"
PRIVATE = "--no-emit-index-url --no-emit-find-links"


def pin(group: str, *options: str) -> None:
    """Write ``requirements/<group>.txt`` from the project, all its extras and the dependency group *group*."""
    output = Path("requirements", group).with_suffix(".txt")
    command = [sys.executable, *COMPILE.split(), *PRIVATE.split(), "--custom-compile-command=make lock"]
    subprocess.run([*command, f"--group={group}", f"--output-file={output}", *options], check=True)


if __name__ == "__main__":
    pin("dev", *sys.argv[1:])
    pin("test", "--constraints=requirements/dev.txt", *sys.argv[1:])
