"""Run every benchmark once and print one page: ``python -m benchmarks [--quick] [--write docs] [--check]``."""

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks import cost, growth, payload, throughput
from benchmarks.plot import Points, log_log_svg
from benchmarks.rounds import versions
from benchmarks.targets import Target, target_table

__all__ = ["main"]

_DISTRIBUTIONS: Final = (
    "asgi-correlation-id",
    "starlette-context",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-asgi",
    "Flask-3-Log-Request-ID",
    "starlette",
    "fastapi",
    "flask",
    "sse-starlette",
    "orjson",
    "msgspec",
    "uvicorn",
    "httptools",
    "uvloop",
)
_YARDSTICKS: Final = {
    "asgi": ("floor", "asgi-correlation-id", "opentelemetry-asgi, SDK"),
    "wsgi": ("floor", "opentelemetry-wsgi, SDK"),
    "flask": ("Flask-3-Log-Request-ID", "opentelemetry-flask, SDK"),
}
_PLOT: Final = "images/linear.svg"


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return 1 if ``--check`` was asked for and a promise is not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds: for a look, not for figures")
    parser.add_argument("--write", type=Path, metavar="DOCS", help="write DOCS/benchmarks.md and its plot")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a promise is not kept")
    options = parser.parse_args(arguments)
    targets: list[Target] = []
    lines: dict[str, Points] = {}
    sections = list(_sections(10 if options.quick else 1, targets, lines))
    verdicts = target_table(targets)
    command = "python -m benchmarks" + (" --quick" if options.quick else "")
    page = "\n\n".join([_heading(command), "## What is promised", verdicts, *sections]) + "\n"
    print(page)
    if options.write:
        (options.write / _PLOT).parent.mkdir(parents=True, exist_ok=True)
        (options.write / _PLOT).write_text(log_log_svg("What the gate adds, by length", lines))
        (options.write / "benchmarks.md").write_text(page)
    return int(options.check and not all(target.is_met for target in targets))


def _heading(command: str) -> str:
    """Say what the page is and how it came about."""
    today = datetime.now(UTC).date()
    return f"""# What tracegate costs

Written by `{command} --write docs` on {today}: {versions(*_DISTRIBUTIONS)}.

Compare ratios only: absolute times are those of one shared machine on one day. All contestants get the same ten request
headers (a good `X-Trace-Id` among them) and make the same JSON reply with three headers; every call has a fresh scope
or environ, made before the clock starts. Contestants run in turns, round after round; the fastest round of each counts,
in processor time. The garbage collector runs as on a server: on, default thresholds, what was alive after the warm-up
frozen. OpenTelemetry runs in a process of its own, in the same rounds, with a tracer provider that has no processor
(its least cost); its cost is over the bare application of that process."""


def _sections(divisor: int, targets: list[Target], lines: dict[str, Points]) -> Iterator[str]:
    """Measure one section after the other; yield its text, and add to *targets* and *lines*."""
    costs = {family: cost.measure(family, rounds=60 // divisor, calls=300) for family in _YARDSTICKS}
    targets += cost.targets(costs)
    yield "## One good request"
    for family, yardsticks in _YARDSTICKS.items():
        title = {"asgi": "ASGI", "wsgi": "WSGI", "flask": "Inside Flask"}[family]
        yield f"### {title}\n\n{cost.cost_table(costs[family], yardsticks)}"
    payloads = payload.measure(rounds=60 // divisor)
    targets += payload.targets(payloads)
    yield f"## Chunks, error bodies, events\n\n{payload.payload_table(payloads)}"
    ratios = {
        setup: throughput.measure(setup, turns=max(3, 20 // divisor), seconds=0.5 if divisor == 1 else 0.2)
        for setup in throughput.SETUPS
    }
    targets += throughput.targets(ratios)
    yield "## Throughput\n\n" + (throughput.__doc__ or "").partition("\n\n")[2].strip()
    yield throughput.throughput_table(ratios)
    lines |= growth.measure(rounds=max(2, 10 // divisor))
    targets += growth.targets(lines)
    yield f"## Growth\n\n![What the gate adds, by length]({_PLOT})\n\n{growth.growth_table(lines)}"


if __name__ == "__main__":
    sys.exit(main())
