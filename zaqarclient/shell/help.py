"""The help and completion of the ``zaqar`` program."""

from __future__ import annotations

import argparse
import re
import shutil
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from zaqarclient.queues.v2 import cli
from zaqarclient.queues.v2.cli.commands import COMMANDS
from zaqarclient.queues.v2.cli.parsing import did_you_mean, reflowed

if TYPE_CHECKING:
    pass

#: What most people do most of the time.
_USUAL: Final = (
    "queue list",
    "queue create",
    "queue stats",
    "message post",
    "message list",
    "message tail",
    "claim create",
    "claim run",
    "message delete",
    "subscription create",
    "ping",
)

#: Below this width the summary of a command stands below its name.
_LEAST_TABLE: Final = 60

_MORE: Final = """
"zaqar help message post" shows the help of a command, with an example.
"zaqar help message" lists the commands on messages, "zaqar help --all" all of
them and the options for endpoint and credentials.
"""

#: What other programs call what a command here does: the end of its name, or all.
_SYNONYMS: Final = {
    "add": "create",
    "claim list": "message list",
    "count": "stats",
    "describe": "show",
    "edit": "set",
    "follow": "tail",
    "get": "show",
    "info": "show",
    "ls": "list",
    "new": "create",
    "peek": "list",
    "publish": "post",
    "read": "list",
    "receive": "claim create",
    "remove": "delete",
    "rm": "delete",
    "send": "post",
    "subscribe": "subscription create",
    "unsubscribe": "subscription delete",
    "watch": "tail",
    "work": "claim run",
}

#: Verbs that are suggested only to who wrote them, or a synonym: never as a guess.
_UNGUESSED: Final = frozenset(
    {"delete", "drain", "pop", "purge", "release", "revoke", "unset"}
)

_AFTERWORD: Final = """
"zaqar help <command>" shows the help of a command, with an example.
"zaqar batch" runs many commands, one a line.
"zaqar run" runs a command of a CI job, and posts how it ended.
"zaqar complete" prints the completion for a shell.
"zaqar logout" removes the tokens that --os-token-cache has kept.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not authenticated or
not allowed, 5 conflict, 6 nothing there (--fail-if-empty), 8 timed out, 9 quota or
rate, 69 service unreachable, 130 interrupted, 143 ended by SIGTERM.
"""

#: The commands that only ``zaqar`` has: their modules in this package, and classes.
OWN_COMMANDS: Final = {
    "batch": ("own", "RunBatch"),
    "complete": ("own", "Complete"),
    "logout": ("own", "LogOut"),
    "run": ("run", "RunCommand"),
}


def overview(parser: argparse.ArgumentParser) -> str:
    """Return what the program shows by itself: the usual commands."""
    width = _width()
    about = reflowed(f"{parser.description}\n\n{parser.format_usage()}\n", width)
    brief = ((name, re.split("[,:]", _summary(name))[0]) for name in _USUAL)
    return f"{about}{_lines(brief)}\n{reflowed(_MORE.strip(), width)}\n"


def everything(parser: argparse.ArgumentParser) -> str:
    """Return the whole help of the program: its commands by group, its options."""
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
    return _lines((name, _summary(name)) for name in names)


def _width() -> int:
    return min(shutil.get_terminal_size().columns - 1, 79)


def _lines(summaries: Iterable[tuple[str, str]]) -> str:
    """Return names with what is beside them, or below them on a narrow terminal."""
    width = _width()
    after = 29 if width >= _LEAST_TABLE else 6
    lines = []
    for name, summary in summaries:
        text = textwrap.fill(
            summary, width, initial_indent=" " * after, subsequent_indent=" " * after
        )
        start = f"  {name:<{after - 2}}"
        beside = after > len(name) + 2
        lines.append(start + text[after:] if beside else f"{start.rstrip()}\n{text}")
    return "".join(f"{line}\n" for line in lines)


def unknown(words: list[str]) -> str:
    """Return the text for an unknown command, with the one that is meant, if any."""
    groups = {name.split()[0] for name in COMMANDS} | set(OWN_COMMANDS)
    first, verb = words[0], words[1] if words[1:] else ""
    own = [name for name in COMMANDS if name.startswith(f"{first} ")]
    if own:
        verbs = {name.split()[1] for name in own} - _UNGUESSED
        guess = did_you_mean(verb, verbs).replace("mean ", f"mean {first} ")
        whole = f"{first} {verb}"
        meant = _named(whole) if whole in _SYNONYMS else _named(verb, own) or guess
        hint = meant or f"; see zaqar help {first}"
        return f"there is no command {f'{first} {verb}'!r}{hint}"
    meant = _named(first) or did_you_mean(first, groups)
    close = meant.removesuffix("?").rpartition(" ")[2]
    if f"{close} {verb}" in COMMANDS:
        meant = f"; did you mean {close} {verb}?"
    return f"there is no command {first!r}{meant or '; see zaqar help --all'}"


def _named(verb: str, own: Iterable[str] = ()) -> str:
    """Return the command that a verb or a synonym names, one of ``own`` first."""
    wanted = f" {_SYNONYMS.get(verb, verb)}"
    names = (name for name in (*own, *COMMANDS) if f" {name}".endswith(wanted))
    found = next(names, None)
    return f"; did you mean {found}?" if found else ""


def _summary(name: str) -> str:
    text = str(cli.without_cliff(COMMANDS[name].cls).__doc__)
    return text.partition("\n")[0].rstrip(".")
