"""Which headers may a reply keep when its body changes? Clause D5; RFC 9110, 9530 and 3230."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracegate.core.head import value_of

if TYPE_CHECKING:
    from tracegate.core.head import Headers

__all__ = ["coding_of", "is_signed", "rewritten", "stood_in"]

_OF_THE_BYTES = frozenset((b"content-length", b"content-md5", b"content-digest", b"repr-digest", b"digest"))
_OF_THE_CODING = frozenset((b"content-encoding",))
_OF_THE_MESSAGE = frozenset((b"content-type", b"transfer-encoding", b"trailer", b"signature", b"signature-input"))


def coding_of(headers: Headers) -> bytes:
    """Return the content codings in the order they were applied, as one list; empty for none."""
    lines = [value for key, value in headers if key.lower() == b"content-encoding"]
    codings = b", ".join(lines).strip()
    return b"" if codings.lower() == b"identity" else codings


def is_signed(headers: Headers) -> bool:
    """Return whether the reply carries an HTTP message signature (RFC 9421)."""
    return value_of(headers, b"signature-input") is not None


def rewritten(
    headers: Headers, *, length: int | None, decoded: bool = False, media_type: bytes | None = None
) -> Headers:
    """Return *headers* for a body that was changed.

    Args:
        headers: The application's.
        length: The new body's bytes; None where it streams.
        decoded: Whether the body leaves without its content coding.
        media_type: The new ``Content-Type`` where the standard error object stands in for the body, which says
            ``Cache-Control: no-store`` unless the application said otherwise (E1); None where the type stays.
    """
    gone = _OF_THE_BYTES | _OF_THE_CODING if decoded else _OF_THE_BYTES
    found: Headers = []
    size = None if length is None else b"%d" % length
    for line in headers:
        key = line[0].lower()
        if key == b"content-length" and size is not None:
            found.append((line[0], size))
            size = None
        elif (
            key in gone
            or (key == b"etag" and not line[1].startswith(b"W/"))
            or (key == b"transfer-encoding" and length is not None)
        ):
            continue
        elif key == b"content-type" and media_type is not None:
            found.append((line[0], media_type))
        else:
            found.append(line)
    if size is not None:
        found.append((b"content-length", size))
    if media_type is not None and value_of(found, b"cache-control") is None:
        found.append((b"cache-control", b"no-store"))
    return found


def stood_in(headers: Headers) -> Headers:
    """Return what stays of *headers* where a body of the gate's own stands in, with type and length (D2, D3)."""
    return [line for line in rewritten(headers, length=None, decoded=True) if line[0].lower() not in _OF_THE_MESSAGE]
