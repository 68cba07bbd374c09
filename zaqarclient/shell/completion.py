"""Completion in bash, zsh and fish; argcomplete speaks with the shells.

A shell runs the program for each Tab, with the line in its environment. What may come
next is read from the parser of the command that the line names, so nothing has to be
kept in step; names of queues come from the service.
"""

# ruff: noqa: SLF001 - argparse has no other way to the arguments of a parser

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import argcomplete
from argcomplete.completers import ChoicesCompleter, FilesCompleter, SuppressCompleter
from argcomplete.lexers import split_line
from argcomplete.shell_integration import shellcode

from zaqarclient.queues.v2.cli import client_id
from zaqarclient.shell.tokens import TokenFile

if TYPE_CHECKING:
    from zaqarclient.shell import Program

SHELLS: Final = ("bash", "fish", "zsh")

#: What argcomplete's script needs of zsh, in a .zshrc that has not loaded it.
_ZSH: Final = """\
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
"""

#: How long names that the service gave are used, in seconds.
_FRESH: Final = 30.0

#: How long a Tab waits for the service, in seconds.
_PATIENCE: Final = 2.0

#: The characters at which bash ends words.
_BREAKS: Final = "_ARGCOMPLETE_COMP_WORDBREAKS"

_MOST_NAMES: Final = "100"

#: Placeholders and destinations of arguments that name something, and what.
_NAMED: Final = {
    "<queue_name>": "",  # whatever the command is on
    "<queue>": "queue",
    "<topic_name>": "topic",
    "<pool_name>": "pool",
    "<flavor_name>": "flavor",
    "<flavor>": "flavor",
}


def script(shell: str) -> str:
    """Return what a shell has to read to complete; see `SHELLS`."""
    text: str = shellcode(["zaqar"], shell=shell)
    return f"{_ZSH}{text}" if shell == "zsh" else text


class Completion:
    """What may come next on a line.

    Args:
        general: The parser of the global options; the words are added to it.
        commands: The names of all commands.
        find: Returns the command that words begin with, and the rest of them.
        run: Makes a program that runs a command, from options.
    """

    def __init__(
        self,
        general: argparse.ArgumentParser,
        commands: Iterable[str],
        find: Callable[[list[str]], tuple[str | None, list[str]]],
        run: Callable[..., Program],
    ) -> None:
        self._general = general
        self._commands = [name.split() for name in (*commands, "help")]
        self._find = find
        self._run = run
        #: Options that are not offered: the global ones, where a command has its own.
        self._hidden: set[str] = set()

    def answer(self) -> None:
        """Give the shell the words that fit, and end the process."""
        # To bash a word may begin with an @, though it ends words otherwise.
        breaks = os.environ.get(_BREAKS, "")
        os.environ[_BREAKS] = breaks.replace("@", "")
        line, point = os.environ["COMP_LINE"], int(os.environ["COMP_POINT"])
        words = split_line(line, point)[3]
        argcomplete.autocomplete(
            self.parser(words[1:]),
            always_complete_options=False,
            exclude=self._hidden,
            default_completer=SuppressCompleter(),
        )

    def parser(self, words: list[str]) -> argparse.ArgumentParser:
        """Return a parser of the words and of what may follow them."""
        options, rest = self._general.parse_args([]), list[str]()
        with contextlib.suppress(SystemExit):
            options, rest = self._general.parse_known_args(words)
        whole = self._general
        whole._optionals.conflict_handler = "resolve"
        name, arguments = self._find(rest) if rest else (None, [])
        count = len(rest) - len(arguments) if name else len(rest)
        for number, word in enumerate(rest[:count]):
            whole.add_argument(f"word {number}", choices=[word])
        if name is None:
            whole.add_argument("next", choices=self._next(rest))
            return whole
        self._hidden = set(self._general._option_string_actions)
        parser = self._completing(self._run(options), name)
        self._hidden -= parser._option_string_actions.keys()
        if not arguments:
            self._offer_also(parser, self._next(rest))
        for action in parser._actions:
            whole._add_action(action)
        return whole

    def _next(self, words: list[str]) -> list[str]:
        """Return the words of commands that may follow those."""
        if words[:1] in (["help"], ["messaging"]):
            words = words[1:]
        known = (name for name in self._commands if name[: len(words)] == words)
        return sorted({name[len(words)] for name in known if name[len(words) :]})

    @staticmethod
    def _offer_also(parser: argparse.ArgumentParser, words: list[str]) -> None:
        """Offer words that make a longer command beside the first argument."""
        first = next((a for a in parser._actions if not a.option_strings), None)
        names = getattr(first, "completer", None)
        if words and names is not None:
            first.completer = lambda **given: [*words, *names(**given)]  # type: ignore[union-attr]  # argcomplete reads it

    def _completing(self, program: Program, name: str) -> argparse.ArgumentParser:
        """Return the parser of a command, its arguments with what may be given."""
        command = program.command(name)
        parser = command.get_parser(f"zaqar {name}")
        for action in parser._actions:
            found = self._completer(program, command, action)
            if found is not None:
                action.completer = found  # type: ignore[attr-defined]  # argcomplete reads it
        return parser

    def _completer(
        self, program: Program, command: Any, action: argparse.Action
    ) -> Callable[..., Iterable[str]] | None:
        kind = _NAMED.get(str(action.metavar or f"<{action.dest}>"))
        known = getattr(action.type, "known", None)
        if kind is not None:
            return Names(self._run, program.options, kind or command.kind)
        if action.dest == "columns" and getattr(command, "columns", None):
            return ChoicesCompleter(command.columns)
        if known is not None:
            return lambda prefix, **_: _listed(prefix, known)
        if action.dest in {"file", "command"}:
            return FilesCompleter()
        return _files_after_at if "@FILE" in str(action.help) else None


