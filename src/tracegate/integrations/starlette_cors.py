"""Which CORS headers would a Starlette application's own layer give (contract clause C6)?"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from starlette.middleware.cors import CORSMiddleware

from tracegate.core.cors import CorsRules

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from tracegate.core.cors import CorsLayer

__all__ = ["ApplicationCors"]


class ApplicationCors:
    """The rules of the application's ``CORSMiddleware``, read when they are needed: it may be added late.

    Args:
        application: Its ``user_middleware`` is read.
        otherwise: What holds while there is no ``CORSMiddleware``: the policy's rules, or None.
    """

    def __init__(self, application: Starlette, otherwise: CorsLayer | None) -> None:
        self._application = application
        self._otherwise = otherwise

    def headers(self, origin: bytes, trace_header: str, path: str = "") -> list[tuple[bytes, bytes]]:
        """Return the headers for a reply to *origin* that a script may read, or [] where it may not."""
        layer = self._layer()
        if layer is None:
            return [] if self._otherwise is None else self._otherwise.headers(origin, trace_header, path)
        text = origin.decode("latin-1")
        if not layer.is_allowed_origin(text):
            return []
        exposed = layer.simple_headers.get("Access-Control-Expose-Headers", "")
        rules = CorsRules(
            origins=("*" if layer.allow_all_origins else text,),
            credentials=layer.allow_credentials,
            expose=tuple(name.strip() for name in exposed.split(",") if name.strip()),
        )
        return rules.headers(origin, trace_header, path)

    def _layer(self) -> CORSMiddleware | None:
        """Return the outermost CORS layer, made anew: the built stack hides it behind layers that may not show it."""
        for kind, args, kwargs in self._application.user_middleware:
            if inspect.isclass(kind) and issubclass(kind, CORSMiddleware):
                return kind(self._application, *args, **kwargs)
        return None
