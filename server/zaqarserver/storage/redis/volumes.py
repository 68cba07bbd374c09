"""What projects keep, added up without touching each queue.

Each change of a queue tells what the queue holds after it. That is gathered here for
a moment, of each queue the last word only, and then told to the project's sums: under
load a few times a second, whatever the number of posts. Whoever asks for the sums of
a project on this server tells what it has gathered first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from zaqarserver.errors import Unavailable
from zaqarserver.storage.redis.keys import Names, QueueKeys
from zaqarserver.storage.redis.link import Link

#: How many queues are told of in one step.
STEP = 500


class _Field(NamedTuple):
    """Whose volume: messages (m) or subscriptions (s) of a queue."""

    kind: str
    queue: str


class Volumes:
    """Gathers what changes, and tells it.

    Args:
        link: The servers of the store.
        names: Makes keys.
    """

    def __init__(self, link: Link, names: Names) -> None:
        self._link = link
        self._names = names
        self._gathered: dict[str, dict[_Field, Sequence[int]]] = {}

    def messages(self, keys: QueueKeys, volume: Sequence[int]) -> None:
        """Note what a queue holds: number of the change, messages, bytes."""
        if volume:
            self._note(keys.project, _Field("m", keys.queue), volume)

    def subscriptions(self, keys: QueueKeys, volume: Sequence[int]) -> None:
        """Note who listens to it: number of the change, subscriptions."""
        if volume:
            self._note(keys.project, _Field("s", keys.queue), (*volume, 0))

    def _note(self, project: str, field: _Field, volume: Sequence[int]) -> None:
        fields = self._gathered.setdefault(project, {})
        known = fields.get(field)
        if known is None or known[0] < volume[0]:
            fields[field] = volume

    async def tell(self, project: str) -> None:
        """Tell what has changed in a project.

        Raises:
            Unavailable: It will be told later.
        """
        fields = list(self._gathered.pop(project, {}).items())
        while fields:
            some, fields = fields[:STEP], fields[STEP:]
            args: list[str | int] = []
            for field, volume in some:
                args += (*field, *volume)
            try:
                await self._link.run("use", (self._names.use(project),), *args)
            except Unavailable:
                for field, volume in (*some, *fields):
                    self._note(project, field, volume)
                raise

    async def tell_all(self) -> None:
        """Tell what has changed anywhere.

        Raises:
            Unavailable: Some of it will be told later.
        """
        told = await asyncio.gather(
            *map(self.tell, list(self._gathered)), return_exceptions=True
        )
        for error in told:
            if error is not None:
                raise error
