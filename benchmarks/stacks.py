"""Who takes part? Each group shares one process; what patches or configures the whole process has a group to itself."""

from collections.abc import Callable
from typing import Any, Final

from benchmarks.direct import asgi_batch, wsgi_batch
from benchmarks.exchange import JSON_REPLY, ASGIApp, Message, Receive, Send, WSGIApp, asgi_app, wsgi_app
from benchmarks.rounds import Batch

__all__ = ["GROUPS", "asgi_floor", "wsgi_floor"]


def asgi_floor(application: ASGIApp) -> ASGIApp:
    """Wrap *application* in the least that a middleware can do: close over ``send`` and await it."""

    async def floor(scope: Any, receive: Receive, send: Send) -> None:  # noqa: ANN401  # a scope is whatever the server says
        async def forward(message: Message) -> None:
            await send(message)

        await application(scope, receive, forward)

    return floor


def wsgi_floor(application: WSGIApp) -> WSGIApp:
    """Wrap *application* in the least that a middleware can do: close over ``start_response``."""

    def floor(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:  # noqa: ANN401  # any iterable of bytes
        def forward(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:  # noqa: ANN401
            return start_response(status, headers, exc_info)

        return application(environ, forward)

    return floor


def asgi() -> dict[str, Batch]:
    """Return the ASGI contestants that leave the process as it is."""
    from asgi_correlation_id import CorrelationIdMiddleware
    from starlette_context.middleware import RawContextMiddleware
    from starlette_context.plugins import CorrelationIdPlugin

    from tracegate.adapters.asgi import TraceGate

    class TraceIdPlugin(CorrelationIdPlugin):
        key = "X-Trace-Id"  # type: ignore[assignment]  # the key of a plug-in of one's own is any header name

    bare = asgi_app()
    stacks: dict[str, ASGIApp] = {
        "bare": bare,
        "floor": asgi_floor(bare),
        "tracegate": TraceGate(bare),
        "asgi-correlation-id": CorrelationIdMiddleware(bare, header_name="X-Trace-Id"),
        "starlette-context": RawContextMiddleware(bare, plugins=[TraceIdPlugin()]),
    }
    return {name: asgi_batch(stack) for name, stack in stacks.items()}


def asgi_otel_api() -> dict[str, Batch]:
    """Return OpenTelemetry's ASGI middleware without an SDK."""
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    bare = asgi_app()
    return {"bare": asgi_batch(bare), "opentelemetry-asgi, API only": asgi_batch(OpenTelemetryMiddleware(bare))}


def asgi_otel_sdk() -> dict[str, Batch]:
    """Return OpenTelemetry's ASGI middleware with an SDK and ``traceresponse``."""
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    _start_sdk()
    bare = asgi_app()
    return {"bare": asgi_batch(bare), "opentelemetry-asgi, SDK": asgi_batch(OpenTelemetryMiddleware(bare))}


def wsgi() -> dict[str, Batch]:
    """Return the WSGI contestants that leave the process as it is."""
    from tracegate.adapters.wsgi import TraceGate

    bare = wsgi_app()
    stacks: dict[str, WSGIApp] = {"bare": bare, "floor": wsgi_floor(bare), "tracegate": TraceGate(bare)}
    return {name: wsgi_batch(stack) for name, stack in stacks.items()}


def wsgi_otel_api() -> dict[str, Batch]:
    """Return OpenTelemetry's WSGI middleware without an SDK."""
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

    bare = wsgi_app()
    return {"bare": wsgi_batch(bare), "opentelemetry-wsgi, API only": wsgi_batch(OpenTelemetryMiddleware(bare))}


def wsgi_otel_sdk() -> dict[str, Batch]:
    """Return OpenTelemetry's WSGI middleware with an SDK and ``traceresponse``."""
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

    _start_sdk()
    bare = wsgi_app()
    return {"bare": wsgi_batch(bare), "opentelemetry-wsgi, SDK": wsgi_batch(OpenTelemetryMiddleware(bare))}


def flask() -> dict[str, Batch]:
    """Return the contestants inside Flask."""
    from flask_log_request_id import RequestID, current_request_id
    from flask_log_request_id.parser import generic_http_header_parser_for

    from tracegate.integrations.flask import TraceGate

    gated, peer = _flask_app(), _flask_app()
    TraceGate(gated)
    RequestID(peer, request_id_parser=generic_http_header_parser_for("X-Trace-Id"))

    @peer.after_request
    def echo(response: Any) -> Any:  # noqa: ANN401  # the peer's README recipe: the extension itself sends no header
        response.headers["X-Trace-Id"] = current_request_id()
        return response

    stacks = {"bare": _flask_app(), "tracegate": gated, "Flask-3-Log-Request-ID": peer}
    return {name: wsgi_batch(stack) for name, stack in stacks.items()}


def flask_otel_sdk() -> dict[str, Batch]:
    """Return OpenTelemetry's Flask instrumentation with an SDK and ``traceresponse``."""
    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    _start_sdk()
    bare, instrumented = _flask_app(), _flask_app()
    FlaskInstrumentor().instrument_app(instrumented)
    return {"bare": wsgi_batch(bare), "opentelemetry-flask, SDK": wsgi_batch(instrumented)}


def _flask_app() -> Any:  # noqa: ANN401  # Flask is imported by the groups that need it
    import flask

    application = flask.Flask("benchmark")

    @application.get("/widgets/42")
    def widget() -> Any:  # noqa: ANN401
        return flask.Response(JSON_REPLY, content_type="application/json", headers={"Cache-Control": "no-store"})

    return application


def _start_sdk() -> None:
    """Set a tracer provider without a processor: the least an SDK can cost, to the peer's advantage."""
    from opentelemetry.instrumentation.propagators import TraceResponsePropagator, set_global_response_propagator
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import set_tracer_provider

    set_tracer_provider(TracerProvider())
    set_global_response_propagator(TraceResponsePropagator())


GROUPS: Final[dict[str, Callable[[], dict[str, Batch]]]] = {
    group.__name__: group
    for group in (asgi, asgi_otel_api, asgi_otel_sdk, wsgi, wsgi_otel_api, wsgi_otel_sdk, flask, flask_otel_sdk)
}
