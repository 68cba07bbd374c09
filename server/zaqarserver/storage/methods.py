"""Performs commands by the methods of a driver that has one for each."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Collection
from typing import Any, TypeVar

import msgspec

from zaqarserver.storage import accounts, catalog, moving, subscriptions
from zaqarserver.storage import commands as contract
from zaqarserver.storage.base import Storage
from zaqarserver.storage.commands import Command

R = TypeVar("R")

_NAMES = {
    "queue_stats_get": "queue_stats",
    "usage_get": "usage",
    "volume_get": "volume",
    "grant_check": "grant_revoked",
    "seal_list": "queue_seals",
}


def _method_of(kind: type[Command[Any]]) -> str:
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
    return _NAMES.get(name, name)


METHODS = {
    kind: _method_of(kind)
    for module in (contract, subscriptions, accounts, catalog, moving)
    for kind in vars(module).values()
    if isinstance(kind, type)
    and issubclass(kind, Command)
    and kind.__module__ == module.__name__
    and kind not in {Command, contract.SpaceCommand, contract.QueueCommand}
}


@functools.cache
def _parameters(driver: type, method: str) -> dict[str, str]:
    names = {"space": "project", "queue": "source"}
    return {
        wanted: name
        for name in inspect.signature(getattr(driver, method)).parameters
        for wanted in (name, *(new for new, old in names.items() if old == name))
    }


class ByMethods(Storage):
    """Performs each command by the method of its name."""

    @property
    def commands(self) -> Collection[type[Command[Any]]]:
        """Those with a method."""
        return [kind for kind, name in METHODS.items() if hasattr(self, name)]

    async def do(self, command: Command[R]) -> R:
        """Call the method."""
        name = METHODS[type(command)]
        known = _parameters(type(self), name)
        given = msgspec.structs.asdict(command)
        result: R = await getattr(self, name)(
            **{known.get(key, key): value for key, value in given.items()}
        )
        return result
