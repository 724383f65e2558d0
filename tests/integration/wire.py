"""What exactly came over the socket? A raw HTTP/1.1 client that hides no header line and no way of ending."""

from __future__ import annotations

import base64
import enum
import os
import re
import socket
from dataclasses import dataclass, field
from typing import Self, TypeAlias

__all__ = ["Connection", "Ending", "NoReplyError", "Reply", "ask", "ask_websocket", "request"]

Header: TypeAlias = tuple[bytes, bytes]

HOST = "127.0.0.1"
RECEIVE_BYTES = 1 << 16
MAX_HEAD_BYTES = 1 << 18
BODY_SECONDS = 3.0
"""How long a body may stand still before it counts as one that never ends; longer than any hold of the gate."""
STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: |$)")  # RFC 9112 section 4


class Ending(enum.Enum):
    """How a message ended, as far as the bytes tell (RFC 9112 section 8)."""

    TERMINAL_CHUNK = "terminal chunk"
    FULL_LENGTH = "full content-length"
    NO_BODY = "no body"
    CLOSE = "close-delimited"
    SWITCHED = "switched protocols"
    CUT = "cut"
    OPEN = "never ends"

    @property
    def clean(self) -> bool:
        """Return whether a client takes the message for complete."""
        return self not in {Ending.CUT, Ending.OPEN}


class NoReplyError(Exception):
    """The server closed or stayed silent before one whole reply head had come."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One final reply, spelled as the server spelled it.

    ``headers`` are all lines in order, names in their spelling; ``interim`` are the heads of the 1xx replies before it;
    ``pieces`` are the chunks (of a chunked body) or reads that made up ``body``.
    """

    status: int
    headers: tuple[Header, ...]
    body: bytes
    ending: Ending
    interim: tuple[tuple[int, tuple[Header, ...]], ...] = ()
    trailers: tuple[Header, ...] = ()
    pieces: tuple[bytes, ...] = field(default=(), repr=False)

    def values(self, name: bytes) -> list[bytes]:
        """Return the value of each line called *name*, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def value(self, name: bytes) -> bytes:
        """Return the only value of *name*, or ``b""`` where the line is absent or stands more than once."""
        found = self.values(name)
        return found[0] if len(found) == 1 else b""


class Connection:
    """One TCP connection to a server on the loopback interface."""

    def __init__(self, port: int, *, timeout_seconds: float = 10.0) -> None:
        """Connect to *port* at once."""
        self._socket = socket.create_connection((HOST, port), timeout=timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self._reset = False
        self._silent = False

    def __enter__(self) -> Self:
        """Return the connection."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the connection."""
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send *data*; a peer that is gone already shows when the reply is read."""
        try:
            self._socket.sendall(data)
        except OSError:
            self._reset = True

    def abort(self) -> None:
        """Close with a reset, as a client that is killed does."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self._socket.close()

    def read_reply(self, method: str = "GET") -> Reply:
        """Read one final reply to a *method* request.

        Raises:
            NoReplyError: the connection ended, broke or stayed silent before a whole head was there.
        """
        interim: list[tuple[int, tuple[Header, ...]]] = []
        status, headers = self.read_head()
        while 100 <= status < 200 and status != 101:
            interim.append((status, headers))
            status, headers = self.read_head()
        fields = {name.lower(): value for name, value in headers}
        trailers: tuple[Header, ...] = ()
        pieces: list[bytes] = []
        self._socket.settimeout(BODY_SECONDS)
        if status == 101:
            ending = Ending.SWITCHED
        elif method == "HEAD" or status in {204, 304}:
            ending = Ending.NO_BODY
        elif fields.get(b"transfer-encoding", b"").lower() == b"chunked":
            ending, trailers = self._read_chunks(pieces)
        elif b"content-length" in fields:
            ending = self._read_length(int(fields[b"content-length"]), pieces)
        else:
            ending = self._read_to_close(pieces)
        return Reply(status, headers, b"".join(pieces), ending, tuple(interim), trailers, tuple(pieces))

    def read_head(self) -> tuple[int, tuple[Header, ...]]:
        """Read one head; see :meth:`read_reply`."""
        start = self._line()
        status = STATUS_LINE.match(start or b"")
        if start is None or status is None:
            nothing = "silent" if self._silent else "closed without a reply"
            raise NoReplyError(nothing if start is None else f"no status line but {start!r}")
        headers: list[Header] = []
        while line := self._line():
            name, _, value = line.partition(b":")
            headers.append((name, value.strip(b" \t")))
        if line is None:
            raise NoReplyError(f"the head ends after {start!r} and {len(headers)} lines")
        return int(status[1]), tuple(headers)

    def read_some(self) -> bytes:
        """Return the next bytes as they come, ``b""`` at the end of the stream."""
        if self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
            return data
        return self._receive()

    def read_exactly(self, size: int) -> bytes | None:
        """Return *size* bytes, or None where the stream ends before."""
        while len(self._buffer) < size:
            if not self._fill():
                return None
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(RECEIVE_BYTES)
        except TimeoutError:
            self._silent = True
            return b""
        except OSError:
            self._reset = True
            return b""

    def _fill(self) -> bool:
        data = self._receive()
        self._buffer += data
        return bool(data)

    def _line(self) -> bytes | None:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > MAX_HEAD_BYTES or not self._fill():
                return None
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        return line

    def _read_chunks(self, pieces: list[bytes]) -> tuple[Ending, tuple[Header, ...]]:
        while (line := self._line()) is not None:
            size = int(line.partition(b";")[0], 16)
            if size == 0:
                trailers: list[Header] = []
                while trailer := self._line():
                    name, _, value = trailer.partition(b":")
                    trailers.append((name, value.strip(b" \t")))
                return (self._broken() if trailer is None else Ending.TERMINAL_CHUNK), tuple(trailers)
            if not self._read_length(size, pieces).clean or self._line() is None:
                break
        return self._broken(), ()

    def _broken(self) -> Ending:
        return Ending.OPEN if self._silent else Ending.CUT

    def _read_length(self, size: int, pieces: list[bytes]) -> Ending:
        data = self.read_exactly(size)
        if data is None:
            pieces.append(bytes(self._buffer))
            self._buffer.clear()
            return self._broken()
        pieces.append(data)
        return Ending.FULL_LENGTH

    def _read_to_close(self, pieces: list[bytes]) -> Ending:
        while data := self.read_some():
            pieces.append(data)
        return self._broken() if self._reset or self._silent else Ending.CLOSE


