"""Are the header sets of the W3C trace-context test suite read as its reference parser and its tests say?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tracegate.core.w3c import parse_traceparent, parse_tracestate

DATA = Path(__file__).parent.parent / "data" / "w3c_tracecontext.json"
VECTORS: list[dict[str, Any]] = json.loads(DATA.read_text(encoding="utf-8"))["vectors"]
MOST_MEMBERS = 32


def lines_of(vector: dict[str, Any], name: str) -> list[bytes]:
    """Return the values of all field lines of *name*, which is compared without case."""
    return [value.encode("latin-1") for key, value in vector["headers"] if key.lower() == name]


def members_of(vector: dict[str, Any]) -> list[str]:
    """Return the tracestate's members in their order, without white space and without empty ones."""
    parts = ",".join(value for key, value in vector["headers"] if key.lower() == "tracestate").split(",")
    return [part.strip(" \t") for part in parts if part.strip(" \t")]


def label(vector: dict[str, Any]) -> str:
    """Return a short name for the test report."""
    return ascii([value for _, value in vector["headers"]])[1:90]


def test_all_vectors_are_there() -> None:
    """The data file is the one that was handed over."""
    assert len(VECTORS) == 74


@pytest.mark.contract("B1", "B3")
@pytest.mark.parametrize("vector", VECTORS, ids=label)
def test_a_traceparent_is_valid_exactly_where_the_reference_parser_says_so(vector: dict[str, Any]) -> None:
    """And then its ids and flags are those of the header."""
    lines = lines_of(vector, "traceparent")
    parent = parse_traceparent(lines)

    assert (parent is not None) is vector["is_traceparent_valid"]
    if parent is not None:
        _, trace_id, parent_id, flags, *_ = lines[0].decode().strip(" \t").split("-")
        assert parent == (trace_id, parent_id, int(flags, 16))


@pytest.mark.contract("B1", "B3")
@pytest.mark.parametrize("vector", [one for one in VECTORS if one["is_traceparent_valid"]], ids=label)
def test_a_tracestate_is_kept_exactly_where_the_suite_says_so(vector: dict[str, Any]) -> None:
    """All members in order, repeated keys as they are; a bad one drops the tracestate and leaves the traceparent.

    The reference parser calls a list of 33 members valid and drops it when it sends; the suite's test and the standard
    (level 2 section 3.3.1) want it dropped.
    """
    members = members_of(vector)
    kept = vector.get("is_tracestate_valid", False) and len(members) <= MOST_MEMBERS

    assert parse_tracestate(lines_of(vector, "tracestate")) == (",".join(members) if kept else None)
    assert parse_traceparent(lines_of(vector, "traceparent")) is not None


def test_the_list_of_33_is_the_only_one_that_the_reference_parser_judges_otherwise() -> None:
    """So that the exception above stays one."""
    too_many = [one for one in VECTORS if one.get("is_tracestate_valid") and len(members_of(one)) > MOST_MEMBERS]

    assert len(too_many) == 1
