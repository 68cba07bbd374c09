"""Rows that are printed as they come."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from zaqarclient.queues.v2.cli.output import FORMATS, Body, lines

FIRST = {"ID": "m1", "Age": 120, "Body": Body({"a": [1, None]}), "Claim ID": None}
SECOND = {"ID": "m22", "Age": 3, "Body": Body("x\ty\n\x1b[31m é"), "Claim ID": "c"}


def printed(name: str, columns: list[str], *rows: dict[str, Any]) -> str:
    stream = io.StringIO()
    out = lines(name, stream, columns)
    for row in rows:
        out.print(row)
    return stream.getvalue()


def test_json_is_an_object_a_line_with_real_values() -> None:
    out = printed("json", ["ID", "Body", "Claim ID"], FIRST, SECOND)
    first, second = map(json.loads, out.splitlines())
    assert first == {"ID": "m1", "Body": {"a": [1, None]}, "Claim ID": None}
    assert list(second) == ["ID", "Body", "Claim ID"]
    assert second["Body"] == "x\ty\n\x1b[31m é"


def test_json_says_what_no_encoding_can() -> None:
    out = printed("json", ["Body"], {"Body": Body("\ud800")})
    assert out == '{"Body": "\\ud800"}\n'


def test_values_are_as_they_are() -> None:
    assert printed("value", ["Age", "Body"], FIRST, SECOND) == (
        '120 {"a":[1,null]}\n3 x\ty\n\x1b[31m é\n'
    )


def test_a_table_is_aligned_and_each_row_is_one_line_that_steers_nothing() -> None:
    assert printed("table", ["ID", "Age", "Claim ID", "Body"], FIRST, SECOND) == (
        "ID  Age  Claim ID  Body\n"
        'm1  120            {"a":[1,null]}\n'
        "m22  3    c         x\\ty\\n\\x1b[31m é\n"
    )


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_is_printed_before_the_first_row(name: str) -> None:
    assert printed(name, ["ID"]) == ""
