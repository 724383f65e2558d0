"""Is a stream recorded as it was sent, and does a client that comes back get exactly the rest of it?"""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, update

from tests.contract.recorder_shells import FIRST, SECOND, Script, Shell, all_closed, rows, shell_of
from tracegate.store.engine import writing
from tracegate.store.schema import stream_event, stream_recording

__all__ = ["all_closed"]

pytestmark = pytest.mark.contract("D8")
both = pytest.mark.parametrize("protocol", ["asgi", "wsgi"])

TOKENS = [b'id: %d\nevent: token\ndata: {"text": "t%d"}\n\n' % (number, number) for number in range(1, 6)]
STREAM = [b": welcome\n\n", *TOKENS, b"id: last\ndata: [DONE]\n\n"]
IDS = ["1", "2", "3", "4", "5", "last"]


def names(event: Any) -> dict[str, Any]:  # noqa: ANN401 - of whatever reader
    """Return the members of an event's data."""
    found: dict[str, Any] = json.loads(event.data)
    return found


@pytest.fixture(params=["asgi", "wsgi"])
def shell(request: pytest.FixtureRequest, engine: Engine) -> Shell:
    """Give the usual stream behind a recorder, on either protocol and either store."""
    return shell_of(request.param, engine, Script([*STREAM]))


def test_each_event_is_recorded_as_the_application_sent_it(shell: Shell, engine: Engine) -> None:
    """Bytes, number, id, type and trace; what is no event is not."""
    reply = shell.record()

    assert (reply.status, reply.clean, reply.ids) == (200, True, IDS)
    found = rows(engine)
    assert [bytes(row.payload) for row in found] == STREAM[1:]
    assert [(row.event_seq, row.event_id, row.event_type) for row in found] == [
        *((number, str(number), "token") for number in range(1, 6)),
        (6, "last", "message"),
    ]
    assert {(row.tenant_id, row.principal, row.stream_key) for row in found} == {("a", "ann", "GET /answers/7?")}
    assert {row.trace_id for row in found} == {FIRST.decode()}


def test_a_client_that_comes_back_gets_strictly_the_rest(shell: Shell) -> None:
    """From every event on; the application is not asked again, and nobody notices a recorder before."""
    whole = shell.record()

    for at, event_id in enumerate(IDS[:-1], start=1):
        reply = shell.resume(event_id)
        assert (reply.status, reply.clean, reply.raised) == (200, True, None)
        assert reply.ids == IDS[at:]
        assert [event.type for event in reply.events] == [event.type for event in whole.events[at:]]
    assert shell.script.calls == 1


def test_what_is_sent_again_names_the_resuming_trace(shell: Shell) -> None:
    """In the header, as a member and as a field; an event that named no trace names no source either."""
    shell.record()

    reply = shell.resume("4")

    assert reply.headers["x-trace-id"] == SECOND.decode()
    assert names(reply.events[0]) == {"text": "t5", "trace_id": SECOND.decode()}
    assert dict(reply.events[1].unknown) == {"trace_id": SECOND.decode()}


@both
def test_a_trace_that_the_application_wrote_becomes_the_source(protocol: str, engine: Engine) -> None:
    """It is the only thing that is named otherwise; every other byte stays."""
    member = b'id: 1\ndata: {"a":1,  "trace_id" : "%s", "b":2.0}\n\n' % FIRST
    field = b"id: 2\rtrace_id: %s\rdata: x\r\r" % FIRST
    shell = shell_of(protocol, engine, Script([b"id: 0\ndata: y\n\n", member, field]))
    shell.record()

    reply = shell.resume("0")

    seen = b'"trace_id":"%s",' % SECOND
    assert reply.body == (
        member.replace(b"trace_id", b"source_trace_id").replace(b"{", b"{" + seen)
        + field.replace(b"trace_id", b"source_trace_id").replace(b"x\r\r", b"x\rtrace_id: %s\r\r" % SECOND)
    )
    assert shell.events == []


def test_who_has_all_of_a_stream_that_has_ended_is_told_so(shell: Shell) -> None:
    """204: an event source then asks no more (WHATWG HTML 9.2.3)."""
    shell.record()

    reply = shell.resume("last")

    assert (reply.status, reply.body, reply.clean) == (204, b"", True)
    assert reply.headers["x-trace-id"] == SECOND.decode()
    assert shell.script.calls == 1


