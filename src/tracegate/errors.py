"""Which exceptions does tracegate raise?

An expected outcome is a value; an exception means misuse or misconfiguration::

    TracegateError
    ├── ConfigurationError    (also a ValueError)     a policy or a setting cannot be used
    ├── InvalidTraceIdError   (also a ValueError)     a text is not a trace id
    ├── TraceOverwriteError   (also a RuntimeError)   another trace is already bound
    ├── MissingTraceError     (also a LookupError)    no trace is bound where one is required
    ├── ReplyError            (also a RuntimeError)   an application's reply cannot be sent as it is
    ├── ReplyAbortedError     (also an OSError)       the reply was ended; nothing more leaves
    └── StoreError            (also an OSError)       the store, or the spool before it, cannot do what was asked
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ConfigurationError",
    "InvalidTraceIdError",
    "MissingTraceError",
    "ReplyAbortedError",
    "ReplyError",
    "StoreError",
    "TraceOverwriteError",
    "TracegateError",
]


class TracegateError(Exception):
    """The root of every exception that tracegate raises."""


class ConfigurationError(TracegateError, ValueError):
    """A configuration has faults; all of them are reported at once.

    Attributes:
        faults: Pairs of the setting's name and what is wrong with it, in the order found.
    """

    def __init__(self, faults: tuple[tuple[str, str], ...]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{setting}: {problem}" for setting, problem in faults))


class InvalidTraceIdError(TracegateError, ValueError):
    """A text given by code is not a trace id.

    Attributes:
        text: The rejected text, escaped and shortened to at most 80 characters.
    """

    def __init__(self, text: str) -> None:
        self.text = ascii(text[:64])[1:-1][:80]
        super().__init__(f"not a trace id: {self.text!r}")


class TraceOverwriteError(TracegateError, RuntimeError):
    """Code tried to bind a trace where another one is bound (contract clause G2).

    Attributes:
        bound: The spelling of the trace that stays bound.
        attempted: The spelling of the trace that was refused.
    """

    def __init__(self, bound: str, attempted: str) -> None:
        self.bound = bound
        self.attempted = attempted
        super().__init__(f"trace {bound} is bound; refused to replace it by {attempted}")


class MissingTraceError(TracegateError, LookupError):
    """Code that requires a trace ran where none is bound (contract clause G3).

    At the edge of a request it becomes a 409 with the detail ``trace_id_missing``.

    Attributes:
        recorded: Whether the event of clause G3 was recorded when it was raised.
        kept: What the 409 waits for, as every refusal does, and for how many seconds at most: done when that event is
            kept (clause F3). None: nothing.
    """

    def __init__(
        self,
        message: str = "no trace is bound here",
        *,
        recorded: bool = False,
        kept: Any = None,  # noqa: ANN401 - a future and a float; the core's rules keep such imports out of here
    ) -> None:
        self.recorded = recorded
        self.kept: Any = kept
        super().__init__(message)


class ReplyError(TracegateError, RuntimeError):
    """An application's reply is out of order or no server would send it (contract clauses C4, C10).

    Raised into the application after the traced 500 has left, as a server raises where there is no gate.
    """


class ReplyAbortedError(TracegateError, OSError):
    """The reply was ended without a clean end, and the application goes on sending (contract clause E4).

    An :class:`OSError`, as ASGI demands of ``send`` on a closed connection, so that frameworks stop the stream.
    """

    def __init__(self, message: str = "the reply was ended by tracegate; nothing more leaves") -> None:
        super().__init__(message)


class StoreError(TracegateError, OSError):
    """The event store, or the spool before it, did not take or give what was asked (contract clauses F3, H1).

    Attributes:
        reason: What is wrong, in one English sentence without secrets: never the store's address.
        final: Whether the store is well and will refuse the same again: what it was given is at fault.
    """

    def __init__(self, reason: str, *, final: bool = False) -> None:
        self.reason = reason
        self.final = final
        super().__init__(reason)
