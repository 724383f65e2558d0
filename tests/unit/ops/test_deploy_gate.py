"""What is the verdict in each situation?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracegate.ops.deploy_gate import Action, Cause, Doubt, Evidence, Verdict, judge, unnamed

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def cause(minutes_ago: int, route: str = "/orders", kind: str = "missing_trace") -> Cause:
    """Return a cause that was last seen so long ago."""
    at = NOW - minutes_ago * MINUTE
    return Cause(route, kind, "4bf92f35-77b3-4da6-a3ce-929d0e0e4736", at, at)


def lock(minutes_ago: int) -> Action:
    """Return a lock by hand."""
    return Action("lock", NOW - minutes_ago * MINUTE, actor="ana")


def unlock(minutes_ago: int, *accepts: str) -> Action:
    """Return an unlock."""
    return Action("unlock", NOW - minutes_ago * MINUTE, accepts=frozenset(accepts), actor="ana", incident="INC-1")


def override(minutes_ago: int, hours: float | None = None) -> Action:
    """Return an override that was asked for so many hours."""
    at = NOW - minutes_ago * MINUTE
    return Action("override", at, until=None if hours is None else at + hours * HOUR, actor="ana")


def init(minutes_ago: int) -> Action:
    """Return an init."""
    return Action("init", NOW - minutes_ago * MINUTE, actor="ana")


def given_that(
    *causes: Cause, actions: tuple[Action, ...] = (), doubts: tuple[Doubt, ...] = (), ever_seen: bool = True
) -> Evidence:
    """Return evidence."""
    return Evidence(NOW, causes, actions, frozenset(doubts), ever_seen)


@pytest.mark.contract("H3")
@pytest.mark.parametrize(
    ("evidence", "state"),
    [
        (given_that(), "open"),
        # Causes and unlocks.
        (given_that(cause(5)), "locked"),
        (given_that(cause(60 * 24 * 30)), "locked"),
        (given_that(cause(5), actions=(unlock(4),)), "open"),
        (given_that(cause(5), actions=(unlock(5),)), "open"),
        (given_that(cause(5), actions=(unlock(6),)), "locked"),
        (given_that(cause(5), actions=(unlock(6, "/orders:missing_trace"),)), "open"),
        (given_that(cause(5), actions=(unlock(6, "/orders:invalid_trace"),)), "locked"),
        (given_that(cause(5), actions=(unlock(6, "/order:missing_trace"),)), "locked"),
        (given_that(cause(5), cause(5, "/b"), actions=(unlock(6, "/orders:missing_trace"),)), "locked"),
        (given_that(cause(5), actions=(unlock(9, "/orders:missing_trace"), unlock(6))), "locked"),
        # By hand.
        (given_that(actions=(lock(5),)), "locked"),
        (given_that(actions=(lock(5), unlock(4))), "open"),
        (given_that(actions=(unlock(5), lock(4))), "locked"),
        # Overrides.
        (given_that(cause(5), actions=(override(4),)), "open"),
        (given_that(cause(5), actions=(override(60 * 4 - 1),)), "open"),
        (given_that(cause(5), actions=(override(60 * 4),)), "locked"),
        (given_that(cause(5), actions=(override(61, hours=1),)), "locked"),
        (given_that(cause(5), actions=(override(60 * 5, hours=24),)), "locked"),
        (given_that(cause(5), actions=(override(-1),)), "locked"),
        (given_that(cause(5), actions=(lock(9), override(4))), "open"),
        (given_that(cause(5), actions=(override(9), lock(4))), "locked"),
        (given_that(cause(5), actions=(override(9), lock(4), unlock(3))), "open"),
        (given_that(doubts=(Doubt.NO_TRAFFIC, Doubt.SPOOL, Doubt.STALE), actions=(override(4),)), "open"),
        # First releases.
        (given_that(doubts=(Doubt.NO_TRAFFIC,), ever_seen=False), "inconclusive"),
        (given_that(doubts=(Doubt.NO_TRAFFIC, Doubt.STALE), ever_seen=False, actions=(init(60 * 48),)), "open"),
        (given_that(doubts=(Doubt.NO_TRAFFIC,), actions=(init(5),)), "inconclusive"),
        (given_that(doubts=(Doubt.NO_TRAFFIC, Doubt.SPOOL), ever_seen=False, actions=(init(5),)), "inconclusive"),
        (given_that(cause(5), doubts=(Doubt.NO_TRAFFIC,), ever_seen=False, actions=(init(5),)), "locked"),
        # A lock that is known outweighs what is not known.
        *((given_that(cause(5), doubts=(doubt,)), "locked") for doubt in Doubt),
    ],
)
def test_the_verdict(evidence: Evidence, state: str) -> None:
    """A table, row by row."""
    assert judge(evidence).state == state


@pytest.mark.contract("H3", "F4")
@pytest.mark.parametrize("doubt", list(Doubt))
def test_any_doubt_is_inconclusive_and_says_which(doubt: Doubt) -> None:
    """Also where an unlock stands."""
    found = judge(given_that(doubts=(doubt,), actions=(unlock(5),)))
    assert found == Verdict("inconclusive", (doubt.value,))


@pytest.mark.contract("H3")
@pytest.mark.parametrize("doubt", [Doubt.STORE_UNREACHABLE, Doubt.MIGRATIONS, Doubt.CHAIN_BROKEN, Doubt.CLOCK_SKEW])
def test_no_override_lifts_a_doubt_about_the_store_that_holds_it(doubt: Doubt) -> None:
    """Whoever can forge the chain can forge an override."""
    assert judge(given_that(doubts=(doubt,), actions=(override(5),))).state == "inconclusive"


@pytest.mark.contract("H3")
def test_the_verdict_says_what_locks_and_when_an_open_gate_closes() -> None:
    """The hand's lock first, then each cause with its first trace; an override never lasts longer than four hours."""
    locked = judge(given_that(cause(5), cause(3, "/b", "invalid_trace"), actions=(lock(9),), doubts=(Doubt.SPOOL,)))
    assert locked.reasons == (
        "locked by ana",
        "1 × /orders:missing_trace, first trace 4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
        "1 × /b:invalid_trace, first trace 4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
        Doubt.SPOOL.value,
    )
    assert [each.route for each in locked.causes] == ["/orders", "/b"]

    opened = judge(given_that(cause(5), actions=(override(60, hours=24),)))
    assert (opened.reasons, opened.until) == (("overridden by ana",), NOW + 3 * HOUR)
    assert [each.route for each in opened.causes] == ["/orders"]
    assert judge(given_that(actions=(override(0, hours=2),))).until == NOW + 2 * HOUR


