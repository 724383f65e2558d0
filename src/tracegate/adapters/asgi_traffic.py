"""How is the traffic of an ASGI gate counted? A gate where nobody counts has none of this on its way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tracegate.adapters.asgi_passage import END, Passage
from tracegate.core.head import Headers
from tracegate.core.trace import Trace
from tracegate.runtime import Tally, Traffic

if TYPE_CHECKING:
    from tracegate.adapters.asgi_scope import Message
    from tracegate.core.policy import Policy

__all__ = ["counted"]

_MOST_REMEMBERED = 1_000


Accept = Callable[[Headers], Trace | None]
TallyOf = Callable[[Headers], Tally]


def counted(accept: Accept, traffic: Traffic, policy: Policy) -> tuple[tuple[Accept, type[Passage]], TallyOf]:
    """Return what usual requests go through where they are counted, and what finds the tally for all others.

    Args:
        accept: The gate's.
        traffic: Counts.
        policy: Says which header names the tenant, if any.
    """
    tally_of = _tallies_of(traffic, policy)
    return (_accepting(accept, tally_of, policy), _passages(tally_of, policy)), tally_of


def _tallies_of(traffic: Traffic, policy: Policy) -> TallyOf:
    """Return what finds the tally of a request's tenant in its header lines."""
    unnamed = traffic.tally(None)
    if policy.tenant_header is None:
        return lambda _headers: unnamed
    own = policy.tenant_header.lower().encode("ascii")
    known: dict[bytes, Tally] = {}

    def tally_of(headers: Headers) -> Tally:
        for name, value in headers:
            if name == own:
                found = known.get(value)
                if found is None:
                    found = traffic.tally(value.decode("latin-1"))
                    if len(known) < _MOST_REMEMBERED:
                        known[value] = found
                return found
        return unnamed

    return tally_of


def _accepting(accept: Accept, tally_of: TallyOf, policy: Policy) -> Accept:
    """Return *accept*, through which every request goes once, with a count before it."""
    if policy.tenant_header is not None:

        def accept_of_tenant(headers: Headers) -> Trace | None:
            tally_of(headers).request()
            return accept(headers)

        return accept_of_tenant
    tally = tally_of([])

    def accept_counted(headers: Headers) -> Trace | None:
        tally.request()
        return accept(headers)

    return accept_counted


def _passages(tally_of: TallyOf, policy: Policy) -> type[Passage]:
    """Return a passage that counts the reply whose head passed straight through: such a head carries the trace."""
    traced = tally_of([]).traced if policy.tenant_header is None else None

    class CountedPassage(Passage):
        __slots__ = ()

        async def _begin(self, message: Message, status: int, length: int) -> None:
            # What the gate does, and one step more: a coroutine around its own takes as long as all other counting.
            self.status = status
            send = self.server_send
            if length < 0 or self.scope["method"] == "HEAD":
                self.forward = self._forward()
            else:
                self.left = length + END
            try:
                await send(message)
            except BaseException:
                self._begin_anew()
                raise
            if not self.gone:
                if traced is not None:
                    traced()
                else:
                    tally_of(self.scope["headers"]).traced()

    return CountedPassage
