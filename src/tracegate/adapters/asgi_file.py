"""What are the bytes of a body that the application sends as a file?

Error bodies only (clause D3): success files stay with the server.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracegate.adapters.asgi_scope import Message

__all__ = ["read_path", "read_range"]

_PIECE_BYTES = 1 << 16


def read_path(message: Message) -> bytes:
    """Return the file of an ``http.response.pathsend`` message.

    Raises:
        OSError: It cannot be read; that is the application's fault and becomes a traced 500.
    """
    return Path(message["path"]).read_bytes()


def read_range(message: Message) -> bytes:
    """Return the range of an ``http.response.zerocopysend`` message, read from its file descriptor.

    Raises:
        OSError: It cannot be read.
    """
    descriptor: int = message["file"]
    offset: int | None = message.get("offset")
    count: int | None = message.get("count")
    if offset is not None:
        os.lseek(descriptor, offset, os.SEEK_SET)
    pieces: list[bytes] = []
    while count is None or count > 0:
        piece = os.read(descriptor, _PIECE_BYTES if count is None else min(count, _PIECE_BYTES))
        if not piece:
            break
        pieces.append(piece)
        count = None if count is None else count - len(piece)
    return b"".join(pieces)
