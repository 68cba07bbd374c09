"""The part of the storage contract about accounts: what projects share and use.

A *grant* is the record of a pre-signed URL. Signatures stand by themselves
(``rest-v2`` 2.8): a grant need not be on record to be valid. The record lets its
owner see what is out, and a revoked grant is refused although its signature is
genuine.

The rules of :mod:`zaqarserver.storage.base` hold here as well.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence

import msgspec


class Grant(msgspec.Struct, frozen=True):
    """A pre-signed URL on record.

    Attributes:
        id: Made of the signature, which it does not reveal.
        paths: What it opens, sorted.
        methods: The methods, sorted.
        created: When it was first made, seconds since the epoch.
        expires: When it ends, seconds since the epoch.
        revoked: Whether its owner ended it early.
    """

    id: str
    paths: Sequence[str]
    methods: Sequence[str]
    created: float
    expires: float
    revoked: bool = False


class Usage(msgspec.Struct, frozen=True, gc=False):
    """What a project keeps in the store.

    What is dead but not yet swept may count for a second or so.

    Attributes:
        queues: Queues.
        messages: Messages in them.
        bytes: Bytes of the messages' bodies, as stored.
        subscriptions: Subscriptions of them.
    """

    queues: int = 0
    messages: int = 0
    bytes: int = 0
    subscriptions: int = 0


class AccountStorage(abc.ABC):
    """Keeps grants, and knows what projects use."""

    @abc.abstractmethod
    async def grant_add(
        self, project: str, queue: str, grant: Grant, *, most: int, now: float
    ) -> Grant | None:
        """Put a grant on record until it expires.

        A grant that is on record already stays as it is, revoked or not. The queue
        need not exist and is not made.

        Args:
            project: The project.
            queue: The queue that it was made for.
            grant: The grant; what it says of revocation counts for nothing.
            most: How many grants that have not expired the queue may have, revoked
                ones included.
            now: The time.

        Returns:
            The grant as it is on record; ``None``, having changed nothing, if it is
            not and the queue has ``most`` already.
        """

    @abc.abstractmethod
    async def grant_list(
        self, project: str, queue: str, *, marker: str | None, limit: int, now: float
    ) -> list[Grant]:
        """Return up to ``limit`` grants that have not expired, by id.

        Args:
            project: The project.
            queue: The queue that they were made for.
            marker: Only ids after this one, which need not exist.
            limit: At most so many, at least 1.
            now: The time.
        """

    @abc.abstractmethod
    async def grant_revoke(
        self, project: str, queue: str, grant_id: str, now: float
    ) -> bool:
        """Revoke a grant; return False if no live one has this id.

        From the return on :meth:`grant_revoked` says so on every server of the
        store.
        """

    @abc.abstractmethod
    async def grant_revoked(
        self, project: str, queue: str, grant_id: str, now: float
    ) -> bool:
        """Say whether a grant was revoked.

        Asked for each request that comes with a signature: a driver makes it cheap.
        """

    @abc.abstractmethod
    async def usage(self, project: str, now: float) -> Usage:
        """Return what a project uses; the cost does not grow with the backlog."""
