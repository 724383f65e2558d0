"""Which law governs a body, and was it kept (D1-D7)?"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal, TypeAlias

from tests.property.drivers.record import Reply
from tests.property.oracle import head, json_text, sse_text
from tests.property.oracle.ids import number_of
from tests.property.oracle.inbound import Bound, Decision
from tests.property.oracle.judges import (
    DIGESTS,
    codes_of,
    decoded,
    error_faults,
    header_faults,
    id_faults,
    phrases_of,
    spelling_of,
)
from tests.property.oracle.marks import events_faults, naming, object_faults, object_in
from tests.property.plan import Plan, Request, Settings

__all__ = ["Kind", "broken_stream", "judges_of", "kind_of", "names_another_inside"]

Judge: TypeAlias = Callable[[Reply], list[str]]
Kind: TypeAlias = Literal["plain", "head", "error", "envelope", "success", "stream"]

_BLANKS = b" \t\n\r"
_REWRITTEN = frozenset({b"content-length", b"content-encoding"})


def kind_of(request: Request, settings: Settings, plan: Plan) -> Kind:
    """Say which law governs the body of *plan*'s reply.

    Returns:
        ``plain`` (nothing may change), ``head`` (error JSON for HEAD), ``error`` (D1, D2), ``envelope`` (D3's text and
        HTML errors under ``error_bodies="json"``), ``success`` (D4), ``stream`` (D6).
    """
    headers = plan.headers
    if plan.status in (204, 205, 206, 304):
        return "plain"
    if head.is_sse(headers):
        return "stream" if request.method != "HEAD" else "head"
    if plan.status >= 400 and head.is_json(headers):
        return "error" if request.method != "HEAD" else "head"
    if plan.status >= 400 and settings.error_bodies == "json" and head.media_type(headers).startswith(b"text/"):
        return "envelope" if request.method != "HEAD" else "head"
    if plan.status < 400 and settings.bodies == "all" and head.is_json(headers):
        return "success" if request.method != "HEAD" else "head"
    return "plain"


def judges_of(kind: Kind, request: Request, settings: Settings, plan: Plan, decision: Decision) -> dict[str, Judge]:
    """Return the replies that the body's law allows; the judges of ``refused`` and ``crashed`` are not here."""
    own = head.values(plan.headers, b"x-trace-id")
    laws = _Laws(request, settings, plan, decision, own)
    match kind:
        case "plain":
            return {"untouched (C8)": laws.untouched}
        case "head":
            return {"an error for HEAD (D5)": laws.head}
        case "envelope":
            return {"the standard error (D3)": laws.plain_envelope}
        case "stream":
            return laws.of_stream()
        case "success":
            return laws.of_success()
        case "error":
            return laws.of_error()


