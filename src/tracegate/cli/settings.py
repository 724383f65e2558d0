"""What would a gate started here do? Reads the settings as a service would, and prints them or all their faults."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import TYPE_CHECKING, cast

import msgspec

from tracegate.core.policy import Policy
from tracegate.errors import ConfigurationError
from tracegate.settings import load_policy

if TYPE_CHECKING:
    import argparse

__all__ = ["add_to"]


def add_to(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add the verb ``settings``."""
    parser = verbs.add_parser("settings", help="print the settings in force here, or all that is wrong with them")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> int:
    try:
        policy = load_policy()
    except ConfigurationError as error:
        for setting, problem in error.faults:
            print(f"{setting}: {problem}", file=sys.stderr)
        return 1
    values = {item.name: getattr(policy, item.name) for item in fields(Policy) if item.init}
    values["store_url"] = _HIDDEN if policy.store_url else ""
    if chosen.format == "json":
        print(msgspec.json.format(msgspec.json.encode(values)).decode())
    else:
        width = max(map(len, values))
        for name, value in values.items():
            print(f"{name:{width}}  {_shown(value)}")
    return 0


_HIDDEN = "(set; not shown: it may hold a password)"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, cast("tuple[object, ...]", value))) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{rule}={choice}" for rule, choice in cast("dict[str, str]", value).items()) or "-"
    return "-" if value in (None, "") else str(value)
