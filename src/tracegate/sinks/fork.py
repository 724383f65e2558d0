"""What has to begin anew in a forked child? What has a lock or a thread: the child has neither's owner."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["Forkable", "begin_anew_after_fork"]


class Forkable(Protocol):
    """Keeps something that belongs to one process."""

    def begin_anew(self) -> None:
        """Forget the parent's locks, threads and open files; called in the child before anything else runs there."""
        ...  # pragma: no cover


_kept: WeakSet[Forkable] = WeakSet()


def begin_anew_after_fork(thing: Forkable) -> None:
    """Have *thing* begin anew in each child that is forked while it lives."""
    _kept.add(thing)


def _begin_anew() -> None:
    for thing in list(_kept):
        thing.begin_anew()


os.register_at_fork(after_in_child=_begin_anew)
