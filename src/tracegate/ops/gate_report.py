"""How is a verdict told to a person, a script, and the pages of a pipeline? As text, JSON, JUnit or SARIF.

Routes and names come from elsewhere: what does not print is escaped, so that nothing acts on a terminal or breaks XML.

Source: JUnit's ``testsuite`` as CI servers read it; SARIF 2.1.0 (OASIS); contract clause H3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import quoteattr

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from tracegate.ops.deploy_gate import Cause, Verdict
    from tracegate.ops.evidence import Found
    from tracegate.store.gate import ActionRow, CauseRow

__all__ = ["FORMATS", "render"]


def render(service: str, verdict: Verdict, found: Found, form: str = "text") -> str:
    """Return *verdict* in *form*, one of :data:`FORMATS`, without a line feed at the end."""
    return FORMATS[form](_report(service, verdict, found))


class _Report(msgspec.Struct):
    """What is told: all of it printable."""

    service: str
    state: str
    at: str
    until: str | None
    reasons: list[str]
    details: list[str]
    causes: list[dict[str, Any]]
    shown: list[dict[str, Any]]
    actions: list[dict[str, Any]]


def _report(service: str, verdict: Verdict, found: Found) -> _Report:
    return _Report(
        _printable(service),
        verdict.state,
        _time(found.evidence.now),
        None if verdict.until is None else _time(verdict.until),
        [_printable(reason) for reason in verdict.reasons],
        [_printable(detail) for detail in found.details],
        [_cause(cause) for cause in verdict.causes],
        [{**_cause(row), "mode": row.mode and _printable(row.mode)} for row in found.shown],
        [_action(action) for action in found.actions],
    )


def _cause(cause: Cause | CauseRow) -> dict[str, Any]:
    return {
        "route": None if cause.route is None else _printable(cause.route),
        "kind": cause.kind,
        "count": cause.count,
        "trace_id": _printable(cause.trace_id),
        "first": _time(cause.first),
        "last": _time(cause.last),
    }


def _action(action: ActionRow) -> dict[str, Any]:
    said = {
        "until": None if action.until is None else _time(action.until),
        "accepts": sorted(_printable(name) for name in action.accepts),
        "incident": _printable(action.incident),
        "trace_id": _printable(action.trace_id),
        "reason": _printable(action.reason),
    }
    given = {name: value for name, value in said.items() if value}
    return {"kind": action.kind, "at": _time(action.at), "actor": _printable(action.actor), **given}


def _text(report: _Report) -> str:
    lines = [f"{report.service}: {report.state}" + (f" until {report.until}" if report.until else "")]
    lines += [f"  {reason}" for reason in report.reasons]
    lines += [f"  ({detail})" for detail in report.details]
    if report.state == "open" and report.causes:
        lines += [f"  not lifted for good: {_counted(cause)}" for cause in report.causes]
    lines += [f"  does not lock: {_counted(row)}, mode {row['mode'] or '-'}" for row in report.shown]
    if report.actions:
        last = report.actions[-1]
        lines.append(f"  last action: {last['kind']} by {last['actor']}, {last['at']}")
    return "\n".join(lines)


def _counted(cause: Mapping[str, Any]) -> str:
    return f"{cause['count']} × {cause['route'] or '-'}:{cause['kind']}, first trace {cause['trace_id']}"


def _json(report: _Report) -> str:
    return msgspec.json.format(msgspec.json.encode(report)).decode()


def _junit(report: _Report) -> str:
    """One test case for each reason: passed where the gate is open, an error where nobody knows."""
    element = _JUNIT_ELEMENT[report.state]
    told = [_attribute(reason) for reason in report.reasons]
    inner = [f"><{element} message={reason}/></testcase>" if element else "/>" for reason in told]
    suite = _attribute(f"tracegate.gate.{report.service}")
    cases = [f"<testcase classname={suite} name={reason}{end}" for reason, end in zip(told, inner, strict=True)]
    failures, errors = (len(cases) * (element == each) for each in ("failure", "error"))
    counts = f'tests="{len(cases)}" failures="{failures}" errors="{errors}" skipped="0" time="0"'
    head = f'<testsuite name={suite} timestamp="{report.at[:19]}" {counts}>'
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *cases, "</testsuite>"])


_JUNIT_ELEMENT: Final = {"open": "", "locked": "failure", "inconclusive": "error"}


def _sarif(report: _Report) -> str:
    """One result for each reason against the release; none where the gate is open."""
    results = [
        {
            "ruleId": report.state,
            "level": "error",
            "message": {"text": reason},
            "locations": [{"logicalLocations": [{"fullyQualifiedName": report.service, "kind": "module"}]}],
        }
        for reason in report.reasons
        if report.state != "open"
    ]
    rules = [{"id": rule, "shortDescription": {"text": says}} for rule, says in _SARIF_RULES]
    run = {
        "tool": {"driver": {"name": "tracegate", "rules": rules}},
        "invocations": [{"executionSuccessful": report.state != "inconclusive"}],
        "results": results,
    }
    schema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
    return msgspec.json.format(msgspec.json.encode({"$schema": schema, "version": "2.1.0", "runs": [run]})).decode()


_SARIF_RULES: Final = (
    ("locked", "The deploy gate is locked"),
    ("inconclusive", "Nobody can say whether the deploy gate is open"),
)

FORMATS: Final[Mapping[str, Callable[[_Report], str]]] = {
    "text": _text,
    "json": _json,
    "junit": _junit,
    "sarif": _sarif,
}
"""How a verdict can be told."""


def _time(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _attribute(text: str) -> str:
    return quoteattr(text, {'"': "&quot;"})
