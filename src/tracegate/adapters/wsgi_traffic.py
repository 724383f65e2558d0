"""How is the traffic of a WSGI gate counted? A gate where nobody counts has none of this on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracegate.adapters.wsgi_environ import Environ, Shell, key_of
from tracegate.adapters.wsgi_passage import Passage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse

    from tracegate.core.policy import Policy
    from tracegate.core.trace import Trace
    from tracegate.runtime import Tally, Traffic

__all__ = ["count_refusal", "counted_passages", "tallies_of"]


def tallies_of(traffic: Traffic, policy: Policy) -> Callable[[Environ], Tally]:
    """Return what finds the tally of a request's tenant in its environ."""
    unnamed = traffic.tally(None)
    if policy.tenant_header is None:
        return lambda _environ: unnamed
    key, tally = key_of(policy.tenant_header), traffic.tally

    def tally_of(environ: Environ) -> Tally:
        return tally(environ.get(key))

    return tally_of


def count_refusal(tally_of: Callable[[Environ], Tally] | None, environ: Environ) -> None:
    """Count a request that was refused, where somebody counts: its reply carries a trace."""
    if tally_of is not None:
        tally = tally_of(environ)
        tally.request()
        tally.traced()


def counted_passages(
    tally_of: Callable[[Environ], Tally], policy: Policy
) -> Callable[[Trace, Shell, Environ, StartResponse], Passage]:
    """Return what makes the passage of a request that was let in, and counts it.

    The passage counts the reply that passes straight through: its head carries the trace.
    """
    tally = tally_of({}) if policy.tenant_header is None else None
    answer = Passage.answer

    class CountedPassage(Passage, eq=False):
        def answer(self, body: Iterable[bytes]) -> Iterable[bytes]:
            served = answer(self, body)
            if self._reply is None:
                (tally or tally_of(self.environ)).traced()
            return served

    def new(trace: Trace, shell: Shell, environ: Environ, start_response: StartResponse) -> Passage:
        (tally or tally_of(environ)).request()
        return CountedPassage(trace, shell, environ, start_response)

    return new
