"""What if a stream cannot be resumed, its client leaves, its application fails, or its store is away?"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, delete, update

from tests.contract.recorder_shells import FIRST, SECOND, Reply, Script, Shell, all_closed, rows, shell_of
from tests.contract.test_recorder_resume import IDS, STREAM
from tests.integration.event_stream import read_event_stream
from tracegate.cli import main
from tracegate.core.streams.recording import Beginning, RecordedEvent, Step, StreamKey
from tracegate.errors import MissingTraceError, StoreError
from tracegate.store.engine import reading, writing
from tracegate.store.events import EventQuery, EventStore
from tracegate.store.schema import stream_event, stream_recording
from tracegate.store.streams import StreamStore, drop_streams

__all__ = ["all_closed"]

pytestmark = pytest.mark.contract("D8")
both = pytest.mark.parametrize("protocol", ["asgi", "wsgi"])


class Reluctant(StreamStore):
    """A store that takes nothing while it is told to fail, or to hang."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.fails = False
        self.reads = True
        self.open = threading.Event()
        self.open.set()

    def write(self, steps: Sequence[Step]) -> None:
        self.open.wait(20)
        if self.fails:
            raise StoreError("the disk is full")
        super().write(steps)

    def find(self, *args: Any, **bounds: Any) -> Any:  # noqa: ANN401 - as it is
        if not self.reads:
            raise StoreError("the connection broke")
        return super().find(*args, **bounds)


def statuses(engine: Engine) -> list[str]:
    """Return how each recording stands, the oldest first."""
    with reading(engine) as connection:
        wanted = stream_recording.select().order_by(stream_recording.c.generation)
        return [row.status for row in connection.execute(wanted)]


def refused(reply: Reply, fault: str) -> bool:
    """Return whether *reply* is the standard error object of a stream that cannot be resumed."""
    said = json.loads(reply.body)
    assert said.pop("message")
    assert said == {"error_code": "SSE-003-409-RESUME", "trace_id": SECOND.decode(), "details": [fault]}
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    assert (reply.headers["cache-control"], reply.headers["x-trace-id"]) == ("no-store", SECOND.decode())
    return (reply.status, reply.clean, reply.raised) == (409, True, None)


@pytest.fixture(params=["asgi", "wsgi"])
def shell(request: pytest.FixtureRequest, engine: Engine) -> Shell:
    """Give the usual stream behind a recorder, on either protocol and either store."""
    return shell_of(request.param, engine, Script([*STREAM]))


# What cannot be resumed


def test_what_nobody_else_may_know_is_unknown(shell: Shell, engine: Engine) -> None:
    """Another tenant, another principal, another stream, an id that never was, several ids: all the same."""
    shell.record()

    for facts in ({"tenant": "b"}, {"who": "bob"}, {"path": "/answers/8"}, {"method": "POST"}):
        assert refused(shell.resume("1", **facts), "unknown")
    for event_id in ("7", "0", "999", "1 2", "é", "\x1a0000", "1" * 1000):
        assert refused(shell.resume(event_id), "unknown")
    assert shell.script.calls == 1

    assert {(event.kind, event.status, event.trace_id) for event in shell.events} == {
        ("sse_resume_failed", 409, SECOND.decode())
    }
    assert len(shell.events) == 11
    store = EventStore(engine)
    store.append(shell.events)
    for keyword in ("sse_resume_failed", "SSE-003-409-RESUME", "tracegate.recorder"):
        assert store.count(EventQuery(keyword=keyword)) == 11


@both
def test_two_unequal_last_event_ids_are_none(protocol: str, engine: Engine) -> None:
    """Nobody can tell which one the client has. A blank one is that of a first request."""
    shell = shell_of(protocol, engine, Script([*STREAM]))
    shell.record()
    if protocol == "wsgi":  # a server joins the lines
        assert refused(shell.resume("1,2"), "unknown")
    assert shell.resume(" ").ids == IDS
    assert shell.script.calls == 2


def test_a_row_that_is_missing_is_never_skipped(shell: Shell, engine: Engine) -> None:
    """Before the last row, or the last one itself: a gap is an error, and behind it one can go on."""
    shell.record()
    for missing, still in ((3, 3), (6, None)):
        with writing(engine) as connection:
            connection.execute(delete(stream_event).where(stream_event.c.event_seq == missing))
        assert refused(shell.resume("2"), "gap")
        if still is not None:
            assert shell.resume("4").ids == IDS[4:]
        else:
            assert refused(shell.resume("5"), "gap")


