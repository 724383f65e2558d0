"""What do the stream recorders of both protocols share? Neither the protocol, nor how they wait."""

from __future__ import annotations

import logging
import time
from functools import cache
from os import urandom
from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from urllib.parse import unquote_plus

from tracegate.adapters.wiring import wired
from tracegate.context import binding
from tracegate.core.head import reason_phrase
from tracegate.core.policy import Policy
from tracegate.core.streams.blocks import BlockCutter, bounded, numbered
from tracegate.core.streams.policy import StreamPolicy
from tracegate.core.streams.recording import (
    Beginning,
    Ending,
    Place,
    RecordedEvent,
    StreamKey,
    Trimming,
    kept_headers,
    numbered_id,
)
from tracegate.errors import StoreError
from tracegate.sinks.stream_writer import StreamWriter

if TYPE_CHECKING:
    from concurrent.futures import Future

    from tracegate.core.head import Headers
    from tracegate.core.refusal import ErrorObject
    from tracegate.core.streams.blocks import Block, Piece
    from tracegate.core.streams.recording import Chapter
    from tracegate.core.streams.refusal import ResumeFault
    from tracegate.core.terms import Terms
    from tracegate.core.trace import Trace
    from tracegate.runtime import Runtime
    from tracegate.store.streams import StreamStore

__all__ = [
    "KEEP_ALIVE",
    "NO_CONTENT",
    "Recorder",
    "Refusal",
    "Tape",
    "is_event_stream",
    "key_of",
    "lost",
    "policy_of",
    "refusal",
    "runtime_of",
    "target_of",
    "terms_of",
]

KEEP_ALIVE: Final = b":\n\n"
"""A comment, which no client acts on."""

NO_CONTENT: Final = 204
"""What a client gets that has all of a stream which has ended: it does not ask again (WHATWG HTML 9.2.3)."""

_OK: Final = 200
_LOOK_SECONDS: Final = 0.03
_SETTLE_SECONDS: Final = 0.25
_EVENT_STREAM: Final = b"text/event-stream"
_log = logging.getLogger("tracegate.recorder")


class Refusal(NamedTuple):
    """A reply that a recorder makes itself."""

    status: int
    headers: Headers
    body: bytes

    @property
    def line(self) -> str:
        """The status line."""
        return f"{self.status} {reason_phrase(self.status)}"


class Recorder:
    """Where streams are recorded, and how.

    Args:
        store: Where; or its address, as :func:`~tracegate.store.engine.open_engine` takes it.
        policy: How; None: :class:`StreamPolicy`'s defaults.

    Attributes:
        policy: As given.
        writer: What writes.

    Raises:
        ConfigurationError: The address cannot be one of a store.
    """

    def __init__(self, store: StreamStore | str, policy: StreamPolicy | None = None) -> None:
        self.policy = policy or StreamPolicy()
        self._store = _opened(store) if isinstance(store, str) else store
        self.writer = StreamWriter(
            self._store, lease_seconds=self.policy.lease_seconds, max_age_seconds=self.policy.max_age_seconds
        )

    def tape(self, key: StreamKey, trace: Trace, headers: Headers) -> Tape:
        """Begin to record a reply under *trace*, which the application has started with *headers*."""
        return Tape(self, key, trace.trace_id, headers)

    def find(self, key: StreamKey, event_id: str | None) -> Place | ResumeFault:
        """Return where a client is that has the events up to *event_id*; from a thread that may wait.

        What is on its way to the store is waited for. So is, for an id of the application's own, another recording of
        the same key that is about to begin: the client may be one of that.
        """
        if event_id is None:
            return "unknown"
        policy, bounds = self.policy, (self.policy.lease_seconds, self.policy.max_age_seconds)
        latest = time.monotonic() + policy.commit_wait_seconds
        while True:
            try:
                found = self._store.find(key, event_id, lease_seconds=bounds[0], max_age_seconds=bounds[1])
            except StoreError as failure:
                _log.warning("a stream cannot be resumed: %s", failure.reason)
                return "unavailable"
            if isinstance(found, Place):
                own = event_id == numbered_id(found.recording, found.seq)
                certain = own or policy.durability == "before_event"
                latest = min(latest, time.monotonic() + _SETTLE_SECONDS)
            else:
                certain = found != "unknown"
            if certain or time.monotonic() >= latest:
                return found
            time.sleep(_LOOK_SECONDS)

    def read(self, recording: str, after: int) -> Chapter:
        """Return the events of a recording after number *after*; from a thread that may wait.

        Raises:
            StoreError: The store did not answer.
        """
        return self._store.read(recording, after, lease_seconds=self.policy.lease_seconds)


