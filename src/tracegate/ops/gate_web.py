"""May this service be released, over HTTP? One question, read only, for what asks by URL, such as Argo Rollouts.

Run it inside the cluster, by any WSGI server: ``gunicorn 'tracegate.ops.gate_web:application()'``. Each verdict is a
200, because the question was answered: who asks reads ``state``. It stands behind tracegate's own gate, so who asks
says under which trace.

Source: contract clauses H3 and H4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import msgspec

from tracegate.adapters.wsgi import TraceGate
from tracegate.context import require_trace
from tracegate.core.head import reason_phrase
from tracegate.core.policy import Policy
from tracegate.core.refusal import error_code_of
from tracegate.errors import ConfigurationError
from tracegate.ops.gate_report import render
from tracegate.ops.gate_watch import look
from tracegate.ops.own_spool import own_spool
from tracegate.settings import load_policy
from tracegate.store.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse

    from tracegate.ops.gate_watch import Seen

__all__ = ["GateQuestion", "application"]

_PATH: Final = "/v1/ops/gate"
_HEALTH: Final = "/healthz"
_LONGEST_TEXT: Final = 500
_MOST_DIGITS: Final = 9
_ANSWERED: Final = ("service", "state", "at", "until", "reasons", "details")


def application(policy: Policy | None = None) -> TraceGate:
    """Return the WSGI application, with the store of the settings.

    Its own refusals are logged under the service ``tracegate-gate``; they lock nobody's gate.

    Args:
        policy: The operator's decisions; None reads ``TRACEGATE_*`` and ``[tool.tracegate]``.

    Raises:
        ConfigurationError: The settings have faults, or name no store.
    """
    policy = policy or load_policy()
    if not policy.store_url:
        raise ConfigurationError((("store_url", "is not set: which events lock a gate stands in the store"),))
    engine = open_engine(policy.store_url)
    spool = own_spool(policy.store_url, policy.spool_directory)
    own = Policy(
        service="tracegate-gate",
        exempt_paths=(_HEALTH,),
        header=policy.header,
        formats=policy.formats,
        log_fields=policy.log_fields,
    )
    question = GateQuestion(lambda service, replies: look(engine, service, spool=spool, min_replies=replies))
    return TraceGate(question, own, route_of=_route_of)


class GateQuestion:
    """Answers ``GET /v1/ops/gate?service=NAME&min_replies=N``; to be wrapped by the gate, which marks every reply.

    Args:
        ask: Returns the verdict on a service, from the number of replies that must have been seen.
    """

    def __init__(self, ask: Callable[[str, int], Seen]) -> None:
        self._ask = ask

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        body = self._reply(environ, start_response)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else body

    def _reply(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
        if path not in (_PATH, _HEALTH):
            return _failed(start_response, 404, "ask /v1/ops/gate?service=NAME")
        if method not in ("GET", "HEAD"):
            changed = "the gate is asked here; it is changed by: python -m tracegate gate"
            return _failed(start_response, 405, changed, ("Allow", "GET, HEAD"))
        if path == _HEALTH:
            return _answered(start_response, {"status": "ok"})
        asked = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        services, replies = asked.get("service", []), asked.get("min_replies", ["1"])
        if len(services) != 1 or not services[0].strip() or not services[0].isprintable():
            return _failed(start_response, 422, "name one service: ?service=NAME")
        if len(services[0]) > _LONGEST_TEXT:
            return _failed(start_response, 422, f"a service's name has at most {_LONGEST_TEXT} characters")
        if len(replies) != 1 or not _is_count(replies[0]):
            return _failed(start_response, 422, "min_replies must be a number of replies")
        return _answered(start_response, _told(services[0], self._ask(services[0], int(replies[0]))))


def _told(service: str, seen: Seen) -> dict[str, Any]:
    """Return the verdict; ``trace_id`` is the reply's own, and those of the causes stand in ``items`` (clause H4)."""
    report = msgspec.json.decode(render(service, seen.verdict, seen.found, "json"))
    own = {"trace_id": require_trace().trace_id}
    return own | {name: report[name] for name in _ANSWERED} | {"items": report["causes"]}


def _answered(start_response: StartResponse, members: dict[str, Any]) -> Iterable[bytes]:
    body = msgspec.json.encode(members)
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
    start_response("200 OK", headers)
    return [body]


def _failed(start_response: StartResponse, status: int, says: str, *more: tuple[str, str]) -> Iterable[bytes]:
    """Answer with the standard error object; its trace is put in by the gate around it."""
    body = msgspec.json.encode({"error_code": error_code_of(status), "message": says, "details": ()})
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *more]
    start_response(f"{status} {reason_phrase(status)}", headers)
    return [body]


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def _route_of(environ: dict[str, Any]) -> str | None:
    path = environ.get("PATH_INFO", "")
    return path if path in (_PATH, _HEALTH) else None