def test_a_store_that_cannot_be_read_is_an_error(engine: Engine) -> None:
    """The application is not called instead."""
    for protocol in ("asgi", "wsgi"):
        store = Reluctant(engine)
        store.reads = False
        shell = shell_of(protocol, engine, Script([*STREAM]), store=store)
        assert refused(shell.resume("1"), "unavailable")
        assert shell.script.calls == 0


@both
def test_an_event_that_is_on_its_way_to_the_store_is_waited_for(protocol: str, engine: Engine) -> None:
    """A client may be back before the commit."""
    store = Reluctant(engine)
    shell = shell_of(protocol, engine, Script([*STREAM]), store=store, commit_wait_seconds=10)
    store.open.clear()
    shell.ask()
    with ThreadPoolExecutor() as pool:
        again = pool.submit(shell.resume, "5")
        store.open.set()
        reply = again.result()
        assert (reply.status, reply.body, reply.ids) == (200, reply.body, ["last"])


# Without a trace


@both
@pytest.mark.contract("E2", "E3")
def test_where_there_is_no_gate_nothing_is_recorded_and_nothing_sent(
    protocol: str, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A row without a trace is refused, and so is the stream: with a trace of its own, and an event."""
    monkeypatch.delenv("TRACEGATE_STORE_URL", raising=False)
    shell = shell_of(protocol, engine, Script([*STREAM]), gated=False)
    with caplog.at_level("INFO", logger="tracegate.events"):
        replies = [shell.record(), shell.resume("1")]

    for reply, status in zip(replies, (200, None), strict=True):
        said = json.loads(reply.body)
        assert (reply.status, said["error_code"]) == (409, "SYS-004-409-TRACE")
        assert (said["details"], said.get("refused_status")) == (["stream_event_trace_id_missing"], status)
        assert reply.headers["x-trace-id"] == said["trace_id"]
        assert said["trace_id"] in caplog.text
    assert caplog.text.count("stream_event_trace_id_missing") == 2
    assert rows(engine) == []


def test_the_store_itself_refuses_a_step_without_a_trace(engine: Engine) -> None:
    """And what comes with it."""
    key = StreamKey("t", "p", "k")
    store = StreamStore(engine)
    for step in (Beginning("r", key, "", "[]"), RecordedEvent("r", key, 1, "1", "message", b"data:\n\n", "")):
        with pytest.raises(MissingTraceError, match="stream_event_trace_id_missing"):
            store.write([RecordedEvent("r", key, 2, "2", "message", b"data:\n\n", "x"), step])
    assert rows(engine) == []


# What is left alone


@both
@pytest.mark.parametrize(
    "facts",
    [{"media": b"application/json"}, {"status": 404}, {"headers": [(b"content-encoding", b"zip")]}],
    ids=["json", "error", "encoded"],
)
def test_only_event_streams_that_can_be_read_are_recorded(protocol: str, engine: Engine, facts: dict[str, Any]) -> None:
    """The rest passes."""
    shell = shell_of(protocol, engine, Script([b"{}"], **facts), settings={"mode": "observe"})
    shell.record()
    assert statuses(engine) == []


def test_nobody_s_streams_are_left_alone(shell: Shell, engine: Engine) -> None:
    """Without a principal there is nobody to send them to again: the application answers."""
    assert shell.record(who="").ids == IDS
    assert shell.resume("1", who="").ids == IDS
    shell.record(method="HEAD")
    assert (statuses(engine), shell.script.calls) == ([], 3)


# The application and its client


def test_a_stream_that_fails_is_resumed_up_to_its_failure(engine: Engine) -> None:
    """And then ends in the same way: with the error event, and no clean end."""
    for protocol in ("asgi", "wsgi"):
        shell = shell_of(protocol, engine, Script([*STREAM[:4], RuntimeError("gone")]))
        path = f"/{protocol}"
        assert not shell.record(path=path).clean
        reply = shell.resume("1", path=path)
        assert ([event.type for event in reply.events], reply.clean) == (["token", "token", "error"], False)
        assert isinstance(reply.raised, StoreError)
        assert [event.kind for event in shell.events] == ["stream_broken"] * 2
        assert refused(shell.resume("3", path=path), "broken")


@both
@pytest.mark.contract("D7")
def test_an_event_that_names_another_trace_is_refused_each_time(protocol: str, engine: Engine) -> None:
    """What the gate does not let out it does not let out again."""
    forged = b'id: 2\ndata: {"trace_id":"01890a5d-ac96-774b-bcce-b302099a8057"}\n\n'
    shell = shell_of(protocol, engine, Script([STREAM[1], forged, *STREAM[3:]]), on_disconnect="finish")
    first = shell.record()
    again = shell.resume("1")

    for reply, count in ((first, 2), (again, 1)):
        assert (len(reply.events), reply.events[-1].type, reply.clean) == (count, "error", False)
        assert "trace_overwrite_refused" in reply.events[-1].data
    if protocol == "asgi":  # whose application is told; on WSGI it is not asked for more, and may end as it likes
        assert statuses(engine) == ["broken"]


def test_an_application_that_raises_after_its_clean_end_has_failed(engine: Engine) -> None:
    """As frameworks do; the client saw no clean end either."""
    shell = shell_of("asgi", engine, Script([*STREAM], raises_after=RuntimeError("gone")))
    assert not shell.record().clean
    assert statuses(engine) == ["broken"]


@both
@pytest.mark.parametrize("reaction", ["stop", "finish"])
def test_when_its_client_leaves_a_stream_stops_or_goes_on(protocol: str, engine: Engine, reaction: Any) -> None:  # noqa: ANN401
    """As the policy says; who comes back gets the rest, or is told that there is none."""
    shell = shell_of(protocol, engine, Script([*STREAM]), on_disconnect=reaction)
    shell.record(leaves_after=2)

    assert shell.script.finished == (reaction == "finish")
    assert statuses(engine) == ["ended" if reaction == "finish" else "broken"]
    assert shell.script.calls == 1
    if reaction == "finish":
        assert shell.resume("1").ids == IDS[1:]
    else:
        left = shell.resume("1")
        assert left.status == 409 or (left.events[-1].type == "error" and not left.clean)


@both
def test_a_stream_that_fails_without_its_client_is_broken(protocol: str, engine: Engine) -> None:
    """Nobody hears of it but those who come back."""
    shell = shell_of(protocol, engine, Script([*STREAM[:5], RuntimeError("gone")]), on_disconnect="finish")
    shell.record(leaves_after=2)

    assert statuses(engine) == ["broken"]
    assert [event.type for event in shell.resume("3").events] == ["token", "error"]


# The store


@both
@pytest.mark.contract("F4")
@pytest.mark.parametrize("way", ["fails", "hangs"])
def test_a_store_that_is_away_delays_nothing_and_is_never_silence(protocol: str, engine: Engine, way: str) -> None:
    """Each event leaves while the store takes none; when it is back it gets what fitted, and the rest is a gap."""
    store = Reluctant(engine)
    store.fails = way == "fails"
    if way == "hangs":
        store.open.clear()
    shell = shell_of(protocol, engine, Script([*STREAM]), store=store)
    shell.recorder.writer._retry_seconds = 0.01
    shell.recorder.writer._max_queued = 4

    assert shell.ask().ids == IDS
    assert rows(engine) == []
    store.fails = False
    store.open.set()
    assert shell.recorder.writer.flush(20)

    assert [row.event_seq for row in rows(engine)] == [1, 2, 3][: len(rows(engine))]
    assert shell.recorder.writer.dropped == 6 - len(rows(engine)) >= 3
    assert refused(shell.resume("1"), "gap")
    assert shell.script.calls == 1


@both
def test_an_event_waits_for_its_commit_where_the_policy_says_so(protocol: str, engine: Engine) -> None:
    """Whoever has an event can resume from it, whatever happens to the process."""
    store = Reluctant(engine)
    shell = shell_of(
        protocol, engine, Script([*STREAM]), store=store, durability="before_event", commit_wait_seconds=10
    )
    seen: list[tuple[int, int]] = []

    def read(body: bytes) -> None:
        seen.append((len(read_event_stream(body).events), len(rows(engine))))

    assert shell.ask(reads=read).ids == IDS
    assert all(stored >= got for got, stored in seen)
    assert seen[-1] == (6, 6)


@both
@pytest.mark.contract("F4")
def test_and_no_longer_than_it_may(protocol: str, engine: Engine) -> None:
    """A store that hangs costs each event that much at most; one that is known to fail costs nothing."""
    store = Reluctant(engine)
    store.open.clear()
    shell = shell_of(
        protocol, engine, Script([*STREAM]), store=store, durability="before_event", commit_wait_seconds=0.01
    )
    assert shell.ask().ids == IDS

    store.fails = True
    store.open.set()
    patient = shell_of(
        protocol, engine, Script([*STREAM]), store=store, durability="before_event", commit_wait_seconds=10
    )
    begun = time.monotonic()
    patient.recorder.writer._answering = False
    assert patient.ask(path="/other").ids == IDS
    assert time.monotonic() - begun < 10
    store.fails = False
    for one in (shell, patient):
        one.recorder.writer.close()


@both
def test_a_gap_that_opens_while_a_client_follows_ends_in_an_error(protocol: str, engine: Engine) -> None:
    """What was lost is noticed by the next number."""
    go_on = threading.Event()
    shell = shell_of(
        protocol, engine, Script([*STREAM[:3], go_on, *STREAM[3:]]), on_disconnect="finish", keep_alive_seconds=0.05
    )
    with ThreadPoolExecutor() as pool:
        first = pool.submit(shell.ask)
        while shell.script.sent < 3:
            time.sleep(0.001)
        assert shell.recorder.writer.flush(20)

        def read(body: bytes) -> None:
            if body.endswith(b":\n\n") and not go_on.is_set():
                shell.recorder.writer._max_queued = 0
                go_on.set()

        again = shell.resume("1", reads=read)
        first.result()

    assert ([event.type for event in again.events], again.clean) == (["token", "error"], False)


def test_retention_drops_by_age_what_nobody_adds_to(shell: Shell, engine: Engine) -> None:
    """Events, and then the recordings that have none."""
    shell.record()
    shell.record(path="/other")
    cut = rows(engine)[0].created_at
    with writing(engine) as connection:
        old = cut.replace(year=2020)
        mine = stream_event.c.stream_key == "GET /answers/7?"
        connection.execute(update(stream_event).where(mine).values(created_at=old))
        mine = stream_recording.c.stream_key == "GET /answers/7?"
        connection.execute(update(stream_recording).where(mine).values(alive_at=old))

    assert drop_streams(engine, cut.replace(year=2021)) == 6
    assert len(rows(engine)) == 6
    assert len(statuses(engine)) == 1
    with pytest.raises(ValueError, match="time zone"):
        drop_streams(engine, cut.replace(tzinfo=None))


def test_the_command_line_s_retention_takes_streams_along(shell: Shell, engine: Engine, url: str) -> None:
    """Whole days, like events."""
    shell.record()
    day = rows(engine)[0].created_at.date()
    assert main(["store", "retain", "--before", f"{day}", "--url", url]) == 0
    assert len(rows(engine)) == 6
    with writing(engine) as connection:
        connection.execute(update(stream_event).values(created_at=rows(engine)[0].created_at - timedelta(days=1)))
    assert main(["store", "retain", "--before", f"{day}", "--url", url]) == 0
    assert rows(engine) == []


def test_the_same_steps_again_change_nothing(engine: Engine) -> None:
    """A commit whose answer was lost is made again; a number is there once."""
    key = StreamKey("t", "p" * 10_000, "\x00\ud800")
    steps: list[Step] = [
        Beginning("r", key, FIRST.decode(), "[]"),
        *(RecordedEvent("r", key, n, None, "message", b"data: \xff\x00\n\n", FIRST.decode()) for n in (1, 2)),
    ]
    store = StreamStore(engine)
    if engine.dialect.name == "postgresql":
        key = key._replace(principal="p")
        steps = [step._replace(key=key) for step in steps if isinstance(step, Beginning | RecordedEvent)]
    store.write(steps)
    store.write([*steps, *steps])
    assert [row.event_seq for row in rows(engine)] == [1, 2]
    assert store.read("r", 0, lease_seconds=60).events == tuple(steps[1:])
    assert store.read("nobody", 0, lease_seconds=60).end == "gap"
