"""Usage errors of one line, and help that has the output options at its end."""

# ruff: noqa: SLF001 - argparse has no other way to the arguments of a parser

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterable
from functools import partial
from typing import Any, Final, NoReturn

from zaqarclient.common.text import printable
from zaqarclient.queues.v2.cli.terminal import styled

#: Options that are never suggested: a guess must not remove anything.
_UNGUESSED: Final = frozenset({"--yes", "--restart", "--refuse"})

#: The width that texts are written for.
_WIDE: Final = 78

_UNKNOWN: Final = re.compile(r"unrecognized arguments:.*?(?:^| )(--?[\w-]+)")
_CHOICE: Final = re.compile(r"invalid choice: '?(.*?)'? \(choose from (.*)\)")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` for a mistyped word, or nothing."""
    from zaqarclient.names import closest  # noqa: PLC0415 - only for an error

    close = closest(word, known)
    return f"; did you mean {close}?" if close else ""


def prepare(parser: argparse.ArgumentParser) -> None:
    """Give the parser of a command its error lines and the order of its help."""
    parser.error = partial(end_with_error, parser)  # type: ignore[method-assign]  # this parser only
    groups = parser._action_groups
    output = [group for group in groups if "formatter" in (group.title or "").lower()]
    if output:
        section = parser.add_argument_group("output options")
        for group in output:
            section._group_actions += group._group_actions
        groups[:] = [group for group in groups if group not in output]
        parser.format_help = partial(_format_help, parser, section)  # type: ignore[method-assign]  # same


def reflowed(text: str, width: int) -> str:
    """Return a text for 80 columns as it is for fewer; indented lines stay."""
    if width >= _WIDE:
        return text
    return "\n\n".join(
        part if "\n " in part or part[:1] == " " else textwrap.fill(part.strip(), width)
        for part in text.split("\n\n")
    )


def end_with_error(parser: argparse.ArgumentParser, text: str) -> NoReturn:
    """End with status 2, a line about what is wrong, and where the help is."""
    program, _, words = parser.prog.partition(" ")
    line = printable(f"{parser.prog}: {text}{_suggestion(parser, text)}")
    see = printable(f"see: {program} help {words}".rstrip())
    parser.exit(2, f"{styled(sys.stderr, line, 'error')}\n{see}\n")


def options_of(parser: argparse.ArgumentParser) -> list[str]:
    """Return the options of a parser that its help shows."""
    return [
        option
        for action in parser._actions
        if action.help != argparse.SUPPRESS
        for option in action.option_strings
    ]


def _suggestion(parser: argparse.ArgumentParser, text: str) -> str:
    if (found := _UNKNOWN.search(text)) is not None:
        return did_you_mean(found[1], set(options_of(parser)) - _UNGUESSED)
    if (found := _CHOICE.search(text)) is not None:
        return did_you_mean(found[1], re.findall(r"[\w.-]+", found[2]))
    return ""


def _format_help(parser: argparse.ArgumentParser, output: Any, *arguments: Any) -> str:
    """Return the help; its usage leaves the output options to their section."""
    if parser.usage is None:
        apart = output._group_actions
        brief = argparse.ArgumentParser(prog=parser.prog, add_help=False)
        brief._actions = [one for one in parser._actions if one not in apart]
        brief._mutually_exclusive_groups = [
            group
            for group in parser._mutually_exclusive_groups
            if not any(action in apart for action in group._group_actions)
        ]
        usage = brief.format_usage().removeprefix("usage: ").rstrip()
        parser.usage = f"{usage.replace('%', '%%')} [output options]"
    return type(parser).format_help(parser, *arguments)
