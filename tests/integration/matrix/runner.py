"""What did each application answer, bare and gated? Plays every case of one server against two processes of it."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from tests.integration.matrix.case import APPLICATIONS, Case, Kind
from tests.integration.matrix.cases import CASES
from tests.integration.servers import run_server
from tests.integration.wire import NoReplyError, Reply, ask, ask_websocket

if TYPE_CHECKING:
    from tests.integration.servers import Server

__all__ = ["BARE", "GATED", "Cell", "cases_of", "kinds_of", "play_server", "play_variant"]

BARE = "bare"
GATED = "tracegate"


@dataclass(frozen=True, slots=True)
class Cell:
    """One case on one server: both replies, or why there was none."""

    case: Case
    bare: Reply | str
    gated: Reply | str


def cases_of(server: Server, kind: Kind | None = None) -> list[Case]:
    """Return the cases that *server* can serve, those of *kind* alone where it is given."""
    kinds = kinds_of(server) if kind is None else (kind,)
    return [case for case in CASES.values() if case.kind in kinds]


def kinds_of(server: Server) -> tuple[Kind, ...]:
    """Return the kinds of application that *server* can serve."""
    return (Kind.ASGI, Kind.FASTAPI) if server.protocol == "asgi" else (Kind.WSGI, Kind.FLASK)


def _play(port: int, case: Case) -> Reply | str:
    try:
        if case.websocket:
            return ask_websocket(port, case.path, case.request_lines())
        reply = ask(port, case.method, case.path, case.request_lines(), case.body)
        if case.follow:
            followed = ask(port, "GET", case.follow, (b"X-Trace-Id: " + str(uuid.uuid4()).encode(),))
            reply = replace(reply, body=reply.body + followed.body)
    except (NoReplyError, OSError) as error:
        return str(error)
    return reply


def _play_often(port: int, case: Case, variant: str) -> Reply | str:
    reply = _play(port, case)
    for _ in range(case.tries - 1 if variant == BARE else 0):
        if isinstance(reply, str):
            break
        reply = _play(port, case)
    return reply


def play_variant(server: Server, kind: Kind, variant: str) -> dict[str, Reply | str]:
    """Return what *server* with the *variant* of the application *kind* answers to each case."""
    with run_server(server, APPLICATIONS[kind], MATRIX_VARIANT=variant) as running:
        return {case.id: _play_often(running.port, case, variant) for case in cases_of(server, kind)}


def play_server(server: Server, variant: str = GATED) -> dict[str, Cell]:
    """Return each cell of *server*, the bare and the *variant* process running side by side."""
    cells: dict[str, Cell] = {}
    with ThreadPoolExecutor(2) as pool:
        for kind in kinds_of(server):
            bare, gated = pool.map(partial(play_variant, server, kind), (BARE, variant))
            cells |= {case.id: Cell(case, bare[case.id], gated[case.id]) for case in cases_of(server, kind)}
    return cells
