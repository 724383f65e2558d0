"""Do the recipes of ``deploy/gate`` let a release out only where the gate is open? Their own shell, on a real store."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from wsgiref.util import setup_testing_defaults
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.integration.warm_python import warm_python
from tracegate.adapters.wsgi import TraceGate
from tracegate.core.events import Event
from tracegate.core.policy import Policy
from tracegate.errors import ConfigurationError
from tracegate.ops.deploy_gate import Doubt
from tracegate.ops.gate_actions import Wish, act
from tracegate.ops.gate_web import application
from tracegate.store.engine import open_engine
from tracegate.store.events import EventStore
from tracegate.store.upgrade import upgrade

RECIPES = Path(__file__).parents[2] / "deploy" / "gate"
PAGE = RECIPES.parents[1] / "docs" / "gate.md"
TRACE = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
OWN = "0b2f7a1e-5c1d-4c57-9e3a-7f1d2c9b8a60"
STATUS = {"open": 0, "locked": 1, "inconclusive": 3}
STATES = tuple(STATUS)

pytestmark = pytest.mark.contract("H3")


def locking_event(route: str = "/orders") -> Event:
    """Return an event of this moment that locks the gate of ``orders``."""
    return Event(
        kind="missing_trace", severity="error", component="c", message="m", trace_id=TRACE, stage="request",
        mode="require", route=route, service="orders", id="1", time=datetime.now(UTC),
    )  # fmt: skip


def recipe(name: str) -> list[Any]:
    """Return the documents of a recipe."""
    return list(yaml.safe_load_all((RECIPES / name).read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give a store for each state that the gate of ``orders`` can be in."""
    folder = tmp_path_factory.mktemp("stores")
    urls = {state: f"sqlite:///{folder}/{state}.db" for state in STATES}
    for state in ("open", "locked"):
        engine = open_engine(urls[state])
        upgrade(engine)
        if state == "locked":
            EventStore(engine).append([locking_event()])
        else:
            assert act(engine, Wish(kind="init", service="orders", actor="ana")) == ()  # nothing has been seen of it
        engine.dispose()
    return urls


# As the pipelines run them.


@dataclass
class Bench:
    """Where a recipe's shell runs.

    Attributes:
        path: Of the programs; its ``python`` is ours.
        folder: The working folder.
        stores: By state.
    """

    path: Path
    folder: Path
    stores: dict[str, str]

    def run(self, command: list[str], state: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a part of a recipe while the gate is in *state*."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TRACEGATE_")}
        path = f"{self.path}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**inherited, "PATH": path, "TRACEGATE_STORE_URL": self.stores[state], **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture(scope="module")
def python() -> Iterator[Path]:
    """Give a folder with a ``python`` that starts at once."""
    with warm_python() as folder:
        yield folder


@pytest.fixture
def bench(python: Path, tmp_path: Path, stores: dict[str, str]) -> Bench:
    """Give an empty folder to run in."""
    return Bench(python, tmp_path, stores)


@pytest.mark.parametrize("state", STATES)
def test_github_actions_goes_on_to_deploy_only_where_the_gate_is_open(bench: Bench, state: str) -> None:
    """The step runs as the runner does it (``bash -e``); the page of the run shows the verdict."""
    (workflow,) = recipe("github-actions.yml")
    *_, step = workflow["jobs"]["gate"]["steps"]
    (bench.folder / "step.sh").write_text(step["run"])
    summary = bench.folder / "summary.md"
    done = bench.run(
        ["bash", "-e", "step.sh"], state, SERVICE=workflow["env"]["SERVICE"], GITHUB_STEP_SUMMARY=str(summary)
    )

    assert (done.returncode, done.stderr) == (STATUS[state], "")
    assert done.stdout.startswith(f"orders: {state}\n")
    assert summary.read_text().startswith(f"    orders: {state}\n")
    assert step["env"]["TRACEGATE_STORE_URL"] == "${{ secrets.TRACEGATE_STORE_URL }}"
    assert workflow["jobs"]["deploy"]["needs"] == "gate"


