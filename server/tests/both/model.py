"""A model of queues, messages and claims, in plain lists (``rest-v2`` 5).

It answers as :class:`~.service.Service` does, for a project of its own. The ids come
from the server: the model is told them.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

from .service import (
    BAD_REQUEST,
    FORBIDDEN,
    NO_STATS,
    NOT_FOUND,
    OK,
    Answer,
    Claim,
    Message,
    Popped,
    Stats,
    StatsMessage,
)


@dataclasses.dataclass(eq=False)
class Held:
    """A claim, as it was made or last renewed."""

    id: str
    ttl: int
    grace: int
    since: float

    @property
    def ends(self) -> float:
        """When it ends."""
        return self.since + self.ttl


@dataclasses.dataclass(eq=False)
class Kept:
    """A message."""

    id: str
    number: int
    body: Any
    client: str
    posted: float
    ttl: int
    expires: float
    visible: float
    claim: Held | None = None
    count: int = 0

    def extend(self, claim: Held) -> None:
        """Live on, if the message would end before its claim (5.4)."""
        if self.expires < claim.ends:
            self.ttl = claim.ttl + claim.grace
            self.expires = claim.ends + claim.grace


@dataclasses.dataclass(eq=False)
class Queue:
    """A queue."""

    metadata: dict[str, Any] = dataclasses.field(default_factory=dict)
    messages: list[Kept] = dataclasses.field(default_factory=list)

    @property
    def delay(self) -> int:
        """How long messages are hidden unless they say otherwise."""
        return self.metadata.get("_default_message_delay", 0)


class Model:
    """One project."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._queues: dict[str, Queue] = {}
        self._numbers: dict[str, int] = {}

    # -- states -----------------------------------------------------------------

    def _queue(self, name: str) -> Queue:
        return self._queues.get(name) or Queue()

    def _made(self, name: str) -> Queue:
        return self._queues.setdefault(name, Queue())

    def _live(self, queue: str) -> list[Kept]:
        now = self._clock()
        found = [one for one in self._queue(queue).messages if now < one.expires]
        return sorted(found, key=lambda one: one.number)

    def _holder(self, message: Kept) -> Held | None:
        claim = message.claim
        return claim if claim is not None and self._clock() < claim.ends else None

    def _hidden(self, queue: str, message: Kept) -> bool:
        return bool(self._queue(queue).delay) and self._clock() < message.visible

    def _free(self, queue: str) -> list[Kept]:
        return [
            one
            for one in self._live(queue)
            if self._holder(one) is None and not self._hidden(queue, one)
        ]

    def _find(self, queue: str, message_id: str) -> Kept | None:
        return next((one for one in self._live(queue) if one.id == message_id), None)

    def _age(self, since: float) -> int:
        return int(self._clock() - since)

    def _shown(self, message: Kept) -> Message:
        age = self._age(message.posted)
        return Message(message.id, message.ttl, age, message.body)

    # -- queues -----------------------------------------------------------------

    def queue_names(self) -> list[str]:
        """Return the names of all queues."""
        return sorted(self._queues)

    def queue_create(self, queue: str, metadata: dict[str, Any]) -> Answer:
        """Make a queue, unless it is there."""
        if queue in self._queues:
            return Answer(OK, value=False)
        self._queues[queue] = Queue(dict(metadata))
        return Answer(OK, value=True)

    def queue_get(self, queue: str) -> Answer:
        """Show the metadata."""
        return Answer(OK, self._queue(queue).metadata)

    def set_delay(self, queue: str, seconds: int) -> Answer:
        """Change the delay; zero is what every queue has."""
        if queue not in self._queues:
            return Answer(NOT_FOUND)
        metadata = self._queues[queue].metadata
        metadata["_default_message_delay"] = seconds
        if not seconds:
            del metadata["_default_message_delay"]
        return Answer(OK, metadata)

    def queue_delete(self, queue: str) -> Answer:
        """Remove a queue with everything in it."""
        self._queues.pop(queue, None)
        return Answer(OK)

    def queue_purge(self, queue: str) -> Answer:
        """Remove the messages."""
        self._queue(queue).messages.clear()
        return Answer(OK)

    def queue_get_stats(self, queue: str) -> Answer:
        """Count."""
        live = self._live(queue)
        if not live:
            return Answer(OK, NO_STATS)
        claimed = sum(self._holder(one) is not None for one in live)
        free = len(live) - claimed
        oldest, newest = self._edge(live[0]), self._edge(live[-1])
        return Answer(OK, Stats(claimed, free, len(live), oldest, newest))

    def _edge(self, message: Kept) -> StatsMessage:
        created = dt.datetime.fromtimestamp(int(message.posted), dt.UTC)
        text = created.strftime("%Y-%m-%dT%H:%M:%SZ")
        return StatsMessage(message.id, self._age(message.posted), text)

    # -- messages ---------------------------------------------------------------

    def message_post(
        self, queue: str, client: str, messages: Sequence[Any], ids: Sequence[str]
    ) -> None:
        """Keep messages under the ids that the server gave."""
        made, now = self._made(queue), self._clock()
        for message, id_ in zip(messages, ids, strict=True):
            ttl = message.get("ttl", 3600)
            delay = message.get("delay", made.delay) if made.delay else 0
            number = self._numbers[id_] = len(self._numbers)
            body = message["body"]
            made.messages.append(
                Kept(id_, number, body, client, now, ttl, now + ttl, now + delay)
            )

    def message_list(
        self,
        queue: str,
        client: str,
        *,
        marker: str | None = None,
        limit: int = 10,
        echo: bool = False,
        include_claimed: bool = False,
        include_delayed: bool = False,
    ) -> Answer:
        """List a page."""
        after = -1 if marker is None else self._numbers[marker]
        found = [
            self._shown(one)
            for one in self._live(queue)
            if one.number > after
            and (echo or one.client != client)
            and (
                include_claimed
                if self._holder(one)
                else include_delayed or not self._hidden(queue, one)
            )
        ]
        return Answer(OK, found[:limit])

    def message_get(self, queue: str, message_id: str) -> Answer:
        """Show a message."""
        found = self._find(queue, message_id)
        return Answer(NOT_FOUND) if found is None else Answer(OK, self._shown(found))

    def message_get_many(self, queue: str, message_ids: Sequence[str]) -> Answer:
        """Show messages in the order asked for."""
        found = [self._find(queue, id_) for id_ in message_ids]
        return Answer(OK, [self._shown(one) for one in found if one is not None])

    def message_delete(
        self, queue: str, message_id: str, claim_id: str | None
    ) -> Answer:
        """Remove a message (the table of 2.7)."""
        found = self._find(queue, message_id)
        if found is None:
            return Answer(OK)
        holder = self._holder(found)
        if holder is None and claim_id is not None:
            return Answer(BAD_REQUEST)
        if holder is not None and holder.id != claim_id:
            return Answer(FORBIDDEN)
        self._queue(queue).messages.remove(found)
        return Answer(OK)

    def message_delete_many(self, queue: str, message_ids: Sequence[str]) -> Answer:
        """Remove messages, claimed or not."""
        kept = self._queue(queue).messages
        kept[:] = [one for one in kept if one.id not in message_ids]
        return Answer(OK)

    def message_pop(self, queue: str, count: int) -> Answer:
        """Remove the oldest free messages."""
        taken = self._free(queue)[:count]
        for message in taken:
            self._queue(queue).messages.remove(message)
        found = [
            Popped(one.id, one.ttl, self._age(one.posted), one.body, one.count)
            for one in taken
        ]
        return Answer(OK, found)

    # -- claims -----------------------------------------------------------------

    def claim_create(
        self, queue: str, claim_id: str, *, limit: int, ttl: int, grace: int
    ) -> Answer:
        """Claim messages under the id that the server gave, if it gave one."""
        claim = Held(claim_id, ttl, grace, self._clock())
        metadata = self._queue(queue).metadata
        most, target = (
            metadata.get("_max_claim_count"),
            metadata.get("_dead_letter_queue"),
        )
        taken = []
        for message in self._free(queue)[:limit]:
            if most and target and message.count >= most:
                self._move(message, queue, target)
            else:
                message.claim, message.count = claim, message.count + 1
                message.extend(claim)
                taken.append(self._shown(message))
        return Answer(OK, Claim(claim_id, taken) if taken else None)

    def _move(self, message: Kept, queue: str, target: str) -> None:
        self._queue(queue).messages.remove(message)
        message.claim, message.count, message.visible = None, 0, self._clock()
        self._made(target).messages.append(message)

    def _held(self, queue: str, claim_id: str) -> list[Kept]:
        return [
            one
            for one in self._live(queue)
            if (holder := self._holder(one)) and holder.id == claim_id
        ]

    def claim_get(self, queue: str, claim_id: str) -> Answer:
        """Show a claim that still holds something."""
        held = self._held(queue, claim_id)
        if not held or held[0].claim is None:
            return Answer(NOT_FOUND)
        claim = held[0].claim
        messages = [self._shown(one) for one in held]
        return Answer(OK, Claim(claim_id, messages, claim.ttl, self._age(claim.since)))

    def claim_update(
        self, queue: str, claim_id: str, *, ttl: int, grace: int
    ) -> Answer:
        """Renew a claim."""
        held = self._held(queue, claim_id)
        claim = Held(claim_id, ttl, grace, self._clock())
        for message in held:
            message.claim = claim
            message.extend(claim)
        return Answer(OK if held else NOT_FOUND)

    def claim_delete(self, queue: str, claim_id: str) -> Answer:
        """Release a claim."""
        for message in self._held(queue, claim_id):
            message.claim = None
        return Answer(OK)
