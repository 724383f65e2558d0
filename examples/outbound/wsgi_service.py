"""A Flask service that calls other services: ``gunicorn examples.outbound.wsgi_service:application``.

POST it a list of ``{"url": …, "arguments": …}``: it posts each ``arguments`` to its ``url``, one after the other, under
the trace of the request. That is what the W3C trace-context suite asks of a service under test.
"""

from flask import Flask, Response, jsonify, request

from examples.outbound.client import client
from tracegate import Policy
from tracegate.adapters.wsgi import TraceGate

__all__ = ["api", "application"]

api = Flask(__name__)


@api.post("/call")
def call() -> Response:
    """Do each action of the request's list; answer with the status codes."""
    with client() as http:
        return jsonify(
            [http.post(action["url"], json=action["arguments"]).status_code for action in request.get_json()]
        )


application = TraceGate(api, Policy(mode="mint"))
