"""Do npm's and Chromium's EventSource notice the marks? The same clients read the bare and the gated service."""

from __future__ import annotations

import contextlib
import json
import queue
import shutil
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.integration.event_stream import read_event_stream
from tests.integration.servers import SERVERS, RunningServer, run_server
from tests.integration.wire import ask

HERE = Path(__file__).parent
APPLICATION = "tests.integration.applications.language_models:app"
TRACE = str(uuid.uuid4())
VARIANTS = {"bare": {"MATRIX_VARIANT": "bare"}, "auto": {"MATRIX_VARIANT": "tracegate"}}
VARIANTS["field"] = {"MATRIX_VARIANT": "tracegate", "SSE_CARRIER": "field"}
CLIENTS = ("eventsource", "eventsource-parser")
PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def services() -> Iterator[dict[str, RunningServer]]:
    """The bare service, and one gated service for each way of marking events."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(run_server(SERVERS["uvicorn-httptools"], APPLICATION, **environment))
            for name, environment in VARIANTS.items()
        }


@pytest.fixture(scope="module")
def read_with_node(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str, str], Any]:
    """How to run one of npm's clients: its name, the URL, and the trace for the header."""
    folder = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json", "read_events.mjs"):
        shutil.copy(HERE / name, folder)
    install = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(install, cwd=folder, check=True, timeout=PATIENCE_SECONDS)

    def read(client: str, url: str, trace: str) -> Any:  # noqa: ANN401 - the client's JSON
        command = ["node", "read_events.mjs", client, url, trace]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
        return json.loads(done.stdout)

    return read


def url_of(service: RunningServer, path: str) -> str:
    """Return where *path* of *service* is."""
    return f"http://127.0.0.1:{service.port}{path}"


def unmarked(event: dict[str, Any]) -> dict[str, Any]:
    """Return *event* without the member that the gate adds to a JSON object, which must name the bound trace."""
    if not event.get("data", "").startswith("{"):
        return event
    said = json.loads(event["data"])
    assert said.pop("trace_id", TRACE) == TRACE
    return {**event, "data": said}


@pytest.mark.contract("D6")
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("carrier", ["auto", "field"])
def test_clients_of_npm_read_the_same_events(
    services: dict[str, RunningServer], read_with_node: Callable[[str, str, str], Any], client: str, carrier: str
) -> None:
    """Types, ids, retry times, comments and texts are the bare ones; a field as mark is not even seen."""
    bare = read_with_node(client, url_of(services["bare"], "/events"), TRACE)
    gated = read_with_node(client, url_of(services[carrier], "/events"), TRACE)
    assert [unmarked(event) for event in gated] == [unmarked(event) for event in bare]
    assert (gated == bare) == (carrier == "field")


@pytest.mark.contract("D7")
@pytest.mark.parametrize("client", CLIENTS)
def test_clients_of_npm_read_the_error_event_of_a_stream_that_fails(
    services: dict[str, RunningServer], read_with_node: Callable[[str, str, str], Any], client: str
) -> None:
    """The last event is an ``error`` whose data names the trace."""
    seen = read_with_node(client, url_of(services["auto"], "/events?model=failing"), TRACE)
    error = next(event for event in seen if event.get("type") == "error")
    assert json.loads(error["data"])["trace_id"] == TRACE


@contextlib.contextmanager
def page() -> Iterator[tuple[str, queue.Queue[dict[str, Any]]]]:
    """Serve ``browser.html`` on an origin of its own; yields its URL and where its findings arrive."""
    found: queue.Queue[dict[str, Any]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        """Gives the page, takes what it found."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write((HERE / "browser.html").read_bytes())

        def do_POST(self) -> None:
            found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def read_with_chromium(service: RunningServer, profile: Path) -> dict[str, Any]:
    """Return what ``browser.html`` finds at *service* in a headless Chromium."""
    with page() as (url, found):
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}")
        command = ["chromium", *options, f"{url}?service={url_of(service, '')}&trace={TRACE}"]
        output = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, **output) as browser:  # type: ignore[call-overload]  # three file numbers
            try:
                return found.get(timeout=PATIENCE_SECONDS)
            finally:
                browser.terminate()


@pytest.fixture(scope="module")
def in_chromium(services: dict[str, RunningServer], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Chromium finds at the gated service."""
    return read_with_chromium(services["auto"], tmp_path_factory.mktemp("chromium"))


@pytest.mark.contract("B7", "D6")
def test_chromium_reads_the_events_of_a_stream_that_the_query_names(
    services: dict[str, RunningServer], in_chromium: dict[str, Any]
) -> None:
    """EventSource cannot send headers; what it dispatches is what the bare stream says, plus the marks."""
    said = read_event_stream(ask(services["bare"].port, "GET", "/events").body).events
    bare = [{"type": event.type, "data": event.data, "id": event.last_event_id} for event in said]
    assert [unmarked(event) for event in in_chromium["events"]] == [unmarked(event) for event in bare]
    assert json.loads(in_chromium["events"][0]["data"])["trace_id"] == TRACE


@pytest.mark.contract("D7")
def test_chromium_dispatches_the_error_event_of_a_stream_that_fails(in_chromium: dict[str, Any]) -> None:
    """It arrives as a message event of type ``error`` that names the trace."""
    assert in_chromium["failing"][-1]["type"] == "error"
    assert json.loads(in_chromium["failing"][-1]["data"])["trace_id"] == TRACE


@pytest.mark.contract("B4")
def test_chromium_is_refused_a_stream_without_an_id(in_chromium: dict[str, Any]) -> None:
    """A 409 closes an EventSource for good: it does not come back every three seconds."""
    assert in_chromium["refused"] == [{"refused": True}]


@pytest.mark.contract("B5", "C6")
def test_a_page_of_another_origin_sends_and_reads_the_id(in_chromium: dict[str, Any]) -> None:
    """The preflight for the header passes without an id, and the reply's header is exposed."""
    assert in_chromium["json"] == {"status": 200, "trace": TRACE, "body": {"ok": True}}
    assert in_chromium["error"]["status"] == 404
    assert in_chromium["error"]["trace"] == in_chromium["error"]["body"]["trace_id"] == TRACE


@pytest.mark.contract("C6", "E3")
def test_a_page_of_another_origin_reads_a_refusal(in_chromium: dict[str, Any]) -> None:
    """The gate's own 409 carries the CORS lines that the application's replies have."""
    refusal = in_chromium["refusal"]
    assert refusal["status"] == 409
    assert refusal["body"]["details"] == ["missing_trace_id"]
    assert refusal["trace"] == refusal["body"]["trace_id"]


@pytest.mark.contract("B7", "C1")
def test_a_websocket_of_chromium_is_named_by_the_query(in_chromium: dict[str, Any]) -> None:
    """The handler runs under the id of the query; without one the handshake is refused."""
    assert in_chromium["websocket"] == TRACE
    assert in_chromium["websocketRefused"] == "refused"
