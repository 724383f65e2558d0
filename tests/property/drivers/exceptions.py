"""Which exception object does a plan raise?"""

from __future__ import annotations

import asyncio

from tests.property.plan import Raise

__all__ = ["SECRET", "make"]

SECRET = "s3cret-connection-string"  # noqa: S105  a password only in the looks of it
"""Stands in every exception's text; no reply may show it (C4)."""


def make(kind: Raise) -> BaseException:
    """Return a new exception of *kind*."""
    match kind:
        case Raise.VALUE_ERROR:
            return ValueError(SECRET)
        case Raise.OS_ERROR:
            return ConnectionResetError(SECRET)
        case Raise.GROUP:
            return ExceptionGroup(SECRET, [ValueError(SECRET), ExceptionGroup("inner", [KeyError(SECRET)])])
        case Raise.SYSTEM_EXIT:
            return SystemExit(SECRET)
        case Raise.CANCELLED:
            return asyncio.CancelledError(SECRET)
        case Raise.KEYBOARD_INTERRUPT:
            return KeyboardInterrupt(SECRET)
        case Raise.GENERATOR_EXIT:
            return GeneratorExit(SECRET)
