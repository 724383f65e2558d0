"""Did one exchange keep the contract?

The laws that every generated exchange must obey, whatever it is about: they bring a driver's record before the oracle.
"""

from __future__ import annotations

from tests.property.drivers.gates import play
from tests.property.drivers.record import PLAIN, Outcome, Staging, Transport
from tests.property.oracle.verdict import faults_of
from tests.property.plan import Plan, Request, Settings

__all__ = ["obey"]


def obey(
    transport: Transport,
    plan: Plan,
    request: Request | None = None,
    settings: Settings | None = None,
    staging: Staging = PLAIN,
) -> Outcome:
    """Play one exchange, assert that it keeps the contract, and return it for a closer look."""
    request, settings = request or Request(), settings or Settings()
    outcome = play(transport, plan, request, settings, staging)
    faults = faults_of(transport, plan, request, settings, outcome)
    assert not faults, "\n".join(
        [
            *faults,
            f"plan: {plan}",
            f"request: {request}, {settings}, {staging}",
            f"reply: {outcome.reply}",
            f"events: {outcome.events}",
        ]
    )
    return outcome
