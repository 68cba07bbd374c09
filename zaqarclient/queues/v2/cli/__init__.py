"""The commands of the messaging service, one module a resource.

The classes are importable from here by name (entry points do so); a module is
imported when one of its classes is first used, not before.
"""

from importlib import import_module
from typing import Any

from zaqarclient.queues.v2.cli.commands import COMMANDS

_ROWS = {row.cls: row for row in COMMANDS.values()}

__all__ = sorted(_ROWS)  # noqa: PLE0605 - computed from the one table


def __getattr__(name: str) -> Any:
    """Import a command class, or make that of a command on topics, at its first use."""
    if name not in _ROWS:
        raise AttributeError(f"no command class {name!r}")
    row = _ROWS[name]
    command = getattr(import_module(f"{__name__}.{row.module}"), row.made_from or name)
    if row.made_from:
        command = command.on_topics(name)
    globals()[name] = command
    return command
