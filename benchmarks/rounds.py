"""How are two things timed so that their ratio means something on a shared machine?

Every contestant runs a batch in every round, one after the other, so that a slow minute hits them all; what counts is
the fastest batch of each, by the thread's processor time, so that what other processes do in between is not counted.
The garbage collector stays as a server has it: on, default thresholds, with everything that was alive after the
warm-up frozen (what ``gc.freeze`` is for, and what a worker's long-lived heap amounts to).
"""

import gc
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from time import thread_time_ns
from timeit import Timer

__all__ = ["Batch", "markdown_table", "minima", "one_round", "settle", "statement", "versions"]

Batch = Callable[[int], int]
"""Run that many calls; return the nanoseconds they took."""


def statement(source: str, **names: object) -> Batch:
    """Return a batch that runs *source* in a loop, with *names* as its globals: ``timeit`` with the collector on."""
    return Timer(source, "gc.enable()", thread_time_ns, {"gc": gc, **names}).timeit  # type: ignore[return-value]  # the clock decides the type


def settle(contestants: Mapping[str, Batch], calls: int) -> None:
    """Warm every contestant up, then collect and freeze what is alive, as a worker that has been up for a while."""
    for batch in contestants.values():
        batch(calls)
    gc.collect()
    gc.freeze()


def one_round(contestants: Mapping[str, Batch], calls: int) -> dict[str, float]:
    """Run one batch of each contestant; return nanoseconds per call."""
    return {name: batch(calls) / calls for name, batch in contestants.items()}


def minima(contestants: Mapping[str, Batch], *, rounds: int = 40, calls: int = 1000) -> dict[str, float]:
    """Return each contestant's nanoseconds per call: the minimum over interleaved rounds."""
    settle(contestants, calls)
    best = dict.fromkeys(contestants, float("inf"))
    for _ in range(rounds):
        for name, nanoseconds in one_round(contestants, calls).items():
            best[name] = min(best[name], nanoseconds)
    return best


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table: the first column to the left, the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def versions(*distributions: str) -> str:
    """Return one line that names the interpreter, the platform and the versions of *distributions*."""
    machine = f"{platform.python_implementation()} {platform.python_version()}, {sys.platform}, {os.cpu_count()} cores"
    return "; ".join([machine, *(f"{name} {version(name)}" for name in distributions)])
