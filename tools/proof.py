"""What does a long proof say? Runs one by name, and writes its figures to docs/proof/NAME.md: `make proof-NAME`.

`make test` runs the same code at a hundredth of the size, or, for the mutants, the same tests without the mutants.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

PYTEST = f"{sys.executable} -m pytest --quiet --numprocesses=2"


class Proof(NamedTuple):
    """One long proof: what it shows, what runs, and what of the output is kept."""

    shows: str
    commands: tuple[str, ...]
    environment: dict[str, str]
    versions: tuple[str, ...]
    kept_lines: int


PROOFS = {
    "properties": Proof(
        "20,000 generated examples of every law, ASGI and WSGI, against an oracle that shares no code with `src/`.",
        (f"{PYTEST} tests/property",),
        {"HYPOTHESIS_PROFILE": "proof"},
        ("hypothesis", "pytest"),
        kept_lines=3,
    ),
    "cuts": Proof(
        "Every body of the public JSON suites and every public event stream, through both adapters: byte by byte, in "
        "one message each, and up to 1,000 bytes also cut in two at every byte. The reply stays the same, byte for "
        "byte, and every event is out before the next byte is asked for.",
        (f"{PYTEST} --durations=20 --durations-min=0 tests/conformance/test_cuts.py",),
        {"CUT_UP_TO": "10000000", "CUT_IN_TWO_UP_TO": "1000"},
        ("pytest",),
        kept_lines=25,
    ),
    "mutants": Proof(
        "Small faults planted in `src/tracegate/core`, one at a time: the tests of the core must notice.",
        (f"{sys.executable} -m mutmut run", f"{sys.executable} tools/mutants.py"),
        {"HYPOTHESIS_PROFILE": "quick"},
        ("mutmut", "pytest"),
        kept_lines=400,
    ),
}


def run(proof: Proof) -> tuple[int, str]:
    """Run the commands one after the other; return the first failure's exit status, or 0, and the last one's output."""
    output = ""
    for command in proof.commands:
        with subprocess.Popen(
            command.split(),
            env={**os.environ, **proof.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            lines: list[str] = []
            for line in process.stdout or ():
                print(line, end="", flush=True)
                lines.append(line)
        output = "".join(lines[-proof.kept_lines :])
        if process.returncode:
            return process.returncode, output
    return 0, output


def page(name: str, proof: Proof, output: str, seconds: float) -> str:
    """Return the page that keeps the figures."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True)
    packages = ", ".join(f"{package} {version(package)}" for package in proof.versions)
    return (
        f"# {name.capitalize()}\n\n{proof.shows}\n\n"
        f"Written by `make proof-{name}` on {datetime.now(UTC).date()} at commit {commit.stdout.strip()}, in "
        f"{seconds / 60:.0f} minutes on {os.cpu_count()} cores: Python {sys.version.split()[0]}, {packages}.\n\n"
        f"```text\n{output.strip()}\n```\n"
    )


def main() -> int:
    """Run the proof that the command line names; keep its figures only if it holds."""
    if len(sys.argv) != 2 or sys.argv[1] not in PROOFS:
        sys.exit(f"usage: python tools/proof.py {'|'.join(PROOFS)}")
    name = sys.argv[1]
    started = time.monotonic()
    status, output = run(PROOFS[name])
    if status == 0:
        written = Path("docs", "proof", name).with_suffix(".md")
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(page(name, PROOFS[name], output, time.monotonic() - started), encoding="utf-8")
        print(f"written: {written}")
    return status


if __name__ == "__main__":
    sys.exit(main())
