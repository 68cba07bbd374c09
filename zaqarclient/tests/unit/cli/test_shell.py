"""The ``zaqar`` program around its commands: words, help, prompts."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any

import pytest

from zaqarclient import shell
from zaqarclient.queues.v2.cli.commands import COMMANDS
from zaqarclient.queues.v2.cli.output import CommandError
from zaqarclient.tests.http_stub import Answer, HttpStub
from zaqarclient.version import __version__

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["queue", "list"], ("queue list", [])),
        (["queue", "set", "metadata", "q"], ("queue set metadata", ["q"])),
        (["queue", "set", "q"], ("queue set", ["q"])),
        (["messaging", "queue", "list", "-f"], ("queue list", ["-f"])),
        (["ping"], ("ping", [])),
        (["queue"], (None, ["queue"])),
        (["messaging"], (None, [])),
    ],
)
def test_the_longest_command_wins(words: list[str], found: Any) -> None:
    assert shell.find_command(words) == found


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_is_twenty_lines_that_fit_80_columns(
    words: list[str], capsys: Captured
) -> None:
    assert shell.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 20
    assert max(map(len, lines)) <= 80
    assert "zaqar help --all" in "\n".join(lines)


@pytest.mark.parametrize("words", [["help", "--all"], ["--help", "--all"]])
def test_help_names_all_commands_and_says_where_the_service_is_looked_for(
    words: list[str], capsys: Captured
) -> None:
    assert shell.main(words) == 0
    text = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n  {name} " not in text] == []
    assert "http://127.0.0.1:8888" in text
    assert "Exit status: 0 done, 1 failed, 2 wrong usage" in text


@pytest.mark.parametrize(
    "words",
    [["help", "queue", "list"], ["queue", "list", "--help"], ["-h", "queue", "list"]],
)
def test_help_of_a_command_comes_by_either_word(
    words: list[str], capsys: Captured
) -> None:
    with pytest.raises(SystemExit) as ended:
        shell.main(words)
    assert ended.value.code == 0
    assert "usage: zaqar queue list" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys: Captured) -> None:
    assert shell.main(["--version"]) == 0
    assert capsys.readouterr().out == f"zaqar {__version__}\n"


def test_half_a_command_is_answered_with_those_that_begin_so(
    capsys: Captured,
) -> None:
    assert shell.main(["claim"]) == 2
    text = capsys.readouterr()
    assert "claim create" in text.err
    assert "queue" not in text.err.replace("of a queue", "").split()
    assert text.out == ""


def test_help_of_half_a_command_is_no_error(capsys: Captured) -> None:
    assert shell.main(["help", "claim"]) == 0
    assert "claim create" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["quue", "list"], "there is no command 'quue'; did you mean queue list?\n"),
        (["xyzzy"], "there is no command 'xyzzy'; see zaqar help --all\n"),
        (
            ["queue", "rm", "q"],
            "there is no command 'queue rm'; did you mean queue delete?",
        ),
        (["topic", "ls"], "there is no command 'topic ls'; did you mean topic list?"),
        (["message", "send", "q"], "did you mean message post?"),
        (["publish", "q", "hi"], "did you mean message post?"),
        (["message", "receive", "q"], "did you mean claim create?"),
        (["message", "peek", "q"], "did you mean message list?"),
        (["queue", "info", "q"], "did you mean queue show?"),
        (["subscribe", "q", "http://h"], "did you mean subscription create?"),
        (["claim", "work"], "did you mean claim run?"),
        (["claim", "list", "q"], "did you mean message list?"),
        (["purge", "q"], "did you mean queue purge?"),
        # Near "purge", "pop" and "delete", which remove something.
        (["queue", "purg"], "there is no command 'queue purg'; see zaqar help queue\n"),
        (["message", "pst"], "did you mean message post?"),
        (
            ["queue", "delet"],
            "there is no command 'queue delet'; see zaqar help queue\n",
        ),
        (["messaging"], "there is no command"),
        (["--os-queues-api-version", "1.1", "ping"], "there is no API version 1.1"),
    ],
)
def test_words_that_are_no_command_end_with_status_2(
    words: list[str], text: str, capsys: Captured
) -> None:
    assert shell.main(words) == 2
    assert text in capsys.readouterr().err


def words_run(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the list that the words of each command run will be put on."""
    seen: list[list[str]] = []

    def run(self: shell.Program, words: list[str]) -> int:
        seen.append(words)
        return 0

    monkeypatch.setattr(shell.Program, "run", run)
    return seen


