"""What does a trace say about itself?"""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.unit.fakes import HEX, OTHER, OWN
from tracegate.core.trace import Trace
from tracegate.core.trace_id import TraceId
from tracegate.core.w3c import TraceParent
from tracegate.errors import InvalidTraceIdError

if TYPE_CHECKING:
    from collections.abc import Callable


def trace(spelled: str, **facts: object) -> Trace:
    """Return a trace of that spelling."""
    return Trace.of(TraceId.from_text(spelled), **{"origin": "header", **facts})  # type: ignore[arg-type]


@pytest.mark.contract("A1", "A2")
def test_a_trace_shows_the_callers_spelling_and_the_w3c_form_of_its_number() -> None:
    """One number, two forms."""
    bound = trace(OWN.upper())

    assert (bound.trace_id, str(bound), bound.w3c) == (OWN.upper(), OWN.upper(), HEX)
    assert repr(bound) == f"<Trace {OWN.upper()} from header>"


@pytest.mark.contract("A1", "G2")
def test_traces_are_equal_by_number() -> None:
    """However spelled and wherever from; nothing else is equal."""
    bound = trace(OWN)

    assert bound == trace(HEX, origin="minted", fault="missing_trace_id")
    assert hash(bound) == hash(trace(HEX))
    assert hash(bound) != hash(trace(OTHER))
    assert bound != trace(OTHER)
    assert not bound != trace(HEX)  # noqa: SIM202 - both operators are defined
    assert bound != OWN
    assert bound != TraceId.from_text(OWN)


@pytest.mark.contract("B4")
@pytest.mark.parametrize(
    ("origin", "minted"),
    [("minted", True), ("header", False), ("traceparent", False), ("query", False), ("scope", False)],
)
def test_a_trace_is_minted_where_tracegate_made_it(origin: str, *, minted: bool) -> None:
    """The store marks it so."""
    assert trace(OWN, origin=origin).minted is minted


def test_a_trace_cannot_be_changed() -> None:
    """It is shared by everything that runs under it."""
    bound = trace(OWN, traceparent=TraceParent(HEX, "00f067aa0ba902b7", 1))

    with pytest.raises(AttributeError):
        bound.fault = "x"  # type: ignore[misc]


@pytest.mark.contract("A1")
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda bound: pickle.loads(pickle.dumps(bound))])  # noqa: S301 - our own
def test_a_copy_of_a_trace_says_the_same(again: Callable[[Trace], Trace]) -> None:
    """Spelling, format, origin and what else is known."""
    parent = TraceParent(HEX, "00f067aa0ba902b7", 1)
    bound = Trace(b"order-4711", "traceparent", "opaque", parent, "a=1", rejected="'x'")

    found = again(bound)

    assert msgspec.structs.asdict(found) == msgspec.structs.asdict(bound)
    assert found.id.spelled_in == "opaque"


@pytest.mark.contract("A1")
def test_a_trace_is_not_unpickled_from_what_is_no_trace_id() -> None:
    """Its id is parsed again."""
    pickled = pickle.dumps(trace(OWN))

    with pytest.raises(InvalidTraceIdError):
        pickle.loads(pickled.replace(OWN.encode(), b"x" * len(OWN)))  # noqa: S301 - our own
