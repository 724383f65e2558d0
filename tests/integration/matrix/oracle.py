"""Is a gated reply what the contract says? Judged from the bytes of both replies, with no code of tracegate's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.integration.event_stream import ServerEvent, read_event_stream
from tests.integration.matrix.bench import (
    DIGESTS,
    EXPOSE,
    FRAMING,
    REPRESENTATION,
    UUID4,
    VALIDATORS,
    Bench,
    Object,
    Verdict,
    read_json,
    same_number,
)
from tests.integration.matrix.case import MINTED, Case, Shape
from tests.integration.matrix.losses import Aspect, Loss, find_losses
from tests.integration.matrix.runner import Cell, play_server
from tests.integration.servers import Server
from tests.integration.wire import Reply

__all__ = ["judge", "judge_server"]

JSON_TYPE = re.compile(rb"application/(?!grpc|connect)(?:json|[\w.!#$&^-]+\+json)\s*(?:;|$)", re.IGNORECASE)


def judge_same(bench: Bench) -> None:
    """The reply is the bare one but for the id line (C1, C8)."""
    bench.compare_headers(set())
    gated, bare = bench.gated.ending, bench.bare.ending
    bench.verdict.check(gated is bare, f"ends with {gated.value}, bare {bare.value}")
    bench.verdict.check(bench.gated.body == bench.bare_body, f"body {bench.gated.body[:80]!r}")


def judge_member(bench: Bench) -> None:
    """The error JSON is the bare one with the member, byte for byte (D1, D5)."""
    bare, gated = bench.bare_body, bench.gated.body
    bench.compare_headers(FRAMING if bench.case.present else FRAMING | VALIDATORS)
    bench.verdict.check(bench.gated.ending.clean, f"ends {bench.gated.ending.value}")
    if bench.case.method == "HEAD":
        bench.verdict.check(
            not bench.gated.values(b"content-length"), "HEAD of error JSON keeps its Content-Length (D5)"
        )
        return
    found, original = read_json(gated), read_json(bare)
    if not isinstance(found, Object):
        bench.verdict.check(fact=False, fault=f"no JSON object but {gated[:80]!r}")
        return
    ids = found.values("trace_id")
    bench.verdict.check(ids and all(same_number(value, bench.bound) for value in ids), f"members {ids!r}")
    if bench.case.present:
        bench.verdict.check(gated == bare, "a right body was touched")
        return
    bench.verdict.check(ids == [bench.bound], f"members {ids!r}")
    bench.verdict.check(found.without("trace_id") == original.without("trace_id"), "another member changed")
    bench.verdict.check(len(replaced(bare, gated)) <= len(b"null"), "other bytes changed")
    for name in DIGESTS & {line[0].lower() for line in bench.gated.headers}:
        bench.verdict.check(fact=False, fault=f"{name!r} was kept beside a rewritten body (D5)")


def replaced(before: bytes, after: bytes) -> bytes:
    """Return the bytes of *before* that are gone in *after*, one stretch taken for changed."""
    low, high = 0, min(len(before), len(after))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if before[:middle] == after[:middle] else (low, middle - 1)
    start, low, high = low, 0, min(len(before), len(after)) - low
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if before[-middle:] == after[-middle:] else (low, middle - 1)
    return before[start : len(before) - low]


def judge_envelope(bench: Bench) -> None:
    """The body is the standard error object, the bare body its ``original`` (D2)."""
    bare = bench.bare_body
    bench.compare_headers(FRAMING | VALIDATORS | {b"content-type", b"cache-control"})
    bench.verdict.check(bench.gated.ending.clean, f"ends {bench.gated.ending.value}")
    found = bench.check_error_object(bench.gated.body, "original")
    if bench.bare.values(b"content-encoding"):
        return
    originals = found.values("original")
    value = read_json(bare)
    expected = bare.decode() if value is None else value
    bench.verdict.check(originals == [expected], f"original {str(originals)[:80]}")
    if value is not None:
        bench.verdict.check(bare.strip() in bench.gated.body, "the original's bytes changed")


def judge_refused(bench: Bench) -> None:
    """409 before the application ran (B, E2, E3)."""
    bench.check_own_reply()
    bench.verdict.check(not bench.gated.values(b"x-app"), "the application ran")


def judge_overwrite(bench: Bench) -> None:
    """409 instead of the application's reply, which keeps its other headers (E2)."""
    found = bench.check_own_reply("refused_status")
    statuses = found.values("refused_status")
    bench.verdict.check(statuses == [str(bench.case.bare)], f"refused_status {statuses}")
    gone = REPRESENTATION | FRAMING | {b"x-trace-id", EXPOSE}
    kept = [line for line in bench.bare.headers if line[0].lower() not in gone]
    for line in kept:
        bench.verdict.check(line in bench.gated.headers, f"{line} is gone")
    for name in (b"etag", b"last-modified", b"location"):
        bench.verdict.check(not bench.gated.values(name), f"{name!r} of the refused reply is still there")


