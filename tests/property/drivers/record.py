"""What did a server see of one exchange?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

__all__ = [
    "PLAIN",
    "ClientGoneError",
    "Fact",
    "Interruption",
    "Notes",
    "Outcome",
    "Reply",
    "ServerError",
    "Staging",
    "Transport",
]

Transport: TypeAlias = Literal["asgi", "wsgi"]


class ClientGoneError(OSError):
    """The client has left; a server's send raises an OSError for it (ASGI 2.4)."""


class ServerError(RuntimeError):
    """The server cannot do what it was asked to, or has just died."""


@dataclass(frozen=True, slots=True)
class Interruption:
    """What happens to the server at its send number *at*: ``gone`` client, ``cancel``, or the server ``dies``."""

    kind: str
    at: int


@dataclass(slots=True)
class Reply:
    """One reply as the server would put it on the wire, and what came out of the gate beside it."""

    status: int | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    reason: str = ""
    start_extras: dict[str, object] = field(default_factory=dict)
    parts: list[tuple[bytes, bool]] = field(default_factory=list)
    trailers: list[tuple[bytes, bytes]] | None = None
    others: list[dict[str, Any]] = field(default_factory=list)
    informational: list[list[tuple[bytes, bytes]]] = field(default_factory=list)
    clean: bool = False
    sends: int = 0
    raised: BaseException | None = None
    raised_from: str = ""
    raised_after: int = -1
    illegal: list[str] = field(default_factory=list)
    trace_outside: list[str | None] = field(default_factory=list)
    used_file: bool = False

    @property
    def body(self) -> bytes:
        """Every body byte, in order."""
        return b"".join(part for part, _ in self.parts)

    @property
    def chunks(self) -> list[bytes]:
        """The body messages that are not empty."""
        return [part for part, _ in self.parts if part]

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of every header line *name* (lower case)."""
        return [value for key, value in self.headers if key.lower() == name]


@dataclass(slots=True)
class Notes:
    """What the acted application saw and did: written by it, read by the tests."""

    peek: Callable[[], str | None] = lambda: None
    reply: Reply = field(default_factory=Reply)
    entered: int = 0
    inside: list[str | None] = field(default_factory=list)
    raised: BaseException | None = None
    received: list[str] = field(default_factory=list)
    delivered_before_chunk: list[int] = field(default_factory=list)
    closed: int = 0
    scopes: list[dict[str, Any]] = field(default_factory=list)
    _counted: int = 0
    _delivered: int = 0

    def look(self) -> None:
        """Note the trace that the application sees now."""
        self.inside.append(self.peek())

    def ask(self) -> None:
        """Note how many body bytes were out before the next chunk is produced."""
        new = self.reply.parts[self._counted :]
        self._counted += len(new)
        self._delivered += sum(len(part) for part, _ in new)
        self.delivered_before_chunk.append(self._delivered)


class Fact(Protocol):
    """What is looked at of an event."""

    @property
    def kind(self) -> str:
        """One of F1's kinds."""

    @property
    def trace_id(self) -> str:
        """The trace of the reply."""

    @property
    def would_refuse(self) -> bool:
        """Whether the policy delivered what it would otherwise have refused."""

    @property
    def message(self) -> str:
        """One sentence."""

    @property
    def status(self) -> int | None:
        """The status that left."""

    @property
    def refused_status(self) -> int | None:
        """The status that the application had chosen."""

    @property
    def transport(self) -> str | None:
        """Http or websocket."""


@dataclass(slots=True)
class Outcome:
    """What one exchange left behind."""

    reply: Reply
    notes: Notes
    events: list[Fact] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Staging:
    """How the server treats the exchange, and how many gates stand before the application."""

    gates: int = 1
    extensions: tuple[str, ...] = ()
    interruption: Interruption | None = None
    one_shot: bool = False
    other_thread: bool = False


PLAIN = Staging()
