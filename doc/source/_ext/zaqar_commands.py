"""``.. zaqar-commands:: queue`` writes the reference of the commands on queues.

Without an argument it writes that of the global options of ``zaqar``.
"""

# argparse tells what a parser takes only in private attributes.
# ruff: noqa: SLF001

from __future__ import annotations

import argparse
import io
import re
from collections.abc import Iterator
from typing import Any, ClassVar

from cliff.lister import Lister
from cliff.show import ShowOne
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from zaqarclient import shell
from zaqarclient.queues.v2.cli.commands import COMMANDS

#: Options that all commands of a kind have; the pages tell them once.
SHARED = {"help", "client_id"}
FORMATTING = {"output formatters", "json formatter", "table formatter"}
FORMATTING |= {"CSV Formatter", "shell formatter"}


def words(action: argparse.Action) -> str:
    """Return the spelling of an argument, with its value."""
    value = ""
    if action.nargs != 0:
        value = str(action.metavar or f"<{action.dest}>")
    if not action.option_strings:
        return value
    return ", ".join(f"{option} {value}".strip() for option in action.option_strings)


def literal(text: str) -> str:
    """Mark the options that a text names, and nothing else."""
    return re.sub(r"(?<![\w-])--[a-z][\w-]*", r"``\g<0>``", text.replace("*", r"\*"))


def usage(name: str, parser: argparse.ArgumentParser) -> str:
    """Return the call of a command in one line, options aside."""
    parts = [f"zaqar {name} [options]"]
    for action in parser._actions:
        if not action.option_strings:
            many = " ..." if action.nargs == "+" else ""
            word = f"{action.metavar}{many}"
            parts.append(f"[{word}]" if action.nargs == "?" else word)
    return " ".join(parts)


def arguments(group: argparse._ArgumentGroup) -> Iterator[str]:
    """Yield the arguments of a group."""
    for action in group._group_actions:
        if action.dest not in SHARED and action.help != argparse.SUPPRESS:
            text = literal(" ".join(str(action.help).split()))
            yield from (f"``{words(action)}``", f"   {text}", "")


def entry(program: shell.Program, name: str) -> Iterator[str]:
    """Yield the text of one command."""
    command = program.command(name)
    parser = command.get_parser(name)
    yield from (f".. _command-{name.replace(' ', '-')}:", "", name, "-" * len(name), "")
    yield from ("::", "", f"   {usage(name, parser)}", "")
    yield from (*literal(command.get_description()).splitlines(), "")
    for group in parser._action_groups:
        if group.title not in FORMATTING:
            yield from arguments(group)
    if isinstance(command, Lister):
        yield from ("Prints a list: see :ref:`cli-output`.", "")
    elif isinstance(command, ShowOne):
        yield from ("Prints fields: see :ref:`cli-output`.", "")
    yield from ("Example:", "", ".. code-block:: console", "")
    first, *more = command.typed_example("zaqar").splitlines()
    example = [f"zaqar {first}", *(line.strip() for line in more)]
    yield from (*(f"   $ {line}" for line in example), "")


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the global options, a section a group."""
    for group in parser._action_groups:
        text = list(arguments(group))
        if text:
            title = str(group.title).capitalize()
            yield from (title, "-" * len(title), "", group.description or "", "")
            yield from text


class Commands(SphinxDirective):
    """Writes the commands that begin with a word, or the global options."""

    optional_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        parser = shell.build_parser()
        if not self.arguments:
            lines = list(options(parser))
        else:
            parsed, _ = parser.parse_known_args([])
            program = shell.Program(parsed, io.StringIO(), io.StringIO(), io.StringIO())
            first = self.arguments[0].split(",")
            names = [name for name in COMMANDS if name.split()[0] in first]
            lines = [line for name in names for line in entry(program, name)]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("zaqar-commands", Commands)
    return {"version": "1", "parallel_read_safe": True}
