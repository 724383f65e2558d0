"""What do ``traceparent`` and ``tracestate`` say, and when do they say nothing?

W3C Trace Context level 2. One grammar serves level 1 too: its keys and headers are a subset, and the random flag, which
level 1 reserves, is passed on as level 2 demands. A header that does not parse is absent, never an error (clause B3).

Source: https://www.w3.org/TR/trace-context-2/ sections 3.2 and 3.3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "RANDOM",
    "SAMPLED",
    "TraceContext",
    "TraceParent",
    "format_traceparent",
    "parse_traceparent",
    "parse_tracestate",
]

SAMPLED: Final = 0b01
"""The flag by which a caller says that it may have recorded the trace."""

RANDOM: Final = 0b10
"""The flag by which the maker of a trace id says that its last 56 bits are random."""

_OWS: Final = b" \t"
_MOST_MEMBERS: Final = 32

_TRACEPARENT: Final = re.compile(
    rb"(?!ff)(?P<version>[0-9a-f]{2})"
    rb"-(?P<trace_id>(?!0{32})[0-9a-f]{32})"
    rb"-(?P<parent_id>(?!0{16})[0-9a-f]{16})"
    rb"-(?P<flags>[0-9a-f]{2})"
    # What a future version may add. No comma: that is two field lines which a server (WSGI) has joined, so it counts as
    # several, whatever the first of them says.
    rb"(?P<addition>-[\t\x20-\x2b\x2d-\x7e\x80-\xff]*)?",
)
_MEMBER: Final = re.compile(
    rb"[0-9a-z][_0-9a-z\-*/@]{0,255}"
    rb"="
    rb"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]",
)


class TraceParent(NamedTuple):
    """A valid inbound ``traceparent``.

    Attributes:
        trace_id: 32 lower-case hex digits, not all zero.
        parent_id: The caller's span: 16 lower-case hex digits, not all zero.
        flags: The eight bits as received; see :data:`SAMPLED` and :data:`RANDOM`.
    """

    trace_id: str
    parent_id: str
    flags: int

    @property
    def number(self) -> int:
        """The trace id as a number, ``1 <= number < 2**128``."""
        return int(self.trace_id, 16)


class TraceContext(NamedTuple):
    """A valid ``traceparent`` and the ``tracestate`` beside it; without the former the latter means nothing.

    Attributes:
        parent: What the ``traceparent`` says.
        tracestate: One value as :func:`parse_tracestate` returns it, or ``None``.
    """

    parent: TraceParent
    tracestate: str | None = None


def parse_traceparent(lines: Sequence[bytes]) -> TraceParent | None:
    """Return what the request's ``traceparent`` says, or ``None`` where it counts as absent.

    Args:
        lines: The values of *every* field line of that name. More than one counts as absent, equal or not (clause B1).

    Source: level 2 sections 3.2.2 and 3.2.4: version 00 is exactly 55 characters, version ff is invalid, a higher
    version is read as 00 and may go on behind a dash.
    """
    if len(lines) != 1:
        return None
    match = _TRACEPARENT.fullmatch(lines[0].strip(_OWS))
    if match is None or (match["addition"] is not None and match["version"] == b"00"):
        return None
    return TraceParent(match["trace_id"].decode("ascii"), match["parent_id"].decode("ascii"), int(match["flags"], 16))


def format_traceparent(trace_id: str, parent_id: str, flags: int) -> str:
    """Return the ``traceparent`` of version 00 for an outbound call.

    Args:
        trace_id: 32 lower-case hex digits, not all zero.
        parent_id: The span that calls: 16 lower-case hex digits, not all zero.
        flags: Only :data:`SAMPLED` and :data:`RANDOM` are sent, other bits are reserved and must be zero.

    Raises:
        ValueError: One of the ids is not as described.

    Source: level 2 section 3.2.2.
    """
    text = f"00-{trace_id}-{parent_id}-{flags & (SAMPLED | RANDOM):02x}"
    if parse_traceparent((text.encode("ascii", "replace"),)) is None:  # what is sent must be what is accepted
        raise ValueError(f"not the ids of a traceparent: {trace_id[:80]!a}, {parent_id[:80]!a}")
    return text


def parse_tracestate(lines: Sequence[bytes]) -> str | None:
    """Return the request's ``tracestate`` as one value, or ``None`` where there is nothing to pass on.

    White space around members and empty members are left out; order, spelling and repeated keys stay. One malformed
    member, or more than 32 members, drops the whole list. Call it only beside a ``traceparent`` that parses.

    Args:
        lines: The values of every field line of that name, in their order.

    Returns:
        Printable ASCII, at most 16,447 characters.

    Source: level 2 sections 3.3.1 and 3.3.2; RFC 9110 section 5.3.
    """
    members = [stripped for member in b",".join(lines).split(b",") if (stripped := member.strip(_OWS))]
    if not members or len(members) > _MOST_MEMBERS or not all(map(_MEMBER.fullmatch, members)):
        return None
    return b",".join(members).decode("ascii")
