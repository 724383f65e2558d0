"""What does the caller get when the contract was broken? The standard error object (clauses E1, E2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tracegate.core.head import Headers, reason_phrase

if TYPE_CHECKING:
    from tracegate.core.policy import Policy
    from tracegate.core.trace import Trace

__all__ = [
    "CODES_BY_KIND",
    "REFUSED_STATUS",
    "ErrorObject",
    "error_code_of",
    "error_object",
    "refusal_object",
    "retained",
]

REFUSED_STATUS = 409
_REFUSED_CODE = "SYS-004-409-TRACE"

_MESSAGES = {
    "missing_trace_id": "This request has no trace id. Send {header}: <UUID or 32 hex digits>, or a W3C traceparent.",
    "invalid_trace_id_format": "{header} is not a trace id. Send one UUID or 32 hex digits.",
    "conflicting_trace_id": "This request names more than one trace. Send one id, or a traceparent of the same number.",
    "trace_overwrite_refused": "The reply named another trace than the one this request runs under; it was withheld.",
    "stream_event_trace_id_missing": "A stream is recorded only under a trace: the recorder stands inside no gate.",
    "trace_id_missing": "Code that requires a trace ran where none was bound.",
}
_CODES = {
    401: "SEC-001-401",
    403: "SEC-002-403",
    404: "API-004-404",
    422: "API-003-422",
    500: "SYS-003-500",
    503: "SYS-003-503",
}
"""Error code by status (SYSTEM.md, section 2.2), where one code is the general one of its status."""

CODES_BY_KIND = {"sse_resume_failed": "SSE-003-409-RESUME"}
"""Error code by the kind of event, of what is refused for another reason than its trace."""

_REPRESENTATION = frozenset(
    (
        b"etag",
        b"last-modified",
        b"location",
        b"cache-control",
        b"signature",
        b"signature-input",
        b"accept-ranges",
        b"digest",
        b"repr-digest",
        b"transfer-encoding",
        b"trailer",
    )
)
_JSON_TYPE = b"application/json; charset=utf-8"
_PROBLEM_TYPE = b"application/problem+json"


class ErrorObject(msgspec.Struct, frozen=True):
    """One standard error object, before it is encoded.

    Attributes:
        status: The reply's status.
        code: ``error_code``.
        message: One English sentence, no exception text.
        trace: Its ``trace_id`` is the object's.
        details: Details, such as the refusal's.
        refused_status: The status the application had chosen, or None (E2).
    """

    status: int
    code: str
    message: str
    trace: Trace
    details: tuple[str, ...] = ()
    refused_status: int | None = None

    def members(self) -> dict[str, Any]:
        """Return the members in the order of clause E1."""
        found: dict[str, Any] = {
            "error_code": self.code,
            "message": self.message,
            "trace_id": self.trace.trace_id,
            "details": list(self.details),
        }
        if self.refused_status is not None:
            found["refused_status"] = self.refused_status
        return found

    def encode(self, policy: Policy, accept: bytes | None = None) -> tuple[bytes, bytes]:
        """Return the body and its media type.

        Args:
            policy: Shapes the object, and says when it is a problem object (RFC 9457).
            accept: The request's ``Accept`` value, or None.
        """
        members = self.members()
        problem = _wants_problem(policy, accept)
        if problem:
            head = {"type": "about:blank", "title": reason_phrase(self.status), "status": self.status}
            members = {**head, "detail": self.message, **members}
        if policy.shape_error is not None:
            members = self._shaped(policy, members)
        return msgspec.json.encode(members), _PROBLEM_TYPE if problem else _JSON_TYPE

    def _shaped(self, policy: Policy, members: dict[str, Any]) -> dict[str, Any]:
        """Return what the operator's hook makes of *members*; the id stays whatever the hook does (E1)."""
        assert policy.shape_error is not None  # noqa: S101 - the caller looked
        try:
            shaped = msgspec.json.encode({**policy.shape_error({**members, "details": list(self.details)})})
            found: dict[str, Any] = msgspec.json.decode(shaped)  # of two spellings of one name one is left
        except Exception:  # noqa: BLE001 - whatever the operator's code raises or returns, the standard object leaves
            return members
        found.pop("original", None)  # the application's own value goes there (D2)
        return {**found, "trace_id": self.trace.trace_id}


def refusal_object(detail: str, trace: Trace, header: str, refused_status: int | None = None) -> ErrorObject:
    """Return the error object of a refusal (E2).

    Args:
        detail: One of the details of clause E2.
        trace: The trace it carries: a minted one for inbound refusals, else the bound one (E3).
        header: The trace header's name, for the message.
        refused_status: The status that the application had chosen, or None.
    """
    message = _MESSAGES[detail].format(header=header)
    return ErrorObject(REFUSED_STATUS, _REFUSED_CODE, message, trace, (detail,), refused_status)


def error_object(status: int, trace: Trace) -> ErrorObject:
    """Return the error object for a reply of *status* whose body says nothing (C4, D2, D3)."""
    return ErrorObject(status, error_code_of(status), reason_phrase(status), trace)


def error_code_of(status: int) -> str:
    """Return the error code of *status*: SYSTEM.md's, else ``HTTP-<status>``."""
    return _CODES.get(status, f"HTTP-{status}")


def retained(headers: Headers) -> Headers:
    """Return the application's headers that a refusal keeps (E2): all but those of the representation."""
    return [
        line for line in headers if not (key := line[0].lower()).startswith(b"content-") and key not in _REPRESENTATION
    ]


def _wants_problem(policy: Policy, accept: bytes | None) -> bool:
    if policy.problem_json != "negotiate":
        return policy.problem_json == "always"
    if accept is None:
        return False
    return _quality(accept, _PROBLEM_TYPE) > _quality(accept, b"application/json")


def _quality(accept: bytes, media: bytes) -> float:
    """Return the weight of exactly *media* in an ``Accept`` value (RFC 9110, section 12.5.1); ranges say nothing."""
    for item in accept.split(b","):
        name, *parameters = (part.strip().lower() for part in item.split(b";"))
        if name == media:
            weights = [part[2:] for part in parameters if part.startswith(b"q=")]
            try:
                return float(weights[0]) if weights else 1.0
            except ValueError:
                return 0.0
    return 0.0
