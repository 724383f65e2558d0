"""What is true of every spool file, wherever it is cut and whatever is changed in it?

Clause F3.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sinks.fakes import event_of
from tracegate.core.events import Event
from tracegate.sinks.queues import Parcel, Queues
from tracegate.sinks.wire import Reading, decode, encode

messages = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=5)


def events(texts: Sequence[str]) -> list[Event]:
    """Return an event for each message."""
    return [event_of(number, text) for number, text in enumerate(texts)]


@pytest.mark.contract("F3")
@given(messages, st.data())
def test_a_file_cut_anywhere_gives_exactly_the_events_before_the_cut(texts: list[str], data: st.DataObject) -> None:
    """A writer that is killed leaves a prefix: whole lines count, a torn one does not, nothing is called damaged."""
    written = events(texts)
    whole = encode(written)
    cut = data.draw(st.integers(0, len(whole)))
    ends = [len(encode(written[:count])) for count in range(len(written) + 1)]
    complete = max(count for count, end in enumerate(ends) if end <= cut)

    assert decode(whole[:cut]) == Reading(written[:complete], 0, cut - ends[complete])


@pytest.mark.contract("F3")
@given(messages, st.data())
def test_a_changed_byte_makes_no_event_and_spoils_no_other_line(texts: list[str], data: st.DataObject) -> None:
    """What is read was written, in its order; at most the two lines at a changed line feed are missing: it shows."""
    written = events(texts)
    whole = bytearray(encode(written))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    reading = decode(bytes(whole))

    remaining = iter(written)
    assert all(event in remaining for event in reading.events)
    assert len(written) - 2 <= len(reading.events) < len(written)
    assert reading.damaged or reading.torn_bytes


@dataclass
class World:
    """A store, a spool and what became of each parcel, while the queues are driven in any order."""

    queues: Queues
    admitted: list[Parcel] = field(default_factory=list)
    answers: list[Future[bool]] = field(default_factory=list)
    at_store: list[Parcel] = field(default_factory=list)
    at_spool: list[Parcel] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)
    lost: list[str] = field(default_factory=list)
    now: float = 0.0

    def step(self, action: str) -> None:
        """Do one thing that threads may do at any moment."""
        getattr(self, action)()
        for answer, durable in self.queues.answers:
            assert not answer.done()
            answer.set_result(durable)
        self.queues.answers.clear()
        self.lost += [event.id for event in self.queues.obituaries]
        self.queues.obituaries.clear()

    def admit(self) -> None:
        self._admit(Parcel((event_of(len(self.admitted)),)))

    def commit(self) -> None:
        answer: Future[bool] = Future()
        self.answers.append(answer)
        self._admit(Parcel((event_of(len(self.admitted)),), answer, self.now + 1))

    def _admit(self, parcel: Parcel) -> None:
        self.admitted.append(parcel)
        self.queues.admit(parcel)

    def store_asks(self) -> None:
        if not self.at_store:
            self.at_store = self.queues.for_store()

    def store_takes(self) -> None:
        self.kept.update(parcel.events[0].id for parcel in self.at_store)
        parcels, self.at_store = self.at_store, []
        self.queues.store_took(parcels)
        self.queues.answering = True

    def store_fails(self) -> None:
        parcels, self.at_store = self.at_store, []
        self.queues.store_refused(parcels)

    def spool_asks(self) -> None:
        if not self.at_spool:
            self.at_spool = self.queues.for_spool()

    def spool_takes(self) -> None:
        self.kept.update(parcel.events[0].id for parcel in self.at_spool)
        parcels, self.at_spool = self.at_spool, []
        self.queues.spool_took(parcels)

    def spool_fails(self) -> None:
        parcels, self.at_spool = self.at_spool, []
        self.queues.spool_refused(parcels)

    def time_passes(self) -> None:
        self.now += 2
        self.queues.overdue(self.now)

    def hurry(self) -> None:
        self.queues.hurry()


actions = st.sampled_from(
    [
        "admit",
        "commit",
        "store_asks",
        "store_takes",
        "store_fails",
        "spool_asks",
        "spool_takes",
        "spool_fails",
        "time_passes",
    ]
)


@pytest.mark.contract("F3", "F4")
@given(st.lists(actions, max_size=60), st.booleans(), st.booleans())
def test_each_event_is_durable_or_lost_or_queued_and_every_answer_is_true(
    plan: list[str],
    spools: bool,  # noqa: FBT001 - drawn
    hurries: bool,  # noqa: FBT001 - drawn
) -> None:
    """Whatever store and spool do in any order; at the end, when both work, nothing is left waiting."""
    world = World(Queues(spools=spools, max_queued=4, max_waiters=2, batch=3))
    for action in plan:
        world.step(action)
        open_ids = {parcel.events[0].id for parcel in world.admitted if not parcel.settled}
        assert world.queues.backlog == len(open_ids)
        assert len(open_ids) <= 8
        assert not world.kept & set(world.lost)
        assert {event.events[0].id for event in world.admitted} == world.kept | set(world.lost) | open_ids
    if hurries:
        world.step("hurry")
    while world.queues.backlog:
        for action in ("store_asks", "store_takes", "spool_asks", "spool_takes"):
            world.step(action)

    assert world.queues.lost == len(world.lost) == len(set(world.lost))
    for parcel, answer in zip([p for p in world.admitted if p.deadline < float("inf")], world.answers, strict=True):
        assert answer.done()
        assert not answer.result() or parcel.events[0].id in world.kept
