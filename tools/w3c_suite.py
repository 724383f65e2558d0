"""Does tracegate pass the W3C trace-context test suite, strict, at levels 1 and 2, behind ASGI and WSGI?

The suite is not part of this repository. Fetch it, then name its path::

    git clone https://github.com/w3c/trace-context
    python tools/w3c_suite.py trace-context

It needs aiohttp: the interpreter that runs this script is used if it has it, else a temporary virtual environment.
"""

import argparse
import importlib.util
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LEVELS = ((2, 2), (2, 1), (1, 2), (1, 1))
SERVICES = {
    "ASGI (FastAPI on uvicorn)": [
        "uvicorn",
        "examples.outbound.asgi_service:application",
        "--log-level=warning",
        "--port={port}",
    ],
    "WSGI (Flask on gunicorn)": [
        "gunicorn",
        "examples.outbound.wsgi_service:application",
        "--log-level=warning",
        "--bind=127.0.0.1:{port}",
    ],
    "WSGI (Flask on waitress)": ["waitress", "--listen=127.0.0.1:{port}", "examples.outbound.wsgi_service:application"],
}
_START_SECONDS = 30
_SUITE_SECONDS = 120


class Outcome(NamedTuple):
    """What the suite said: counts of tests, and the names of those that failed."""

    ran: int
    skipped: int
    failed: tuple[str, ...]


def main() -> int:
    """Run the suite against every service at every level; return 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path, help="the suite's working tree, or its test directory")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the record of this run to FILE")
    options = parser.parse_args()
    tests = _tests_of(options.suite)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        python = _python_with_aiohttp(Path(scratch))
        for name, command in SERVICES.items():
            with _serving(command) as url:
                rows += [(name, *levels, _run(python, tests, url, *levels)) for levels in LEVELS]
    page = _record(tests, rows)
    print(page)
    if options.write:
        options.write.write_text(page)
    return int(any(outcome.failed or not outcome.ran for *_, outcome in rows))


def _tests_of(suite: Path) -> Path:
    """Return the directory of the suite's ``test.py``."""
    for directory in (suite / "test", suite):
        if (directory / "test.py").is_file() and (directory / "tracecontext").is_dir():
            return directory.resolve()
    sys.exit(f"{suite} does not hold the W3C trace-context test suite: {__doc__}")


def _python_with_aiohttp(scratch: Path) -> str:
    if importlib.util.find_spec("aiohttp"):
        return sys.executable
    venv.create(scratch / "venv", with_pip=True)
    python = str(scratch / "venv" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "aiohttp"], check=True)
    return python


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def _serving(command: list[str]) -> Iterator[str]:
    """Run one of the example services; yield the address that the suite calls."""
    port = _free_port()
    arguments = [sys.executable, "-m", *(part.format(port=port) for part in command)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    process = subprocess.Popen(arguments, cwd=ROOT, env=environment)
    with ExitStack() as stack:
        stack.callback(process.wait)
        stack.callback(process.terminate)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/call"


def _run(python: str, tests: Path, url: str, strict_level: int, spec_level: int) -> Outcome:
    """Run the suite's own ``test.py`` once and read its report."""
    environment = {
        **os.environ,
        "STRICT_LEVEL": str(strict_level),
        "SPEC_LEVEL": str(spec_level),
        "HARNESS_PORT": str(_free_port()),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    finished = subprocess.run(
        [python, "test.py", url],
        cwd=tests,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_SUITE_SECONDS,
        check=False,
    )
    report = finished.stderr
    failed = tuple(re.findall(r"^(?:FAIL|ERROR): (\S+)", report, re.MULTILINE))
    ran = re.search(r"^Ran (\d+) tests?", report, re.MULTILINE)
    if ran is None or (finished.returncode != 0 and not failed):
        sys.exit(f"the suite did not run:\n{finished.stdout}\n{report}")
    if failed:
        print(report, file=sys.stderr)
    skipped = re.search(r"skipped=(\d+)", report)
    return Outcome(int(ran[1]), int(skipped[1]) if skipped else 0, failed)


def _record(tests: Path, rows: list[tuple[str, int, int, Outcome]]) -> str:
    """Return the page: what ran against what, and how it ended."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tests, capture_output=True, text=True, check=False).stdout
    names = ("fastapi", "uvicorn", "flask", "gunicorn", "waitress", "httpx")
    lines = [
        "# The W3C trace-context test suite",
        "",
        "Written by `python tools/w3c_suite.py PATH-OF-THE-SUITE --write docs/proof/w3c.md` on "
        f"{datetime.now(UTC).date()}: Python {sys.version.split()[0]}, "
        + ", ".join(f"{name} {version(name)}" for name in names)
        + f"; <https://github.com/w3c/trace-context> at {commit.strip() or 'an unknown commit'}.",
        "",
        "The suite posts to the services of `examples/outbound/`, in mode `mint`, and reads the calls that they make.",
        "STRICT_LEVEL 1 leaves out tests of the size of `tracestate`, SPEC_LEVEL 1 those of level 2 of the standard.",
        "",
        "| service | STRICT_LEVEL | SPEC_LEVEL | passed | left out by the level | failed |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, strict_level, spec_level, outcome in rows:
        passed = outcome.ran - outcome.skipped - len(outcome.failed)
        failed = ", ".join(outcome.failed) or "none"
        total = outcome.ran - outcome.skipped
        lines.append(f"| {name} | {strict_level} | {spec_level} | {passed} of {total} | {outcome.skipped} | {failed} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
