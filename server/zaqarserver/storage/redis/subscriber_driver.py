"""Subscriptions, notices and deliveries of the contract, on Redis."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import msgspec

from zaqarserver.common.lru import LRU
from zaqarserver.errors import SubscriptionExists, SubscriptionNotFound, nothing_done
from zaqarserver.storage.redis.access import Access
from zaqarserver.storage.redis.channel import Channel, News, read_notice
from zaqarserver.storage.redis.ids import is_id
from zaqarserver.storage.redis.ids import revision as new_revision
from zaqarserver.storage.redis.keys import QueueKeys
from zaqarserver.storage.redis.location import Location
from zaqarserver.storage.redis.presence import Presence
from zaqarserver.storage.subscriptions import (
    Delivery,
    Noticed,
    Posted,
    Subscription,
    SubscriptionChange,
    ignore,
)

#: How many queues are asked for deliveries at a time, and how often in one call.
TAKE_VISITS = 10
TAKE_ROUNDS = 20

#: How many queues' next times are remembered.
REMEMBERED = 10_000


class PackedSubscription(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a subscription; in the order of ``lua/listeners.lua``.

    Attributes:
        subscriber: The URI.
        ttl: Seconds.
        created: When it was made.
        expires: When it ends.
        options: The options as JSON text.
        confirmed: Whether the subscriber agreed.
        owner: The server whose connection it belongs to, or empty.
    """

    subscriber: str
    ttl: int
    created: float
    expires: float
    options: str
    confirmed: bool
    owner: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PackedSubscription).decode
_encode_options = msgspec.json.Encoder().encode
_decode_options = msgspec.json.Decoder(dict[str, Any]).decode


