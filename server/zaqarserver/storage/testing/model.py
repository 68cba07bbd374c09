"""The storage contract as a small model in memory, for comparison.

It stores everything in plain lists and reads all of it for each command, so
that it can be read against :mod:`zaqarserver.storage.commands` line by line. It
makes no ids: they come from the driver's answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from zaqarserver.errors import (
    ClaimNotFound,
    ClaimNotLive,
    KeyReused,
    MessageClaimed,
    MessageNotFound,
)
from zaqarserver.storage.accounts import (
    Grant,
    GrantAdd,
    GrantList,
    GrantRevoke,
    Usage,
    UsageGet,
)
from zaqarserver.storage.base import Claim, Message, Metadata, QueueStats, StatsMessage
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimDelete,
    ClaimGet,
    ClaimUpdate,
    Command,
    MessageDelete,
    MessageDeleteMany,
    MessageGet,
    MessageList,
    MessagePop,
    MessagePost,
    MessagePurge,
    QueueCommand,
    QueueCount,
    QueueCreate,
    QueueDelete,
    QueueStatsGet,
)
from zaqarserver.storage.posts import MessagePostOnce, PostGet
from zaqarserver.storage.records import (
    DeadLetter,
    DeadLetterOrigin,
    NewMessage,
    Notes,
    PostOutcome,
)
from zaqarserver.storage.releases import (
    HeldCommand,
    MessageBury,
    MessageRedrive,
    MessageRelease,
)

R = TypeVar("R")
Key = tuple[str, str]


@dataclass
class ModelClaim:
    """A claim."""

    ttl: int
    grace: int
    created: float

    def lives(self, now: float) -> bool:
        """Return whether it is live."""
        return now < self.created + self.ttl


@dataclass
class ModelMessage:
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
    postponed: float = 0.0
    notes: Notes = field(default_factory=Notes)


@dataclass
class ModelPost:
    """A post with an idempotency key."""

    digest: str
    ids: Sequence[str]
    expires: float


@dataclass
class ModelQueue:
    """A queue."""

    metadata: Metadata = field(default_factory=dict)
    messages: list[ModelMessage] = field(default_factory=list)
    posts: dict[str, ModelPost] = field(default_factory=dict)
    claims: dict[str, ModelClaim] = field(default_factory=dict)


def key_of(command: QueueCommand[Any]) -> Key:
    """Return the key of a command's queue."""
    return (command.space, command.queue)


