"""The help and completion of the ``zaqar`` program."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from zaqarclient.queues.v2 import cli
from zaqarclient.queues.v2.cli.commands import COMMANDS

if TYPE_CHECKING:
    from zaqarclient.queues.v2.cli.base import Command

_AFTERWORD: Final = """
"zaqar help <command>" shows the help of a command, with an example.
"zaqar batch" runs many commands, one a line.
"zaqar complete" prints the completion for a shell.
"zaqar logout" removes the tokens that --os-token-cache has kept.

Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

#: The commands that only ``zaqar`` has, and their classes in `zaqarclient.shell.own`.
OWN_COMMANDS: Final = {
    "batch": "RunBatch",
    "complete": "Complete",
    "logout": "LogOut",
}

_BASH: Final = """\
_zaqar() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" line="" word words
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    [[ "$word" == -* ]] || line="$line $word"
  done
  line="${{line# }}"
  while :; do
    case "$line" in
{cases}
    esac
    [[ "$line" == *" "* ]] || {{ words="{start}"; break; }}
    line="${{line% *}}"
  done
  [[ "$current" == -* ]] && words="$words {options}"
  COMPREPLY=( $(compgen -W "$words" -- "$current") )
}}
complete -F _zaqar zaqar
"""

_ZSH: Final = "autoload -U +X bashcompinit && bashcompinit\n"

Lookup = Callable[[str], "Command"]


def overview(parser: argparse.ArgumentParser) -> str:
    """Return the help of the program: its commands by group, its options."""
    groups: dict[str, list[str]] = {}
    for name in COMMANDS:
        groups.setdefault(f"{name.split()[0].title()}s", []).append(name)
    alone = [title for title, names in groups.items() if len(names) == 1]
    groups["Service"] = [groups.pop(title)[0] for title in alone]
    parts = [parser.description or "", "", parser.format_usage()]
    for title, names in groups.items():
        parts += [f"{title}:", commands(names)]
    options = parser.format_help().partition("\n\n")[2].partition("\n\n")[2]
    return "\n".join([*parts, options]) + _AFTERWORD


def commands(names: Iterable[str]) -> str:
    """Return a line about each of these commands."""
    return "".join(f"  {name:<26} {_summary(name)}\n" for name in names)


def unknown(start: str) -> str:
    """Return the text for an unknown command, with close ones."""
    words = {word for name in COMMANDS for word in (name, name.split()[0])}
    close = difflib.get_close_matches(start, sorted(words), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else "see zaqar --help"
    return f"there is no command {start!r}; {hint}"


def completion(shell: str, parser: argparse.ArgumentParser, lookup: Lookup) -> str:
    """Return the script that completes commands and options in a shell.

    Args:
        shell: ``bash`` or ``zsh``.
        parser: The parser of the global options.
        lookup: Returns a command by its name.
    """
    words: dict[str, set[str]] = {}
    for name in (*COMMANDS, *OWN_COMMANDS):
        parts = name.split()
        for count in range(1, len(parts)):
            words.setdefault(" ".join(parts[:count]), set()).add(parts[count])
        words.setdefault(name, set()).update(_options(lookup(name).get_parser(name)))
    cases = "\n".join(
        f'      "{name}") words="{" ".join(sorted(words[name]))}"; break ;;'
        for name in sorted(words)
    )
    start = sorted({name.split()[0] for name in words} | {"help"})
    script = _BASH.format(
        cases=cases, start=" ".join(start), options=" ".join(_options(parser))
    )
    return script if shell == "bash" else _ZSH + script


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return sorted(
        option
        for action in parser._actions  # noqa: SLF001 - argparse has no other way
        if action.help != argparse.SUPPRESS
        for option in action.option_strings
        if option.startswith("--")
    )


def _summary(name: str) -> str:
    text = str(cli.without_cliff(COMMANDS[name].cls).__doc__)
    return text.partition("\n")[0].rstrip(".")
