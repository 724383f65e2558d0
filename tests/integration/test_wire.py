"""Does the raw client hide nothing? It is fed bytes that a server made up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.wire import Ending, NoReplyError, Reply, ask

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@contextmanager
def answering(answer: bytes, *, reset: bool = False) -> Iterator[int]:
    """Answer one connection with *answer* and close it; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, *bytes(7)]))

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def read(answer: bytes, method: str = "GET", *, reset: bool = False) -> Reply:
    """Return what the client makes of *answer*."""
    with answering(answer, reset=reset) as port:
        return ask(port, method, "/")


ENDINGS = {
    "terminal chunk": (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", Ending.TERMINAL_CHUNK, b"abc"),
    "chunk extension and trailer": (CHUNKED + b"3;x=1\r\nabc\r\n0\r\nX-T: 1\r\n\r\n", Ending.TERMINAL_CHUNK, b"abc"),
    "no terminal chunk": (CHUNKED + b"3\r\nabc\r\n", Ending.CUT, b"abc"),
    "half a chunk": (CHUNKED + b"6\r\nabc", Ending.CUT, b"abc"),
    "half a terminal chunk": (CHUNKED + b"3\r\nabc\r\n0\r\n", Ending.CUT, b"abc"),
    "full length": (OK + b"Content-Length: 3\r\n\r\nabc", Ending.FULL_LENGTH, b"abc"),
    "less than its length": (OK + b"Content-Length: 9\r\n\r\nabc", Ending.CUT, b"abc"),
    "until close": (OK + b"\r\nabc", Ending.CLOSE, b"abc"),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", Ending.NO_BODY, b""),
}


@pytest.mark.parametrize("what", ENDINGS)
def test_the_way_a_message_ends_is_told(what: str) -> None:
    """Terminal chunk, length, close, or cut before its end."""
    answer, ending, body = ENDINGS[what]
    reply = read(answer)
    assert (reply.ending, reply.body) == (ending, body)
    assert reply.ending.clean == (ending is not Ending.CUT)


def test_a_head_reply_has_no_body_whatever_its_length_says() -> None:
    """The length is that of the GET."""
    assert read(OK + b"Content-Length: 3\r\n\r\n", "HEAD").ending is Ending.NO_BODY


def test_header_lines_keep_their_spelling_order_and_number() -> None:
    """Nothing is joined, lower-cased or dropped."""
    lines = b"X-A: 1\r\nx-a:2\r\nSet-Cookie:  b \r\nX-A: 1\r\n"
    reply = read(b"HTTP/1.1 204 No\r\n" + lines + b"\r\n")
    assert reply.headers == ((b"X-A", b"1"), (b"x-a", b"2"), (b"Set-Cookie", b"b"), (b"X-A", b"1"))
    assert reply.values(b"x-A") == [b"1", b"2", b"1"]
    assert (reply.value(b"x-a"), reply.value(b"set-cookie")) == (b"", b"b")


def test_interim_replies_and_trailers_are_kept_apart() -> None:
    """103 comes before the reply; trailers are no header lines."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    reply = read(early + CHUNKED + b"0\r\nX-Trace-Id: 1\r\n\r\n")
    assert reply.interim == ((103, ((b"Link", b"</a>"),)),)
    assert reply.trailers == ((b"X-Trace-Id", b"1"),)
    assert reply.values(b"x-trace-id") == []


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 None\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-A: 1\r\n"])
def test_what_is_no_whole_head_is_no_reply(answer: bytes) -> None:
    """Nothing, an odd status line, or a head that breaks off."""
    with pytest.raises(NoReplyError):
        read(answer)


def test_a_reset_is_no_close() -> None:
    """A body that only the close would end is cut by a reset."""
    assert read(OK + b"\r\n", reset=True).ending is Ending.CUT
