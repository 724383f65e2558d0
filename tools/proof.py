"""What does a long proof say? Runs one by name, and writes its figures to docs/proof/NAME.md: `make proof-NAME`.

`make test` runs the same code at a hundredth of the size, or, for the mutants, the same tests without the mutants.
A proof of several parts can be made part by part: `python tools/proof.py properties json`. Each part has a section of
the page, with the commit that it was made of.
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

LAWS = ("identity", "json", "sse", "wsgi", "asgi")
PYTEST = f"{sys.executable} -m pytest --quiet --numprocesses=2"


class Proof(NamedTuple):
    """One long proof: what it shows, what runs, and what of the output is kept.

    Attributes:
        shows: One paragraph.
        parts: The name of each part, empty where there is one only, and its commands; the last one's output is kept.
        environment: What the commands see beside the environment of the caller.
        versions: The distributions that matter.
        kept_lines: How many of the last lines of the output are kept.
    """

    shows: str
    parts: dict[str, tuple[str, ...]]
    environment: dict[str, str]
    versions: tuple[str, ...]
    kept_lines: int


PROOFS = {
    "properties": Proof(
        "20,000 generated examples of every law, ASGI and WSGI, against an oracle that shares no code with `src/`.",
        {
            part: (f"{PYTEST} tests/property/test_{part}_laws.py",)
            for part in ("identity", "json", "sse", "wsgi", "asgi")
        },
        {"HYPOTHESIS_PROFILE": "proof"},
        ("hypothesis", "pytest"),
        kept_lines=45,
    ),
    "cuts": Proof(
        "Every body of the public JSON suites and every public event stream, through both adapters: byte by byte, in "
        "one message each, and up to 1,000 bytes also cut in two at every byte. The reply stays the same, byte for "
        "byte, and every event is out before the next byte is asked for.",
        {"": (f"{PYTEST} --durations=20 --durations-min=0 tests/conformance/test_cuts.py",)},
        {"CUT_UP_TO": "10000000", "CUT_IN_TWO_UP_TO": "1000"},
        ("pytest",),
        kept_lines=25,
    ),
    "mutants": Proof(
        "Small faults planted in `src/tracegate/core`, one at a time: the tests of the core must notice.",
        {"": (f"{sys.executable} -m mutmut run", f"{sys.executable} tools/mutants.py")},
        {"HYPOTHESIS_PROFILE": "quick"},
        ("mutmut", "pytest"),
        kept_lines=400,
    ),
}


def run(commands: tuple[str, ...], proof: Proof) -> tuple[int, str]:
    """Run the commands one after the other; return the first failure's exit status, or 0, and the last one's output."""
    output = ""
    for command in commands:
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


def section(name: str, part: str, proof: Proof, output: str, seconds: float) -> str:
    """Return what the page keeps of one part."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True)
    packages = ", ".join(f"{package} {version(package)}" for package in proof.versions)
    return (
        (f"## {part.capitalize()}\n\n" if part else "")
        + f"Written by `make proof-{name}` on {datetime.now(UTC).date()} at commit {commit.stdout.strip()}, in "
        f"{seconds / 60:.0f} minutes on {os.cpu_count()} cores: Python {sys.version.split()[0]}, {packages}.\n\n"
        f"```text\n{output.strip()}\n```\n"
    )


def sections(page: Path) -> dict[str, str]:
    """Return the sections that *page* has, by the part's name."""
    if not page.exists():
        return {}
    found = page.read_text(encoding="utf-8").split("\n## ")[1:]
    return {text.partition("\n")[0].lower(): f"## {text.rstrip()}\n" for text in found}


def main() -> int:
    """Run the proof that the command line names, or one part of it; keep the figures of what holds."""
    name, *wanted = sys.argv[1:] or ("",)
    if name not in PROOFS or not set(wanted) <= set(PROOFS[name].parts):
        sys.exit(f"usage: python tools/proof.py {'|'.join(PROOFS)} [PART ...]")
    proof, page = PROOFS[name], Path("docs", "proof", name).with_suffix(".md")
    page.parent.mkdir(parents=True, exist_ok=True)
    worst = 0
    for part in wanted or proof.parts:
        started = time.monotonic()
        status, output = run(proof.parts[part], proof)
        worst = worst or status
        if status == 0:
            kept = sections(page) if part else {}
            kept[part] = section(name, part, proof, output, time.monotonic() - started)
            texts = [kept[each] for each in proof.parts if each in kept]
            page.write_text("\n".join([f"# {name.capitalize()}\n\n{proof.shows}\n", *texts]), encoding="utf-8")
            print(f"written: {page}")
    return worst


if __name__ == "__main__":
    sys.exit(main())
