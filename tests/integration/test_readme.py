"""The README's promises, as a reader would try them."""

from __future__ import annotations

import re
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


def test_it_is_under_two_screens() -> None:
    """A newcomer reads it whole."""
    assert len(README.read_text(encoding="utf-8").splitlines()) < 100
