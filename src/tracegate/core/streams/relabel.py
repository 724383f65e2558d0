"""How does a recorded event say which trace it was first sent under, when it is sent again under another one?

A ``trace_id`` in it that names the first trace is renamed to ``source_trace_id``, as a member and as a field line; the
gate then adds the trace that the event is sent under now. Every other byte stays.

Source: contract clause D8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tracegate.core.rewrite.json_grammar import BLANKS, Stop
from tracegate.core.rewrite.json_member import Verdict, judge
from tracegate.core.rewrite.json_reader import JsonReader
from tracegate.core.rewrite.sse_event import read_field

if TYPE_CHECKING:
    from tracegate.core.trace_id import TraceId

__all__ = ["relabelled"]

_FIELD: Final = b"trace_id"
_SOURCE_FIELD: Final = b"source_trace_id"
_SOURCE_MEMBER: Final = b'"source_trace_id"'


def relabelled(block: bytes, source: TraceId) -> bytes:
    """Return *block* with each ``trace_id`` that names *source* renamed.

    Args:
        block: A recorded block.
        source: The trace that it was recorded under.
    """
    spans: list[tuple[int, int, bytes]] = []
    values: list[tuple[int, bytes]] = []
    at = 0
    for line in block.splitlines(keepends=True):
        text = line.rstrip(b"\r\n")
        name, value = read_field(text)
        if name == b"data":
            values.append((at + len(text) - len(value), value))
        elif name == _FIELD and source.is_named_by(value.strip(b" \t")):
            spans.append((at, at + len(_FIELD), _SOURCE_FIELD))
        at += len(line)
    spans += [(*_place(start, end, values), _SOURCE_MEMBER) for start, end in _names(values, source)]
    for start, end, name in sorted(spans, reverse=True):
        block = block[:start] + name + block[end:]
    return block


def _names(values: list[tuple[int, bytes]], source: TraceId) -> list[tuple[int, int]]:
    """Return where in the data the names of top-level members stand whose value names *source*."""
    data = _readable(b"\n".join(value for _, value in values))
    reader = JsonReader()
    names: list[tuple[int, int]] = []
    value_at = 0
    for position, stop in reader.read(data):
        if stop is Stop.VALUE:
            value_at = position
        elif stop is Stop.VALUE_END and judge(data[value_at:position], source) is Verdict.KEEP:
            end = len(data[:value_at].rstrip(BLANKS).removesuffix(b":").rstrip(BLANKS))
            names.append((data.rindex(b'"', 0, end - 1), end))
    return names if reader.complete else []


def _readable(data: bytes) -> bytes:
    """Return *data* with a ``?`` for each byte that is not UTF-8: a client reads something else there, and goes on."""
    if data.isascii():
        return data
    text = data.decode("utf-8", "surrogateescape")
    return text.encode("utf-8", "replace") if any("\udc80" <= letter <= "\udcff" for letter in text) else data


def _place(start: int, end: int, values: list[tuple[int, bytes]]) -> tuple[int, int]:
    """Return where in the block stands what stands there in the data; a name is never on two lines."""
    for at, value in values:
        if start <= len(value):
            return at + start, at + end
        start -= len(value) + 1
        end -= len(value) + 1
    raise AssertionError("behind the last line")  # pragma: no cover - it stands in the data
