"""What do the environment and ``pyproject.toml`` say? The only reader of ``os.environ``.

``TRACEGATE_<NAME>`` wins over ``name`` in ``[tool.tracegate]`` of the file that ``TRACEGATE_CONFIG`` names (default:
``pyproject.toml`` in the working directory). In the environment a tuple is written ``a,b`` and a mapping
``/path/*=value,…``.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tracegate.core.policy import Policy
from tracegate.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["load_audit_key", "load_policy", "policy_from"]

_PREFIX = "TRACEGATE_"
_CONFIG = "TRACEGATE_CONFIG"
_AUDIT_KEY = "TRACEGATE_AUDIT_KEY"
_CODE_ONLY = frozenset(("shape_error",))
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")


def load_policy(environ: Mapping[str, str] | None = None) -> Policy:
    """Return the policy that the environment and the configuration file describe.

    Args:
        environ: Instead of ``os.environ``.

    Raises:
        ConfigurationError: With all faults of both sources at once, each with its setting's name.
    """
    environ = os.environ if environ is None else environ
    faults: list[tuple[str, str]] = []
    table = _file_table(environ.get(_CONFIG), faults)
    values = {f"tool.tracegate.{name}": (name, value) for name, value in table.items()}
    overridden = {name.removeprefix(_PREFIX).lower(): name for name in environ if name.startswith(_PREFIX)}
    values = {setting: pair for setting, pair in values.items() if pair[0] not in overridden}
    for name, variable in overridden.items():
        if variable not in (_CONFIG, _AUDIT_KEY):
            values[variable] = (name, environ[variable])
    return _policy(values, faults)


def load_audit_key(environ: Mapping[str, str] | None = None) -> bytes | None:
    """Return the secret of the audit log, of ``TRACEGATE_AUDIT_KEY``; None where it is not set.

    No setting of the policy, and in no file: nothing that prints a policy can print it.

    Args:
        environ: Instead of ``os.environ``.
    """
    environ = os.environ if environ is None else environ
    return environ[_AUDIT_KEY].encode("utf-8", "surrogateescape") if _AUDIT_KEY in environ else None


def policy_from(table: Mapping[str, object]) -> Policy:
    """Return the policy that a mapping describes, such as a part of an application's own configuration.

    Raises:
        ConfigurationError: With all faults at once.
    """
    return _policy({name: (name, value) for name, value in table.items()}, [])


def _policy(values: Mapping[str, tuple[str, object]], faults: list[tuple[str, str]]) -> Policy:
    known = {item.name: item for item in fields(Policy) if item.init and item.name not in _CODE_ONLY}
    given: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for setting, (name, value) in values.items():
        if name not in known:
            faults.append((setting, "is no setting of tracegate"))
            continue
        sources[name] = setting
        try:
            given[name] = _read(name, known[name].type, value)
        except ValueError as error:
            faults.append((setting, str(error)))
    try:
        policy = Policy(**given)
    except ConfigurationError as error:
        raise ConfigurationError(
            (*faults, *((sources.get(name, name), problem) for name, problem in error.faults))
        ) from None
    if faults:
        raise ConfigurationError(tuple(faults))
    return policy


def _file_table(config: str | None, faults: list[tuple[str, str]]) -> Mapping[str, object]:
    path = Path(config or "pyproject.toml")
    if config is None and not path.is_file():
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        faults.append((_CONFIG if config else "pyproject.toml", f"cannot be read: {error}"))
        return {}
    tools: Any = document.get("tool", {})
    table: object = cast("dict[str, object]", tools).get("tracegate", {}) if isinstance(tools, dict) else tools
    if not isinstance(table, dict):
        faults.append(("tool.tracegate", "must be a table"))
        return {}
    return cast("dict[str, object]", table)


def _read(name: str, annotation: object, value: object) -> object:
    """Return *value* in the shape that the policy's field *name* takes; only strings are converted.

    Raises:
        ValueError: A string does not say what the field needs.
    """
    if isinstance(value, list):
        return tuple(cast("list[object]", value))
    if not isinstance(value, str):
        return value
    kind = str(annotation).partition("[")[0]
    return _READERS.get(kind, _text)(value) if name != "trusted" else _items(value)


def _text(value: str) -> str:
    return value


def _items(value: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in value.split(",") if item.strip())


def _pairs(value: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in _items(value):
        rule, equals, choice = item.rpartition("=")
        if not equals:
            raise ValueError(f"{item!r} is not of the form /path=value")
        found[rule.strip()] = choice.strip()
    return found


def _boolean(value: str) -> bool:
    if value.strip().lower() in _TRUE + _FALSE:
        return value.strip().lower() in _TRUE
    raise ValueError(f"{value!r} is not true or false")


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a number of seconds") from None


def _bytes(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a number of bytes") from None


_READERS: dict[str, Callable[[str], object]] = {
    "tuple": _items,
    "Mapping": _pairs,
    "bool": _boolean,
    "int": _bytes,
    "float": _number,
}
