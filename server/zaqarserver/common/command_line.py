"""The command line of ``zaqarserver``: settings of a first try, and its commands.

Each option for the server sets one setting of the configuration, and overrides files
and environment.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import quote

from zaqarserver import __version__


def _uri(text: str) -> str:
    """Return the URI of a store; a path is that of an SQLite file."""
    return text if "://" in text else f"sqlite://{quote(str(Path(text).absolute()))}"


_DESCRIPTION = """\
Serve the messaging API: queues, messages, claims and subscriptions. Without options
it listens on http://127.0.0.1:8888 and keeps its messages in an SQLite file of the
user's.
"""
_EXAMPLES = """\
examples:
  zaqarserver
  zaqarserver --port 9999 --store ./messages.db
  zaqarserver --config-file /etc/zaqar/zaqarserver.conf
  zaqarserver sample-config > zaqarserver.conf
  zaqarserver backup /backup/zaqar.db

Each setting can also be given as OS_<GROUP>__<OPTION>, such as OS_SERVER__PORT=9999.
"""
_CHECK = """\
Check a store in a file for damage: its log, the checksum of each page, the structure
of tables and indexes, the counters. Nothing is changed. No server may have it open.

The exit status is 0 if nothing is wrong, 1 if something is, 2 if the store cannot be
checked.
"""
_BACKUP = """\
Copy a store in a file, as of one moment, and its generated keys. A server may have it
open and goes on meanwhile. The target must not exist yet.
"""
_MIGRATE = """\
Bring a store to the schema of this version, as the server does when it starts. No
server may have it open. There is no way back: make a backup before.
"""
_SAMPLE = "Print a configuration file with all settings and their defaults."

_STORE: Final[dict[str, Any]] = {
    "nargs": "?",
    "type": _uri,
    "help": "the store (default: that of the configuration)",
}
#: The commands: summary, description, positional arguments.
_COMMANDS: Final[dict[str, tuple[str, str, dict[str, dict[str, Any]]]]] = {
    "check": ("check a store for damage", _CHECK, {"store": _STORE}),
    "backup": (
        "copy a store, also while it is in use",
        _BACKUP,
        {"target": {"help": "the file to make"}, "store": _STORE},
    ),
    "migrate": ("bring a store to this version", _MIGRATE, {"store": _STORE}),
    "sample-config": ("print a file with all settings", _SAMPLE, {}),
}
#: The options that are settings: words of the option, group, setting, facts.
_SETTINGS: Final[tuple[tuple[str, str, str, dict[str, Any]], ...]] = (
    ("--host", "server", "host", {"help": "the address to listen on"}),
    ("--port", "server", "port", {"help": "the port to listen on; 0: any free one"}),
    (
        "--store",
        "storage",
        "uri",
        {
            "metavar": "STORE",
            "type": _uri,
            "help": "where messages are kept: the path of a file, or a URI: "
            "sqlite:///PATH, sqlite://:memory:, redis://HOST",
        },
    ),
    (
        "--workers",
        "DEFAULT",
        "workers",
        {"metavar": "NUMBER", "help": "server processes on the same port; needs Redis"},
    ),
    (
        "--insecure",
        "DEFAULT",
        "insecure",
        {
            "action": "store_true",
            "help": "without authentication, serve other machines, "
            "too: each client has full access",
        },
    ),
    (
        "--no-generated-keys",
        "DEFAULT",
        "generated_keys",
        {
            "action": "store_false",
            "help": "do not make the keys that are not configured",
        },
    ),
    ("--debug", "DEFAULT", "debug", {"action": "store_true", "help": "log more"}),
)


_KNOWN: Final = (
    *("-h", "--help", "--version", "--check-config", "--config-file", "--config-dir"),
    *(option for option, *_ in _SETTINGS),
)


class _Parser(argparse.ArgumentParser):
    """Ends with one line about what is wrong."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _make(**facts: Any) -> argparse.ArgumentParser:
    return _Parser(
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        **facts,
    )


def _files() -> argparse.ArgumentParser:
    """Return the options that name the configuration."""
    parser = _make(add_help=False)
    parser.add_argument(
        "--config-file",
        action="append",
        metavar="FILE",
        help="a file of settings; several are read in order",
    )
    parser.add_argument(
        "--config-dir", action="append", metavar="DIR", help="a folder of such files"
    )
    return parser


def _build() -> argparse.ArgumentParser:
    files = _files()
    parser = _make(
        prog="zaqarserver", description=_DESCRIPTION, epilog=_EXAMPLES, parents=[files]
    )
    for option, _, name, facts in _SETTINGS:
        shown = {} if "action" in facts else {"metavar": name.upper()}
        parser.add_argument(option, dest=name, **shown | facts)
    parser.add_argument(
        "--check-config",
        action="store_true",
        default=False,
        help="check the settings and end: with 1 if anything is wrong or unknown",
    )
    version = f"zaqarserver {__version__}"
    parser.add_argument("--version", action="version", version=version)
    parser.set_defaults(command="serve")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, (summary, text, positional) in _COMMANDS.items():
        made = commands.add_parser(
            name,
            help=summary,
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,
            parents=[files],
        )
        for word, facts in positional.items():
            made.add_argument(word, metavar=word.upper(), **facts)
        made.set_defaults(command=name)
    return parser


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what a command line says.

    It has ``command`` (``serve`` or one of the commands) and ``check_config``; other
    attributes exist only if they were given.

    Raises:
        SystemExit: It was a question (``--help``), or is wrong; that was printed.
    """
    parser = _build()
    for word in arguments:
        option = word.partition("=")[0]
        if option.startswith("-") and option not in _KNOWN:
            close = difflib.get_close_matches(option, _KNOWN, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            parser.error(f"there is no option {option}{hint}")
    return parser.parse_args(arguments)


def settings_of(given: argparse.Namespace) -> dict[tuple[str, str], Any]:
    """Return the settings that a command line gives, by group and name."""
    return {
        (group, name): getattr(given, name)
        for _, group, name, _ in _SETTINGS
        if name in given
    }


def option_of(group: str, name: str) -> str:
    """Return the option that sets a setting."""
    return next(row[0] for row in _SETTINGS if row[1:3] == (group, name))


def config_arguments(given: argparse.Namespace) -> list[str]:
    """Return the part of a command line that names the configuration."""
    files = [f"--config-file={one}" for one in getattr(given, "config_file", ())]
    return files + [f"--config-dir={one}" for one in getattr(given, "config_dir", ())]
