"""Is an exception the application's failure, or is it told to stop?"""

from __future__ import annotations

import sys
from typing import cast

__all__ = ["is_cancellation"]

_OF_PYTHON = (GeneratorExit, KeyboardInterrupt)
_OF_LIBRARIES = (("asyncio", "CancelledError"), ("trio", "Cancelled"), ("greenlet", "GreenletExit"))


def is_cancellation(error: BaseException) -> bool:
    """Return whether *error* says that the task is to stop, and not that the application failed (clause C4).

    A group says so where all of its exceptions do. What else there is counts as a failure, ``gevent.Timeout`` and other
    relatives of :class:`BaseException` included.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_cancellation, cast("BaseExceptionGroup[BaseException]", error).exceptions))
    if isinstance(error, _OF_PYTHON):
        return True
    for module, name in _OF_LIBRARIES:
        loaded = sys.modules.get(module)  # what nobody has loaded, nobody can raise
        if loaded is not None and isinstance(error, getattr(loaded, name)):
            return True
    return False
