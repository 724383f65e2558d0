"""Which id can I send? Prints a new random trace id in the spellings that services and collectors show."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tracegate.core.trace_id import mint_trace_id

if TYPE_CHECKING:
    import argparse

__all__ = ["add_to"]


def add_to(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add the verb ``mint``."""
    parser = verbs.add_parser("mint", help="print a new trace id")
    parser.add_argument("--hex", action="store_true", help="as 32 hex digits, as OpenTelemetry shows it")
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> int:
    trace_id = mint_trace_id(os.urandom(16))
    print(trace_id.w3c if chosen.hex else trace_id.text)
    return 0
