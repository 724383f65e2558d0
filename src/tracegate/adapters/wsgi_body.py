"""What can a body of an application's be, beside an iterable of bytes (PEP 3333)?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracegate.context import binding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracegate.adapters.wsgi_environ import Environ
    from tracegate.context import Binding

__all__ = ["close_body", "is_file"]


def is_file(body: Iterable[bytes], environ: Environ) -> bool:
    """Return whether *body* is a file that the server sends by itself (PEP 3333, "Optional Platform-Specific…")."""
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)


def close_body(body: Iterable[bytes] | None, bound: Binding) -> None:
    """Close the application's *body*, where it can be, under *bound*."""
    close = getattr(body, "close", None)
    if close is None:
        return
    found = binding.get()
    binding.set(bound)
    try:
        close()
    finally:
        binding.set(found)
