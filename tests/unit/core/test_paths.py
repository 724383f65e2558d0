"""Which rule of a policy does a path fall under?"""

from __future__ import annotations

import pytest

from tracegate.core.paths import PathRules, is_plain_path, path_rule_fault


@pytest.mark.contract("B5")
@pytest.mark.parametrize(
    ("path", "raw_path", "plain"),
    [
        ("/", None, True),
        ("/a/b", b"/a/b", True),
        ("/a/b/", None, True),
        ("", None, True),
        ("/a.b/..c/d..", None, True),
        ("/a//b", None, False),
        ("//", None, False),
        ("/a/./b", None, False),
        ("/a/.", None, False),
        ("/a/../b", None, False),
        ("/..", None, False),
        ("/a/b", b"/a%2Fb", False),
        ("/a/b", b"/a%2fb", False),
        ("/a%2fb", b"/a%252fb", True),
        ("/a b", b"/a%20b", True),
    ],
)
def test_a_plain_path_is_one_that_nobody_resolves_to_another(path: str, raw_path: bytes | None, *, plain: bool) -> None:
    """No empty segment, no dot segment, no encoded slash."""
    assert is_plain_path(path, raw_path) is plain


@pytest.mark.contract("B5")
@pytest.mark.parametrize("rule", ["/", "/*", "/a", "/a/", "/a/b", "/a/*", "/a.b/*"])
def test_a_path_rule_is_a_path_or_a_prefix_of_whole_segments(rule: str) -> None:
    """With ``/*`` as its end."""
    assert path_rule_fault(rule) is None


@pytest.mark.contract("B5")
@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("", "'' must start with '/'"),
        ("a", "'a' must start with '/'"),
        ("*", "'*' must start with '/'"),
        ("a/*", "'a/*' must start with '/'"),
        ("/a*", "'/a*' may have '*' only as its last segment"),
        ("/*/a", "'/*/a' may have '*' only as its last segment"),
        ("/a/**", "'/a/**' may have '*' only as its last segment"),
        ("/a//b", "'/a//b' must not have empty or dot segments"),
        ("/a/../*", "'/a/../*' must not have empty or dot segments"),
        ("/a//*", "'/a//*' must not have empty or dot segments"),
    ],
)
def test_any_other_rule_is_a_fault_that_says_what_is_wrong(rule: str, fault: str) -> None:
    """In a sentence with the rule in it."""
    assert path_rule_fault(rule) == fault


@pytest.mark.contract("B4", "B5")
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/", "all"),
        ("/x", "all"),
        ("/a", "a and below"),
        ("/a/", "a and below"),
        ("/a/z", "a and below"),
        ("/ab", "all"),
        ("/a/b", "exactly a/b"),
        ("/a/b/", "below a/b"),
        ("/a/b/c", "below a/b"),
        ("/a/bc", "a and below"),
        ("/a/b/../c", "none"),
        ("/a//b", "none"),
    ],
)
def test_the_most_specific_rule_wins(path: str, value: str) -> None:
    """An exact one before a prefix, a longer prefix before a shorter one, in whatever order they were given."""
    rules = {"/*": "all", "/a/*": "a and below", "/a/b/*": "below a/b", "/a/b": "exactly a/b"}

    assert PathRules(rules).find(path, None, "none") == value
    assert PathRules(dict(reversed(rules.items()))).find(path, None, "none") == value


@pytest.mark.contract("B5")
def test_no_rule_matches_a_path_that_was_sent_with_an_encoded_slash() -> None:
    """The default holds: what the server decoded may not be what a proxy saw."""
    rules = PathRules.of(("/a/b", "/c/*"), value=True)

    assert rules.find("/a/b", b"/a/b", default=False)
    assert not rules.find("/a/b", b"/a%2Fb", default=False)
    assert not rules.find("/c/d", b"/c%2fd", default=False)


@pytest.mark.contract("B4", "B5", "C3")
def test_a_path_that_may_be_read_in_two_ways_gets_the_value_for_those() -> None:
    """Where there are rules at all, and where such a value is given."""
    rules = PathRules({"/a/*": "loose"}, "strict")

    assert (rules.find("/a/b", None, "usual"), rules.find("/b", None, "usual")) == ("loose", "usual")
    assert rules.find("/a//b", None, "usual") == "strict"
    assert rules.find("/a/b", b"/a%2Fb", "usual") == "strict"
    assert PathRules({"/a/*": "loose"}).find("/a//b", None, "usual") == "usual"
    assert PathRules[str]({}, "strict").find("/a//b", None, "usual") == "usual"


def test_rules_are_true_where_there_are_any() -> None:
    """So that a caller can skip the look-up."""
    assert not PathRules({})
    assert PathRules({"/a": 1})
    assert PathRules({"/a/*": 1})
