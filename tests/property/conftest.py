"""How many examples did each law pass? The long proof says so, law by law."""

from __future__ import annotations

import os
import re

import pytest

_FIGURES = re.compile(r"([\d,]+) passing, ([\d,]+) failing")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line for each law under the profile `proof`; the figures are Hypothesis's own."""
    if os.environ.get("HYPOTHESIS_PROFILE") != "proof":
        return
    laws = {
        report.nodeid.removeprefix("tests/property/"): _figures(report.__dict__["_hypothesis_stats"])
        for reports in terminalreporter.stats.values()
        for report in reports
        if "_hypothesis_stats" in getattr(report, "__dict__", {})
    }
    terminalreporter.section("laws")
    for law, (passing, failing) in sorted(laws.items()):
        terminalreporter.write_line(f"{passing:>9,} passing  {failing:>3,} failing  {law}")
    total = sum(passing for passing, _ in laws.values())
    terminalreporter.write_line(f"{total:>9,} examples of {len(laws)} laws")


def _figures(statistics: str) -> tuple[int, int]:
    """Return how many examples passed and failed, over all phases."""
    found = [(int(a.replace(",", "")), int(b.replace(",", ""))) for a, b in _FIGURES.findall(statistics)]
    return sum(passing for passing, _ in found), sum(failing for _, failing in found)