class _Laws:
    """The judges of one reply."""

    def __init__(self, request: Request, settings: Settings, plan: Plan, decision: Decision, own: list[bytes]) -> None:
        self.request = request
        self.settings = settings
        self.plan = plan
        self.decision = decision
        self.own = own
        self.number = decision.number if isinstance(decision, Bound) else 0
        self.delivers = settings.mode == "observe" or settings.on_conflict == "keep"
        self.kept = own if self.delivers else [each for each in own if number_of(each) == self.number]

    def of_error(self) -> dict[str, Judge]:
        """D1, D2 and D5."""
        coding = head.coding(self.plan.headers)
        body = decoded(coding, self.plan.body)
        if self.is_signed and self.settings.signed_errors == "header":
            return {"untouched (D5, signed)": self.untouched}
        if self.is_signed:
            return {"refused": self.untouched}
        if body is None:
            return {"the standard error (D5, coding)": self.coded}
        laws: dict[str, Judge] = {}
        if body.startswith(sse_text.BOM) and object_in(body[3:]) is not None:
            # RFC 8259, 8.1: a reader may ignore the mark or call it an error.
            laws = self._of_object(body[3:], sse_text.BOM, coding)
        document = object_in(body)
        if document is None:
            return {**laws, "the envelope of D2": self.envelope(body)} | self._too_long(body)
        return self._of_object(body, b"", coding)

    def _of_object(self, body: bytes, mark: bytes, coding: bytes) -> dict[str, Judge]:
        document = object_in(body)
        state = naming(body, document, self.number) if document is not None else "absent"
        laws: dict[str, Judge] = {}
        if state == "equal":
            laws["untouched (D1, equal)"] = self.untouched_bytes
        if state in ("absent", "empty", "mixed") or coding:
            laws["the member of D1"] = self.member(body, mark)
        if state in ("unequal", "mixed"):
            laws = laws if state == "mixed" else {}
            laws["untouched (D1, kept)" if self.delivers else "refused"] = self.untouched_bytes
        return laws

    def _too_long(self, body: bytes) -> dict[str, Judge]:
        """D5: above the bound what looks like an object may turn out not to be one only after the reply started."""
        if len(body) <= self.settings.max_error_body:
            return {}
        return {"no clean end (D5, E4)": self.unterminated}

    @property
    def is_signed(self) -> bool:
        """Whether the body is signed (RFC 9421)."""
        return bool(head.values(self.plan.headers, b"signature-input"))

    def of_success(self) -> dict[str, Judge]:
        """D4: objects are marked, everything else stays."""
        body = decoded(head.coding(self.plan.headers), self.plan.body)
        document = object_in(body) if body is not None else None
        if body is not None and body.startswith(sse_text.BOM) and object_in(body[3:]) is not None:
            return {"untouched (D4)": self.untouched_bytes, **self._of_object(body[3:], sse_text.BOM, b"")}
        if body is None or document is None:
            return {"untouched (D4)": self.untouched_bytes, "no clean end (E4)": self.unterminated}
        laws = self._of_object(body, b"", head.coding(self.plan.headers))
        if "refused" in laws:
            laws["no clean end (E4)"] = self.unterminated
        return laws

    def of_stream(self) -> dict[str, Judge]:
        """D6, and D7 for an event that names another trace."""
        body = decoded(head.coding(self.plan.headers), self.plan.body)
        if body is None:
            # No clause says what becomes of a stream that cannot be read: anything but a clean one without marks.
            return {
                "crashed": self.coded,
                "the standard error (D5)": self.coded,
                "no clean end (E4)": self.unterminated,
            }
        at = first_conflict(body, self.number)
        if at is None or self.delivers:
            return {"the marked stream of D6": self.stream(body)}
        laws: dict[str, Judge] = {"the stream's end of D7": self.ended_stream(at)}
        if not at:
            laws["refused"] = self.untouched
        return laws

    def untouched(self, reply: Reply) -> list[str]:
        """C8: the same head but for the id, the same messages."""
        faults = self._head(reply) + header_faults(self.plan.headers, reply)
        sent = [chunk for chunk in self.plan.chunks if chunk]
        if self.plan.shape.body_as != "file_wrapper" and not reply.used_file and reply.chunks != sent:
            faults.append(f"the messages {reply.chunks!r} are not {sent!r}")
        if reply.body != self.plan.body and self.request.method != "HEAD":
            faults.append("the body changed")
        return faults

    def untouched_bytes(self, reply: Reply) -> list[str]:
        """The same bytes, whatever the messages; above the bound what describes their length or digest may be gone."""
        may_drop = _REWRITTEN | DIGESTS | {b"etag"} if self._is_long else set()
        faults = self._head(reply) + header_faults(self.plan.headers, reply, may_drop=may_drop)
        mark = sse_text.BOM if self.plan.body.startswith(sse_text.BOM) else b""
        if not reply.body.startswith(mark):
            return [*faults, "the byte order mark is gone"]
        before, after = self._without_lead(mark, self.plan.body[len(mark) :], reply.body[len(mark) :])
        return faults if after == before else [*faults, "the body changed"]

    def head(self, reply: Reply) -> list[str]:
        """D5: no Content-Length where the body for GET would have been rewritten."""
        gone = {b"content-length"} if self.plan.status >= 400 or head.is_sse(self.plan.headers) else set()
        may = {b"content-length", b"content-encoding", b"etag", b"content-type", *DIGESTS}
        return self._head(reply) + header_faults(
            self.plan.headers, reply, drop=gone, may_drop=may, may_add=(b"content-type",)
        )

    def unterminated(self, reply: Reply) -> list[str]:
        """E4."""
        faults = id_faults(reply, self.decision, self.kept)
        return [*faults, "the reply ends cleanly"] if reply.clean else faults

    def coded(self, reply: Reply) -> list[str]:
        """D5: E1 with the same status in place of a body that cannot be read."""
        extra = {"original": {b"", b'""', b"null"}}
        return self._standard(reply, extra) + self._others(reply)

    def plain_envelope(self, reply: Reply) -> list[str]:
        """D3: E1 in place of a text or HTML error."""
        return self.envelope(decoded(head.coding(self.plan.headers), self.plan.body) or b"", missing=True)(reply)

    def envelope(self, body: bytes, *, missing: bool = False) -> Judge:
        """D2: E1 around the original value."""

        def judge(reply: Reply) -> list[str]:
            return self._standard(reply, {"original": _originals(body, reply, missing=missing)}) + self._others(reply)

        return judge

    def member(self, body: bytes, mark: bytes) -> Judge:
        """D1: the object with its mark."""

        def judge(reply: Reply) -> list[str]:
            faults = self._head(reply) + self._others(reply, same_type=True)
            if not reply.body.startswith(mark):
                return [*faults, "the byte order mark is gone"]
            before, after = self._without_lead(mark, body, reply.body[len(mark) :])
            document = object_in(before)
            if document is not None and naming(before, document, self.number) == "equal":
                return faults if after == before else [*faults, "the decoded body changed"]
            return faults + object_faults(before, after, spelling_of(reply, self.decision))

        return judge

    def _without_lead(self, mark: bytes, before: bytes, after: bytes) -> tuple[bytes, bytes]:
        """Return both without the blanks in front, where an error has more of them than the bound lets be held (D5)."""
        lead = len(mark) + len(before) - len(before.lstrip(_BLANKS))
        if self.plan.status < 400 or lead <= self.settings.max_error_body:
            return before, after
        return before.lstrip(_BLANKS), after.lstrip(_BLANKS)

    def stream(self, body: bytes) -> Judge:
        """D6: the marked stream."""

        def judge(reply: Reply) -> list[str]:
            faults = self._head(reply) + self._streaming(reply)
            field_only = self.settings.sse_carrier == "field"
            bound = self.settings.max_sse_event
            spelling = spelling_of(reply, self.decision)
            return faults + events_faults(body, reply.body, spelling, field_only=field_only, bound=bound)

        return judge

    def ended_stream(self, at: int) -> Judge:
        """D7: the marked events before offset *at*, one error event, no clean end."""
        body = (decoded(head.coding(self.plan.headers), self.plan.body) or b"")[:at]

        def judge(reply: Reply) -> list[str]:
            return self._ended(reply, body, ("SYS-004-409-TRACE",), ["trace_overwrite_refused"])

        return judge

    def failed_stream(self, reply: Reply) -> list[str]:
        """D7: the marked complete events, one error event, no clean end."""
        sent = self.plan.chunks
        if self.plan.fault.name.endswith("MID_BODY") or self.plan.fault.name == "START_TWICE":
            sent = sent[: self.plan.fault_after]
        return self._ended(reply, b"".join(sent), ("SYS-003-500",), [])

    def _ended(self, reply: Reply, body: bytes, codes: tuple[str, ...], details: list[str]) -> list[str]:
        faults = id_faults(reply, self.decision, self.kept) + self._streaming(reply)
        if reply.clean:
            faults.append("the stream ends cleanly")
        mark, blocks, _ = sse_text.split(body)
        whole = mark + b"".join(block.raw for block in blocks)
        _, seen, rest = sse_text.split(reply.body)
        if rest or not seen:
            return [*faults, f"no error event at the end: {reply.body[-200:]!r}"]
        last = seen[-1]
        spelling = spelling_of(reply, self.decision)
        faults += events_faults(whole, reply.body[: len(reply.body) - len(last.raw)], spelling)
        events = sse_text.read(last.raw).events
        error = object_in(last.data)
        if [each.event for each in events] != ["error"] or error is None:
            return [*faults, f"not an error event: {last.raw!r}"]
        members = json.loads(last.data)
        wanted = {"trace_id": spelling.decode(), "details": details}
        faults += [
            f"the event's {name} is {members.get(name)!r}" for name in wanted if members.get(name) != wanted[name]
        ]
        if members.get("error_code") not in codes:
            faults.append(f"the event's code is {members.get('error_code')!r}")
        if ("error" in members) != (self.settings.sse_error == "openai"):
            faults.append(f"the event's members are {sorted(members)}")
        return faults

    def _head(self, reply: Reply) -> list[str]:
        if self.own:
            seen = reply.values(b"x-trace-id")
            faults = [] if seen == self.own else [f"the application's own {self.own!r} became {seen!r}"]
        else:
            faults = id_faults(reply, self.decision)
        if reply.status != self.plan.status:
            faults.append(f"status {reply.status}, not {self.plan.status}")
        return faults if reply.clean else [*faults, "the reply does not end"]

    def _streaming(self, reply: Reply) -> list[str]:
        faults = header_faults(self.plan.headers, reply, drop=_gone(self.plan), may_drop={b"etag", b"content-encoding"})
        return [*faults, "a stream with a Content-Length"] if reply.values(b"content-length") else faults

    def _standard(self, reply: Reply, extra: dict[str, set[bytes]]) -> list[str]:
        phrases = {json.dumps(phrase).encode() for phrase in phrases_of(self.plan.status)}
        if phrases:
            extra = {**extra, "message": phrases}
        return error_faults(
            reply,
            self.request,
            self.decision,
            status=self.plan.status,
            codes=codes_of(self.plan.status),
            details=[],
            extra=extra,
            cached=head.values(self.plan.headers, b"cache-control"),
            own=self.kept,
        )

    def _others(self, reply: Reply, *, same_type: bool = False) -> list[str]:
        """Judge the headers beside a body that was rewritten (D2, D5)."""
        gone = _gone(self.plan) | ({b"content-encoding"} if head.coding(self.plan.headers) else set())
        may_drop, may_add = {b"content-encoding"}, {b"content-length"}
        if not same_type:
            gone |= {b"content-type"}
            may_drop, may_add = may_drop | {b"cache-control"}, may_add | {b"content-type", b"cache-control"}
        faults = header_faults(self.plan.headers, reply, drop=gone, may_drop=may_drop, may_add=may_add)
        length = head.declared_length(reply.headers)
        if length not in (None, len(reply.body)):
            faults.append(f"content-length {length} for {len(reply.body)} bytes")
        if length is None and head.values(self.plan.headers, b"content-length") and not self._is_long:
            faults.append("the content-length is gone")
        return faults

    @property
    def _is_long(self) -> bool:
        body = decoded(head.coding(self.plan.headers), self.plan.body) or self.plan.body
        return len(body) > self.settings.max_error_body or self.plan.status < 400


