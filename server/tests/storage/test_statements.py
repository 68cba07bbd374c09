"""Every page that the SQLite driver reads has an order of its own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import resources

from zaqarserver.storage import sqlite

#: Statements for which any row will do: they ask whether there is one, count, or remove
#: some until none is left.
ANY_ROW = {
    "accounts.COUNT",
    "accounts.EXPIRED",
    "catalog.FLAVOR_ANYWHERE",
    "deliveries.IDLE_ANY",
    "deliveries.SUBSCRIPTION_EXPIRED",
    "keys.EXPIRED",
    "maintenance.CLAIM_ANY",
    "maintenance.MESSAGE_ANY",
    "memory.IDLE_BEHIND",
    "messages.CLAIM_HOLDS",
    "moving.LIVE_SUBSCRIPTION",
    "moving.SEAL_OVER",
}
#: Built in functions: what they limit are the rows of an ordered walk, which SQLite
#: gives in its order because that has a limit, too. An order outside would read the
#: whole walk before the first row; the suite runs with unordered selects reversed.
WALKED = {"backlogs._scan", "backlogs._scan_end"}


def statements() -> Iterator[tuple[str, str]]:
    """Give each text with a LIMIT in the driver's source, and where it stands."""
    for file in resources.files(sqlite).iterdir():
        module, _, kind = file.name.partition(".")
        for node in ast.parse(file.read_text()).body if kind == "py" else ():
            target = node.targets[0] if isinstance(node, ast.Assign) else node
            name = getattr(target, "id", getattr(target, "name", ""))
            for text in texts(node):
                if re.search(r"\bLIMIT [?1:]", text):
                    yield f"{module}.{name}", text


def texts(node: ast.AST) -> Iterator[str]:
    """Give the texts in a piece of source; what is formatted into one is left out."""
    if isinstance(node, ast.JoinedStr):
        parts = (getattr(part, "value", "") for part in node.values)
        yield "".join(part if isinstance(part, str) else "x" for part in parts)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    else:
        for child in ast.iter_child_nodes(node):
            yield from texts(child)


def unordered(statement: str) -> bool:
    """Whether a LIMIT has no ORDER BY in the same select."""
    ordered = [False]
    for word in re.findall(r"\(|\)|ORDER BY|LIMIT", statement):
        if word == "(":
            ordered.append(False)
        elif word == ")":
            ordered.pop()
        elif word == "ORDER BY":
            ordered[-1] = True
        elif not ordered[-1]:
            return True
    return False


def test_every_statement_with_a_limit_has_an_order_or_needs_none() -> None:
    found = list(statements())
    assert len(found) > 30
    assert {name for name, text in found if unordered(text)} == ANY_ROW | WALKED
