"""Where in one event of a stream does the trace go?"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, final

import msgspec

from tracegate.core.rewrite.json_body import Obstacle, splice
from tracegate.core.rewrite.json_member import as_member

if TYPE_CHECKING:
    from tracegate.core.trace_id import TraceId

__all__ = ["JSON_RPC_NAME", "Carrier", "Claim", "EventMarker", "read_field", "split_blank"]

Carrier = Literal["auto", "field"]
"""What carries the trace: ``auto`` a member where the data is a JSON object, else a field line; ``field`` the line."""

_SIMPLE_EVENT: Final = re.compile(
    rb"(?:[^\r\n:dt\xef][^\r\n]*\r?\n)*"  # fields but data and trace_id; a line that starts with a BOM may be either
    rb"data: ?(.*+)\n"
    rb"(?:[^\r\n:dt][^\r\n]*\r?\n)*"
    rb"\r?\n",
)
"""One whole block with one data line, as servers write it.

The dot is several times faster than a class without CR. It takes the CR of the line's end along, white space to JSON;
that there is no other CR in the data is looked up.
"""

_CR: Final = 0x0D
_BLANKS: Final = b" \t\n\r"

JSON_RPC_NAME: Final = re.compile(
    b'"' + b"".join(rb"(?:%c|\\u00%x[%x%X])" % (c, c >> 4, c & 15, c & 15) for c in b"jsonrpc") + b'"',
)
"""The name ``jsonrpc`` as a JSON string, in any of its spellings."""


class _Glance(msgspec.Struct, gc=False):
    """The members that decide; msgspec validates and skips the others."""

    trace_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    jsonrpc: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_glance: Final = msgspec.json.Decoder(_Glance).decode


def _is_json_rpc(data: bytes) -> bool:
    """Return whether the JSON object *data* has a top-level member ``jsonrpc``.

    Where msgspec declines what is JSON (a lone surrogate, a great depth), the name anywhere is enough: an extra field
    line harms nobody, an extra member breaks a strict JSON-RPC client.
    """
    try:
        return _glance(data).jsonrpc is not msgspec.UNSET
    except (msgspec.DecodeError, RecursionError):
        return JSON_RPC_NAME.search(data) is not None


def read_field(line: bytes) -> tuple[bytes, bytes]:
    """Return the name and the value of a field; of a comment the name is empty.

    Source: WHATWG HTML 9.2.6.
    """
    name, _, value = line.partition(b":")
    return name, value.removeprefix(b" ")


def split_blank(block: bytes) -> tuple[bytes, bytes]:
    """Return the fields of *block*, and the line end of the blank line that ends it."""
    size = len(block) - (2 if block.endswith(b"\r\n") else 1)
    return block[:size], block[size:]


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class Claim(Enum):
    """What a ``trace_id`` field line says about the trace."""

    NONE = "it is empty: it names nobody"
    OURS = "it names the bound trace"
    OTHER = "it names another trace, or something that is none"


@final
class EventMarker:
    """Marks the events of one stream, one whole block at a time.

    Attributes:
        carrier: What carries the trace.
        events: How many events were found to carry the trace, or made to.
        keep: An event that names another trace is delivered as it is.
        kept: How many were.
        line: The field line that carries the trace, without its line end.
        trace: The bound trace.
    """

    __slots__ = ("_member", "carrier", "events", "keep", "kept", "line", "trace")

    def __init__(self, trace: TraceId, carrier: Carrier, *, keep: bool) -> None:
        self.trace = trace
        self.carrier = carrier
        self.keep = keep
        self.kept = 0
        self._member = as_member(trace) + b","
        self.line = b"trace_id: " + trace.raw
        self.events = 0

    def mark_simple(self, chunk: bytes) -> bytes | None:
        """Return *chunk* with the trace in it, or ``None`` where :meth:`mark` has to look closer, or at another cut.

        The short way for what most chunks are, one whole event in its simplest form. It decides as :meth:`mark` does.
        """
        event = _SIMPLE_EVENT.fullmatch(chunk)
        if event is None:
            return None
        data = event[1]
        if _CR in data and data.index(b"\r") < len(data) - 1:
            return None
        if not data.startswith(b'{"'):
            if data.lstrip(_BLANKS).startswith(b"{"):
                return None
            self.events += 1
            return self._add_line(chunk)
        try:
            seen = _glance(data)
        except (msgspec.DecodeError, RecursionError):
            return None
        named = seen.trace_id is not msgspec.UNSET
        if (named and splice(data, self.trace) is not data) or not (data.isascii() or _is_utf8(data)):
            return None
        self.events += 1
        if self.carrier == "field" or seen.jsonrpc is not msgspec.UNSET:
            return self._add_line(chunk)
        brace = event.start(1) + 1
        return chunk if named else chunk[:brace] + self._member + chunk[brace:]

    def mark(self, block: bytes) -> bytes | None:
        """Return *block* with the trace in it, or ``None`` where it is an event that names another trace (but *keep*).

        A block without a data line is no event and comes back as it is; so does one whose field line names the trace.

        Args:
            block: Whole lines, the last one blank, none before it blank.

        Source: contract clauses D1, D6, D7; WHATWG HTML 9.2.6.
        """
        marked = self.mark_simple(block)
        return self._mark_closely(block) if marked is None else marked

    def _mark_closely(self, block: bytes) -> bytes | None:
        values: list[bytes] = []
        claims: set[Claim] = set()
        at = begin = end = 0
        for line in block.splitlines(keepends=True):
            text = line.rstrip(b"\r\n")
            name, value = read_field(text)
            if name == b"data":
                values.append(value)
                end = at + len(text)
                begin = end - len(value)
            elif name == b"trace_id":
                claims.add(self.claim(value))
            at += len(line)
        if not values:
            return block
        data = b"\n".join(values)
        spliced = self._splice(data)
        if spliced is Obstacle.OVERWRITE or Claim.OTHER in claims:
            self.kept += self.keep
            return block if self.keep else None
        self.events += 1
        if Claim.OURS in claims:
            return block
        if isinstance(spliced, bytes) and len(values) == 1 and self.carrier == "auto" and not _is_json_rpc(data):
            block = block[:begin] + spliced + block[end:]
            if not claims:
                return block
        return self._add_line(block)

    def claim(self, value: bytes) -> Claim:
        """Return what the value of a ``trace_id`` field line says about the trace."""
        spelling = value.strip(b" \t")
        if not spelling:
            return Claim.NONE
        return Claim.OURS if self.trace.is_named_by(spelling) else Claim.OTHER

    def _splice(self, data: bytes) -> bytes | Obstacle:
        if not data.lstrip(_BLANKS).startswith(b"{"):
            return Obstacle.NOT_AN_OBJECT
        spliced = splice(data, self.trace)
        if spliced is Obstacle.NOT_JSON:
            # A client reads U+FFFD where the UTF-8 is wrong, and may so find an object in it.
            seen = splice(data.decode(errors="replace").encode(), self.trace)
            return Obstacle.OVERWRITE if seen is Obstacle.OVERWRITE else Obstacle.NOT_JSON
        return spliced

    def _add_line(self, block: bytes) -> bytes:
        fields, blank = split_blank(block)
        ending = b"\r\n" if fields.endswith(b"\r\n") else fields[-1:]
        return fields + self.line + ending + blank