@pytest.mark.contract("H3")
def test_an_unlock_must_name_what_still_arrives() -> None:
    """What has stopped need not be named."""
    causes = (cause(1), cause(1, "/b"), cause(30, "/old"))
    since = NOW - 10 * MINUTE
    assert [each.route for each in unnamed(causes, frozenset(), since=since)] == ["/orders", "/b"]
    assert [each.route for each in unnamed(causes, frozenset(["/b:missing_trace"]), since=since)] == ["/orders"]
    assert unnamed(causes, frozenset(["/b:missing_trace", "/orders:missing_trace"]), since=since) == ()
    assert [each.route for each in unnamed((cause(10),), frozenset(), since=since)] == ["/orders"]


ACTIONS = st.one_of(
    st.builds(lock, st.integers(-300, 600)),
    st.builds(unlock, st.integers(-300, 600), st.sampled_from(["/orders:missing_trace", "/b:invalid_trace"])),
    st.builds(override, st.integers(-300, 600), st.one_of(st.none(), st.floats(0, 50))),
    st.builds(init, st.integers(-300, 600)),
)
CAUSES = st.builds(
    cause, st.integers(0, 900), st.sampled_from(["/orders", "/b"]), st.sampled_from(["missing_trace", "invalid_trace"])
)


@pytest.mark.contract("H3")
@given(
    causes=st.lists(CAUSES, max_size=3),
    actions=st.lists(ACTIONS, max_size=4),
    doubts=st.frozensets(st.sampled_from(Doubt)),
    ever_seen=st.booleans(),
    more=st.frozensets(st.sampled_from(Doubt)),
)
def test_to_know_less_or_of_more_causes_never_opens_the_gate(
    causes: list[Cause], actions: list[Action], doubts: frozenset[Doubt], *, ever_seen: bool, more: frozenset[Doubt]
) -> None:
    """The law that a pipeline relies on."""
    less = judge(Evidence(NOW, tuple(causes), tuple(actions), doubts, ever_seen))
    for worse in (
        judge(Evidence(NOW, tuple(causes), tuple(actions), doubts | more, ever_seen)),
        judge(Evidence(NOW, (*causes, cause(0, "/new")), tuple(actions), doubts, ever_seen)),
        judge(Evidence(NOW, tuple(causes), (*actions, lock(0)), doubts, ever_seen)),
    ):
        assert less.state == "open" or worse.state != "open"
    assert (less.state == "open") == (less.reasons[0].startswith(("overridden", "no reply")))