def judge_crash(bench: Bench) -> None:
    """One complete traced 500 (C4)."""
    bench.check_own_reply()


def judge_broken(bench: Bench) -> None:
    """The bytes that the application sent, and no clean end (C5)."""
    bench.compare_headers(set())
    one, other = bench.gated.body, bench.bare_body
    bench.verdict.check(one.startswith(other) or other.startswith(one), f"body {one[:80]!r}")
    check_ending(bench)


def check_ending(bench: Bench) -> None:
    """Check that no client takes the reply for complete (C5, E4)."""
    if bench.verdict.loss is None or bench.verdict.loss.aspect is not Aspect.ENDING:
        bench.verdict.check(not bench.gated.ending.clean, f"ends cleanly: {bench.gated.ending.value}")


def marks(event: ServerEvent) -> tuple[list[Any], list[str]]:
    """Return the members and the field lines that name a trace in *event*."""
    value = read_json(event.data)
    members = value.values("trace_id") if isinstance(value, Object) else []
    return members, [value for name, value in event.unknown if name == "trace_id"]


def compare_event(bench: Bench, bare: ServerEvent, gated: ServerEvent) -> None:
    """Check that *gated* is *bare* with one mark, and count it (D6)."""
    members, lines = marks(gated)
    rpc = isinstance(read_json(bare.data), Object) and read_json(bare.data).values("jsonrpc")
    right = (lines == [bench.bound] and not members) or (
        not lines and members and not rpc and all(same_number(value, bench.bound) for value in members)
    )
    bench.verdict.events_covered += bool(right)
    bench.verdict.check(right, f"event {gated.data[:60]!r} is marked by {members} and {lines}")
    rest = [pair for pair in gated.unknown if pair[0] != "trace_id"]
    same = (bare.type, bare.last_event_id, list(bare.unknown)) == (gated.type, gated.last_event_id, rest)
    bench.verdict.check(same, f"event {gated.data[:60]!r} has other fields")
    if members:
        one, other = read_json(bare.data), read_json(gated.data)
        same = isinstance(one, Object) and one.without("trace_id") == other.without("trace_id")
        bench.verdict.check(same and bare.data.count("\n") == gated.data.count("\n"), f"data {gated.data[:60]!r}")
    else:
        bench.verdict.check(bare.data == gated.data, f"data {gated.data[:60]!r} instead of {bare.data[:60]!r}")


def judge_events(bench: Bench) -> None:
    """The bare stream with each dispatched event marked (D6)."""
    bench.compare_headers({b"content-length", b"transfer-encoding", b"connection", b"keep-alive"})
    bench.verdict.check(bench.gated.ending.clean, f"ends {bench.gated.ending.value}")
    bare, gated = read_event_stream(bench.bare_body), read_event_stream(bench.gated.body)
    bench.verdict.events += len(bare.events)
    counts = len(gated.events), len(bare.events)
    bench.verdict.check(counts[0] == counts[1], f"{counts[0]} events, bare {counts[1]}")
    for one, other in zip(bare.events, gated.events, strict=False):
        compare_event(bench, one, other)
    same = (bare.comments, bare.retries, bare.rest) == (gated.comments, gated.retries, gated.rest)
    bench.verdict.check(same, "comments, retry times or the unfinished block changed")


