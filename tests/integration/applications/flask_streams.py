"""What does a Flask service stream? Text and event streams, with and without the request's context; some fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flask import Blueprint, Response, request, stream_with_context
from flask.typing import ResponseReturnValue

from tests.integration.applications.scripts import OTHER_TRACE, ApplicationError
from tests.integration.applications.variant import current

__all__ = ["streams"]

EVENTS = "text/event-stream"

streams = Blueprint("streams", __name__)


def _text(chunks: Iterable[str]) -> Response:
    return Response(chunks, content_type="text/plain")


def _three() -> Iterator[str]:
    for _ in range(3):
        yield current() + "\n"


@streams.get("/stream")
def stream() -> ResponseReturnValue:
    return _text(_three())


@streams.get("/stream-context")
def stream_context() -> ResponseReturnValue:
    return _text(stream_with_context(_three()))


@streams.get("/stream-crash-first")
def stream_crash_first() -> ResponseReturnValue:
    def body() -> Iterator[str]:
        if current():
            raise ApplicationError("secret")
        yield ""

    return _text(body())


@streams.get("/stream-crash")
def stream_crash() -> ResponseReturnValue:
    def body() -> Iterator[str]:
        yield "one "
        raise ApplicationError("secret")

    return _text(body())


def _events(*blocks: str) -> Response:
    return Response(iter(blocks), content_type=EVENTS)


@streams.get("/sse")
def sse() -> ResponseReturnValue:
    def blocks() -> Iterator[str]:
        yield f'retry: 3000\nid: 1\nevent: token\ndata: {{"token": "a", "seen": "{current()}"}}\n\n'
        yield ": ping\n\n"
        yield "data: two\ndata: lines\n\n"
        yield "data: [DONE]\n\n"

    return Response(blocks(), content_type=EVENTS)


@streams.get("/sse-context")
def sse_context() -> ResponseReturnValue:
    def blocks() -> Iterator[str]:
        yield f'data: {{"path": "{request.path}", "seen": "{current()}"}}\n\n'

    return Response(stream_with_context(blocks()), content_type=EVENTS)


@streams.get("/sse-crlf")
def sse_crlf() -> ResponseReturnValue:
    return _events("data: {}\r", "\n\r", "\ndata: text\r\n\r\n")


@streams.get("/sse-forged")
def sse_forged() -> ResponseReturnValue:
    return _events('data: {"token": "a"}\n\n', f'data: {{"trace_id": "{OTHER_TRACE}"}}\n\n', "data: b\n\n")


@streams.get("/sse-crash-first")
def sse_crash_first() -> ResponseReturnValue:
    def blocks() -> Iterator[str]:
        if current():
            raise ApplicationError("secret")
        yield ""

    return Response(blocks(), content_type=EVENTS)


@streams.get("/sse-crash-middle")
def sse_crash_middle() -> ResponseReturnValue:
    def blocks() -> Iterator[str]:
        yield 'data: {"token": "a"}\n\ndata: {"tok'
        raise ApplicationError("secret")

    return Response(blocks(), content_type=EVENTS)
