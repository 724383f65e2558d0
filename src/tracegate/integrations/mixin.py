"""How does an application that exists gain a method of its own?

Python looks ``__call__`` up on the class, so no attribute of an instance can stand before it. The application keeps its
identity and its type: its class becomes a subclass of the one it had, with the mixin first.
"""

from __future__ import annotations

from typing import TypeVar

__all__ = ["mix_in"]

_T = TypeVar("_T")


def mix_in(application: object, mixin: type[_T]) -> _T:
    """Put *mixin* before the class of *application*, in place, and return *application*.

    Args:
        application: Any instance of the classes that *mixin* derives from, or of a subclass.
        mixin: Its methods find the application's own through ``super()``.

    Raises:
        TypeError: *application* is something else, such as an application that something is wrapped around.
    """
    kind = type(application)
    for base in mixin.__bases__:
        if not issubclass(kind, base):
            raise TypeError(f"a {base.__name__} application is wanted, not a {kind.__name__} around it")
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    application.__class__ = type(kind.__name__, (mixin, kind), names)
    assert isinstance(application, mixin)  # noqa: S101 - for the type checkers
    return application