def test_options_of_the_program_may_stand_anywhere(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = words_run(monkeypatch)
    shell.main(["queue", "-q", "list", "--os-queues-endpoint", "u", "--limit", "2"])
    assert seen == [["queue", "list", "--limit", "2"]]


def test_what_comes_after_two_dashes_is_not_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = words_run(monkeypatch)
    shell.main(["claim", "run", "q", "--", "ls", "--debug", "-v"])
    assert seen == [["claim", "run", "q", "--", "ls", "--debug", "-v"]]


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), 130), (ValueError("odd"), 1)]
)
def test_whatever_goes_wrong_ends_in_a_status_without_a_traceback(
    error: BaseException, status: int, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def run(self: shell.Program, words: list[str]) -> int:
        raise error

    monkeypatch.setattr(shell.Program, "run", run)
    assert shell.main(["ping"]) == status
    assert "Traceback" not in capsys.readouterr().err


def test_debug_shows_where_an_error_comes_from(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def run(self: shell.Program, words: list[str]) -> int:
        raise ValueError("odd")

    monkeypatch.setattr(shell.Program, "run", run)
    assert shell.main(["--debug", "ping"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("answer", ["", "n\n", "no\n", "yess\n"])
def test_a_delete_on_a_terminal_needs_a_yes(
    program: Callable[..., shell.Program], terminal: Any, stub: HttpStub, answer: str
) -> None:
    stub.default = Answer(200, {"messages": {"total": 1200}})
    asked = terminal()
    app = program(
        "--os-queues-endpoint", stub.url, stdin=terminal(answer), stderr=asked
    )
    with pytest.raises(CommandError, match="nothing was changed"):
        app.run(["queue", "delete", "orders"])
    assert asked.getvalue() == "Delete orders with its 1,200 messages? [y/N] "
    assert [seen.method for seen in stub.seen] == ["GET"]


@pytest.mark.parametrize(
    ("words", "stdin", "stderr"),
    [
        (["--yes"], True, True),
        ([], False, True),
        ([], True, False),
    ],
)
def test_nothing_is_asked_with_yes_or_without_a_terminal(
    program: Callable[..., shell.Program],
    terminal: Any,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    stdin: bool,
    stderr: bool,
) -> None:
    deleted: list[str] = []

    class Queue:
        def __init__(self, name: str) -> None:
            self.delete = lambda: deleted.append(name)
            self.is_created = lambda: True

    asked = terminal() if stderr else io.StringIO()
    app = program(stdin=terminal() if stdin else io.StringIO(), stderr=asked)
    command = app.command("queue delete")
    monkeypatch.setattr(command, "queue", Queue)
    parser = command.get_parser("zaqar queue delete")
    assert command.run(parser.parse_args(["orders", "bills", *words])) == 0
    assert deleted == ["orders", "bills"]
    assert asked.getvalue() == ""


def test_a_post_from_a_terminal_without_messages_is_explained(
    program: Callable[..., shell.Program], terminal: Any, capsys: Captured
) -> None:
    app = program(stdin=terminal("never read\n"))
    with pytest.raises(SystemExit) as ended:
        app.run(["message", "post", "orders"])
    assert ended.value.code == 2
    assert "give <messages>, --field, --body or --text" in capsys.readouterr().err


def test_the_id_of_a_signed_url_is_told_on_a_terminal(
    program: Callable[..., shell.Program], terminal: Any, stub: HttpStub
) -> None:
    signed = {
        "paths": ["/v2/queues/orders/messages"],
        "methods": ["GET"],
        "project": "p",
        "expires": "2031-03-03T09:00:00",
        "signature": "5f",
    }
    stub.default = Answer(200, signed)
    for stderr in (terminal(), io.StringIO()):
        run = program("--os-queues-endpoint", stub.url, stderr=stderr)
        assert run.run(["queue", "signed", "url", "orders", "--output", "env"]) == 0
        identity = hashlib.sha256(b"5f").hexdigest()[:32]
        lines = (
            "It is valid until 2031-03-03T09:00:00 UTC. To revoke it:",
            f"zaqar queue signed url revoke orders {identity}",
        )
        shown = "".join(f"\033[2m{line}\033[0m\n" for line in lines)
        expected = shown if stderr.isatty() else ""
        assert stderr.getvalue() == expected
        run.client_manager.close()
