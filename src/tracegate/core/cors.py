"""Which CORS headers does a reply of the gate itself carry?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

__all__ = ["CorsLayer", "CorsRules", "merge_expose"]


class CorsLayer(Protocol):
    """Knows the CORS headers of a reply: rules, or what an integration reads of the application's own layer."""

    def headers(self, origin: bytes, trace_header: str, path: str = "") -> list[tuple[bytes, bytes]]:
        """Return the headers for a reply to *origin* that a script may read, or [] where it may not.

        Args:
            origin: The request's ``Origin`` value.
            trace_header: The trace header's name; it is always exposed.
            path: The request's decoded path.
        """
        ...  # pragma: no cover


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsRules:
    """What the application's CORS layer would answer to a simple request (Fetch standard, section 3.2).

    Attributes:
        origins: Allowed origins; ``*`` allows every one.
        origin_regex: Full-match pattern of further origins, or None.
        credentials: Whether cookies and authorization may be sent.
        expose: Header names that scripts may read.
    """

    origins: tuple[str, ...] = ()
    origin_regex: str | None = None
    credentials: bool = False
    expose: tuple[str, ...] = ()

    def headers(self, origin: bytes, trace_header: str, path: str = "") -> list[tuple[bytes, bytes]]:  # noqa: ARG002
        """Return the headers for a reply to *origin* that a script may read, or [] where it may not.

        Args:
            origin: The request's ``Origin`` value.
            trace_header: The trace header's name; it is always exposed.
            path: The request's decoded path; these rules hold for every one.
        """
        text = origin.decode("latin-1")
        anyone = "*" in self.origins
        if not anyone and text not in self.origins and not self._matches(text):
            return []
        expose = [name for name in self.expose if name.lower() != trace_header.lower()]
        found = [(b"access-control-allow-origin", b"*" if anyone and not self.credentials else origin)]
        if self.credentials:
            found.append((b"access-control-allow-credentials", b"true"))
        found.append((b"access-control-expose-headers", ", ".join([*expose, trace_header]).encode("latin-1")))
        if found[0][1] != b"*":
            found.append((b"vary", b"Origin"))
        return found

    def _matches(self, origin: str) -> bool:
        return self.origin_regex is not None and re.fullmatch(self.origin_regex, origin) is not None


def merge_expose(headers: list[tuple[bytes, bytes]], name: bytes) -> list[tuple[bytes, bytes]]:
    """Return *headers* with *name* among those that scripts may read (clause C6).

    ``*`` exposes every header unless the reply allows credentials, where it is a header name (Fetch standard,
    section 3.2.5). Several lines stay as they are; the last one is extended.

    Args:
        headers: The headers of a CORS reply.
        name: The header to expose.
    """
    lines = [(i, value) for i, (key, value) in enumerate(headers) if key.lower() == b"access-control-expose-headers"]
    listed = {item.strip().lower() for _, value in lines for item in value.split(b",")}
    credentials = any(key.lower() == b"access-control-allow-credentials" for key, _ in headers)
    if name.lower() in listed or (b"*" in listed and not credentials):
        return headers
    if not lines:
        return [*headers, (b"access-control-expose-headers", name)]
    at, value = lines[-1]
    merged = value + b", " + name if value.strip() else name
    return [*headers[:at], (headers[at][0], merged), *headers[at + 1 :]]
