"""Does a request get in, and under which trace?

The rules are contract clauses B1 to B7. A shell asks :meth:`Gate.accept` first, which knows the usual request only, and
:meth:`Gate.decide` where that has no answer.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from tracegate.core.trace import Trace
from tracegate.core.trace_id import DIGITS_TO_ZERO, NIL, TraceId, is_canonical, parse_trace_id
from tracegate.core.w3c import TraceParent, parse_traceparent, parse_tracestate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tracegate.core.head import Headers
    from tracegate.core.policy import Mode, Policy
    from tracegate.core.ports import Mint
    from tracegate.core.trace import Origin

__all__ = ["Gate", "Refused"]

_OWS = b" \t"
_SHOWN_BYTES = 64
_PEERS_REMEMBERED = 4096


class Refused:
    """The gate's answer to a request that may not get in (clause E2).

    Attributes:
        detail: ``missing_trace_id``, ``invalid_trace_id_format`` or ``conflicting_trace_id``.
        trace: A real trace, minted for the refusal (E3).
        rejected: What was rejected, escaped and bounded, for the event only (E3).
    """

    __slots__ = ("detail", "rejected", "trace")

    def __init__(self, detail: str, trace: Trace, rejected: str) -> None:
        self.detail = detail
        self.trace = trace
        self.rejected = rejected


class Gate:
    """Decides under which trace a request runs.

    Args:
        policy: The operator's decisions.
        mint: Makes the ids that B4, B6 and E3 ask for.

    Attributes:
        accept: Returns the trace of a request that has one good id and nothing to weigh, in one pass over its raw
            header lines (names lower-case, as ASGI demands); else None.
    """

    def __init__(self, policy: Policy, mint: Mint) -> None:
        self.policy = policy
        self._mint = mint
        self._header = policy.header.lower().encode("ascii")
        self._simple = policy.trusted is None and policy.query_parameter is None
        self.accept = _acceptance(self._header) if self._simple else _accept_none
        self._trusts = _trust(policy)

    def accept_value(self, value: bytes) -> Trace | None:
        """Return the trace of a request whose only source is a trace header's *value*, where that is one good id."""
        return Trace(value, "header") if self._simple and is_canonical(value) else None

    def decide(  # noqa: PLR0913, PLR0917 - the primitives of one request head
        self,
        headers: Headers,
        method: str,
        path: str,
        raw_path: bytes | None = None,
        query: bytes = b"",
        peer: str | None = None,
    ) -> Trace | Refused:
        """Return the trace that a request runs under, or its refusal.

        Args:
            headers: Raw header lines, names in any case.
            method: The request method.
            path: The decoded path.
            raw_path: The path as sent, where known.
            query: The raw query string, without ``?``.
            peer: The address of the peer, where known.
        """
        named = _members(_values(headers, self._header))
        asked = _members(_query_values(query, self.policy.query_parameter))
        parent = parse_traceparent(_values(headers, b"traceparent"))
        state = parse_tracestate(_values(headers, b"tracestate")) if parent is not None else None
        formats = self.policy.formats
        ids = [parse_trace_id(member, formats) for member in (*named, *asked)]
        if not self._trusts(peer):
            client = next((found.text for found in ids if found is not None), parent and parent.trace_id)
            return Trace.of(
                self._mint.trace_id(), "minted", traceparent=parent, tracestate=state, client_trace_id=client
            )

        good = [found for found in ids if found is not None]
        detail = _fault(ids, good, parent, parent_may_differ=self.policy.traceparent_mismatch == "parent")
        if detail is None and good:
            other = parent.trace_id if parent is not None and parent.number != good[0].number else None
            origin: Origin = "header" if named else "query"
            return Trace.of(good[0], origin, traceparent=parent, tracestate=state, parent_trace_id=other)
        if detail is None and parent is not None:
            return Trace(parent.trace_id.encode("ascii"), "traceparent", "", parent, state)

        mode = self.mode_of(path, raw_path)
        if detail is None:
            exempt = _is_preflight(headers, method) or self.policy.exempt_rules.find(path, raw_path, default=False)
            if exempt or mode == "mint":
                return Trace.of(self._mint.trace_id(), "minted")
            detail = "missing_trace_id"
        rejected = _shown((*named, *asked), parent)
        if mode == "observe":
            return Trace.of(self._mint.trace_id(), "minted", fault=detail, rejected=rejected)
        return Refused(detail, Trace.of(self._mint.trace_id(), "minted"), rejected)

    def mode_of(self, path: str, raw_path: bytes | None) -> Mode:
        """Return the mode in force for a path (B4)."""
        return self.policy.mode_rules.find(path, raw_path, self.policy.mode)


