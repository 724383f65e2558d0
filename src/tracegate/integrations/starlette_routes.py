"""What does a route table say without running a handler?

Which route template a scope matches (contract clause F2), and which applications are mounted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.routing import Match

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, MutableMapping

    from starlette.routing import BaseRoute

__all__ = ["mounted_applications", "route_template"]


def route_template(routes: Iterable[BaseRoute], scope: MutableMapping[str, Any]) -> str | None:
    """Return the path template of the route that would serve *scope*, mounts included, or None where none would.

    A route of the same path and another method counts: it answers 405.

    Args:
        routes: The application's route table.
        scope: An ``http`` or ``websocket`` scope; it may have been served already, and is not changed.
    """
    root_path = scope.get("app_root_path", scope.get("root_path", ""))  # a mount moves root_path on, in place
    return _search(routes, {"method": "GET", **scope, "root_path": root_path, "path_params": {}})


def mounted_applications(routes: Iterable[BaseRoute]) -> Iterator[Starlette]:
    """Yield the Starlette applications that are mounted in a route table, but not what is mounted in those."""
    for route in _flat(routes):
        mounted: object = getattr(route, "app", None)
        if isinstance(mounted, Starlette):
            yield mounted
        else:
            yield from mounted_applications(getattr(route, "routes", ()))


def _search(routes: Iterable[BaseRoute], scope: dict[str, Any]) -> str | None:
    partial: str | None = None
    for route in _flat(routes):
        match, child = route.matches(dict(scope))
        if match is Match.FULL:
            return _template(route, {**scope, **child})
        if match is Match.PARTIAL and partial is None:
            partial = _template(route, {**scope, **child})
    return partial


def _flat(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """Yield *routes*, and in place of a router that FastAPI keeps whole the routes it stands for."""
    for route in routes:
        contexts = getattr(route, "effective_route_contexts", None)
        if contexts is None:
            yield route
        else:
            yield from (context.starlette_route or context for context in contexts())


def _template(route: BaseRoute, scope: dict[str, Any]) -> str | None:
    inner: list[BaseRoute] = getattr(route, "routes", [])
    if not inner:
        return getattr(route, "path_format", None)
    below = _search(inner, scope)
    return None if below is None else getattr(route, "path", "") + below
