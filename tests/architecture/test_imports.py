"""Do imports point down only, is the core pure, and does `import tracegate` stay light?"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tracegate"

CORE_MAY_IMPORT = frozenset({
    "__future__", "codecs", "collections", "collections.abc", "dataclasses", "enum", "functools", "hashlib", "http",
    "ipaddress", "itertools", "json", "json.decoder", "re", "string", "sys", "types", "typing", "urllib.parse", "zlib",
    "importlib",  # for the content codings that may not be installed
    "msgspec",
})  # fmt: skip
"""Values and grammars. Nothing that reads a clock, a socket, an environment or a context."""

TOO_HEAVY = frozenset({
    # frameworks and what comes with them
    "anyio", "fastapi", "flask", "jinja2", "pydantic", "sse_starlette", "starlette", "werkzeug",
    # servers and clients
    "aiohttp", "granian", "gunicorn", "httptools", "httpx", "hypercorn", "requests", "uvicorn", "uvloop", "waitress",
    # the store, and OpenTelemetry beyond its API
    "alembic", "opentelemetry.exporter", "opentelemetry.instrumentation", "opentelemetry.sdk", "psycopg", "sqlalchemy",
    # optional codings, and heavy rooms of the standard library
    "asyncio", "brotli", "concurrent.futures", "http.client", "multiprocessing", "sqlite3", "ssl", "unittest",
    "zstandard",
})  # fmt: skip


def runtime_imports(tree: ast.AST) -> set[str]:
    """Return the dotted names of the modules that running *tree* imports; ``if TYPE_CHECKING:`` does not run."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                found |= {name for branch in node.orelse for name in runtime_imports(branch)}
            case ast.Import():
                found |= {alias.name for alias in node.names}
            case ast.ImportFrom():
                assert node.level == 0, "relative imports hide the layer that they name"
                found.add(node.module or "")
            case _:
                found |= runtime_imports(node)
    return found


def test_the_import_contracts_hold() -> None:
    """Layers, the core's purity, nobody imports the root: the contracts of pyproject.toml, read by `lint-imports`."""
    # In a process of its own, because it reconfigures logging.
    lint = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True, no_logo=True))"
    checked = subprocess.run([sys.executable, "-c", lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", sorted(SOURCE.glob("core/**/*.py")), ids=lambda path: path.name)
def test_the_core_imports_only_values_and_grammars(path: Path) -> None:
    """A forbidden list can forget a module; this is the list of what is allowed."""
    imported = runtime_imports(ast.parse(path.read_text(encoding="utf-8")))
    foreign = {name for name in imported if name != "tracegate.errors" and not name.startswith("tracegate.core")}
    assert foreign <= CORE_MAY_IMPORT


def test_importing_tracegate_loads_nothing_heavy() -> None:
    """No framework, server, store, SDK or event loop comes along: an application pays for what it uses."""
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, tracegate; print(*sys.modules)"],
        env={"PYTHONPATH": str(SOURCE.parent)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "tracegate" in loaded
    assert TOO_HEAVY.isdisjoint(loaded)


@pytest.mark.contract("I1")
def test_the_oracle_shares_no_code_with_what_it_judges() -> None:
    """Nothing that it imports, however indirectly, comes from tracegate or from what tracegate parses with."""
    waiting = sorted((ROOT / "tests" / "property" / "oracle").rglob("*.py"))
    seen: set[Path] = set()
    imported: set[str] = set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        imported |= (names := runtime_imports(ast.parse(path.read_text(encoding="utf-8"))))
        own = (ROOT.joinpath(*name.split(".")) for name in names if name.startswith("tests."))
        files = (file for base in own for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file())
        waiting += (file for file in files if file not in seen)
    assert seen
    assert {name for name in imported if name.split(".")[0] in {"tracegate", "msgspec"}} == set()
