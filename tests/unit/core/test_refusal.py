"""What does the caller get where the contract was broken? The standard error object (clauses E1, E2)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.fakes import OWN, OWN_TRACE
from tracegate.core.policy import Policy
from tracegate.core.refusal import ErrorObject, error_code_of, error_object, refusal_object, retained

PROBLEM, PLAIN = b"application/problem+json", b"application/json; charset=utf-8"


@pytest.mark.contract("E1", "C4", "D2")
def test_an_error_is_four_members_in_their_order() -> None:
    """And nothing of the exception."""
    body, media_type = error_object(500, OWN_TRACE).encode(Policy())

    assert (
        body
        == b'{"error_code":"SYS-003-500","message":"Internal Server Error","trace_id":"%s","details":[]}' % OWN.encode()
    )
    assert media_type == PLAIN


@pytest.mark.contract("E1", "E2")
@pytest.mark.parametrize(
    ("detail", "hint"),
    [
        ("missing_trace_id", "X-Own: <UUID or 32 hex digits>"),
        ("invalid_trace_id_format", "X-Own is not a trace id"),
        ("conflicting_trace_id", "more than one trace"),
        ("trace_overwrite_refused", "it was withheld"),
        ("trace_id_missing", "none was bound"),
    ],
)
def test_a_refusal_is_409_with_its_code_and_one_detail(detail: str, hint: str) -> None:
    """Its message says what to do, with the header's configured name."""
    error = refusal_object(detail, OWN_TRACE, "X-Own")
    document = json.loads(error.encode(Policy())[0])

    assert error.status == 409
    assert hint in document.pop("message")
    assert document == {"error_code": "SYS-004-409-TRACE", "trace_id": OWN, "details": [detail]}


@pytest.mark.contract("B4", "E2")
def test_the_message_of_a_missing_id_says_both_ways_to_send_one() -> None:
    """A caller who never heard of traces can act on it."""
    assert refusal_object("missing_trace_id", OWN_TRACE, "X-Trace-Id").message == (
        "This request has no trace id. Send X-Trace-Id: <UUID or 32 hex digits>, or a W3C traceparent."
    )


@pytest.mark.contract("E2")
def test_a_refusal_after_the_application_ran_names_the_refused_status() -> None:
    """As a number, behind the standard members."""
    error = refusal_object("trace_overwrite_refused", OWN_TRACE, "X-Trace-Id", 201)

    assert list(error.members().items())[-1] == ("refused_status", 201)
    assert "refused_status" not in refusal_object("trace_overwrite_refused", OWN_TRACE, "X-Trace-Id").members()


@pytest.mark.contract("D2")
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "SEC-001-401"),
        (403, "SEC-002-403"),
        (404, "API-004-404"),
        (422, "API-003-422"),
        (500, "SYS-003-500"),
        (503, "SYS-003-503"),
        (400, "HTTP-400"),
        (418, "HTTP-418"),
        (599, "HTTP-599"),
    ],
)
def test_an_error_code_goes_by_the_status(status: int, code: str) -> None:
    """SYSTEM.md's where it has one, else the status itself."""
    assert error_code_of(status) == code
    assert (error_object(status, OWN_TRACE).code, error_object(status, OWN_TRACE).status) == (code, status)


# RFC 9457


@pytest.mark.contract("E1")
def test_a_problem_object_has_the_standard_members_as_extensions() -> None:
    """Beside those of RFC 9457."""
    body, media_type = refusal_object("missing_trace_id", OWN_TRACE, "X-Trace-Id", 200).encode(
        Policy(problem_json="always")
    )
    document = json.loads(body)

    assert media_type == PROBLEM
    assert list(document) == [
        "type", "title", "status", "detail", "error_code", "message", "trace_id", "details", "refused_status",
    ]  # fmt: skip
    assert (document["type"], document["title"], document["status"]) == ("about:blank", "Conflict", 409)
    assert document["detail"] == document["message"]


@pytest.mark.contract("E1")
@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, PLAIN),
        (b"", PLAIN),
        (b"*/*", PLAIN),
        (b"application/*", PLAIN),
        (b"application/json", PLAIN),
        (b"application/problem+json", PROBLEM),
        (b"Application/Problem+JSON", PROBLEM),
        (b"text/html , application/problem+json;q=0.1", PROBLEM),
        (b"application/problem+json, application/json", PLAIN),
        (b"application/json;q=0.9, application/problem+json", PROBLEM),
        (b"application/problem+json;q=0.9, application/json", PLAIN),
        (b"application/json;q=0.5;x=y, application/problem+json ; Q=0.6", PROBLEM),
        (b"application/problem+json;q=0", PLAIN),
        (b"application/problem+json;q=high", PLAIN),
        (b"application/problem+json;v=1", PROBLEM),
        (b"application/json;q=none, application/problem+json;q=0.1", PROBLEM),
        (b"application/problem+jsonx", PLAIN),
        (b"application/json;q=1,application/problem+json", PLAIN),
        (b"text/html,application/problem+json", PROBLEM),
        (b"application/json;q=0,application/problem+json;q=0", PLAIN),
        (b",;,", PLAIN),
        (b"\xff\x00", PLAIN),
    ],
)
def test_a_problem_object_is_sent_where_the_caller_prefers_it(accept: bytes | None, media_type: bytes) -> None:
    """To ``application/json``, by name and weight (RFC 9110, section 12.5.1)."""
    assert error_object(500, OWN_TRACE).encode(Policy(), accept)[1] == media_type


