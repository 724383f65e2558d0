"""Do real clients of event streams notice the marks? The same program reads the bare and the gated service."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections import deque
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import httpx_sse
import openai
import pytest

from tests.integration.applications.language_models import FAILING, TOKENS
from tests.integration.servers import SERVERS, RunningServer, run_server

APPLICATION = "tests.integration.applications.language_models:app"
TRACE = str(uuid.uuid4())
HEADERS = {"X-Trace-Id": TRACE}
PROMPT: Any = [{"role": "user", "content": "Say hello."}]
CARRIERS = ("auto", "field")


def serve(stack: contextlib.ExitStack, variant: str, **settings: str) -> RunningServer:
    """Start the service for as long as *stack* is open."""
    server = run_server(SERVERS["uvicorn-httptools"], APPLICATION, MATRIX_VARIANT=variant, **settings)
    return stack.enter_context(server)


@pytest.fixture(scope="module")
def services() -> Iterator[dict[str, RunningServer]]:
    """The bare service, and one gated service for each way of marking events."""
    with contextlib.ExitStack() as stack:
        running = {"bare": serve(stack, "bare")}
        running |= {carrier: serve(stack, "tracegate", SSE_CARRIER=carrier) for carrier in CARRIERS}
        running["openai"] = serve(stack, "tracegate", SSE_ERROR="openai")
        yield running


def unmarked(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return *value* without the member that the gate adds, which must name the bound trace."""
    if isinstance(value, dict) and "trace_id" in value:
        assert value["trace_id"] == TRACE
        return {name: item for name, item in value.items() if name != "trace_id"}
    return value


def read_httpx(service: RunningServer) -> list[tuple[str, str, str, int | None]]:
    """Return every event that httpx-sse sees."""
    url = f"http://127.0.0.1:{service.port}/events"
    with httpx.Client(headers=HEADERS) as client, httpx_sse.connect_sse(client, "GET", url) as source:
        assert source.response.headers.get("x-trace-id", TRACE) == TRACE
        return [(event.event, event.data, event.id, event.retry) for event in source.iter_sse()]


def open_openai(service: RunningServer) -> openai.OpenAI:
    """Return OpenAI's client for *service*."""
    url = f"http://127.0.0.1:{service.port}/v1"
    return openai.OpenAI(base_url=url, api_key="none", default_headers=HEADERS, max_retries=0)


def read_openai(service: RunningServer, model: str = "m") -> list[dict[str, Any]]:
    """Return every chunk that OpenAI's client sees."""
    with open_openai(service) as client:
        return [chunk.to_dict() for chunk in client.chat.completions.create(model=model, messages=PROMPT, stream=True)]


def read_anthropic(service: RunningServer, model: str = "m") -> tuple[list[dict[str, Any]], str]:
    """Return every event that Anthropic's client sees, and the text that it puts together."""
    url = f"http://127.0.0.1:{service.port}"
    with (
        anthropic.Anthropic(base_url=url, api_key="none", default_headers=HEADERS, max_retries=0) as client,
        client.messages.stream(model=model, max_tokens=9, messages=PROMPT) as stream,
    ):
        said = [event.to_dict() for event in stream]
        return said, stream.get_final_text()


@pytest.mark.contract("D6")
def test_httpx_sse_reads_the_same_events_plus_one_member(services: dict[str, RunningServer]) -> None:
    """Types, ids, retry times and texts are the bare ones; JSON objects have the member."""
    bare, gated = read_httpx(services["bare"]), read_httpx(services["auto"])
    assert len(gated) == len(bare) > 5
    for one, other in zip(bare, gated, strict=True):
        if one[1].startswith("{") and "jsonrpc" not in one[1]:
            assert unmarked(json.loads(other[1])) == json.loads(one[1]) != json.loads(other[1])
            assert (other[0], *other[2:]) == (one[0], *one[2:])
        else:
            assert other == one


@pytest.mark.contract("D6")
def test_httpx_sse_reads_exactly_the_same_where_a_field_carries_the_mark(services: dict[str, RunningServer]) -> None:
    """An unknown field is ignored, as the standard says."""
    assert read_httpx(services["field"]) == read_httpx(services["bare"])


@pytest.mark.contract("D6")
@pytest.mark.parametrize("carrier", CARRIERS)
def test_the_openai_client_reads_the_same_chunks(services: dict[str, RunningServer], carrier: str) -> None:
    """Each chunk is the bare one; as a member, the mark is an extra attribute."""
    bare, gated = read_openai(services["bare"]), read_openai(services[carrier])
    assert [unmarked(chunk) for chunk in gated] == bare
    assert [chunk["choices"][0]["delta"]["content"] for chunk in gated] == list(TOKENS)
    assert all(("trace_id" in chunk) == (carrier == "auto") for chunk in gated)


@pytest.mark.contract("D6")
@pytest.mark.parametrize("carrier", CARRIERS)
def test_the_anthropic_client_reads_the_same_events(services: dict[str, RunningServer], carrier: str) -> None:
    """Each event is the bare one, and so is the text put together."""
    bare, gated = read_anthropic(services["bare"]), read_anthropic(services[carrier])
    assert [unmarked(event) for event in gated[0]] == bare[0]
    assert gated[1] == bare[1] == "".join(TOKENS)


@pytest.mark.contract("D1")
def test_the_openai_client_sees_the_trace_of_an_error(services: dict[str, RunningServer]) -> None:
    """The error that it raises has the member beside the body that it knows."""
    with open_openai(services["auto"]) as client, pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="unknown", messages=PROMPT, stream=True)
    assert raised.value.response.headers["x-trace-id"] == TRACE
    assert raised.value.response.json()["trace_id"] == TRACE
    assert raised.value.response.json()["error"]["message"] == "no such model"


@pytest.mark.contract("D7")
def test_a_stream_that_fails_midway_raises_in_the_openai_client(services: dict[str, RunningServer]) -> None:
    """With ``sse_error="openai"`` the terminal event is an error to this client, not an odd chunk."""
    with pytest.raises(openai.APIError) as raised:
        read_openai(services["openai"], FAILING)
    assert "secret" not in str(raised.value)
    assert raised.value.code == "SYS-003-500"


@pytest.mark.contract("D7")
def test_a_stream_that_fails_midway_raises_in_the_anthropic_client(services: dict[str, RunningServer]) -> None:
    """Its ``error`` event is what the gate sends, and it names the trace."""
    with pytest.raises(anthropic.APIStatusError) as raised:
        read_anthropic(services["auto"], FAILING)
    assert isinstance(raised.value.body, dict)
    assert raised.value.body["trace_id"] == TRACE


@pytest.mark.contract("D7", "E4")
def test_a_stream_that_fails_midway_is_no_clean_end_to_httpx(services: dict[str, RunningServer]) -> None:
    """After the error event the connection ends unterminated, which httpx reports."""
    url = f"http://127.0.0.1:{services['auto'].port}/events?model={FAILING}"
    seen: deque[httpx_sse.ServerSentEvent] = deque()
    with (
        httpx.Client(headers=HEADERS) as client,
        httpx_sse.connect_sse(client, "GET", url) as source,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        seen.extend(source.iter_sse())
    assert seen[-1].event == "error"
    assert json.loads(seen[-1].data)["trace_id"] == TRACE
