"""Documents of the service that become objects."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["split"]


def split(
    document: Mapping[str, Any], known: Collection[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the members that an object takes, and all others.

    A later version of the service may add members of any name, also of that of an
    argument; they are kept aside.
    """
    mine = {name: value for name, value in document.items() if name in known}
    return mine, {k: value for k, value in document.items() if k not in known}
