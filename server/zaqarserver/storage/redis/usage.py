"""The usage of spaces, as sums that are kept up to date.

Each script that changes a queue returns what the queue holds after the change, with a
number that rises with each change. :class:`UsageSums` gathers the latest values of each
queue and then adds them to the sums of the space: under load a few times a second,
whatever the number of posts. Reading the sums on this server flushes first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from zaqarserver.errors import Unavailable
from zaqarserver.storage.redis.client import RedisClient
from zaqarserver.storage.redis.names import Keyspace, QueueKeys

#: How many queues' changes one script adds.
STEP = 500

#: The contents of a queue: number of the change, messages, bytes of bodies; or number
#: of the change, subscriptions. Empty if nothing changed.
Held = Sequence[int]

#: The kind, messages (m) or subscriptions (s), and the queue.
_Field = tuple[str, str]


class UsageSums:
    """Gathers what queues hold, and adds it to the sums of their spaces.

    Args:
        client: The servers of the store.
        keyspace: Makes keys.
    """

    def __init__(self, client: RedisClient, keyspace: Keyspace) -> None:
        self._client = client
        self._keyspace = keyspace
        self._gathered: dict[str, dict[_Field, Held]] = {}

    def messages(self, keys: QueueKeys, held: Held) -> None:
        """Gather the messages and bytes of a queue."""
        if held:
            self._gather(keys.space, ("m", keys.queue), held)

    def subscriptions(self, keys: QueueKeys, held: Held) -> None:
        """Gather the subscriptions of a queue."""
        if held:
            self._gather(keys.space, ("s", keys.queue), (*held, 0))

    def _gather(self, space: str, field: _Field, held: Held) -> None:
        fields = self._gathered.setdefault(space, {})
        known = fields.get(field)
        if known is None or known[0] < held[0]:
            fields[field] = held

    async def flush(self, space: str) -> None:
        """Add the changes of a space.

        Raises:
            Unavailable: The changes are added later.
        """
        fields = list(self._gathered.pop(space, {}).items())
        while fields:
            some, fields = fields[:STEP], fields[STEP:]
            args: list[str | int] = []
            for field, held in some:
                args += (*field, *held)
            try:
                await self._client.run(
                    "usage_add", (self._keyspace.usage(space),), *args
                )
            except Unavailable:
                for field, held in (*some, *fields):
                    self._gather(space, field, held)
                raise

    async def flush_all(self) -> None:
        """Add the changes of all spaces.

        Raises:
            Unavailable: Some changes are added later.
        """
        flushed = await asyncio.gather(
            *map(self.flush, list(self._gathered)), return_exceptions=True
        )
        for error in flushed:
            if error is not None:
                raise error
