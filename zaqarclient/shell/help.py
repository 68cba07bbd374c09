"""The help and completion of the ``zaqar`` program."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

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

#: Groups of commands by their first word; the rest is about the service.
_TITLES: Final = {
    "queue": "Queues",
    "message": "Messages",
    "claim": "Claims",
    "subscription": "Subscriptions",
    "topic": "Topics",
    "pool": "Pools",
    "flavor": "Flavors",
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


def own_parser(words: str, description: str, example: str) -> argparse.ArgumentParser:
    """Return the parser of one of the program's own commands.

    Args:
        words: How it is called.
        description: What it does.
        example: A whole command line.
    """
    return argparse.ArgumentParser(
        prog=words,
        description=description,
        epilog=f"Example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def overview(parser: argparse.ArgumentParser, lookup: Lookup) -> str:
    """Return the help of the program: its commands by group, its options."""
    groups: dict[str, list[str]] = {title: [] for title in _TITLES.values()}
    groups["Service"] = []
    for name in COMMANDS:
        groups[_TITLES.get(name.split()[0], "Service")].append(name)
    parts = [parser.description or "", "", parser.format_usage()]
    for title, names in groups.items():
        parts += [f"{title}:", commands(names, lookup)]
    options = parser.format_help().partition("\n\n")[2].partition("\n\n")[2]
    return "\n".join([*parts, options]) + _AFTERWORD


def commands(names: Iterable[str], lookup: Lookup) -> str:
    """Return a line about each of these commands."""
    return "".join(f"  {name:<26} {_summary(lookup(name))}\n" for name in names)


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
    for name in COMMANDS:
        parts = name.split()
        for count in range(1, len(parts)):
            words.setdefault(" ".join(parts[:count]), set()).add(parts[count])
        words.setdefault(name, set()).update(_options(lookup(name).get_parser(name)))
    cases = "\n".join(
        f'      "{name}") words="{" ".join(sorted(words[name]))}"; break ;;'
        for name in sorted(words)
    )
    start = sorted(
        {name.split()[0] for name in COMMANDS} | {"batch", "help", "complete", "logout"}
    )
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


def _summary(command: Command) -> str:
    return command.get_description().partition("\n")[0].rstrip(".")