@pytest.mark.contract("E1")
def test_the_policy_may_settle_the_question() -> None:
    """Whatever the caller says."""
    error = error_object(500, OWN_TRACE)

    assert error.encode(Policy(problem_json="always"), b"application/json")[1] == PROBLEM
    assert error.encode(Policy(problem_json="never"), PROBLEM)[1] == PLAIN


# shape_error=


def shaped(hook: Callable[[dict[str, Any]], Any], **policy: Any) -> tuple[dict[str, Any], bytes]:  # noqa: ANN401
    """Return the object that leaves under *hook*, and its media type."""
    error = ErrorObject(409, "C", "m", OWN_TRACE, ("d",), 200)
    body, media_type = error.encode(Policy(shape_error=hook, **policy))
    return json.loads(body), media_type


STANDARD = {"error_code": "C", "message": "m", "trace_id": OWN, "details": ["d"], "refused_status": 200}


@pytest.mark.contract("E1")
def test_a_hook_gets_the_members_and_shapes_the_object() -> None:
    """Its members leave, with the id among them."""
    seen: list[dict[str, Any]] = []

    def hook(members: dict[str, Any]) -> dict[str, Any]:
        seen.append(dict(members))
        return {"code": members["error_code"], "trace_id": members["trace_id"]}

    assert shaped(hook) == ({"code": "C", "trace_id": OWN}, PLAIN)
    assert seen == [STANDARD]


@pytest.mark.contract("E1")
def test_a_hook_shapes_problem_objects_too() -> None:
    """It sees their members and leaves their media type."""
    document, media_type = shaped(lambda members: {"title": members["title"]}, problem_json="always")

    assert (document, media_type) == ({"title": "Conflict", "trace_id": OWN}, PROBLEM)


def _removes(members: dict[str, Any]) -> dict[str, Any]:
    del members["trace_id"]
    return members


@pytest.mark.contract("E1")
@pytest.mark.parametrize(
    ("hook", "document"),
    [
        (_removes, STANDARD),
        (lambda _: {}, {"trace_id": OWN}),
        (lambda _: {"trace_id": "another"}, {"trace_id": OWN}),
        (lambda _: {"trace_id": None, "a": 1}, {"a": 1, "trace_id": OWN}),
        (lambda members: members.clear() or members, {"trace_id": OWN}),
    ],
)
def test_a_hook_cannot_remove_the_id(hook: Callable[[dict[str, Any]], Any], document: dict[str, Any]) -> None:
    """Nor replace it."""
    assert shaped(hook)[0] == document


def _raises(_members: dict[str, Any]) -> dict[str, Any]:
    raise ZeroDivisionError


def _spoils_and_raises(members: dict[str, Any]) -> dict[str, Any]:
    members["details"].clear()
    members.clear()
    raise ZeroDivisionError


@pytest.mark.contract("E1")
@pytest.mark.parametrize(
    "hook",
    [
        _raises,
        _spoils_and_raises,
        lambda _: None,
        lambda _: 7,
        lambda _: ["trace_id"],
        lambda _: {"a": object()},
        lambda _: {"a": "\ud800"},
        lambda _: {("a", "b"): 1},
    ],
)
def test_where_a_hook_fails_the_standard_object_leaves(hook: Callable[[dict[str, Any]], Any]) -> None:
    """Whole: the operator's mistake is not the caller's."""
    assert shaped(hook)[0] == STANDARD


# What of the application's reply stays


@pytest.mark.contract("E2")
def test_a_refusal_keeps_all_headers_but_those_of_the_representation() -> None:
    """In their order and spelling."""
    kept = [
        (b"Set-Cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"Retry-After", b"7"),
        (b"WWW-Authenticate", b"Bearer"),
        (b"Access-Control-Allow-Origin", b"*"),
        (b"Access-Control-Expose-Headers", b"X"),
        (b"Vary", b"Origin"),
        (b"X-Own", b"1"),
        (b"Strict-Transport-Security", b"max-age=1"),
    ]
    gone = [
        (b"Content-Type", b"text/html"),
        (b"content-length", b"3"),
        (b"Content-Encoding", b"gzip"),
        (b"Content-Disposition", b"attachment"),
        (b"content-digest", b"x"),
        (b"ETag", b'"1"'),
        (b"Last-Modified", b"x"),
        (b"Location", b"/x"),
        (b"Cache-Control", b"public"),
        (b"Signature", b"x"),
        (b"Signature-Input", b"x"),
        (b"Digest", b"x"),
        (b"Repr-Digest", b"x"),
        (b"Accept-Ranges", b"bytes"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Trailer", b"X"),
    ]
    mixed = [line for pair in zip(gone, [*kept, *kept], strict=False) for line in pair]

    assert [line for line in retained([*mixed, *gone])] == [line for line in mixed if line in kept]  # noqa: C416 - a new list
    assert retained(gone) == []


@pytest.mark.contract("D2", "E1")
def test_a_hook_does_not_take_the_place_of_the_original() -> None:
    """That is the application's own value."""
    assert shaped(lambda members: {**members, "original": "mine"})[0] == STANDARD
