"""What the format ``table`` shows on a terminal."""

from __future__ import annotations

import argparse
import io
import re
from collections.abc import Sequence
from typing import Any

import pytest

from zaqarclient.queues.v2.cli import terminal as module
from zaqarclient.queues.v2.cli.output import Body, for_people
from zaqarclient.queues.v2.cli.terminal import RowPrinter, TableFormatter, Times, styled

ID = "0661728befbce14624f1d3390a0993"
COLUMNS = ("ID", "Body", "TTL", "Age", "Claim ID", "Checksum")
ROW = (ID, Body({"item": "tea", "note": "x" * 60}), 3600, 240, None, "MD5:" + "0" * 32)
LONG = (ID, Body("x"), 3600, 240, ID, None)


@pytest.fixture(autouse=True)
def dumb(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal without colours, so that texts can be compared."""
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")


def shown(
    names: Sequence[str],
    *rows: Sequence[Any],
    width: int = 80,
    columns: Sequence[str] = (),
    print_empty: bool = False,
    utc: bool = False,
) -> list[str]:
    """Return the lines that a terminal of a width shows of rows."""
    stream = io.StringIO()
    parsed = argparse.Namespace(
        max_width=width, columns=columns, print_empty=print_empty
    )
    times = Times(names)
    cells = [times.cells(row, for_people, in_utc=utc) for row in rows]
    TableFormatter().emit_list(names, cells, stream, parsed)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_a_table_has_whole_ids_short_texts_and_times_in_words() -> None:
    header, row = shown(COLUMNS, ROW)
    assert header.split() == ["ID", "Body", "Expires", "Age"]
    assert row.startswith(f'{ID}  {{"item":"tea"')
    assert re.search(r"…  in 56 min  4 min ago$", row)
    assert len(row) <= 80


def test_columns_without_any_value_are_left_out_unless_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert "Claim ID" not in " ".join(shown(COLUMNS, ROW))
    assert "Claim ID" in " ".join(shown(COLUMNS, ROW, width=200, print_empty=True))
    names = ("Name", "Options", "Confirmed")
    assert shown(names, ("a", {}, False), ("b", {}, True)) == [
        "Name  Confirmed",
        "a     false",
        "b     true",
    ]


def test_a_checksum_is_shown_to_who_asks_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert "Checksum" not in shown(COLUMNS, ROW, width=200)[0]
    assert "Checksum" in shown(COLUMNS, ROW, width=200, columns=["Checksum"])[0]


@pytest.mark.parametrize("width", [80, 59, 40])
def test_rows_are_records_where_ids_do_not_fit(width: int) -> None:
    lines = shown(COLUMNS, LONG, LONG, width=width)
    assert lines[:4] == [
        f"ID        {ID}",
        "Body      x",
        "Expires   in 56 min",
        "Age       4 min ago",
    ]
    assert lines[4:7] == [f"Claim ID  {ID}", "", f"ID        {ID}"]


def test_an_id_gets_a_line_of_its_own_before_it_is_broken() -> None:
    names = ("Claim_ID", "Message_ID", "TTL", "Age", "Messages")
    lines = shown(names, (ID, ID, 60, 3, Body("x" * 90)), width=40)
    assert lines[:4] == ["Claim ID", ID, "Message ID", ID]
    assert lines[-1] == "Messages    " + "x" * 27 + "…"


def test_one_thing_is_shown_in_full() -> None:
    stream = io.StringIO()
    parsed = argparse.Namespace(max_width=40, columns=[], print_empty=False)
    names = ("ID", "Body", "Claim ID")
    cells = Times(names).cells((ID, Body("a\n" + "x" * 50), None), for_people)
    TableFormatter().emit_one(names, cells, stream, parsed)
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert lines == [f"ID    {ID}", "Body  a", "      " + "x" * 34, "      " + "x" * 16]


def test_wide_characters_count_as_two() -> None:
    header, row = shown(("Name", "Body"), ("q", Body("茶" * 60)), width=60)
    assert header == "Name  Body"
    assert row == "q     " + "茶" * 26 + " …"


def test_times_in_utc_say_so() -> None:
    names = ("ID", "TTL", "Age")
    header, row = shown(names, (ID, 3600, 240), utc=True)
    assert header.split() == ["ID", "Expires", "Created"]
    moments = re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row)
    assert len(moments) == 2
    assert moments[0] > moments[1]
    expires = Times(("Expires",)).in_utc(("2026-11-30T08:55:13",))
    assert expires == ["2026-11-30T08:55:13Z"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (90, "90 s"),
        (3599, "59 min"),
        (3600, "1 h"),
        (5400, "90 min"),
        (86400, "1 day"),
        (90000, "25 h"),
        (1209600, "14 days"),
    ],
)
def test_a_duration_is_in_the_unit_that_says_enough(seconds: float, text: str) -> None:
    assert module.duration(seconds) == text


@pytest.mark.parametrize(
    ("names", "row", "texts"),
    [
        (("TTL", "Age"), (60, 90), ["30 s ago", "90 s ago"]),
        (("TTL",), (3600,), ["1 h"]),
        (("Default Delay",), (0,), ["0 s"]),
        (("TTL", "Age"), ("x", None), ["x", ""]),
        (("Expires",), ("no time",), ["no time"]),
        (
            ("Claim_TTL", "Claim_Age", "Age"),
            (300, 60, 5),
            ["in 4 min", "60 s ago", "5 s ago"],
        ),
        (("Count", "Confirmed", "Left"), (5, True, None), ["5", "true", ""]),
    ],
)
def test_columns_of_times_are_known_by_their_names(
    names: Sequence[str], row: Sequence[Any], texts: list[str]
) -> None:
    shown = [cell.text for cell in Times(names).cells(row, for_people)]
    assert shown == [text.replace("60 s ago", "1 min ago") for text in texts]


def test_an_empty_list_shows_nothing_or_its_columns() -> None:
    assert shown(("ID", "Age")) == []
    assert shown(("ID", "Age"), print_empty=True) == ["ID  Age"]


def test_rows_that_come_are_aligned_below_one_header(terminal: Any) -> None:
    stream = terminal()
    rows = RowPrinter(stream)
    names = ("ID", "Age", "Body")
    for age in (3, 300):
        row = (ID, age, Body("a\nb\x1b[31m"))
        rows.print(Times(names).cells(row, for_people))
    assert [line.rstrip() for line in stream.getvalue().splitlines()] == [
        "ID                              Age        Body",
        f"{ID}  3 s ago    a\\nb\\x1b[31m",
        f"{ID}  5 min ago  a\\nb\\x1b[31m",
    ]


def test_rows_that_come_are_records_on_a_narrow_terminal(
    terminal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")  # old versions of rich give others 80 columns
    stream = terminal()
    rows = RowPrinter(stream)
    for body in ("a", "b"):
        cells = Times(("ID", "Body")).cells((ID, Body(body)), for_people)
        rows.print(cells)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert [line.rstrip() for line in shown.splitlines()] == [
        f"ID    {ID}",
        "Body  a",
        "",
        f"ID    {ID}",
        "Body  b",
    ]


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, False)],
)
def test_colours_are_for_terminals_that_want_them(
    variables: dict[str, str],
    coloured: bool,
    terminal: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert styled(io.StringIO(), "no", "error") == "no"
    expected = "\033[31mno\033[0m" if coloured else "no"
    assert styled(terminal(), "no", "error") == expected
