"""The README's promises, as a reader would try them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

README = Path(__file__).parents[2] / "README.md"
ID = "0b2f7a1e-5c1d-4c57-9e3a-7f1d2c9b8a60"


def _blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_every_block_of_python_runs_as_it_stands() -> None:
    """A reader who pastes a block gets no error."""
    blocks = _blocks()
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, str(README), "exec"), {})  # noqa: S102 - our own README


@pytest.mark.contract("C4")
def test_the_unhandled_500_reads_as_printed() -> None:
    """The reply that the README shows is the reply that the first block gives."""
    space: dict[str, object] = {}
    exec(compile(_blocks()[0], str(README), "exec"), space)  # noqa: S102 - our own README
    app = space["app"]

    @app.get("/pay")  # type: ignore[attr-defined, untyped-decorator]
    async def pay() -> None:
        raise RuntimeError("the database is gone")

    reply = TestClient(app, raise_server_exceptions=False).get("/pay", headers={"X-Trace-Id": ID})  # type: ignore[arg-type]

    printed = re.sub(
        r"\n\s*", "", README.read_text(encoding="utf-8").partition('{"error_code"')[2].partition("\n```")[0]
    )
    assert reply.status_code == 500
    assert reply.headers["x-trace-id"] == ID
    assert reply.text == '{"error_code"' + printed


def test_the_commands_of_the_store_page_work_in_their_order(tmp_path: Path) -> None:
    """From an empty directory, with what the page sets."""
    text = (README.parent / "docs" / "store.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\$ (.*?)(?: {2,}#.*)?$", text, flags=re.MULTILINE)
    settings = dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))
    steps = [line.split()[1:] for line in lines if line.startswith("python ")]
    assert len(steps) == 2

    for step in steps:
        done = subprocess.run(
            [sys.executable, *step],
            cwd=tmp_path,
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "events.db").exists()


def test_it_is_under_two_screens() -> None:
    """A newcomer reads it whole."""
    assert len(README.read_text(encoding="utf-8").splitlines()) < 100
