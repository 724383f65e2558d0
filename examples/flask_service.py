"""A Flask service with a trace id on every reply. Run: ``gunicorn examples.flask_service:app``."""

import os
from collections.abc import Iterator

from flask import Blueprint, Flask, Response, abort, jsonify, request

from tracegate import Policy, current_trace
from tracegate.integrations.flask import TraceGate

routes = Blueprint("orders", __name__)


@routes.get("/orders/<int:number>")
def order(number: int) -> Response:
    """Answer with an order; the bound trace is at hand everywhere."""
    if number > 100:
        abort(404)
    return jsonify(order=number, handled_under=str(current_trace()))


@routes.get("/forged")
def forged() -> Response:
    """Name another trace than the request's: what a copied header or a cache does."""
    reply = jsonify(ok=True)
    reply.headers["X-Trace-Id"] = "deadbeef-0000-4000-8000-000000000000"
    return reply


@routes.get("/crash")
def crash() -> Response:
    """Fail as code does at night."""
    raise RuntimeError("the database is gone")


@routes.get("/tokens")
def tokens() -> Response:
    """Stream tokens as server-sent events, and fail after some of them if asked to."""
    fail_after = request.args.get("fail_after", 0, type=int)

    def stream() -> Iterator[str]:
        for position, word in enumerate(("One", "trace", "for", "every", "event"), start=1):
            yield f'event: token\ndata: {{"text": "{word}"}}\n\n'
            if position == fail_after:
                raise RuntimeError("the model is gone")
        yield "data: [DONE]\n\n"

    return Response(stream(), mimetype="text/event-stream")


@routes.get("/healthz")
def healthz() -> Response:
    """Answer probes, which send no id."""
    return jsonify(status="ok")


app = Flask(__name__)
app.register_blueprint(routes)
policy = Policy(
    exempt_paths=("/healthz",),
    service="orders",
    store_url=os.environ.get("TRACEGATE_STORE_URL", ""),  # without one, events stand in the log only
)
TraceGate(app, policy)
