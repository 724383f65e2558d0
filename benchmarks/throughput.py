"""How many requests per second does uvicorn still answer behind the gate?

Three servers stand side by side on one core: the bare application, the same with a wrapper that adds the trace header
and does nothing else, and the gated one. A raw-socket client on the other core keeps sixteen connections busy, at one
server after the other, in turns whose order rotates. Every few turns new processes replace all three: two of the same
application differ by 3 %. Besides requests per second, each turn yields the server's own processor time per request,
which a busy neighbour disturbs less. "FastAPI" returns a constant; "a service" validates a posted body, has a
dependency and a response model, and is what the promise is about.
"""

import os
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import NamedTuple, Self

from benchmarks.exchange import REQUEST_HEADERS
from benchmarks.rounds import markdown_table
from benchmarks.targets import Target

__all__ = ["SETUPS", "Ratios", "measure", "targets", "throughput_table"]

_CONNECTIONS = 16
_ORDER = b'{"customer":"c-17","lines":[{"item":"a widget","count":3},{"item":"a gadget","count":1}]}'
_HEADERS = "".join(f"{name}: {value}\r\n" for name, value in REQUEST_HEADERS.items()).encode()
_GET = b"GET /widgets/42 HTTP/1.1\r\n%b\r\n" % _HEADERS
_POST = b"POST /orders HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n%b" % (_HEADERS, len(_ORDER), _ORDER)
_TURNS_OF_A_PROCESS = 4

SETUPS = {
    "raw ASGI, h11 + asyncio": ("raw", "--http", "h11", "--loop", "asyncio"),
    "raw ASGI, httptools + uvloop": ("raw", "--http", "httptools", "--loop", "uvloop"),
    "FastAPI, h11 + asyncio": ("fastapi", "--http", "h11", "--loop", "asyncio"),
    "FastAPI, httptools + uvloop": ("fastapi", "--http", "httptools", "--loop", "uvloop"),
    "a service, h11 + asyncio": ("service", "--http", "h11", "--loop", "asyncio"),
    "a service, httptools + uvloop": ("service", "--http", "httptools", "--loop", "uvloop"),
}


class Turn(NamedTuple):
    """What one server did in one turn."""

    requests_per_second: float
    cpu_seconds_per_request: float


class Ratios(NamedTuple):
    """Medians over the turns: 1 is as good as bare.

    Attributes:
        throughput: Requests per second, gated over bare.
        processor_time: Requests per second of the server's processor time, gated over bare.
        header_only: The same for the wrapper that adds the header and does nothing else.
        bare_requests_per_second: What the bare application does, for scale.
    """

    throughput: float
    processor_time: float
    header_only: float
    bare_requests_per_second: float


class _Server:
    """A uvicorn process with one of the served applications. A context manager: leaving it stops the process."""

    def __init__(self, application: str, arguments: tuple[str, ...]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._request = _POST if application.endswith("service") else _GET
        command = [sys.executable, "-m", "uvicorn", f"benchmarks.served:{application}", "--factory", *arguments]
        command += ["--port", str(self.port), "--no-access-log", "--log-level", "warning"]
        self._process = subprocess.Popen(command)  # our own module
        self._clock = Path(f"/proc/{self._process.pid}/schedstat")

    def wait(self, seconds: float = 20) -> None:
        """Return when the server accepts connections."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.05)
            else:
                return

    def turn(self, seconds: float) -> Turn:
        """Keep the server busy for that long."""
        before = self._cpu_seconds()
        requests, elapsed = _drive(self.port, self._request, seconds)
        return Turn(requests / elapsed, (self._cpu_seconds() - before) / requests)

    def pin(self, core: int) -> None:
        """Let the server run on that core only."""
        os.sched_setaffinity(self._process.pid, {core})

    def _cpu_seconds(self) -> float:
        return int(self._clock.read_text().split()[0]) / 1e9 if self._clock.exists() else float("nan")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()


def _drive(port: int, request: bytes, seconds: float) -> tuple[int, float]:
    """Send *request* on every connection as soon as its last reply is in; return replies and seconds."""
    with ExitStack() as stack:
        ready = stack.enter_context(selectors.DefaultSelector())
        for _ in range(_CONNECTIONS):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ready.register(connection, selectors.EVENT_READ)
            connection.sendall(request)
        replies, missing = 0, dict.fromkeys(ready.get_map(), b"")
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            for key, _events in ready.select():
                connection = key.fileobj  # type: ignore[assignment]  # only sockets are registered
                received = missing[key.fd] + connection.recv(65536)
                if _is_complete(received):
                    replies += 1
                    received = b""
                    connection.sendall(request)
                missing[key.fd] = received
        return replies, time.perf_counter() - start


def _is_complete(received: bytes) -> bool:
    """Return whether *received* is a whole success with its declared length.

    Raises:
        ConnectionError: The server answered something else, or closed.
    """
    if not received.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
        raise ConnectionError(received[:200])
    head, blank, body = received.partition(b"\r\n\r\n")
    declared = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return bool(blank) and len(body) >= int(declared)


def measure(setup: str, *, turns: int, seconds: float) -> Ratios:
    """Return what one of SETUPS does: medians over that many turns of each server."""
    rounds: list[dict[str, Turn]] = []
    while len(rounds) < turns:
        rounds += _rounds(*SETUPS[setup], turns=min(_TURNS_OF_A_PROCESS, turns - len(rounds)), seconds=seconds)
    return Ratios(
        median(turn["gated"].requests_per_second / turn["bare"].requests_per_second for turn in rounds),
        median(turn["bare"].cpu_seconds_per_request / turn["gated"].cpu_seconds_per_request for turn in rounds),
        median(turn["bare"].cpu_seconds_per_request / turn["header"].cpu_seconds_per_request for turn in rounds),
        median(turn["bare"].requests_per_second for turn in rounds),
    )


def _rounds(application: str, *arguments: str, turns: int, seconds: float) -> list[dict[str, Turn]]:
    """Start the three servers, let them have their turns, and stop them."""
    allowed = os.sched_getaffinity(0)
    with ExitStack() as stack:
        servers = {
            kind: stack.enter_context(_Server(f"{kind}_{application}", arguments))
            for kind in ("bare", "header", "gated")
        }
        if len(allowed) > 1:
            for server in servers.values():
                server.pin(max(allowed))
            os.sched_setaffinity(0, {min(allowed)})
            stack.callback(os.sched_setaffinity, 0, allowed)
        for server in servers.values():
            server.wait()
            server.turn(seconds)
        kinds = deque(servers)
        rounds: list[dict[str, Turn]] = []
        for _ in range(turns):
            rounds.append({kind: servers[kind].turn(seconds) for kind in kinds})
            kinds.rotate()
    return rounds


def throughput_table(ratios: dict[str, Ratios]) -> str:
    """Return the table of medians."""
    rows = [
        [
            setup,
            f"{item.throughput:.3f}",
            f"{item.processor_time:.3f}",
            f"{item.header_only:.3f}",
            f"{item.bare_requests_per_second:,.0f}",
        ]
        for setup, item in ratios.items()
    ]
    head = ["of bare", "requests per second", "per processor second", "the header alone", "bare requests/s, this run"]
    return markdown_table(head, rows)


def targets(ratios: dict[str, Ratios]) -> list[Target]:
    """Return what issue 2 promises about throughput, for an application that does something.

    One that returns a constant answers in 40 to 250 µs: the header's own bytes cost 1 to 7 % of that.
    """
    return [
        Target(f"throughput, {setup}", item.throughput, 0.97, "at least")
        for setup, item in ratios.items()
        if setup.startswith("a service")
    ]
