"""Client library and commands for Zaqar, the OpenStack messaging service.

``from zaqarclient import Client, AsyncClient`` is where programs begin; importing
the package alone loads neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zaqarclient.version import __version__

if TYPE_CHECKING:
    from zaqarclient.queues.v2.aio import AsyncClient
    from zaqarclient.queues.v2.client import Client

__all__ = ["AsyncClient", "Client", "__version__"]

_MODULES = {
    "AsyncClient": "zaqarclient.queues.v2.aio",
    "Client": "zaqarclient.queues.v2.client",
}


def __getattr__(name: str) -> Any:
    """Import a class at its first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only when needed

    return getattr(import_module(_MODULES[name]), name)
