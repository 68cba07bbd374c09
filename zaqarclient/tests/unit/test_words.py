"""The prose of the package: docstrings of functions name what they do or return."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2]

AVOIDED = re.compile(
    r"(Say|Tell|Note|Let|Stay|What|Who|Whether|Nobody|Somebody)(s|ever)?\b"
)


def docstrings() -> Iterator[tuple[str, str]]:
    """Yield where each function of the package is, and its docstring."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "tests" in path.parts[len(PACKAGE.parts) :]:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                where = f"{path.relative_to(PACKAGE)}:{node.lineno} {node.name}"
                yield where, ast.get_docstring(node) or ""


#: Names that callers of earlier versions know in several modules.
KNOWN_TWICE = {"Client", "ConnectionFailed", "TimedOut"}


def test_a_class_name_of_the_package_has_one_meaning() -> None:
    names = Counter(
        node.name
        for path in sorted(PACKAGE.rglob("*.py"))
        if "tests" not in path.parts[len(PACKAGE.parts) :]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert {name for name, count in names.items() if count > 1} == KNOWN_TWICE


def test_docstrings_of_functions_begin_with_a_plain_verb_or_noun() -> None:
    found = dict(docstrings())
    assert len(found) > 500
    assert [where for where, text in found.items() if AVOIDED.match(text)] == []
