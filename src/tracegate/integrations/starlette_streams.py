"""How does a Starlette or FastAPI application have its event streams recorded and resumed?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.middleware import Middleware
from starlette.requests import Request

from tracegate.adapters.asgi_recorder import StreamRecorder
from tracegate.adapters.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from starlette.applications import Starlette

    from tracegate.core.streams.policy import StreamPolicy
    from tracegate.store.streams import StreamStore

__all__ = ["record_streams"]


def record_streams(  # noqa: PLR0913 - two parts, three questions and a policy
    app: Starlette,
    store: StreamStore | str,
    *,
    principal: Callable[[Request], str | Awaitable[str | None] | None],
    stream_key: Callable[[Request], str | None] | None = None,
    tenant: Callable[[Request], str] | None = None,
    policy: StreamPolicy | None = None,
) -> Recorder:
    """Record the event streams of *app*, and answer requests with ``Last-Event-ID`` from the record.

    The recorder is the innermost middleware, whatever is added later: authentication and CORS middleware stand before a
    resumed stream too. Dependencies do not: **endpoints are not called to resume a stream**.

    Args:
        app: A Starlette or FastAPI application, with :func:`~tracegate.integrations.starlette.install` before or after.
        store: Where streams are kept: a store, or its address.
        principal: Returns who has been authenticated, or None for nobody, whose streams are left alone. It may be a
            coroutine function.
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
    innermost = Middleware(
        StreamRecorder,
        recorder,
        principal=_asked(principal),
        stream_key=None if stream_key is None else _asked(stream_key),
        tenant=None if tenant is None else _asked(tenant),
    )
    app.user_middleware.append(innermost)
    app.middleware_stack = None  # where it was built already, the next request builds it anew
    return recorder


def _asked(question: Callable[[Request], Any]) -> Callable[[Any], Any]:
    return lambda scope: question(Request(scope))
