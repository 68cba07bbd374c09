"""What is taken some at a time is a constant that tests can make small."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import zaqarserver
from page_sizes import PAGED, small
from zaqarserver.storage.redis.scripts import SCRIPTS

#: Named like them, and something else: seconds, bytes, bounds, the pages of a client.
OTHERS = {
    "zaqarserver.storage.sqlite.files.PAGE",
    "zaqarserver.stages.json_schema.MOST_VISITS",
    "zaqarserver.subscribers.retry._LEAST_SPREAD",
    "zaqarserver.subscribers.retry._STEP",
    "zaqarserver.torture.load._PAGE",
}

NAMES = re.compile(
    r"_?([A-Z]+_)?(PAGE|STEP|ROWS|VISITS|BATCH|SPREAD|SCANNED)(_[A-Z]+)?"
)


def sizes() -> Iterator[str]:
    """Give the constants of the server that are named like a size."""
    root = Path(str(resources.files(zaqarserver)))
    for file in root.rglob("*.py"):
        module = ".".join((root.name, *file.relative_to(root).with_suffix("").parts))
        for node in ast.parse(file.read_text()).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            target = node.target if isinstance(node, ast.AnnAssign) else target
            value = getattr(getattr(node, "value", None), "value", None)
            name = target.id if isinstance(target, ast.Name) else ""
            if NAMES.fullmatch(name) and isinstance(value, int):
                yield f"{module}.{name}"


def test_every_size_of_a_page_can_be_made_small() -> None:
    known = {f"{module}.{name}" for module, names in PAGED.items() for name in names}
    assert set(sizes()) - known - OTHERS == set(), "list it in testing/page_sizes.py"


def test_scripts_take_as_little_as_the_rest() -> None:
    taken = SCRIPTS["take"]
    with small():
        assert "local ROOM = 3" in SCRIPTS["take"].text
        assert SCRIPTS["take"].sha != taken.sha
    assert SCRIPTS["take"] is taken
