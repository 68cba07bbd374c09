"""Subscriptions, and the outbox of their deliveries.

A post stores one notice, however many subscriptions there are; ``lua/listeners.lua``
explains how deliveries are kept. Queues with deliveries are in a schedule: a take reads
those that are due, and each take and settlement sets the next time of its queue. If the
server dies before it does, the queue is due when the lease would have ended.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any, NamedTuple

import msgspec

from zaqarserver.errors import SubscriptionExists, nothing_done
from zaqarserver.storage.outbox import SharedMessages, locate
from zaqarserver.storage.records import is_id
from zaqarserver.storage.redis.channel import read_notice
from zaqarserver.storage.redis.names import QueueKeys, new_revision
from zaqarserver.storage.redis.store import Store, performs
from zaqarserver.storage.subscriptions import (
    DELIVERY_BYTES,
    DELIVERY_MESSAGES,
    Delivery,
    DeliveryDue,
    DeliverySettle,
    DeliveryTake,
    Subscription,
    SubscriptionCount,
    SubscriptionCreate,
    SubscriptionDelete,
    SubscriptionGet,
    SubscriptionList,
    SubscriptionPurge,
    SubscriptionUpdate,
)

#: From how many queues deliveries are taken at a time, and how often in one call.
TAKE_VISITS = 10
TAKE_ROUNDS = 20


class PackedSubscription(msgspec.Struct, frozen=True, array_like=True):
    """The stored members of a subscription, in the order of ``lua/listeners.lua``.

    Attributes:
        subscriber: The URI.
        ttl: Seconds.
        created: When it was made.
        expires: When it ends.
        options: The options as JSON text.
        confirmed: Whether the subscriber agreed.
        owner: The server of the connection that it belongs to, or empty.
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


def _read(keys: QueueKeys, id_: bytes, packed: bytes, now: float) -> Subscription:
    record = _decode(packed)
    return Subscription(
        id=id_.decode(),
        space=keys.space,
        queue=keys.queue,
        subscriber=record.subscriber,
        ttl=record.ttl,
        age=max(0, int(now - record.created)),
        options=_decode_options(record.options),
        confirmed=record.confirmed,
    )


# -- subscriptions --------------------------------------------------------------


@performs(SubscriptionCreate)
async def create(
    store: Store, command: SubscriptionCreate
) -> tuple[Subscription, bool]:
    """Make the subscription; for a volatile one, first record its queue and server."""
    keys, now, owner = store.keys(command), command.now, ""
    if command.volatile:
        owner = store.registration.uid
        with nothing_done():
            await store.registration.add_queue(keys)
    record = PackedSubscription(
        command.subscriber,
        command.ttl,
        now,
        now + command.ttl,
        _encode_options(command.options).decode(),
        command.confirmed,
        owner,
    )
    id_, packed, made, held = await store.run_prepared(
        "subscribe",
        keys,
        keys.listeners,
        now,
        new_revision(),
        store.numbers.take(now, 1),
        store.numbers.secret(),
        record.subscriber,
        record.expires,
        owner,
        _encode(record),
    )
    store.usage.subscriptions(keys, held)
    store.numbers.learn(int(id_[:14], 16))
    return _read(keys, id_, packed, now), bool(made)


@performs(SubscriptionList)
async def list_subscriptions(
    store: Store, command: SubscriptionList
) -> list[Subscription]:
    """Read a page of the unexpired ids."""
    marker, now = command.marker, command.now
    if marker is not None and not is_id(marker):
        return []
    keys = store.keys(command)
    start = "-" if marker is None else f"({marker}"
    found = await store.run("subscriptions", keys.listeners, now, start, command.limit)
    return [_read(keys, id_, packed, now) for id_, packed in zip(*found, strict=True)]


@performs(SubscriptionCount)
async def count(store: Store, command: SubscriptionCount) -> int:
    """Count the unexpired ones in two sets."""
    listeners = store.keys(command).listeners
    return int(await store.run("subscription_count", listeners, command.now))


@performs(SubscriptionGet)
async def get(store: Store, command: SubscriptionGet) -> Subscription | None:
    """Read the subscription, unless it has expired."""
    keys, id_ = store.keys(command), command.subscription_id
    packed = await store.run("subscription", keys.listeners, id_)
    if packed is None or _decode(packed).expires <= command.now:
        return None
    return _read(keys, id_.encode(), packed, command.now)


@performs(SubscriptionUpdate)
async def update(store: Store, command: SubscriptionUpdate) -> Subscription:
    """Change the members that are given."""
    keys, now, change = store.keys(command), command.now, command.change
    id_ = command.subscription_id
    given = zip(
        "utoc",
        (change.subscriber, change.ttl, change.options, change.confirmed),
        strict=True,
    )
    found = await store.run_prepared(
        "resubscribe",
        keys,
        keys.listeners,
        now,
        id_,
        "".join(letter for letter, value in given if value is not None),
        change.subscriber or "",
        change.ttl or 0,
        _encode_options(change.options or {}),
        int(change.confirmed or False),
    )
    if found == 0:
        return command.missing()
    if found == 1:
        raise SubscriptionExists("Such subscription already exists.")
    packed, held = found
    store.usage.subscriptions(keys, held)
    return _read(keys, id_.encode(), packed, now)


