"""The pages about the command line show commands that exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from zaqarclient import shell
from zaqarclient.shell import client_manager
from zaqarclient.shell.help import OWN_COMMANDS

DOC = Path(__file__).parents[4] / "doc" / "source"
GUIDES = ("ci", "queues", "messages", "claims", "subscriptions", "topics")
PAGES = [
    *sorted((DOC / "cli").glob("*.rst")),
    *(DOC / "user" / f"{name}.rst" for name in GUIDES),
]

#: Where one command of a shell line ends.
_ENDS = {"|", "||", "&&", ">", ";", ")"}


def shown() -> Iterator[str]:
    """Give each call of ``zaqar`` on the pages, without the prompt."""
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        for line in re.findall(r"^ +\$ (.*)$", text, re.MULTILINE):
            yield from (f"zaqar {part}" for part in line.split("zaqar ")[1:])


def words_of(line: str) -> list[str]:
    """Return the words of the first command of a line, after its name."""
    # What is taken into a string with $(...) ends at the parenthesis.
    lexer = shlex.shlex(line.partition(')"')[0], posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if word in _ENDS:
            break
        words.append(word)
    return words[1:]


@pytest.mark.parametrize("line", sorted(set(shown())))
def test_a_command_on_a_page_can_be_typed_as_it_stands(
    parse: Callable[..., Any],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Options are read from their file when they are parsed.
    (tmp_path / "hook.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    words = words_of(line)
    end = words.index("--") if "--" in words else len(words)
    options, rest = shell.build_parser().parse_known_args(words[:end])
    rest = client_manager.take_plugin_options(options, rest)
    if rest[0] in {"help", *OWN_COMMANDS}:
        return
    name, arguments = shell.find_command(rest + words[end:])
    assert name is not None
    assert parse(name, *arguments)
    assert not options.version
