"""What lies on the oracle's bench? Both replies of one cell, how their values are read, and the verdict that grows."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.integration.matrix.case import Case, Shape
from tests.integration.matrix.losses import Loss
from tests.integration.matrix.recipes import ORIGIN, PREFLIGHT
from tests.integration.wire import Reply

__all__ = [
    "DIGESTS",
    "EXPOSE",
    "FRAMING",
    "REPRESENTATION",
    "UUID4",
    "VALIDATORS",
    "Bench",
    "Object",
    "Verdict",
    "read_json",
    "same_number",
]

ID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}", re.ASCII)
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII)
EXPOSE = b"access-control-expose-headers"
ALLOW_ORIGIN = b"access-control-allow-origin"
FRAMING = {b"date", b"connection", b"keep-alive", b"transfer-encoding", b"content-length"}
DIGESTS = {b"etag", b"content-md5", b"repr-digest", b"content-digest", b"digest", b"content-encoding"}
VALIDATORS = DIGESTS | {b"accept-ranges"}
REPRESENTATION = {b"content-type", b"content-range", b"last-modified", b"location", b"cache-control"} | VALIDATORS
ERROR_MEMBERS = ["error_code", "message", "trace_id", "details"]


class Object(list[tuple[str, Any]]):
    """The members of a JSON object, in order, repeated names and all."""

    def values(self, name: str) -> list[Any]:
        """Return each value of *name*."""
        return [value for key, value in self if key == name]

    def without(self, name: str) -> Object:
        """Return the other members."""
        return Object((key, value) for key, value in self if key != name)


def read_json(text: bytes | str) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of *text*, numbers as they are spelled; None where it is not JSON (so is ``null``)."""
    try:
        return json.loads(text, object_pairs_hook=Object, parse_int=str, parse_float=str)
    except ValueError:
        return None


def same_number(value: object, bound: str) -> bool:
    """Return whether *value* spells the number of *bound*."""
    if not isinstance(value, str) or not ID.fullmatch(value) or not ID.fullmatch(bound):
        return False
    return int(value.replace("-", ""), 16) == int(bound.replace("-", ""), 16)


@dataclass(slots=True)
class Verdict:
    """What was found in one cell: ``faults`` in words, and what is counted in the table."""

    faults: list[str] = field(default_factory=list)
    loss: Loss | None = None
    id_counted: bool = False
    id_right: bool = False
    error_json: int = 0
    error_json_covered: int = 0
    events: int = 0
    events_covered: int = 0

    def check(self, fact: object, fault: str) -> None:
        """Note *fault* unless *fact* holds."""
        if not fact:
            self.faults.append(fault)


@dataclass(slots=True)
class Bench:
    """One cell on the bench: both replies, the bound trace, and the verdict that grows."""

    case: Case
    bare: Reply
    gated: Reply
    bound: str
    verdict: Verdict

    @property
    def bare_body(self) -> bytes:
        """Return the bare body with the bound trace where the application says that it has none."""
        body = self.bare.body
        if self.bare.value(b"content-encoding") == b"gzip" and self.case.shape is Shape.MEMBER:
            body = gzip.decompress(body)
        return body.replace(b"untraced", self.bound.encode())

    def compare_headers(self, ignored: set[bytes]) -> None:
        """Check that the gated lines are the bare ones, in order, but for the id and *ignored*."""
        skipped = {b"x-trace-id", b"date", EXPOSE} | ignored
        if self.case.body:  # whether a server closes depends on how much of the body it had read by then
            skipped |= {b"connection"}
        bare = [line for line in self.bare.headers if line[0].lower() not in skipped]
        gated = [line for line in self.gated.headers if line[0].lower() not in skipped]
        if len(self.bare_body) != len(self.bare.body):
            bare, gated = ([line for line in lines if line[0].lower() != b"content-length"] for lines in (bare, gated))
        self.verdict.check(bare == gated, f"header lines: {gated} instead of {bare}")
        self.compare_exposed()

    def compare_exposed(self) -> None:
        """Check that the id is added to what a CORS reply exposes, and to nothing else (C6)."""
        replies = (self.bare, self.gated)
        before, after = (b",".join(reply.values(EXPOSE)).lower().replace(b" ", b"") for reply in replies)
        names = [name for name in after.split(b",") if name != b"x-trace-id"]
        self.verdict.check(b",".join(names) == before, f"exposed headers: {after!r} after {before!r}")
        if not self.bare.values(ALLOW_ORIGIN):
            self.verdict.check(not after, "exposed headers on a reply without CORS")
        elif ORIGIN in self.case.lines and not set(PREFLIGHT) <= set(self.case.lines):
            self.verdict.check(b"x-trace-id" in after.split(b","), "the id is not exposed to the browser")

    def check_error_object(self, body: bytes | str, *more: str) -> Object:
        """Check the standard error object (E1) with *more* members that it may have, and return it."""
        found = read_json(body)
        if not isinstance(found, Object):
            self.verdict.check(fact=False, fault=f"no error object but {body[:80]!r}")
            return Object()
        names = [name for name, _ in found]
        self.verdict.check(names[:4] == ERROR_MEMBERS and set(names[4:]) <= set(more), f"error object has {names}")
        code, message, trace, details = (found.values(name)[0] if name in names else None for name in ERROR_MEMBERS)
        self.verdict.check(code and isinstance(code, str), f"error_code {code!r}")
        self.verdict.check(message and isinstance(message, str), f"message {message!r}")
        self.verdict.check(trace == self.bound, f"trace_id {trace!r} instead of {self.bound!r}")
        self.verdict.check("secret" not in str(found), "the exception's text is shown")
        if self.case.error_code:
            self.verdict.check(code == self.case.error_code, f"error_code {code!r}")
            expected = [self.case.detail] if self.case.detail else []
            self.verdict.check(details == expected, f"details {details!r} instead of {expected!r}")
        return found

    def check_own_reply(self, *more: str) -> Object:
        """Check a reply that the gate made itself."""
        gated, check = self.gated, self.verdict.check
        types = gated.values(b"content-type")
        check(types == [b"application/json; charset=utf-8"], f"content-type {types}")
        check(gated.value(b"cache-control") == b"no-store", f"cache-control {gated.values(b'cache-control')}")
        check(gated.ending.clean, f"ends {gated.ending.value}")
        if ORIGIN in self.case.lines:
            check(gated.values(ALLOW_ORIGIN), "a browser cannot read the refusal (C6)")
            check(b"x-trace-id" in b",".join(gated.values(EXPOSE)).lower(), "the id is not exposed to the browser (C6)")
        if self.case.method == "HEAD":
            check(not gated.body, "HEAD with a body")
            return Object()
        return self.check_error_object(gated.body, *more)
