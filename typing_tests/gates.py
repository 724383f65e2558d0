"""Which applications do the gates take, as type checkers see it? Read by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, assert_type
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import fastapi as fastapi_library
import flask as flask_library
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

import tracegate
from tracegate.adapters import asgi, wsgi
from tracegate.integrations import fastapi, flask, starlette

POLICY = tracegate.Policy(mode="mint")


async def typed_by_starlette(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer nothing."""


async def typed_by_hand(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Answer nothing."""


def typed_by_wsgiref(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer nothing."""
    start_response("204 No Content", [("X-Path", environ["PATH_INFO"])])
    return []


def asgi_applications(application: ASGIApp) -> None:
    """Wrap what frameworks and people write, and be an application again."""
    for wrapped in (typed_by_starlette, typed_by_hand, application, Starlette(), fastapi_library.FastAPI()):
        gate = asgi.TraceGate(wrapped)
        assert_type(gate, asgi.TraceGate)
        served: ASGIApp = gate
        print(served)
    Starlette().mount("/inner", asgi.TraceGate(Starlette(), POLICY))
    asgi.TraceGate(7)  # type: ignore[arg-type]  # no application
    asgi.TraceGate(application, "mint")  # type: ignore[arg-type]  # no policy


def wsgi_applications(application: WSGIApplication) -> None:
    """Wrap what frameworks and people write, and be an application again."""
    for wrapped in (typed_by_wsgiref, application, flask_library.Flask("name").wsgi_app):
        gate = wsgi.TraceGate(wrapped)
        assert_type(gate, wsgi.TraceGate)
        served: WSGIApplication = gate
        print(served)
    wsgi.TraceGate(typed_by_starlette)  # type: ignore[arg-type]  # the other protocol


def integrations() -> None:
    """Install into an application of the right kind."""
    fastapi.install(fastapi_library.FastAPI(), POLICY)
    starlette.install(Starlette(), policy=POLICY)
    starlette.install(fastapi_library.FastAPI())
    fastapi.install(Starlette())  # type: ignore[arg-type]  # not FastAPI
    application = flask_library.Flask("name")
    assert_type(flask.TraceGate(application, POLICY), flask.TraceGate)
    flask.TraceGate().init_app(application, policy=POLICY)
    flask.TraceGate(Starlette())  # type: ignore[arg-type]  # not Flask
