"""The fixtures and helpers that the parts of the suite share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from types import ModuleType
from typing import Any, Self, TypeVar

import pytest

from zaqarserver.storage import commands, posts, releases, subscriptions
from zaqarserver.storage.base import (
    Capability,
    Claim,
    DeadLetter,
    Message,
    NewMessage,
    Storage,
)
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimDelete,
    Command,
    MessageGet,
    MessageList,
    MessagePost,
    QueueCommand,
    SpaceCommand,
)
from zaqarserver.storage.releases import (
    HeldCommand,
)
from zaqarserver.storage.subscriptions import (
    Delivery,
    DeliverySettle,
    DeliveryTake,
    Subscription,
    SubscriptionChange,
    SubscriptionCreate,
    SubscriptionList,
)

R = TypeVar("R")

#: The time at which the tests begin.
NOW = 1_700_000_000.0

PROJECT, QUEUE, CLIENT = "project", "queue", "client"
HOOK = "http://hook.example/"

#: Seconds for which deliveries are taken.
LEASE = 30.0


#: A value of each field that a command about a queue has beside space and queue.
EXAMPLES: dict[str, Any] = {
    "change": SubscriptionChange(ttl=60),
    "claim_id": "x",
    "claim_ids": None,
    "digest": "d",
    "key": "k",
    "window": 600.0,
    "client_id": CLIENT,
    "dead_letter": DeadLetter("dead", 1),
    "target": "target",
    "grace": 0,
    "ids": ["x"],
    "limit": 1,
    "marker": None,
    "message_id": "x",
    "messages": [NewMessage(b"x", 600)],
    "metadata": {},
    "now": NOW,
    "options": {},
    "revision": 1,
    "subscriber": "http://h/",
    "subscription_id": "x",
    "ttl": 60,
    "until": NOW + 60,
}


def examples(space: str, queue: str) -> list[QueueCommand[Any]]:
    """Return one of each command about a queue's content."""
    return [
        kind(space=space, queue=queue, **{name: EXAMPLES[name] for name in wanted})
        for module in (commands, posts, releases, subscriptions)
        for kind in commands_in(module)
        if issubclass(kind, QueueCommand) and kind is not releases.MessageImport
        for wanted in [set(EXAMPLES) & set(kind.__struct_fields__)]
    ]


def commands_in(module: ModuleType) -> list[type[Command[Any]]]:
    """Return the commands that a module of the contract defines."""
    return [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, Command)
        and kind not in {Command, SpaceCommand, QueueCommand, HeldCommand}
        and kind.__module__ == module.__name__
    ]


def new(*bodies: bytes, ttl: int = 600, delay: int = 0) -> list[NewMessage]:
    """Make messages."""
    return [NewMessage(body, ttl, delay) for body in bodies]


def bodies(messages: Sequence[Message]) -> list[bytes]:
    """Return the bodies."""
    return [message.body for message in messages]


def ids_of(messages: Sequence[Message]) -> list[str]:
    """Return the ids."""
    return [message.id for message in messages]