class Names:
    """The names of queues, topics, pools or flavors, kept for a short while.

    Args:
        run: Makes a program that runs a command, from options.
        options: The global options of the line.
        kind: ``queue``, ``topic``, ``pool`` or ``flavor``.
    """

    def __init__(
        self, run: Callable[..., Program], options: argparse.Namespace, kind: str
    ) -> None:
        self._run = run
        self._options = options
        self._kind = kind

    def __call__(self, prefix: str, **_: Any) -> list[str]:
        """Return the names that begin so; none if the service gives none in time."""
        key = f"{TokenFile.of(self._options).name}-{self._kind}-{prefix.encode().hex()}"
        file = client_id.directory("CACHE", ".cache") / "names" / key[:200]
        with contextlib.suppress(OSError, ValueError):
            if time.time() - file.stat().st_mtime < _FRESH:
                return list(map(str, json.loads(file.read_text())))
        names: list[str] = []
        with contextlib.suppress(Exception), _limited(_PATIENCE):
            names = [one for one in self._asked(prefix) if one.startswith(prefix)]
            _keep(file, names)
        return names

    def _asked(self, prefix: str) -> list[str]:
        words = [
            self._kind,
            "list",
            "--limit",
            _MOST_NAMES,
            "-f",
            "value",
            "-c",
            "Name",
        ]
        if prefix and self._kind in {"queue", "topic"}:
            words += ["--name", prefix]
        out = io.StringIO()
        self._run(self._options, stdout=out, stderr=io.StringIO()).run(words)
        return out.getvalue().split()


def _keep(file: Path, names: list[str]) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for other in file.parent.iterdir():
        if time.time() - other.stat().st_mtime > _FRESH:
            other.unlink()
    file.write_text(json.dumps(names))


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise `TimeoutError` after some seconds."""

    def end(*_: Any) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _listed(prefix: str, known: Iterable[str]) -> list[str]:
    """Return what may end a list of known words with commas between."""
    before, comma, _ = prefix.rpartition(",")
    return [f"{before}{comma}{word}" for word in known]


def _files_after_at(prefix: str, **_: Any) -> list[str]:
    if not prefix.startswith("@"):
        return []
    return [f"@{name}" for name in FilesCompleter()(prefix[1:])]
