"""Which planted faults do the tests of the core miss? Counts what `mutmut run` left, and helps it to run at all.

`mutmut run` goes on where it was stopped, so that the proof can be made in parts; what was not reached is counted, and
fails the proof.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

from mutmut.stats import status_by_exit_code

CORE = Path("mutants/src/tracegate/core")
REASONS = Path("tools/mutants.toml")
NOTICED = {"killed", "timeout", "segfault", "caught by type check"}
LATE = "timeout"
OPEN = "not checked"
WANTED_SHARE = 0.9

# Changes that change nothing, wherever they are made. Others are named one by one in REASONS.
HARMLESS = {
    r"""\+ .*[(=]["'](LATIN-1|ASCII|UTF-8)["']""": "the name of a codec has no case",
    r'\+ .*path: str = "XXXX"': "the default is there for callers of a type that has no path",
    r'\+ .*\bcast\((None|"[^"]*"), (?!None\b)\w+\)': "a cast says nothing at run time",
    r"\+ .*_rules\.find\(path, raw_path, default=None\)": "only its truth is asked, and None is as false",
    r"\+ .*\bLongBody\(None, keep=(True|False|None)\b": "what is not marked leaves as it came, whatever else is said",
    r"\+ .*\bzip\([^()]+, (strict=(None|False))?\)": "all its sides are of one length: strict only watches",
    r"\+ .*\[:81\]!a": "how much of a wrong value a message shows is no promise",
}


def pytest_configure() -> None:
    """Forget the test modules that an earlier run in the same process has loaded.

    mutmut runs pytest over and over in one process. pytest keeps the ids of parameters with the module and escapes them
    once more in each run, so that mutmut would ask for tests of names that are no longer there.
    """
    for name in [name for name in sys.modules if name.rpartition(".")[2].startswith("test_")]:
        del sys.modules[name]


def statuses() -> dict[str, dict[str, str]]:
    """Return for each module of the core its mutants' names and what became of them."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(CORE.rglob("*.meta")):
        codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        if codes:
            module = path.relative_to(CORE).with_suffix("")
            found[str(module)] = {name: status_by_exit_code[code] for name, code in codes.items()}
    return found


def change(mutant: str) -> str:
    """Return the lines that *mutant* takes out and puts in."""
    shown = subprocess.run(
        [sys.executable, "-m", "mutmut", "show", mutant], capture_output=True, text=True, check=True
    ).stdout
    changed = [line for line in shown.splitlines()[3:] if line.startswith(("-", "+"))]
    return "\n".join(f"    {line[0]} {line[1:].strip()}" for line in changed)


def reason(mutant: str, changed: str, named: dict[str, str]) -> str:
    """Return why *mutant* may live, or that nobody said so."""
    general = (why for pattern, why in HARMLESS.items() if re.search(pattern, changed))
    return named.get(mutant) or next(general, "no reason given")


def main() -> int:
    """Print the counts for each module, and every mutant that lived with the reason why it may."""
    modules = statuses()
    reasons: dict[str, str] = tomllib.loads(REASONS.read_text(encoding="utf-8")) if REASONS.exists() else {}
    total: Counter[bool] = Counter()
    late = unreached = 0
    for module, mutants in modules.items():
        reached = [status for status in mutants.values() if status != OPEN]
        unreached += len(mutants) - len(reached)
        late += reached.count(LATE)
        count = Counter(status in NOTICED for status in reached)
        total += count
        print(f"{module:32} {count[True]:5} of {len(reached):5} noticed")
    if not total:
        sys.exit("no mutants: run `mutmut run` first")
    share = total[True] / total.total()
    print(f"{'all':32} {total[True]:5} of {total.total():5} noticed: {share:.1%}; {unreached} not reached")
    failed = (total[True] - late) / total.total()
    print(f"{late} of these ran out of processor time, and failed no test; without them {failed:.1%} were noticed\n")
    for mutants in modules.values():
        for name, status in mutants.items():
            if status not in NOTICED | {OPEN}:
                changed = change(name)
                print(f"{name}: {status}: {reason(name, changed, reasons)}\n{changed}")
    return int(share < WANTED_SHARE or unreached > 0)


if __name__ == "__main__":
    sys.exit(main())
