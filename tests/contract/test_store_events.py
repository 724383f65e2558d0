"""Does each store take every event once, and find it again as it was?"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from tests.contract.stores import NOON, STORES, Templates, an_event, append_each, opened, processes, some_events
from tracegate.core.events import Event
from tracegate.store.engine import is_postgresql, writing
from tracegate.store.events import EventKey, EventQuery, EventStore, insert_events

ALL = EventQuery()

# Any event at all: what no runtime makes, somebody else's sink may.

ODD = st.sampled_from(
    [
        "\x00",
        "\x1a",
        "\x1a0000",
        "\ud800",
        "\udfff",
        "😀",
        "\ud83d\ude00",
        "%",
        "_",
        "\\",
        "\\N",
        "\t",
        "\r\n",
        "'",
        '"',
    ]
)
TEXTS = st.lists(st.text(st.characters(), max_size=8) | ODD, max_size=6).map("".join)
LONG = st.builds(lambda part, count: (part * count)[:65_536], TEXTS.filter(bool), st.integers(1, 65_536))
# Few days, because each day is a partition, and the first and the last that there are.
BASES = st.sampled_from([
    datetime.min.replace(tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    NOON - timedelta(hours=12), NOON - timedelta(hours=12, seconds=1), NOON,
    NOON.astimezone(timezone(timedelta(hours=9))), datetime.max.replace(microsecond=0, tzinfo=UTC),
])  # fmt: skip
_moments = count()
# No two at the same time, so that each is found at once among all that were written.
TIMES = st.builds(lambda base: base + timedelta(microseconds=next(_moments)), BASES)
STATUSES = st.none() | st.integers(-(2**31), 2**31 - 1)


def events() -> st.SearchStrategy[Event]:
    """Make events with anything in them; their ids are new each time."""
    return st.builds(
        Event,
        kind=st.sampled_from(["missing_trace", "stream_broken"]) | TEXTS,  # type: ignore[arg-type] - not only what the type allows
        severity=TEXTS,  # type: ignore[arg-type] - same
        component=TEXTS,
        message=TEXTS | LONG,
        trace_id=TEXTS,
        client_trace_id=st.none() | TEXTS,
        parent_trace_id=st.none() | TEXTS,
        method=st.none() | TEXTS,
        transport=st.none() | TEXTS,
        stage=TEXTS,  # type: ignore[arg-type] - same
        status=STATUSES,
        refused_status=STATUSES,
        mode=st.none() | TEXTS,
        detail=st.none() | TEXTS | st.just("missing_trace_id"),
        would_refuse=st.booleans(),
        route=st.none() | TEXTS,
        tenant=TEXTS,
        service=TEXTS,
        instance=TEXTS,
        id=st.builds(lambda odd: f"{uuid.uuid4()}{odd}", TEXTS),
        time=TIMES,
    )


@pytest.fixture(scope="module", params=STORES)
def shared(request: pytest.FixtureRequest, templates: Templates) -> Iterator[EventStore]:
    """Give one store for all the examples of a property."""
    with templates.upgraded(request.param) as url, opened(url) as engine:
        yield EventStore(engine)


@pytest.mark.contract("F2", "H1")
@given(event=events(), padding=st.sampled_from([0, 120]))
def test_an_event_read_back_equals_the_event_written(shared: EventStore, event: Event, padding: int) -> None:
    """Whatever is in it: NUL, lone surrogates, 64 KB; alone, or in a batch that is copied."""
    beside = [an_event(id=f"{uuid.uuid4()}", time=NOON - timedelta(days=1)) for _ in range(padding)]

    assert shared.append([event, *beside]) == 1 + padding
    at_its_time = EventQuery(since=event.time, until=event.time)
    assert shared.find(at_its_time) == [event]
    assert shared.find(replace(at_its_time, tenant=event.tenant, service=event.service, kinds=(event.kind,))) == [event]


@pytest.mark.contract("F1")
@given(event=events(), data=st.data())
def test_a_keyword_is_found_wherever_it_stands(shared: EventStore, event: Event, data: st.DataObject) -> None:
    """Any part of the kind, component or message, byte for byte: no character is a wildcard."""
    shared.append([event])
    searched = data.draw(st.sampled_from([event.kind, event.component, event.message[:4_000]]))
    start = data.draw(st.integers(0, len(searched)))
    keyword = searched[start : data.draw(st.integers(start, len(searched)))]

    assert shared.find(EventQuery(keyword=keyword, since=event.time, until=event.time)) == [event]


BATCHES = st.lists(st.lists(st.integers(0, 15), max_size=12), max_size=6)


@pytest.mark.contract("F3")
@pytest.mark.parametrize("kind", STORES)
def test_every_id_is_stored_once_whoever_appends_it_how_often(kind: str, templates: Templates) -> None:
    """Any batches, with repetitions, in any order, from two processes at once; small ones, and ones that are copied."""
    with templates.upgraded(kind) as url, opened(url) as engine, processes(2) as pool:
        store = EventStore(engine)
        examples = 0

        @given(left=BATCHES, right=BATCHES, factor=st.sampled_from([1, 1, 25]))
        @settings(max_examples=40)
        def law(left: list[list[int]], right: list[list[int]], factor: int) -> None:
            nonlocal examples
            examples += 1
            service = f"example-{examples}"
            made = [some_events(factor, 1_000_000 * examples + 1_000 * number, service=service) for number in range(16)]
            batches = [
                [[event for number in batch for event in made[number]] for batch in side] for side in (left, right)
            ]
            done = [pool.submit(append_each, url, side) for side in batches]
            expected = {event.id for side in batches for batch in side for event in batch}

            assert sum(one.result(60) for one in done) == len(expected)
            found = store.find(EventQuery(service=service), limit=10_000)
            assert sorted(event.id for event in found) == sorted(expected)

        law()


# Appending


@pytest.mark.contract("F3")
@pytest.mark.parametrize("number", [1, 99, 100, 1000])
def test_to_append_the_same_again_changes_nothing(store: EventStore, number: int) -> None:
    """The first one stays, also where the second says something else."""
    first = some_events(number)
    again = some_events(number + 5, message="another message")

    assert store.append(first) == number
    assert store.append(again) == 5
    assert store.append(again) == 0
    assert store.find(ALL, limit=2000, oldest_first=True) == [*first, *again[number:]]


@pytest.mark.contract("F3", "H1")
def test_four_processes_write_at_once_and_none_is_told_to_go_away(url: str, store: EventStore) -> None:
    """No "database is locked", and an exact count; the file is opened for the first time by all of them together."""
    with processes(4) as pool:
        parts = [[some_events(5, 1000 * process + 5 * batch) for batch in range(40)] for process in range(4)]
        done = [pool.submit(append_each, url, part) for part in parts]

        assert [one.result(120) for one in done] == [200] * 4
    assert store.count(ALL) == 800


@pytest.mark.contract("H1")
def test_an_event_of_any_day_is_taken(store: EventStore) -> None:
    """A replayed one of long ago, and one from a clock that is wrong: no event fails for want of a partition."""
    days = [datetime(1970, 1, 1, tzinfo=UTC), NOON - timedelta(days=900), NOON + timedelta(days=900)]
    old = [an_event(number, time=day) for number, day in enumerate(days)]
    many = [an_event(500 + number, time=days[1] + timedelta(hours=number)) for number in range(100)]

    assert store.append(old) == 3
    assert store.append(many) == 100
    assert store.count(ALL) == 103


@pytest.mark.contract("H1")
def test_two_processes_that_need_the_same_new_day_both_get_it(url: str, store: EventStore) -> None:
    """They ask for it at the same moment; neither fails."""
    with processes(2) as pool:
        for day in range(20):
            time = NOON + timedelta(days=1000 + day)
            done = [pool.submit(append_each, url, [[an_event(2 * day + side, time=time)]]) for side in (0, 1)]
            assert [one.result(60) for one in done] == [1, 1]
    assert store.count(ALL) == 40


@pytest.mark.contract("H1")
@pytest.mark.parametrize("number", [1, 100])
def test_a_day_that_retention_has_dropped_is_made_again(engine: Engine, store: EventStore, number: int) -> None:
    """Also by a process that remembers to have made it."""
    store.append([an_event()])
    if is_postgresql(engine):
        with writing(engine) as connection:
            connection.execute(text("DROP TABLE tb_ops_event_20261123"))

    assert store.append(some_events(number, 1)) == number


@pytest.mark.parametrize("facts", [{"id": ""}, {"time": None}, {"time": datetime(2026, 11, 23)}])  # noqa: DTZ001 - the fault
def test_an_event_that_nobody_has_stamped_is_refused(store: EventStore, facts: dict[str, object]) -> None:
    """It could not be told from others; nothing of its batch is written."""
    with pytest.raises(ValueError, match="an event without its id"):
        store.append([an_event(1), an_event(2, **facts)])
    assert store.count(ALL) == 0


def test_no_events_are_no_work(store: EventStore) -> None:
    """An empty batch is none."""
    assert store.append([]) == 0


@pytest.mark.contract("H5")
def test_events_can_be_part_of_a_larger_transaction(engine: Engine, store: EventStore) -> None:
    """They come with it, or not at all; on a day that is new, too."""
    with pytest.raises(ZeroDivisionError), writing(engine) as connection:  # noqa: PT012 - the block is the transaction
        assert insert_events(connection, some_events(3)) == 3
        raise ZeroDivisionError
    assert store.count(ALL) == 0

    with writing(engine) as connection:
        assert insert_events(connection, some_events(3)) == 3
        assert insert_events(connection, some_events(4)) == 1
        assert insert_events(connection, []) == 0
    assert store.count(ALL) == 4


@pytest.mark.contract("F2")
def test_a_refusal_before_its_tenant_is_known_has_a_row(store: EventStore) -> None:
    """Nothing is demanded that it cannot say; an empty tenant is a tenant, not a dropped event."""
    bare = Event(
        kind="untraced_log", severity="warning", component="c", message="m", trace_id="", stage="context",
        id="0", time=NOON,
    )  # fmt: skip

    assert store.append([bare]) == 1
    assert store.find(EventQuery(tenant="")) == [bare]


# Finding


@pytest.mark.contract("F1")
def test_missing_trace_finds_what_could_not_be_read_and_what_contradicted_itself(store: EventStore) -> None:
    """The runbook's keyword; any other keyword is only what it says."""
    kinds = ["missing_trace", "invalid_trace", "conflicting_trace", "stream_broken"]
    store.append([an_event(number, kind=kind, detail=None) for number, kind in enumerate(kinds)])

    def found(keyword: str) -> list[str]:
        return [event.kind for event in store.find(EventQuery(keyword=keyword), oldest_first=True)]

    assert found("missing_trace") == kinds[:3]
    assert store.count(EventQuery(keyword="missing_trace")) == 3
    assert found("missing_trac") == kinds[:1]
    assert found("_trace") == kinds[:3]
    assert found("MISSING_TRACE") == []
    assert found("") == kinds


