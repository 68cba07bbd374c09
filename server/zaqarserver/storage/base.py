"""The storage contract: what a driver is.

Callers send a store the commands of :mod:`zaqarserver.storage.commands` and the modules
beside it; a driver executes them with one method, :meth:`Storage.do`.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from zaqarserver.errors import SettingsError
from zaqarserver.storage.commands import Command
from zaqarserver.storage.records import (
    Capability,
    Claim,
    DeadLetter,
    Durability,
    Message,
    Metadata,
    NewMessage,
    PostOutcome,
    Queue,
    QueueStats,
    StatsMessage,
    Volume,
    is_id,
)
from zaqarserver.storage.subscriptions import Post, ignore
from zaqarserver.storage.timed import StoreTime

__all__ = [
    "Capability",
    "Claim",
    "DeadLetter",
    "Durability",
    "Message",
    "Metadata",
    "NewMessage",
    "PostOutcome",
    "Queue",
    "QueueStats",
    "StatsMessage",
    "Storage",
    "StoreTime",
    "Volume",
    "is_id",
]


R = TypeVar("R")


class Storage(abc.ABC):
    """A store of queues, messages, claims, subscriptions and grants.

    Drivers are found by the scheme of the ``[storage] uri`` through the entry
    point group ``zaqarserver.storage``.
    """

    #: The options that :meth:`from_uri` knows; it is never given others.
    option_names: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    @abc.abstractmethod
    def from_uri(cls, uri: str, options: Mapping[str, str]) -> Self:
        """Make a driver for a URI; nothing is opened yet.

        Args:
            uri: The value of ``[storage] uri``.
            options: Settings of this driver, by name; see the driver.

        Raises:
            SettingsError: The URI or an option is not usable.
        """

    @property
    @abc.abstractmethod
    def capabilities(self) -> frozenset[Capability]:
        """The promises of this store, for its URI and options.

        The conformance suite tests each capability and reports each missing one.
        """

    @property
    @abc.abstractmethod
    def durability(self) -> Durability:
        """The failures that acknowledged data survives; known after ``open``."""

    @property
    def shareable(self) -> bool:
        """True if several server processes may have the store open at once."""
        return False

    @property
    def warnings(self) -> tuple[str, ...]:
        """The ways in which acknowledged data could still be lost, in sentences."""
        return ()

    @property
    def file(self) -> Path | None:
        """The file that has the store, or ``None``."""
        return None

    # -- life ---------------------------------------------------------------

    def copy_to(self, _target: Path) -> None:
        """Copy a store as of one moment, also while a server has it open.

        Args:
            _target: The file to make; it must not exist.

        Raises:
            SettingsError: The store does not exist, or cannot be copied in this way.
            StoreRefused: The copy failed; nothing is left of it.
        """
        raise SettingsError("this store has its own tools to copy it")

    def find_damage(self) -> Iterator[str]:
        """Check a store that is not open; yield each problem as a line.

        Raises:
            SettingsError: The store does not exist, or cannot be checked in this way.
            StoreRefused: A server has it open.
        """
        raise SettingsError("this store has its own tools to check it")

    @abc.abstractmethod
    async def open(self) -> None:
        """Open the store, creating or migrating it where needed.

        Raises:
            StoreRefused: It is newer than this driver, damaged, or in use by
                another server that cannot share it.
            Unavailable: It cannot be reached now.
        """

    @abc.abstractmethod
    async def close(self) -> None:
        """Finish what was accepted, then release the store.

        Safe to repeat; every other method raises ``Unavailable`` then, and
        :meth:`open` opens the store again.
        """

    @abc.abstractmethod
    async def ping(self) -> None:
        """Return if the store, or a part of its servers, can be read now.

        Raises:
            Unavailable: It cannot be read; the text says why.
        """

    @property
    def trouble(self) -> str | None:
        """A problem that needs an operator although the store serves, or ``None``."""
        return None

    @abc.abstractmethod
    async def sweep(self, now: float, wall: float | None = None) -> int:
        """Remove some rows that are dead at ``now`` and return how many.

        The server calls it repeatedly. Each call is short (a few milliseconds of the
        store's time); 0 means that nothing is left to do.

        Args:
            now: The time.
            wall: At most ``now``: the time for grants, which end at a moment that
                their holders know; by default the same.
        """

    async def store_time(self, _now: float | None = None) -> StoreTime:
        """Return what the store knows of the time, and store a server's time in it.

        With it the servers of a store, at the same time or one after the other, share
        one time, whatever their machines' clocks show. If a driver knows nothing, each
        server begins with the system's time.

        Args:
            _now: The server's time; ``None`` before it has one. A driver may store it
                only now and then, and never stores an earlier one than it has.

        Raises:
            Unavailable: It cannot be read or stored now.
        """
        return StoreTime()

    @abc.abstractmethod
    def watch(
        self,
        on_post: Callable[[Post], None],
        on_due: Callable[[], None],
        on_lapse: Callable[[], None] = ignore,
        on_gap: Callable[[], None] = ignore,
        on_free: Callable[[str, str], None] = ignore,
    ) -> None:
        """Register callbacks; called once, before ``open``.

        Args:
            on_post: Called on the event loop after each committed post to a
                queue with live volatile subscriptions, in the order of commits.
                It must not block or raise.
            on_due: Called on the event loop when there may be a delivery
                sooner than ``DeliveryDue`` last returned.
            on_lapse: Called on the event loop when volatile subscriptions of this
                server may be gone, because other servers considered it dead.
            on_gap: Called on the event loop when posts of other servers may have been
                missed, and are received again.
            on_free: Called on the event loop with space and queue when messages of a
                queue that is watched (``QueueWatch``) may have become free, other than
                because of the time.
        """

    # -- commands -----------------------------------------------------------

    @property
    @abc.abstractmethod
    def commands(self) -> Collection[type[Command[Any]]]:
        """The commands that the driver executes.

        At least those of ``commands``, ``posts``, ``releases``, ``subscriptions`` and
        ``accounts``. With those
        of ``catalog`` the store can be the home of pools, with those of ``moving``
        queues can be moved out of it and into it.
        """

    @abc.abstractmethod
    async def do(self, command: Command[R]) -> R:
        """Execute a command; its docstring is the promise."""
