"""How must a reply's body be treated? Decided from its head alone."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from tracegate.core.head import Media
from tracegate.core.rewrite.headers import coding_of, is_signed

if TYPE_CHECKING:
    from tracegate.core.head import ReplyHead
    from tracegate.core.policy import Policy

__all__ = ["Treatment", "choose", "is_bodiless"]

_ERROR = 400
_PARTIAL = 206
_BODILESS = (204, 205, 304)


class Treatment(Enum):
    """What becomes of a body."""

    PASS = auto()
    """It goes straight through."""
    ERROR_JSON = auto()
    """It is read within the bound, then marked (D1, D2)."""
    ERROR_HEAD = auto()
    """Error JSON for HEAD: no body, and its length is unknown (D5)."""
    ERROR_TEXT = auto()
    """It is replaced by the standard error object (D3)."""
    SUCCESS_JSON = auto()
    """It is marked while it streams (D4)."""
    EVENTS = auto()
    """Each event is marked while it streams (D6)."""


def is_bodiless(method: str, status: int) -> bool:
    """Return whether a reply has no body whatever its head says (RFC 9110, section 6.4.1)."""
    return method == "HEAD" or status in _BODILESS


def choose(policy: Policy, head: ReplyHead, method: str, path: str, raw_path: bytes | None) -> Treatment:
    """Return the treatment of the body that *head* announces (clauses D1 to D6)."""
    if head.media == Media.OTHER:
        return Treatment.PASS
    if head.media == Media.SSE:
        return Treatment.PASS if is_bodiless(method, head.status) else Treatment.EVENTS
    if policy.exempt_body_rules.find(path, raw_path, default=False) or _is_exempt_media(policy, head):
        return Treatment.PASS
    if head.status < _ERROR:
        if policy.bodies != "all" or head.media != Media.JSON:
            return Treatment.PASS
        whole = head.status != _PARTIAL and not is_bodiless(method, head.status)
        readable = not coding_of(head.headers) and not is_signed(head.headers)
        return Treatment.SUCCESS_JSON if whole and readable else Treatment.PASS
    if head.media == Media.TEXT:
        return Treatment.ERROR_TEXT if policy.error_bodies == "json" else Treatment.PASS
    return Treatment.ERROR_HEAD if method == "HEAD" else Treatment.ERROR_JSON


def _is_exempt_media(policy: Policy, head: ReplyHead) -> bool:
    """Return whether every type that the head names is one that the policy leaves alone."""
    types = [value for name, value in head.headers if name.lower() == b"content-type"]
    return all(_matches(policy, value.partition(b";")[0].strip().lower().decode("latin-1")) for value in types)


def _matches(policy: Policy, media: str) -> bool:
    return any(
        media.startswith(rule[:-1].lower()) if rule.endswith("*") else media == rule.lower()
        for rule in policy.exempt_media_types
    )
