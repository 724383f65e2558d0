"""What does a bare application lose already, and why? Found by looking at bare replies, and documented by server."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.integration.matrix.case import Kind, Shape
from tests.integration.wire import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.integration.matrix.case import Case

__all__ = ["REASONS", "Aspect", "Loss", "find_losses"]


class Aspect(enum.StrEnum):
    """How much of a cell is lost."""

    SERVER = "the server answers by itself"
    REPLY = "the reply"
    HEAD = "the reply's head"
    ENDING = "the broken ending"


@dataclass(frozen=True, slots=True)
class Loss:
    """What the server did with a bare application's reply; ``key`` is the case that shows it."""

    key: str
    aspect: Aspect
    seen: str


def _loss(case: Case, bare: Reply | str) -> Loss | None:
    """Return what one bare reply shows."""
    expects_reply = case.bare is not None
    if isinstance(bare, str):
        return Loss(case.id, Aspect.REPLY, bare) if expects_reply else None
    if case.server_may_answer and not bare.values(b"x-app"):
        return Loss(case.id, Aspect.SERVER, f"{bare.status}")
    if expects_reply and bare.status != case.bare:
        return Loss(case.id, Aspect.REPLY, f"{bare.status} instead of {case.bare}")
    if case.witness and len(bare.values(b"x-app")) != 1:
        times = f"{len(bare.values(b'x-app'))} times"
        return Loss(case.id, Aspect.HEAD, f"the application's header lines stand there {times}")
    lines = [line.partition(b":") for line in case.request_lines()]
    sent = sum(len(value.strip()) for name, _, value in lines if name.lower() == b"x-trace-id")
    seen = int(bare.value(b"x-seen-bytes") or sent)
    if seen < sent:
        return Loss(case.id, Aspect.REPLY, f"the application sees {seen} of the id's {sent} bytes")
    if case.bare_cut and bare.ending.clean:
        return Loss(case.id, Aspect.ENDING, f"ends with a {bare.ending.value}")
    return None


def find_losses(server: str, replies: Mapping[str, tuple[Case, Reply | str]]) -> dict[str, Loss]:
    """Return the loss of each cell of *server* that has one.

    Four of them reach beyond their own case. A server that ends one broken stream as if it were complete does so with
    all; one that loses the head of a reply that breaks off before its declared length does so with all; one that drops
    the header lines of ``websocket.accept`` drops the gate's; one that has no denial response (ASGI
    ``websocket.http.response``) gives the gate no way to answer a handshake that it refuses.
    """
    losses = {key: loss for key, (case, bare) in replies.items() if (loss := _loss(case, bare))}
    for key in UNSTEADY.get(server, ()):
        if key in replies:
            losses.setdefault(key, Loss(key, Aspect.REPLY, f"not seen in {replies[key][0].tries} tries this time"))
    endings = {key: loss for key, loss in losses.items() if loss.aspect is Aspect.ENDING}
    ending = next((loss for key, loss in endings.items() if key.endswith("/crash-middle")), None)
    lengths = next((loss for key, loss in losses.items() if key.endswith("/crash-length")), None)
    wider = {
        Shape.BROKEN: ending,
        Shape.BROKEN_EVENTS: ending,
        Shape.ACCEPTED: losses.get(f"{Kind.ASGI}/ws"),
        Shape.DENIED: losses.get(f"{Kind.ASGI}/ws-denial"),
    }
    for key, (case, _) in replies.items():
        loss = (lengths if case.declared else None) or wider.get(case.shape)
        if key not in losses and loss:
            losses[key] = loss
    return losses


UNSTEADY = {"granian-wsgi": (f"{Kind.WSGI}/crash-length",)}
"""By server: losses that depend on timing. They count always, so that the matrix does not depend on it."""

MALFORMED = "the header value is malformed (RFC 9110 section 5.5); the server answers 400 before the application"
TOO_LARGE = "the request head is above the server's own bound; it answers 431 before the application"
DEFERRED = (
    "the server keeps the start back until body bytes come; if the application fails before, it answers by itself"
)
SERVER_OWN = {"id-nul": MALFORMED, "id-carriage-return": MALFORMED}

GUNICORN_WSGI = {
    **SERVER_OWN,
    "id-60-kilobytes": TOO_LARGE,
    "second-start": "the server keeps the first `start_response`'s header lines beside the second's (PEP 3333)",
}


def _keys(kind: Kind, reasons: Mapping[str, str]) -> dict[str, str]:
    return {f"{kind}/{name}": reason for name, reason in reasons.items()}


REASONS: dict[str, dict[str, str]] = {
    "uvicorn-h11": _keys(Kind.ASGI, SERVER_OWN),
    "uvicorn-httptools": _keys(Kind.ASGI, SERVER_OWN),
    "hypercorn": _keys(Kind.ASGI, SERVER_OWN),
    "granian-asgi": _keys(
        Kind.ASGI,
        {
            **SERVER_OWN,
            "headers-absent": "the server answers 500 to a start message without `headers`, which ASGI allows",
            "crash-first": DEFERRED,
            "ws": "the server drops the header lines of `websocket.accept`",
            "ws-hex": "the server drops the header lines of `websocket.accept`",
        },
    ),
    "gunicorn-asgi": _keys(
        Kind.ASGI,
        {
            **SERVER_OWN,
            "id-60-kilobytes": TOO_LARGE,
            "headers-iterator": "the server reads an iterator of headers twice and sends none, though ASGI allows it",
            "crash-first": "the server keeps the start back, and closes without a reply if the application fails then",
            "ws-denial": "the server has no `websocket.http.response`: a refused handshake is its own bare 403",
        },
    ),
    "gunicorn-sync": _keys(Kind.WSGI, GUNICORN_WSGI),
    "gunicorn-gthread": _keys(Kind.WSGI, GUNICORN_WSGI),
    "waitress": _keys(Kind.WSGI, SERVER_OWN),
    "granian-wsgi": _keys(
        Kind.WSGI,
        {
            **SERVER_OWN,
            "id-arabic-indic": "the server hands the application an empty string for a value that is not ASCII",
            "id-latin-1": "the server hands the application an empty string for a value that is not ASCII",
            "write": "the server's `start_response` returns no `write` (PEP 3333)",
            "error-write": "the server's `start_response` returns no `write` (PEP 3333)",
            "lazy": "the server sends a bare `200` if `start_response` is called after the callable returned",
            "crash-length": "a race: where a body breaks off before its length, the server closes without a reply "
            "now and then (17 of 100 tries in one run, none in another)",
            "crash-middle": "the server ends every broken body as if it were complete",
            "sse-crash-middle": "the server ends every broken body as if it were complete",
            "sse-crash-partial": "the server ends every broken body as if it were complete",
        },
    ),
}
"""By server, by the case that shows it: why a bare application's reply does not arrive as it was made."""
