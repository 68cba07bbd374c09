"""The storage contract: what a driver must do, and may rely on.

A driver stores and finds. It knows no roles, no JSON shapes, no HTTP and no
configuration: limits and defaults are applied before it is called, and a
message body is bytes that it gives back unchanged.

Rules that hold for every method:

* **Scope.** Everything is looked up by project *and* queue. An id of another
  queue or project does not exist.
* **Time** is passed in as ``now`` (seconds since the epoch, float); a driver
  never reads a clock for a decision. A message is live while
  ``now < created + ttl`` and a claim while ``now < created + ttl``; what is no
  longer live is never returned, counted or claimable, whether or not it was
  swept yet.
* **Order** is acceptance order: of two messages of a queue the one whose post
  was answered first comes first, also after a restart. Ids sort as text in that
  order, so an id is a marker.
* **Atomic and durable.** A method either did all or nothing, and returns after
  the change is as durable as :attr:`Storage.durability` says.
* **Missing queues** are empty, not errors, unless a method says otherwise.
* **Malformed ids** are ids of things that do not exist.
* **Errors**: a driver raises the errors named in each docstring, and
  :class:`~zaqarserver.errors.Unavailable` for everything that its store does
  to it; ``StoreDamaged`` where what it reads is not what it wrote, which it never
  gives back. It translates at its own edge; nothing else leaves it.
* **Cancellation.** A cancelled call either happened or did not; it never
  half-happened and never blocks later calls.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from zaqarserver.errors import SettingsError
from zaqarserver.storage.accounts import AccountStorage
from zaqarserver.storage.records import (
    Capability,
    Claim,
    DeadLetter,
    Durability,
    Edge,
    Message,
    Metadata,
    NewMessage,
    Queue,
    QueueStats,
    Volume,
)
from zaqarserver.storage.subscriptions import SubscriptionStorage
from zaqarserver.storage.timed import StoreTime, TimedStorage

__all__ = [
    "Capability",
    "Claim",
    "DeadLetter",
    "Durability",
    "Edge",
    "Message",
    "Metadata",
    "NewMessage",
    "Queue",
    "QueueStats",
    "Storage",
    "StoreTime",
    "Volume",
]


class Storage(SubscriptionStorage, AccountStorage, TimedStorage):
    """A store of queues, messages, claims, subscriptions and grants.

    Drivers are found by the scheme of the ``[storage] uri`` through the entry
    point group ``zaqarserver.storage``.
    """

    #: The options that :meth:`from_uri` knows; no others are given to it.
    option_names: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    @abc.abstractmethod
    def from_uri(cls, uri: str, options: Mapping[str, str]) -> Self:
        """Make a driver for a URI; nothing is opened yet.

        Args:
            uri: The value of ``[storage] uri``.
            options: Settings of the driver's own, by name; see the driver.

        Raises:
            SettingsError: The URI or an option is not usable.
        """

    @property
    @abc.abstractmethod
    def capabilities(self) -> frozenset[Capability]:
        """What this store promises, for its URI and options.

        The conformance suite tests each of these and reports each missing one.
        """

    @property
    @abc.abstractmethod
    def durability(self) -> Durability:
        """What a successful return means; known once the store is open."""

    @property
    def shareable(self) -> bool:
        """Whether several server processes may have the store open at once."""
        return False

    @property
    def warnings(self) -> tuple[str, ...]:
        """How what was acknowledged could be lost nevertheless, in sentences."""
        return ()

    # -- life ---------------------------------------------------------------

    def find_damage(self) -> Iterator[str]:
        """Look at a store that is not open; tell what is wrong, a line each.

        Raises:
            SettingsError: There is nothing to look at, or not in this way.
            StoreRefused: A server has it open.
        """
        raise SettingsError("this store has tools of its own to check it")

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
        """Return if the store can be read now, or what can be of several servers.

        Raises:
            Unavailable: It cannot; the text says why.
        """

    @property
    def trouble(self) -> str | None:
        """What an operator has to see to although the store serves, or ``None``."""
        return None

    @abc.abstractmethod
    async def volume(self) -> Volume:
        """Return how many messages there are; from counters, not by looking."""

    @abc.abstractmethod
    async def sweep(self, now: float, wall: float | None = None) -> int:
        """Remove some of what is dead at ``now`` and return how many rows.

        Called again and again by the server: each call is short (a few
        milliseconds of the store's time); 0 says that nothing is left to do.

        Args:
            now: The time.
            wall: At most ``now``: the time for grants, which end at a moment that
                their holders know; by default the same.
        """

    # -- queues -------------------------------------------------------------

    @abc.abstractmethod
    async def queue_create(self, project: str, queue: str, metadata: Metadata) -> bool:
        """Make a queue; return False, changing nothing, if it exists."""

    @abc.abstractmethod
    async def queue_get(self, project: str, queue: str) -> Queue | None:
        """Return the queue, or ``None`` if there is none.

        Asked before nearly every operation: a driver should make it cheap.
        """

    @abc.abstractmethod
    async def queue_update(
        self, project: str, queue: str, metadata: Metadata, revision: int
    ) -> None:
        """Replace the metadata if the queue still has ``revision``.

        Raises:
            QueueChanged: It has another one by now, or is gone.
        """

    @abc.abstractmethod
    async def queue_delete(self, project: str, queue: str) -> None:
        """Remove the queue with its messages and claims, if it exists.

        From the return on nothing of it can be seen, however much there was.
        """

    @abc.abstractmethod
    async def queue_list(
        self,
        project: str,
        *,
        marker: str | None,
        limit: int,
        name: str | None = None,
        metadata: Mapping[str, Sequence[Any]] | None = None,
    ) -> list[Queue]:
        """Return up to ``limit`` queues of the project, by name.

        Args:
            project: The project.
            marker: Only names after this one (which need not exist).
            limit: At most so many, at least 1.
            name: Only names that contain this text, literally.
            metadata: Only queues whose stored metadata has, for each key, one
                of the values (compared by JSON type and value).
        """

    @abc.abstractmethod
    async def queue_count(self, project: str) -> int:
        """Return how many queues the project has."""

    @abc.abstractmethod
    async def queue_stats(self, project: str, queue: str, now: float) -> QueueStats:
        """Return the counts; the cost does not grow with the backlog."""

    # -- messages -----------------------------------------------------------

    @abc.abstractmethod
    async def message_post(
        self,
        project: str,
        queue: str,
        client_id: str,
        messages: Sequence[NewMessage],
        now: float,
    ) -> list[str]:
        """Store the messages in order, all or none; return their ids.

        The queue is made (with empty metadata) if it does not exist.
        """

    @abc.abstractmethod
    async def message_list(
        self,
        project: str,
        queue: str,
        *,
        marker: str | None,
        limit: int,
        now: float,
        exclude_client: str | None = None,
        include_claimed: bool = False,
        include_delayed: bool = False,
    ) -> list[Message]:
        """Return up to ``limit`` messages after ``marker``, oldest first.

        The page is full whenever enough matching messages follow, however many
        others lie between. A reader that follows the last id of each page
        misses nothing that was visible before it moved on.

        Args:
            project: The project.
            queue: The queue.
            marker: A message id (the message may be gone by now); a malformed
                one gives an empty list.
            limit: At most so many, at least 1.
            now: The time.
            exclude_client: Leave out what was posted under this client id.
            include_claimed: With messages under a live claim.
            include_delayed: With messages that are still hidden.
        """

    @abc.abstractmethod
    async def message_get(
        self, project: str, queue: str, ids: Sequence[str], now: float
    ) -> list[Message]:
        """Return the live messages with these ids, in the order of ``ids``.

        Claimed and delayed ones too; unknown ids are skipped, and an id named
        twice is returned once.
        """

    @abc.abstractmethod
    async def message_delete(
        self,
        project: str,
        queue: str,
        message_id: str,
        claim_id: str | None,
        now: float,
    ) -> None:
        """Delete a message; nothing happens if it does not exist.

        Raises:
            MessageClaimed: It is under a live claim, and ``claim_id`` is not
                given or is another live claim of the queue.
            ClaimNotLive: ``claim_id`` is given and is no live claim of the
                queue, or the message is under none.
        """

    @abc.abstractmethod
    async def message_delete_many(
        self,
        project: str,
        queue: str,
        ids: Sequence[str],
        claim_ids: Sequence[str] | None,
        now: float,
    ) -> None:
        """Delete the messages, whether or not they are claimed.

        Args:
            project: The project.
            queue: The queue.
            ids: Unknown ones are skipped.
            claim_ids: If given, each existing message must be under a live
                claim out of these.
            now: The time.

        Raises:
            MessageClaimed: A message is not under one of ``claim_ids``; then
                nothing was deleted.
        """

    @abc.abstractmethod
    async def message_pop(
        self,
        project: str,
        queue: str,
        limit: int,
        now: float,
        *,
        include_delayed: bool = False,
    ) -> list[Message]:
        """Remove and return up to ``limit`` free, visible messages, oldest first."""

    @abc.abstractmethod
    async def message_purge(self, project: str, queue: str) -> None:
        """Remove all messages and claims of the queue; keep it and its metadata.

        From the return on none can be seen, however many there were.
        """

    # -- claims -------------------------------------------------------------

    @abc.abstractmethod
    async def claim_create(
        self,
        project: str,
        queue: str,
        *,
        ttl: int,
        grace: int,
        limit: int,
        now: float,
        include_delayed: bool = False,
        dead_letter: DeadLetter | None = None,
    ) -> Claim | None:
        """Claim up to ``limit`` free, visible messages, oldest first.

        Each message's ``claim_count`` goes up by one. A message that would
        expire before ``now + ttl`` has its expiry set to ``now + ttl + grace``
        and its ttl shown as ``ttl + grace`` (``rest-v2`` 5.4); others keep
        theirs. A message belongs to at most one live claim at any time.

        With ``dead_letter``, a message that was claimed ``max_claim_count``
        times already is moved to the dead letter queue instead of being
        claimed: same id, body, checksum and age, free there at once, with a
        claim count of 0. It takes part in the ``limit`` like a claimed one.

        The cost does not grow with the number of messages in the queue.

        Returns:
            The claim, or ``None`` if there was nothing to claim.
        """

    @abc.abstractmethod
    async def claim_get(
        self, project: str, queue: str, claim_id: str, now: float
    ) -> Claim:
        """Return a live claim that still holds messages.

        Raises:
            ClaimNotFound: There is none.
        """

    @abc.abstractmethod
    async def claim_update(
        self,
        project: str,
        queue: str,
        claim_id: str,
        *,
        ttl: int,
        grace: int,
        now: float,
    ) -> None:
        """Renew a live claim: its clock starts again with this ttl and grace.

        The messages' expiry is extended as in :meth:`claim_create`; claim
        counts stay.

        Raises:
            ClaimNotFound: There is no such live claim.
        """

    @abc.abstractmethod
    async def claim_delete(
        self, project: str, queue: str, claim_id: str, now: float
    ) -> None:
        """Release a claim; its messages are free at once, their counts stay."""
