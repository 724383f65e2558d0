"""How are the event streams of a WSGI application recorded, and resumed where they were?"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

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
from tracegate.adapters.wsgi_environ import MARK, keys_of, lines_of, method_of, path_of, record
from tracegate.adapters.wsgi_head import byte_lines, native_lines, status_line, status_of
from tracegate.adapters.wsgi_replay import Replay
from tracegate.core.streams.blocks import id_of_request
from tracegate.core.streams.recording import Place, headers_of
from tracegate.core.streams.refusal import resume_error, resume_event, untraced_error, untraced_event
from tracegate.core.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future
    from wsgiref.types import StartResponse

    from tracegate.adapters.recorder import Refusal, Tape
    from tracegate.adapters.wsgi_environ import Environ
    from tracegate.adapters.wsgi_head import NativeHeaders
    from tracegate.adapters.wsgi_reply import ExcInfo
    from tracegate.core.policy import Policy
    from tracegate.core.streams.policy import StreamPolicy
    from tracegate.core.streams.recording import StreamKey
    from tracegate.store.streams import StreamStore

__all__ = ["StreamRecorder"]

_log = logging.getLogger("tracegate.recorder")
_LAST_EVENT_ID, _TRACE = "HTTP_LAST_EVENT_ID", "tracegate.trace"


class StreamRecorder:
    """A WSGI application, inside a gate, that records the event streams of the one inside it, and resumes them.

    Args:
        app: Any PEP 3333 application.
        store: Where streams are kept: a store, or its address; or a recorder, with its policy, that others use too.
        principal: Returns who has been authenticated, or None for nobody: such requests are neither recorded nor
            resumed. **A resumed stream is served without calling the application**: what this returns is all that
            protects it.
        stream_key: Returns what names the stream among the principal's, or None for one that is not recorded. Default:
            method, path and query.
        tenant: Returns the tenant. Default: as the gate does, by the policy's tenant header.
        policy: How streams are recorded.

    Raises:
        ConfigurationError: The address cannot be one of a store.

    Source: contract clause D8; PEP 3333.
    """

    def __init__(  # noqa: PLR0913 - two parts, three questions and a policy
        self,
        app: Callable[[Environ, StartResponse], Iterable[bytes]],
        store: StreamStore | Recorder | str,
        *,
        principal: Callable[[Environ], str | None],
        stream_key: Callable[[Environ], str | None] | None = None,
        tenant: Callable[[Environ], str] | None = None,
        policy: StreamPolicy | None = None,
    ) -> None:
        self.app = app
        self.recorder = store if isinstance(store, Recorder) else Recorder(store, policy)
        self._principal = principal
        self._stream_key = stream_key
        self._tenant = tenant

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        key = self._key(environ)
        if key is None:
            return self.app(environ, start_response)
        request = _Request(self.recorder, environ, key)
        sent = environ.get(_LAST_EVENT_ID)
        event_id = id_of_request([] if sent is None else [sent.encode("latin-1", "replace")])
        if event_id:
            return request.resume(event_id, start_response)
        recording = _Recording(request, start_response)
        try:
            return recording.answer(self.app(environ, recording.start))
        except BaseException:
            recording.end("broken")
            raise

    def _key(self, environ: Environ) -> StreamKey | None:
        policy = policy_of(environ.get(MARK))
        if self._stream_key is not None:
            name = self._stream_key(environ)
        else:
            query = environ.get("QUERY_STRING", "").encode("latin-1", "replace")
            name = target_of(method_of(environ), path_of(environ), query, policy)
        principal = None if name is None else self._principal(environ)
        if name is None or principal is None:
            return None
        tenant = _tenant_of(environ, policy) if self._tenant is None else self._tenant(environ)
        return key_of(tenant, principal, name)


class _Request:
    """One request for a recorded stream.

    Attributes:
        trace: The bound trace; None: there is no gate.
    """

    def __init__(self, recorder: Recorder, environ: Environ, key: StreamKey) -> None:
        self.recorder = recorder
        self.environ = environ
        self.key = key
        trace = environ.get(_TRACE)
        self.trace = trace if isinstance(trace, Trace) else None

    def resume(self, event_id: str, start_response: StartResponse) -> Iterable[bytes]:
        """Return what comes after an event, or why that cannot be."""
        terms, trace = terms_of(self.environ.get(MARK)), self.trace
        if terms is None or trace is None:
            return _answer(self.untraced(None), start_response)
        place = self.recorder.find(self.key, event_id)
        if isinstance(place, Place):
            status = NO_CONTENT if place.over else 200
            start_response(status_line(status), native_lines(headers_of(place.headers)))
            return [] if place.over else Replay(self.recorder, place, terms.policy.formats)
        method, path = method_of(self.environ), path_of(self.environ)
        runtime, shell = runtime_of(self.environ.get(MARK)), getattr(self.environ.get(MARK), "shell", None)
        event = resume_event(place, trace, method, terms.gate.mode_of(path, None))
        if shell is not None:
            record(shell, self.environ, [event])
        elif (pending := runtime.record([event])) is not None:
            _wait(pending, runtime.wait_seconds)
        lines = lines_of(self.environ, keys_of(terms.policy.header))
        return _answer(refusal(terms, resume_error(place, trace), lines, method, path), start_response)

    def untraced(self, status: int | None) -> Refusal:
        """Return the answer to a request that no gate has let in (E2); *status* is what the application had chosen."""
        runtime = runtime_of(self.environ.get(MARK))
        header = runtime.policy.header
        trace = Trace.of(runtime.mint.trace_id(), "minted")
        method = method_of(self.environ)
        runtime.record([untraced_event(trace, method, status)])
        lines = lines_of(self.environ, keys_of(header))
        error = untraced_error(trace, header, status)
        return refusal(runtime.terms(header.encode("ascii")), error, lines, method, path_of(self.environ))


class _Recording:
    """One reply that the application makes, recorded where it is an event stream; as an iterable, its body."""

    def __init__(self, request: _Request, start_response: StartResponse) -> None:
        self._request = request
        self._start_response = start_response
        self._policy = request.recorder.policy
        self._tape: Tape | None = None
        self._refusal: Refusal | None = None
        self._started = False
        self._body: Iterable[bytes] = ()
        self._steps: Iterator[bytes] = iter(())

    # What the application calls.

    def start(self, status: str, headers: NativeHeaders, exc_info: ExcInfo | None = None) -> Callable[[bytes], object]:
        """Take the reply's head, as ``start_response``."""
        request = self._request
        more: tuple[ExcInfo, ...] = () if exc_info is None else (exc_info,)
        is_stream = is_event_stream(method_of(request.environ), status_of(status), byte_lines(headers))
        refused = request.untraced(status_of(status)) if is_stream and request.trace is None else None
        if refused is not None:
            status, headers = refused.line, native_lines(refused.headers)
        elif is_stream and self._policy.number_events:
            headers = [line for line in headers if line[0].lower() != "content-length"]
        write = self._start_response(status, headers, *more)  # where it raises, what there was goes on
        self.end("broken")  # the head of a stream was taken back, if there was one
        self._tape, self._refusal, self._started = None, refused, refused is None
        if refused is not None:
            return _ignore
        if not is_stream or request.trace is None:
            return write
        self._tape = tape = request.recorder.tape(request.key, request.trace, byte_lines(headers))
        return lambda data: write(self._taken(tape, data))

    # What the recorder calls.

    def answer(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return what the server shall send, now that the application has returned *body*."""
        if self._started and self._tape is None:
            return body
        self._body = body
        self._steps = (piece for piece in body)  # behind its end the application is not asked again
        return self

    def end(self, status: str) -> None:
        """Say how the recording ends, if there is one."""
        if self._tape is not None:
            self._tape.end("ended" if status == "ended" else "broken")

    # What the server calls.

    def __iter__(self) -> Iterator[bytes]:
        """Return itself: a body is read once."""
        return self

    def __next__(self) -> bytes:
        """Return the next piece: at most one of the application's is asked for."""
        piece = self._step() if self._refusal is None else b""
        return piece if self._refusal is None else self._refused(self._refusal)

    def close(self) -> None:
        """Close the application's body; what the client did not wait for is recorded first, if the policy says so."""
        try:
            if self._tape is not None and not self._tape.over and self._policy.on_disconnect == "finish":
                self._go_on(self._tape)
        finally:
            self.end("broken")
            close = getattr(self._body, "close", None)
            if close is not None:
                close()

    def _step(self) -> bytes:
        try:
            piece = next(self._steps)
        except StopIteration:
            rest = b"" if self._tape is None else self._tape.rest()
            self.end("ended")
            if rest:
                return rest
            raise
        except BaseException:
            self.end("broken")
            raise
        return piece if self._tape is None or self._refusal is not None else self._taken(self._tape, piece)

    def _go_on(self, tape: Tape) -> None:
        try:
            for piece in self._steps:
                tape.take(piece)
        except Exception:  # noqa: BLE001 - whatever it was, the server is told nothing any more (C4)
            _log.exception("a stream failed after its client had left")
            self.end("broken")
        else:
            self.end("ended")

    def _taken(self, tape: Tape, piece: bytes) -> bytes:
        out, pending = tape.take(piece)
        if pending is not None:
            _wait(pending, self._policy.commit_wait_seconds)
        return out

    def _refused(self, answer: Refusal) -> bytes:
        """Return the refusal's body, once; nothing of the application's follows."""
        if not answer.body:
            raise StopIteration
        self._refusal = answer._replace(body=b"")
        return answer.body


def _tenant_of(environ: Environ, policy: Policy) -> str:
    """Return the tenant as the gate's events name it (clause F2)."""
    name = policy.tenant_header
    value: str | None = None if name is None else environ.get(f"HTTP_{name.upper().replace('-', '_')}")
    return policy.default_tenant if value is None else value


def _answer(answer: Refusal, start_response: StartResponse) -> Iterable[bytes]:
    start_response(answer.line, native_lines(answer.headers))
    return [answer.body]


def _ignore(_: bytes) -> None:
    """Take what a refused application writes."""


def _wait(pending: Future[bool], seconds: float) -> None:
    from concurrent.futures import wait  # noqa: PLC0415 - who made this has loaded it

    wait([pending], seconds)
