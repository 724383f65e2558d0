"""How are policy, clock, mint and sink wired together, once for each gate?"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from tracegate.context import on_fault
from tracegate.core.events import Event
from tracegate.core.policy import Policy
from tracegate.core.terms import Terms
from tracegate.core.trace_id import TraceId, mint_trace_id

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from tracegate.core.cors import CorsLayer
    from tracegate.core.exchange import Exchange
    from tracegate.core.ports import Clock, Mint, Sink

__all__ = [
    "UNKNOWN_ROUTE",
    "UNKNOWN_TENANT",
    "Runtime",
    "Submit",
    "SystemClock",
    "SystemMint",
    "Tally",
    "Traffic",
    "recorded_tenant",
]

UNKNOWN_TENANT: Final = "unknown"
"""What tenants that the policy does not know are recorded as."""
UNKNOWN_ROUTE: Final = "unknown"
"""What the route is recorded as where nobody can tell it."""
_Request = TypeVar("_Request")
Submit = Callable[[Sequence[Event], float], "Future[bool] | None"]
"""The method ``submit`` of a sink that keeps events: it begins to, for at most so many seconds."""
_log = logging.getLogger("tracegate.runtime")


class Tally(Protocol):
    """Counts the traffic of one tenant; from any thread, and without waiting."""

    @property
    def request(self) -> Callable[[], object]:
        """Count a request."""
        ...  # pragma: no cover

    @property
    def traced(self) -> Callable[[], object]:
        """Count a reply that left with the bound trace."""
        ...  # pragma: no cover

    @property
    def untraced(self) -> Callable[[], object]:
        """Count a reply that left with another trace, as configured, or with none."""
        ...  # pragma: no cover

    def stream(self, exchange: Exchange) -> object:
        """Return what counts the marked events of a stream, for as long as it is kept."""
        ...  # pragma: no cover


class Traffic(Protocol):
    """Counts requests and replies."""

    def tally(self, named: str | None) -> Tally:
        """Return what counts for the tenant that a request names, if any."""
        ...  # pragma: no cover


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current time, aware, UTC, microseconds."""
        return datetime.now(UTC)


class SystemMint:
    """Ids from the operating system's random generator."""

    def trace_id(self) -> TraceId:
        """Return a new random trace id (contract clause A4)."""
        return mint_trace_id(os.urandom(16))

    def event_id(self) -> str:
        """Return a new UUIDv7 (RFC 9562, section 5.7): millisecond time, then random bits."""
        digits = f"{time.time_ns() // 1_000_000:012x}7{os.urandom(10).hex()}"
        variant = "89ab"[int(digits[16], 16) & 3]
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


class Runtime:
    """What one gate runs on.

    Args:
        policy: The operator's decisions; None: :class:`~tracegate.core.policy.Policy`'s defaults.
        sink: Takes every event; None drops them. What it raises is logged and counted, never seen by a request (F4).
        clock: Tells the time.
        mint: Makes ids.
        traffic: Counts requests and replies; None: nobody does, and nothing is spent on it.
        flush: Makes durable what waits in memory, from any thread, at most for some seconds; None: nothing waits. A
            shell calls it when its server is about to end.
        strict: Whether what the sink raises is raised again; for tests.

    Attributes:
        policy: As given.
        sink: As given.
        traffic: As given.
        flush: As given.
        lost: How many events the sink did not take.
    """

    def __init__(  # noqa: PLR0913 - the ports, each with a default
        self,
        policy: Policy | None = None,
        *,
        sink: Sink | None = None,
        clock: Clock | None = None,
        mint: Mint | None = None,
        traffic: Traffic | None = None,
        flush: Callable[[], object] | None = None,
        strict: bool = False,
    ) -> None:
        self.policy = policy or Policy()
        self.sink = sink
        self.clock = clock or SystemClock()
        self.mint = mint or SystemMint()
        self.traffic = traffic
        self.flush = flush
        self.strict = strict
        self.lost = 0
        self._waits = self.policy.durability == "before_reply"
        self._instance = self.policy.instance or f"{socket.gethostname()}:{os.getpid()}"
        on_fault(self._record_fault)

    def terms(self, header: bytes, cors: CorsLayer | None = None) -> Terms:
        """Return what the exchanges of one shell share.

        Args:
            header: The trace header's name as the shell's protocol spells it.
            cors: The application's CORS rules, where an integration could read them.
        """
        return Terms(self.policy, self.mint, header, cors)

    def record(
        self, events: Iterable[Event], *, route: str | None = None, tenant: str | None = None
    ) -> Future[bool] | None:
        """Stamp *events* and give each to the sink, once.

        Args:
            events: Facts from the core.
            route: The template of the request's route, where one matched.
            tenant: What the request's tenant header says, if one is configured.

        Returns:
            What a refusal waits for before it is answered, at most as long as :attr:`wait_seconds` says: done when its
            event is kept. None where nothing is to be waited for (contract clause F3).
        """
        if self.sink is None:
            return None
        submit: Submit | None = getattr(self.sink, "submit", None) if self._waits else None
        pending: Future[bool] | None = None
        for event in events:
            stamped = event.stamped(
                id=self.mint.event_id(),
                time=self.clock.now(),
                service=self.policy.service,
                instance=self._instance,
                tenant=recorded_tenant(self.policy, tenant),
                route=route,
            )
            try:
                if submit is not None and stamped.detail is not None and not stamped.would_refuse:
                    pending = submit((stamped,), self.policy.commit_wait_seconds) or pending
                else:
                    self.sink(stamped)
            except Exception:
                self.lost += 1
                _log.exception("the sink failed; the event was: %s %s", stamped.kind, stamped.trace_id)
                if self.strict:
                    raise
        return pending

    @property
    def wait_seconds(self) -> float:
        """How long a refusal may wait: for the store, and after that as long for the spool."""
        return 2 * self.policy.commit_wait_seconds

    def route(self, find: Callable[[_Request], str | None] | None, request: _Request) -> str | None:
        """Return the template of the route that matches a request, or None where none does.

        Where nobody can tell, because the gate knows of no routes or *find* fails (contract clause F4), it is
        ``unknown``: that a trace was missing there closes the deploy gate, as it would for a route that is known (H3).
        """
        if find is None:
            return UNKNOWN_ROUTE
        try:
            return find(request)
        except Exception:  # noqa: BLE001 - the operator's or the framework's code; an event without a route is an event
            _log.exception("the route of a request could not be told")
            return UNKNOWN_ROUTE

    def _record_fault(self, kind: str, trace_id: str | None, message: str) -> tuple[Future[bool], float] | None:
        """Record what code did without a trace, or against the bound one (contract clauses G2, G3)."""
        missing = kind == "missing_trace"
        pending = self.record(
            [
                Event(
                    kind="missing_trace" if missing else "trace_overwrite_refused",
                    severity="error",
                    component="tracegate.context",
                    message=message,
                    trace_id=trace_id or self.mint.trace_id().text,
                    stage="context",
                    detail="trace_id_missing" if missing else "trace_overwrite_refused",
                )
            ]
        )
        return None if pending is None else (pending, self.wait_seconds)


def recorded_tenant(policy: Policy, named: str | None) -> str:
    """Return the tenant to record: unknown ones collapse to one value (contract clause F2).

    Args:
        policy: Knows the tenants.
        named: What the request's tenant header says, if one is configured and there.
    """
    if named is None:
        return policy.default_tenant
    return named if not policy.tenants or named in policy.tenants else UNKNOWN_TENANT
