"""Does every reply of every server carry its trace? One test per server and case; each server is played once."""

from __future__ import annotations

import fcntl
import pickle
from typing import TYPE_CHECKING

import pytest

from tests.integration.matrix.bench import Verdict
from tests.integration.matrix.case import Shape
from tests.integration.matrix.cases import CASES
from tests.integration.matrix.losses import REASONS
from tests.integration.matrix.oracle import judge_server
from tests.integration.matrix.runner import GATED, cases_of
from tests.integration.servers import SERVERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.servers import Server

LEAST_CASES = 60


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all pytest-xdist workers of this run see."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def verdicts_of(shared_folder: Path) -> Callable[[str], dict[str, Verdict]]:
    """How to get the verdicts of a server; whoever asks first plays it, the others wait and read."""
    known: dict[str, dict[str, Verdict]] = {}

    def read_or_play(server: Server) -> dict[str, Verdict]:
        stored = shared_folder / f"matrix-{server.name}.pickle"
        with stored.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not stored.exists():
                stored.write_bytes(pickle.dumps(judge_server(server, GATED)))
            verdicts: dict[str, Verdict] = pickle.loads(stored.read_bytes())  # noqa: S301 - this run's own file
            return verdicts

    def verdicts_of(name: str) -> dict[str, Verdict]:
        if name not in known:
            known[name] = read_or_play(SERVERS[name])
        return known[name]

    return verdicts_of


@pytest.fixture
def verdict(verdicts_of: Callable[[str], dict[str, Verdict]], server: str, case: str) -> Verdict:
    """The verdict on one cell."""
    return verdicts_of(server)[case]


def cells(*shapes: Shape) -> pytest.MarkDecorator:
    """Return the parameters for each server and each of its cases that has one of *shapes*."""
    pairs = [
        pytest.param(name, case.id, id=f"{name}/{case.id}")
        for name, server in SERVERS.items()
        for case in cases_of(server)
        if case.shape in shapes
    ]
    return pytest.mark.parametrize(("server", "case"), pairs)


@pytest.mark.contract("C1", "C8", "G1")
@cells(Shape.SAME)
def test_a_reply_that_needs_no_repair_is_the_bare_one_but_for_the_id_line(verdict: Verdict) -> None:
    """Status, header lines, bytes and ending are the bare application's; one line is more."""
    assert verdict.faults == []


@pytest.mark.contract("C1", "D1", "D5")
@cells(Shape.MEMBER)
def test_error_json_gains_one_member_and_keeps_every_other_byte(verdict: Verdict) -> None:
    """An error JSON object names the bound trace; one that does already is untouched."""
    assert verdict.faults == []


@pytest.mark.contract("D2", "E1")
@cells(Shape.ENVELOPE)
def test_error_json_without_room_for_a_member_goes_into_the_standard_error_object(verdict: Verdict) -> None:
    """What is no JSON object is delivered as ``original`` of one, under the same status."""
    assert verdict.faults == []


@pytest.mark.contract("A3", "B2", "B3", "B4", "C6", "E1", "E2", "E3")
@cells(Shape.REFUSED)
def test_a_request_without_one_good_id_is_refused_before_the_application_runs(verdict: Verdict) -> None:
    """409 with the detail that fits, under an id of its own."""
    assert verdict.faults == []


@pytest.mark.contract("C3", "D1", "E2", "E3")
@cells(Shape.OVERWRITE)
def test_an_application_that_names_another_trace_is_refused(verdict: Verdict) -> None:
    """409 in place of its reply; headers that are not about the representation stay."""
    assert verdict.faults == []


@pytest.mark.contract("C1", "C2", "C4", "C10", "D7")
@cells(Shape.CRASH)
def test_a_failure_before_the_reply_starts_is_one_complete_traced_500(verdict: Verdict) -> None:
    """Whatever raised, the caller gets the standard error object and no exception text."""
    assert verdict.faults == []


@pytest.mark.contract("C1", "C5", "E4")
@cells(Shape.BROKEN)
def test_a_failure_after_the_reply_started_is_never_a_clean_end(verdict: Verdict) -> None:
    """The bytes so far are delivered, and the body is left unterminated."""
    assert verdict.faults == []


@pytest.mark.contract("C1", "D6")
@cells(Shape.EVENTS)
def test_every_event_of_a_stream_is_marked_and_says_what_it_said(verdict: Verdict) -> None:
    """What a browser dispatches is the bare stream plus one mark each."""
    assert verdict.faults == []


@pytest.mark.contract("C5", "D7", "E4")
@cells(Shape.BROKEN_EVENTS)
def test_a_stream_that_fails_midway_ends_with_one_error_event_and_unterminated(verdict: Verdict) -> None:
    """The events so far are delivered and marked, the partial one is dropped."""
    assert verdict.faults == []


@pytest.mark.contract("C1", "C4")
@cells(Shape.ACCEPTED, Shape.DENIED)
def test_the_answer_to_a_websocket_handshake_carries_the_id(verdict: Verdict) -> None:
    """Accepted, closed, failed or refused: one id, as far as the server lets an application answer."""
    assert verdict.faults == []


@pytest.mark.parametrize("server", SERVERS)
def test_what_a_bare_application_loses_is_what_is_documented(
    verdicts_of: Callable[[str], dict[str, Verdict]], server: str
) -> None:
    """No cell leaves the count without a reason, and no reason outlives its cause."""
    shown = {verdict.loss.key for verdict in verdicts_of(server).values() if verdict.loss}
    assert shown == set(REASONS[server])


@pytest.mark.contract("C1")
@pytest.mark.parametrize("server", SERVERS)
def test_each_server_makes_at_least_sixty_counted_replies_with_one_right_id_each(
    verdicts_of: Callable[[str], dict[str, Verdict]], server: str
) -> None:
    """All counted replies, all error JSON and all events are covered."""
    counted = [verdict for verdict in verdicts_of(server).values() if verdict.id_counted]
    assert len(counted) >= LEAST_CASES
    assert sum(verdict.id_right for verdict in counted) == len(counted)
    assert sum(verdict.error_json_covered for verdict in counted) == sum(verdict.error_json for verdict in counted)
    assert sum(verdict.events_covered for verdict in counted) == sum(verdict.events for verdict in counted)


def test_every_server_has_its_documented_losses_and_each_names_a_case() -> None:
    """A renamed case or server does not leave its reason behind."""
    assert set(REASONS) == set(SERVERS)
    assert {key for reasons in REASONS.values() for key in reasons} <= set(CASES)
