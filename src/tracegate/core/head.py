"""What does the head of a reply say, and would a server send it as it is?"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["RECURRING", "HeadReader", "Headers", "Media", "ReplyHead", "drop", "reason_phrase", "value_of"]

Headers = list[tuple[bytes, bytes]]
"""Header lines in order, names and values as the application spelled them."""


class Media:
    """What a ``Content-Type`` means to the contract. Small integers, compared on the hot path."""

    OTHER: Final = 0
    JSON: Final = 1
    SSE: Final = 2
    TEXT: Final = 3


class ReplyHead(msgspec.Struct, eq=False):
    """A legal reply head, read once.

    Attributes:
        status: 200 to 999.
        headers: The lines, as sent.
        media: One of :class:`Media`.
        length: The declared ``Content-Length``, or -1.
        trace_values: The values of the trace header's lines.
        cors: Whether it is a CORS reply (``Access-Control-Allow-Origin``).
        traceresponse: The value of the last ``traceresponse`` line, or None.
        elsewhere: Whether a server in front is asked to send a file of its own in place of the body.
    """

    status: int
    headers: Headers
    media: int = Media.OTHER
    length: int = -1
    trace_values: tuple[bytes, ...] = ()
    cors: bool = False
    traceresponse: bytes | None = None
    elsewhere: bool = False


_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROLS = bytes(byte for byte in range(256) if byte < 0x20 and byte != 0x09) + b"\x7f"  # noqa: PLR2004
_MAX_DIGITS = 18
_JSON_TYPE = re.compile(rb"application/json|[!#$&^_.+\-0-9a-z]+/[!#$&^_.+\-0-9a-z]+\+json")

# What a line means. PLAIN and the media are the values that the hot path meets.
_PLAIN, _JSON, _SSE, _TEXT, _LENGTH, _TRACE, _CORS, _TRACERESPONSE, _OTHER_TYPE, _PADDED, _ELSEWHERE = range(11)
_NO_LENGTH, _REMARKABLE = -1, -2
_MEDIA_LINES = {_JSON: Media.JSON, _SSE: Media.SSE, _TEXT: Media.TEXT, _OTHER_TYPE: Media.OTHER}
_TRACKED = {
    b"content-length": _LENGTH,
    b"access-control-allow-origin": _CORS,
    b"traceresponse": _TRACERESPONSE,
    b"x-accel-redirect": _ELSEWHERE,  # nginx
    b"x-lighttpd-send-file": _ELSEWHERE,
    b"x-sendfile": _ELSEWHERE,  # Apache's mod_xsendfile, lighttpd
}
RECURRING = frozenset(
    (
        b"access-control-allow-credentials",
        b"access-control-allow-origin",
        b"access-control-expose-headers",
        b"allow",
        b"cache-control",
        b"connection",
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-security-policy",
        b"content-type",
        b"cross-origin-opener-policy",
        b"referrer-policy",
        b"server",
        b"strict-transport-security",
        b"transfer-encoding",
        b"vary",
        b"x-accel-buffering",
        b"x-content-type-options",
        b"x-frame-options",
    )
)
"""Names, lower-case, of the lines that recur from reply to reply: what they mean is worth remembering."""
_CACHE_LINES = 2048
_CACHE_VALUE_BYTES = 128


class _Glances(dict[tuple[bytes, bytes], int | None]):
    """What lines are to :meth:`HeadReader.glance`; a new one is looked at. ``[]`` costs half of what ``get`` does."""

    __slots__ = ("_look",)

    def __init__(self, look: Callable[[tuple[bytes, bytes]], int | None]) -> None:
        super().__init__()
        self._look = look

    def __missing__(self, line: tuple[bytes, bytes]) -> int | None:
        return self._look(line)


class HeadReader:
    """Reads reply heads against RFC 9110, section 5; one per gate.

    Lines that recur are remembered with their meaning, in a bounded dictionary, so that a usual head costs one look-up
    a line.

    Args:
        trace_header: The trace header's name, lower-case.
    """

    __slots__ = ("_glances", "_lines", "_trace_header")

    def __init__(self, trace_header: bytes) -> None:
        self._trace_header = trace_header
        self._lines: dict[tuple[bytes, bytes], int] = {}
        self._glances = _Glances(self._look)

    def glance(self, headers: Headers) -> int | None:
        """Return the declared length (-1: none) of a head that needs no look, in one pass; else None.

        Such a head has nothing that the contract speaks of: no event stream, no CORS, no trace of its own.
        """
        known, length = self._glances, _NO_LENGTH
        try:
            for line in headers:
                found = known[line]
                if found is not None:
                    if found < 0 or length >= 0:
                        return None
                    length = found
        except TypeError:  # a line that is no tuple: read() makes one of it
            return None
        return length

    def _look(self, line: tuple[bytes, bytes]) -> int | None:
        """Return the length that a new *line* declares, None for a plain one, or _REMARKABLE; remember what recurs."""
        meaning = self._learn(line)
        found: int | None = _REMARKABLE
        if meaning == _LENGTH and line[1].isdigit() and len(line[1]) <= _MAX_DIGITS:
            found = int(line[1])
        elif meaning in (_PLAIN, _JSON, _TEXT, _OTHER_TYPE):
            found = None
        if line in self._lines:
            self._glances[line] = found
        return found

    def read(self, status: object, headers: Iterable[tuple[bytes, bytes]]) -> ReplyHead | str:
        """Return the head, or why a server would refuse or mangle it (clause C10).

        Args:
            status: As the application gave it.
            headers: Any iterable of pairs; it is consumed once and never changed.
        """
        lines = _as_list(headers)
        if lines is None:
            return "the headers are not pairs of byte strings"
        if not isinstance(status, int) or isinstance(status, bool):
            return f"the status is not a number: {ascii(status)[:40]}"
        if not 200 <= status <= 999:  # noqa: PLR2004 - RFC 9110, section 15; h11 sends 200 to 999
            return f"{int(status)} is not the status of a final reply"
        head = ReplyHead(status, lines)
        known = self._lines
        for line in lines:
            try:
                meaning = known[line]
            except (KeyError, TypeError):
                found = self._learn(line)
                if isinstance(found, str):
                    return found
                meaning = found
            if meaning == _PADDED:
                return self.read(status, [(name, value.strip(b" \t")) for name, value in lines])
            if meaning:
                fault = _note(head, meaning, line)
                if fault is not None:
                    return fault
        return head

    def _learn(self, line: tuple[bytes, bytes]) -> int | str:
        """Return what a new *line* means, or what is wrong with it."""
        try:
            name, value = line
            legal_name = _NAME.fullmatch(name)
            legal_value = value.translate(None, _CONTROLS) == value
            key = bytes(name.lower())  # a bytearray has no hash
        except (TypeError, ValueError, AttributeError):
            return "a header is not a pair of byte strings"
        if legal_name is None:
            return f"illegal header name {ascii(name)[:60]}"
        if not legal_value:
            return f"illegal value of header {name.decode('ascii')!r}"
        if value.strip(b" \t") != value:
            return _PADDED  # no part of the value (RFC 9110, section 5.5), but h11 refuses it where others strip it
        meaning = _meaning(key, value, self._trace_header)
        if key in RECURRING and len(value) <= _CACHE_VALUE_BYTES and len(self._lines) < _CACHE_LINES:
            self._lines[(bytes(name), bytes(value))] = meaning
        return meaning


def _as_list(headers: Iterable[tuple[bytes, bytes]]) -> Headers | None:
    """Return a copy that does not change: the application may go on with its own objects while the head is held."""
    try:
        return [line if _is_constant(line) else _constant(line) for line in headers]
    except TypeError:
        return None


def _is_constant(line: tuple[bytes, bytes]) -> bool:
    return type(line) is tuple and all(type(part) is bytes for part in line)


def _constant(line: Any) -> Any:  # noqa: ANN401 - whatever the application gave; what is no pair will be found
    try:
        return tuple(bytes(part) if isinstance(part, bytearray) else part for part in line)
    except TypeError:
        return line


def _meaning(key: bytes, value: bytes, trace_header: bytes) -> int:
    if key == b"content-type":
        return _media_line(value)
    if key == trace_header:
        return _TRACE
    return _TRACKED.get(key, _PLAIN)


def _media_line(value: bytes) -> int:
    """Return the meaning of a ``Content-Type`` line (the contract's "Error JSON"; WHATWG HTML 9.2 for SSE)."""
    media = value.partition(b";")[0].strip(b" \t").lower()
    if media == b"text/event-stream":
        return _SSE
    if _JSON_TYPE.fullmatch(media):
        return _JSON
    return _TEXT if media.startswith(b"text/") or media == b"application/xhtml+xml" else _OTHER_TYPE


def _note(head: ReplyHead, meaning: int, line: tuple[bytes, bytes]) -> str | None:
    """Enter a line that matters into *head*; return what is wrong with it, if anything."""
    if meaning in _MEDIA_LINES:
        if meaning in (_JSON, _SSE) or head.media == Media.OTHER:  # of two types the one that needs the trace counts
            head.media = _MEDIA_LINES[meaning]
    elif meaning == _LENGTH:
        return _note_length(head, line[1])
    elif meaning == _TRACE:
        head.trace_values += (line[1],)
    elif meaning == _CORS:
        head.cors = True
    elif meaning == _ELSEWHERE:
        head.elsewhere = True
    else:
        head.traceresponse = line[1]
    return None


def _note_length(head: ReplyHead, value: bytes) -> str | None:
    if not value.isdigit() or len(value) > _MAX_DIGITS:
        return "Content-Length is not a number"
    if head.length not in (-1, length := int(value)):
        return "two Content-Length lines differ"
    head.length = length
    return None


def drop(headers: Headers, names: frozenset[bytes]) -> Headers:
    """Return *headers* without the lines whose lower-case name is in *names*."""
    return [line for line in headers if line[0].lower() not in names]


def value_of(headers: Headers, name: bytes) -> bytes | None:
    """Return the value of the first line called *name* (lower-case), or None."""
    return next((value for key, value in headers if key.lower() == name), None)


def reason_phrase(status: int) -> str:
    """Return the reason phrase of *status* (RFC 9110, section 15), or a general one."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error" if status >= 400 else "Reply"  # noqa: PLR2004
