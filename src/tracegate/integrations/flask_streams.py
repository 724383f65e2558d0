"""How does a Flask application have its event streams recorded and resumed?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracegate.adapters.recorder import Recorder
from tracegate.adapters.wsgi_recorder import StreamRecorder

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from flask import Flask, Request

    from tracegate.core.streams.policy import StreamPolicy
    from tracegate.store.streams import StreamStore

__all__ = ["record_streams"]


def record_streams(  # noqa: PLR0913 - two parts, three questions and a policy
    app: Flask,
    store: StreamStore | str,
    *,
    principal: Callable[[Request], str | None],
    stream_key: Callable[[Request], str | None] | None = None,
    tenant: Callable[[Request], str] | None = None,
    policy: StreamPolicy | None = None,
) -> Recorder:
    """Record the event streams of *app*, and answer requests with ``Last-Event-ID`` from the record.

    The recorder stands around ``app.wsgi_app``, inside the gate. **Views and ``before_request`` functions are not
    called to resume a stream**; the CORS headers of the first reply are sent again.

    Args:
        app: A Flask application, with :class:`~tracegate.integrations.flask.TraceGate` before or after.
        store: Where streams are kept: a store, or its address.
        principal: Returns who has been authenticated, or None for nobody, whose streams are left alone.
        stream_key: Returns what names the stream among the principal's, or None for one that is not recorded. Default:
            method, path and query.
        tenant: Returns the tenant. Default: as the gate does, by the policy's tenant header.
        policy: How streams are recorded.

    Returns:
        What records; ``writer.close()`` flushes it.

    Raises:
        ConfigurationError: The address cannot be one of a store.

    Source: contract clause D8.
    """
    recorder = Recorder(store, policy)

    def asked(question: Callable[[Request], Any]) -> Callable[[dict[str, Any]], Any]:
        return lambda environ: question(app.request_class(environ))

    app.wsgi_app = StreamRecorder(  # type: ignore[method-assign]  # as Flask's documentation says to
        app.wsgi_app,
        recorder,
        principal=asked(principal),
        stream_key=None if stream_key is None else asked(stream_key),
        tenant=None if tenant is None else asked(tenant),
    )
    return recorder
