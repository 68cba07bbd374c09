"""Messages and claims of the contract, on Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from zaqarserver.errors import (
    ClaimNotFound,
    ClaimNotLive,
    MessageClaimed,
    OutcomeUnknown,
    QueueMoving,
    Unavailable,
)
from zaqarserver.storage.base import Claim, DeadLetter, Message, NewMessage
from zaqarserver.storage.methods import ByMethods
from zaqarserver.storage.redis.ids import claim_id as new_claim_id
from zaqarserver.storage.redis.ids import encode_id, is_id
from zaqarserver.storage.redis.ids import revision as new_revision
from zaqarserver.storage.redis.keys import QueueKeys
from zaqarserver.storage.redis.packed import pack_message, read_messages
from zaqarserver.storage.redis.subscriber_driver import SubscriptionsOnRedis
from zaqarserver.storage.subscriptions import NOTICE_MESSAGES

LOG = logging.getLogger(__name__)

#: How many messages on their way to dead letter queues one step finishes.
MOVE_STEP = 100
#: How many messages are packed between two turns of the event loop.
POST_STEP = 500


class MessagesOnRedis(SubscriptionsOnRedis, ByMethods):
    """What each method promises is in the contract."""

    # -- messages -----------------------------------------------------------

    async def message_post(
        self,
        project: str,
        queue: str,
        client_id: str,
        messages: Sequence[NewMessage],
        now: float,
    ) -> list[str]:
        """Run one script, whatever the number of messages."""
        keys = self._names.queue(project, queue)
        secrets = [self._sequence.secret() for _ in messages]
        args: list[str | bytes] = []
        for number, (new, secret) in enumerate(zip(messages, secrets, strict=True), 1):
            if number % POST_STEP == 0:
                await asyncio.sleep(0)
            visible = repr(now + new.delay) if new.delay > 0 else "0"
            packed = pack_message(new, client_id, now)
            args += (secret, repr(now + new.ttl), visible, packed, new.body)
        news = self._news(keys)
        number, noticed, volatile, volume = await self._run_prepared(
            "post",
            keys,
            keys.posting,
            now,
            self._sequence.take(now, len(messages)),
            new_revision(),
            self._names.channel,
            news.packed,
            NOTICE_MESSAGES,
            *args,
        )
        self._volumes.messages(keys, volume)
        first = int(number)
        self._sequence.learn(first + len(messages) - 1)
        ids = [encode_id(first + at, secret) for at, secret in enumerate(secrets)]
        if noticed:
            self._noticed()
        if volatile:
            await news.told(messages, ids, volatile, now)
        return ids

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
        """Walk over the places that are asked for, merged by id."""
        if marker is not None and not is_id(marker):
            return []
        keys = self._names.queue(project, queue)
        places = "f" + "h" * include_delayed + "c" * include_claimed
        client = [] if exclude_client is None else [exclude_client]
        position: str | bytes = "-" if marker is None else f"({marker}"
        found: list[Message] = []
        while position:
            position, *page = await self._run(
                "list",
                keys.messages,
                repr(now),
                position,
                limit - len(found),
                places,
                *client,
            )
            found += read_messages(page, now)
        return found

    async def message_get(
        self, project: str, queue: str, ids: Sequence[str], now: float
    ) -> list[Message]:
        """Look the ids up in a hash."""
        keys = self._names.queue(project, queue)
        page = await self._run("get", keys.messages, repr(now), *dict.fromkeys(ids))
        return read_messages(page, now)

    async def message_delete(
        self,
        project: str,
        queue: str,
        message_id: str,
        claim_id: str | None,
        now: float,
    ) -> None:
        """Check the claim, then delete."""
        keys = self._names.queue(project, queue)
        named = [] if claim_id is None else [claim_id]
        refused, volume = await self._run(
            "delete", keys.messages, repr(now), message_id, *named
        )
        self._volumes.messages(keys, volume)
        if refused == 1:
            raise MessageClaimed("the message is claimed; name its claim to delete it")
        if refused:
            raise ClaimNotLive("the claim has expired or does not hold the message")

    async def message_delete_many(
        self,
        project: str,
        queue: str,
        ids: Sequence[str],
        claim_ids: Sequence[str] | None,
        now: float,
    ) -> None:
        """Check all, then delete."""
        keys = self._names.queue(project, queue)
        claims = [-1] if claim_ids is None else [len(claim_ids), *claim_ids]
        refused, volume = await self._run(
            "delete_many",
            keys.messages,
            repr(now),
            *claims,
            *dict.fromkeys(ids),
        )
        self._volumes.messages(keys, volume)
        if refused:
            raise MessageClaimed("a message is not under one of the claims named")

    async def message_pop(
        self,
        project: str,
        queue: str,
        limit: int,
        now: float,
        *,
        include_delayed: bool = False,
    ) -> list[Message]:
        """Delete the first that can be claimed."""
        keys = self._names.queue(project, queue)
        *page, volume = await self._run(
            "pop", keys.messages, repr(now), limit, int(include_delayed)
        )
        self._volumes.messages(keys, volume)
        return read_messages(page, now)

    async def message_purge(self, project: str, queue: str) -> None:
        """Unlink a handful of keys; Redis frees them in the background."""
        keys = self._names.queue(project, queue)
        volume = await self._run("purge", keys.messages)
        self._volumes.messages(keys, volume)

    # -- claims -------------------------------------------------------------

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
        """Claim the first ids of a sorted set.

        A run of more than a thousand expired messages that were not swept yet may
        make a claim smaller than ``limit``, never empty.
        """
        keys = self._names.queue(project, queue)
        name = new_claim_id()
        found = await self._run_prepared(
            "claim",
            keys,
            keys.messages,
            now,
            name,
            ttl,
            grace,
            limit,
            int(include_delayed),
            *([] if dead_letter is None else _beyond(dead_letter)),
        )
        *page, moving, volume = found
        self._volumes.messages(keys, volume)
        if not page:  # it was executed before, and the answer was lost
            return await self._claim_again(keys, name, now, moving=bool(moving))
        messages = read_messages(page, now)
        if moving:
            await self._move_exhausted(keys, now, claimed=bool(messages))
        return Claim(name, ttl, grace, 0, messages) if messages else None

    async def _claim_again(
        self, keys: QueueKeys, name: str, now: float, *, moving: bool
    ) -> Claim | None:
        """Return a claim that was made, but not told; ``None`` if it holds nothing."""
        try:
            claim = await self.claim_get(keys.project, keys.queue, name, now)
        except ClaimNotFound:
            claim = None
        except Unavailable as error:
            raise OutcomeUnknown(str(error)) from error
        if moving:
            await self._move_exhausted(keys, now, claimed=claim is not None)
        return claim

    async def claim_get(
        self, project: str, queue: str, claim_id: str, now: float
    ) -> Claim:
        """Read the claim and what it holds."""
        keys = self._names.queue(project, queue)
        found = await self._run("claim_get", keys.messages, repr(now), claim_id)
        if found is None:
            raise _not_live(claim_id)
        ttl, grace, created, *page = found
        age = max(0, int(now - float(created)))
        return Claim(claim_id, ttl, grace, age, read_messages(page, now))

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
        """Renew the claim, and extend its messages."""
        keys = self._names.queue(project, queue)
        found = await self._run(
            "claim_update", keys.messages, repr(now), claim_id, ttl, grace
        )
        if not found:
            raise _not_live(claim_id)

    async def claim_delete(
        self, project: str, queue: str, claim_id: str, now: float
    ) -> None:
        """Put what the claim holds back to its place."""
        keys = self._names.queue(project, queue)
        await self._run("claim_delete", keys.messages, repr(now), claim_id)

    # -- dead letters ---------------------------------------------------------

    async def _move_exhausted(
        self, keys: QueueKeys, now: float, *, claimed: bool
    ) -> None:
        """Move to the dead letter queue what a claim has put aside.

        It is the sweeper's if this cannot be done now: who has claimed something has
        to be told what.

        Raises:
            QueueMoving: The dead letter queue is sealed, and nothing was claimed.
        """
        try:
            arrived = await self._finish_moves(keys, now)
        except Unavailable as error:
            LOG.debug("left to the sweeper: %s", error)
            return
        if not (arrived or claimed):
            raise QueueMoving("the dead letter queue is being moved, or has left")

    async def _finish_moves(self, keys: QueueKeys, now: float) -> bool:
        """Put what has left a queue into its dead letter queues.

        The claim has put it aside, in the same slot, and has seen to it that the
        sweeper looks after the queue. The target takes an id once, however often
        it comes within an hour; only then the source forgets it. So whoever dies
        in between, the message arrives, and arrives once. If the target is sealed,
        the message goes back to where it was.

        Returns:
            Whether all have arrived.
        """
        arrived = True
        while True:
            ids, *moved = await self._run("moves", keys.messages, MOVE_STEP)
            if not ids:
                return arrived
            targets: dict[str, list[bytes]] = {}
            for id_, packed, body, target in zip(ids, *moved, strict=True):
                targets.setdefault(target.decode(), []).extend((id_, packed, body))
            answers = await asyncio.gather(
                *(self._put(keys.project, *one, now) for one in targets.items())
            )
            refused = [id_ for answer in answers for id_ in answer]
            if refused:
                arrived = False
                volume = await self._run("restore", keys.messages, repr(now), *refused)
                self._volumes.messages(keys, volume)
            await self._run("moved", keys.messages, *(set(ids) - set(refused)))

    async def _put(
        self, project: str, queue: str, messages: list[bytes], now: float
    ) -> list[bytes]:
        """Put messages into a queue; return the ids that it refuses as it is sealed."""
        keys = self._names.queue(project, queue)
        volume = await self._run_prepared(
            "put", keys, keys.messages, now, new_revision(), *messages
        )
        if volume and volume[0] == b"sealed":
            return list(volume[1:])
        self._volumes.messages(keys, volume)
        return []


def _beyond(dead_letter: DeadLetter) -> list[Any]:
    ttl = "" if dead_letter.ttl is None else dead_letter.ttl
    return [dead_letter.queue, dead_letter.max_claim_count, ttl]


def _not_live(claim_id: str) -> ClaimNotFound:
    return ClaimNotFound(f"no live claim {claim_id!r}")
