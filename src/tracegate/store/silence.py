"""How long may a server keep silent before it counts as gone?

A server whose processes are stopped, or whose machine hangs, keeps its connections: the system acknowledges for it what
is sent to it, and no timeout of the server or of TCP ever ends the wait. So the wait ends here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from psycopg import Connection, OperationalError

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["connect"]

SILENCE_SECONDS: Final = 20.0
"""Longer than any statement may take on the server: where that one is alive, it is the one to end it."""


class _Watched(Connection[Any]):
    """A connection that does not wait for ever."""

    def wait(self, gen: Any, *bounds: Any, **named: Any) -> Any:  # noqa: ANN401 - the driver's, passed through
        return super().wait(self._until_silent(gen), *bounds, **named)

    def _until_silent(self, waiting: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Go on with *waiting*, which gets a false value as often as nothing has come for a moment."""
        deadline = time.monotonic() + SILENCE_SECONDS
        try:
            wanted = next(waiting)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > deadline:
                    self.pgconn.finish()  # or its answer would be taken for that of the next question
                    raise OperationalError("the server keeps silent")
                wanted = waiting.send(ready)
        except StopIteration as end:
            return end.value


def connect(*arguments: Any, **named: Any) -> Connection[Any]:  # noqa: ANN401 - the driver's, passed through
    """Connect like the driver; whatever waits for the server longer than :data:`SILENCE_SECONDS` fails.

    Raises:
        OperationalError: By the driver, and for silence.
    """
    return _Watched.connect(*arguments, **named)