def judge_broken_events(bench: Bench) -> None:
    """The bare events up to the fault, one error event, and no clean end (D7)."""
    bench.compare_headers({b"content-length", b"transfer-encoding", b"connection", b"keep-alive"})
    bare, gated = read_event_stream(bench.bare_body), read_event_stream(bench.gated.body)
    named = [any(not same_number(value, bench.bound) for value in marks(event)[0]) for event in bare.events]
    sound = bare.events[: named.index(True)] if True in named else bare.events
    bench.verdict.events += len(sound) + 1
    bench.verdict.check(len(gated.events) == len(sound) + 1, f"{len(gated.events)} events, {len(sound)} sound ones")
    for one, other in zip(sound, gated.events, strict=False):
        compare_event(bench, one, other)
    last = gated.events[-1] if gated.events else ServerEvent("", "", "")
    before = len(bench.verdict.faults)
    bench.verdict.check(last.type == "error", f"the last event is {last}")
    bench.check_error_object(last.data, *(["refused_status"] if bench.case.detail else []))
    bench.verdict.events_covered += len(bench.verdict.faults) == before
    bench.verdict.check(not gated.rest, f"a partial block was sent: {gated.rest!r}")
    check_ending(bench)


def judge_accepted(bench: Bench) -> None:
    """The handshake's answer carries the id, and the connection works (C1)."""
    bench.compare_headers(set())
    bench.verdict.check(bench.gated.body == bench.bare_body, f"frame {bench.gated.body!r}")


def judge_denied(bench: Bench) -> None:
    """A refused handshake is a real HTTP reply (C1)."""
    bench.verdict.check(bench.gated.ending.clean, f"ends {bench.gated.ending.value}")
    bench.verdict.check(bench.gated.status == bench.case.status, f"status {bench.gated.status}")


JUDGES: dict[Shape, Callable[[Bench], None]] = {
    Shape.SAME: judge_same,
    Shape.MEMBER: judge_member,
    Shape.ENVELOPE: judge_envelope,
    Shape.REFUSED: judge_refused,
    Shape.OVERWRITE: judge_overwrite,
    Shape.CRASH: judge_crash,
    Shape.BROKEN: judge_broken,
    Shape.EVENTS: judge_events,
    Shape.BROKEN_EVENTS: judge_broken_events,
    Shape.ACCEPTED: judge_accepted,
    Shape.DENIED: judge_denied,
}


def bound_of(case: Case, gated: Reply) -> str:
    """Return the spelling that *gated* must carry: the request's own, or what was minted."""
    if case.bound != MINTED:
        return case.spell(case.bound.encode()).decode()
    minted = gated.value(b"x-trace-id").decode("latin-1")
    return minted if UUID4.fullmatch(minted) and minted != case.trace else "a minted UUIDv4"


def count_error_json(verdict: Verdict, gated: Reply, bound: str) -> None:
    """Count *gated* if it is error JSON, and whether it says the bound trace (D1)."""
    if gated.status >= 400 and gated.body and gated.ending.clean and JSON_TYPE.match(gated.value(b"content-type")):
        verdict.error_json = 1
        found = read_json(gated.body)
        ids = found.values("trace_id") if isinstance(found, Object) else []
        verdict.error_json_covered = int(bool(ids) and all(same_number(value, bound) for value in ids))
        verdict.check(verdict.error_json_covered, f"error JSON names {ids!r}")


def judge(cell: Cell, loss: Loss | None) -> Verdict:
    """Return what is found in *cell*; of what the bare application loses already, nothing is asked."""
    verdict = Verdict(loss=loss)
    if loss is not None and loss.aspect is not Aspect.ENDING:
        return verdict
    if isinstance(cell.gated, str):
        verdict.id_counted = True
        verdict.check(fact=False, fault=f"no reply: {cell.gated}")
        return verdict
    gated = cell.gated
    bare = cell.bare if isinstance(cell.bare, Reply) else gated
    bound = bound_of(cell.case, gated)
    ids = gated.values(b"x-trace-id")
    verdict.id_counted = True
    verdict.id_right = ids == [bound.encode()]
    verdict.check(verdict.id_right, f"X-Trace-Id {ids} instead of {bound}")
    verdict.check(gated.status == cell.case.status, f"status {gated.status} instead of {cell.case.status}")
    count_error_json(verdict, gated, bound)
    if gated.status == cell.case.status:
        JUDGES[cell.case.shape](Bench(cell.case, bare, gated, bound, verdict))
    return verdict


def judge_server(server: Server, variant: str) -> dict[str, Verdict]:
    """Return the verdict on each cell of *server*, gated by *variant*."""
    cells = play_server(server, variant)
    losses = find_losses(server.name, {key: (cell.case, cell.bare) for key, cell in cells.items()})
    return {key: judge(cell, losses.get(key)) for key, cell in cells.items()}
