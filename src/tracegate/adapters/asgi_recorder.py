"""How are the event streams of an ASGI application recorded, and resumed where they were?"""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import Future
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from tracegate.adapters.asgi_lifespan import serve_other
from tracegate.adapters.asgi_replay import in_thread, replay
from tracegate.adapters.asgi_scope import MARK, STATE_KEY, record
from tracegate.adapters.asgi_wait import until_done
from tracegate.adapters.recorder import (
    NO_CONTENT,
    Recorder,
    is_event_stream,
    key_of,
    policy_of,
    refusal,
    runtime_of,
    target_of,
    terms_of,
)
from tracegate.core.head import value_of
from tracegate.core.streams.blocks import id_of_request
from tracegate.core.streams.recording import Place, headers_of
from tracegate.core.streams.refusal import resume_error, resume_event, untraced_error, untraced_event
from tracegate.core.trace import Trace
from tracegate.errors import ReplyAbortedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tracegate.adapters.asgi_scope import Application, Message, Receive, Scope, Send, Shell
    from tracegate.adapters.recorder import Refusal, Tape
    from tracegate.core.events import Event
    from tracegate.core.head import Headers
    from tracegate.core.policy import Policy
    from tracegate.core.refusal import ErrorObject
    from tracegate.core.streams.policy import StreamPolicy
    from tracegate.core.streams.recording import StreamKey
    from tracegate.core.terms import Terms
    from tracegate.store.streams import StreamStore

__all__ = ["StreamRecorder"]

_END_SECONDS = 1.0
"""How long after the last byte a stream that ends cleanly may still turn out to have failed (clause D7)."""

_FLUSH_SECONDS = 5.0
"""How long a server's end waits for what is on its way to the store."""


class StreamRecorder:
    """An ASGI application, inside a gate, that records the event streams of the one inside it, and resumes them.

    Args:
        app: Any ASGI 3 application.
        store: Where streams are kept: a store, or its address; or a recorder, with its policy, that others use too.
        principal: Returns who has been authenticated, or None for nobody: such requests are neither recorded nor
            resumed. **A resumed stream is served without calling the application**: what this returns is all that
            protects it. It may be a coroutine function.
        stream_key: Returns what names the stream among the principal's, or None for one that is not recorded. Default:
            method, path and query.
        tenant: Returns the tenant. Default: as the gate does, by the policy's tenant header.
        policy: How streams are recorded.

    Raises:
        ConfigurationError: The address cannot be one of a store.

    Source: contract clause D8.
    """

    def __init__(  # noqa: PLR0913 - two parts, three questions and a policy
        self,
        app: Application,
        store: StreamStore | Recorder | str,
        *,
        principal: Callable[[Scope], str | Awaitable[str | None] | None],
        stream_key: Callable[[Scope], str | None] | None = None,
        tenant: Callable[[Scope], str] | None = None,
        policy: StreamPolicy | None = None,
    ) -> None:
        self.app = app
        self.recorder = store if isinstance(store, Recorder) else Recorder(store, policy)
        self._principal = principal
        self._stream_key = stream_key
        self._tenant = tenant

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        if scope["type"] == "lifespan":
            flush = partial(self.recorder.writer.flush, _FLUSH_SECONDS)
            return await serve_other(self.app, flush, scope, receive, send)
        key = await self._key(scope) if scope["type"] == "http" else None
        if key is None:
            return await self.app(scope, receive, send)
        request = _Request(self.recorder, scope, key)
        event_id = id_of_request([value for name, value in request.headers if name.lower() == b"last-event-id"])
        if event_id == "":
            return await _Recording(request, receive, send).serve(self.app)
        if request.trace is None:
            return await request.refuse_untraced(send, None)
        return await request.resume(event_id, receive, send)

    async def _key(self, scope: Scope) -> StreamKey | None:
        policy = policy_of(scope.get(MARK))
        if self._stream_key is not None:
            name = self._stream_key(scope)
        else:
            name = target_of(scope["method"], scope["path"], scope.get("query_string", b""), policy)
        if name is None:
            return None
        principal = self._principal(scope)
        if inspect.isawaitable(principal):
            principal = await principal
        if principal is None:
            return None
        tenant = _tenant_of(scope, policy) if self._tenant is None else self._tenant(scope)
        return key_of(tenant, principal, name)


