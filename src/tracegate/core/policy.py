"""What has the operator decided?"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from tracegate.core.cors import CorsRules
from tracegate.core.paths import PathRules, path_rule_fault
from tracegate.core.trace_id import FORMATS
from tracegate.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Mode", "OnConflict", "Policy"]

Mode = Literal["require", "mint", "observe"]
OnConflict = Literal["refuse", "keep"]
Shape = Callable[[dict[str, Any]], Mapping[str, Any]]
TrustedPeer = Callable[[str | None], bool]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_MEDIA_RULE = re.compile(r"[!#$&^_.+\-0-9A-Za-z]+/[!#$&^_.+\-0-9A-Za-z]*\*?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The operator's decisions, checked whole when it is made.

    Path rules are ``/exact`` or ``/prefix/*`` (whole segments of the decoded path).

    Attributes:
        mode: What to do where the request has no trace id (B4).
        modes: Path rule to mode; the most specific rule wins.
        header: The name of the trace header, as it is to be spelled on replies.
        formats: Names of further id formats to accept: ``nginx``, ``aws``, ``ulid``, ``opaque`` (A3).
        traceparent_mismatch: ``parent`` binds the header and keeps the other as ``parent_trace_id`` (B2).
        exempt_paths: Path rules that never need an id, such as probes (B5).
        trusted: Networks (``10.0.0.0/8``) or a predicate over the peer's address; None trusts everyone (B6).
        query_parameter: Name of a query parameter that may name the trace, or None (B7).
        on_conflict: ``keep`` delivers an application's own other trace value, with an event (C3).
        on_conflict_paths: Path rule to ``refuse`` or ``keep``.
        cors_origins: Origins that may read the gate's own replies, where no integration knows better (C6).
        traceresponse: Whether replies carry ``traceresponse`` (C7).
        server_timing: Whether replies carry ``Server-Timing: trace;desc=…`` (C7).
        error_bodies: ``json`` turns text and HTML errors into the standard error object (D3).
        bodies: ``all`` marks success JSON objects too (D4).
        exempt_body_paths: Path rules whose error bodies are left alone (D3).
        exempt_media_types: Media types whose error bodies are left alone; a last ``*`` matches any rest (D3).
        max_error_body: Above it an error body is spliced as a stream (D5).
        signed_errors: ``header`` delivers signed error bodies as they are, with an event (D5).
        sse_carrier: ``field`` marks every event by a field line instead of a member (D6).
        max_sse_event: Above it an event is spliced as a stream (D6).
        sse_error: ``openai`` adds an ``error`` member to the terminal error event (D7).
        sse_hold_seconds: How long the start and the end of a stream are held at most (D7).
        problem_json: When errors are ``application/problem+json``: as the caller prefers, always, or never (E1).
        shape_error: Gets the error object's members and returns those to send; it cannot remove the id (E1).
        tenant_header: Name of the header that names the tenant, or None (F2).
        tenants: The known tenants; others are recorded as ``unknown``. Empty: every value is taken.
        default_tenant: The tenant where none is named.
        service: Name of the service in events.
        instance: Name of the process or pod in events; empty: host name and process id.
        store_url: Where events are kept: ``sqlite:///path`` or ``postgresql://…``; empty: nowhere but in the log. Never
            shown: it may hold a password.
        spool_directory: Where events wait on the local disk while the store is away; empty: beside a SQLite store, else
            a directory of the user's own under the system's temporary one.
        durability: ``before_reply`` answers a refusal when its event is kept, ``background`` at once (F3).
        commit_wait_seconds: How long a refusal waits for that at most.
        log_fields: What the facts of an event are called in its log line: ``tracegate``, ``ecs`` (Elastic Common
            Schema) or ``otel`` (OpenTelemetry's log data model) (F5).

    Raises:
        ConfigurationError: With all faults at once.
    """

    mode: Mode = "require"
    modes: Mapping[str, Mode] = field(default_factory=dict[str, Mode])
    header: str = "X-Trace-Id"
    formats: tuple[str, ...] = ()
    traceparent_mismatch: Literal["refuse", "parent"] = "refuse"
    exempt_paths: tuple[str, ...] = ()
    trusted: tuple[str, ...] | TrustedPeer | None = None
    query_parameter: str | None = None
    on_conflict: OnConflict = "refuse"
    on_conflict_paths: Mapping[str, OnConflict] = field(default_factory=dict[str, OnConflict])
    cors_origins: tuple[str, ...] = ()
    traceresponse: bool = False
    server_timing: bool = False
    error_bodies: Literal["header", "json"] = "header"
    bodies: Literal["errors", "all"] = "errors"
    exempt_body_paths: tuple[str, ...] = ()
    exempt_media_types: tuple[str, ...] = ("application/grpc*", "application/connect+*")
    max_error_body: int = 1 << 20
    signed_errors: Literal["refuse", "header"] = "refuse"
    sse_carrier: Literal["auto", "field"] = "auto"
    max_sse_event: int = 1 << 20
    sse_error: Literal["event", "openai"] = "event"
    sse_hold_seconds: float = 1.0
    problem_json: Literal["negotiate", "always", "never"] = "negotiate"
    shape_error: Shape | None = None
    tenant_header: str | None = None
    tenants: tuple[str, ...] = ()
    default_tenant: str = "default"
    service: str = ""
    instance: str = ""
    store_url: str = field(default="", repr=False)
    spool_directory: str = ""
    durability: Literal["before_reply", "background"] = "before_reply"
    commit_wait_seconds: float = 0.5
    log_fields: Literal["tracegate", "ecs", "otel"] = "tracegate"
    mode_rules: PathRules[Mode] = field(init=False, repr=False, compare=False)
    conflict_rules: PathRules[OnConflict] = field(init=False, repr=False, compare=False)
    exempt_rules: PathRules[bool] = field(init=False, repr=False, compare=False)
    exempt_body_rules: PathRules[bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        faults = tuple(_faults(self))
        if faults:
            raise ConfigurationError(faults)
        derived: tuple[tuple[str, object], ...] = (
            ("mode_rules", PathRules(self.modes, min((self.mode, *self.modes.values()), key=_STRICTEST_FIRST.index))),
            (
                "conflict_rules",
                PathRules(
                    self.on_conflict_paths,
                    min((self.on_conflict, *self.on_conflict_paths.values()), key=_STRICTEST_FIRST.index),
                ),
            ),
            ("exempt_rules", PathRules[bool].of(self.exempt_paths, value=True)),
            ("exempt_body_rules", PathRules[bool].of(self.exempt_body_paths, value=True)),
        )
        for name, rules in derived:
            object.__setattr__(self, name, rules)

    def cors(self) -> CorsRules | None:
        """Return the CORS rules of ``cors_origins``, or None where there are none."""
        return CorsRules(origins=self.cors_origins) if self.cors_origins else None


_CHOICES = {
    "mode": get_args(Mode),
    "traceparent_mismatch": ("refuse", "parent"),
    "on_conflict": get_args(OnConflict),
    "error_bodies": ("header", "json"),
    "bodies": ("errors", "all"),
    "signed_errors": ("refuse", "header"),
    "sse_carrier": ("auto", "field"),
    "sse_error": ("event", "openai"),
    "problem_json": ("negotiate", "always", "never"),
    "durability": ("before_reply", "background"),
    "log_fields": ("tracegate", "ecs", "otel"),
}
_PATH_SETS = ("exempt_paths", "exempt_body_paths")
_PATH_MAPS = {"modes": get_args(Mode), "on_conflict_paths": get_args(OnConflict)}
_TEXT_SETS = (*_PATH_SETS, "formats", "exempt_media_types", "cors_origins", "tenants")
_POSITIVE_BYTES = ("max_error_body", "max_sse_event")
_BOOLEANS = ("traceresponse", "server_timing")
_TEXTS = ("default_tenant", "service", "instance", "store_url", "spool_directory")
_LONGEST_SECONDS = {"sse_hold_seconds": 60, "commit_wait_seconds": 10}
_STRICTEST_FIRST = ("require", "mint", "observe", "refuse", "keep")
_RESERVED_HEADERS = frozenset(
    (
        *("traceparent", "tracestate", "traceresponse", "server-timing", "baggage"),
        *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "via", "host", "date", "server"),
        *("etag", "last-modified", "location", "cache-control", "expires", "age", "vary", "allow", "range"),
        *("digest", "repr-digest", "signature", "signature-input", "retry-after", "origin", "referer", "user-agent"),
        *("authorization", "www-authenticate", "cookie", "set-cookie", "idempotency-key", "last-event-id"),
    )
)
_RESERVED_FAMILIES = ("content-", "access-control-", "accept", "if-", "proxy-", "sec-")


