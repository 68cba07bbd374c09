"""The part of the storage contract about accounts: what projects share and use.

A *grant* is the record of a pre-signed URL. Signatures stand by themselves
(``rest-v2`` 2.8): a grant need not be on record to be valid. The record lets its
owner see what is out, and a revoked grant is refused although its signature is
genuine.

The rules of :mod:`zaqarserver.storage.base` hold here as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from zaqarserver.storage.commands import QueueCommand, SpaceCommand


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


class GrantAdd(QueueCommand[Grant | None], frozen=True):
    """Put a grant on record until it expires.

    A grant that is on record already stays as it is, revoked or not. The queue
    need not exist and is not made.

    Attributes:
        grant: The grant; what it says of revocation counts for nothing.
        most: How many grants that have not expired the queue may have, revoked
            ones included.
        now: The time.

    Returns:
        The grant as it is on record; ``None``, having changed nothing, if it is
        not and the queue has ``most`` already.
    """

    grant: Grant
    most: int
    now: float


class GrantList(QueueCommand[list[Grant]], frozen=True, kw_only=True):
    """Return up to ``limit`` grants that have not expired, by id.

    Attributes:
        marker: Only ids after this one, which need not exist.
        limit: At most so many, at least 1.
        now: The time.
    """

    marker: str | None
    limit: int
    now: float


class GrantRevoke(QueueCommand[bool], frozen=True):
    """Revoke a grant; return False if no live one has this id.

    From the answer on :class:`GrantCheck` says so on every server of the
    store.
    """

    grant_id: str
    now: float


class GrantCheck(QueueCommand[bool], frozen=True):
    """Say whether a grant was revoked.

    Asked for each request that comes with a signature: a driver makes it cheap.
    """

    grant_id: str
    now: float


class UsageGet(SpaceCommand[Usage], frozen=True):
    """Return what a project uses; the cost does not grow with the backlog."""

    now: float
