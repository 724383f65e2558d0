"""How is a case written in one line? What follows from its shape is filled in."""

from __future__ import annotations

from tests.integration.applications.scripts import OTHER_TRACE
from tests.integration.applications.variant import CONSOLE
from tests.integration.matrix.case import MINTED, SERVER_ERROR, TRACE_ERROR, Case, Kind, Shape

__all__ = [
    "ABSENT",
    "CONFLICT",
    "INVALID",
    "MISSING",
    "ORIGIN",
    "OTHER",
    "OTHER_HEX",
    "PARENT",
    "PREFLIGHT",
    "asgi",
    "fastapi",
    "flask",
    "flat",
    "frameworks",
    "inbound",
    "raw",
    "refused",
    "wsgi",
]

ABSENT: tuple[bytes, ...] = ()
ORIGIN = b"Origin: " + CONSOLE.encode()
PREFLIGHT = (ORIGIN, b"Access-Control-Request-Method: GET", b"Access-Control-Request-Headers: x-trace-id")
PARENT = b"00f067aa0ba902b7-01"
OTHER = OTHER_TRACE.encode()
OTHER_HEX = OTHER.replace(b"-", b"")
MISSING, INVALID, CONFLICT = "missing_trace_id", "invalid_trace_id_format", "conflicting_trace_id"
BARE_STATUS_KNOWN = {Shape.SAME, Shape.MEMBER, Shape.ENVELOPE, Shape.EVENTS}
RAW = (Kind.ASGI, Kind.WSGI)


def case(kind: Kind, name: str, shape: Shape, status: int = 200, **more: object) -> Case:
    """Return a case whose path is its name, unless *more* says another, with what follows from its shape filled in."""
    known = shape in BARE_STATUS_KNOWN
    filled: dict[str, object] = {"path": f"/{name}", "bare": status if known else None, **more}
    if shape is Shape.OVERWRITE:
        filled = {"detail": "trace_overwrite_refused", "error_code": TRACE_ERROR, "status": 409, **filled}
    elif shape is Shape.REFUSED:
        filled = {"error_code": TRACE_ERROR, "status": 409, "bound": MINTED, **filled}
    elif shape is Shape.CRASH:
        filled = {"error_code": SERVER_ERROR, "status": 500, **filled}
    elif shape is Shape.BROKEN_EVENTS:
        filled = {"error_code": SERVER_ERROR, **filled}
    filled = {"status": status, **filled}
    return Case(kind=kind, name=name, shape=shape, **filled)  # type: ignore[arg-type]  # checked by the dataclass's users


def raw(name: str, shape: Shape, status: int = 200, *, kinds: tuple[Kind, ...] = RAW, **more: object) -> list[Case]:
    """Return the case for the raw applications, which put a witness on each reply of their own."""
    own = shape in BARE_STATUS_KNOWN or more.get("bare") is not None
    return [case(kind, name, shape, status, **{"witness": own, **more}) for kind in kinds]


def asgi(name: str, shape: Shape, status: int = 200, **more: object) -> list[Case]:
    """Return the case for the raw ASGI application alone."""
    return raw(name, shape, status, kinds=(Kind.ASGI,), **more)


def wsgi(name: str, shape: Shape, status: int = 200, **more: object) -> list[Case]:
    """Return the case for the raw WSGI application alone."""
    return raw(name, shape, status, kinds=(Kind.WSGI,), **more)


def fastapi(name: str, shape: Shape, status: int = 200, **more: object) -> list[Case]:
    """Return the case for the FastAPI application."""
    return [case(Kind.FASTAPI, name, shape, status, **more)]


def flask(name: str, shape: Shape, status: int = 200, **more: object) -> list[Case]:
    """Return the case for the Flask application."""
    return [case(Kind.FLASK, name, shape, status, **more)]


def frameworks(name: str, shape: Shape, status: int = 200, **more: object) -> list[Case]:
    """Return the case for both frameworks."""
    return [*fastapi(name, shape, status, **more), *flask(name, shape, status, **more)]


def inbound(name: str, identity: tuple[bytes, ...], bound: str) -> list[Case]:
    """Return the case of an identity that is accepted."""
    return raw(name, Shape.SAME, path="/echo", identity=identity, bound=bound)


def refused(name: str, detail: str, *identity: bytes, server_may_answer: bool = False) -> list[Case]:
    """Return the case of an identity that is refused; the bare application answers 200."""
    return raw(name, Shape.REFUSED, 409, path="/echo", identity=identity, detail=detail, bare=200,
               server_may_answer=server_may_answer)  # fmt: skip


def flat(*groups: list[Case]) -> tuple[Case, ...]:
    """Return the cases of all *groups*."""
    return tuple(item for group in groups for item in group)
