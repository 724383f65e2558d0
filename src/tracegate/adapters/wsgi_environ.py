"""What does an environ say about its request, and how does the trace get into it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from tracegate.core.admission import inbound_event
from tracegate.core.exchange import Exchange
from tracegate.errors import MissingTraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from tracegate.adapters.wsgi_head import PlainHeads
    from tracegate.context import Binding
    from tracegate.core.events import Event
    from tracegate.core.gate import Refused
    from tracegate.core.head import Headers
    from tracegate.core.terms import Terms
    from tracegate.core.trace import Trace
    from tracegate.runtime import Runtime, Tally

__all__ = [
    "HINTS",
    "MARK",
    "Environ",
    "Keys",
    "Shell",
    "admitted",
    "decide",
    "exchange_of",
    "key_of",
    "keys_of",
    "lines_of",
    "method_of",
    "path_of",
    "record",
    "wait_until_kept",
]

Environ = dict[str, Any]

Keys = tuple[tuple[str, bytes], ...]
"""Where an environ keeps a header's value, and the header's name."""

MARK = "tracegate.exchange"
"""The key under which an environ carries what the outer gate makes of the request: the inner one adds nothing (B8)."""

HINTS = "wsgi.early_hints"
"""The key under which gunicorn offers to send early hints (RFC 8297)."""

_TRACE = "tracegate.trace"
_READ = ("traceparent", "tracestate", "accept", "origin", "access-control-request-method")


class Shell(Protocol):
    """What the parts of the WSGI shell need of the gate."""

    runtime: Runtime
    terms: Terms
    route_of: Callable[[Environ], str | None] | None
    header: str
    keys: Keys
    plain_heads: PlainHeads
    tally_of: Callable[[Environ], Tally] | None


def keys_of(header: str) -> Keys:
    """Return the keys of the header lines on which the gate and its own replies depend; first the trace header's."""
    return tuple((key_of(name), name.lower().encode("ascii")) for name in (header, *_READ))


def lines_of(environ: Environ, keys: Keys) -> Headers:
    """Return the request's header lines for *keys*; a server joins the values of a repeated one by commas."""
    return [(name, _bytes_of(environ[key])) for key, name in keys if key in environ]


def method_of(environ: Environ) -> str:
    """Return the request's method."""
    return environ.get("REQUEST_METHOD") or "GET"


def path_of(environ: Environ) -> str:
    """Return the decoded path: PEP 3333 carries its bytes as latin-1."""
    path = f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
    return path if path.isascii() else _bytes_of(path).decode("utf-8", "replace")


def admitted(environ: Environ, bound: Binding) -> Environ:
    """Return the application's own copy of *environ*, with the trace in it (clause G1)."""
    inner = environ.copy()
    inner[_TRACE] = bound.trace
    inner[MARK] = bound
    return inner


def decide(shell: Shell, environ: Environ) -> Trace | Refused:
    """Return the gate's decision on a request; an inbound fault is recorded."""
    method, path, raw_path = method_of(environ), path_of(environ), _raw_path_of(environ)
    query, peer = _bytes_of(environ.get("QUERY_STRING", "")), environ.get("REMOTE_ADDR") or None
    decision = shell.terms.gate.decide(lines_of(environ, shell.keys), method, path, raw_path, query, peer)
    event = inbound_event(decision, shell.terms.gate.mode_of(path, raw_path), method)
    if event is not None:
        record(shell, environ, [event])
    return decision


def exchange_of(shell: Shell, environ: Environ, trace: Trace) -> Exchange:
    """Return the exchange of a request that was let in."""
    lines = lines_of(environ, shell.keys)
    return Exchange(shell.terms, trace, method_of(environ), path_of(environ), lines, _raw_path_of(environ))


def record(shell: Shell, environ: Environ, events: Iterable[Event]) -> None:
    """Give *events* to the runtime, with the route and the tenant of their request; wait as a refusal does (F3)."""
    route = shell.runtime.route(shell.route_of, environ)
    name = shell.runtime.policy.tenant_header
    tenant = None if name is None else environ.get(key_of(name))
    pending = shell.runtime.record(events, route=route, tenant=tenant)
    if pending is not None:
        _wait(pending, shell.runtime.wait_seconds)


def wait_until_kept(error: BaseException) -> None:
    """Wait for what *error* says that its refusal waits for, if it does (clauses F3, G3)."""
    if isinstance(error, MissingTraceError) and error.kept is not None:
        _wait(*error.kept)


def _wait(pending: Future[bool], seconds: float) -> None:
    from concurrent.futures import wait  # noqa: PLC0415 - who made this has loaded it

    wait([pending], seconds)


def _raw_path_of(environ: Environ) -> bytes | None:
    """Return the path as it was sent, where the server tells (gunicorn, Werkzeug, waitress, uWSGI)."""
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    return _bytes_of(target).partition(b"?")[0] if target else None


def key_of(name: str) -> str:
    """Return where an environ keeps the value of the header *name*."""
    return f"HTTP_{name.upper().replace('-', '_')}"


def _bytes_of(value: str) -> bytes:
    """Return the bytes that a server decoded as latin-1; what no server could have decoded never makes an id."""
    try:
        return value.encode("latin-1")
    except (AttributeError, UnicodeEncodeError):
        return str(value).encode("latin-1", "replace")
