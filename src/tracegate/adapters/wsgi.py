"""How does WSGI speak? The shell around a PEP 3333 application.

On the hot path nothing but the id is read of a request, nothing but the trace header added to the reply, and the body
goes to the server as the application returned it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracegate.adapters.cancellation import is_cancellation
from tracegate.adapters.wiring import wired
from tracegate.adapters.wsgi_bridge import SCOPE, outer_exchange
from tracegate.adapters.wsgi_environ import HINTS, MARK, admitted, decide, keys_of, lines_of, method_of, path_of
from tracegate.adapters.wsgi_head import PlainHeads, native_lines, status_line
from tracegate.adapters.wsgi_passage import Passage
from tracegate.adapters.wsgi_traffic import count_refusal, counted_passages, tallies_of
from tracegate.context import binding
from tracegate.core.admission import refusal_reply
from tracegate.core.gate import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse

    from tracegate.adapters.wsgi_environ import Environ
    from tracegate.core.cors import CorsLayer
    from tracegate.core.policy import Policy
    from tracegate.runtime import Runtime

__all__ = ["TraceGate"]

_TRACEPARENT = "HTTP_TRACEPARENT"


class TraceGate:
    """A WSGI application that guarantees one trace id on every reply of the application inside it.

    Args:
        app: Any PEP 3333 application. It finds its trace under ``tracegate.trace`` in its own copy of the environ.
        policy: The operator's decisions; None reads ``TRACEGATE_*`` and ``[tool.tracegate]``.
        runtime: Instead of *policy*: policy, clock, mint and sink, wired.
        cors: The application's CORS rules, for replies that the gate makes itself.
        route_of: Returns the template of the route that an environ matches, or None; for events only.

    Raises:
        ConfigurationError: The settings have faults.

    Source: contract clauses B to E; PEP 3333.
    """

    def __init__(
        self,
        app: Callable[[Environ, StartResponse], Iterable[bytes]],
        policy: Policy | None = None,
        *,
        runtime: Runtime | None = None,
        cors: CorsLayer | None = None,
        route_of: Callable[[Environ], str | None] | None = None,
    ) -> None:
        self.app = app
        self.runtime = runtime or wired(policy)
        self.header = self.runtime.policy.header
        self.terms = self.runtime.terms(self.header.encode("ascii"), cors)
        self.route_of = route_of
        self.keys = keys_of(self.header)
        self.plain_heads = PlainHeads(self.terms)
        traffic = self.runtime.traffic
        self.tally_of = None if traffic is None else tallies_of(traffic, self.runtime.policy)
        passage = Passage if self.tally_of is None else counted_passages(self.tally_of, self.runtime.policy)
        self._usual = self.keys[0][0], self.terms.gate.accept_value, passage

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the application has
        """Return the application's attribute: the gate still looks like the application."""
        if name == "app":  # not made yet: copy and pickle ask before __init__ ran
            raise AttributeError(name)
        return getattr(self.app, name)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        found = binding.get()
        if MARK in environ:
            return self.app(environ, start_response)
        outer = outer_exchange(found, environ) if found is not None or SCOPE in environ else None
        if outer is not None:
            return self.app(admitted(environ, outer), start_response)
        key, accept, new = self._usual  # at once: on a class with __getattr__ each attribute is a slow one
        trace, value = None, environ.get(key)
        if type(value) is str and value.isascii() and _TRACEPARENT not in environ:
            trace = accept(value.encode())
        if trace is None:
            decision = decide(self, environ)
            if isinstance(decision, Refused):
                lines = lines_of(environ, self.keys)
                status, headers, body = refusal_reply(self.terms, decision, method_of(environ), lines, path_of(environ))
                start_response(status_line(status), native_lines(headers))
                count_refusal(self.tally_of, environ)
                return [body]
            trace = decision
        passage = new(trace, self, environ, start_response)
        inner = admitted(environ, passage)
        if HINTS in environ:
            inner[HINTS] = passage.hint
        binding.set(passage)
        try:
            try:
                return passage.answer(self.app(inner, passage.start))
            except BaseException as error:
                if is_cancellation(error):
                    raise
                return passage.fail(error)  # it leaves again from __next__, after the reply
        except BaseException:
            passage.close()
            raise
        finally:
            binding.set(found)
