"""The part of the storage contract about accounts: what projects share and use.

A *grant* is the record of a pre-signed URL. A signature is valid without a record
(``rest-v2`` 2.8). The record shows the owner which grants exist, and a revoked grant is
refused although its signature is genuine.

The rules of :mod:`zaqarserver.storage.commands` hold here, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from zaqarserver.storage.commands import QueueCommand, SpaceCommand


class Grant(msgspec.Struct, frozen=True):
    """A pre-signed URL on record.

    Attributes:
        id: Made of the signature, which it does not reveal.
        paths: The paths that it allows, sorted.
        methods: The methods that it allows, sorted.
        created: When it was first made, seconds since the epoch.
        expires: When it ends, seconds since the epoch.
        revoked: True if its owner ended it early.
    """

    id: str
    paths: Sequence[str]
    methods: Sequence[str]
    created: float
    expires: float
    revoked: bool = False


class Usage(msgspec.Struct, frozen=True, gc=False):
    """The data of a project in the store, counted.

    Expired or deleted data that is not swept yet may count for about a second.

    Attributes:
        queues: Queues.
        messages: Messages in them.
        bytes: Bytes of the messages' bodies, as stored.
        subscriptions: Subscriptions of its queues.
    """

    queues: int = 0
    messages: int = 0
    bytes: int = 0
    subscriptions: int = 0


class GrantAdd(QueueCommand[Grant | None], frozen=True):
    """Record a grant until it expires.

    If the grant is on record already, it stays as it is, revoked or not. The queue need
    not exist and is not made.

    Attributes:
        grant: The grant; its ``revoked`` is ignored.
        most: How many unexpired grants the queue may have, including revoked ones.
        now: The time.

    Returns:
        The grant as it is on record; ``None``, with nothing changed, if it is not on
        record and the queue has ``most`` already.
    """

    grant: Grant
    most: int
    now: float


class GrantList(QueueCommand[list[Grant]], frozen=True, kw_only=True):
    """Return up to ``limit`` unexpired grants, by id.

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

    After the answer, :class:`GrantCheck` returns True on every server of the store.
    """

    grant_id: str
    now: float


class GrantCheck(QueueCommand[bool], frozen=True):
    """Return True if a grant was revoked.

    Executed for each request with a signature, so a driver makes it cheap.
    """

    grant_id: str
    now: float


class UsageGet(SpaceCommand[Usage], frozen=True):
    """Return what a project uses; the cost does not grow with the backlog."""

    now: float
