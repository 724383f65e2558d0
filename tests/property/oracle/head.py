"""What does the head of a reply say, and may a server send it?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

__all__ = [
    "HeaderList",
    "coding",
    "declared_length",
    "is_json",
    "is_legal",
    "is_sse",
    "media_type",
    "values",
]

HeaderList: TypeAlias = Sequence[tuple[bytes, bytes]]

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")


def values(headers: HeaderList, name: bytes) -> list[bytes]:
    """Return the values of every line named *name*."""
    return [value for key, value in headers if key.lower() == name]


def media_type(headers: HeaderList) -> bytes:
    """Return the media type without parameters in lower case, ``b""`` if there is none."""
    lines = values(headers, b"content-type")
    return lines[0].split(b";")[0].strip(b" \t").lower() if lines else b""


def is_json(headers: HeaderList) -> bool:
    """Say whether the media type is JSON in the contract's sense."""
    kind = media_type(headers)
    if kind.startswith((b"application/grpc", b"application/connect+")):
        return False
    return kind in (b"application/json", b"application/problem+json") or kind.endswith(b"+json")


def is_sse(headers: HeaderList) -> bool:
    """Say whether the body is an event stream."""
    return media_type(headers) == b"text/event-stream"


def coding(headers: HeaderList) -> bytes:
    """Return the content codings in lower case, ``b""`` for none or identity."""
    named = [each.strip(b" \t").lower() for each in b",".join(values(headers, b"content-encoding")).split(b",")]
    return b",".join(each for each in named if each not in (b"", b"identity"))


def declared_length(headers: HeaderList) -> int | None:
    """Return the Content-Length, None without one."""
    lines = values(headers, b"content-length")
    return int(lines[0]) if lines else None


def is_legal(status: int, headers: HeaderList) -> bool:
    """Say whether the strictest server sends this final head as it is (RFC 9110 5.1, 5.5, 8.6, 15)."""
    lengths = {value for line in values(headers, b"content-length") for value in line.split(b",")}
    return (
        200 <= status <= 999
        and all(_TOKEN.fullmatch(name) and _VALUE.fullmatch(value) for name, value in headers)
        and len(lengths) <= 1
        and all(re.fullmatch(rb"[0-9]{1,20}", length) for length in lengths)
    )
