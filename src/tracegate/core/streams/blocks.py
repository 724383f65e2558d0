"""Which blocks does an application's event stream have, and what is each called?

A block is kept with the bytes from its first field to the line end that dispatches it. Where a stream is cut between
the CR and the LF of that line end, the LF comes too late to belong to it: no event waits for the next one.

Source: contract clauses D6 and D8; WHATWG HTML 9.2.5 and 9.2.6.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, final

from tracegate.core.rewrite.sse_event import read_field
from tracegate.core.rewrite.sse_units import UnitSplitter

__all__ = ["Block", "BlockCutter", "Piece", "bounded", "id_of_request", "numbered"]

_BLANKS: Final = " \t"
_LONGEST_KEY_BYTES: Final = 256
_HASH: Final = "sha256:"


def bounded(text: str) -> str:
    """Return *text*, or its SHA-256 where it is long or odd: what an index is to hold has a bound on every store.

    A text that looks like such a hash is odd too: nobody is found by calling himself another one's hash.
    """
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) <= _LONGEST_KEY_BYTES and text.isprintable() and not text.startswith(_HASH):
        return text
    return f"{_HASH}{hashlib.sha256(raw).hexdigest()}"


def id_of_request(values: list[bytes]) -> str | None:
    """Return the event that ``Last-Event-ID`` names; empty: none, as for a first request; None: several of them.

    A client sends back what it read: UTF-8, wrong bytes replaced, and without the blanks that HTTP takes off a value.
    """
    ids = {bounded(value.decode("utf-8", "replace").strip(_BLANKS)) for value in values}
    return None if len(ids) > 1 else next(iter(ids), "")


@dataclass(frozen=True, slots=True)
class Block:
    """What a client acts on: an event, or a new position in the stream.

    Attributes:
        raw: The application's bytes.
        event_id: The position that a client has behind it, as it would send it; None: the same as before.
        event_type: ``message`` where the application names none; empty: no event, a position only.
    """

    raw: bytes
    event_id: str | None
    event_type: str


@dataclass(frozen=True, slots=True)
class Piece:
    """What leaves at once.

    Attributes:
        data: Its bytes, those of *block* among them.
        block: What is to be recorded of it, if anything.
        lost: A block has ended that was too long to be recorded.
    """

    data: bytes
    block: Block | None = None
    lost: bool = False


@final
class BlockCutter:
    """Cuts one stream: ``feed`` each chunk, then ``finish``. What leaves are the bytes that came, in order.

    Comments, white space and blocks that neither are events nor move the position leave unrecorded. At most one
    unfinished block is held, of *max_event_bytes* and what one chunk adds; no client acts on it before it is whole.

    Args:
        max_event_bytes: A longer block is not held, and not recorded.
    """

    __slots__ = ("_begun", "_max_event_bytes", "_units")

    def __init__(self, max_event_bytes: int) -> None:
        self._units = UnitSplitter()
        self._max_event_bytes = max_event_bytes
        self._begun = b""  # how the unit under way begins, where a part of it has left

    def feed(self, chunk: bytes) -> list[Piece]:
        """Take the next bytes of the stream; return what leaves now."""
        pieces: list[Piece] = []
        for unit in self._units.split(chunk):
            if self._begun or len(unit) > self._max_event_bytes:
                pieces.append(Piece(unit, lost=not (self._begun or unit).startswith(b":")))
                self._begun = b""
            else:
                pieces.append(Piece(unit, _read(unit)))
        if self._begun or self._units.held > self._max_event_bytes:
            part = self._units.take()
            if part:
                pieces.append(Piece(part))
                self._begun = self._begun or part[:1]
        return pieces

    def finish(self) -> bytes:
        """Return what is held: the stream has ended within a block, which no client dispatches."""
        return self._units.take_all()


def numbered(block: Block, event_id: str) -> bytes:
    """Return the bytes of *block* with *event_id* as its position, where the application gives it none.

    The line goes first: were there another one in the block after all, that one would hold.
    """
    if block.event_id is not None:
        return block.raw
    end = next(at for at, byte in enumerate(block.raw) if byte in b"\r\n")
    ending = b"\r\n" if block.raw.startswith(b"\r\n", end) else block.raw[end : end + 1]
    return b"id: " + event_id.encode() + ending + block.raw


def _read(unit: bytes) -> Block | None:
    event_id: str | None = None
    event_type = b""
    is_event = False
    for line in unit.splitlines():
        name, value = read_field(line)
        if name == b"data":
            is_event = True
        elif name == b"event":
            event_type = value
        elif name == b"id" and b"\0" not in value:
            event_id = bounded(value.decode("utf-8", "replace").strip(_BLANKS))
    if not is_event:
        return None if event_id is None else Block(unit, event_id, "")
    return Block(unit, event_id, event_type.decode("utf-8", "replace") or "message")