@pytest.mark.contract("F1")
def test_a_keyword_is_looked_for_in_four_places(store: EventStore) -> None:
    """Kind, error code, component and message; nowhere else."""
    store.append(
        [
            an_event(1, kind="stream_broken", detail=None, message="100% of 1_000 é\\"),
            an_event(2, component="PII filter", detail=None),
            an_event(3, route="/PII/{id}", instance="100%"),
        ]
    )

    def found(keyword: str) -> list[int]:
        return [int(event.id[-1]) for event in store.find(EventQuery(keyword=keyword), oldest_first=True)]

    assert found("SYS-004-409-TRACE") == [3]
    assert found("PII") == [2]
    assert found("stream_broken") == [1]
    assert found("100%") == [1]
    assert found("%") == [1]
    assert found("1_0") == [1]
    assert found("1%0") == []
    assert found("1x0") == []
    assert found("\\") == [1]
    assert found("É") == []


@pytest.mark.contract("A1", "B6", "B2")
def test_a_trace_is_found_by_its_number_however_it_is_spelled(store: EventStore) -> None:
    """Also under the id that an untrusted client sent, and that of the parent."""
    spelled = "4BF92F35-77b3-4da6-a3ce-929d0e0e4736"
    store.append(
        [
            an_event(1, trace_id=spelled),
            an_event(2, client_trace_id=spelled.replace("-", "")),
            an_event(3, parent_trace_id=spelled.lower()),
            an_event(4, trace_id="Root=1-58406520-a006649127e371903a2de979"),
        ]
    )

    for asked in (spelled, spelled.lower(), spelled.replace("-", "").upper()):
        found = store.find(EventQuery(trace_id=asked), oldest_first=True)
        assert [event.id[-1] for event in found] == ["1", "2", "3"]
        assert store.count(EventQuery(trace_id=asked)) == 3
    assert store.find(EventQuery(trace_id=spelled))[-1].trace_id == spelled
    assert store.count(EventQuery(trace_id="Root=1-58406520-a006649127e371903a2de979")) == 1
    assert store.count(EventQuery(trace_id="root=1-58406520-a006649127e371903a2de979")) == 0
    assert store.count(EventQuery(trace_id="4bf92f35")) == 0


