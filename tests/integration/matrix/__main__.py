"""What does the matrix say today? ``python -m tests.integration.matrix [--server NAME] [--write docs/matrix.md]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.integration.matrix.oracle import judge_server
from tests.integration.matrix.report import render
from tests.integration.matrix.runner import GATED
from tests.integration.servers import SERVERS

__all__ = ["main"]

COMMAND = "python -m tests.integration.matrix --write docs/matrix.md"


def main() -> int:
    """Play the matrix, print or write the page, and return 1 if a counted case has a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.matrix")
    parser.add_argument("--server", action="append", choices=SERVERS, help="only this one; may be repeated")
    parser.add_argument("--variant", default=GATED, help="the gate around the applications (MATRIX_VARIANT)")
    parser.add_argument("--write", type=Path, help="write the page there instead of printing it")
    options = parser.parse_args()
    matrix = {name: judge_server(SERVERS[name], options.variant) for name in options.server or SERVERS}
    page = render(matrix, COMMAND)
    if options.write:
        options.write.write_text(page, encoding="utf-8")
    else:
        sys.stdout.write(page)
    return int(any(verdict.faults for verdicts in matrix.values() for verdict in verdicts.values()))


if __name__ == "__main__":
    sys.exit(main())