def _acceptance(own: bytes) -> Callable[[Headers], Trace | None]:
    """Return :attr:`Gate.accept` for the trace header *own*. A closure, whose names are nearer than attributes."""
    least = min(own, b"traceparent")

    def accept(headers: Headers) -> Trace | None:
        found = None
        for name, value in headers:
            if name >= least:  # one comparison for most of them
                if name == own:
                    if found is not None:
                        return None
                    found = value
                elif name == b"traceparent":
                    return None
        if found is not None:
            zeros = found.translate(DIGITS_TO_ZERO)  # is_canonical(), in place
            if zeros in NIL and zeros != found:
                return Trace(found, "header")
        return None

    return accept


def _accept_none(_headers: Headers) -> None:
    """Leave every request to :meth:`Gate.decide`."""


def _fault(
    ids: Sequence[TraceId | None], good: Sequence[TraceId], parent: TraceParent | None, *, parent_may_differ: bool
) -> str | None:
    """Return why the sources cannot name one trace (B2, B3), or None."""
    if len(good) != len(ids):
        return "invalid_trace_id_format"
    numbers = {found.number for found in good}
    if parent is not None and not (parent_may_differ and numbers):
        numbers.add(parent.number)
    return "conflicting_trace_id" if len(numbers) > 1 else None


def _values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key == name or key.lower() == name]


def _members(values: Iterable[bytes]) -> list[bytes]:
    """Return the members of list-valued lines without empty ones (RFC 9110, section 5.6.1): WSGI joins lines so."""
    members = (member.strip(_OWS) for value in values for member in value.split(b","))
    return [member for member in members if member]


def _query_values(query: bytes, parameter: str | None) -> list[bytes]:
    if parameter is None or not query:
        return []
    wanted = parameter.encode("utf-8").decode("latin-1")
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="latin-1")  # a query may be any bytes
    return [value.encode("latin-1") for name, value in pairs if name == wanted]


def _is_preflight(headers: Headers, method: str) -> bool:
    """Return whether the request is a CORS preflight (Fetch standard, section 3.2.2)."""
    if method != "OPTIONS":
        return False
    names = {key.lower() for key, _ in headers}
    return b"origin" in names and b"access-control-request-method" in names


def _shown(members: Sequence[bytes], parent: TraceParent | None) -> str:
    """Return the rejected values escaped and bounded (E3)."""
    values = [ascii(member[:_SHOWN_BYTES])[1:] for member in members[:4]]
    if parent is not None:
        values.append(f"traceparent {parent.trace_id}")
    return ", ".join(values)


def _trust(policy: Policy) -> Callable[[str | None], bool]:
    """Return the predicate over a peer's address that *policy* asks for (B6)."""
    trusted = policy.trusted
    if trusted is None:
        return lambda _peer: True
    if callable(trusted):
        return _guarded(trusted)
    networks = [ipaddress.ip_network(network) for network in trusted]
    known: dict[str, bool] = {}

    def is_trusted(peer: str | None) -> bool:
        if peer is None:
            return False
        if peer not in known:
            if len(known) >= _PEERS_REMEMBERED:
                known.clear()
            known[peer] = _is_in(peer, networks)
        return known[peer]

    return is_trusted


def _guarded(predicate: Callable[[str | None], bool]) -> Callable[[str | None], bool]:
    """Return *predicate* with a failure meaning "untrusted": an operator's hook must not take requests down."""

    def is_trusted(peer: str | None) -> bool:
        try:
            return predicate(peer) is True  # a coroutine, which nobody awaits, says nothing
        except Exception:  # noqa: BLE001 - whatever the operator's code raises, the caller is not trusted
            return False

    return is_trusted


def _is_in(peer: str, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any(address in network or (mapped is not None and mapped in network) for network in networks)
