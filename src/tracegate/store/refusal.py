"""What did the store refuse, in a sentence that says no secret?

A driver's message can hold the store's address, a user's name, or what was to be written. So the sentence is made from
the error's code; of the message only what a server says about its own tables gets through.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from tracegate.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from sqlalchemy import Engine

__all__ = ["code_of", "reason_of", "translated"]

_NO_SCHEMA: Final = "its tables are missing or old; run: python -m tracegate store upgrade"

_REASONS: Final[Mapping[str, str]] = {
    # SQLite's result codes, https://sqlite.org/rescode.html
    "SQLITE_BUSY": "another process kept it locked for too long",
    "SQLITE_CANTOPEN": "its file cannot be opened",
    "SQLITE_CORRUPT": "its file is damaged",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_IOERR": "the disk failed",
    "SQLITE_NOTADB": "its file is no SQLite database",
    "SQLITE_PERM": "its file may not be used",
    "SQLITE_READONLY": "it is read-only",
    # classes and codes of SQLSTATE, https://www.postgresql.org/docs/current/errcodes-appendix.html
    "08": "the connection broke",
    "25006": "it is read-only",
    "28": "it refused the login",
    "3D": "it has no database of that name",
    "42501": "the login may not do this",
    "42P01": _NO_SCHEMA,
    "42703": _NO_SCHEMA,
    "42883": _NO_SCHEMA,
    "53100": "the disk is full",
    "53300": "it has too many connections",
    "55P03": "another transaction kept it locked for too long",
    "57014": "it took longer than allowed",
    "57P": "it was shut down",
}

_FINAL: Final = (
    # what was to be written breaks a rule of its table, or is too large; the same on both stores
    "SQLITE_CONSTRAINT",
    "SQLITE_MISMATCH",
    "SQLITE_TOOBIG",
    "22",
    "23",
    "54",
)


@contextmanager
def translated(engine: Engine) -> Generator[None]:
    """Turn what the driver of *engine* raises into a :class:`~tracegate.errors.StoreError` without its message."""
    driver_error: type[Exception] = engine.dialect.loaded_dbapi.Error
    try:
        yield
    except (SQLAlchemyError, driver_error) as error:
        raise StoreError(reason_of(error), final=code_of(error).startswith(_FINAL)) from None


def code_of(error: BaseException) -> str:
    """Return SQLite's name for an error, or its SQLSTATE; empty where the driver has none, as for no connection."""
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or ""


def reason_of(error: BaseException) -> str:
    """Return what is wrong, in one sentence."""
    return f"the event store did not do it: {_reason(error)}"


def _reason(error: BaseException) -> str:
    code = code_of(error)
    message = str(error.orig if isinstance(error, DBAPIError) else error)
    if "no such table" in message or "no such column" in message or "has no column named" in message:
        return _NO_SCHEMA
    found = [reason for known, reason in _REASONS.items() if code.startswith(known)]
    if found:
        return f"{found[-1]} ({code})"
    if code:
        return f"{type(getattr(error, 'orig', None) or error).__name__} ({code})"
    if "authentication failed" in message or "no password supplied" in message:
        return "it refused the login"
    if isinstance(error, DBAPIError) or not isinstance(error, SQLAlchemyError):
        return "it cannot be reached"
    return type(error).__name__
