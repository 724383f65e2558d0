"""How does a Starlette application get its gate?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse

from tracegate.adapters.asgi import TraceGate
from tracegate.adapters.asgi_passage import exchange_in
from tracegate.adapters.asgi_wait import until_kept
from tracegate.core.reply import State
from tracegate.errors import MissingTraceError
from tracegate.integrations.mixin import mix_in
from tracegate.integrations.starlette_cors import ApplicationCors
from tracegate.integrations.starlette_routes import mounted_applications, route_template
from tracegate.integrations.starlette_streams import record_streams

if TYPE_CHECKING:
    from collections.abc import Awaitable, MutableMapping
    from typing import Any

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from tracegate.core.policy import Policy
    from tracegate.runtime import Runtime

__all__ = ["GatedStarlette", "install", "record_streams"]

_INTERNAL_ERROR = 500
_REFUSED = 409


def install(app: Starlette, policy: Policy | None = None, *, runtime: Runtime | None = None) -> None:
    """Put *app* behind a gate, in place: it stays the same object, with its routes, state and type.

    The gate is the outermost layer whenever it is installed, before or after middleware, other instrumentation or the
    first request; installing it again changes nothing, and the first policy holds. An unhandled exception without a
    handler of the application's own, and a :class:`~tracegate.errors.MissingTraceError`, are answered with the standard
    error object, also in Starlette applications that are mounted in it. One that is installed too adds nothing.

    Args:
        app: A Starlette application, or one of a subclass.
        policy: The operator's decisions; None reads ``TRACEGATE_*`` and ``[tool.tracegate]``.
        runtime: Instead of *policy*: policy, clock, mint and sink, wired.

    Raises:
        ConfigurationError: The settings have faults.
        TypeError: *app* is no Starlette application, such as one that is wrapped already.

    Source: contract clauses B8, C1, C2, C4, C6 and F2.
    """
    if isinstance(app, GatedStarlette):
        return
    gate = TraceGate(app, policy, runtime=runtime)
    gated = mix_in(app, GatedStarlette)
    gated.gate = gate
    shell = gate.shell
    shell.app = gated.serve_ungated
    shell.route_of = gated.route_template
    shell.terms.cors = ApplicationCors(app, shell.terms.cors)
    app.middleware_stack = None  # where it was built already, the next request builds it with the gate's answers


class GatedStarlette(Starlette):
    """What the class of an installed application gains.

    Attributes:
        gate: Serves every scope.
    """

    gate: TraceGate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope through the gate."""
        await self.gate(scope, receive, send)

    def serve_ungated(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one scope as the application did before; for the gate."""
        if self.middleware_stack is None:
            _answer_for(self)
        return super().__call__(scope, receive, send)

    def route_template(self, scope: MutableMapping[str, Any]) -> str | None:
        """Return the template of the route that *scope* matches, or None; for events only."""
        try:
            return route_template(self.routes, {**scope, **self._own_root_path()})
        except Exception:  # noqa: BLE001 - a route of the application's own making that cannot be asked names no template
            return None

    def _own_root_path(self) -> dict[str, str]:
        """Return the root path that FastAPI sets before it looks at its routes."""
        root_path = getattr(self, "root_path", "")
        return {"root_path": root_path} if root_path else {}


def _answer_for(app: Starlette) -> None:
    """Have the gate answer for *app*, and what is mounted in it, what they have no handlers of their own for."""
    app.exception_handlers.setdefault(MissingTraceError, _answer)
    if _INTERNAL_ERROR not in app.exception_handlers:
        app.exception_handlers.setdefault(Exception, _answer)
    for mounted in mounted_applications(app.routes):
        mounted.middleware_stack = None
        _answer_for(mounted)


async def _answer(request: Request, error: Exception) -> Response:
    """Let the exchange answer what the application left unhandled.

    Its answer takes the place of this one, which middleware and telemetry see (clauses C4 and G3).
    """
    if request.scope["type"] != "http":
        raise error
    exchange = exchange_in(request.scope)
    if exchange is not None and exchange.state is State.OPEN:
        await until_kept(error)
        exchange.fail(error)
    missing = isinstance(error, MissingTraceError)
    return PlainTextResponse("Internal Server Error", _REFUSED if missing else _INTERNAL_ERROR)
