"""The table of operations: what is known of one stands in its row."""

import ast
from pathlib import Path

import pytest
import zaqarserver
from zaqarserver.operations import OPERATIONS
from zaqarserver.operations.row import Operation, frame_answer, rest_answer

SERVER = Path(zaqarserver.__file__).parent
#: Names that are words of other protocols and pages as well.
COMMON = {"ping", "health"}
NAMES = {row.name for row in OPERATIONS} - COMMON


def modules():
    """Return the modules outside of the operations, and of the storage beneath."""
    return [
        path
        for path in SERVER.rglob("*.py")
        if path.relative_to(SERVER).parts[0] not in ("operations", "storage", "torture")
    ]


def test_no_module_but_that_of_the_handler_knows_an_operation_by_its_name():
    found = [
        f"{path.relative_to(SERVER)}:{node.lineno}: {node.value}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in NAMES
    ]
    assert found == []


@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: row.name)
def test_a_row_has_a_summary_of_one_sentence_and_names_of_its_own(row: Operation):
    assert row.summary.endswith(".")
    assert [one.name for one in OPERATIONS].count(row.name) == 1
    same = [
        one
        for one in OPERATIONS
        if (one.method, one.path, one.when) == (row.method, row.path, row.when)
    ]
    assert same == [row]


@pytest.mark.parametrize("answers", [rest_answer, frame_answer])
def test_every_renderer_shows_the_result_of_an_operation(answers):
    handlers = {row.handler for row in OPERATIONS}
    assert set(answers._renderers) <= handlers
    assert answers._renderers
