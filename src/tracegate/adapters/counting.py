"""Does the head of a reply carry the bound trace? Asked where traffic is counted, of heads that a gate looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracegate.core.exchange import Exchange
    from tracegate.core.head import Headers
    from tracegate.runtime import Tally

__all__ = ["count_reply"]


def count_reply(tally: Tally, exchange: Exchange, headers: Headers) -> object:
    """Count a reply that has left with *headers*.

    Returns:
        What counts the events of a stream for as long as it is kept; None for other replies.
    """
    terms = exchange.terms
    values = tuple(value for name, value in headers if name.lower() == terms.header_key)
    is_traced = bool(values) and not terms.contradicts(values, exchange.trace)
    if is_traced:
        tally.traced()
    else:
        tally.untraced()
    return tally.stream(exchange) if exchange.stage == "stream" else None
