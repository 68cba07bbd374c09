"""The storage contract as a small model in memory, for comparison.

It keeps everything in plain lists and looks at all of it for each question, so
that it can be read against :mod:`zaqarserver.storage.base` line by line. It
makes no ids: they come from the driver's answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from zaqarserver.errors import ClaimNotFound, ClaimNotLive, MessageClaimed
from zaqarserver.storage.accounts import Grant, Usage
from zaqarserver.storage.base import (
    Claim,
    DeadLetter,
    Edge,
    Message,
    Metadata,
    NewMessage,
    QueueStats,
)

Key = tuple[str, str]


@dataclass
class Held:
    """A claim."""

    ttl: int
    grace: int
    created: float

    def lives(self, now: float) -> bool:
        """Tell whether it is live."""
        return now < self.created + self.ttl


@dataclass
class Kept:
    """A message."""

    id: str
    new: NewMessage
    client: str
    created: float
    ttl: int
    expires: float
    visible: float
    claim_id: str | None = None
    claim_count: int = 0


@dataclass
class Shelf:
    """A queue."""

    metadata: Metadata = field(default_factory=dict)
    messages: list[Kept] = field(default_factory=list)
    claims: dict[str, Held] = field(default_factory=dict)


class Model:
    """The contract, method by method.

    Attributes:
        queues: What there is.
        grants: What is on record, by queue and id.
        subscriptions: Ids and ends, by queue and subscriber.
        now: The time.
    """

    def __init__(self, now: float) -> None:
        self.queues: dict[Key, Shelf] = {}
        self.grants: dict[Key, dict[str, Grant]] = {}
        self.subscriptions: dict[Key, dict[str, tuple[str, float]]] = {}
        self.now = now

    def shelf(self, key: Key) -> Shelf:
        """Return the queue, an empty one that is not kept if there is none."""
        return self.queues.get(key) or Shelf()

    def made(self, key: Key) -> Shelf:
        """Return the queue, made if there is none."""
        return self.queues.setdefault(key, Shelf())

    # -- states -------------------------------------------------------------

    def live(self, key: Key) -> list[Kept]:
        """Return the live messages in order."""
        messages = self.shelf(key).messages
        return sorted(
            (one for one in messages if self.now < one.expires), key=lambda one: one.id
        )

    def holder(self, key: Key, message: Kept) -> str | None:
        """Return the live claim on a message."""
        held = self.shelf(key).claims.get(message.claim_id or "")
        return message.claim_id if held and held.lives(self.now) else None

    def free(self, key: Key, *, include_delayed: bool) -> list[Kept]:
        """Return what can be claimed."""
        return [
            one
            for one in self.live(key)
            if self.holder(key, one) is None
            and (include_delayed or one.visible <= self.now)
        ]

    def show(self, key: Key, message: Kept) -> Message:
        """Return a message as the driver should."""
        return Message(
            id=message.id,
            body=message.new.body,
            ttl=message.ttl,
            age=max(0, int(self.now - message.created)),
            claim_id=self.holder(key, message),
            claim_count=message.claim_count,
            checksum=message.new.checksum,
        )

    # -- messages -----------------------------------------------------------

    def post(
        self, key: Key, client: str, messages: Sequence[NewMessage], ids: Sequence[str]
    ) -> None:
        """Keep what was posted under the ids that the driver gave."""
        for new, message_id in zip(messages, ids, strict=True):
            self.made(key).messages.append(
                Kept(
                    id=message_id,
                    new=new,
                    client=client,
                    created=self.now,
                    ttl=new.ttl,
                    expires=self.now + new.ttl,
                    visible=self.now + new.delay,
                )
            )

    def page(
        self,
        key: Key,
        marker: str | None,
        limit: int,
        exclude_client: str | None,
        *,
        include_claimed: bool,
        include_delayed: bool,
    ) -> list[Message]:
        """List a page."""
        return [
            self.show(key, one)
            for one in self.live(key)
            if one.id > (marker or "")
            and one.client != exclude_client
            and (include_claimed or self.holder(key, one) is None)
            # a claimed message is listed as claimed, whatever its delay was
            and (include_delayed or one.visible <= self.now or self.holder(key, one))
        ][:limit]

    def find(self, key: Key, message_id: str) -> Kept | None:
        """Find a live message."""
        return next((one for one in self.live(key) if one.id == message_id), None)

    def delete(self, key: Key, message_id: str, claim_id: str | None) -> None:
        """Delete a message."""
        message = self.find(key, message_id)
        if message is None:
            return
        holder = self.holder(key, message)
        if holder == claim_id:
            self.shelf(key).messages.remove(message)
            return
        holders = {self.holder(key, one) for one in self.live(key)} - {None}
        if claim_id is not None and (holder is None or claim_id not in holders):
            raise ClaimNotLive
        raise MessageClaimed

    def delete_many(
        self, key: Key, ids: Sequence[str], claim_ids: Sequence[str] | None
    ) -> None:
        """Delete messages."""
        found = [one for one in self.live(key) if one.id in ids]
        if claim_ids is not None and any(
            self.holder(key, one) not in claim_ids for one in found
        ):
            raise MessageClaimed
        for message in found:
            self.shelf(key).messages.remove(message)

    def pop(self, key: Key, limit: int, *, include_delayed: bool) -> list[Message]:
        """Remove free messages."""
        taken = self.free(key, include_delayed=include_delayed)[:limit]
        shown = [self.show(key, one) for one in taken]
        for message in taken:
            self.shelf(key).messages.remove(message)
        return shown

    def purge(self, key: Key) -> None:
        """Remove all messages and claims."""
        self.shelf(key).messages.clear()
        self.shelf(key).claims.clear()

    def stats(self, key: Key) -> QueueStats:
        """Count."""
        live = self.live(key)
        if not live:
            return QueueStats()
        claimed = sum(self.holder(key, one) is not None for one in live)
        oldest, newest = (
            Edge(one.id, one.created, max(0, int(self.now - one.created)))
            for one in (live[0], live[-1])
        )
        return QueueStats(len(live) - claimed, claimed, oldest, newest)

    # -- claims -------------------------------------------------------------

    def claim(
        self,
        key: Key,
        held: Held,
        limit: int,
        dead_letter: DeadLetter | None,
        claim_id: str | None,
        *,
        include_delayed: bool,
    ) -> Claim | None:
        """Claim messages, under the id that the driver gave."""
        taken = self.free(key, include_delayed=include_delayed)[:limit]
        if dead_letter is not None:
            for message in list(taken):
                if message.claim_count >= dead_letter.max_claim_count:
                    taken.remove(message)
                    self._move(key, message, dead_letter)
        if not taken or claim_id is None:
            return None
        self.shelf(key).claims[claim_id] = held
        for message in taken:
            message.claim_id = claim_id
            message.claim_count += 1
            self._extend(message, held)
        return self.claim_get(key, claim_id)

    def _move(self, key: Key, message: Kept, dead_letter: DeadLetter) -> None:
        self.shelf(key).messages.remove(message)
        self.made((key[0], dead_letter.queue)).messages.append(message)
        message.claim_id = None
        message.claim_count = 0
        message.visible = self.now
        if dead_letter.ttl is not None:
            message.ttl = dead_letter.ttl
            message.expires = self.now + dead_letter.ttl

    def _extend(self, message: Kept, held: Held) -> None:
        if message.expires < held.created + held.ttl:
            message.ttl = held.ttl + held.grace
            message.expires = held.created + held.ttl + held.grace

    def _holds(self, key: Key, claim_id: str) -> list[Kept]:
        found = [one for one in self.live(key) if self.holder(key, one) == claim_id]
        if not found:
            raise ClaimNotFound
        return found

    def claim_get(self, key: Key, claim_id: str) -> Claim:
        """Read a claim."""
        messages = [self.show(key, one) for one in self._holds(key, claim_id)]
        held = self.shelf(key).claims[claim_id]
        age = max(0, int(self.now - held.created))
        return Claim(claim_id, held.ttl, held.grace, age, messages)

    def claim_update(self, key: Key, claim_id: str, held: Held) -> None:
        """Renew a claim."""
        messages = self._holds(key, claim_id)
        self.shelf(key).claims[claim_id] = held
        for message in messages:
            self._extend(message, held)

    def claim_delete(self, key: Key, claim_id: str) -> None:
        """Release a claim."""
        held = self.shelf(key).claims.get(claim_id)
        if held is not None and held.lives(self.now):
            del self.shelf(key).claims[claim_id]

    # -- grants, subscriptions, use -------------------------------------------

    def live_grants(self, key: Key) -> list[Grant]:
        """Return the grants that have not expired, by id."""
        grants = self.grants.get(key, {}).values()
        live = (one for one in grants if self.now < one.expires)
        return sorted(live, key=lambda one: one.id)

    def grant_add(self, key: Key, grant: Grant, most: int) -> Grant | None:
        """Put a grant on record."""
        live = {one.id: one for one in self.live_grants(key)}
        if grant.id in live:
            return live[grant.id]
        if len(live) >= most:
            return None
        self.grants.setdefault(key, {})[grant.id] = grant
        return grant

    def grant_revoke(self, key: Key, grant_id: str) -> bool:
        """Revoke a grant."""
        for one in self.live_grants(key):
            if one.id == grant_id:
                revoked = msgspec.structs.replace(one, revoked=True)
                self.grants[key][grant_id] = revoked
                return True
        return False

    def subscribe(self, key: Key, subscriber: str, id_: str, ttl: int) -> bool:
        """Subscribe, under the id that the driver gave if that is new."""
        there = self.subscriptions.setdefault(key, {})
        if subscriber in there and self.now < there[subscriber][1]:
            return False
        self.made(key)
        there[subscriber] = (id_, self.now + ttl)
        return True

    def unsubscribe(self, key: Key, subscriber: str) -> str | None:
        """Forget a subscription; return its id."""
        gone = self.subscriptions.get(key, {}).pop(subscriber, None)
        return None if gone is None else gone[0]

    def usage(self, project: str) -> Usage:
        """Count what is live."""
        mine = [key for key in self.queues if key[0] == project]
        messages = [one for key in mine for one in self.live(key)]
        return Usage(
            queues=len(mine),
            messages=len(messages),
            bytes=sum(len(one.new.body) for one in messages),
            subscriptions=sum(
                self.now < end
                for key, there in self.subscriptions.items()
                if key[0] == project
                for _, end in there.values()
            ),
        )
