"""Are the automaton's tables what their makers make?

They are made when the module is imported, before any test runs: whoever breaks a maker afterwards, as a mutation run
does in a fork, is seen only by making them again. That the tables are right, the public JSON suites say.
"""

from __future__ import annotations

import re

from tracegate.core.rewrite import json_grammar, json_reader
from tracegate.core.rewrite.json_grammar import FAULTY, MEMBER, MOVES, STATES, TABLE, Move, Stop


def test_the_table_is_what_the_rules_say() -> None:
    """Each row, each move, and their numbers."""
    assert json_grammar._compiled() == (TABLE, MOVES)
    assert (len(TABLE), {len(row) for row in TABLE}) == (len(STATES), {256})
    assert MOVES[0] == Move(STATES["faulty"], consumes=False, stop=Stop.FAULT)


def test_a_byte_without_a_rule_is_the_faulty_move() -> None:
    """From every state there is one; from the faulty state there is nothing else."""
    assert set(TABLE[STATES["faulty"]]) == {FAULTY}
    assert {row[0x00] for name, row in zip(STATES, TABLE, strict=True) if name != "named after"} == {FAULTY}


def test_a_literal_is_read_letter_by_letter() -> None:
    """The last letter ends the value, and no letter is skipped."""
    assert json_grammar._literal("true") == {"t": {b"r": "tr"}, "tr": {b"u": "tru"}, "tru": {b"e": Move()}}


def test_the_name_is_compared_letter_by_letter_however_it_is_escaped() -> None:
    """Eight letters, each as itself or as its escape, whose hex digits may be of either case."""
    rules = json_grammar._name()
    assert rules == {state: row for state, row in json_grammar._RULES.items() if state.startswith("name ")}
    assert len(rules) == len(MEMBER) * 6 + 1
    assert rules["name 5"][b"_"] == "name 6"
    assert rules["name 5"][b"\\"] == "name 5 escape"
    assert rules["name 5 escape"][b"u"] == "name 5 hex 4"
    assert rules["name 5 hex 1"][b"fF"] == "name 6"
    assert rules["name 5 hex 1"][json_grammar._HEX] == "string"
    assert rules["name 8"][b'"'] == "named colon"


def test_a_span_has_both_its_ends() -> None:
    """As ABNF's ranges do."""
    assert json_grammar._span(0x61, 0x64) == b"abcd"


def test_a_state_has_its_number() -> None:
    """And no state has none."""
    assert json_grammar._number("start") == 0
    assert json_grammar._number("mark 1") == 1
    assert json_grammar._number(None) is None


def test_the_leaps_stand_where_they_are_placed() -> None:
    """In their states, at their bytes, and nowhere else."""
    routes = json_reader._with_leaps()
    assert routes == json_reader._ROUTES
    leaps = {
        (state, byte, routes[number][byte] - json_reader._FIRST_LEAP)
        for state, number in STATES.items()
        for byte in range(256)
        if routes[number][byte] != TABLE[number][byte]
    }
    assert leaps == {
        (state, byte, leap)
        for leap, (_, places) in enumerate(json_reader._PLACES)
        for first_bytes, states in places.items()
        for state in states
        for byte in first_bytes
    }


def test_a_run_of_members_begins_and_ends_where_it_says() -> None:
    """With or without a comma before it; after a value, or before one that is too deep to leap over."""
    run = re.compile(json_reader._members(b'"a+"'))
    for rest in (b"}", b',"b":3}'):
        after = run.match(b',"a" : 1 , "aa":[2,"x"] ' + rest)
        assert after is not None
        assert (after.end(), after.lastindex) == (24, 1)
    before = run.match(b'"a":1,"aa": {"b":3}}')
    assert before is not None
    assert (before.end(), before.lastindex) == (12, 2)
    assert run.match(b'"b":1}') is None
