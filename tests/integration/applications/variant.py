"""Which gate stands around the application? ``MATRIX_VARIANT`` says it: one file serves every variant."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping
    from typing import TypeAlias

    from fastapi import FastAPI
    from flask import Flask

    from tracegate import Policy

    Scope: TypeAlias = MutableMapping[str, Any]
    Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
    WSGIApp: TypeAlias = Callable[[dict[str, Any], Any], Iterable[bytes]]

__all__ = ["BARE", "CONSOLE", "around_asgi", "around_fastapi", "around_flask", "around_wsgi", "current"]

CONSOLE = "https://console.example"
BARE = os.environ.get("MATRIX_VARIANT", "bare") == "bare"


def current() -> str:
    """Return the spelling of the trace that the caller's code runs under, ``"untraced"`` where there is none."""
    if BARE:
        return "untraced"
    from tracegate import current_trace

    trace = current_trace()
    return "untraced" if trace is None else trace.trace_id


def policy(**settings: object) -> Policy:
    """Return the policy of every gated application, with more *settings*."""
    from tracegate import Policy

    return Policy(exempt_paths=("/exempt",), **settings)  # type: ignore[arg-type]  # the caller names them


def around_asgi(app: ASGIApp) -> ASGIApp:
    """Return the raw ASGI *app*, gated as the variant says."""
    if BARE:
        return app
    from tracegate.adapters.asgi import TraceGate

    return TraceGate(app, policy(cors_origins=(CONSOLE,)))


def around_wsgi(app: WSGIApp) -> WSGIApp:
    """Return the raw WSGI *app*, gated as the variant says."""
    if BARE:
        return app
    from tracegate.adapters.wsgi import TraceGate

    return TraceGate(app, policy(cors_origins=(CONSOLE,)))


def around_fastapi(app: FastAPI, **settings: object) -> FastAPI:
    """Gate *app* in place as the variant says; its CORS rules are read from its own middleware."""
    if not BARE:
        from tracegate.integrations.fastapi import install

        install(app, policy=policy(**settings))
    return app


def around_flask(app: Flask) -> Flask:
    """Gate *app* in place as the variant says."""
    if not BARE:
        from tracegate.integrations.flask import TraceGate

        TraceGate(app, policy=policy(cors_origins=(CONSOLE,)))
    return app
