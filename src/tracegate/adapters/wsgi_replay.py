"""How does a resumed client of a WSGI application get the rest of its stream?"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from tracegate.adapters.recorder import KEEP_ALIVE, lost
from tracegate.core.streams.replay import replayed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracegate.adapters.recorder import Recorder
    from tracegate.core.streams.recording import Place, RecordedEvent

__all__ = ["Replay"]


class Replay:
    """The body of a resumed stream: what is recorded, then what is still being recorded, until the stream ends.

    Args:
        recorder: Reads.
        place: Where the client is.
        formats: The formats of trace ids that the gate takes beside the canonical ones.
    """

    def __init__(self, recorder: Recorder, place: Place, formats: tuple[str, ...]) -> None:
        self._recorder = recorder
        self._recording = place.recording
        self._after = place.seq
        self._formats = formats
        self._events: deque[RecordedEvent] = deque()
        self._quiet = 0.0

    def __iter__(self) -> Iterator[bytes]:
        """Return itself: a body is read once."""
        return self

    def __next__(self) -> bytes:
        """Return one event; where there is none yet, nothing after a while, or a comment.

        Raises:
            StoreError: The stream has a gap, its producer is gone, or the store does not answer: no clean end (D7).
            StopIteration: It has ended.
        """
        if not self._events:
            chapter = self._recorder.read(self._recording, self._after)
            if chapter.end == "ended":
                raise StopIteration
            if chapter.end is not None:
                raise lost(chapter.end)
            self._events.extend(chapter.events)
        if not self._events:
            return self._wait()
        event = self._events.popleft()
        self._after, self._quiet = event.seq, 0.0
        return replayed(event, self._formats)

    def _wait(self) -> bytes:
        policy = self._recorder.policy
        time.sleep(policy.poll_seconds)
        self._quiet += policy.poll_seconds
        if self._quiet < policy.keep_alive_seconds:
            return b""
        self._quiet = 0.0
        return KEEP_ALIVE
