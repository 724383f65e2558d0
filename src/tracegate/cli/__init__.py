"""Which verbs does the command line have? One module for each."""

from __future__ import annotations

import argparse
from importlib.metadata import version
from typing import TYPE_CHECKING

from tracegate.cli import audit, gate, mint, settings, store

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        arguments: Instead of ``sys.argv[1:]``.

    Returns:
        The exit status: 0 for success, 1 where the verb found a fault. Wrong arguments leave with 2, as argparse does.
    """
    parser = argparse.ArgumentParser(
        prog="tracegate-http",
        description="One trace id on every reply, every error JSON and every SSE event.",
    )
    parser.add_argument("--version", action="version", version=f"tracegate-http {version('tracegate-http')}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for verb in (settings, mint, store, gate, audit):
        verb.add_to(verbs)
    chosen = parser.parse_args(arguments)
    status: int = chosen.run(chosen)
    return status
