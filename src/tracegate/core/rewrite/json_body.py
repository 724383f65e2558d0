"""What becomes of a whole JSON body that has to name its trace?

Bytes are spliced, never parsed and written again: the order, number text, escapes, duplicates and blanks of the
application reach the client as they were sent. msgspec tells most bodies apart in one pass; what it declines (depth,
lone surrogates) or cannot see (the same name twice) is left to the exact reader.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from enum import Enum
from typing import TYPE_CHECKING, Final

import msgspec

from tracegate.core.rewrite.json_grammar import BLANKS, MEMBER, Stop
from tracegate.core.rewrite.json_member import Verdict, as_member, as_value, judge
from tracegate.core.rewrite.json_reader import JsonReader

if TYPE_CHECKING:
    from tracegate.core.trace_id import TraceId

__all__ = ["Obstacle", "original_value", "splice"]


class Obstacle(Enum):
    """Why a body cannot carry the trace."""

    OVERWRITE = "its trace_id is not the bound trace, or not a string (clause D1)"
    NOT_AN_OBJECT = "it is JSON, and not an object (clause D2)"
    NOT_JSON = "it is not JSON in UTF-8 (clause D2)"
    EMPTY = "it has nothing but white space (clause D2)"


class _Glance(msgspec.Struct, gc=False):
    """All that msgspec is to look at; it validates and skips the other members."""

    trace_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_VALID: Final = frozenset({Obstacle.OVERWRITE, Obstacle.NOT_AN_OBJECT})
_CLOSED: Final = frozenset({Stop.CLOSED, Stop.CLOSED_EMPTY})
_KEEP, _FILL, _REFUSE = Verdict  # naming a member by its class costs as much as a search of the body
_glance: Final = msgspec.json.Decoder(_Glance).decode


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def splice(body: bytes, trace: TraceId) -> bytes | Obstacle:
    """Return *body* with a top-level ``trace_id`` that names *trace*, or why there can be none.

    A missing member is put in straight after the first brace; ``null`` and ``""`` are replaced where they stand. A byte
    order mark stays and is no obstacle: RFC 8259 section 8.1 lets a client ignore it, and one that does would otherwise
    lose the object it reads today.

    Args:
        body: The whole body, identity coding.
        trace: The bound trace.

    Returns:
        The body to send: the same object where every top-level ``trace_id`` in it names *trace* already.

    Source: contract clauses A1, D1 and D2.
    """
    try:
        value = _glance(body).trace_id
    except (msgspec.DecodeError, RecursionError):
        return _splice_exactly(body, trace)
    if not body.isascii() and not _is_utf8(body):  # msgspec does not decode the strings that it skips
        return Obstacle.NOT_JSON
    if value is msgspec.UNSET:
        return _insert(body, trace)
    if body.count(MEMBER) > 1 or body.count(b"\\u") > 0:  # it may stand there twice
        return _splice_exactly(body, trace)
    raw = bytes(value)
    verdict = judge(raw, trace)
    if verdict is not _FILL:
        return body if verdict is _KEEP else Obstacle.OVERWRITE
    start = body.index(raw, body.index(b":", body.index(MEMBER)))
    return body[:start] + as_value(trace) + body[start + len(raw) :]


def _insert(body: bytes, trace: TraceId) -> bytes:
    after_brace = body.index(b"{") + 1
    rest = body[after_brace:]
    comma = b"" if rest.lstrip(BLANKS).startswith(b"}") else b","
    return body[:after_brace] + as_member(trace) + comma + rest


def _splice_exactly(body: bytes, trace: TraceId) -> bytes | Obstacle:
    """Do what :func:`splice` does, for every body there is."""
    reader = JsonReader()
    is_object = False
    starts: list[int] = []
    ends: list[int] = []
    for position, stop in reader.read(body):
        if stop is Stop.VALUE:
            starts.append(position)
        elif stop is Stop.VALUE_END:
            ends.append(position)
        elif stop in _CLOSED:
            is_object = True
    if not reader.complete:
        return Obstacle.NOT_JSON if body.removeprefix(BOM_UTF8).strip(BLANKS) else Obstacle.EMPTY
    if not is_object:
        return Obstacle.NOT_AN_OBJECT
    return _settle(body, trace, list(zip(starts, ends, strict=True))) if starts else _insert(body, trace)


def _settle(body: bytes, trace: TraceId, values: list[tuple[int, int]]) -> bytes | Obstacle:
    """Keep, fill or refuse the members that stand there, whose values are at *values*."""
    out: list[bytes] = []
    copied = 0
    for start, end in values:
        verdict = judge(body[start:end], trace)
        if verdict is _REFUSE:
            return Obstacle.OVERWRITE
        if verdict is _FILL:
            out += body[copied:start], as_value(trace)
            copied = end
    return b"".join((*out, body[copied:])) if out else body


def original_value(body: bytes, obstacle: Obstacle) -> bytes:
    """Return *body* as the JSON text that stands under ``original`` in the standard error object.

    Args:
        body: A body that :func:`splice` declined.
        obstacle: What it gave as the reason.

    Returns:
        The value byte for byte, where the body is JSON; otherwise a JSON string of its text: as UTF-8, else as Latin-1,
        from which every byte can be told. Neither has the byte order mark and blanks before it.

    Source: contract clause D2.
    """
    value = body.removeprefix(BOM_UTF8).lstrip(BLANKS)
    if obstacle in _VALID:
        return value.rstrip(BLANKS)
    return msgspec.json.encode(value.decode() if _is_utf8(value) else value.decode("latin-1"))