@both
def test_the_head_of_a_resumed_stream_is_the_first_one_s(protocol: str, engine: Engine) -> None:
    """As far as it says how to read and cache it; what was for one reply is not sent again."""
    lines = [
        (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"), (b"access-control-allow-origin", b"*"),
        (b"set-cookie", b"session=secret"), (b"x-other", b"1"),
    ]  # fmt: skip
    shell = shell_of(protocol, engine, Script([*STREAM], lines, b"text/event-stream; charset=utf-8"))
    shell.record()

    headers = shell.resume("1").headers

    assert headers.pop("access-control-expose-headers").lower() == "x-trace-id"
    assert headers == {
        "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", "x-accel-buffering": "no",
        "access-control-allow-origin": "*", "x-trace-id": SECOND.decode(),
    }  # fmt: skip


@both
def test_a_stream_that_still_runs_is_followed_to_its_end(protocol: str, engine: Engine) -> None:
    """The client has gone and come back while the application goes on; it gets the rest as it comes."""
    go_on = threading.Event()
    shell = shell_of(
        protocol, engine, Script([*STREAM[:3], go_on, *STREAM[3:]]), on_disconnect="finish", keep_alive_seconds=0.05
    )
    with ThreadPoolExecutor() as pool:
        first = pool.submit(shell.ask, leaves_after=2)
        while shell.script.sent < 3:
            pass
        came: list[bytes] = []

        def read(body: bytes) -> None:
            came.append(body)
            if body.count(b":\n\n") > 1:
                go_on.set()

        again = shell.resume("1", reads=read)
        first.result()

    assert (again.ids, again.clean) == (IDS[1:], True)
    assert any(b"t2" in body and b"t3" not in body for body in came)
    assert (shell.script.calls, shell.script.finished) == (1, True)


@both
def test_another_process_can_resume_it(protocol: str, engine: Engine) -> None:
    """All that is needed is in the store."""
    shell_of(protocol, engine, Script([*STREAM])).record()
    other = shell_of(protocol, engine, Script([]))

    assert other.resume("3").ids == IDS[3:]
    assert other.script.calls == 0


@both
def test_without_an_id_of_its_own_an_event_gets_a_number_that_no_other_has(protocol: str, engine: Engine) -> None:
    """Only where the operator asks for it; the application's ids stay, and its bytes are what is recorded."""
    mixed = [b"data: a\n\n", b"event: e\r\ndata: b\r\n\r\n", b"id: mine\ndata: c\n\n", b"retry: 5\n\n", b"data: d\n\n"]
    shell = shell_of(protocol, engine, Script(mixed, [(b"content-length", b"0")]), number_events=True)
    whole = shell.record()
    recording = rows(engine)[0].recording_id

    assert whole.ids == [f"{recording}.1", f"{recording}.2", "mine", f"{recording}.4"]
    assert whole.clean
    assert [bytes(row.payload) for row in rows(engine)] == [mixed[0], mixed[1], mixed[2], mixed[4]]
    for at, event_id in enumerate(whole.ids[:-1], start=1):
        reply = shell.resume(event_id)
        assert [(e.type, e.data, e.last_event_id) for e in reply.events] == [
            (e.type, e.data, e.last_event_id) for e in whole.events[at:]
        ]
    assert shell.resume(whole.ids[-1]).status == 204


@both
def test_without_that_the_recorder_adds_nothing(protocol: str, engine: Engine) -> None:
    """Not one byte: what an application sends without ids cannot be resumed."""
    shell = shell_of(protocol, engine, Script([b"data: a\n\n", b"data: b\n\n"]))
    reply = shell.record()
    mark = b"trace_id: %s\n\n" % FIRST

    assert reply.body == b"data: a\n" + mark + b"data: b\n" + mark
    assert [row.event_id for row in rows(engine)] == [None, None]


@both
def test_a_position_without_an_event_is_one_to_resume_from(protocol: str, engine: Engine) -> None:
    """A block with an id and no data moves the client on (WHATWG HTML 9.2.6)."""
    shell = shell_of(protocol, engine, Script([b"id: 1\ndata: a\n\n", b"id: 2\n\n", b"id: 3\ndata: b\n\n"]))
    shell.record()

    assert shell.resume("2").ids == ["3"]
    assert [row.event_type for row in rows(engine)] == ["message", "", "message"]


@both
def test_two_recordings_of_one_key_never_lend_each_other_an_event(protocol: str, engine: Engine) -> None:
    """With the same ids of the application's, nobody can tell whose client it is; with numbers anybody can."""
    shell = shell_of(protocol, engine, Script([*STREAM]))
    shell.record()
    shell.script.steps = [b"id: 1\ndata: again\n\n", b"id: new\ndata: b\n\n", b"id: end\ndata: c\n\n"]
    shell.record()

    assert (shell.resume("1").status, shell.resume("2").status) == (409, 409)
    assert [event.message[-11:] for event in shell.events] == [" ambiguous.", "superseded."]
    assert shell.resume("new").ids == ["end"]

    numbering = shell_of(protocol, engine, Script([b"data: a\n\n", b"data: b\n\n"]), number_events=True)
    first, second = numbering.record(path="/n"), numbering.record(path="/n")
    assert numbering.resume(first.ids[0], path="/n").ids == first.ids[1:]
    assert numbering.resume(second.ids[0], path="/n").ids == second.ids[1:]


@both
def test_two_recordings_at_once_are_two(protocol: str, engine: Engine) -> None:
    """Each has its own numbers, from 1, without a gap."""
    shell = shell_of(protocol, engine, Script([b"data: x\n\n"] * 50), number_events=True)
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: shell.ask(), range(4)))
    assert shell.recorder.writer.flush(20)

    found = rows(engine)
    assert len(found) == 200
    assert len({row.recording_id for row in found}) == 4
    for reply in replies:
        assert shell.resume(reply.ids[9]).ids == reply.ids[10:]


