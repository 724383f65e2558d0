"""Is this reply the one that a clause of the contract describes?

Each function returns what is wrong with a reply, as sentences; an empty list means that the reply is right.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Collection, Mapping
from http import HTTPStatus

from tests.property.drivers.exceptions import SECRET
from tests.property.drivers.record import Reply
from tests.property.oracle import head
from tests.property.oracle.ids import is_minted
from tests.property.oracle.inbound import Bound, Decision
from tests.property.oracle.marks import object_in
from tests.property.plan import Headers, Request

__all__ = [
    "DIGESTS",
    "REPRESENTATION",
    "codes_of",
    "decoded",
    "error_faults",
    "header_faults",
    "id_faults",
    "spelling_of",
]

DIGESTS = frozenset({b"content-digest", b"repr-digest", b"content-md5", b"digest"})
REPRESENTATION = frozenset({b"etag", b"last-modified", b"location", b"cache-control", b"signature", b"signature-input"})
_CODES = {
    400: ("API-007-IDEMPOTENCY-REQUIRED",),
    401: ("SEC-001-401", "AUTH_STALE_PERMISSION"),
    403: ("SYS-002-403", "SEC-002-403", "API-008-403-BUDGET"),
    404: ("API-004-404", "OPS-103-NOT_FOUND"),
    409: ("API-003-409", "OPS-003-CONFLICT", "OPS-003-409", "OPS-003-INVALID_TARGET"),
    422: ("API-003-422", "AI-009-422-SCHEMA", "AUDIT_EXPORT_RANGE_EXCEEDED"),
    429: ("API-008-429-BUDGET", "API-008-429-SSE", "AUDIT_EXPORT_RATE_LIMITED"),
    500: ("SYS-003-500",),
    503: ("SYS-003-503",),
    504: ("SSE-002-504",),
}
_RENAMED = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}


def codes_of(status: int) -> tuple[str, ...]:
    """Return the error codes that may stand for *status* (D2)."""
    return (*_CODES.get(status, ()), f"HTTP-{status}")


def spelling_of(reply: Reply, decision: Decision) -> bytes:
    """Return how the bound trace must be spelled in bodies: as the caller did, or as the header of a minted one."""
    lines = reply.values(b"x-trace-id")
    spelled = lines[0] if lines else b""
    if isinstance(decision, Bound) and spelled not in decision.spellings:
        return min(decision.spellings)
    return spelled


def id_faults(reply: Reply, decision: Decision, own: Collection[bytes] = ()) -> list[str]:
    """Judge that the reply has exactly one id, the bound one as the caller spelled it (C1, A1), or one of *own*."""
    lines = reply.values(b"x-trace-id")
    if len(own) > 1 and lines == list(own):
        return []  # several, and kept as they are
    if len(lines) != 1:
        return [f"{len(lines)} id lines: {lines!r}"]
    if isinstance(decision, Bound):
        allowed = {*decision.spellings, *own}
        return [] if lines[0] in allowed else [f"the id is {lines[0]!r}, not one of {allowed!r}"]
    return [] if is_minted(lines[0]) or lines[0] in own else [f"{lines[0]!r} is not a minted id"]


def header_faults(
    sent: Headers,
    reply: Reply,
    *,
    drop: Collection[bytes] = (),
    may_drop: Collection[bytes] = (),
    may_add: Collection[bytes] = (),
) -> list[str]:
    """Judge that the other headers left as they came, in order and spelling (C8), and C6's merge.

    Args:
        sent: What the application sent.
        reply: What left.
        drop: Lower-case names that must be gone.
        may_drop: Names that may be gone.
        may_add: Names of lines that the gate may have written.
    """
    out = [pair for pair in reply.headers if pair[0].lower() not in (b"x-trace-id", b"access-control-expose-headers")]
    want = [pair for pair in sent if pair[0].lower() not in (b"x-trace-id", b"access-control-expose-headers", *drop)]
    faults = _exposed_faults(sent, reply)
    at = 0
    for pair in out:
        place = next((n for n in range(at, len(want)) if want[n] == pair or want[n][0].lower() not in may_drop), at)
        if want[place : place + 1] == [pair]:
            at = place + 1
        elif pair[0].lower() not in may_add:
            faults.append(f"unexpected header {pair!r}")
    faults += [f"lost header {pair!r}" for pair in want[at:] if pair[0].lower() not in may_drop]
    return faults


def _exposed_faults(sent: Headers, reply: Reply) -> list[str]:
    before = head.values(sent, b"access-control-expose-headers")
    after = reply.values(b"access-control-expose-headers")
    if not head.values(sent, b"access-control-allow-origin"):
        return [] if before == after else [f"exposed headers on a reply that is not CORS: {after!r}"]
    listed = [name.strip().lower() for line in before for name in line.split(b",") if name.strip()]
    now = [name.strip().lower() for line in after for name in line.split(b",") if name.strip()]
    if b"*" in listed:
        listed += [b"x-trace-id"] if b"x-trace-id" in now else []
    elif b"x-trace-id" not in listed:
        listed.append(b"x-trace-id")
    return [] if now == listed else [f"exposed headers {before!r} became {after!r}"]


def error_faults(  # noqa: PLR0913  the members of the standard error object
    reply: Reply,
    request: Request,
    decision: Decision,
    *,
    status: int,
    codes: Collection[str],
    details: list[str],
    extra: Mapping[str, Collection[bytes]] | None = None,
    cached: list[bytes] | None = None,
    own: Collection[bytes] = (),
) -> list[str]:
    """Judge that the reply is the standard error object (E1), whole, with these members beside the id.

    Args:
        reply: What left.
        request: What was asked.
        decision: What the request was bound to.
        status: The status it must have.
        codes: The error codes it may have.
        details: What `details` must be.
        extra: Further members, each with the raw JSON values that it may have; ``b""`` allows it to be missing.
        cached: Cache-Control lines that may stand instead of E1's own, because they are the application's (D2).
        own: Ids of the application's own that may stay (C3).
    """
    faults = id_faults(reply, decision, own)
    if reply.status != status:
        faults.append(f"status {reply.status}, not {status}")
    if not reply.clean:
        faults.append("the error does not end cleanly")
    problem = wants_problem(request)
    kind = b"application/problem+json" if problem else b"application/json; charset=utf-8"
    if reply.values(b"content-type") != [kind] and not (problem and head.media_type(reply.headers) == kind):
        faults.append(f"content type {reply.values(b'content-type')!r}")
    if reply.values(b"cache-control") not in ([b"no-store"], cached or [b"no-store"]):
        faults.append(f"cache-control {reply.values(b'cache-control')!r}")
    if head.coding(reply.headers):
        faults.append("the error object claims a coding")
    if request.method == "HEAD":
        return faults
    if head.declared_length(reply.headers) not in (None, len(reply.body)):
        faults.append(f"content-length {reply.values(b'content-length')!r} for {len(reply.body)} bytes")
    named = {
        "trace_id": {b'"%s"' % spelling_of(reply, decision)},
        "error_code": {b'"%s"' % code.encode() for code in codes},
    }
    return faults + _members_faults(reply, {**named, **(extra or {})}, details, problem=problem)


def wants_problem(request: Request) -> bool:
    """Say whether the caller prefers RFC 9457; the generated requests state it plainly or not at all."""
    return head.values(request.headers, b"accept") == [b"application/problem+json"]


def _members_faults(
    reply: Reply, wanted: Mapping[str, Collection[bytes]], details: list[str], *, problem: bool
) -> list[str]:
    document = object_in(reply.body)
    if document is None:
        return [f"the error is not a JSON object: {reply.body[:200]!r}"]
    error = {each.name: reply.body[each.value_start : each.value_end] for each in document.members}
    faults = ["a member is repeated"] if len(error) != len(document.members) else []
    if SECRET.encode() in reply.body:
        faults.append("the error shows the exception's text")
    for name, allowed in wanted.items():
        if error.get(name, b"") not in allowed:
            faults.append(f"{name} is {error.get(name)!r}, not one of {allowed!r}")
    if json.loads(error.get("details", b"null")) != details:
        faults.append(f"details are {error.get('details')!r}, not {details!r}")
    message = json.loads(error.get("message", b"null"))
    if not isinstance(message, str) or not message:
        faults.append(f"message {message!r}")
    known = {"message", "details", *wanted}
    known |= {"type", "title", "status", "detail", "instance"} if problem else set()
    return faults + [f"unknown member {name!r}" for name in error if name not in known]


def phrases_of(status: int) -> set[str]:
    """Return the reason phrases of *status*, old and new; empty for a status that has none."""
    try:
        return {HTTPStatus(status).phrase, _RENAMED.get(status, HTTPStatus(status).phrase)}
    except ValueError:
        return set()


def decoded(coding: bytes, body: bytes) -> bytes | None:
    """Return *body* without its content coding; None where that is unknown or broken."""
    if not body and coding in (b"", b"gzip", b"x-gzip", b"deflate", b"br", b"zstd"):
        return body
    try:
        if coding in (b"gzip", b"x-gzip"):
            return gzip.decompress(body)
        if coding == b"deflate":
            try:
                return zlib.decompress(body)
            except zlib.error:
                return zlib.decompress(body, -15)
        if coding == b"br":
            import brotli

            whole: bytes = brotli.decompress(body)
            return whole
        if coding == b"zstd":
            import zstandard

            decoder = zstandard.ZstdDecompressor().decompressobj()
            plain = decoder.decompress(body)
            return plain if decoder.eof else None
    except Exception:  # noqa: BLE001  whatever a decoder says: it is broken
        return None
    return body if coding == b"" else None
