"""What does tracegate change? Two real services under real servers, asked the same questions bare and gated.

Run: ``make demo``, or ``python -m examples.demo``. Leaves nothing behind; exits with 1 if a gated reply lacks its id.
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

if TYPE_CHECKING:
    from collections.abc import Iterator

GOOD = "0b2f7a1e-5c1d-4c57-9e3a-7f1d2c9b8a60"
OTHER = "7d9e4f10-11aa-4b6c-8f2d-3c5b6a798801"
READY_SECONDS = 30


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
    Question("an order that does not exist", "/orders/404"),
    Question("a path that does not exist", "/nowhere"),
    Question("a handler that forges the id", "/forged"),
    Question("a handler that crashes", "/crash"),
    Question("a stream of tokens", "/tokens"),
    Question("a stream that crashes midway", "/tokens?fail_after=2"),
)


def main() -> int:
    """Run the demonstration; return 0 if every gated reply, error JSON and event carried its id."""
    missing = 0
    with tempfile.TemporaryDirectory() as folder:
        for title, servers in (
            ("FastAPI under uvicorn", (_uvicorn("bare:fastapi_app"), _uvicorn("fastapi_service:app"))),
            ("Flask under gunicorn", (_gunicorn("bare:flask_app"), _gunicorn("flask_service:app"))),
        ):
            with _running(servers[0], folder) as (bare, _), _running(servers[1], folder) as (gated, log):
                rows = [(question, _ask(bare, question), _ask(gated, question)) for question in QUESTIONS]
            _print_table(title, rows)
            missing += sum(not is_traced(answer) for _, _, answer in rows)
            _print_events(log)
    print(f"\nreplies, error bodies or events of the gated services without their trace id: {missing}")
    return 1 if missing else 0


# Servers.


def _uvicorn(application: str) -> list[str]:
    return [sys.executable, "-m", "uvicorn", f"examples.{application}", "--port", "{port}", "--log-level", "warning"]


def _gunicorn(application: str) -> list[str]:
    return [
        *(sys.executable, "-m", "gunicorn", f"examples.{application}", "--bind", "127.0.0.1:{port}"),
        *("--worker-class", "gthread", "--threads", "4", "--log-level", "error"),
    ]


@contextlib.contextmanager
def _running(command: list[str], folder: str) -> Iterator[tuple[str, Path]]:
    """Start a server on a free loopback port; yield its address and its log, and stop it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = Path(folder, f"{port}.log")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TRACEGATE_")}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [part.format(port=port) for part in command],
            stdout=stream,
            stderr=stream,
            env=environment,
            cwd=Path(__file__).parent.parent,
            start_new_session=True,
        )
    try:
        _wait_for(port, process, log)
        yield f"http://127.0.0.1:{port}", log
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
    heads = ("the client sends", "the bare framework answers", "with tracegate")
    cells = [heads, *((question.words, _told(bare), _told(gated)) for question, bare, gated in rows)]
    first, second, third = (max(len(row[column]) for row in cells) for column in range(3))
    good, plain = ("\033[32m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{title}\n")
    for words, bare, gated in cells:
        shown = gated if words == heads[0] else f"{good}{gated}{plain}"
        print(f"  {words:{first}}  {bare:{second}}  {shown}".rstrip())
        if words == heads[0]:
            print(f"  {'-' * first}  {'-' * second}  {'-' * third}")


def _told(answer: Answer) -> str:
    """Return an answer in a few words: what it says, and where its trace id stands."""
    if answer.media == "text/event-stream":
        marked = sum(marked for _, marked in answer.events)
        end = "" if answer.whole else ", cut off"
        return f"{answer.status} {_where(answer)}, in {marked} of {len(answer.events)} events{end}"
    said = "" if answer.status < 400 else f" {answer.media.removeprefix('text/')}"
    if said and answer.media == "application/json":
        members = json.loads(answer.body)
        said = " " + " ".join(members.get("details", [])[:1] or [members.get("error_code", "json")])
    return f"{answer.status}{said} {_where(answer)}"


def _where(answer: Answer) -> str:
    if len(answer.ids) != 1:
        return f"({len(answer.ids) or 'no'} trace id{'s' * (len(answer.ids) > 1)})"
    if answer.ids[0] == FORGED:
        return "(FORGED trace id)"
    whose = "yours" if answer.ids[0] in (GOOD, OTHER) else "a new one"
    in_body = answer.status >= 400 and answer.media == "application/json" and answer.ids[0].encode() in answer.body
    return f"(trace id: {whose}, in header{' and body' if in_body else ''})"


FORGED = "deadbeef-0000-4000-8000-000000000000"


def _print_events(log: Path) -> None:
    """Print the events that the gated service logged, in short."""
    print("\n  the events that it recorded:\n")
    for line in log.read_text().splitlines():
        with contextlib.suppress(ValueError):
            event = json.loads(line[line.index("{") :])
            print(f"  {event['kind']:24}{event['trace_id']}  {event['route'] or '-':22}{event['message'][:56]}")


if __name__ == "__main__":
    raise SystemExit(main())