@performs(SubscriptionDelete)
async def delete(store: Store, command: SubscriptionDelete) -> None:
    """Remove the subscription; notices that no other one needs are removed later."""
    keys = store.keys(command)
    owner, held = await store.run(
        "unsubscribe", keys.listeners, command.subscription_id
    )
    store.usage.subscriptions(keys, held)
    if owner == store.registration.uid.encode():
        store.later(store.registration.drop_queue(keys))


@performs(SubscriptionPurge)
async def purge(store: Store, command: SubscriptionPurge) -> None:
    """Unlink a handful of keys; Redis frees them in the background."""
    keys = store.keys(command)
    held = await store.run("unsubscribe_all", keys.listeners)
    store.usage.subscriptions(keys, held)


# -- deliveries -----------------------------------------------------------------


class _TakenDelivery(NamedTuple):
    """A delivery in the reply of ``lua/take.lua``.

    Attributes:
        id: The id of the subscription.
        packed: The subscription.
        number: The number of the notice.
        position: How many messages are settled.
        attempt: Failures so far of the one at ``position``.
        notices: Which of the notices in the reply; the first is 1.
    """

    id: bytes
    packed: bytes
    number: int
    position: int
    attempt: int
    notices: list[int]

    def at(
        self, keys: QueueKeys, counts: list[int], shared: SharedMessages, now: float
    ) -> Delivery:
        """Return the delivery.

        Its key names its place, and how many messages each of its notices has.
        """
        own = ",".join(str(counts[place - 1]) for place in self.notices)
        return Delivery(
            key=f"{keys.tag} {self.id.decode()} {self.number} {own}",
            subscription=_read(keys, self.id, self.packed, now),
            messages=shared.of(tuple(self.notices)),
            position=self.position,
            attempt=self.attempt,
        )


@performs(DeliveryTake)
async def take(store: Store, command: DeliveryTake) -> list[Delivery]:
    """Take from the queues that are due, the longest due first.

    The deliveries of one call are in the order of their queues.
    """
    taken: list[Delivery] = []
    for _ in range(TAKE_ROUNDS):
        room = command.limit - len(taken)
        due = await store.deliveries.due(command.now, min(room, TAKE_VISITS))
        if not due:
            break
        share = room // len(due)  # what is left of the room is for the next round
        visit = functools.partial(_take_from, store, command, share)
        found = await store.deliveries.visit_each(due, command.now, visit)
        taken += [delivery for some in found for delivery in some]
        if len(taken) >= command.limit:
            break
    return taken


async def _take_from(
    store: Store, command: DeliveryTake, limit: int, tag: str, read: bytes
) -> list[Delivery]:
    """Take up to ``limit`` deliveries of a queue, and set its next time."""
    keys = store.keyspace.by_tag(tag)
    taken, notices, due = await store.run(
        "take",
        keys.listeners,
        command.now,
        "",
        "",
        limit,
        command.lease,
        int(command.confirmed_only),
        DELIVERY_MESSAGES,
        DELIVERY_BYTES,
    )
    await _set_next(store, tag, read, due)
    decoded = []
    for notice in notices:
        decoded.append(read_notice(notice))
        await asyncio.sleep(0)
    counts = [len(messages) for messages in decoded]
    shared = SharedMessages(lambda place: decoded[place - 1])
    return [_TakenDelivery(*one).at(keys, counts, shared, command.now) for one in taken]


async def _set_next(store: Store, tag: str, read: bytes, due: bytes) -> None:
    """Set the time of a queue's next delivery, and cache it."""
    if await store.deliveries.move(tag, read, due):
        store.delivery_times[tag] = due
    else:
        store.delivery_times.pop(tag, None)


@performs(DeliverySettle)
async def settle(store: Store, command: DeliverySettle) -> None:
    """Record the progress, then the time of the queue's next delivery."""
    tag, subscription, first, text = command.key.split(" ")
    # The end of the last notice is a position in that one: there may be no next.
    *counts, _ = map(int, text.split(","))
    whole, position = locate(counts, command.position)
    read = store.delivery_times.get(tag, b"")
    following = await store.run(
        "settle",
        store.keyspace.by_tag(tag).listeners,
        subscription,
        int(first) + whole,
        "",
        position,
        command.attempt,
        command.due or 0.0,
    )
    if following is None:
        return
    await _set_next(store, tag, read, following)
    if following:
        store.on_due()


@performs(DeliveryDue)
async def next_due(store: Store, _command: DeliveryDue) -> float | None:
    """Return the first time of the schedule."""
    store.known_due = await store.deliveries.next_due()
    return store.known_due


async def look_for_deliveries(store: Store) -> None:
    """Wake the notifier if other servers have left something sooner than it knows."""
    due, known = await store.deliveries.next_due(), store.known_due
    if due is not None and (known is None or due < known):
        store.known_due = due
        store.on_due()
