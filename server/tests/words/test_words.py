"""The words of the server: each has one meaning, and docstrings are plain.

``doc/source/contributor/words.rst`` lists the words.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import zaqarserver

ROOT = Path(__file__).parents[3]
SERVER = Path(zaqarserver.__file__).parent
CLIENT = ROOT / "zaqarclient"
PAGE = ROOT / "doc/source/contributor/words.rst"

FIRST_WORDS = re.compile(
    r"(Say|Tell|Note|Let|Stay|What|Whatever|Who|Whose|Whom|Whether|Nobody|Somebody)"
    r"(s|ever)?\b"
)
PHRASES = re.compile(
    r"\b(nobody|somebody|anybody|whoever|whom|is none of|are none of|of late|anew"
    r"|at last|how manieth|by itself|by themselves|let go|lets go|put off|puts off"
    r"|gives? back|given back|heed|told|sick)\b",
    re.IGNORECASE,
)

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def modules(package: Path = SERVER) -> Iterator[tuple[str, ast.Module]]:
    """Yield the path and syntax tree of each module of a package, without tests."""
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        if relative.parts[0] != "tests":
            yield str(relative), ast.parse(path.read_text())


def docstrings() -> Iterator[tuple[str, str]]:
    """Yield the place and text of each docstring of the server."""
    for path, tree in modules():
        yield path, ast.get_docstring(tree) or ""
        for node in ast.walk(tree):
            if isinstance(node, Definition):
                where = f"{path}:{node.lineno} {node.name}"
                yield where, ast.get_docstring(node) or ""


def classes(package: Path = SERVER) -> dict[str, list[str]]:
    """Return the modules of each class name of a package."""
    found: dict[str, list[str]] = defaultdict(list)
    for path, tree in modules(package):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(path)
    return found


def nouns() -> dict[str, str]:
    """Return the classes that the page names as types, with their noun."""
    _, _, table = PAGE.read_text().partition("\nNouns\n")
    table, _, _ = table.partition("\nWords to replace\n")
    found = {}
    for row in re.findall(r"^   \* - (.*)\n     - (.*)\n", table, re.MULTILINE):
        for name in re.findall(r"``(\w+)``", row[1]):
            found[name] = row[0]
    return found


def test_docstrings_begin_with_a_plain_verb_or_noun() -> None:
    found = dict(docstrings())
    assert len(found) > 1000
    assert [where for where, text in found.items() if FIRST_WORDS.match(text)] == []


def test_docstrings_have_no_phrase_that_a_plain_word_replaces() -> None:
    found = {
        where: match[0]
        for where, text in docstrings()
        if (match := PHRASES.search(text)) is not None
    }
    assert found == {}


def test_a_class_name_belongs_to_one_module() -> None:
    found = classes()
    assert len(found) > 300
    assert {name: where for name, where in found.items() if len(where) > 1} == {}


def test_each_class_that_the_page_names_exists_once() -> None:
    found = nouns()
    assert len(found) > 30
    server, client = classes(), classes(CLIENT)
    counts = {name: len(server.get(name, ()) or client.get(name, ())) for name in found}
    assert {name for name, count in counts.items() if count != 1} == set()


def test_the_page_has_no_more_words_than_a_reader_can_learn() -> None:
    text = PAGE.read_text()
    verbs, _, rest = text.partition("\nNouns\n")
    table, _, _ = rest.partition("\nWords to replace\n")
    assert verbs.count("\n   * - ") - 1 <= 20
    assert table.count("\n   * - ") - 1 <= 46
