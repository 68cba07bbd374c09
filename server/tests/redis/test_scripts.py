"""Scripts are found by name, and all of them are used."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from zaqarserver.storage import redis
from zaqarserver.storage.redis.scripts import SCRIPTS

#: What runs a script; its name is the first or second argument.
RUNNERS = {"run", "run_prepared", "_run", "_step", "_depart", "arrive"}


def nodes() -> Iterator[ast.AST]:
    for file in Path(str(resources.files(redis))).glob("*.py"):
        yield from ast.walk(ast.parse(file.read_text()))


def texts(found: Iterator[ast.AST]) -> set[str]:
    return {
        node.value
        for node in found
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def run_by_name() -> set[str]:
    """Return the names that are written in calls of what runs scripts."""
    names: set[str] = set()
    for node in nodes():
        if isinstance(node, ast.Call):
            function = node.func
            name = getattr(function, "attr", None) or getattr(function, "id", None)
            if name in RUNNERS:
                names |= texts(iter(node.args[:2]))
    return names


def test_every_script_that_is_run_exists() -> None:
    assert len(run_by_name()) > 50
    assert run_by_name() <= set(SCRIPTS)


def test_every_script_is_run() -> None:
    assert set(SCRIPTS) <= texts(nodes())


def test_a_script_has_the_parts_that_it_names_and_each_once() -> None:
    text = SCRIPTS["claim"].text
    heads = [
        "-- Recognizes a request",
        "-- Shared by the scripts of queues",
        "-- Claims the oldest messages",
    ]
    found = [text.index(head) for head in heads]
    assert found == sorted(found)
    assert [text.count(head) for head in heads] == [1, 1, 1]


def test_changes_wait_for_replicas_and_reads_do_not() -> None:
    """A change whose reply is not confirmed by replicas could be lost with a master."""
    unconfirmed = {name for name, one in SCRIPTS.items() if not one.confirmed}
    assert not unconfirmed & {"post", "pop", "claim", "delete", "purge", "subscribe"}
    assert {"list", "get", "stats"} <= unconfirmed
