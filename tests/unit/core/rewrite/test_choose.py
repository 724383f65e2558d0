"""How must a body be treated, as far as its head can tell?"""

from __future__ import annotations

import pytest

from tracegate.core.head import HeadReader, ReplyHead
from tracegate.core.policy import Policy
from tracegate.core.rewrite.choose import Treatment, choose, is_bodiless

JSON, TEXT, SSE, BINARY = b"application/json", b"text/html; charset=utf-8", b"text/event-stream", b"image/png"
ALL = Policy(bodies="all")
TEXTS = Policy(error_bodies="json")


def chosen(  # noqa: PLR0913, PLR0917 - what a choice depends on
    media: bytes | None, status: int = 200, method: str = "GET", policy: Policy | None = None, path: str = "/orders",
    raw_path: bytes | None = None,
) -> Treatment:  # fmt: skip
    """Return the treatment of a body of that type."""
    head = HeadReader(b"x-trace-id").read(status, [] if media is None else [(b"Content-Type", media)])
    assert isinstance(head, ReplyHead)
    return choose(policy or Policy(), head, method, path, raw_path)


@pytest.mark.contract("C8", "D1", "D3", "D4", "D5", "D6")
@pytest.mark.parametrize(
    ("media", "status", "method", "policy", "treatment"),
    [
        (None, 500, "GET", Policy(), Treatment.PASS),
        (BINARY, 500, "GET", TEXTS, Treatment.PASS),
        (BINARY, 200, "GET", ALL, Treatment.PASS),
        (JSON, 200, "GET", Policy(), Treatment.PASS),
        (JSON, 399, "GET", Policy(), Treatment.PASS),
        (JSON, 400, "GET", Policy(), Treatment.ERROR_JSON),
        (JSON, 599, "POST", Policy(), Treatment.ERROR_JSON),
        (JSON, 400, "HEAD", Policy(), Treatment.ERROR_HEAD),
        (b"application/problem+json; charset=utf-8", 422, "GET", Policy(), Treatment.ERROR_JSON),
        (b"application/x-ndjson", 500, "GET", TEXTS, Treatment.PASS),
        (JSON, 200, "GET", ALL, Treatment.SUCCESS_JSON),
        (JSON, 301, "GET", ALL, Treatment.SUCCESS_JSON),
        (JSON, 399, "GET", ALL, Treatment.SUCCESS_JSON),
        (JSON, 206, "GET", ALL, Treatment.PASS),
        (JSON, 204, "GET", ALL, Treatment.PASS),
        (JSON, 304, "GET", ALL, Treatment.PASS),
        (JSON, 200, "HEAD", ALL, Treatment.PASS),
        (JSON, 400, "GET", ALL, Treatment.ERROR_JSON),
        (TEXT, 200, "GET", Policy(bodies="all", error_bodies="json"), Treatment.PASS),
        (TEXT, 500, "GET", Policy(), Treatment.PASS),
        (TEXT, 500, "GET", TEXTS, Treatment.ERROR_TEXT),
        (TEXT, 500, "HEAD", TEXTS, Treatment.ERROR_TEXT),
        (b"application/xhtml+xml", 404, "GET", TEXTS, Treatment.ERROR_TEXT),
        (SSE, 200, "GET", Policy(), Treatment.EVENTS),
        (SSE, 503, "GET", Policy(), Treatment.EVENTS),
        (SSE, 200, "HEAD", Policy(), Treatment.PASS),
        (SSE, 204, "GET", Policy(), Treatment.PASS),
    ],
)
def test_the_head_decides(media: bytes | None, status: int, method: str, policy: Policy, treatment: Treatment) -> None:
    """Type, status, method and policy, nothing else."""
    assert chosen(media, status, method, policy) is treatment


@pytest.mark.contract("D3")
@pytest.mark.parametrize("media", [JSON, TEXT])
@pytest.mark.parametrize(
    ("path", "raw_path", "is_exempt"),
    [
        ("/legacy", None, True),
        ("/legacy/x", None, True),
        ("/legacyx", None, False),
        ("/legacy/x", b"/legacy%2fx", False),
    ],
)
def test_error_bodies_of_exempt_paths_are_left_alone(
    media: bytes, path: str, raw_path: bytes | None, *, is_exempt: bool
) -> None:
    """Text and JSON; not their event streams."""
    policy = Policy(exempt_body_paths=("/legacy/*",), error_bodies="json")

    assert (chosen(media, 500, policy=policy, path=path, raw_path=raw_path) is Treatment.PASS) is is_exempt
    assert chosen(SSE, 500, policy=policy, path=path) is Treatment.EVENTS


@pytest.mark.contract("D3")
@pytest.mark.parametrize(
    ("rules", "media", "is_exempt"),
    [
        (("application/grpc*", "application/connect+*"), b"application/grpc-web+json", True),
        (("application/grpc*", "application/connect+*"), b"Application/Connect+JSON; v=1", True),
        (("application/grpc*", "application/connect+*"), b"application/json", False),
        (("application/JSON",), b"application/json ;charset=x", True),
        (("application/JSON",), b"application/problem+json", False),
        (("APPLICATION/P*",), b"application/problem+json", True),
        ((), b"application/grpc+json", False),
    ],
)
def test_error_bodies_of_exempt_media_types_are_left_alone(
    rules: tuple[str, ...], media: bytes, *, is_exempt: bool
) -> None:
    """In any case, with any parameters; the default spares gRPC and Connect."""
    treatment = Treatment.PASS if is_exempt else Treatment.ERROR_JSON

    assert chosen(media, 500, policy=Policy(exempt_media_types=rules)) is treatment


@pytest.mark.contract("D5")
@pytest.mark.parametrize(
    ("method", "status", "none"),
    [
        ("HEAD", 200, True),
        ("HEAD", 500, True),
        ("GET", 204, True),
        ("GET", 205, True),
        ("GET", 304, True),
        ("GET", 200, False),
        ("get", 206, False),
    ],
)
def test_some_replies_have_no_body_whatever_their_head_says(method: str, status: int, *, none: bool) -> None:
    """RFC 9110, section 6.4.1."""
    assert is_bodiless(method, status) is none


@pytest.mark.contract("D3")
@pytest.mark.parametrize(
    ("media", "rule", "exempt"),
    [
        (b"application/foo+json", "application/foo+json", True),
        (b"application/Foo+JSON; v=1", "application/foo+json", True),
        (b"application/fop+json", "application/fo*", True),
        (b"application/fp+json", "application/fo*", False),
        (b"application/foo+jsop+json", "application/foo+json", False),
        (b"application/foo+jsox+json", "application/foo+json", False),
    ],
)
def test_a_media_type_is_exempt_by_the_whole_rule(media: bytes, rule: str, *, exempt: bool) -> None:
    """A rule without a star is no prefix, and one with a star is as long as it is written."""
    found = chosen(media, 500, policy=Policy(exempt_media_types=(rule,)))

    assert (found is Treatment.PASS) is exempt


@pytest.mark.contract("D1")
@pytest.mark.parametrize("media", [b"application/jsonX", b"Xapplication/json", b"application/jsonX ; charset=utf-8"])
def test_a_letter_more_is_another_media_type(media: bytes) -> None:
    """Only spaces and tabs stand around a media type."""
    assert chosen(media, 500) is Treatment.PASS
    assert chosen(b" \tapplication/json \t; charset=utf-8", 500) is Treatment.ERROR_JSON
