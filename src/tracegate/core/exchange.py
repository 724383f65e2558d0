"""What may leave for one request? The state machine of one reply.

A shell feeds what the application does (``start``, ``body``, ``fail``, ``finish``) and sends what ``take`` returns. A
head whose body needs nothing is returned by ``start`` itself: from there on the shell sends the application's messages
straight through. The states, and what leads from one to the next, stand in :class:`~tracegate.core.reply.State`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import msgspec

from tracegate.core.events import KIND_BY_DETAIL, Event, Kind, Stage
from tracegate.core.facts import Facts, reply_event
from tracegate.core.refusal import REFUSED_STATUS, ErrorObject, error_object, refusal_object, retained
from tracegate.core.reply import Part, Signal, Start, State
from tracegate.core.rewrite.choose import Treatment, choose, is_bodiless
from tracegate.core.rewrite.error_body import ErrorBody
from tracegate.core.rewrite.event_body import EventBody
from tracegate.core.rewrite.headers import coding_of, rewritten, stood_in
from tracegate.core.rewrite.long_body import SuccessBody
from tracegate.core.rewrite.step import Fate, Step
from tracegate.core.rewrite.treatment import Treated, treated
from tracegate.errors import MissingTraceError, ReplyError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracegate.core.head import Headers, ReplyHead
    from tracegate.core.terms import Terms
    from tracegate.core.trace import Trace

__all__ = ["Exchange", "Part", "Signal", "Start", "State"]

_INTERNAL_ERROR = 500
_KEPT = "Another trace in the reply was delivered, as configured."
_WRONG_LENGTH = "The body is shorter or longer than its declared length."


class Exchange(msgspec.Struct, eq=False):
    """One request and its reply; made when the gate let the request in.

    Attributes:
        terms: What all exchanges of one gate share.
        trace: The bound trace.
        method: The request's method.
        path: The request's decoded path.
        headers: The request's header lines, names lower-case.
        raw_path: The path as sent, where known.
        transport: ``http`` or ``websocket``, for events.
        state: Where the reply stands.
        gone: Whether the client left; set by the shell.
        error: What the shell raises into the application once the parts are sent, or None.
        remaining: Bytes of the declared length still to come; -1 where none is declared.
        status: The status that the application chose, or None.
    """

    terms: Terms
    trace: Trace
    method: str
    path: str
    headers: Headers
    raw_path: bytes | None = None
    transport: str = "http"
    state: State = State.OPEN
    gone: bool = False
    error: ReplyError | None = None
    remaining: int = -1
    status: int | None = None
    _head: ReplyHead | None = None
    _trailers: bool = False
    _treated: Treated | None = None
    _parts: tuple[Part, ...] = ()
    _events: tuple[Event, ...] = ()

    # What the application does.

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]], *, trailers: bool = False) -> Headers | None:
        """Take the reply's head.

        Returns:
            The lines to send where the body goes straight through; None where :meth:`take` has what leaves.

        Raises:
            ReplyError: The reply was started before.
        """
        if self.state is not State.OPEN:
            if self.over:
                return None
            raise ReplyError("the reply was started twice")
        self.status = status
        head = self.terms.heads.read(status, headers)
        if isinstance(head, str):
            self._replace(error_object(_INTERNAL_ERROR, self.trace), [])
            self.error = ReplyError(f"no server would send this reply: {head}")
            return None
        self._head, self._trailers = head, trailers
        if head.trace_values and self.terms.contradicts(head.trace_values, self.trace):
            if not self.terms.keeps(self.path, self.raw_path):
                self._refuse("head")
                return None
            self._note_kept("head")
        if head.traceresponse is not None and self.terms.differs(head.traceresponse, self.trace):
            self._note_kept("head", "traceresponse names another trace; it was left as it is.")
        return self._pass(head, head.headers) if not head.media else self._treat(head)

    def reopen(self) -> None:
        """Begin anew: the server did not take the head, so that another one may come, or a refusal."""
        self.state, self.status, self.remaining, self.error = State.OPEN, None, -1, None
        self._head, self._treated, self._parts = None, None, ()

    def adopt(self, status: int, remaining: int) -> None:
        """Go on with a reply whose head the shell has marked and sent: *remaining* bytes are to come, -1 for any."""
        self.state, self.status, self.remaining = State.PASSING, status, remaining

    def body(self, data: bytes, *, more: bool) -> None:
        """Take a piece of a body that does not pass straight through; the last one unless *more*.

        Raises:
            ReplyError: The reply was not started, or has ended.
        """
        if self.over:
            return
        if self.state not in _TAKES_BODY:
            raise ReplyError("a body came before the start of the reply or after its end")
        if not self.fits(len(data), more=more):
            self._break_off(data)
        elif self.state is State.WAITING and not data:
            self.state = State.WAITING if more else State.EMPTY
        else:
            assert self._treated is not None  # noqa: S101 - start() set it for these states
            self._apply(self._treated.feed(data, more=more))

    def relay(self, data: bytes) -> bytes | None:
        """Take a piece, not the last, of a body whose head has left; return what leaves, or None: see :meth:`take`."""
        if self.remaining < 0 and isinstance(self._treated, EventBody):
            step = self._treated.feed(data, more=True)
            if step.fate is _MORE and not step.kept:
                return step.data
            self._apply(step)
        else:
            self.body(data, more=True)
        return None

    def fits(self, size: int, *, more: bool) -> bool:
        """Return whether *size* more bytes, the last ones unless *more*, agree with the declared length (C5)."""
        if self.remaining < 0:
            return True
        left = self.remaining - size
        if left < 0 or (left > 0 and not more):
            return False
        self.remaining = left
        return True

    def mismatch(self) -> None:
        """Note that a body which passes straight through disagrees with its declared length (C5)."""
        self._stop(_WRONG_LENGTH)

    def fail(self, error: BaseException) -> None:
        """Take an exception that the application raised before its reply was complete (C4, C5, D7)."""
        if isinstance(error, MissingTraceError) and self.state <= State.EMPTY:
            self._refuse("context", "trace_id_missing", recorded=error.recorded)
        else:
            self._stop(f"The application raised {type(error).__name__}.")

    def finish(self) -> None:
        """Take the application's return."""
        if self.state in (State.EMPTY, State.CLOSING):
            self.release()
        else:
            self._stop("The application returned before its reply was complete.")

    def release(self) -> None:
        """Let a held start or end go: time is up, or the application waits for the client (D7)."""
        if self.state in (State.WAITING, State.EMPTY):
            self._put(self._own_start())
        if self.state is State.CLOSING and isinstance(self._treated, EventBody):
            self._put(*filter(None, (self._treated.rest(),)))
        if self.state in (State.EMPTY, State.CLOSING):
            self._put(Signal.END)
        self.state = State.TREATED if self.state is State.WAITING else State.DONE

    def deny(self, status: int) -> None:
        """Answer a WebSocket handshake that the application closed before it accepted (C1)."""
        self._replace(error_object(status, self.trace), [])

    def allows(self, headers: Iterable[tuple[bytes, bytes]], stage: Stage) -> bool:
        """Return whether early hints or trailers may leave; where not, the reply was refused (C3)."""
        values = tuple(value for name, value in headers if name.lower() == self.terms.header_key)
        if not values or not self.terms.contradicts(values, self.trace):
            return True
        if self.terms.keeps(self.path, self.raw_path):
            self._note_kept(stage)
            return True
        if not self.over:
            self._refuse(stage)
        return False

    # What the shell asks.

    def take(self) -> tuple[Part, ...]:
        """Return what leaves now, each part once."""
        parts, self._parts = self._parts, ()
        return parts

    def take_events(self) -> tuple[Event, ...]:
        """Return the facts since the last call, each once."""
        events, self._events = self._events, ()
        return events

    @property
    def waits(self) -> bool:
        """Whether a start or an end is held until time has passed (D7)."""
        return self.state in _WAITS

    @property
    def stage(self) -> Stage:
        """What the body is: ``stream`` for events, which several tasks may feed, else ``body``."""
        return "stream" if isinstance(self._treated, EventBody) else "body"

    @property
    def over(self) -> bool:
        """Whether nothing more of the application leaves, and it should see a disconnect (E2)."""
        return self.state in _OVER

    # How a head is treated.

    def _pass(self, head: ReplyHead, lines: Headers) -> Headers:
        self.state = State.PASSING
        if not (head.length < 0 or head.elsewhere or is_bodiless(self.method, head.status)):
            self.remaining = head.length
        return self.terms.marked(head, lines, self.trace)

    def _treat(self, head: ReplyHead) -> Headers | None:
        treatment = choose(self.terms.policy, head, self.method, self.path, self.raw_path)
        if treatment is Treatment.PASS:
            return self._pass(head, head.headers)
        if treatment is Treatment.ERROR_TEXT:
            self._stand_in(head)
            return None
        terms, path = self.terms, (self.path, self.raw_path)
        keep, observes = terms.keeps(*path), terms.observes(*path)
        self._treated = treated(treatment, head, terms, self.trace, self.headers, keep=keep, observes=observes)
        if self._treated is None and observes:
            self._note_kept("stream")
            return self._pass(head, head.headers)
        if self._treated is None:
            self._record("stream_broken", "stream", "The stream's content coding is unknown.", status=_INTERNAL_ERROR)
            self._replace(error_object(_INTERNAL_ERROR, self.trace), [])
            return None
        self.state = State.HELD
        if treatment is not Treatment.ERROR_HEAD:
            self.remaining = head.length
        if treatment is Treatment.EVENTS:
            self.state = State.WAITING
            head.headers = rewritten(head.headers, length=None, decoded=bool(coding_of(head.headers)))
        return None

    def _apply(self, step: Step) -> None:
        """Send what a treated body gave, and go where it says."""
        if step.kept:
            self._note_kept(self.stage)
        if step.fate is Fate.UNREADABLE:
            assert self._head is not None  # noqa: S101
            self._stand_in(self._head)
            return
        if step.fate is Fate.OVERWRITE and self.state is State.HELD:
            self._refuse("body")
            return
        if self.state is State.WAITING or step.headers is not None:
            self._put(self._own_start(step.headers))
            self.state = State.TREATED
        if step.data:
            self._put(step.data)
        if step.fate is Fate.END:
            self.state = State.CLOSING if self.stage == "stream" else State.DONE
            if self.state is State.DONE:
                self._put(Signal.END)
        elif step.fate is Fate.OVERWRITE:
            self._refuse(self.stage)
        elif step.fate is Fate.BROKEN:
            self._stop("The body is not what its head says.")

    def _own_start(self, lines: Headers | None = None) -> Start:
        head = self._head
        assert head is not None  # noqa: S101 - start() set it
        marked = self.terms.marked(head, head.headers if lines is None else lines, self.trace)
        return Start(head.status, marked, self._trailers)

    # How a reply is refused, replaced or ended.

    def _refuse(self, stage: Stage, detail: str = "trace_overwrite_refused", *, recorded: bool = False) -> None:
        head, status = self._head, self.status
        error = refusal_object(detail, self.trace, self.terms.policy.header, status)
        unsent = self.state <= State.EMPTY
        if not recorded:
            kind, left = KIND_BY_DETAIL[detail], REFUSED_STATUS if unsent else status
            self._record(kind, stage, error.message, status=left, refused_status=status, detail=detail)
        if unsent:
            self._replace(error, retained(head.headers) if head is not None else [])
        else:
            self._end_with(error)

    def _stop(self, why: str) -> None:
        """End a reply that cannot be completed: whole and traced where nothing has left, else without a clean end."""
        if self.state in (State.REPLACED, State.ABORTED, State.DONE):
            return
        if self.gone:
            self.state = State.ABORTED
        elif self.state <= State.EMPTY:
            self._replace(error_object(_INTERNAL_ERROR, self.trace), [])
        else:
            self._record("stream_broken", self.stage, why, status=self.status)
            self._end_with(error_object(_INTERNAL_ERROR, self.trace))

    def _break_off(self, data: bytes) -> None:
        """End a body that disagrees with its declared length (C5): what it promised is never delivered whole."""
        head, body = self._head, self._treated
        if self.state is State.HELD and head and head.length and isinstance(body, (ErrorBody, SuccessBody)):
            self._put(self._own_start(), (body.unsent + data)[: head.length - 1])
            self.state = State.TREATED
        elif self.state is State.WAITING:
            self.release()
        self._stop(_WRONG_LENGTH)

    def _end_with(self, error: ErrorObject) -> None:
        """End what has left without a clean end; an event stream says why, once (D7, E4)."""
        if isinstance(self._treated, EventBody) and self._treated.at_boundary and self.state is not State.DONE:
            self._put(self.terms.error_event(error))
        self._put(Signal.ABORT)
        self.state = State.ABORTED

    def _stand_in(self, head: ReplyHead) -> None:
        """Answer with the standard error object of the same status; the application's other headers stay (D2, D3)."""
        self._replace(error_object(head.status, self.trace), stood_in(head.headers))

    def _replace(self, error: ErrorObject, kept: Headers) -> None:
        lines, body = self.terms.own_headers(error, self.headers, kept, self.method, self.path)
        self._put(Start(error.status, lines), body, Signal.END)
        self.state = State.REPLACED

    def _put(self, *parts: Part) -> None:
        self._parts += parts

    # Facts.

    def _note_kept(self, stage: Stage, message: str = _KEPT) -> None:
        self._record("trace_overwrite_refused", stage, message, status=self.status, would_refuse=True)

    def _record(self, kind: Kind, stage: Stage, message: str, **facts: Unpack[Facts]) -> None:
        self._events += (reply_event(self, kind, stage, message, **facts),)


_MORE = Fate.MORE  # an enum's attribute is a slow one
_WAITS, _OVER = (State.WAITING, State.EMPTY, State.CLOSING), (State.REPLACED, State.ABORTED)
_TAKES_BODY = (State.HELD, State.WAITING, State.TREATED)