@both
def test_of_a_long_stream_the_last_events_are_kept(protocol: str, engine: Engine) -> None:
    """A client that is too far behind is told so."""
    shell = shell_of(protocol, engine, Script([b"id: %d\ndata: x\n\n" % n for n in range(1, 101)]), max_events=20)
    shell.record()

    assert [row.event_seq for row in rows(engine)] == list(range(81, 101))
    assert shell.resume("90").ids == [str(number) for number in range(91, 101)]
    assert shell.resume("80").status == 409


@both
def test_a_long_event_leaves_and_is_not_recorded(protocol: str, engine: Engine) -> None:
    """Whoever has it can go on; whoever has not would miss it, and is told so."""
    steps = [b"id: 1\ndata: a\n\n", b"id: 2\ndata: " + b"x" * 500, b"x" * 500 + b"\n\n", b"id: 3\ndata: b\n\n"]
    shell = shell_of(protocol, engine, Script([*steps, b"id: 4\ndata: c\n\n"]), max_event_bytes=100)
    reply = shell.record()

    assert reply.ids == ["1", "2", "3", "4"]
    assert [row.event_seq for row in rows(engine)] == [1, 3, 4]
    assert shell.resume("3").ids == ["4"]
    assert shell.resume("1").status == 409
    assert shell.events[-1].detail == "gap"


@both
def test_events_too_old_are_not_sent_again(protocol: str, engine: Engine) -> None:
    """By the store's clock, before retention has got to them."""
    shell = shell_of(protocol, engine, Script([*STREAM]), max_age_seconds=3600)
    shell.record()
    with writing(engine) as connection:
        old = rows(engine)[0].created_at.replace(year=2020)
        connection.execute(update(stream_event).values(created_at=old))

    assert (shell.resume("1").status, shell.events[-1].detail) == (409, "expired")
    shell.recorder._store.tidy(3600)
    assert rows(engine) == []
    assert (shell.resume("1").status, shell.events[-1].detail) == (409, "unknown")


@both
def test_a_recording_whose_producer_died_ends_in_an_error(protocol: str, engine: Engine) -> None:
    """What there is, then the error event, and no clean end; where there is nothing more, 409 at once."""
    shell = shell_of(protocol, engine, Script([*STREAM]))
    shell.record()
    with writing(engine) as connection:  # as a killed worker leaves it
        connection.execute(update(stream_recording).values(status="recording", last_seq=None))
        connection.execute(update(stream_recording).values(alive_at=rows(engine)[0].created_at.replace(year=2020)))

    reply = shell.resume("5")
    assert ([event.type for event in reply.events], reply.clean) == (["message", "error"], False)
    assert names(reply.events[-1])["trace_id"] == SECOND.decode()
    assert shell.events[-1].kind == "stream_broken"
    assert (shell.resume("last").status, shell.events[-1].detail) == (409, "broken")


@both
def test_names_and_ids_of_any_length_and_kind_are_found_again(protocol: str, engine: Engine) -> None:
    """An index has a bound; what is longer is looked up by its digest."""
    event_ids = ["\U0001f600" * 64, "x" * 5000, "a\x1a0000", "\x01", "end"]
    steps = [f"id: {event_id}\ndata: x\n\n".encode() for event_id in event_ids]
    shell = shell_of(protocol, engine, Script([*steps]))
    path = "/" + "\U0001f600" * 1000
    shell.record(path=path, who="u" * 9000, tenant="t" * 9000)

    for at, event_id in enumerate(event_ids[:-1], start=1):
        assert shell.resume(event_id, path=path, who="u" * 9000, tenant="t" * 9000).ids == event_ids[at:]
        assert shell.resume(event_id, path=path + "x", who="u" * 9000, tenant="t" * 9000).status == 409