def broken_stream(request: Request, settings: Settings, plan: Plan, decision: Decision) -> Judge:
    """Return the judge of a stream that an exception ended (D7)."""
    return _Laws(request, settings, plan, decision, head.values(plan.headers, b"x-trace-id")).failed_stream


def names_another_inside(kind: Kind, request: Request, settings: Settings, plan: Plan, decision: Decision) -> bool:
    """Say whether a whole body of *kind* names another trace than the bound one."""
    laws = _Laws(request, settings, plan, decision, [])
    body = decoded(head.coding(plan.headers), plan.body)
    if body is None:
        return False
    if kind == "stream":
        return first_conflict(body, laws.number) is not None
    document = object_in(body)
    if kind not in ("error", "success") or document is None:
        return False
    return laws.is_signed or naming(body, document, laws.number) == "unequal"


def first_conflict(body: bytes, number: int) -> int | None:
    """Return where the first block starts that names another trace, None if none does (D7)."""
    mark, blocks, _ = sse_text.split(body)
    at = len(mark)
    for block in blocks:
        document = object_in(block.data) if block.is_event else None
        by_line = any(line.name == b"trace_id" and number_of(line.value) != number for line in block.lines)
        if (by_line and block.is_event) or (document is not None and naming(block.data, document, number) == "unequal"):
            return at
        at += len(block.raw)
    return None


