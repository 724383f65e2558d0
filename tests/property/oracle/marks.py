"""Was exactly the trace added to a JSON object or an event stream, and nothing else (D1, D6)?

Each judge returns what is wrong, as sentences; an empty list is a right answer. None of them knows where the gate chose
to splice: any one contiguous insertion that parses to the same members plus the trace is right.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from tests.property.oracle import json_text, sse_text
from tests.property.oracle.ids import number_of
from tests.property.oracle.json_text import Document

__all__ = ["Naming", "events_faults", "naming", "object_faults", "object_in"]

Naming: TypeAlias = Literal["absent", "equal", "empty", "mixed", "unequal"]


def object_in(text: bytes) -> Document | None:
    """Return the document if *text* is a JSON object."""
    document = json_text.find(text)
    return document if document is not None and document.kind == "object" else None


def naming(text: bytes, document: Document, number: int) -> Naming:
    """Say how the object names a trace: not at all, as *number*, by null or an empty string, or as something else."""
    found: set[Naming] = set()
    for member in document.members:
        if member.name != "trace_id":
            continue
        raw = text[member.value_start : member.value_end]
        if raw in (b"null", b'""'):
            found.add("empty")
        elif member.kind == "string" and number_of(_ascii(json_text.text_of(raw))) == number:
            found.add("equal")
        else:
            found.add("unequal")
    if "unequal" in found:
        return "unequal"
    return "mixed" if len(found) == 2 else found.pop() if found else "absent"


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace")


def object_faults(before: bytes, after: bytes, spelling: bytes) -> list[str]:
    """Judge the JSON object *after*, made from the object *before* that does not name another trace (D1)."""
    number = number_of(spelling) or 0
    old, new = object_in(before), object_in(after)
    if old is None or new is None:
        return [f"not an object any more: {after[:200]!r}"]
    state = naming(before, old, number)
    if state == "equal":
        return [] if after == before else ["an object that names its trace was touched"]
    if state in ("empty", "mixed"):
        return [] if after == _filled(before, old, spelling) else [f"not replaced in place: {after[:200]!r}"]
    if not is_insertion(before, after):
        return [f"more than one insertion: {after[:200]!r}"]
    kept = [(text, value) for name, text, value in _pairs(after, new) if name != "trace_id"]
    marks = [value for name, _, value in _pairs(after, new) if name == "trace_id"]
    faults = []
    if kept != [(text, value) for _, text, value in _pairs(before, old)]:
        faults.append(f"another member changed: {after[:200]!r}")
    if marks != [b'"' + spelling + b'"']:
        faults.append(f"marked by {marks!r}")
    return faults


def is_insertion(before: bytes, after: bytes) -> bool:
    """Say whether *after* is *before* with one contiguous insertion."""
    added = len(after) - len(before)
    if added < 0:
        return False
    common = 0
    step = len(before)
    # The longest common prefix, by halving: a byte loop is too slow for the big vectors.
    while step:
        if before[common : common + step] == after[common : common + step] and common + step <= len(before):
            common += step
        else:
            step //= 2
    return before[common:] == after[common + added :]


def _filled(text: bytes, document: Document, spelling: bytes) -> bytes:
    out, at = b"", 0
    for member in document.members:
        if member.name == "trace_id" and text[member.value_start : member.value_end] in (b"null", b'""'):
            out += text[at : member.value_start] + b'"' + spelling + b'"'
            at = member.value_end
    return out + text[at:]


def _pairs(text: bytes, document: Document) -> list[tuple[str, bytes, bytes]]:
    return [
        (each.name, text[each.key_start : each.value_start].rstrip(b" \t\r\n"), text[each.value_start : each.value_end])
        for each in document.members
    ]


def events_faults(
    before: bytes, after: bytes, spelling: bytes, *, field_only: bool = False, bound: int = 1 << 20
) -> list[str]:
    """Judge the event stream *after*, made from the stream *before* that names no other trace (D6).

    Args:
        before: What the application sent.
        after: What left.
        spelling: The bound trace.
        field_only: Whether every event must be marked by a line.
        bound: Bytes of an event, above which it is spliced while more of its lines may follow.
    """
    mark, blocks, rest = sse_text.split(before)
    new_mark, new_blocks, new_rest = sse_text.split(after)
    if (mark, rest) != (new_mark, new_rest):
        return [f"the edges changed: {mark + rest[-200:]!r} to {new_mark + new_rest[-200:]!r}"]
    if len(blocks) != len(new_blocks):
        return [f"{len(blocks)} blocks became {len(new_blocks)}"]
    return [
        f"block {index}: {fault}"
        for index, (old, new) in enumerate(zip(blocks, new_blocks, strict=True))
        for fault in (_long_faults if len(old.raw) > bound and not field_only else _block_faults)(
            old, new, spelling, field_only=field_only
        )
    ]


def _long_faults(old: sse_text.Block, new: sse_text.Block, spelling: bytes, *, field_only: bool) -> list[str]:
    """Judge an event above the bound: its first line may have been marked before it was known not to be its last."""
    faults = _block_faults(old, new, spelling, field_only=field_only)
    if not faults:
        return []
    without = new.lines if len(new.lines) == len(old.lines) else (*new.lines[:-2], new.lines[-1])
    if len(without) != len(old.lines):
        return faults
    changed = [(a, b) for a, b in zip(old.lines, without, strict=True) if a != b]
    if len(changed) == 1 and changed[0][0].name == b"data" and object_in(changed[0][0].value) is not None:
        return object_faults(changed[0][0].value, changed[0][1].value, spelling)
    return faults


def _block_faults(old: sse_text.Block, new: sse_text.Block, spelling: bytes, *, field_only: bool) -> list[str]:
    number = number_of(spelling) or 0
    if not old.is_event:
        return [] if old == new else [f"a block without data changed to {new.raw!r}"]
    document = object_in(old.data)
    is_rpc = document is not None and any(member.name == "jsonrpc" for member in document.members)
    # "multi-line data reach the client as sent": only a line of its own can mark it.
    takes_line = document is None or is_rpc or field_only or sum(line.name == b"data" for line in old.lines) > 1
    named_by_line = any(line.name == b"trace_id" and number_of(line.value) == number for line in old.lines)
    named_by_member = document is not None and naming(old.data, document, number) == "equal"
    if old == new:
        return [] if named_by_line or named_by_member else [f"not marked: {new.raw[:200]!r}"]
    if len(new.lines) == len(old.lines) + 1:
        if not takes_line:
            return [f"an object marked by a line: {new.raw[:200]!r}"]
        return _line_faults(old, new, spelling)
    if document is None or takes_line:
        return [f"data changed: {new.raw[:200]!r}"]
    changed = [(a, b) for a, b in zip(old.lines, new.lines, strict=False) if a != b]
    faults = object_faults(old.data, new.data, spelling)
    if len(old.lines) != len(new.lines) or any(a.ending != b.ending or a.name != b"data" for a, b in changed):
        faults.append(f"other lines changed: {new.raw[:200]!r}")
    if not is_insertion(old.raw, new.raw) and naming(old.data, document, number) == "absent":
        faults.append(f"not one insertion: {new.raw[:200]!r}")
    return faults


def _line_faults(old: sse_text.Block, new: sse_text.Block, spelling: bytes) -> list[str]:
    added = new.lines[-2]
    faults = []
    if (*new.lines[:-2], new.lines[-1]) != old.lines:
        faults.append(f"the line is not the block's last: {new.raw[:200]!r}")
    if added.text != b"trace_id: " + spelling:
        faults.append(f"marked by {added.text!r}")
    if added.ending not in {line.ending for line in old.lines}:
        faults.append(f"the line ends with {added.ending!r}")
    return faults
