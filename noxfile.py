"""Does tracegate hold elsewhere: on every supported Python, bare, at the lowest versions, and as the built wheel?"""

from __future__ import annotations

from pathlib import Path

import nox

nox.needs_version = ">=2026.4"
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["tests", "bare", "lowest", "wheel"]

PYTHONS = ["3.11", "3.12", "3.13"]
LOCK = "--constraints=requirements/test.txt"
TEST_TOOLS = ("pytest", "pytest-randomly", "hypothesis")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run every test but those of tests/system, with the locked versions."""
    session.install("-r", "requirements/test.txt", "--no-deps")
    session.install("--no-deps", "--no-build-isolation", "--editable", ".")
    session.run("pytest", "--ignore=tests/system", "--numprocesses=2", *session.posargs)


@nox.session(python=PYTHONS[0])
def bare(session: nox.Session) -> None:
    """Run the core's own tests where no extra is installed."""
    session.install(".", *TEST_TOOLS, LOCK)
    session.run("python", "-c", "import tracegate")
    # The one file that makes coded bodies with the optional libraries.
    session.run("pytest", "tests/unit/core", "--ignore=tests/unit/core/rewrite/test_encoded.py", *session.posargs)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest versions that pyproject.toml allows for dependencies and extras."""
    session.install("-r", "requirements/test.txt", "--no-deps")
    session.install("--resolution=lowest-direct", "--upgrade", ".[all]")
    session.run("pytest", "--ignore=tests/system", "--numprocesses=2", *session.posargs)


@nox.session(python=PYTHONS)
def wheel(session: nox.Session) -> None:
    """Build the wheel, install it alone, and use it from outside the working tree."""
    dist = Path(session.create_tmp())
    session.install("build", LOCK)
    session.run("python", "-m", "build", "--outdir", str(dist), silent=True)
    (built,) = dist.glob("*.whl")
    session.install(f"tracegate-http[all] @ {built.resolve().as_uri()}", "httpx", LOCK)
    smoke = Path("tools/smoke.py").resolve()
    session.chdir(dist)
    session.run("python", "-I", str(smoke))