def request(method: str, path: str, lines: tuple[bytes, ...] = (), body: bytes = b"") -> bytes:
    """Return the bytes of one request; *lines* are whole header lines, sent as they are."""
    head = [f"{method} {path} HTTP/1.1".encode("latin-1"), b"Host: 127.0.0.1", *lines]
    if body:
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*head, b"", body])


def ask(port: int, method: str, path: str, lines: tuple[bytes, ...] = (), body: bytes = b"") -> Reply:
    """Send one request on a connection of its own and return the reply.

    Raises:
        NoReplyError: there was none.
    """
    with Connection(port) as connection:
        connection.send(request(method, path, lines, body))
        return connection.read_reply(method)


def ask_websocket(port: int, path: str, lines: tuple[bytes, ...] = ()) -> Reply:
    """Try a WebSocket handshake (RFC 6455 section 4.1); after a 101 the body is the payload of the first frame.

    Raises:
        NoReplyError: there was no answer to the handshake.
    """
    key = b"Sec-WebSocket-Key: " + base64.b64encode(bytes(16))  # the same each time, so that the answers compare equal
    upgrade = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", key)
    with Connection(port) as connection:
        connection.send(request("GET", path, (*upgrade, *lines)))
        reply = connection.read_reply("GET")
        if reply.ending is not Ending.SWITCHED:
            return reply
        connection.send(_text_frame(b"hello"))
        payload = _read_frame(connection)
        return Reply(reply.status, reply.headers, payload, reply.ending, reply.interim)


def _text_frame(payload: bytes) -> bytes:
    """Return a masked text frame with *payload* of at most 125 bytes (RFC 6455 section 5.2)."""
    mask = os.urandom(4)
    return bytes([0x81, 0x80 | len(payload)]) + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def _read_frame(connection: Connection) -> bytes:
    start = connection.read_exactly(2)
    if start is None:
        return b""
    return connection.read_exactly(start[1] & 0x7F) or b""
