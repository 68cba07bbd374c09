"""Many commands in one run of the program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from zaqarclient.tests.functional.cli.conftest import Run
from zaqarclient.tests.http_stub import Answer, HttpStub


def test_each_line_is_a_command_and_quoting_is_that_of_a_shell(zaqar: Run) -> None:
    lines = """
    queue create orders --ttl 600     # with a comment

    message post orders '{"body": {"item": "two words"}}' -f value
    message list orders --echo -f json -c Body
    """
    done = zaqar("batch", stdin=lines.encode())
    assert (done.status, done.err) == (0, "")
    assert "two words" in done.out


def test_the_commands_share_one_connection(zaqar: Run, stub: HttpStub) -> None:
    stub.default = Answer(204)
    lines = "".join(f"queue delete q{number}\n" for number in range(20))
    done = zaqar("--os-queues-endpoint", stub.url, "-q", "batch", stdin=lines.encode())
    assert done == (0, "", "")
    assert [path for _, path in stub.calls()] == [f"/v2/queues/q{n}" for n in range(20)]
    assert stub.connections == 1


@pytest.mark.parametrize(
    ("line", "status", "text"),
    [
        ("message show q nope", 3, "Message nope does not exist in queue q"),
        ("queue list --limit x", 2, "'x' is not an integer"),
        ("quue list", 2, "did you mean queue list"),
        ("queue create 'a", 1, "No closing quotation"),
        ("batch -", 1, "a batch runs no batch"),
    ],
)
def test_a_failure_ends_the_batch_unless_it_is_to_keep_going(
    zaqar: Run, tmp_path: Path, line: str, status: int, text: str
) -> None:
    file = tmp_path / "commands"
    file.write_text(f"queue create q -f value\n{line}\nqueue exists q -f value\n")
    done = zaqar("batch", str(file))
    assert (done.status, done.out) == (status, "q\n")
    assert text in done.err
    assert done.err.endswith(f"line 2: status {status}: {line}\n")
    going = zaqar("batch", "--keep-going", str(file))
    assert (going.status, going.out) == (1, "q\nTrue\n")


def test_commands_of_a_batch_do_not_read_its_lines(zaqar: Run) -> None:
    lines = b"message post q --lines -f value\nqueue stats q -f value -c Total\n"
    assert zaqar("batch", stdin=lines) == (0, "0\n", "There is no queue q.\n")


def test_a_file_that_cannot_be_read_is_named(zaqar: Run) -> None:
    done: Any = zaqar("batch", "/no/such/file")
    assert done == (1, "", "cannot read /no/such/file: No such file or directory\n")
