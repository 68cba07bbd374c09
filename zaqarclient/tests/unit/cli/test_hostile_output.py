"""Text of other people in every format of every command: shown, never obeyed."""

from __future__ import annotations

import argparse
import csv
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import needs
import pytest
import yaml
from cliff.lister import Lister
from cliff.show import ShowOne

from zaqarclient.common.text import printable
from zaqarclient.queues.v2 import cli
from zaqarclient.queues.v2.cli.commands import COMMANDS
from zaqarclient.shell import Program
from zaqarclient.transport import errors

ACTS = "touch PWN"
#: What a shell would do something with, and what it must be afterwards.
VALUES = (
    f"$({ACTS})",
    f"`{ACTS}`",
    f'"; {ACTS}; "',
    f"'; {ACTS}; '",
    "\\",
    f'\\"; {ACTS} #',
    f"\\`{ACTS}\\`",
    f"${{x:-$({ACTS})}}",
    "$HOME $$ $? !! ~ * ${PATH}",
    "two\nlines\tand a tab\r",
    f"last \\$({ACTS})",
    "é ☕ \u202e",
    "",
)
NAMES = (f"x$({ACTS})", f"y;{ACTS};z", "1st", "a b-c:d", 'q"q', "é")
STEERS = "\x1b]0;title\x07\x1b[2J\x9b1m\r\x08 \u202edcba\u2066\u2028\ufeff\U000e0041"


def commands(kind: type) -> list[str]:
    classes = {name: getattr(cli, row.cls) for name, row in COMMANDS.items()}
    return [name for name, command in classes.items() if issubclass(command, kind)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def output(
    program: Program,
    name: str,
    columns: tuple[str, ...],
    data: Any,
    output_format: str,
) -> str:
    """Return what a command prints of what it is given in place of an answer."""
    command: Any = program.command(name)
    command.formatter = command._formatter_plugins[output_format].obj
    parsed = argparse.Namespace(
        formatter=output_format,
        columns=[],
        sort_columns=[],
        sort_direction=None,
        variables=[],
        prefix="",
        output=None,
        noindent=False,
        max_width=0,
        fit_width=False,
        print_empty=False,
        quote_mode="nonnumeric",
        utc=False,
    )
    command.produce_output(parsed, columns, data)
    return program.stdout.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh"])
def test_no_value_or_name_is_run_by_a_shell(
    shell: str, program: Callable[..., Program], tmp_path: Path
) -> None:
    interpreter = needs.program(shell, package=shell)
    columns = (*(f"v{number}" for number in range(len(VALUES))), *NAMES)
    values = (*VALUES, *(f"$({ACTS})" for _ in NAMES))
    shown = commands(ShowOne)
    assert len(shown) > 15
    for name in shown:
        text = output(program(), name, columns, values, "shell")
        (tmp_path / "text").write_text(text)
        lines = [f'eval "$(cat {tmp_path}/text)"']
        lines += [f'printf "%s\\0" "$v{number}"' for number in range(len(VALUES))]
        words = [interpreter, "-c", "\n".join(lines)]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, check=False)
        assert done.stderr == b"", name
        assert done.stdout.decode().split("\0")[:-1] == list(VALUES), name
    assert not (tmp_path / "PWN").exists()


@pytest.mark.parametrize("output_format", ["table", "value", "csv", "json", "yaml"])
@pytest.mark.parametrize("kind", [ShowOne, Lister])
def test_no_text_steers_a_terminal(
    kind: type,
    output_format: str,
    program: Callable[..., Program],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "dumb")  # no colours of the table's own
    if (kind, output_format) == (ShowOne, "csv"):
        return  # cliff has none
    for name in commands(kind):
        data: Any = (STEERS, {STEERS: [STEERS]})
        rows = data if kind is ShowOne else [data]
        made = program(stdout=Terminal())
        text = output(made, name, (f"N {STEERS}", "Other"), rows, output_format)
        assert text == printable(text), name


def test_programs_that_read_a_pipe_get_every_byte(
    program: Callable[..., Program],
) -> None:
    for name in commands(Lister):
        row = (STEERS.replace("\r", ""), "x")
        text = output(program(), name, ("A", "B"), [row], "csv")
        assert list(csv.reader(io.StringIO(text)))[1] == list(row)
        assert output(program(), name, ("A",), [row[:1]], "value") == row[0] + "\n"
        assert json.loads(output(program(), name, ("A",), [(STEERS,)], "json")) == [
            {"A": STEERS}
        ]
    text = output(program(), "message show", ("A",), (STEERS,), "yaml")
    assert yaml.safe_load(text) == {"A": STEERS}


def test_what_an_error_says_steers_no_terminal() -> None:
    error = errors.MalformedRequest(f"T{STEERS}", f"D{STEERS}", f"X{STEERS}")
    assert str(error) == printable(str(error))
    assert "\\x1b]0;title\\x07" in str(error)
    assert error.description == f"D{STEERS}"


def test_readable_text_of_any_language_stays_as_it_is() -> None:
    text = "a\tb\n日本語 ☕ 👩‍💻 שלום العربية ಠ_ಠ"
    assert printable(text) == text