class SubscriptionsOnRedis(Access):
    """What each method promises is in the contract."""

    def __init__(self, location: Location) -> None:
        super().__init__(location)
        self._posted: Callable[[Posted], None] = ignore
        self._noticed: Callable[[], None] = ignore
        self._forgotten: Callable[[], None] = ignore
        self._presence = self._new_presence()
        self._channel = self._new_channel()
        self._delivery_times: LRU[str, bytes] = LRU(REMEMBERED)
        self._said_due: float | None = None

    def _new_presence(self) -> Presence:
        return Presence(self._link, self._names, self._volumes, self._forgotten)

    def _new_channel(self) -> Channel:
        return Channel(
            self._link, self._names.channel, self._presence.uid, self._posted
        )

    def _news(self, keys: QueueKeys) -> News:
        """Return what a post to a queue is to be published with."""
        return self._channel.news(keys)

    # -- subscriptions ------------------------------------------------------

    async def subscription_create(
        self,
        project: str,
        source: str,
        *,
        subscriber: str,
        ttl: int,
        options: dict[str, Any],
        now: float,
        confirmed: bool = False,
        volatile: bool = False,
    ) -> tuple[Subscription, bool]:
        """Put one of a connection on record first, for when this server dies."""
        keys = self._names.queue(project, source)
        owner = self._presence.uid if volatile else ""
        if volatile:
            with nothing_done():
                await self._presence.register(keys)
        record = PackedSubscription(
            subscriber,
            ttl,
            now,
            now + ttl,
            _encode_options(options).decode(),
            confirmed,
            owner,
        )
        id_, packed, made, volume = await self._run_prepared(
            "subscribe",
            keys,
            keys.listeners,
            now,
            new_revision(),
            self._sequence.take(now, 1),
            self._sequence.secret(),
            subscriber,
            repr(record.expires),
            owner,
            _encode(record),
        )
        self._volumes.subscriptions(keys, volume)
        self._sequence.learn(int(id_[:14], 16))
        return _read(keys, id_, packed, now), bool(made)

    async def subscription_list(
        self,
        project: str,
        source: str,
        *,
        marker: str | None,
        limit: int,
        now: float,
    ) -> list[Subscription]:
        """Walk over the ids."""
        if marker is not None and not is_id(marker):
            return []
        keys = self._names.queue(project, source)
        start = "-" if marker is None else f"({marker}"
        ids, packed = await self._run(
            "subscriptions", keys.listeners, repr(now), start, limit
        )
        return [
            _read(keys, id_, one, now) for id_, one in zip(ids, packed, strict=True)
        ]

    async def subscription_count(self, project: str, source: str, now: float) -> int:
        """Count by when they end."""
        keys = self._names.queue(project, source)
        found = await self._run("subscription_count", keys.listeners, repr(now))
        return int(found)

    async def subscription_get(
        self, project: str, source: str, subscription_id: str, now: float
    ) -> Subscription | None:
        """Look it up in a hash."""
        keys = self._names.queue(project, source)
        packed = await self._run("subscription", keys.listeners, subscription_id)
        if packed is None or _decode(packed).expires <= now:
            return None
        return _read(keys, subscription_id.encode(), packed, now)

    async def subscription_update(
        self,
        project: str,
        source: str,
        subscription_id: str,
        change: SubscriptionChange,
        now: float,
    ) -> Subscription:
        """Change what is given."""
        keys = self._names.queue(project, source)
        given = zip(
            "utoc",
            (change.subscriber, change.ttl, change.options, change.confirmed),
            strict=True,
        )
        found = await self._run_prepared(
            "resubscribe",
            keys,
            keys.listeners,
            now,
            subscription_id,
            "".join(letter for letter, value in given if value is not None),
            change.subscriber or "",
            change.ttl or 0,
            _encode_options(change.options or {}),
            int(change.confirmed or False),
        )
        if found == 0:
            raise SubscriptionNotFound(
                f"Subscription {subscription_id} for queue {source} does not exist."
            )
        if found == 1:
            raise SubscriptionExists("Such subscription already exists.")
        packed, volume = found
        self._volumes.subscriptions(keys, volume)
        return _read(keys, subscription_id.encode(), packed, now)

    async def subscription_delete(
        self, project: str, source: str, subscription_id: str
    ) -> None:
        """Remove all that is known of it; its notices go when nobody needs them."""
        keys = self._names.queue(project, source)
        owner, volume = await self._run("unsubscribe", keys.listeners, subscription_id)
        self._volumes.subscriptions(keys, volume)
        if owner == self._presence.uid.encode():
            self._later(self._presence.unregister(keys))

    async def subscription_purge(self, project: str, source: str) -> None:
        """Unlink a handful of keys; Redis frees them in the background."""
        keys = self._names.queue(project, source)
        volume = await self._run("unsubscribe_all", keys.listeners)
        self._volumes.subscriptions(keys, volume)

    # -- notifications ------------------------------------------------------

    def watch(
        self,
        posted: Callable[[Posted], None],
        noticed: Callable[[], None],
        forgotten: Callable[[], None] = ignore,
    ) -> None:
        """Remember whom to tell."""
        self._posted = posted
        self._noticed = noticed
        self._forgotten = forgotten

    async def delivery_take(
        self, now: float, *, limit: int, lease: float, confirmed_only: bool
    ) -> list[Delivery]:
        """Ask the queues that are due, the longest due first.

        Among those of one call the order is that of their queues.
        """
        taken: list[Delivery] = []
        for _ in range(TAKE_ROUNDS):
            room = limit - len(taken)
            due = await self._agenda_due(
                self._names.notify, now, min(room, TAKE_VISITS)
            )
            if not due:
                break
            visit = functools.partial(
                self._take,
                now=now,
                limit=-(-room // len(due)),
                lease=lease,
                confirmed_only=confirmed_only,
            )
            found = await self._visit_each(self._names.notify, due, now, visit)
            taken += [delivery for some in found for delivery in some]
            if len(taken) >= limit:
                break
        return taken

    async def _take(
        self,
        tag: str,
        read: bytes,
        *,
        now: float,
        limit: int,
        lease: float,
        confirmed_only: bool,
    ) -> list[Delivery]:
        keys = self._names.by_tag(tag)
        taken, notices, due = await self._run(
            "take",
            keys.listeners,
            repr(now),
            "",
            "",
            limit,
            repr(lease),
            int(confirmed_only),
        )
        await self._set_delivery_time(tag, read, due)
        decoded = []
        for notice in notices:
            decoded.append(read_notice(notice))
            await asyncio.sleep(0)
        return [_read_delivery(keys, one, decoded, now) for one in taken]

    async def _set_delivery_time(self, tag: str, read: bytes, due: bytes) -> None:
        """Set when a queue has the next delivery, and remember that."""
        if not await self._agenda_move(self._names.notify, tag, read, due):
            self._delivery_times.pop(tag, None)
            return
        self._delivery_times[tag] = due

    async def delivery_settle(
        self, key: str, *, position: int, attempt: int, due: float | None
    ) -> None:
        """Note the progress, then when the queue has the next delivery.

        If this server dies in between, the queue comes up when the lease would have
        ended.
        """
        tag, subscription, number = _read_key(key)
        keys = self._names.by_tag(tag)
        read = self._delivery_times.get(tag, b"")
        following = await self._run(
            "settle",
            keys.listeners,
            subscription,
            number,
            "",
            position,
            attempt,
            repr(0.0 if due is None else due),
        )
        if following is None:
            return
        await self._set_delivery_time(tag, read, following)
        if following:
            self._noticed()

    async def delivery_due(self, now: float) -> float | None:
        """Return the first time of the list."""
        del now
        self._said_due = await self._next_due()
        return self._said_due

    async def _next_due(self) -> float | None:
        first = await self._link.do("ZRANGE", self._names.notify, 0, 0, "WITHSCORES")
        return float(first[1]) if first else None

    async def _look_for_deliveries(self) -> None:
        """Wake the notifier if others have left something sooner than it knows."""
        due = await self._next_due()
        said = self._said_due
        if due is not None and (said is None or due < said):
            self._said_due = due
            self._noticed()


def _read(keys: QueueKeys, id_: bytes, packed: bytes, now: float) -> Subscription:
    record = _decode(packed)
    return Subscription(
        id=id_.decode(),
        project=keys.project,
        source=keys.queue,
        subscriber=record.subscriber,
        ttl=record.ttl,
        age=max(0, int(now - record.created)),
        options=_decode_options(record.options),
        confirmed=record.confirmed,
    )


def _read_delivery(
    keys: QueueKeys, taken: list[Any], notices: list[list[Noticed]], now: float
) -> Delivery:
    id_, packed, number, position, attempt, notice = taken
    return Delivery(
        key=_make_key(keys.tag, id_.decode(), number),
        subscription=_read(keys, id_, packed, now),
        messages=notices[notice - 1],
        position=position,
        attempt=attempt,
    )


def _make_key(tag: str, subscription: str, number: int) -> str:
    """Name a delivery by a text that says where it is."""
    return f"{tag} {subscription} {number}"


def _read_key(key: str) -> tuple[str, str, int]:
    tag, subscription, number = key.split(" ")
    return tag, subscription, int(number)
