"""Has an ASGI gate in front of a bridge taken this very request (clause B8)?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracegate.adapters.wsgi_environ import MARK, method_of
from tracegate.core.reply import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracegate.adapters.wsgi_environ import Environ
    from tracegate.context import Binding
    from tracegate.core.exchange import Exchange

__all__ = ["SCOPE", "outer_exchange"]

SCOPE = "asgi.scope"
"""The key under which a2wsgi's environ carries the scope that it was made of."""
_OWN_KEYS = {"CONTENT-TYPE": "CONTENT_TYPE", "CONTENT-LENGTH": "CONTENT_LENGTH"}


def outer_exchange(found: Binding | None, environ: Environ) -> Exchange | None:
    """Return the exchange of the ASGI gate in front of the bridge that made *environ*, or None where there is none.

    Args:
        found: What is bound here: with a bridge that does not say where the request came from, it is that or nothing.
            An application may also call another one in its own process, with a request of its own making.
        environ: The request.
    """
    scope = environ.get(SCOPE)
    if scope is None:
        scope = getattr(found, "scope", None)  # an ASGI passage has it; importing that here would load asyncio
        if scope is None or not _is_same_request(scope, environ):
            return None
        passage: Any = found
    else:
        passage = scope.get(MARK)
    if getattr(passage, "status", 0):  # the reply has begun: this is another request, made while it streams
        return None
    exchange: Exchange | None = getattr(passage, "exchange", passage)
    return exchange if exchange is not None and exchange.state is State.OPEN else None


def _is_same_request(scope: Mapping[str, Any], environ: Environ) -> bool:
    """Return whether method, query and headers agree, and neither has more; a mount or a proxy changes the path."""
    query: bytes = scope.get("query_string") or b""
    if scope.get("method") != method_of(environ) or environ.get("QUERY_STRING", "") != query.decode("latin-1"):
        return False
    lines: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        lines.setdefault(name.decode("latin-1").upper(), []).append(value.decode("latin-1"))
    known = {f"HTTP_{name.replace('-', '_')}" for name in lines}
    if any(key.startswith("HTTP_") and key not in known for key in environ):
        return False
    return all(
        environ.get(_OWN_KEYS.get(name, f"HTTP_{name.replace('-', '_')}"), "") == values[0]
        for name, values in lines.items()
        if len(values) == 1 and "_" not in name  # bridges differ in what they make of the others
    )
