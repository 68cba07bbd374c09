"""Posts with idempotency keys."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from zaqarserver.errors import KeyReused
from zaqarserver.storage.commands import (
    MessagePop,
    MessagePurge,
    QueueDelete,
    QueueGet,
    QueueUpdate,
)
from zaqarserver.storage.moving import QueueContents
from zaqarserver.storage.posts import MessagePostOnce
from zaqarserver.storage.records import PostOutcome
from zaqarserver.storage.testing.moving import AWAY, MOVED, MovingBench
from zaqarserver.storage.testing.suite import (
    CLIENT,
    NOW,
    PROJECT,
    QUEUE,
    Suite,
    bodies,
    new,
)

WINDOW = 600.0


def once(*sent: bytes, **changes: Any) -> MessagePostOnce:
    """Return a post with a key."""
    fields: dict[str, Any] = {"queue": QUEUE, "key": "k", "now": NOW, "digest": "d"}
    return MessagePostOnce(
        space=PROJECT,
        client_id=CLIENT,
        messages=new(*sent),
        window=WINDOW,
        **{**fields, **changes},
    )


class KeyContract(MovingBench, Suite):
    """A key stores once."""

    async def post_once(self, *sent: bytes, **changes: Any) -> PostOutcome:
        """Post with a key."""
        return await self.do(once(*sent, **changes))

    async def test_the_second_post_has_the_ids_of_the_first(self) -> None:
        first = await self.post_once(b"1", b"2")
        again = await self.post_once(b"1", b"2", now=NOW + 1)
        assert first == PostOutcome(first.ids)
        assert again == PostOutcome(first.ids, is_replay=True)
        assert bodies(await self.everything(now=NOW + 1)) == [b"1", b"2"]

    async def test_other_keys_and_queues_store(self) -> None:
        first = await self.post_once(b"1")
        other = await self.post_once(b"1", key="K")
        elsewhere = await self.post_once(b"1", queue="other")
        assert not other.is_replay
        assert not elsewhere.is_replay
        assert len({*first.ids, *other.ids, *elsewhere.ids}) == 3

    async def test_a_key_with_other_content_is_refused(self) -> None:
        await self.post_once(b"1")
        with pytest.raises(KeyReused):
            await self.post_once(b"2", digest="e")
        assert bodies(await self.everything()) == [b"1"]

    async def test_a_key_ends_with_its_window(self) -> None:
        await self.post_once(b"1")
        late = await self.post_once(b"1", now=NOW + WINDOW - 1)
        assert late.is_replay  # which does not start the window again
        after = await self.post_once(b"2", now=NOW + WINDOW, digest="e")
        assert not after.is_replay

    async def test_of_two_at_the_same_moment_one_stores(self) -> None:
        one, two = await asyncio.gather(self.post_once(b"1"), self.post_once(b"1"))
        assert one.ids == two.ids
        assert {one.is_replay, two.is_replay} == {False, True}
        assert bodies(await self.everything()) == [b"1"]

    async def test_a_key_outlives_its_messages(self) -> None:
        first = await self.post_once(b"1")
        await self.do(MessagePop(PROJECT, QUEUE, 1, NOW))
        assert (await self.post_once(b"1")).ids == first.ids
        await self.do(MessagePurge(PROJECT, QUEUE))
        assert (await self.post_once(b"1")).is_replay
        assert bodies(await self.everything()) == []

    async def test_a_key_stays_when_the_queue_is_changed(self) -> None:
        await self.post_once(b"1")
        queue = await self.do(QueueGet(PROJECT, QUEUE))
        assert queue is not None
        await self.do(QueueUpdate(PROJECT, QUEUE, {"a": 1}, queue.revision))
        assert (await self.post_once(b"1")).is_replay

    async def test_a_key_goes_with_its_queue(self) -> None:
        first = await self.post_once(b"1")
        await self.do(QueueDelete(PROJECT, QUEUE))
        again = await self.post_once(b"1")
        assert not again.is_replay
        assert again.ids != first.ids
        assert bodies(await self.everything()) == [b"1"]

    async def test_keys_are_swept(self) -> None:
        await self.post_once(b"1")
        await self.do(MessagePop(PROJECT, QUEUE, 1, NOW))
        while await self.store.sweep(NOW + WINDOW):
            pass
        assert not (await self.post_once(b"1", now=NOW + WINDOW)).is_replay

    async def test_keys_move_with_their_queue(self) -> None:
        self.need_moves()
        posts = [once(b"1", b"2", key=key) for key in ("a:b", "-", "z", "!")]
        made = [await self.do(one) for one in posts]
        await self.sealed()
        counted = await self.do(QueueContents(PROJECT, QUEUE, NOW))
        assert (counted.posts, counted.messages) == (4, 8)
        await self.moved(MOVED + 1)
        for command, outcome in zip(posts, made, strict=True):
            found = await self.do(msgspec.structs.replace(command, space=AWAY))
            assert (found.ids, found.is_replay) == (outcome.ids, True)
