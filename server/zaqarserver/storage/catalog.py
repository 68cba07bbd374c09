"""The part of the storage contract about pools, flavors and placements.

A *pool* is another store that takes queues. A *flavor* is a name for some of the pools,
which the metadata of a project's queues may contain. A *placement* names the pool of a
queue. All of them are in the store of ``[storage] uri``, the *catalogue*; a driver
without this part of the contract supports everything but pooling.

A placement is made when a queue is first needed and then stays until the queue is
moved or deleted. Servers cache placements; a server cannot use an old one, because the
pool refuses queues that have left it (:class:`~zaqarserver.storage.moving.QueueSeal`).
For this each placement has an *epoch*, a number that is higher than that of every
placement made or changed before it.

The rules of :mod:`zaqarserver.storage.commands` hold here, too.
"""

from __future__ import annotations

from typing import Any

import msgspec

from zaqarserver.storage.commands import Command, QueueCommand

#: The name of the store that holds the catalogue, which a pool cannot have. Queues may
#: be placed there, too, as if it were a pool.
HOME = ""


class Pool(msgspec.Struct, frozen=True):
    """A store that takes queues (``rest-v2`` 2.12).

    Attributes:
        name: Its name.
        uri: Where it is; may hold a password.
        weight: Its share of new queues; 0 for none.
        flavor: The one flavor that it belongs to, ``None`` for none.
        options: Settings of its driver, by name.
        revision: Given by the catalogue and ignored in what is put. It changes whenever
            ``uri`` or ``options`` change, and a value is never used again, not even
            when the pool is removed and made again. Never 0.
    """

    name: str
    uri: str
    weight: int
    flavor: str | None = None
    options: dict[str, Any] = {}
    revision: int = 0


class Flavor(msgspec.Struct, frozen=True):
    """A kind of pools that a project's queues may require (``rest-v2`` 2.13).

    Attributes:
        name: Its name. It means the same pools in every project that has it.
        pools: The names of the pools that belong to it, sorted; may be empty.
    """

    name: str
    pools: list[str]


class Placement(msgspec.Struct, frozen=True):
    """The pool of a queue.

    Attributes:
        pool: The pool that has it; :data:`HOME` for the store of the catalogue.
        epoch: Changes with every change of the placement, always upwards.
        since: The epoch with which it came to that pool.
        revision: The revision of that pool, 0 for :data:`HOME`.
        target: The pool that it is being moved to, ``None`` if it is not moved.
        lease: Until when the mover counts as alive, seconds since the epoch;
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
        running: True while this server is draining the pool.
        error: Why some could not be moved, the last of the reasons; ``None`` if all
            could.
    """

    queues: int
    moved: int
    running: bool
    error: str | None


class CatalogRevision(Command[int], frozen=True):
    """Return a number that changes with every change of a pool or flavor."""


class PoolPut(Command[None], frozen=True):
    """Make a pool, or replace the one of this name as a whole.

    Raises:
        PoolExists: Another pool has the same URI.
    """

    pool: Pool


class PoolGet(Command[Pool | None], frozen=True):
    """Return a pool, or ``None`` if it does not exist."""

    name: str


class PoolList(Command[list[Pool]], frozen=True, kw_only=True):
    """Return up to ``limit`` pools with names after ``marker``, by name."""

    marker: str | None
    limit: int


class PoolDelete(Command[None], frozen=True):
    """Remove a pool, if it exists; its store is left alone.

    Attributes:
        name: The pool.
        forget: Also remove the placements of the queues that are in it, for a store
            that is lost. These queues do not exist any more then; moves to it end at
            their source, with a new epoch and the ``since`` that they had there.

    Raises:
        PoolInUse: It is the last pool of a flavor that some project has; or queues are
            in it or on their way to it, and ``forget`` is false.
    """

    name: str
    forget: bool = False


class FlavorPut(Command[None], frozen=True):
    """Give a project a flavor to which exactly these pools belong.

    A pool that belonged to another flavor leaves that one.

    Raises:
        PoolNotFound: One of the pools does not exist; nothing is changed.
    """

    project: str
    name: str
    pools: list[str]


class FlavorGet(Command[Flavor | None], frozen=True):
    """Return a flavor of a project, or ``None`` if it does not have it."""

    project: str
    name: str


class FlavorList(Command[list[Flavor]], frozen=True):
    """Return up to ``limit`` flavors with names after ``marker``, by name."""

    project: str
    marker: str | None
    limit: int


class FlavorDelete(Command[None], frozen=True):
    """Take a flavor from a project, if it has it.

    When no project has a flavor of this name any more, its pools belong to none.
    """

    project: str
    name: str


class PlacementGet(QueueCommand[Placement | None], frozen=True):
    """Return the placement of a queue, or ``None`` if it is not placed."""


class PlacementAdd(QueueCommand[Placement], frozen=True):
    """Place a queue, unless it is placed already; return its placement.

    Attributes:
        pool: The pool to place it in, or :data:`HOME`.
        revision: The :class:`CatalogRevision` that the pool was chosen from.

    Raises:
        CatalogChanged: The revision has changed meanwhile, and the queue was not
            placed; choose again.
    """

    pool: str
    revision: int


class PlacementDrop(QueueCommand[bool], frozen=True):
    """Remove a placement that still has this epoch and is not being moved.

    Returns:
        Whether it had.
    """

    epoch: int


class PlacementMove(QueueCommand[Placement | None], frozen=True):
    """Begin to move a queue, take a move over, or give it up.

    Its pool stays the same.

    Attributes:
        epoch: The epoch that the caller has read.
        target: The pool to move to; a move that is taken over may get another target.
            ``None`` gives a move up.
        lease: Until when the mover counts as alive, seconds since the epoch.

    Returns:
        The placement with its new epoch; ``None``, with nothing changed, if the
        placement has another epoch by now or the target does not exist.
    """

    epoch: int
    target: str | None
    lease: float


class PlacementRenew(QueueCommand[bool], frozen=True):
    """Set the lease of a move that still has this epoch, and keep the epoch.

    Returns:
        Whether it had.
    """

    epoch: int
    lease: float


class PlacementArrive(QueueCommand[bool], frozen=True):
    """End a move that still has this epoch: its target is the pool since this epoch.

    Returns:
        Whether it had.
    """

    epoch: int


class PlacementList(Command[list[PlacedQueue]], frozen=True):
    """Return up to ``limit`` queues that are in a pool, by project and name.

    Attributes:
        pool: The pool, or :data:`HOME`.
        marker: Only those after this project and queue.
        limit: At most so many, at least 1.
    """

    pool: str
    marker: tuple[str, str] | None
    limit: int


class PlacementMoves(Command[list[PlacedQueue]], frozen=True):
    """Return up to ``limit`` queues whose move has a lease before ``before``.

    The earliest come first.
    """

    before: float
    limit: int


class PlacementPools(Command[list[str]], frozen=True):
    """Return the pools that have queues of a project, or that some are moved to.

    Executed for each list of queues, so a driver makes it cheap.
    """

    project: str


class PlacementCount(Command[int], frozen=True):
    """Return how many queues are in a pool or on their way to it; cheap."""

    pool: str
