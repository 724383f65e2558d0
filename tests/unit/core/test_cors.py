"""Can a browser read what the gate answers, and nothing that it could not before?

Clause C6; Fetch standard, 3.2.
"""

from __future__ import annotations

import pytest

from tracegate.core.cors import CorsRules, merge_expose

APP = b"https://app.example"
Lines = list[tuple[bytes, bytes]]
EXPOSE, ALLOW, CREDENTIALS = (
    b"access-control-expose-headers",
    b"access-control-allow-origin",
    b"access-control-allow-credentials",
)


@pytest.mark.contract("C6")
@pytest.mark.parametrize(
    ("rules", "origin", "lines"),
    [
        (CorsRules(origins=("*",)), APP, [(ALLOW, b"*"), (EXPOSE, b"X-Trace-Id")]),
        (
            CorsRules(origins=("https://app.example",)),
            APP,
            [(ALLOW, APP), (EXPOSE, b"X-Trace-Id"), (b"vary", b"Origin")],
        ),
        (
            CorsRules(origins=("*",), credentials=True),
            APP,
            [(ALLOW, APP), (CREDENTIALS, b"true"), (EXPOSE, b"X-Trace-Id"), (b"vary", b"Origin")],
        ),
        (
            CorsRules(origin_regex=r"https://.*\.example", expose=("X-Count", "x-trace-id")),
            APP,
            [(ALLOW, APP), (EXPOSE, b"X-Count, X-Trace-Id"), (b"vary", b"Origin")],
        ),
        (CorsRules(origins=("*", "https://app.example")), APP, [(ALLOW, b"*"), (EXPOSE, b"X-Trace-Id")]),
        (CorsRules(origins=("https://other.example",)), APP, []),
        (CorsRules(origin_regex=r"https://app"), APP, []),
        (CorsRules(origins=("https://app.example",)), b"https://APP.example", []),
        (CorsRules(origins=("https://app.example",)), b"\xff", []),
        (CorsRules(), APP, []),
        (CorsRules(origins=("null",)), b"null", [(ALLOW, b"null"), (EXPOSE, b"X-Trace-Id"), (b"vary", b"Origin")]),
    ],
)
def test_rules_answer_as_the_applications_cors_layer_would(rules: CorsRules, origin: bytes, lines: Lines) -> None:
    """The origin itself or ``*``, the trace header exposed, ``Vary`` where the answer depends on the origin."""
    assert rules.headers(origin, "X-Trace-Id") == lines


@pytest.mark.contract("C6")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [(EXPOSE, b"x-trace-id")]),
        ([(EXPOSE, b"X-Count")], [(EXPOSE, b"X-Count, x-trace-id")]),
        ([(b"Access-Control-Expose-Headers", b"A,B")], [(b"Access-Control-Expose-Headers", b"A,B, x-trace-id")]),
        ([(EXPOSE, b"")], [(EXPOSE, b"x-trace-id")]),
        ([(EXPOSE, b" ")], [(EXPOSE, b"x-trace-id")]),
        ([(EXPOSE, b"A"), (EXPOSE, b"B")], [(EXPOSE, b"A"), (EXPOSE, b"B, x-trace-id")]),
        ([(EXPOSE, b"A"), (b"b", b"c")], [(EXPOSE, b"A, x-trace-id"), (b"b", b"c")]),
        ([(EXPOSE, b"*"), (CREDENTIALS, b"true")], [(EXPOSE, b"*, x-trace-id"), (CREDENTIALS, b"true")]),
        ([(EXPOSE, b"X-Trace-Idx")], [(EXPOSE, b"X-Trace-Idx, x-trace-id")]),
    ],
)
def test_the_trace_header_joins_what_scripts_may_read(before: Lines, after: Lines) -> None:
    """What was exposed stays, in its line, with its spelling; the given list is not changed."""
    given = [(ALLOW, b"*"), *before]

    assert merge_expose(given, b"x-trace-id") == [(ALLOW, b"*"), *after]
    assert given == [(ALLOW, b"*"), *before]


@pytest.mark.contract("C6")
@pytest.mark.parametrize("value", [b"x-trace-id", b"A, X-TRACE-ID ,B", b"*", b"A,*"])
def test_a_header_that_scripts_may_read_already_is_not_named_again(value: bytes) -> None:
    """``*`` names it, where no credentials are allowed."""
    given = [(ALLOW, b"*"), (EXPOSE, b"X-First"), (EXPOSE, value)]

    assert merge_expose(given, b"X-Trace-Id") == given
