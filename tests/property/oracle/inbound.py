"""Under which trace must a request run, or how must it be refused (B1-B7)?

Where the contract leaves two answers open, both are returned: a decision is right if it is one of them.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from tests.property.oracle.ids import number_of, traceparent_number
from tests.property.plan import Request, Settings

__all__ = ["Bound", "Decision", "Minted", "Refused", "decide", "is_preflight"]


@dataclass(frozen=True, slots=True)
class Bound:
    """The caller named the trace, in one of these *spellings*."""

    number: int
    spellings: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Minted:
    """A new trace is made; *would_refuse* is what another mode would have said."""

    would_refuse: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The request does not reach the application."""

    detail: str


Decision: TypeAlias = Bound | Minted | Refused

_INVALID = Refused("invalid_trace_id_format")
_CONFLICT = Refused("conflicting_trace_id")


def is_preflight(request: Request) -> bool:
    """Say whether *request* is a CORS preflight (Fetch, 3.2.2)."""
    names = {name.lower() for name, _ in request.headers}
    return request.method == "OPTIONS" and {b"origin", b"access-control-request-method"} <= names


def decide(request: Request, settings: Settings) -> frozenset[Decision]:
    """Return every decision that the contract allows."""
    if not _is_trusted(request, settings):
        return frozenset({Minted()})
    decisions = _named(request, settings)
    if settings.mode == "observe":
        return frozenset(Minted(each.detail) if isinstance(each, Refused) else each for each in decisions)
    return decisions


def _is_trusted(request: Request, settings: Settings) -> bool:
    if settings.trusted is None:
        return True
    try:
        peer = ipaddress.ip_address(request.client or "")
    except ValueError:
        return False
    return any(peer in ipaddress.ip_network(network) for network in settings.trusted)


def _named(request: Request, settings: Settings) -> frozenset[Decision]:
    """Decide as the modes `require` and `mint` do; `observe` asks what `require` would say."""
    values = [value for name, value in request.headers if name.lower() == b"x-trace-id"]
    values += _query_values(request, settings)
    members = [member.strip(b" \t") for value in values if value.strip(b" \t") for member in value.split(b",")]
    allowed: set[Decision] = set()
    if any(value != value.strip(b" \t") for value in values if value.strip(b" \t")) or b"" in members:
        # Optional white space is the server's to strip, and RFC 9110 5.6.1 lets a list have empty members.
        allowed.add(_INVALID)
    members = [member for member in members if member]
    numbers = {number_of(member) for member in members}
    parent = traceparent_number([value for name, value in request.headers if name.lower() == b"traceparent"])
    if None in numbers:
        allowed.add(_INVALID)
        if len(set(members)) > 1:
            allowed.add(_CONFLICT)
    elif len(numbers) > 1:
        allowed.add(_CONFLICT)
    elif not members:
        allowed.add(_without_name(request, settings, parent))
    else:
        number = number_of(members[0]) or 0
        if parent not in (None, number) and settings.traceparent_mismatch == "refuse":
            allowed.add(_CONFLICT)
        else:
            allowed.add(Bound(number, frozenset(members)))
    return frozenset(allowed)


def _without_name(request: Request, settings: Settings, parent: int | None) -> Decision:
    if parent is not None:
        return Bound(parent, frozenset({b"%032x" % parent}))
    if settings.mode != "mint" and not _is_exempt(request.path, settings) and not is_preflight(request):
        return Refused("missing_trace_id")
    return Minted()


def _query_values(request: Request, settings: Settings) -> list[bytes]:
    if settings.query_parameter is None:
        return []
    pairs = [pair.partition(b"=") for pair in request.query.replace(b"+", b" ").split(b"&")]
    wanted = settings.query_parameter.encode()
    return [unquote_to_bytes(value) for name, _, value in pairs if unquote_to_bytes(name) == wanted]


def _is_exempt(path: str, settings: Settings) -> bool:
    segments = path.split("/")[1:]
    if "" in segments[:-1] or {".", ".."} & set(segments):
        return False
    inside = any(path == prefix or path.startswith(prefix + "/") for prefix in settings.exempt_prefixes)
    return inside or path in settings.exempt
