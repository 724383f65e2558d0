"""Which bodies and streams did an attacker break, and do they hold now?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.unit.adapters.wsgi_server import OWN, STREAM, TEXT, Server, gated

Headers = list[tuple[str, str]]


class Rewinding:
    """Begins anew whenever somebody asks for its iterator, as one that seeks to the start of a file."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.left: list[bytes] = []

    def __iter__(self) -> Rewinding:
        self.left = list(self.pieces)
        return self

    def __next__(self) -> bytes:
        if not self.left:
            raise StopIteration
        return self.left.pop(0)


class Bare:
    """Has an iterator that is nothing but an iterator."""

    def __init__(self, *pieces: bytes) -> None:
        self.left = list(pieces)

    def __iter__(self) -> Any:  # noqa: ANN401 - type checkers want an __iter__ of it, and Python does not
        return _Steps(self.left)


class _Steps:
    def __init__(self, left: list[bytes]) -> None:
        self.left = left

    def __next__(self) -> bytes:
        if not self.left:
            raise StopIteration
        return self.left.pop(0)


class Impatient:
    """Must not be asked again behind its end: it would wait for a queue that nobody fills."""

    def __init__(self, *pieces: bytes) -> None:
        self.left = list(pieces)
        self.over = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        assert not self.over, "asked again behind the end"
        if not self.left:
            self.over = True
            raise StopIteration
        return self.left.pop(0)


def returning(body: Iterable[Any], headers: Headers) -> Any:  # noqa: ANN401 - a WSGI application
    """Return an application whose reply has *body*."""

    def application(_environ: Any, start_response: Any) -> Iterable[Any]:  # noqa: ANN401
        start_response("200 OK", headers)
        return body

    return application


@pytest.mark.contract("C8")
@pytest.mark.parametrize("headers", [TEXT, [*TEXT, ("Content-Length", "6")], STREAM])
@pytest.mark.parametrize("kind", [Rewinding, Bare, Impatient])
def test_a_body_is_asked_for_its_iterator_once_and_for_its_end_once(kind: Any, headers: Headers) -> None:  # noqa: ANN401
    """A server's ``for`` does no more: what more the gate asked for would be other bytes, or none ever."""
    app, events = gated(returning(kind(b"one", b"two"), headers))

    server = Server().serve(app, take=9)

    assert server.body == b"onetwo"
    assert server.clean
    assert server.raised is None
    assert server.values("x-trace-id") == [OWN]
    assert events == []


@pytest.mark.contract("C8")
@pytest.mark.parametrize("headers", [TEXT, STREAM])
@pytest.mark.parametrize("kind", [Rewinding, Bare, Impatient])
def test_an_empty_body_is_asked_for_its_end_once(kind: Any, headers: Headers) -> None:  # noqa: ANN401
    """Although the gate takes the first step before the server does."""
    app, _ = gated(returning(kind(), headers))

    server = Server().serve(app, take=9)

    assert (server.body, server.clean, server.raised) == (b"", True, None)


class Strict(Server):
    """A server that takes no piece but bytes, as most do."""

    def _send(self, take: int) -> None:
        for piece, _ in zip(self.result, range(take), strict=False):
            if type(piece) is not bytes:
                raise TypeError(piece)
            self._send_head()
            self.pieces.append(piece)
        self._send_head()
        self.clean = True


@pytest.mark.contract("C5")
@pytest.mark.parametrize("headers", [TEXT, STREAM])
@pytest.mark.parametrize("odd", [None, 7, 0])
def test_a_piece_that_is_none_is_no_clean_end(odd: object, headers: Headers) -> None:
    """What follows it would be lost, and nobody would know."""
    app, events = gated(returning(iter([b"data: 1\n\n", odd, b"data: 2\n\n"]), headers))

    server = Strict().serve(app)

    assert not server.clean
    assert isinstance(server.raised, TypeError)
    assert [event.kind for event in events] == ["stream_broken"]