def test_bounds_of_time_are_inclusive_to_the_microsecond(store: EventStore) -> None:
    """In whatever zone they are given."""
    at = [NOON, NOON + timedelta(microseconds=1), NOON + timedelta(microseconds=2)]
    store.append([an_event(number, time=time) for number, time in enumerate(at)])

    assert store.count(EventQuery(since=at[1])) == 2
    assert store.count(EventQuery(until=at[1])) == 2
    assert store.count(EventQuery(since=at[1], until=at[1])) == 1
    assert store.count(EventQuery(since=at[2].astimezone())) == 1


@pytest.mark.contract("H4")
def test_tenants_services_and_kinds_narrow(store: EventStore) -> None:
    """Each by equality; a tenant never sees another's."""
    store.append([
        an_event(1, tenant="a", service="x"), an_event(2, tenant="a%", service="x"),
        an_event(3, tenant="a", service="y", kind="stream_broken"),
    ])  # fmt: skip

    assert store.count(EventQuery(tenant="a")) == 2
    assert store.count(EventQuery(tenant="a%")) == 1
    assert store.count(EventQuery(tenant="A")) == 0
    assert store.count(EventQuery(tenant="a", service="y")) == 1
    assert store.count(EventQuery(kinds=("stream_broken", "invalid_trace"))) == 1


def test_pages_neither_repeat_nor_leave_out_while_events_arrive(store: EventStore) -> None:
    """By the key of the last one; those of one microsecond stand in the order of their ids, byte by byte."""
    ids = ["B", "a", "Z", "é", "z", "A"]
    store.append([an_event(number, id=id_, time=NOON) for number, id_ in enumerate(ids)])
    expected = sorted(ids, key=lambda id_: id_.encode(), reverse=True)

    seen: list[str] = []
    after = None
    while page := store.find(ALL, limit=2, after=after):
        seen += [event.id for event in page]
        last = page[-1]
        assert last.time is not None
        after = EventKey(last.time, last.id)
        store.append([an_event(100 + len(seen), time=NOON + timedelta(seconds=len(seen)))])

    assert seen == expected
    older = store.find(ALL, oldest_first=True, limit=4, after=EventKey(NOON, "Z"))
    assert [event.id for event in older][:3] == ["a", "z", "é"]
    assert [event.id for event in store.find(EventQuery(until=NOON), limit=2, offset=2)] == expected[2:4]
