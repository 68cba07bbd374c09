"""The commands of the messaging service, one module a resource.

The classes are importable from here by name (entry points do so); a module is
imported when one of its classes is first used, not before.
"""

from importlib import import_module
from typing import Any

from zaqarclient.queues.v2.cli.commands import COMMANDS

_ROWS = {row.cls: row for row in COMMANDS.values()}

__all__ = sorted(_ROWS)  # noqa: PLE0605 - computed from the one table


def without_cliff(name: str) -> Any:
    """Return a class with the texts and arguments of a command; it cannot run."""
    row = _ROWS[name]
    module = import_module(f"{__name__}.{row.module}")
    if row.made_from:
        return getattr(module, row.made_from).on_topics(name)
    return getattr(module, name)


def __getattr__(name: str) -> Any:
    """Import or make the class of a command at its first use."""
    if name not in _ROWS:
        raise AttributeError(f"no command class {name!r}")
    globals()[name] = command = without_cliff(name).on_cliff()
    return command