def _faults(policy: Policy) -> Iterator[tuple[str, str]]:  # noqa: C901 - one loop for each kind of setting
    """Yield each fault of *policy* with its setting's name."""
    values = {item.name: getattr(policy, item.name) for item in fields(policy) if item.init}
    for name, choices in _CHOICES.items():
        if values[name] not in choices:
            yield name, f"{values[name]!r} is not one of {', '.join(choices)}"
    for name in _TEXT_SETS:
        if not isinstance(values[name], tuple) or not all(isinstance(item, str) for item in values[name]):
            yield name, "must be a tuple of strings"
            values[name] = ()
    for name in _PATH_SETS:
        yield from ((name, fault) for fault in map(path_rule_fault, values[name]) if fault)
    for name, choices in _PATH_MAPS.items():
        yield from _path_map_faults(name, values[name], choices)
    for name in _POSITIVE_BYTES:
        if type(values[name]) is not int or values[name] < 1:
            yield name, f"{values[name]!r} is not a positive number of bytes"
    for name in _BOOLEANS:
        if type(values[name]) is not bool:
            yield name, f"{values[name]!r} is not true or false"
    for name in _TEXTS:
        if not isinstance(values[name], str):
            yield name, f"{values[name]!r} is not a string"
    yield from _header_faults(values)
    yield from _seconds_faults(values)
    yield from _other_faults(values)


