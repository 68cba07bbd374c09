"""The part of the storage contract about pools, flavors and placements.

A *pool* is another store that takes queues. A *flavor* is a name for some of the
pools that a project may ask for. A *placement* says in which pool a queue is. All
of them are kept in the store of ``[storage] uri``, the *catalogue*; a driver
without this part of the contract serves everything but pooling.

A placement is made when a queue is first needed and then stays until the queue is
moved or deleted. Servers remember placements: what keeps one of them from using an
old one is the pool, which refuses what has left it (``queue_seal`` in
:mod:`zaqarserver.storage.moving`). For this each placement has an *epoch*, a number
that is higher than that of every placement made or changed before it.

The rules of :mod:`zaqarserver.storage.base` hold here as well.
"""

from __future__ import annotations

import abc
from typing import Any

import msgspec

#: The name, which no pool can have, of the store that holds the catalogue: queues
#: may be placed there as well, as if it were a pool.
HOME = ""


class Pool(msgspec.Struct, frozen=True):
    """A store that takes queues (``rest-v2`` 2.12).

    Attributes:
        name: Its name.
        uri: Where it is; may hold a password.
        weight: Its share of new queues; 0 for none.
        flavor: The one flavor that it belongs to, ``None`` for none.
        options: Settings of its driver, by name.
        revision: Given by the catalogue, ignored in what is put: changes whenever
            ``uri`` or ``options`` do, and never comes back, not even when the pool
            is removed and made again. Never 0.
    """

    name: str
    uri: str
    weight: int
    flavor: str | None = None
    options: dict[str, Any] = {}
    revision: int = 0


class Flavor(msgspec.Struct, frozen=True):
    """A kind of pools that a project's queues may ask for (``rest-v2`` 2.13).

    Attributes:
        name: Its name. It means the same pools in every project that has it.
        pools: The names of the pools that belong to it, sorted; may be empty.
    """

    name: str
    pools: list[str]


class Placement(msgspec.Struct, frozen=True):
    """Where a queue is.

    Attributes:
        pool: The pool that has it; :data:`HOME` for the store of the catalogue.
        epoch: Changes with every change of the placement, always upwards.
        since: The epoch with which it came to that pool.
        revision: The revision of that pool, 0 for :data:`HOME`.
        target: The pool that it is being moved to, ``None`` if it is not moved.
        lease: Until when the mover is taken to be alive, seconds since the epoch;
            0 if it is not moved.
    """

    pool: str
    epoch: int
    since: int
    revision: int
    target: str | None = None
    lease: float = 0.0


class PlacedQueue(msgspec.Struct, frozen=True):
    """A queue with its placement.

    Attributes:
        project: The project.
        queue: The queue.
        placement: Where it is.
    """

    project: str
    queue: str
    placement: Placement


class DrainState(msgspec.Struct, frozen=True):
    """How far a pool is drained.

    Attributes:
        queues: How many queues are in the pool, or on their way to it.
        moved: How many this server moved since it began.
        running: Whether this server is at it.
        error: Why some could not be moved, the last of the reasons; ``None`` if all
            could.
    """

    queues: int
    moved: int
    running: bool
    error: str | None


