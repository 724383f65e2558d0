"""Which rule of the policy does a request's path fall under?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["PathRules", "is_plain_path", "path_rule_fault"]

_T = TypeVar("_T")

_DOT_SEGMENTS = ("/./", "/../")


def is_plain_path(path: str, raw_path: bytes | None) -> bool:
    """Return whether *path* names one resource, with nothing that another reader could resolve differently.

    Args:
        path: The decoded path.
        raw_path: The path as it was sent, or None where the server does not tell.

    Returns:
        False for empty segments, ``.`` and ``..`` segments, and an encoded slash (clause B5).
    """
    if "//" in path or any(dots in path + "/" for dots in _DOT_SEGMENTS):
        return False
    return raw_path is None or b"%2f" not in raw_path.lower()


def path_rule_fault(rule: str) -> str | None:
    """Return what is wrong with *rule* as a path rule, or None: ``/exact`` or ``/prefix/*``."""
    if not rule.startswith("/"):
        return f"{rule!r} must start with '/'"
    if "*" in rule.removesuffix("/*"):
        return f"{rule!r} may have '*' only as its last segment"
    if not is_plain_path(rule.removesuffix("*"), None):
        return f"{rule!r} must not have empty or dot segments"
    return None


class PathRules(Generic[_T]):
    """Exact paths and prefixes by whole segments, each with a value; the most specific one wins.

    ``/exact`` matches itself only; ``/prefix/*`` matches ``/prefix`` and everything below it.

    Args:
        rules: Path rule to value.
        unclear: The value for a path that may be read in two ways; None: the caller's default.
    """

    __slots__ = ("_exact", "_prefixes", "_unclear")

    def __init__(self, rules: Mapping[str, _T], unclear: _T | None = None) -> None:
        self._unclear = unclear
        self._exact = {rule: value for rule, value in rules.items() if not rule.endswith("/*")}
        prefixes = [(rule[:-1], value) for rule, value in rules.items() if rule.endswith("/*")]
        self._prefixes = sorted(prefixes, key=lambda rule: len(rule[0]), reverse=True)

    @classmethod
    def of(cls, paths: Iterable[str], value: _T) -> PathRules[_T]:
        """Return rules that give *value* to each of *paths*."""
        return cls(dict.fromkeys(paths, value))

    def __bool__(self) -> bool:
        return bool(self._exact or self._prefixes)

    def find(self, path: str, raw_path: bytes | None, default: _T) -> _T:
        """Return the value of the most specific rule for *path*, else *default*."""
        if not self:
            return default
        if not is_plain_path(path, raw_path):
            return default if self._unclear is None else self._unclear
        if path in self._exact:
            return self._exact[path]
        below = path + "/"
        return next((value for prefix, value in self._prefixes if below.startswith(prefix)), default)
