"""How do contestants in separate processes run in the same rounds? Each group waits on a pipe for its turn."""

import json
import os
import subprocess
import sys
from types import TracebackType
from typing import Self

from benchmarks.rounds import one_round, settle
from benchmarks.stacks import GROUPS

__all__ = ["Worker", "serve"]


class Worker:
    """A group of contestants in a process of its own. A context manager: leaving it ends the process."""

    def __init__(self, group: str) -> None:
        self._group = group
        command = [sys.executable, "-m", "benchmarks.worker", group]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )  # our own module

    def round(self, calls: int) -> dict[str, float]:
        """Let every contestant of the group run *calls* calls; return nanoseconds per call."""
        requests, replies = self._process.stdin, self._process.stdout
        if requests is None or replies is None:  # pragma: no cover  # both were asked for above
            raise ValueError("the worker has no pipes")
        print(calls, file=requests, flush=True)
        answer = replies.readline()
        if not answer:
            raise ChildProcessError(f"the worker of {self._group!r} ended early")
        nanoseconds: dict[str, float] = json.loads(answer)
        return nanoseconds

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()


def serve(group: str) -> None:
    """Run one round for each line on standard input, which is the number of calls."""
    contestants = GROUPS[group]()
    settled = False
    for line in sys.stdin:
        if not settled:
            settle(contestants, int(line))
            settled = True
        print(json.dumps(one_round(contestants, int(line))), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
