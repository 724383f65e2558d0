"""Which versions does a checkout run with? Writes requirements/*.txt from pyproject.toml, for every Python that it supports.

``dev.txt`` pins everything, ``test.txt`` the part that ``make test`` and ``make demo`` need, at the same versions.
Plain pins with markers: pip reads them, and they name no index. Without hashes, because mirrors may build wheels of their own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path("requirements")


def pin(group: str, *options: str) -> None:
    """Write ``requirements/<group>.txt`` from the project, all its extras and the dependency group *group*."""
    command = ["uv", "pip", "compile", "--quiet", "pyproject.toml", "--universal", "--python-version=3.11", "--all-extras"]
    shape = ["--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--custom-compile-command=make lock"]
    output = REQUIREMENTS / f"{group}.txt"
    subprocess.run(
        [sys.executable, "-m", *command, *shape, f"--group={group}", f"--output-file={output}", *options], check=True
    )


if __name__ == "__main__":
    pin("dev", *sys.argv[1:])
    pin("test", *sys.argv[1:], f"--constraints={REQUIREMENTS / 'dev.txt'}")
