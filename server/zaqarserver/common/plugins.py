"""Plug-ins found by entry point: storage drivers, authenticators, stages."""

from __future__ import annotations

import functools
import re
from importlib.metadata import EntryPoint, EntryPoints, distribution, entry_points
from typing import Any

from zaqarserver.errors import SettingsError

_REQUIREMENT = re.compile(r"""([\w.-]+).*\bextra == ['"]([\w.-]+)['"]""")


@functools.cache
def installed(group: str) -> EntryPoints:
    """Return the entry points of a group in all packages, cached."""
    return entry_points(group=group)


def load_plugin(group: str, name: str, setting: str) -> Any:
    """Import the plug-in that a setting names.

    Args:
        group: The entry point group.
        name: The name of the entry point.
        setting: The setting and its value, for the text of an error.

    Raises:
        SettingsError: No installed package has such a plug-in, or a module that the
            plug-in needs is not installed; the text says what to install.
    """
    # Those of the server's own first: reading all packages takes 20 ms.
    own = distribution("zaqarserver").entry_points
    found = own.select(group=group, name=name) or installed(group).select(name=name)
    if not found:
        known = ", ".join(sorted(installed(group).names))
        raise SettingsError(f"{setting}: {name!r} is not installed; there are {known}")
    (entry, *_) = found
    try:
        return entry.load()
    except ModuleNotFoundError as error:
        raise SettingsError(f"{setting} {_needs(entry, error.name or '')}") from error


def _needs(entry: EntryPoint, module: str) -> str:
    """Return what to install for a plug-in whose import misses a module."""
    text = f"needs the module {module!r}, which is not installed"
    if entry.dist is not None:
        for requirement in entry.dist.requires or ():
            found = _REQUIREMENT.match(requirement)
            if found and found[1].lower() == module.partition(".")[0].lower():
                return f"{text}: pip install '{entry.dist.name}[{found[2]}]'"
    return text
