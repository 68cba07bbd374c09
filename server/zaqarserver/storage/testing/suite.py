"""The fixtures and helpers that the parts of the suite share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from types import ModuleType
from typing import Any

import pytest

from zaqarserver.storage import commands, subscriptions
from zaqarserver.storage.base import Capability, Claim, Message, NewMessage, Storage
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimDelete,
    Command,
    MessageList,
    MessagePost,
    QueueCommand,
    SpaceCommand,
)
from zaqarserver.storage.subscriptions import SubscriptionChange

#: The time at which the tests begin.
NOW = 1_700_000_000.0

PROJECT, QUEUE, CLIENT = "project", "queue", "client"


@pytest.mark.anyio
class Suite:
    """Opens the driver that the fixture ``driver`` gives."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Run the tests on asyncio."""
        return "asyncio"

    @pytest.fixture
    async def storage(self, driver: Storage) -> AsyncIterator[Storage]:
        """Return an open, empty store."""
        await driver.open()
        yield driver
        await driver.close()


#: A value of each field that a command about a queue has beside space and queue.
EXAMPLES: dict[str, Any] = {
    "change": SubscriptionChange(ttl=60),
    "claim_id": "x",
    "claim_ids": None,
    "client_id": CLIENT,
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
}


def examples(space: str, queue: str) -> list[QueueCommand[Any]]:
    """Return one of each command about a queue's content."""
    return [
        kind(space=space, queue=queue, **{name: EXAMPLES[name] for name in wanted})
        for module in (commands, subscriptions)
        for kind in commands_in(module)
        if issubclass(kind, QueueCommand)
        for wanted in [set(EXAMPLES) & set(kind.__struct_fields__)]
    ]


def commands_in(module: ModuleType) -> list[type[Command[Any]]]:
    """Return the commands that a module of the contract defines."""
    return [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, Command)
        and kind not in {Command, SpaceCommand, QueueCommand}
        and kind.__module__ == module.__name__
    ]


def need(storage: Storage, capability: Capability) -> None:
    """Skip a test of a capability that the driver does not declare."""
    if capability not in storage.capabilities:
        pytest.skip(f"the driver does not declare {capability}")


def new(*bodies: bytes, ttl: int = 600, delay: int = 0) -> list[NewMessage]:
    """Make messages."""
    return [NewMessage(body, ttl, delay) for body in bodies]


async def post(
    storage: Storage,
    *bodies: bytes,
    ttl: int = 600,
    delay: int = 0,
    now: float = NOW,
    client: str = CLIENT,
    queue: str = QUEUE,
) -> list[str]:
    """Post messages; return their ids."""
    messages = new(*bodies, ttl=ttl, delay=delay)
    return await storage.do(MessagePost(PROJECT, queue, client, messages, now))


async def post_one(storage: Storage, *, now: float = NOW, ttl: int = 600) -> str:
    """Post a message; return its id."""
    (message_id,) = await post(storage, b"1", now=now, ttl=ttl)
    return message_id


async def claim(
    storage: Storage,
    *,
    limit: int = 10,
    ttl: int = 100,
    grace: int = 50,
    now: float = NOW,
    queue: str = QUEUE,
    include_delayed: bool = False,
) -> Claim:
    """Claim messages; there must be some."""
    made = await storage.do(
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
    storage: Storage, *, now: float = NOW, queue: str = QUEUE, project: str = PROJECT
) -> list[Message]:
    """List all live messages, a page at a time."""
    found: list[Message] = []
    page: Sequence[Message] | None = None
    while page is None or page:
        page = await storage.do(
            MessageList(
                project,
                queue,
                marker=found[-1].id if found else None,
                limit=100,
                now=now,
                include_claimed=True,
                include_delayed=True,
            )
        )
        found += page
    return found


async def visible(
    storage: Storage, *, now: float = NOW, queue: str = QUEUE
) -> list[bytes]:
    """Return the bodies that a plain list shows."""
    page = await storage.do(
        MessageList(PROJECT, queue, marker=None, limit=1000, now=now)
    )
    return [message.body for message in page]


async def claimable(
    storage: Storage,
    *,
    now: float = NOW,
    queue: str = QUEUE,
    include_delayed: bool = False,
) -> list[bytes]:
    """Return the bodies that a claim takes; it is released again."""
    made = await storage.do(
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
    await storage.do(ClaimDelete(PROJECT, queue, made.id, now))
    return [message.body for message in made.messages]


def bodies(messages: Sequence[Message]) -> list[bytes]:
    """Return the bodies."""
    return [message.body for message in messages]


def ids_of(messages: Sequence[Message]) -> list[str]:
    """Return the ids."""
    return [message.id for message in messages]
