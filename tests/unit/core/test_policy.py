"""Are the operator's decisions checked, all of them, before the first request?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from tracegate.core.policy import Policy
from tracegate.errors import ConfigurationError, TracegateError

make_policy: Callable[..., Policy] = Policy


def faults_of(**settings: Any) -> tuple[tuple[str, str], ...]:  # noqa: ANN401 - whatever a user may write
    """Return what is wrong with *settings*."""
    with pytest.raises(ConfigurationError) as caught:
        make_policy(**settings)
    return caught.value.faults


@pytest.mark.contract("B4", "B6", "C3", "D3", "D4", "D5", "D6", "D7", "E1", "F2")
def test_the_defaults_are_those_of_the_contract() -> None:
    """Require an id, trust everyone, touch errors only, refuse what contradicts."""
    policy = Policy()

    assert (policy.mode, policy.header, policy.trusted, policy.query_parameter) == ("require", "X-Trace-Id", None, None)
    assert (policy.formats, policy.exempt_paths, policy.traceparent_mismatch) == ((), (), "refuse")
    assert (policy.on_conflict, policy.signed_errors, policy.error_bodies) == ("refuse", "refuse", "header")
    assert (policy.bodies, policy.sse_carrier, policy.sse_error, policy.problem_json) == (
        "errors", "auto", "event", "negotiate",
    )  # fmt: skip
    assert (policy.max_error_body, policy.max_sse_event, policy.sse_hold_seconds) == (1_048_576, 1_048_576, 1.0)
    assert (policy.traceresponse, policy.server_timing, policy.tenant_header) == (False, False, None)
    assert policy.exempt_media_types == ("application/grpc*", "application/connect+*")
    assert policy.default_tenant == "default"
    assert policy.cors() is None


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "mint"},
        {"mode": "observe"},
        {"modes": {"/a/*": "mint", "/b": "observe", "/c": "require"}},
        {"header": "X-Correlation-Id"},
        {"header": "!#$%&'*+-.^_`|~09AZaz"},
        {"formats": ("nginx", "aws", "ulid", "opaque")},
        {"traceparent_mismatch": "parent"},
        {"trusted": ()},
        {"trusted": ("10.0.0.0/8", "::1", "2001:db8::/32")},
        {"trusted": bool},
        {"query_parameter": "trace id"},
        {"on_conflict": "keep"},
        {"on_conflict_paths": {"/a": "keep", "/b/*": "refuse"}},
        {"cors_origins": ("*", "https://app.example", "http://localhost:3000", "app-X://X")},
        {"error_bodies": "json", "bodies": "all", "signed_errors": "header", "sse_carrier": "field"},
        {"sse_error": "openai", "problem_json": "always"},
        {"problem_json": "never"},
        {"exempt_media_types": ("application/xml", "image/*", "text/vnd.x+*")},
        {"max_error_body": 1, "max_sse_event": 1},
        {"sse_hold_seconds": 0},
        {"sse_hold_seconds": 60},
        {"sse_hold_seconds": 0.25},
        {"shape_error": dict},
        {"tenant_header": "X-Tenant-Key", "tenants": ("a", "b"), "default_tenant": "a"},
        {"traceresponse": True, "server_timing": True},
    ],
    ids=str,
)
def test_what_the_documentation_allows_is_taken_as_it_is(settings: dict[str, Any]) -> None:
    """No setting is rewritten on the way."""
    policy = make_policy(**settings)

    assert {name: getattr(policy, name) for name in settings} == settings


@pytest.mark.parametrize(
    ("setting", "value", "fault"),
    [
        ("mode", "strict", "'strict' is not one of require, mint, observe"),
        ("mode", None, "None is not one of require, mint, observe"),
        ("traceparent_mismatch", "header", "'header' is not one of refuse, parent"),
        ("on_conflict", "drop", "'drop' is not one of refuse, keep"),
        ("error_bodies", "html", "'html' is not one of header, json"),
        ("bodies", "some", "'some' is not one of errors, all"),
        ("signed_errors", "json", "'json' is not one of refuse, header"),
        ("sse_carrier", "member", "'member' is not one of auto, field"),
        ("sse_error", "anthropic", "'anthropic' is not one of event, openai"),
        ("problem_json", True, "True is not one of negotiate, always, never"),
        ("exempt_paths", "/healthz", "must be a tuple of strings"),
        ("exempt_paths", ["/healthz"], "must be a tuple of strings"),
        ("exempt_paths", (1,), "must be a tuple of strings"),
        ("exempt_paths", ("healthz",), "'healthz' must start with '/'"),
        ("exempt_body_paths", ("/a*",), "'/a*' may have '*' only as its last segment"),
        ("exempt_body_paths", None, "must be a tuple of strings"),
        ("formats", "aws", "must be a tuple of strings"),
        ("formats", ("uuid",), "'uuid' is not one of nginx, aws, ulid, opaque"),
        ("exempt_media_types", ("grpc",), "'grpc' is not a media type"),
        ("exempt_media_types", ("*/*",), "'*/*' is not a media type"),
        ("exempt_media_types", ("text/x;q=1",), "'text/x;q=1' is not a media type"),
        ("exempt_media_types", "text/x", "must be a tuple of strings"),
        ("cors_origins", ("app.example",), "'app.example' is not an origin such as https://app.example"),
        ("cors_origins", ("https://app.example/",), "'https://app.example/' is not an origin such as https://app.example"),
        ("cors_origins", ("https://äpp.example",), "'https://äpp.example' is not an origin such as https://app.example"),
        ("cors_origins", "*", "must be a tuple of strings"),
        ("tenants", "a", "must be a tuple of strings"),
        ("modes", ("/a",), "must map path rules to values"),
        ("modes", {"a": "mint"}, "'a' must start with '/'"),
        ("modes", {7: "mint"}, "7 is not a path rule"),
        ("modes", {"/a": "keep"}, "'keep' for '/a' is not one of require, mint, observe"),
        ("on_conflict_paths", {"/a": "mint"}, "'mint' for '/a' is not one of refuse, keep"),
        ("on_conflict_paths", None, "must map path rules to values"),
        ("max_error_body", 0, "0 is not a positive number of bytes"),
        ("max_error_body", 1.5, "1.5 is not a positive number of bytes"),
        ("max_sse_event", -1, "-1 is not a positive number of bytes"),
        ("max_sse_event", True, "True is not a positive number of bytes"),
        ("traceresponse", 1, "1 is not true or false"),
        ("server_timing", "yes", "'yes' is not true or false"),
        ("default_tenant", None, "None is not a string"),
        ("service", 7, "7 is not a string"),
        ("instance", b"pod", "b'pod' is not a string"),
        ("header", "", "'' is not a header name (RFC 9110, section 5.1)"),
        ("header", "X Trace", "'X Trace' is not a header name (RFC 9110, section 5.1)"),
        ("header", "X-Trace\n", "'X-Trace\\n' is not a header name (RFC 9110, section 5.1)"),
        ("header", "X-Träce", "'X-Träce' is not a header name (RFC 9110, section 5.1)"),
        ("header", None, "None is not a header name (RFC 9110, section 5.1)"),
        ("header", "Traceparent", "'Traceparent' has another meaning"),
        ("header", "tracestate", "'tracestate' has another meaning"),
        ("header", "Content-Type", "'Content-Type' has another meaning"),
        ("header", "content-length", "'content-length' has another meaning"),
        ("header", "Transfer-Encoding", "'Transfer-Encoding' has another meaning"),
        ("header", "Set-Cookie", "'Set-Cookie' has another meaning"),
        ("tenant_header", "X:Y", "'X:Y' is not a header name (RFC 9110, section 5.1)"),
        ("tenant_header", "traceparent", "'traceparent' has another meaning"),
        ("sse_hold_seconds", -0.1, "-0.1 is not a number of seconds from 0 to 60"),
        ("sse_hold_seconds", 60.1, "60.1 is not a number of seconds from 0 to 60"),
        ("sse_hold_seconds", True, "True is not a number of seconds from 0 to 60"),
        ("sse_hold_seconds", "1", "'1' is not a number of seconds from 0 to 60"),
        ("sse_hold_seconds", float("nan"), "nan is not a number of seconds from 0 to 60"),
        ("shape_error", {}, "must be callable"),
        ("query_parameter", "", "'' is not a parameter's name"),
        ("query_parameter", 7, "7 is not a parameter's name"),
        ("trusted", "10.0.0.0/8", "must be a tuple of networks or a predicate"),
        ("trusted", ("10.0.0.1/8",), "10.0.0.1/8 has host bits set"),
        ("trusted", ("gateway",), "'gateway' does not appear to be an IPv4 or IPv6 network"),
        ("trusted", (8,), "8 is not a network"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_a_fault_with_its_settings_name(setting: str, value: object, fault: str) -> None:
    """At construction, never at the first request that needs it."""
    assert faults_of(**{setting: value}) == ((setting, fault),)


def test_all_faults_are_reported_at_once() -> None:
    """Nobody mends a configuration one restart at a time."""
    faults = faults_of(
        mode="strict",
        exempt_paths=("a", "/b*"),
        formats=("x", "y"),
        modes={"a": "b"},
        max_error_body=0,
        traceresponse=1,
        service=1,
        header="",
        tenant_header="",
        cors_origins=("a",),
        exempt_media_types=("a",),
        sse_hold_seconds=99,
        shape_error=1,
        query_parameter="",
        trusted=(8, "a", "b"),
    )

    assert sorted(name for name, _ in faults) == [
        "cors_origins",
        "exempt_media_types",
        "exempt_paths",
        "exempt_paths",
        "formats",
        "formats",
        "header",
        "max_error_body",
        "mode",
        "modes",
        "modes",
        "query_parameter",
        "service",
        "shape_error",
        "sse_hold_seconds",
        "tenant_header",
        "traceresponse",
        "trusted",
        "trusted",
        "trusted",
    ]


def test_the_exception_says_everything_in_its_text() -> None:
    """It is a ValueError too, as a caller would expect."""
    with pytest.raises(ValueError, match=r"^mode: 'x' is not one of .*; header: 'a b' is not a header name") as caught:
        make_policy(mode="x", header="a b")

    assert isinstance(caught.value, TracegateError)


def test_a_policy_is_frozen_and_compares_by_its_settings() -> None:
    """It can be shared between gates and threads."""
    policy = Policy(exempt_paths=("/healthz",))

    with pytest.raises(FrozenInstanceError):
        policy.mode = "mint"  # type: ignore[misc]
    assert policy == Policy(exempt_paths=("/healthz",))
    assert policy != Policy()
    assert "rules" not in repr(policy)


@pytest.mark.contract("B4", "B5", "C3", "D3")
def test_the_path_rules_are_ready_for_use() -> None:
    """One set for each setting that has paths."""
    policy = Policy(
        modes={"/a": "mint"},
        on_conflict_paths={"/a": "keep"},
        exempt_paths=("/b",),
        exempt_body_paths=("/c",),
    )

    assert [policy.mode_rules.find(path, None, "require") for path in ("/a", "/b")] == ["mint", "require"]
    assert [policy.conflict_rules.find(path, None, "refuse") for path in ("/a", "/b")] == ["keep", "refuse"]
    assert [policy.exempt_rules.find(path, None, default=False) for path in ("/b", "/c")] == [True, False]
    assert [policy.exempt_body_rules.find(path, None, default=False) for path in ("/b", "/c")] == [False, True]


@pytest.mark.contract("C6")
def test_cors_origins_become_rules_for_the_gates_own_replies() -> None:
    """Where no integration knows better."""
    rules = Policy(cors_origins=("https://app.example",)).cors()

    assert rules is not None
    assert rules.headers(b"https://app.example", "X-Trace-Id")[0] == (
        b"access-control-allow-origin",
        b"https://app.example",
    )
    assert rules.headers(b"https://else.example", "X-Trace-Id") == []


@pytest.mark.contract("B4", "C3")
@pytest.mark.parametrize(
    ("settings", "mode", "on_conflict"),
    [
        ({}, "require", "refuse"),
        ({"mode": "observe", "modes": {"/a": "mint"}}, "mint", "refuse"),
        ({"mode": "mint", "modes": {"/a": "require"}}, "require", "refuse"),
        ({"mode": "mint", "modes": {"/a": "observe"}}, "mint", "refuse"),
        ({"on_conflict": "keep", "on_conflict_paths": {"/a": "refuse"}}, "require", "refuse"),
        ({"on_conflict": "keep", "on_conflict_paths": {"/a": "keep"}}, "require", "keep"),
    ],
)
def test_a_path_that_may_be_read_in_two_ways_falls_under_the_strictest_rule(
    settings: dict[str, Any], mode: str, on_conflict: str
) -> None:
    """Of those that could be meant."""
    policy = make_policy(**settings)

    assert policy.mode_rules.find("/a/..", None, policy.mode) == mode
    assert policy.conflict_rules.find("/a/..", None, policy.on_conflict) == on_conflict


@pytest.mark.parametrize(
    "name", ["Content-Anything", "access-control-x", "Accept", "If-Match", "Proxy-X", "Sec-X", "Host"]
)
def test_a_header_of_http_itself_cannot_carry_the_trace(name: str) -> None:
    """Nor the tenant."""
    assert faults_of(header=name, tenant_header=name) == (
        ("header", f"{name!r} has another meaning"),
        ("tenant_header", f"{name!r} has another meaning"),
    )


@pytest.mark.parametrize(("name", "longest"), [("sse_hold_seconds", 60), ("commit_wait_seconds", 10)])
def test_seconds_are_a_number_from_nothing_to_their_bound(name: str, longest: int) -> None:
    """Both ends included; truth is no number."""
    for good in (0, 0.5, longest, float(longest)):
        assert getattr(Policy(**{name: good}), name) == good  # type: ignore[arg-type]
    for bad in (-0.001, longest + 0.001, True, False, "1", None, float("nan")):
        with pytest.raises(ConfigurationError) as refused:
            Policy(**{name: bad})  # type: ignore[arg-type]
        assert refused.value.faults == ((name, f"{bad!r} is not a number of seconds from 0 to {longest}"),)
