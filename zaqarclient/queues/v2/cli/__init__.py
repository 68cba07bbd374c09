"""The commands of the messaging service, one module a resource.

The classes are importable from here by name (entry points do so); a module is
imported when one of its classes is first used, not before.
"""

from importlib import import_module
from typing import Any

from zaqarclient.queues.v2.cli.commands import COMMANDS

_MODULES = {entry.cls: entry.module for entry in COMMANDS.values()}

__all__ = sorted(_MODULES)  # noqa: PLE0605 - computed from the one table


def __getattr__(name: str) -> Any:
    """Import a command class at its first use."""
    try:
        module = _MODULES[name]
    except KeyError:
        raise AttributeError(f"no command class {name!r}") from None
    return getattr(import_module(f"{__name__}.{module}"), name)