class Tape:
    """Records one reply: ``take`` each piece, then ``rest``, and ``end``.

    Args:
        recorder: Whose.
        key: Of which stream.
        trace_id: The spelling of the bound trace.
        headers: The application's.

    Attributes:
        over: Nothing more is recorded.
    """

    def __init__(self, recorder: Recorder, key: StreamKey, trace_id: str, headers: Headers) -> None:
        self._policy = recorder.policy
        self._writer = recorder.writer
        self._key = key
        self._trace_id = trace_id
        self._id = urandom(8).hex()
        self._cutter = BlockCutter(self._policy.max_event_bytes)
        self._seq = 0
        self.over = not self._writer.begin(Beginning(self._id, key, trace_id, kept_headers(headers)))
        if self.over:
            _log.error("a stream is not recorded: too much waits for the store")

    def take(self, data: bytes) -> tuple[bytes, Future[bool] | None]:
        """Take a piece of the stream; return what leaves now, and what that waits for, if anything."""
        if self.over:
            return self._cutter.finish() + data, None
        pending: Future[bool] | None = None
        out: list[bytes] = []
        for piece in self._cutter.feed(data):
            self._seq += piece.lost or piece.block is not None
            if piece.block is None:
                out.append(piece.data)
            else:
                leaves, pending = self._record(piece, piece.block)
                out.append(leaves)
        return b"".join(out), pending

    def rest(self) -> bytes:
        """Return what is held of an unfinished block."""
        return self._cutter.finish()

    def end(self, status: Literal["ended", "broken"]) -> None:
        """Say how the recording ends; what is said first holds."""
        if not self.over:
            self.over = True
            self._writer.end(Ending(self._id, status, self._seq))

    def _record(self, piece: Piece, block: Block) -> tuple[bytes, Future[bool] | None]:
        event_id, out = block.event_id, piece.data
        if event_id is None and self._policy.number_events:
            event_id = numbered_id(self._id, self._seq)
            out = numbered(block, event_id)
        event = RecordedEvent(self._id, self._key, self._seq, event_id, block.event_type, block.raw, self._trace_id)
        pending = self._writer.add(event, awaited=self._policy.durability == "before_event")
        kept = self._policy.max_events
        if self._seq > kept and self._seq % max(1, kept // 10) == 0:
            self._writer.trim(Trimming(self._id, self._seq - kept))
        return out, pending


def is_event_stream(method: str, status: object, headers: Headers) -> bool:
    """Return whether a reply is a stream that can be recorded: whole, and not encoded."""
    if method == "HEAD" or status != _OK:
        return False
    found = {name.lower(): value for name, value in headers}
    media = found.get(b"content-type", b"").partition(b";")[0].strip().lower()
    return media == _EVENT_STREAM and found.get(b"content-encoding", b"identity").strip().lower() == b"identity"


def key_of(tenant: str, principal: str, name: str) -> StreamKey:
    """Return the key under which a stream is kept; each part has a bound."""
    return StreamKey(bounded(tenant), bounded(principal), bounded(name))


def terms_of(gate: object) -> Terms | None:
    """Return the terms of the *gate* that a request carries as its mark, or None where there is none."""
    return getattr(getattr(gate, "shell", gate), "terms", None)


def policy_of(gate: object) -> Policy:
    """Return the policy of that gate; the defaults where there is none."""
    terms = terms_of(gate)
    return Policy() if terms is None else terms.policy


def runtime_of(gate: object) -> Runtime:
    """Return the runtime of that gate, or of one in front of a bridge; where there is none, the settings'."""
    for found in (gate, binding.get()):
        runtime: Runtime | None = getattr(getattr(found, "shell", None), "runtime", None)
        if runtime is not None:
            return runtime
    return _ungated()


@cache
def _ungated() -> Runtime:
    return wired(None)


def target_of(method: str, path: str, query: bytes, policy: Policy) -> str:
    """Return what names a stream where nobody says: the request's target, without the parameter that names its trace.

    Args:
        method: The request's method.
        path: Its decoded path.
        query: Its query string.
        policy: The gate's.
    """
    parameter = policy.query_parameter
    pairs = query.decode("latin-1").split("&")
    kept = [pair for pair in pairs if parameter is None or unquote_plus(pair.partition("=")[0]) != parameter]
    return f"{method} {path}?{'&'.join(kept)}"


def refusal(terms: Terms, error: ErrorObject, request: Headers, method: str, path: str) -> Refusal:
    """Return the reply that says *error*."""
    lines, body = terms.own_headers(error, request, [], method, path)
    return Refusal(error.status, lines, body)


def lost(end: str) -> StoreError:
    """Return what ends a resumed stream that cannot go on (clause D7): its producer is gone, or it has a gap."""
    why = "has a gap" if end == "gap" else "broke off"
    return StoreError(f"the recorded stream {why}")


def _opened(url: str) -> StreamStore:
    from tracegate.store.engine import open_engine  # noqa: PLC0415 - SQLAlchemy, for who records
    from tracegate.store.streams import StreamStore  # noqa: PLC0415 - same

    return StreamStore(open_engine(url))
