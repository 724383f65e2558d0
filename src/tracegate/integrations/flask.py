"""How does a Flask application get its gate?"""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Any

from flask import request
from flask.app import Flask  # instrumentation replaces the name in the package itself
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed

from tracegate.adapters import wsgi
from tracegate.adapters.wsgi_environ import wait_until_kept
from tracegate.adapters.wsgi_passage import exchange_in
from tracegate.core.refusal import error_object
from tracegate.errors import MissingTraceError
from tracegate.integrations.flask_cors import ApplicationCors
from tracegate.integrations.flask_streams import record_streams
from tracegate.integrations.mixin import mix_in
from tracegate.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse

    from flask import Response
    from flask.typing import ResponseReturnValue

    from tracegate.core.exchange import Exchange
    from tracegate.core.policy import Policy

__all__ = ["GatedFlask", "TraceGate", "record_streams"]

_EXTENSION = "tracegate"
_INTERNAL_ERROR = 500
_REFUSED = 409


class TraceGate:
    """The Flask extension: puts applications behind a gate, in place.

    It keeps nothing of an application: one object serves as many as :meth:`init_app` is called for, and
    ``app.extensions["tracegate"]`` is the gate of each.

    Args:
        app: The application, or None where :meth:`init_app` follows.
        policy: The operator's decisions; None reads ``TRACEGATE_*`` and ``[tool.tracegate]``.
        runtime: Instead of *policy*: policy, clock, mint and sink, wired.

    Raises:
        ConfigurationError: The settings have faults.
        TypeError: *app* is no Flask application.

    Source: contract clauses B8, C1, C2, C4, C6 and F2.
    """

    def __init__(
        self, app: Flask | None = None, policy: Policy | None = None, *, runtime: Runtime | None = None
    ) -> None:
        self._policy = policy
        self._runtime = runtime
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, policy: Policy | None = None) -> None:
        """Put *app* behind a gate, outside of whatever wraps its ``wsgi_app``, now or later.

        Doing it again changes nothing, and the first policy holds. Flask's own page for an unhandled exception, and a
        :class:`~tracegate.errors.MissingTraceError`, are answered with the standard error object; handlers of the
        application's own stay.

        Args:
            app: A Flask application.
            policy: For this application, instead of the extension's.

        Raises:
            ConfigurationError: The settings have faults.
            TypeError: *app* is no Flask application.
        """
        if isinstance(app, GatedFlask):
            return
        gate = wsgi.TraceGate(app, policy or self._policy, runtime=self._runtime_for(policy))
        gated = mix_in(app, GatedFlask)
        gate.app = gated.serve_ungated
        gate.route_of = gated.route_template
        gate.terms.cors = ApplicationCors(app, gate.terms.cors)
        gated.gate = gate
        gated.inner_gate = copy(gate)
        gated.inner_gate.app = gated.serve_inner_ungated
        app.extensions[_EXTENSION] = gate
        if MissingTraceError not in app.error_handler_spec[None][None]:
            with suppress(AssertionError):  # it has served a request, and takes no handler; make_response() will do
                app.register_error_handler(MissingTraceError, _answer)

    def _runtime_for(self, policy: Policy | None) -> Runtime | None:
        own = self._runtime
        if own is None or policy is None:
            return own
        return Runtime(policy, sink=own.sink, clock=own.clock, mint=own.mint)


class GatedFlask(Flask):
    """What the class of an installed application gains.

    Servers, test clients and mounts call the application, so ``__call__`` is outside of everything that is ever
    assigned to ``wsgi_app``. Who serves ``wsgi_app`` itself meets the second gate; after the first it adds nothing.

    Attributes:
        gate: Serves every request.
        inner_gate: Serves what comes in past ``__call__``.
    """

    gate: wsgi.TraceGate
    inner_gate: wsgi.TraceGate

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request through the gate."""
        return self.gate(environ, start_response)

    def serve_ungated(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request as the application did before; for the gate."""
        return super().__call__(environ, start_response)

    def wsgi_app(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request through the second gate."""
        return self.inner_gate(environ, start_response)

    def serve_inner_ungated(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request as ``wsgi_app`` did before; for the second gate."""
        return super().wsgi_app(environ, start_response)

    def make_response(self, rv: ResponseReturnValue | HTTPException) -> Response:
        """Return the reply for *rv*; Flask's own page for an unhandled exception becomes the standard error object."""
        if isinstance(rv, InternalServerError) and rv.original_exception is not None:
            exchange = exchange_in(request.environ)
            if exchange is not None:
                missing = isinstance(rv.original_exception, MissingTraceError)
                rv = _answer(rv.original_exception) if missing else self._standard_error(exchange)
        return super().make_response(rv)

    def _standard_error(self, exchange: Exchange) -> Response:
        terms = exchange.terms
        error = error_object(_INTERNAL_ERROR, exchange.trace)
        body, media_type = error.encode(terms.policy, terms.accept(exchange.headers))
        response = self.response_class(body, error.status, content_type=media_type.decode("ascii"))
        response.headers["Cache-Control"] = "no-store"
        return response

    def route_template(self, environ: dict[str, Any]) -> str | None:
        """Return the rule of the URL map that *environ* matches, or None; for events only."""
        try:
            adapter = self.create_url_adapter(self.request_class(environ))
            assert adapter is not None  # noqa: S101 - for a request there is always one
            try:
                rule, _ = adapter.match(return_rule=True)
            except MethodNotAllowed as other:
                rule, _ = adapter.match(method=next(iter(other.valid_methods or ()), None), return_rule=True)
        except Exception:  # noqa: BLE001 - no rule, or one of the application's own making that cannot be asked
            return None
        return rule.rule


def _answer(error: BaseException) -> ResponseReturnValue:
    """Let the exchange answer; its answer takes the place of this one (clause G3)."""
    exchange = exchange_in(request.environ)
    if exchange is None:
        raise error
    wait_until_kept(error)
    exchange.fail(error)
    return "", _REFUSED