class _Request:
    """One request for a recorded stream.

    Attributes:
        headers: Its header lines.
        trace: The bound trace; None: there is no gate.
    """

    def __init__(self, recorder: Recorder, scope: Scope, key: StreamKey) -> None:
        self.recorder = recorder
        self.scope = scope
        self.key = key
        self.headers: Headers = scope.get("headers") or []
        state: dict[str, object] = scope.get("state") or {}
        trace = state.get(STATE_KEY)
        self.trace = trace if isinstance(trace, Trace) else None

    async def resume(self, event_id: str | None, receive: Receive, send: Send) -> None:
        """Send what comes after an event, or why that cannot be."""
        terms, trace = terms_of(self.scope.get(MARK)), self.trace
        assert terms is not None  # noqa: S101 - where a trace is, a gate is
        assert trace is not None  # noqa: S101 - the caller looked
        place = await in_thread(partial(self.recorder.find, self.key, event_id))
        if isinstance(place, Place):
            if place.over:
                await send({"type": "http.response.start", "status": NO_CONTENT, "headers": headers_of(place.headers)})
                await send({"type": "http.response.body", "body": b""})
                return
            await replay(self.recorder, place, terms.policy.formats, receive, send)
            return
        mode = terms.gate.mode_of(self.scope["path"], self.scope.get("raw_path"))
        event = resume_event(place, trace, self.scope["method"], mode)
        await self._refuse(send, terms, resume_error(place, trace), event)

    async def refuse_untraced(self, send: Send, status: int | None) -> None:
        """Answer a request that no gate has let in (E2); *status* is what the application had chosen."""
        runtime = runtime_of(self.scope.get(MARK))
        terms = runtime.terms(runtime.policy.header.lower().encode("ascii"))
        trace = Trace.of(runtime.mint.trace_id(), "minted")
        runtime.record([untraced_event(trace, self.scope["method"], status)])
        error = untraced_error(trace, runtime.policy.header, status)
        await _send(send, refusal(terms, error, self.headers, self.scope["method"], self.scope["path"]))

    async def _refuse(self, send: Send, terms: Terms, error: ErrorObject, event: Event) -> None:
        shell = _shell_of(self.scope)
        runtime = runtime_of(self.scope.get(MARK))
        pending = runtime.record([event]) if shell is None else record(shell, self.scope, self.headers, [event])
        if pending is not None:
            await until_done(pending, runtime.wait_seconds)
        await _send(send, refusal(terms, error, self.headers, self.scope["method"], self.scope["path"]))


class _Recording:
    """One reply that the application makes, recorded where it is an event stream."""

    def __init__(self, request: _Request, receive: Receive, send: Send) -> None:
        self._request = request
        self._receive = receive
        self._send = send
        self._policy = request.recorder.policy
        self._tape: Tape | None = None
        self._refused = False
        self._unsent = b""
        self._gone = False
        self._ended = False
        self._until_ended: Future[bool] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._lock: Any = _lock() if self._policy.durability == "before_event" else None

    async def serve(self, app: Application) -> None:
        """Call the application."""
        whole = False
        try:
            await app(self._request.scope, self.receive, self.send)
            whole = self._ended
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if self._tape is not None:
                self._tape.end("ended" if whole else "broken")

    async def receive(self) -> Message:
        """Return the next message for the application."""
        if self._refused:
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.disconnect" and self._tape is not None and self._policy.on_disconnect == "finish":
            self._gone = True
            if not self._ended:
                self._until_ended = self._until_ended or Future()
                await until_done(self._until_ended, inf)
        return message

    async def send(self, message: Message) -> None:
        """Take one message of the application."""
        if self._refused:
            return
        kind = message["type"]
        if kind == "http.response.start":
            await self._begin(message)
        elif self._tape is None or kind != "http.response.body":
            await self._send(message)
        elif self._lock is None:
            await self._take(self._tape, message)
        else:
            async with self._lock:
                await self._take(self._tape, message)

    async def _begin(self, message: Message) -> None:
        request, headers = self._request, [*message.get("headers", ())]
        if not is_event_stream(request.scope["method"], message["status"], headers):
            await self._send({**message, "headers": headers})
            return
        if request.trace is None:
            self._refused = True
            await request.refuse_untraced(self._send, message["status"])
            return
        former, self._tape = self._tape, (tape := request.recorder.tape(request.key, request.trace, headers))
        if self._policy.number_events:
            headers = [line for line in headers if line[0].lower() != b"content-length"]
        try:
            await self._send({**message, "headers": headers})
        except BaseException:  # it has not begun: another head may come, or what there was goes on
            tape.end("broken")
            self._tape = former
            raise

    async def _take(self, tape: Tape, message: Message) -> None:
        data = bytes(message.get("body", b""))
        out, pending = tape.take(data)
        if not message.get("more_body"):
            out += tape.rest()
            self._end_soon(tape)
        out, self._unsent = self._unsent + out, b""
        if pending is not None:
            try:
                await until_done(pending, self._policy.commit_wait_seconds)
            except BaseException:  # cancelled: what is recorded leaves with the next piece, if there is one
                self._unsent = out
                raise
        if self._gone or (data and not out and not self._ended):  # nothing is whole yet
            return
        try:
            await self._send({**message, "body": out})
        except ReplyAbortedError:
            raise
        except OSError:
            if self._policy.on_disconnect == "stop":
                raise
            self._gone = True

    def _end_soon(self, tape: Tape) -> None:
        self._ended = True
        if self._until_ended is not None and not self._until_ended.done():
            self._until_ended.set_result(True)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # trio: when the application returns
            return
        self._timer = loop.call_later(_END_SECONDS, tape.end, "ended")


def _shell_of(scope: Scope) -> Shell | None:
    return getattr(scope.get(MARK), "shell", None)


def _tenant_of(scope: Scope, policy: Policy) -> str:
    """Return the tenant as the gate's events name it (clause F2)."""
    name = policy.tenant_header
    value = None if name is None else value_of(scope.get("headers") or [], name.lower().encode("ascii"))
    return policy.default_tenant if value is None else value.decode("latin-1")


def _lock() -> Any:  # noqa: ANN401 - of the loop that runs
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        import trio  # noqa: PLC0415 - it runs, so it is loaded

        return trio.Lock()
    return asyncio.Lock()


async def _send(send: Send, answer: Refusal) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})
