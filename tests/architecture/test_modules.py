"""Does each module say its question, name its public names, and stay small?"""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "tracegate"
MODULES = sorted(SOURCE.rglob("*.py"))
VAGUE = frozenset({"base", "common", "helpers", "manager", "misc", "utils"})
MAX_LINES_OF_MODULE = 300
MAX_LINES_OF_FUNCTION = 40

every_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))


def lines_of_code(source: str) -> set[int]:
    """Return the numbers of the lines that hold code: no blank line, no comment, no docstring."""
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in silent:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


@every_module
def test_a_module_says_in_its_first_line_which_question_it_answers(path: Path) -> None:
    """The first line of the docstring holds a question: a newcomer finds the room by reading those lines."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring
    first_line = docstring.splitlines()[0]
    assert "?" in first_line or path.name in {"__init__.py", "__main__.py"}


@every_module
def test_a_module_lists_its_public_names_in_order(path: Path) -> None:
    """`__all__` stands in every module that defines or offers something, and names only what is there."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    offered = [node for node in tree.body if not isinstance(node, ast.Expr)]
    if not offered or path.name == "__main__.py":
        return
    listed = [
        ast.literal_eval(node.value)
        for node in offered
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    assert len(listed) == 1
    assert len(set(listed[0])) == len(listed[0])
    assert all(not name.startswith("_") or name == "__version__" for name in listed[0])


@every_module
def test_a_module_is_small_enough_to_read_at_once(path: Path) -> None:
    """A file over 300 lines, or a function over 40, asks for a redesign."""
    source = path.read_text(encoding="utf-8")
    code = lines_of_code(source)
    plain = [line for line in source.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(plain) < MAX_LINES_OF_MODULE
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = code.intersection(range(node.lineno, (node.end_lineno or node.lineno) + 1))
            assert len(body) <= MAX_LINES_OF_FUNCTION, node.name


@every_module
def test_a_module_is_named_after_one_thing(path: Path) -> None:
    """Names like `utils` say nothing, and collect everything."""
    assert VAGUE.isdisjoint(path.relative_to(SOURCE).with_suffix("").parts)


def test_the_package_root_holds_no_logic() -> None:
    """`tracegate/__init__.py` is a docstring, imports and `__all__`."""
    tree = ast.parse((SOURCE / "__init__.py").read_text(encoding="utf-8"))
    assert all(isinstance(node, ast.Expr | ast.Import | ast.ImportFrom | ast.Assign) for node in tree.body)
