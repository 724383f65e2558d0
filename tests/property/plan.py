"""Which request is made, what does the application do with it, and under which policy?

Plain data, and the only vocabulary that the drivers, the generators and the oracle share. The application's side of an
exchange is a :class:`Plan`; ``drivers.asgi_application`` and ``drivers.wsgi_application`` act it out.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias

__all__ = [
    "OTHER",
    "OWN",
    "Fault",
    "Headers",
    "Plan",
    "Raise",
    "Request",
    "Settings",
    "Shape",
    "spellings",
]

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

OWN = b"4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
"""The trace that most generated requests name."""

OTHER = b"0af76519-16cd-43dd-8448-eb211c80319c"
"""A trace that the request did not name."""


def spellings(text: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return the UUID *text* as lower and upper-case UUID and as lower and upper-case hex digits."""
    bare = text.replace(b"-", b"")
    return text.lower(), text.upper(), bare.lower(), bare.upper()


class _Brief:
    """Shows only what is not the default: a failing example is read by people."""

    __slots__ = ()

    def __repr__(self) -> str:
        named = [(each.name, getattr(self, each.name)) for each in fields(self)]  # type: ignore[arg-type] # only dataclasses inherit
        plain = type(self)()
        shown = ", ".join(f"{name}={value!r}" for name, value in named if value != getattr(plain, name))
        return f"{type(self).__name__}({shown})"


@dataclass(frozen=True, slots=True, repr=False)
class Request(_Brief):
    """One HTTP request, as the server hands it over."""

    method: str = "GET"
    path: str = "/things"
    query: bytes = b""
    headers: Headers = ((b"x-trace-id", OWN),)
    client: str | None = "127.0.0.1"
    body: bytes = b""


class Raise(enum.Enum):
    """Which exception the application raises."""

    VALUE_ERROR = "ValueError"
    OS_ERROR = "OSError"
    GROUP = "ExceptionGroup"
    SYSTEM_EXIT = "SystemExit"
    CANCELLED = "CancelledError"
    KEYBOARD_INTERRUPT = "KeyboardInterrupt"
    GENERATOR_EXIT = "GeneratorExit"

    @property
    def is_answered(self) -> bool:
        """Whether C4 answers it; the others pass with nothing sent."""
        return self in {Raise.VALUE_ERROR, Raise.OS_ERROR, Raise.GROUP, Raise.SYSTEM_EXIT}


class Fault(enum.Enum):
    """What the application does wrong."""

    NONE = "none"
    RAISE_BEFORE_START = "raises before its reply starts"
    RAISE_MID_BODY = "raises after `fault_after` chunks"
    RAISE_AFTER_END = "raises after its last message (WSGI: in close)"
    NO_REPLY = "returns without a reply"
    RETURN_MID_BODY = "returns after `fault_after` chunks, its body open (ASGI only)"
    START_TWICE = "starts a second reply after `fault_after` chunks"
    BODY_FIRST = "sends a body before its start"
    SEND_AFTER_END = "sends more after its last message (ASGI only)"


@dataclass(frozen=True, slots=True, repr=False)
class Shape(_Brief):
    """How the application speaks: legal variations of one protocol that must not matter."""

    headers_as: Literal["list", "tuple", "iterator", "lists", "reused"] = "list"
    ending: Literal["last_chunk", "empty_chunk", "bare_chunk"] = "empty_chunk"
    pauses: bool = False
    reads_request: bool = False
    waits_for_disconnect: bool = False
    omits_more_body: bool = False
    start_extras: tuple[tuple[str, object], ...] = ()
    before_start: tuple[dict[str, object], ...] = ()
    after_start: tuple[dict[str, object], ...] = ()
    trailers: Headers | None = None
    file: Literal["", "pathsend", "zerocopysend"] = ""
    body_as: Literal["list", "tuple", "generator", "closeable", "write", "lazy_start", "file_wrapper"] = "generator"
    restarts: tuple[int, Headers] | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Plan(_Brief):
    """One reply of an application, and what goes wrong with it."""

    status: int = 200
    headers: Headers = ((b"content-type", b"text/plain"),)
    chunks: tuple[bytes, ...] = (b"hello",)
    fault: Fault = Fault.NONE
    fault_after: int = 0
    raises: Raise = Raise.VALUE_ERROR
    shape: Shape = field(default_factory=Shape)

    @property
    def body(self) -> bytes:
        """The whole body that the application means to send."""
        return b"".join(self.chunks)


@dataclass(frozen=True, slots=True, repr=False)
class Settings(_Brief):
    """An operator's decisions, in the contract's own words."""

    mode: Literal["require", "mint", "observe"] = "require"
    exempt: tuple[str, ...] = ()
    exempt_prefixes: tuple[str, ...] = ()
    traceparent_mismatch: Literal["refuse", "parent"] = "refuse"
    query_parameter: str | None = None
    trusted: tuple[str, ...] | None = None
    formats: tuple[str, ...] = ()
    on_conflict: Literal["refuse", "keep"] = "refuse"
    bodies: Literal["errors", "all"] = "errors"
    error_bodies: Literal["header", "json"] = "header"
    max_error_body: int = 1 << 20
    max_sse_event: int = 1 << 20
    sse_carrier: Literal["auto", "field"] = "auto"
    sse_error: Literal["standard", "openai"] = "standard"
    sse_hold_seconds: float = 1.0
    signed_errors: Literal["refuse", "header"] = "refuse"
    traceresponse: bool = False
    server_timing: bool = False
    cors_origins: tuple[str, ...] = ()