class CatalogStorage(abc.ABC):
    """Keeps pools, flavors and placements.

    Weights, flavors and addresses are read often and change seldom: servers keep
    them and ask for :meth:`catalog_revision` now and then.
    """

    @abc.abstractmethod
    async def catalog_revision(self) -> int:
        """Return a number that changes with every change of a pool or flavor."""

    # -- pools --------------------------------------------------------------

    @abc.abstractmethod
    async def pool_put(self, pool: Pool) -> None:
        """Make a pool, or replace the one of this name as a whole.

        Raises:
            PoolExists: Another pool has the same URI.
        """

    @abc.abstractmethod
    async def pool_get(self, name: str) -> Pool | None:
        """Return a pool, or ``None`` if there is none."""

    @abc.abstractmethod
    async def pool_list(self, *, marker: str | None, limit: int) -> list[Pool]:
        """Return up to ``limit`` pools with names after ``marker``, by name."""

    @abc.abstractmethod
    async def pool_delete(self, name: str, *, forget: bool = False) -> None:
        """Remove a pool, if it exists; its store is left alone.

        Args:
            name: The pool.
            forget: Forget the placements of the queues that are in it as well, for
                a store that is lost. Those queues do not exist any more then;
                moves to it end where they began, with a new epoch, since when
                they were there before.

        Raises:
            PoolInUse: It is the last pool of a flavor that some project has; or
                queues are in it or on their way to it, and they are not to be
                forgotten.
        """

    # -- flavors ------------------------------------------------------------

    @abc.abstractmethod
    async def flavor_put(self, project: str, name: str, pools: list[str]) -> None:
        """Give a project a flavor, and let exactly these pools belong to it.

        A pool that belonged to another flavor leaves that one.

        Raises:
            PoolNotFound: One of the pools does not exist; nothing was changed.
        """

    @abc.abstractmethod
    async def flavor_get(self, project: str, name: str) -> Flavor | None:
        """Return a flavor of a project, or ``None`` if it has none of this name."""

    @abc.abstractmethod
    async def flavor_list(
        self, project: str, *, marker: str | None, limit: int
    ) -> list[Flavor]:
        """Return up to ``limit`` flavors with names after ``marker``, by name."""

    @abc.abstractmethod
    async def flavor_delete(self, project: str, name: str) -> None:
        """Take a flavor from a project, if it has it.

        When no project has a flavor of this name any more, its pools belong to none.
        """

    # -- placements ---------------------------------------------------------

    @abc.abstractmethod
    async def placement_get(self, project: str, queue: str) -> Placement | None:
        """Return where a queue is, or ``None`` if it is nowhere."""

    @abc.abstractmethod
    async def placement_add(
        self, project: str, queue: str, pool: str, revision: int
    ) -> Placement:
        """Place a queue, unless it is placed already; return where it is.

        Args:
            project: The project.
            queue: The queue.
            pool: Where, or :data:`HOME`.
            revision: The :meth:`catalog_revision` that the pool was chosen from.

        Raises:
            CatalogChanged: The revision is another one by now, and the queue was
                not placed; choose again.
        """

    @abc.abstractmethod
    async def placement_drop(self, project: str, queue: str, epoch: int) -> bool:
        """Forget a placement that still has this epoch and is not being moved.

        Returns:
            Whether it had.
        """

    @abc.abstractmethod
    async def placement_move(
        self, project: str, queue: str, epoch: int, target: str | None, lease: float
    ) -> Placement | None:
        """Begin to move a queue, take a move over, or give it up.

        Its pool stays the same.

        Args:
            project: The project.
            queue: The queue.
            epoch: The epoch that the caller has read.
            target: The pool to move to; of a move that is taken over it may be
                another one than before. ``None`` gives a move up.
            lease: Until when the mover may be silent, seconds since the epoch.

        Returns:
            The placement with its new epoch; ``None``, with nothing changed, if the
            placement has another epoch by now or the target does not exist.
        """

    @abc.abstractmethod
    async def placement_renew(
        self, project: str, queue: str, epoch: int, lease: float
    ) -> bool:
        """Set the lease of a move that still has this epoch, which stays.

        Returns:
            Whether it had.
        """

    @abc.abstractmethod
    async def placement_arrive(self, project: str, queue: str, epoch: int) -> bool:
        """End a move that still has this epoch: the target is the pool, since then.

        Returns:
            Whether it had.
        """

    @abc.abstractmethod
    async def placement_list(
        self, pool: str, *, marker: tuple[str, str] | None, limit: int
    ) -> list[PlacedQueue]:
        """Return up to ``limit`` queues that are in a pool, by project and name.

        Args:
            pool: The pool, or :data:`HOME`.
            marker: Only those after this project and queue.
            limit: At most so many, at least 1.
        """

    @abc.abstractmethod
    async def placement_moves(self, before: float, limit: int) -> list[PlacedQueue]:
        """Return up to ``limit`` queues whose move has a lease earlier than that.

        The earliest come first.
        """

    @abc.abstractmethod
    async def placement_pools(self, project: str) -> list[str]:
        """Return the pools that have queues of a project, or that some are moved to.

        Asked for each list of queues: a driver makes it cheap.
        """

    @abc.abstractmethod
    async def placement_count(self, pool: str) -> int:
        """Return how many queues are in a pool or on their way to it; cheap."""
