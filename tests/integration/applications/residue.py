"""Is a trace left in any context of this process? Looks at every live one, whatever thread or task it is of."""

from __future__ import annotations

import gc
from contextvars import Context, copy_context

__all__ = ["count_residue"]


def count_residue() -> int:
    """Return how many live contexts hold a tracegate value that is not the caller's own."""
    gc.collect()
    own = {id(value) for value in copy_context().values()}
    contexts = [found for found in gc.get_objects() if isinstance(found, Context)]
    return sum(_holds_foreign(context, own) for context in contexts)


def _holds_foreign(context: Context, own: set[int]) -> bool:
    return any(
        variable.name.startswith("tracegate") and value is not None and id(value) not in own
        for variable, value in context.items()
    )
