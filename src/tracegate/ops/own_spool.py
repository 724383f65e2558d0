"""Where do events of this store wait on this machine? Where a service with the same settings would have them wait.

Source: contract clauses F3 and H3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracegate.sinks.spool import Spool
from tracegate.sinks.stored import spool_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["own_spool"]


def own_spool(url: str, directory: Path | str = "") -> Spool | None:
    """Return the spool to be looked at.

    Args:
        url: The store's; it has been opened.
        directory: Where the spool is said to be; empty: where it is when nobody says.

    Returns:
        None where none can be: on a machine without any place for temporary files, as a container that is read-only.
    """
    try:
        return Spool(spool_of(url, str(directory)))
    except FileNotFoundError:
        return None
