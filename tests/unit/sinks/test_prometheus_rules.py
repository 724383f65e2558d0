"""Do the shipped Prometheus rules ask for metrics and labels that there are, by the numbers that the code goes by?"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tracegate.core.events import Kind
from tracegate.sinks.opentelemetry import ATTRIBUTES, COUNTED, COUNTERS
from tracegate.sinks.surge import Rule

pytestmark = pytest.mark.contract("F1", "F5")

FILE = Path(__file__).parents[3] / "deploy" / "prometheus" / "tracegate.rules.yml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
RULES: list[dict[str, Any]] = [rule for group in DOCUMENT["groups"] for rule in group["rules"]]

# OpenTelemetry's rules for Prometheus: a monotonic sum ends in _total, a unit in braces is left out, a dot becomes _.
METRICS = {f"{name}_total" for name in COUNTERS.values()}
LABELS = {ATTRIBUTES[column].replace(".", "_") for column in COUNTED}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}

WORDS = {"sum", "by", "rate", "increase", "offset", "and", "or", "on"}
TOKEN = re.compile(
    r"\s*(?:(?P<string>\"[^\"]*\")|(?P<duration>\[[0-9]+[smh]\]|[0-9]+[smh]\b)|(?P<number>[0-9.]+)"
    r"|(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)|(?P<sign>=~|!=|>=|<=|[(){},=<>*+/-]))"
)


def tokens(expression: str) -> Iterator[tuple[str, str]]:
    """Yield kind and text of each token; nothing else may stand in an expression of ours."""
    at = 0
    expression = expression.rstrip()
    while at < len(expression):
        found = TOKEN.match(expression, at)
        assert found, expression[at:]
        assert found.lastgroup is not None
        yield found.lastgroup, found[found.lastgroup]
        at = found.end()


def named(expression: str) -> tuple[set[str], set[str]]:
    """Return the metrics and the labels that an expression names."""
    metrics: set[str] = set()
    labels: set[str] = set()
    open_ones: list[str] = []
    before = ""
    given = list(tokens(expression))
    for (kind, text), (_, after) in itertools.pairwise([*given, ("sign", "")]):
        if text in ("(", "{"):
            open_ones.append("labels" if text == "{" or before in ("by", "on") else "values")
        elif text in (")", "}"):
            assert open_ones.pop() == "labels" or text == ")"
        elif kind == "name" and open_ones[-1:] == ["labels"]:
            labels.add(text)
        elif kind == "name" and text not in WORDS:
            assert after != "(", f"{text} is no function that is known here"
            metrics.add(text)
        elif kind == "string" and "|" in text:
            start, choices, end = re.fullmatch(r'"([^(]*)\(([^)]*)\)([^)]*)"', text).groups()  # type: ignore[union-attr]
            metrics.update(f"{start}{choice}{end}" for choice in choices.split("|"))
        before = text
    assert open_ones == []
    return metrics, labels - {"__name__"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("record") or rule["alert"])
def test_a_rule_names_what_there_is(rule: dict[str, Any]) -> None:
    """Metrics of the OpenTelemetry sink, or recorded ones; labels by which it tells counts apart."""
    metrics, labels = named(rule["expr"])
    assert metrics
    assert metrics <= METRICS | RECORDED
    assert labels <= LABELS
    told = set(re.findall(r"\$labels\.(\w+)", str(rule.get("annotations", {}))))
    assert told <= labels


def test_the_fleets_surge_is_the_codes() -> None:
    """The same numbers as in one process."""
    rule = Rule()
    (surge,) = (found for found in RULES if found.get("alert") == "TraceRefusalSurge")
    (usual,) = (found for found in RULES if found.get("record") == "service:tracegate_refusals:usual")
    assert f">= {rule.least}\n" in surge["expr"]
    assert f">= {rule.times:g} * service:tracegate_refusals:usual" in surge["expr"]
    assert surge["keep_firing_for"] == f"{rule.calm}m"
    assert f"[{rule.minutes}m]" in usual["expr"]
    assert f"/ {rule.minutes}\n" in usual["expr"]


def test_what_a_refusal_is_has_a_metric_of_each_kind() -> None:
    """The kinds of a refusal, and no others."""
    refusals, usual = (found for found in RULES if "record" in found)
    kinds: tuple[Kind, ...] = ("missing_trace", "invalid_trace", "conflicting_trace", "trace_overwrite_refused")
    counters = {f"{COUNTERS[kind]}_total" for kind in kinds}
    assert named(refusals["expr"])[0] == counters
    assert named(usual["expr"])[0] == counters | {refusals["record"]}


def test_every_name_is_explained() -> None:
    """In the page on metrics: each metric, each label, each alert."""
    page = (FILE.parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    alerts = {rule["alert"] for rule in RULES if "alert" in rule}
    assert [name for name in sorted(METRICS | LABELS | RECORDED | alerts) if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    "wrong", ["sum by (pod) (missing_trace_event_count_total)", "missing_trace_count > 0", "foo(x)", "sum(x", "a # b"]
)
def test_the_check_itself_notices_what_is_wrong(wrong: str) -> None:
    """A label, a metric, a function that there is not, and what is no expression."""
    with pytest.raises(AssertionError):
        assert named(wrong)[0] <= METRICS and named(wrong)[1] <= LABELS  # noqa: PT018 - either of them