class Bench:
    """A store under test, with short ways to do what tests do often.

    Attributes:
        store: The store.
    """

    store: Storage

    @classmethod
    def on(cls, store: Storage) -> Self:
        """Make a bench for a store."""
        bench = cls()
        bench.store = store
        return bench

    async def do(self, command: Command[R]) -> R:
        """Execute a command."""
        return await self.store.do(command)

    async def take(
        self, *, now: float = NOW, limit: int = 100, confirmed: bool = False
    ) -> list[Delivery]:
        """Take deliveries."""
        return await self.do(
            DeliveryTake(now, limit=limit, lease=LEASE, confirmed_only=confirmed)
        )

    async def done(self, delivery: Delivery) -> None:
        """Settle a whole delivery."""
        await self.do(
            DeliverySettle(
                delivery.key, position=len(delivery.messages), attempt=0, due=None
            )
        )

    async def reopen(self) -> None:
        """Close the store and open it again."""
        await self.store.close()
        await self.store.open()

    async def sweep_all(self, now: float) -> int:
        """Sweep until nothing is left; return how many rows were removed."""
        total = 0
        while removed := await self.store.sweep(now):
            total += removed
        return total

    async def page(
        self,
        *,
        marker: str | None = None,
        limit: int = 10,
        now: float = NOW,
        exclude_client: str | None = None,
        include_claimed: bool = False,
        include_delayed: bool = False,
        include_postponed: bool = False,
    ) -> list[Message]:
        """List a page of the queue."""
        return await self.do(
            MessageList(
                PROJECT,
                QUEUE,
                marker=marker,
                limit=limit,
                now=now,
                exclude_client=exclude_client,
                include_claimed=include_claimed,
                include_delayed=include_delayed,
                include_postponed=include_postponed,
            )
        )

    async def get_one(self, message_id: str, now: float = NOW) -> Message:
        """Read a message that exists."""
        (message,) = await self.do(MessageGet(PROJECT, QUEUE, [message_id], now))
        return message

    async def subscribe(
        self, subscriber: str = HOOK, *, now: float = NOW, **given: Any
    ) -> Subscription:
        """Make a subscription that does not exist."""
        members: dict[str, Any] = {"ttl": 600, "options": {}} | given
        project, source = members.pop("project", PROJECT), members.pop("source", QUEUE)
        made, created = await self.do(
            SubscriptionCreate(
                project, source, subscriber=subscriber, now=now, **members
            )
        )
        assert created
        return made

    async def listed(self, *, now: float = NOW) -> list[Subscription]:
        """List a page of the queue's subscriptions."""
        return await self.do(
            SubscriptionList(PROJECT, QUEUE, marker=None, limit=100, now=now)
        )

    def need(self, capability: Capability) -> None:
        """Skip a test of a capability that the driver does not declare."""
        if capability not in self.store.capabilities:
            pytest.skip(f"the driver does not declare {capability}")

    async def post(
        self,
        *bodies: bytes,
        ttl: int = 600,
        delay: int = 0,
        now: float = NOW,
        client: str = CLIENT,
        queue: str = QUEUE,
    ) -> list[str]:
        """Post messages; return their ids."""
        messages = new(*bodies, ttl=ttl, delay=delay)
        return await self.do(MessagePost(PROJECT, queue, client, messages, now))

    async def post_one(self, *, now: float = NOW, ttl: int = 600) -> str:
        """Post a message; return its id."""
        (message_id,) = await self.post(b"1", now=now, ttl=ttl)
        return message_id

    async def claim(
        self,
        *,
        limit: int = 10,
        ttl: int = 100,
        grace: int = 50,
        now: float = NOW,
        queue: str = QUEUE,
        include_delayed: bool = False,
    ) -> Claim:
        """Claim messages; there must be some."""
        made = await self.do(
            ClaimCreate(
                PROJECT,
                queue,
                ttl=ttl,
                grace=grace,
                limit=limit,
                now=now,
                include_delayed=include_delayed,
            )
        )
        assert made is not None
        return made

    async def everything(
        self, *, now: float = NOW, queue: str = QUEUE, project: str = PROJECT
    ) -> list[Message]:
        """List all live messages, a page at a time."""
        found: list[Message] = []
        page: Sequence[Message] | None = None
        while page is None or page:
            page = await self.do(
                MessageList(
                    project,
                    queue,
                    marker=found[-1].id if found else None,
                    limit=100,
                    now=now,
                    include_claimed=True,
                    include_delayed=True,
                    include_postponed=True,
                )
            )
            found += page
        return found

    async def visible(self, *, now: float = NOW, queue: str = QUEUE) -> list[bytes]:
        """Return the bodies that a plain list shows."""
        page = await self.do(
            MessageList(PROJECT, queue, marker=None, limit=1000, now=now)
        )
        return [message.body for message in page]

    async def claimable(
        self,
        *,
        now: float = NOW,
        queue: str = QUEUE,
        include_delayed: bool = False,
    ) -> list[bytes]:
        """Return the bodies that a claim takes; it is released again."""
        made = await self.do(
            ClaimCreate(
                PROJECT,
                queue,
                ttl=1,
                grace=0,
                limit=1000,
                now=now,
                include_delayed=include_delayed,
            )
        )
        if made is None:
            return []
        await self.do(ClaimDelete(PROJECT, queue, made.id, now))
        return [message.body for message in made.messages]


@pytest.mark.anyio
class Suite(Bench):
    """Opens the driver that the fixture ``driver`` gives."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Run the tests on asyncio."""
        return "asyncio"

    @pytest.fixture(autouse=True)
    async def storage(self, driver: Storage) -> AsyncIterator[Storage]:
        """Return an open, empty store."""
        await driver.open()
        self.store = driver
        yield driver
        await driver.close()
