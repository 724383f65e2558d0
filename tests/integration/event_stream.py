"""Which events does a browser see in these bytes? A reader after WHATWG HTML section 9.2.6, for the tests alone."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ServerEvent", "StreamText", "read_event_stream"]


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One dispatched event; ``unknown`` are the fields of its block that the standard does not name."""

    type: str
    data: str
    last_event_id: str
    unknown: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class StreamText:
    """All that a stream says: what is dispatched, what is not, and the retry times."""

    events: tuple[ServerEvent, ...]
    comments: tuple[str, ...]
    retries: tuple[str, ...]
    rest: str


def _lines(text: str) -> list[str]:
    """Cut *text* at CRLF, LF and CR; the last item is what no line end follows."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def read_event_stream(body: bytes) -> StreamText:
    """Return what *body* says; bytes that are not UTF-8 count as U+FFFD, an unfinished block is ``rest``."""
    *lines, last = _lines(body.decode("utf-8", "replace").removeprefix("\ufeff"))
    events: list[ServerEvent] = []
    comments: list[str] = []
    retries: list[str] = []
    block: list[str] = []
    last_event_id = ""
    for line in lines:
        if line:
            block.append(line)
            continue
        data: list[str] = []
        kind = ""
        unknown: list[tuple[str, str]] = []
        for field_line in block:
            name, _, value = field_line.partition(":")
            value = value.removeprefix(" ")
            if not name and field_line.startswith(":"):
                comments.append(field_line[1:])
            elif name == "data":
                data.append(value)
            elif name == "event":
                kind = value
            elif name == "id":
                last_event_id = last_event_id if "\0" in value else value
            elif name == "retry":
                retries.append(value)
            else:
                unknown.append((name, value))
        if data:  # "data:" alone fills the buffer with one LF, so it is dispatched, with an empty string
            events.append(ServerEvent(kind or "message", "\n".join(data), last_event_id, tuple(unknown)))
        block = []
    return StreamText(tuple(events), tuple(comments), tuple(retries), "\n".join([*block, last]))
