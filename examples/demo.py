"""What does tracegate change? Two real services under real servers, asked the same questions bare and gated.

It ends with what was kept of that, and with what a pipeline hears. Run: ``make demo``, or ``python -m examples.demo``.
Leaves nothing behind; exits with 1 if a gated reply lacks its id, or if the deploy gate is not locked.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from examples.demo_store import StoreShown, inherited

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GOOD = "0b2f7a1e-5c1d-4c57-9e3a-7f1d2c9b8a60"
OTHER = "7d9e4f10-11aa-4b6c-8f2d-3c5b6a798801"
READY_SECONDS = 30
WIDTHS = (21, 20, 35)
"""Of the columns: a line fits on 80."""


@dataclass(frozen=True)
class Question:
    """What the client asks, in words and on the wire."""

    words: str
    path: str
    headers: tuple[tuple[str, str], ...] = (("X-Trace-Id", GOOD),)


@dataclass
class Answer:
    """What came back.

    Attributes:
        status: The status code.
        ids: The values of the reply's X-Trace-Id lines.
        media: The media type.
        body: What arrived of the body.
        whole: Whether the body ended as HTTP says it must.
        events: Data of the server-sent events, with whether each carries an id.
    """

    status: int
    ids: list[str]
    media: str
    body: bytes
    whole: bool
    events: list[tuple[str, bool]] = field(default_factory=list)


QUESTIONS = (
    Question("a good id", "/orders/7"),
    Question("no id", "/orders/7", ()),
    Question("an id that is none", "/orders/7", (("X-Trace-Id", "<script>alert(1)</script>"),)),
    Question("two different ids", "/orders/7", (("X-Trace-Id", GOOD), ("X-Trace-Id", OTHER))),
    Question("a probe without an id", "/healthz", ()),
    Question("an unknown order", "/orders/404"),
    Question("an unknown path", "/nowhere"),
    Question("a forged reply", "/forged"),
    Question("a crash", "/crash"),
    Question("a stream", "/tokens"),
    Question("a stream that breaks", "/tokens?fail_after=2"),
)


def main() -> int:
    """Run it; return 0 if every gated reply, error JSON and event carried its id, and the deploy gate locked."""
    missing = 0
    with tempfile.TemporaryDirectory() as folder:
        store = StoreShown(Path(folder))
        for title, servers in (
            ("FastAPI under uvicorn", (_uvicorn("bare:fastapi_app"), _uvicorn("fastapi_service:app"))),
            ("Flask under gunicorn", (_gunicorn("bare:flask_app"), _gunicorn("flask_service:app"))),
        ):
            with _running(servers[0], folder, {}) as bare, _running(servers[1], folder, store.settings) as gated:
                rows = [(question, _ask(bare, question), _ask(gated, question)) for question in QUESTIONS]
            _print_table(title, rows)
            missing += sum(not is_traced(answer) for _, _, answer in rows)
        print(LEGEND)
        store.print_events()
        store.print_hour()
        locked = store.print_gate()
    print(f"\nreplies, error bodies or events of the gated services without their trace id: {missing}")
    return 1 if missing or not locked else 0


# Servers.


def _uvicorn(application: str) -> list[str]:
    return [sys.executable, "-m", "uvicorn", f"examples.{application}", "--port", "{port}", "--log-level", "warning"]


def _gunicorn(application: str) -> list[str]:
    return [
        *(sys.executable, "-m", "gunicorn", f"examples.{application}", "--bind", "127.0.0.1:{port}"),
        *("--worker-class", "gthread", "--threads", "4", "--log-level", "error"),
    ]


@contextlib.contextmanager
def _running(command: list[str], folder: str, settings: Mapping[str, str]) -> Iterator[str]:
    """Start a server on a free loopback port; yield its address, and stop it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = Path(folder, f"{port}.log")
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [part.format(port=port) for part in command],
            stdout=stream,
            stderr=stream,
            env={**inherited(), **settings},
            cwd=Path(__file__).parent.parent,
            start_new_session=True,
        )
    try:
        _wait_for(port, process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args} does not answer:\n{log.read_text()}")


# The client.


def _ask(address: str, question: Question) -> Answer:
    pieces, whole = [], True
    with (
        httpx.Client(timeout=10, trust_env=False) as client,
        client.stream("GET", address + question.path, headers=list(question.headers)) as reply,
    ):
        try:
            pieces.extend(reply.iter_raw())
        except httpx.RemoteProtocolError:
            whole = False
        answer = Answer(
            reply.status_code,
            reply.headers.get_list("X-Trace-Id"),
            reply.headers.get("content-type", "").partition(";")[0],
            b"".join(pieces),
            whole,
        )
    if answer.media == "text/event-stream":
        answer.events = list(_events(answer.body.decode()))
    return answer


def _events(text: str) -> Iterator[tuple[str, bool]]:
    for block in text.split("\n\n")[:-1]:
        fields = [line.partition(": ")[::2] for line in block.splitlines()]
        data = "\n".join(value for name, value in fields if name == "data")
        yield data, any(name == "trace_id" for name, _ in fields) or '"trace_id":' in data


def is_traced(answer: Answer) -> bool:
    """Return whether header, error JSON and every event carry exactly one id, and the same."""
    if len(answer.ids) != 1:
        return False
    if answer.status >= 400 and answer.media == "application/json":
        return json.loads(answer.body).get("trace_id") == answer.ids[0]
    return all(marked for _, marked in answer.events)


# What people see.


def _print_table(title: str, rows: list[tuple[Question, Answer, Answer]]) -> None:
    heads = (title, "bare", "with tracegate")
    cells = [heads, *((question.words, _told(bare), _told(gated)) for question, bare, gated in rows)]
    first, second, _ = WIDTHS
    good, plain = ("\033[32m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print()
    for words, bare, gated in cells:
        shown = gated if words == title else f"{good}{gated}{plain}"
        print(f"{words:{first}}  {bare:{second}}  {shown}".rstrip())
        if words == title:
            print("  ".join("-" * width for width in WIDTHS))


def _told(answer: Answer) -> str:
    """Return an answer in a few words: what it says, and whose id it carries."""
    if answer.media == "text/event-stream":
        marked = sum(marked for _, marked in answer.events)
        end = "" if answer.whole else ", cut"
        return f"{answer.status} {_whose(answer)}, {marked}/{len(answer.events)}{end}"
    said = ""
    if answer.status >= 400 and answer.media == "application/json":
        members = json.loads(answer.body)
        said = " " + " ".join(members.get("details", [])[:1] or [members.get("error_code", "")])
    return f"{answer.status}{said.rstrip()} {_whose(answer)}"


def _whose(answer: Answer) -> str:
    if len(answer.ids) != 1:
        return f"{len(answer.ids) or 'no'} id{'s' * (len(answer.ids) > 1)}"
    if answer.ids[0] == FORGED:
        return "FORGED id"
    return "your id" if answer.ids[0] in (GOOD, OTHER) else "new id"


LEGEND = """
new id    made by the gate: the request named none, or none that it can take
3/3, cut  so many events of the stream carry the id; it does not end as if whole"""

FORGED = "deadbeef-0000-4000-8000-000000000000"


if __name__ == "__main__":
    raise SystemExit(main())
