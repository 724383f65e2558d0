"""What does a WSGI application without a framework say? It plays the scripts, and the shapes that only WSGI has."""

from __future__ import annotations

import sys
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.integration.applications.scripts import SCRIPTS, ApplicationError, Fault, Script, play
from tests.integration.applications.variant import around_wsgi, current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    Environ: TypeAlias = dict[str, Any]
    Start: TypeAlias = Callable[..., Any]

__all__ = ["app"]

TEXT = [("content-type", "text/plain"), ("x-app", "reached")]


def _status(code: int) -> str:
    return f"{code} {HTTPStatus(code).phrase}"


def _then_raise(chunks: tuple[bytes, ...]) -> Iterator[bytes]:
    yield from chunks
    raise ApplicationError("secret")


def _play(script: Script, environ: Environ, start: Start) -> Iterable[bytes]:
    if script.fault is Fault.BEFORE_START:
        raise ApplicationError("secret")
    if script.fault is Fault.NO_REPLY:
        return []
    start(_status(script.status), list(script.headers))
    chunks = () if environ["REQUEST_METHOD"] == "HEAD" else script.chunks
    return _then_raise(chunks) if script.fault is Fault.AFTER_CHUNKS else list(chunks)


def _echo(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("x-seen-bytes", str(len(environ.get("HTTP_X_TRACE_ID", ""))))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [current().encode()]


def _echo_stream(environ: Environ, start: Start) -> Iterable[bytes]:
    del environ
    start("200 OK", list(TEXT))
    return (current().encode() + b"\n" for _ in range(3))


def _read(environ: Environ, start: Start) -> Iterable[bytes]:
    size = len(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
    start("200 OK", list(TEXT))
    return [b"%s %d" % (current().encode(), size)]


def _file(environ: Environ, start: Start) -> Iterable[bytes]:
    path = Path(__file__).with_name("file.txt")
    start("200 OK", [*TEXT, ("content-length", str(path.stat().st_size))])
    wrapper = environ.get("wsgi.file_wrapper")
    return wrapper(path.open("rb")) if wrapper else [path.read_bytes()]


def _error_file(environ: Environ, start: Start) -> Iterable[bytes]:
    path = Path(__file__).with_name("error.json")
    start("404 Not Found", [("content-type", "application/json"), ("x-app", "reached")])
    wrapper = environ.get("wsgi.file_wrapper")
    return wrapper(path.open("rb")) if wrapper else [path.read_bytes()]


def _write(environ: Environ, start: Start) -> Iterable[bytes]:
    del environ
    write = start("200 OK", list(TEXT))
    write(b"written ")
    return [b"and returned"]


def _error_write(environ: Environ, start: Start) -> Iterable[bytes]:
    del environ
    write = start("400 Bad Request", [("content-type", "application/json"), ("x-app", "reached")])
    write(b'{"error": ')
    write(b'"written"}')
    return []


def _lazy(environ: Environ, start: Start) -> Iterable[bytes]:
    del environ
    start("200 OK", list(TEXT))
    yield b"lazy"


def _second_start(environ: Environ, start: Start) -> Iterable[bytes]:
    del environ
    start("200 OK", list(TEXT))
    try:
        next(iter(_then_raise(())))
    except ApplicationError:
        start("400 Bad Request", [("content-type", "application/json"), ("x-app", "reached")], sys.exc_info())
    return [b'{"error": "second thoughts"}']


def _empty_first(environ: Environ, start: Start) -> Iterable[bytes]:
    del environ
    start("200 OK", list(TEXT))
    return [b"", b"", b"late"]


HANDLERS: dict[str, Callable[[Environ, Start], Iterable[bytes]]] = {
    "echo": _echo,
    "exempt": _echo,
    "echo-stream": _echo_stream,
    "read": _read,
    "file": _file,
    "error-file": _error_file,
    "write": _write,
    "error-write": _error_write,
    "lazy": _lazy,
    "second-start": _second_start,
    "empty-first": _empty_first,
}


def _serve(environ: Environ, start: Start) -> Iterable[bytes]:
    """Answer one WSGI request by its path."""
    name = environ["PATH_INFO"].lstrip("/")
    if handler := HANDLERS.get(name):
        return handler(environ, start)
    script = SCRIPTS.get(name, SCRIPTS["missing"])
    return _play(play(script, environ.get("HTTP_X_TRACE_ID", "")), environ, start)


app = around_wsgi(_serve)
