"""What do all exchanges of one gate share?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tracegate.core.cors import merge_expose
from tracegate.core.gate import Gate
from tracegate.core.head import Headers, HeadReader, ReplyHead, value_of
from tracegate.core.trace_id import parse_trace_id

if TYPE_CHECKING:
    from tracegate.core.cors import CorsLayer
    from tracegate.core.policy import Policy
    from tracegate.core.ports import Mint
    from tracegate.core.refusal import ErrorObject
    from tracegate.core.trace import Trace

__all__ = ["Terms"]

_WITH_BODY = frozenset(range(200, 400)) - {204, 205, 304}


class Terms:
    """The policy, read once, with everything that is made from it.

    Args:
        policy: The operator's decisions.
        mint: Makes ids.
        header: The trace header's name as this protocol spells it: lower-case for ASGI.
        cors: The application's CORS rules, where the integration could read them.

    Attributes:
        cors: Those, or the policy's; an integration may set it later.
        plain: The statuses of a reply whose head, where it says nothing special, needs the trace header and nothing
            else, and whose body is as long as it declares.
    """

    __slots__ = ("_extras", "cors", "gate", "header", "header_key", "heads", "plain", "policy")

    def __init__(self, policy: Policy, mint: Mint, header: bytes, cors: CorsLayer | None = None) -> None:
        self.policy = policy
        self.gate = Gate(policy, mint)
        self.header = header
        self.header_key = header.lower()
        self.heads = HeadReader(self.header_key)
        self.cors: CorsLayer | None = cors or policy.cors()
        self._extras = policy.traceresponse or policy.server_timing
        self.plain = _WITH_BODY if not self._extras and policy.bodies == "errors" else frozenset[int]()

    def contradicts(self, values: tuple[bytes, ...], trace: Trace) -> bool:
        """Return whether an application's own trace *values* are anything but *trace*, once (C3)."""
        found = parse_trace_id(values[0], self.policy.formats) if len(values) == 1 else None
        return found is None or found != trace.id

    @staticmethod
    def differs(traceresponse: bytes, trace: Trace) -> bool:
        """Return whether an application's own ``traceresponse`` names another number than *trace* (C3)."""
        fields = traceresponse.split(b"-")
        return len(fields) > 1 and fields[1].decode("latin-1") != trace.w3c

    def keeps(self, path: str, raw_path: bytes | None) -> bool:
        """Return whether an application's other value is delivered (C3, B4)."""
        policy = self.policy
        return policy.conflict_rules.find(path, raw_path, policy.on_conflict) == "keep" or self.observes(path, raw_path)

    def observes(self, path: str, raw_path: bytes | None) -> bool:
        """Return whether mode ``observe`` is in force (B4)."""
        return self.gate.mode_of(path, raw_path) == "observe"

    def marked(self, head: ReplyHead, lines: Headers, trace: Trace) -> Headers:
        """Return *lines* with the trace header on them, exactly once, in a new list (C1, C6, C7)."""
        found = lines if head.trace_values else [*lines, (self.header, trace.raw)]
        if head.cors:
            found = merge_expose(found, self.header)
        if self._extras:
            found = self._with_extras(found, head, trace)
        return found

    def own_headers(
        self, error: ErrorObject, request: Headers, kept: Headers, method: str, path: str
    ) -> tuple[Headers, bytes]:
        """Return the head and the body of a reply that the gate itself makes (E1, C6).

        Args:
            error: What it says.
            request: The request's header lines.
            kept: The application's headers that stay.
            method: ``HEAD`` gets the head without a length, and no body.
            path: The request's decoded path, for the CORS rules.
        """
        body, media_type = error.encode(self.policy, self.accept(request))
        lines: Headers = [line for line in kept if line[0].lower() != self.header_key]
        lines.append((b"content-type", media_type))
        if method == "HEAD":
            body = b""
        else:
            lines.append((b"content-length", b"%d" % len(body)))
        if value_of(kept, b"cache-control") is None:
            lines.append((b"cache-control", b"no-store"))
        lines.append((self.header, error.trace.raw))
        origin = value_of(request, b"origin")
        if value_of(kept, b"access-control-allow-origin") is not None:
            lines = merge_expose(lines, self.header)
        elif origin is not None and self.cors is not None:
            lines += self._cors_headers(self.cors, origin, path)
        return lines, body

    def _cors_headers(self, cors: CorsLayer, origin: bytes, path: str) -> Headers:
        try:
            return cors.headers(origin, self.policy.header, path)
        except Exception:  # noqa: BLE001 - whatever the application's layer does, the reply and its trace must leave
            return []

    @staticmethod
    def accept(request: Headers) -> bytes | None:
        """Return the request's ``Accept`` lines as one list (RFC 9110, section 5.3), or None."""
        lines = [value for name, value in request if name.lower() == b"accept"]
        return b", ".join(lines) if lines else None

    def error_event(self, error: ErrorObject) -> bytes:
        """Return the one event that a stream ends with when it fails (D7)."""
        members = error.members()
        if self.policy.sse_error == "openai":
            members["error"] = {"message": error.message, "type": "server_error", "code": error.code}
        return b"event: error\ndata: " + msgspec.json.encode(members) + b"\n\n"

    def _with_extras(self, lines: Headers, head: ReplyHead, trace: Trace) -> Headers:
        """Return *lines* with the opt-in headers of clause C7, appended without touching what is there."""
        parent = f"00-{trace.w3c}-{_span_of(trace)}-{_flags_of(trace):02x}".encode("ascii")
        found = list(lines)
        if self.policy.traceresponse and head.traceresponse is None:
            found.append((b"traceresponse", parent))
        if self.policy.server_timing:
            found.append((b"server-timing", b"trace;desc=" + parent))
        return found


def _span_of(trace: Trace) -> str:
    """Return the span that the reply names: the caller's, else the id's own last digits."""
    if trace.traceparent is not None:
        return trace.traceparent.parent_id
    own = trace.w3c[16:]
    return own if own.strip("0") else trace.w3c[:16]


def _flags_of(trace: Trace) -> int:
    return trace.traceparent.flags if trace.traceparent is not None else 0
