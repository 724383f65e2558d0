"""What does a WSGI application say whose gate is configured by the environment alone?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracegate.adapters.wsgi import TraceGate

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse

__all__ = ["app"]


def greet(_environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Say that all is well."""
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "11")])
    return [b'{"ok":true}']


app = TraceGate(greet)
