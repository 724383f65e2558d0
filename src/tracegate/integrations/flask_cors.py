"""Which CORS headers would a Flask application's own layer give (contract clause C6)?"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, cast

from werkzeug.datastructures import Headers

from tracegate.core.cors import merge_expose

if TYPE_CHECKING:
    from flask import Flask

    from tracegate.core.cors import CorsLayer

__all__ = ["ApplicationCors"]


class ApplicationCors:
    """The rules of Flask-CORS on the application, read when they are needed: they may be added late.

    Flask-CORS keeps them in nothing but the closure of its ``after_request`` function. Where that is not as expected,
    and where there is none, *otherwise* holds.

    Args:
        application: Its ``after_request_funcs`` are read.
        otherwise: The policy's rules, or None.
    """

    def __init__(self, application: Flask, otherwise: CorsLayer | None) -> None:
        self._application = application
        self._otherwise = otherwise

    def headers(self, origin: bytes, trace_header: str, path: str = "") -> list[tuple[bytes, bytes]]:
        """Return the headers for a reply to *origin* that a script may read, or [] where it may not."""
        resources = self._resources()
        if resources is None:
            return [] if self._otherwise is None else self._otherwise.headers(origin, trace_header, path)
        from flask_cors.core import get_cors_headers, try_match_pattern  # noqa: PLC0415 - installed, since it is in use

        options = next((options for pattern, options in resources if try_match_pattern(path, pattern)), None)
        if options is None:
            return []
        found = get_cors_headers(options, Headers({"Origin": origin.decode("latin-1")}), "GET")
        lines = [(key.lower().encode("ascii"), str(value).encode("latin-1")) for key, value in found.items(multi=True)]
        return merge_expose(lines, trace_header.encode("ascii")) if lines else []

    def _resources(self) -> list[tuple[Any, Any]] | None:
        for function in self._application.after_request_funcs.get(None, ()):
            if getattr(function, "__module__", None) == "flask_cors.extension":
                found: object = inspect.getclosurevars(function).nonlocals.get("resources")
                return cast("list[tuple[Any, Any]]", found) if isinstance(found, list) else None
        return None