class Model:
    """The contract, command by command.

    Attributes:
        queues: The queues.
        grants: The grants on record, by queue and id.
        subscriptions: Ids and ends, by queue and subscriber.
        now: The time.
    """

    def __init__(self, now: float) -> None:
        self.queues: dict[Key, ModelQueue] = {}
        self.grants: dict[Key, dict[str, Grant]] = {}
        self.subscriptions: dict[Key, dict[str, tuple[str, float]]] = {}
        self.now = now

    def do(self, command: Command[R]) -> R:
        """Execute a command that does not make ids: ``ClaimGet`` by ``claim_get``."""
        words = re.findall("[A-Z][a-z]+", type(command).__name__)
        result: R = getattr(self, "_".join(words).lower())(command)
        return result

    def queue(self, key: Key) -> ModelQueue:
        """Return the queue; if it does not exist, an empty one that is not stored."""
        return self.queues.get(key) or ModelQueue()

    def made(self, key: Key) -> ModelQueue:
        """Return the queue; make it if it does not exist."""
        return self.queues.setdefault(key, ModelQueue())

    # -- states -------------------------------------------------------------

    def live(self, key: Key) -> list[ModelMessage]:
        """Return the live messages in order."""
        live = [one for one in self.queue(key).messages if self.now < one.expires]
        return sorted(live, key=lambda one: one.id)

    def holder(self, key: Key, message: ModelMessage) -> str | None:
        """Return the live claim on a message."""
        held = self.queue(key).claims.get(message.claim_id or "")
        return message.claim_id if held and held.lives(self.now) else None

    def free(self, key: Key, *, include_delayed: bool) -> list[ModelMessage]:
        """Return what can be claimed."""
        free = [
            one
            for one in self.live(key)
            if self.holder(key, one) is None and one.postponed <= self.now
        ]
        return [one for one in free if include_delayed or one.visible <= self.now]

    def find(self, key: Key, message_id: str) -> ModelMessage | None:
        """Find a live message."""
        return next((one for one in self.live(key) if one.id == message_id), None)

    def _show(self, key: Key, message: ModelMessage) -> Message:
        return Message(
            id=message.id,
            body=message.new.body,
            ttl=message.ttl,
            age=max(0, int(self.now - message.created)),
            claim_id=self.holder(key, message),
            claim_count=message.claim_count,
            checksum=message.new.checksum,
            notes=None if message.notes == Notes() else message.notes,
        )

    # -- queues -------------------------------------------------------------

    def queue_create(self, command: QueueCreate) -> bool:
        if key_of(command) in self.queues:
            return False
        self.queues[key_of(command)] = ModelQueue(command.metadata)
        return True

    def queue_delete(self, command: QueueDelete) -> None:
        self.queues.pop(key_of(command), None)

    def queue_count(self, command: QueueCount) -> int:
        return sum(space == command.space for space, _ in self.queues)

    def queue_stats_get(self, command: QueueStatsGet) -> QueueStats:
        key = key_of(command)
        live = self.live(key)
        if not live:
            return QueueStats()
        claimed = sum(self.holder(key, one) is not None for one in live)
        oldest, newest = (
            StatsMessage(one.id, one.created, max(0, int(self.now - one.created)))
            for one in (live[0], live[-1])
        )
        return QueueStats(len(live) - claimed, claimed, oldest, newest)

    # -- messages -----------------------------------------------------------

    def post_get(self, command: PostGet | MessagePostOnce) -> PostOutcome | None:
        """Return what an earlier post with the key has stored, else ``None``."""
        found = self.queue(key_of(command)).posts.get(command.key)
        if found is None or found.expires <= self.now:
            return None
        if found.digest != command.digest:
            raise KeyReused(command.key)
        return PostOutcome(list(found.ids), is_replay=True)

    def post(self, command: MessagePost | MessagePostOnce, ids: Sequence[str]) -> None:
        """Store posted messages under the ids that the driver returned."""
        if isinstance(command, MessagePostOnce):
            post = ModelPost(command.digest, ids, self.now + command.window)
            self.made(key_of(command)).posts[command.key] = post
        for new, message_id in zip(command.messages, ids, strict=True):
            self.made(key_of(command)).messages.append(
                ModelMessage(
                    id=message_id,
                    new=new,
                    client=command.client_id,
                    created=self.now,
                    ttl=new.ttl,
                    expires=self.now + new.ttl,
                    visible=self.now + new.delay,
                )
            )

    def message_list(self, command: MessageList) -> list[Message]:
        key = key_of(command)
        return [
            self._show(key, one)
            for one in self.live(key)
            if one.id > (command.marker or "")
            and one.client != command.exclude_client
            and (command.include_claimed or self.holder(key, one) is None)
            # a claimed message is listed as claimed, whatever its delay was
            and (
                command.include_delayed
                or one.visible <= self.now
                or self.holder(key, one)
                or one.postponed
            )
            and (command.include_postponed or one.postponed <= self.now)
        ][: command.limit]

    def message_get(self, command: MessageGet) -> list[Message]:
        key = key_of(command)
        found = [self.find(key, one) for one in dict.fromkeys(command.ids)]
        return [self._show(key, one) for one in found if one]

    def message_delete(self, command: MessageDelete) -> None:
        key = key_of(command)
        message = self.find(key, command.message_id)
        if message is not None:
            self._check_holder(key, message, command.claim_id)
            self.queue(key).messages.remove(message)

    def _check_holder(
        self, key: Key, message: ModelMessage, claim_id: str | None
    ) -> None:
        holder = self.holder(key, message)
        if holder == claim_id:
            return
        holders = {self.holder(key, one) for one in self.live(key)} - {None}
        if claim_id is not None and (holder is None or claim_id not in holders):
            raise ClaimNotLive
        raise MessageClaimed

    def message_delete_many(self, command: MessageDeleteMany) -> None:
        key, claim_ids = key_of(command), command.claim_ids
        found = [one for one in self.live(key) if one.id in command.ids]
        if claim_ids is not None and any(
            self.holder(key, one) not in claim_ids for one in found
        ):
            raise MessageClaimed
        for message in found:
            self.queue(key).messages.remove(message)

    def message_pop(self, command: MessagePop) -> list[Message]:
        key = key_of(command)
        taken = self.free(key, include_delayed=command.include_delayed)
        shown = [self._show(key, one) for one in taken[: command.limit]]
        for message in taken[: command.limit]:
            self.queue(key).messages.remove(message)
        return shown

    def _held(self, command: HeldCommand) -> ModelMessage:
        message = self.find(key_of(command), command.message_id)
        if message is None:
            raise MessageNotFound
        self._check_holder(key_of(command), message, command.claim_id)
        return message

    def message_release(self, command: MessageRelease) -> None:
        message = self._held(command)
        self._give_reason(message, command.reason)
        self._free(message, command.delay)

    def _free(self, message: ModelMessage, delay: int) -> None:
        message.claim_id = None
        if delay:
            message.visible = message.postponed = self.now + delay

    def _give_reason(self, message: ModelMessage, reason: str | None) -> None:
        if reason is not None:
            message.notes = replace(message.notes, reason=reason)

    def message_bury(self, command: MessageBury) -> None:
        message = self._held(command)
        self._give_reason(message, command.reason)
        self._move(key_of(command), message, command.dead_letter)

    def message_redrive(self, command: MessageRedrive) -> list[str]:
        key, found = key_of(command), []
        for message_id in dict.fromkeys(command.ids):
            message = self.find(key, message_id)
            if message is not None and self.holder(key, message) is None:
                found.append(message_id)
                to = DeadLetter(command.target, 1, command.ttl)
                self._move(key, message, to)
                self._free(message, command.delay)
                message.notes = Notes()
        return found

    def message_purge(self, command: MessagePurge) -> None:
        self.queue(key_of(command)).messages.clear()
        self.queue(key_of(command)).claims.clear()

    # -- claims -------------------------------------------------------------

    def claim(self, command: ClaimCreate, claim_id: str | None) -> Claim | None:
        """Claim messages, under the id that the driver returned."""
        key, dead_letter = key_of(command), command.dead_letter
        taken = self.free(key, include_delayed=command.include_delayed)[: command.limit]
        if dead_letter is not None:
            for message in list(taken):
                if message.claim_count >= dead_letter.max_claim_count:
                    taken.remove(message)
                    self._move(key, message, dead_letter)
        if not taken or claim_id is None:
            return None
        held = ModelClaim(command.ttl, command.grace, self.now)
        self.queue(key).claims[claim_id] = held
        for message in taken:
            message.claim_id = claim_id
            message.claim_count += 1
            self._extend(message, held)
        return self._read_claim(key, claim_id)

    def _move(self, key: Key, message: ModelMessage, dead_letter: DeadLetter) -> None:
        self.queue(key).messages.remove(message)
        self.made((key[0], dead_letter.queue)).messages.append(message)
        reason = message.notes.reason
        origin = DeadLetterOrigin(key[1], message.claim_count, self.now, reason)
        message.notes = Notes(reason, origin)
        message.claim_id = None
        message.claim_count = 0
        message.visible = self.now
        message.postponed = 0
        if dead_letter.ttl is not None:
            message.ttl = dead_letter.ttl
            message.expires = self.now + dead_letter.ttl

    def _extend(self, message: ModelMessage, held: ModelClaim) -> None:
        if message.expires < held.created + held.ttl:
            message.ttl = held.ttl + held.grace
            message.expires = held.created + held.ttl + held.grace

    def _holds(self, key: Key, claim_id: str) -> list[ModelMessage]:
        found = [one for one in self.live(key) if self.holder(key, one) == claim_id]
        if not found:
            raise ClaimNotFound
        return found

    def _read_claim(self, key: Key, claim_id: str) -> Claim:
        messages = [self._show(key, one) for one in self._holds(key, claim_id)]
        held = self.queue(key).claims[claim_id]
        age = max(0, int(self.now - held.created))
        return Claim(claim_id, held.ttl, held.grace, age, messages)

    def claim_get(self, command: ClaimGet) -> Claim:
        return self._read_claim(key_of(command), command.claim_id)

    def claim_update(self, command: ClaimUpdate) -> None:
        key, held = key_of(command), ModelClaim(command.ttl, command.grace, self.now)
        messages = self._holds(key, command.claim_id)
        self.queue(key).claims[command.claim_id] = held
        for message in messages:
            self._extend(message, held)

    def claim_delete(self, command: ClaimDelete) -> None:
        claims = self.queue(key_of(command)).claims
        held = claims.get(command.claim_id)
        if held is not None and held.lives(self.now):
            for message in self.live(key_of(command)):
                if message.claim_id == command.claim_id:
                    self._free(message, command.delay)
            del claims[command.claim_id]

    # -- grants, subscriptions, use -------------------------------------------

    def live_grants(self, key: Key) -> list[Grant]:
        """Return the unexpired grants, by id."""
        grants = self.grants.get(key, {}).values()
        live = (one for one in grants if self.now < one.expires)
        return sorted(live, key=lambda one: one.id)

    def grant_list(self, command: GrantList) -> list[Grant]:
        live = self.live_grants(key_of(command))
        found = [one for one in live if one.id > (command.marker or "")]
        return found[: command.limit]

    def grant_add(self, command: GrantAdd) -> Grant | None:
        live = {one.id: one for one in self.live_grants(key_of(command))}
        if command.grant.id in live:
            return live[command.grant.id]
        if len(live) >= command.most:
            return None
        self.grants.setdefault(key_of(command), {})[command.grant.id] = command.grant
        return command.grant

    def grant_revoke(self, command: GrantRevoke) -> bool:
        for one in self.live_grants(key_of(command)):
            if one.id == command.grant_id:
                revoked = msgspec.structs.replace(one, revoked=True)
                self.grants[key_of(command)][one.id] = revoked
                return True
        return False

    def subscribe(self, key: Key, subscriber: str, id_: str, ttl: int) -> bool:
        """Subscribe, under the id that the driver returned if that is new."""
        there = self.subscriptions.setdefault(key, {})
        if subscriber in there and self.now < there[subscriber][1]:
            return False
        self.made(key)
        there[subscriber] = (id_, self.now + ttl)
        return True

    def unsubscribe(self, key: Key, subscriber: str) -> str | None:
        """Remove a subscription; return its id."""
        gone = self.subscriptions.get(key, {}).pop(subscriber, None)
        return None if gone is None else gone[0]

    def usage_get(self, command: UsageGet) -> Usage:
        mine = [key for key in self.queues if key[0] == command.space]
        messages = [one for key in mine for one in self.live(key)]
        size = sum(len(one.new.body) for one in messages)
        spaces = [
            there
            for key, there in self.subscriptions.items()
            if key[0] == command.space
        ]
        ends = [end for there in spaces for _, end in there.values()]
        subscriptions = sum(self.now < end for end in ends)
        return Usage(len(mine), len(messages), size, subscriptions)
