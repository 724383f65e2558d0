"""How does a FastAPI application get its gate, and how does its OpenAPI document say so?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.applications import FastAPI  # instrumentation replaces the name in the package itself

from tracegate.integrations import starlette
from tracegate.integrations.mixin import mix_in
from tracegate.integrations.openapi import documented
from tracegate.integrations.starlette_streams import record_streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracegate.core.policy import Policy
    from tracegate.runtime import Runtime

__all__ = ["DocumentedFastAPI", "install", "record_streams"]


def install(
    app: FastAPI, policy: Policy | None = None, *, runtime: Runtime | None = None, openapi: bool = True
) -> None:
    """Put *app* behind a gate, in place, as :func:`tracegate.integrations.starlette.install` does.

    Args:
        app: A FastAPI application, or one of a subclass.
        policy: The operator's decisions; None reads ``TRACEGATE_*`` and ``[tool.tracegate]``.
        runtime: Instead of *policy*: policy, clock, mint and sink, wired.
        openapi: Whether ``app.openapi()`` documents the trace header and the ``trace_id`` of error bodies.

    Raises:
        ConfigurationError: The settings have faults.
        TypeError: *app* is no FastAPI application, such as one that is wrapped already.

    Source: contract clauses B8, C1, C2, C4, C6, D1, E1 and F2.
    """
    starlette.install(app, policy, runtime=runtime)
    if openapi and not isinstance(app, DocumentedFastAPI):
        mix_in(app, DocumentedFastAPI)


class DocumentedFastAPI(starlette.GatedStarlette, FastAPI):
    """What the class of an installed application gains for its OpenAPI document."""

    @property
    def openapi(self) -> Callable[[], dict[str, Any]]:
        """What returns the document: the application's own function, or FastAPI's, and the trace added to what it says.

        An assignment replaces the application's own function, as it does without a gate, and cannot hide this one.
        """
        own: Callable[[], dict[str, Any]] = self.__dict__.get("openapi") or super().openapi
        return lambda: self._documented(own())

    @openapi.setter
    def openapi(  # pyright: ignore[reportIncompatibleMethodOverride]  # a method could be hidden by an assignment
        self, own: Callable[[], dict[str, Any]]
    ) -> None:
        self.__dict__["openapi"] = own

    def _documented(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the document for *schema*, the same one for the same schema, so that a change to it lasts."""
        known: tuple[object, dict[str, Any]] = self.__dict__.get("_documented_openapi", (None, {}))
        if schema is known[0] or schema is known[1]:
            return known[1]
        found = documented(schema, self.gate.shell.runtime.policy)
        self.__dict__["_documented_openapi"] = (schema, found)
        if self.openapi_schema is schema:
            self.openapi_schema = found
        return found