@pytest.mark.parametrize("shell", [["sh"], ["bash", "-o", "pipefail"]])
@pytest.mark.parametrize("state", STATES)
def test_gitlab_goes_on_to_deploy_only_where_the_gate_is_open(bench: Bench, state: str, shell: list[str]) -> None:
    """In an image with bash or without; the merge request shows the verdict as a test."""
    (pipeline,) = recipe("gitlab-ci.yml")
    job = pipeline["deploy-gate"]
    script = "\n".join(job["script"])
    done = bench.run([*shell, "-e", "-c", script], state, SERVICE=pipeline["variables"]["SERVICE"])
    suite = ET.parse(bench.folder / job["artifacts"]["reports"]["junit"]).getroot()  # noqa: S314 - our own

    assert (done.returncode, done.stderr) == (STATUS[state], "")
    found = [int(suite.get(name, "-1")) > 0 for name in ("failures", "errors")]
    assert found == [state == "locked", state == "inconclusive"]
    assert job["artifacts"]["when"] == "always"
    assert pipeline["deploy"]["needs"] == ["deploy-gate"]
    assert pipeline["stages"].index("gate") < pipeline["stages"].index("deploy")


@pytest.mark.parametrize("state", STATES)
def test_a_kubernetes_job_completes_only_where_the_gate_is_open(bench: Bench, state: str) -> None:
    """The container's command; a pod that fails is not tried again, so the job fails with the first verdict."""
    (job,) = recipe("kubernetes-job.yaml")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    done = bench.run(container["command"], state)

    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    assert (done.returncode, done.stderr) == (STATUS[state], "")
    assert done.stdout.startswith(f"orders: {state}\n")
    assert [variable["name"] for variable in container["env"]] == ["TRACEGATE_STORE_URL"]
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


# As the page says.


def test_the_commands_of_the_page_leave_as_it_says(bench: Bench) -> None:
    """In their order, on a store in which the event of the page stands."""
    text = PAGE.read_text(encoding="utf-8")
    engine = open_engine(f"sqlite:///{bench.folder}/events.db")
    upgrade(engine)
    EventStore(engine).append([locking_event(route="/orders/{number}")])
    engine.dispose()
    commands = re.findall(r"^\$ (.*?)(?: +# leaves with (\d))?$", text, flags=re.MULTILINE)
    (_, setting), *steps = [(status, command) for command, status in commands]
    name, _, url = setting.removeprefix("export ").partition("=")
    told = [bench.run(["bash", "-c", command], "open", **{name: url}) for _, command in steps]

    assert len(steps) == 5
    assert [str(done.returncode) for done in told] == [status or "0" for status, _ in steps], told
    assert {done.stderr for done in told} == {""}
    printed = text.partition("# leaves with 1\n")[2].partition("```")[0]
    assert told[0].stdout.startswith(printed)


def test_the_page_knows_every_doubt_and_every_recipe() -> None:
    """In the words of the verdict."""
    text = PAGE.read_text(encoding="utf-8")
    for doubt in Doubt:
        assert f"| {doubt.value} |" in text
    for path in RECIPES.glob("*.y*ml"):
        assert f"(../deploy/gate/{path.name})" in text


# Over HTTP.