def _gone(plan: Plan) -> set[bytes]:
    """Return the headers that do not fit a rewritten body (D5)."""
    gone = {b"content-length", *DIGESTS}
    if any(not etag.startswith(b"W/") for etag in head.values(plan.headers, b"etag")):
        gone.add(b"etag")
    return gone


def _originals(body: bytes, reply: Reply, *, missing: bool) -> set[bytes]:
    """Return the raw JSON values that may stand for *body* in D2's envelope."""
    allowed = {b""} if missing else set()
    if body.startswith(sse_text.BOM):
        # RFC 8259, 8.1: a reader may ignore the mark.
        allowed |= _originals(body[3:], reply, missing=missing)
    allowed |= set() if body.strip(b" \t\r\n") else {b"", b'""'}
    document = json_text.find(body)
    if document is not None:
        allowed.add(body[document.start : document.end])
    else:
        raw = object_in(reply.body)
        seen = [reply.body[m.value_start : m.value_end] for m in (raw.members if raw else ()) if m.name == "original"]
        try:
            text = body.decode()
        except UnicodeDecodeError:
            # Any text will do for bytes that are none.
            return allowed | {value for value in seen if value.startswith(b'"')}
        texts = (text, text.strip(" \t\r\n"), text.lstrip(" \t\r\n"), text.rstrip(" \t\r\n"))
        allowed |= {value for value in seen if value.startswith(b'"') and json_text.text_of(value) in texts}
    return allowed
