"""Which machine treats a reply's body? Made from the head, before the first byte."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tracegate.core.refusal import error_object
from tracegate.core.rewrite.choose import Treatment
from tracegate.core.rewrite.error_body import ErrorBody
from tracegate.core.rewrite.event_body import EventBody
from tracegate.core.rewrite.headers import coding_of, rewritten
from tracegate.core.rewrite.long_body import SilentBody, SuccessBody

if TYPE_CHECKING:
    from tracegate.core.head import Headers, ReplyHead
    from tracegate.core.terms import Terms
    from tracegate.core.trace import Trace

__all__ = ["Treated", "treated"]

Treated = ErrorBody | EventBody | SilentBody | SuccessBody
"""A body that does not go straight through: it takes pieces and gives steps."""


def treated(  # noqa: PLR0913 - all that is known before the first byte
    treatment: Treatment, head: ReplyHead, terms: Terms, trace: Trace, request: Headers, *, keep: bool, observes: bool
) -> Treated | None:
    """Return what makes a body into what leaves, or None for an event stream of unknown coding.

    Args:
        treatment: Not ``PASS``, not ``ERROR_TEXT``.
        head: The reply's.
        terms: The gate's.
        trace: The bound trace.
        request: The request's header lines.
        keep: Whether another trace is delivered (``on_conflict``, mode ``observe``).
        observes: Whether mode ``observe`` is in force.
    """
    policy, lines = terms.policy, head.headers
    if treatment is Treatment.ERROR_JSON:
        envelope = partial(_standard_error, terms, trace, head.status, request)  # no exchange in it: that were a circle
        keep_signed = observes or policy.signed_errors == "header"
        return ErrorBody(
            trace.id, lines, policy.max_error_body, envelope, keep=keep, keep_signed=keep_signed, observes=observes
        )
    coding = coding_of(lines)
    if treatment is Treatment.EVENTS:
        return EventBody.of(trace.id, coding, carrier=policy.sse_carrier, limit=policy.max_sse_event, keep=keep)
    if treatment is Treatment.ERROR_HEAD:
        return SilentBody(rewritten(lines, length=None, decoded=bool(coding)))
    return SuccessBody(trace.id, lines, rewritten(lines, length=None), keep=keep)


def _standard_error(terms: Terms, trace: Trace, status: int, request: Headers) -> tuple[bytes, bytes]:
    return error_object(status, trace).encode(terms.policy, terms.accept(request))