def asked(app: TraceGate, target: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Ask a WSGI application; return status, headers by lower-case name, and body."""
    url = urlsplit(target)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method, "PATH_INFO": url.path, "QUERY_STRING": url.query, "wsgi.input": io.BytesIO(),
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
    }  # fmt: skip
    setup_testing_defaults(environ)
    replies: list[tuple[str, dict[str, str]]] = []

    def start(status: str, lines: list[tuple[str, str]], _error: object = None) -> Any:  # noqa: ANN401 - write()
        replies.append((status, {name.lower(): value for name, value in lines}))

    body = app(environ, start)
    try:
        whole = b"".join(body)
    finally:
        getattr(body, "close", lambda: None)()
    ((status, found),) = replies
    return int(status.split()[0]), found, whole


OUTCOMES = {"open": "Successful", "locked": "Failed", "inconclusive": "Inconclusive"}


def measured(metric: dict[str, Any], status: int, body: bytes) -> str:
    """Return what Argo Rollouts makes of a reply: the metric's conditions, over what its JSONPath finds."""
    if not 200 <= status < 300:
        return "Error"
    path = re.fullmatch(r"\{\$\.(\w+)\}", metric["provider"]["web"]["jsonPath"])
    assert path is not None
    result = json.loads(body)[path[1]]
    for outcome, condition in (("Successful", "successCondition"), ("Failed", "failureCondition")):
        said = re.fullmatch(r'result == "(\w+)"', metric[condition])
        assert said is not None
        if result == said[1]:
            return outcome
    return "Inconclusive"


@pytest.mark.contract("B4", "C1", "H4")
@pytest.mark.parametrize("state", STATES)
def test_argo_rollouts_goes_on_stops_or_pauses(stores: dict[str, str], state: str) -> None:
    """The web metric's request, with the rollout's uid as its trace, and its conditions on the reply."""
    template, deployment, service, network = recipe("argo-rollouts.yaml")
    (metric,) = template["spec"]["metrics"]
    web = metric["provider"]["web"]
    arguments = {"{{args.service}}": "orders", "{{args.trace-id}}": OWN}
    assert sorted(f"{{{{args.{argument['name']}}}}}" for argument in template["spec"]["args"]) == sorted(arguments)

    def filled(text: str) -> str:
        for name, value in arguments.items():
            text = text.replace(name, value)
        return text

    headers = {line["key"]: filled(line["value"]) for line in web["headers"]}
    status, found, body = asked(application(Policy(store_url=stores[state])), filled(web["url"]), **headers)

    assert measured(metric, status, body) == OUTCOMES[state]
    assert (status, found["x-trace-id"], json.loads(body)["trace_id"]) == (200, OWN, OWN)
    assert urlsplit(web["url"]).netloc == f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["command"][-1] == f"{application.__module__}:{application.__name__}()"
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels == service["spec"]["selector"] == network["spec"]["podSelector"]["matchLabels"]


def test_a_question_without_a_trace_is_no_verdict(stores: dict[str, str]) -> None:
    """It stands behind the gate, in mode ``require``: Argo counts an error, and the rollout does not go on."""
    status, found, body = asked(application(Policy(store_url=stores["open"])), "/v1/ops/gate?service=orders")

    assert (status, json.loads(body)["details"]) == (409, ["missing_trace_id"])
    assert json.loads(body)["trace_id"] == found["x-trace-id"]


@pytest.mark.contract("H4")
def test_other_traces_stand_in_items(stores: dict[str, str]) -> None:
    """What locks the gate; the reply's own trace is its own."""
    app = application(Policy(store_url=stores["locked"]))
    _, found, body = asked(app, "/v1/ops/gate?service=orders&min_replies=0", **{"X-Trace-Id": OWN})
    document = json.loads(body)

    assert (document["service"], document["trace_id"], found["cache-control"]) == ("orders", OWN, "no-store")
    assert document["reasons"] == [f"1 × /orders:missing_trace, first trace {TRACE}"]
    assert [(item["route"], item["kind"], item["trace_id"]) for item in document["items"]] == [
        ("/orders", "missing_trace", TRACE)
    ]


@pytest.mark.contract("D1", "C1")
@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/", 404, "API-004-404"),
        ("GET", "/v1/ops/gate/", 404, "API-004-404"),
        ("POST", "/v1/ops/gate?service=orders", 405, "HTTP-405"),
        ("GET", "/v1/ops/gate", 422, "API-003-422"),
        ("GET", "/v1/ops/gate?service=", 422, "API-003-422"),
        ("GET", "/v1/ops/gate?service=a&service=b", 422, "API-003-422"),
        ("GET", "/v1/ops/gate?service=a%1b", 422, "API-003-422"),
        ("GET", f"/v1/ops/gate?service={'a' * 501}", 422, "API-003-422"),
        ("GET", "/v1/ops/gate?service=a&min_replies=-1", 422, "API-003-422"),
        ("GET", "/v1/ops/gate?service=a&min_replies=1&min_replies=0", 422, "API-003-422"),
    ],
)
def test_what_is_no_question_is_an_error_with_its_trace(
    method: str, target: str, status: int, code: str, stores: dict[str, str]
) -> None:
    """Never a verdict."""
    app = application(Policy(store_url=stores["open"]))
    found, headers, body = asked(app, target, method, **{"X-Trace-Id": OWN})

    assert (found, json.loads(body)["error_code"], json.loads(body)["trace_id"]) == (status, code, OWN)
    assert headers.get("allow") == ("GET, HEAD" if status == 405 else None)


def test_a_probe_needs_no_trace_and_a_head_has_no_body(stores: dict[str, str]) -> None:
    """As an orchestrator and a cache ask."""
    app = application(Policy(store_url=stores["open"]))

    assert asked(app, "/healthz")[::2] == (200, b'{"status":"ok"}')
    status, headers, body = asked(app, "/v1/ops/gate?service=orders", "HEAD", **{"X-Trace-Id": OWN})
    assert (status, headers["x-trace-id"], body) == (200, OWN, b"")


def test_without_a_store_there_is_nothing_to_ask() -> None:
    """It does not start."""
    with pytest.raises(ConfigurationError) as caught:
        application(Policy())
    assert [name for name, _ in caught.value.faults] == ["store_url"]
