"""Do the commands of docs/audit.md work, in their order, and does it name every failure?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from tracegate.store.audit_chain import FailureKind
from tracegate.store.audit_gate import CHECKED_ROWS

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "audit.md").read_text(encoding="utf-8")


@pytest.mark.contract("H2")
def test_the_commands_work_in_their_order(tmp_path: Path) -> None:
    """From an empty directory, with what the page sets; as a shell reads them."""
    lines = re.findall(r"^\$ (.*?)(?: +#.*)?$", TEXT, flags=re.MULTILINE)
    assert len(lines) == 9
    script = "set -e\n" + "".join(line.replace("python ", f"{sys.executable} ", 1) + "\n" for line in lines)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TRACEGATE_")}
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=inherited, capture_output=True, text=True, check=False, timeout=300
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "tracegate: ok, 1 rows verified, from 1 to 1, 1 checkpoints" in done.stdout
    assert (tmp_path / "checkpoints.jsonl").read_text(encoding="utf-8").count("\n") == 1
    assert (tmp_path / "position.json").exists()


def test_every_failure_is_explained() -> None:
    """And the number of rows that a gate verifies is the one in force."""
    table = TEXT.partition("| failure | the row |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == list(get_args(FailureKind))
    assert f"newest {CHECKED_ROWS:,} rows" in TEXT