def _path_map_faults(name: str, rules: object, choices: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if not isinstance(rules, Mapping):
        yield name, "must map path rules to values"
        return
    for rule, value in cast("Mapping[object, object]", rules).items():
        fault = path_rule_fault(rule) if isinstance(rule, str) else f"{rule!r} is not a path rule"
        if fault:
            yield name, fault
        if value not in choices:
            yield name, f"{value!r} for {rule!r} is not one of {', '.join(choices)}"


def _header_faults(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("header", "tenant_header"):
        value = values[name]
        if value is None and name == "tenant_header":
            continue
        if not isinstance(value, str) or not _TOKEN.fullmatch(value):
            yield name, f"{value!r} is not a header name (RFC 9110, section 5.1)"
        elif value.lower() in _RESERVED_HEADERS or value.lower().startswith(_RESERVED_FAMILIES):
            yield name, f"{value!r} has another meaning"


def _seconds_faults(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, longest in _LONGEST_SECONDS.items():
        seconds = values[name]
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= longest:
            yield name, f"{seconds!r} is not a number of seconds from 0 to {longest}"


def _other_faults(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in values["formats"]:
        if name not in FORMATS:
            yield "formats", f"{name!r} is not one of {', '.join(FORMATS)}"
    for rule in values["exempt_media_types"]:
        if not _MEDIA_RULE.fullmatch(rule):
            yield "exempt_media_types", f"{rule!r} is not a media type"
    for origin in values["cors_origins"]:
        if origin != "*" and ("://" not in origin or not origin.isascii() or origin.rstrip("/") != origin):
            yield "cors_origins", f"{origin!r} is not an origin such as https://app.example"
    if values["shape_error"] is not None and not callable(values["shape_error"]):
        yield "shape_error", "must be callable"
    parameter = values["query_parameter"]
    if parameter is not None and (not isinstance(parameter, str) or not parameter):
        yield "query_parameter", f"{parameter!r} is not a parameter's name"
    yield from _trusted_faults(values["trusted"])


def _trusted_faults(trusted: object) -> Iterator[tuple[str, str]]:
    if trusted is None or callable(trusted):
        return
    if not isinstance(trusted, tuple):
        yield "trusted", "must be a tuple of networks or a predicate"
        return
    for network in cast("tuple[object, ...]", trusted):
        if not isinstance(network, str):
            yield "trusted", f"{network!r} is not a network"
            continue
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            yield "trusted", str(error)
