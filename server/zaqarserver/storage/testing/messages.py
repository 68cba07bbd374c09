"""The suite: posting, reading, listing."""

from __future__ import annotations

import asyncio
import re

import pytest

from zaqarserver.storage.base import Message, NewMessage, Storage
from zaqarserver.storage.commands import (
    MessageDelete,
    MessageGet,
    MessageList,
    MessagePop,
    MessagePost,
    QueueCount,
    QueueCreate,
    QueueGet,
)
from zaqarserver.storage.testing.suite import (
    CLIENT,
    NOW,
    PROJECT,
    QUEUE,
    Suite,
    bodies,
    claim,
    everything,
    ids_of,
    post,
    post_one,
    visible,
)

MALFORMED = [
    "",
    "x",
    "0",
    "-1",
    "é",
    "../" * 10,
    "f" * 29,
    "f" * 30,
    "F" * 30,
    "9" * 99,
]


async def page(
    storage: Storage,
    *,
    marker: str | None = None,
    limit: int = 10,
    now: float = NOW,
    exclude_client: str | None = None,
    include_claimed: bool = False,
    include_delayed: bool = False,
) -> list[Message]:
    """List a page of the queue."""
    return await storage.do(
        MessageList(
            PROJECT,
            QUEUE,
            marker=marker,
            limit=limit,
            now=now,
            exclude_client=exclude_client,
            include_claimed=include_claimed,
            include_delayed=include_delayed,
        )
    )


async def get_one(storage: Storage, message_id: str, now: float = NOW) -> Message:
    """Read a message that exists."""
    (message,) = await storage.do(MessageGet(PROJECT, QUEUE, [message_id], now))
    return message


class MessageContract(Suite):
    """Posting, reading by id, listing."""

    # -- posting ------------------------------------------------------------

    async def test_posting_makes_the_queue(self, storage: Storage) -> None:
        await post_one(storage)
        queue = await storage.do(QueueGet(PROJECT, QUEUE))
        assert queue is not None
        assert queue.metadata == {}
        assert await storage.do(QueueCount(PROJECT)) == 1

    async def test_posting_leaves_metadata_alone(self, storage: Storage) -> None:
        await storage.do(QueueCreate(PROJECT, QUEUE, {"a": 1}))
        before = await storage.do(QueueGet(PROJECT, QUEUE))
        await post_one(storage)
        assert await storage.do(QueueGet(PROJECT, QUEUE)) == before

    async def test_a_post_returns_an_id_a_message_in_order(
        self, storage: Storage
    ) -> None:
        ids = await post(storage, b"1", b"2", b"3")
        found = await storage.do(MessageGet(PROJECT, QUEUE, ids, NOW))
        assert bodies(found) == [b"1", b"2", b"3"]
        assert ids_of(found) == ids

    async def test_a_message_comes_back_as_posted(self, storage: Storage) -> None:
        sent = NewMessage(b'{"a": 1}', 120, checksum="MD5:0")
        (message_id,) = await storage.do(
            MessagePost(PROJECT, QUEUE, CLIENT, [sent], NOW)
        )
        expected = Message(message_id, sent.body, 120, 0, None, 0, "MD5:0")
        assert await get_one(storage, message_id) == expected
        assert await page(storage) == [expected]

    @pytest.mark.parametrize(
        "body",
        [b"", b"\0", bytes(range(256)), b"x" * 262_144],
        ids=["empty", "zero", "all bytes", "256 KiB"],
    )
    async def test_a_body_comes_back_unchanged(
        self, storage: Storage, body: bytes
    ) -> None:
        (message_id,) = await post(storage, body)
        assert (await get_one(storage, message_id)).body == body
        assert bodies((await claim(storage)).messages) == [body]

    async def test_ids_are_url_safe_and_sort_in_order(self, storage: Storage) -> None:
        ids: list[str] = []
        for turn in range(5):
            ids += await post(storage, *[b"x"] * 20, now=NOW + turn)
        assert ids == sorted(ids)
        assert len(set(ids)) == 100
        assert all(re.fullmatch(r"[A-Za-z0-9_-]+", one, re.ASCII) for one in ids)

    async def test_ids_of_other_messages_cannot_be_derived(
        self, storage: Storage
    ) -> None:
        """Two messages of one moment differ in more than a counter."""
        first, second = await post(storage, b"1", b"2")
        differing = sum(a != b for a, b in zip(first, second, strict=True))
        assert differing >= 6
        for place in range(len(first)):
            changed = "0" if first[place] != "0" else "1"
            guess = first[:place] + changed + first[place + 1 :]
            assert await storage.do(MessageGet(PROJECT, QUEUE, [guess], NOW)) == []

    async def test_a_large_post_keeps_its_order(self, storage: Storage) -> None:
        sent = [b"%d" % n for n in range(2500)]
        ids = await post(storage, *sent)
        assert ids == sorted(ids)
        assert bodies(await everything(storage)) == sent

    async def test_messages_answered_earlier_come_first(self, storage: Storage) -> None:
        answered: list[str] = []

        async def producer(number: int) -> None:
            for turn in range(10):
                answered.extend(await post(storage, b"%d %d" % (number, turn)))

        await asyncio.gather(*(producer(number) for number in range(10)))
        assert len(set(answered)) == 100
        assert ids_of(await everything(storage)) == sorted(answered)
        for number in range(10):
            mine = [b for b in await visible(storage) if b.startswith(b"%d " % number)]
            assert mine == [b"%d %d" % (number, turn) for turn in range(10)]

    # -- time ---------------------------------------------------------------

    async def test_age_is_in_whole_seconds_and_never_negative(
        self, storage: Storage
    ) -> None:
        message_id = await post_one(storage)
        for elapsed, age in [(-5, 0), (0, 0), (0.99, 0), (1, 1), (61.5, 61)]:
            assert (await get_one(storage, message_id, NOW + elapsed)).age == age

    async def test_a_message_ends_exactly_at_its_ttl(self, storage: Storage) -> None:
        message_id = await post_one(storage, ttl=60)
        assert ids_of(await page(storage, now=NOW + 59.99)) == [message_id]
        assert await page(storage, now=NOW + 60) == []
        found = await storage.do(MessageGet(PROJECT, QUEUE, [message_id], NOW + 60))
        assert found == []
        assert await storage.do(MessagePop(PROJECT, QUEUE, 1, NOW + 60)) == []

    async def test_a_delayed_message_shows_exactly_after_its_delay(
        self, storage: Storage
    ) -> None:
        await post(storage, b"late", delay=10)
        assert await visible(storage, now=NOW + 9.99) == []
        assert await visible(storage, now=NOW + 10) == [b"late"]

    async def test_a_delay_that_outlasts_the_ttl_never_shows(
        self, storage: Storage
    ) -> None:
        await post(storage, b"never", ttl=60, delay=60)
        assert await visible(storage, now=NOW + 59) == []
        assert await visible(storage, now=NOW + 60) == []

    # -- by id --------------------------------------------------------------

    async def test_messages_come_in_the_order_asked_for(self, storage: Storage) -> None:
        one, two, three = await post(storage, b"1", b"2", b"3")
        found = await storage.do(MessageGet(PROJECT, QUEUE, [three, one, two], NOW))
        assert bodies(found) == [b"3", b"1", b"2"]

    async def test_an_id_named_twice_is_returned_once(self, storage: Storage) -> None:
        one, two = await post(storage, b"1", b"2")
        found = await storage.do(MessageGet(PROJECT, QUEUE, [two, one, two], NOW))
        assert bodies(found) == [b"2", b"1"]

    async def test_unknown_and_malformed_ids_are_skipped(
        self, storage: Storage
    ) -> None:
        message_id = await post_one(storage)
        ids = [*MALFORMED, message_id]
        assert ids_of(await storage.do(MessageGet(PROJECT, QUEUE, ids, NOW))) == [
            message_id
        ]
        assert await storage.do(MessageGet(PROJECT, "missing", ids, NOW)) == []

    async def test_claimed_and_delayed_messages_are_found_by_id(
        self, storage: Storage
    ) -> None:
        (claimed,) = await post(storage, b"claimed")
        held = await claim(storage)
        (delayed,) = await post(storage, b"delayed", delay=60)
        found = await storage.do(MessageGet(PROJECT, QUEUE, [claimed, delayed], NOW))
        assert bodies(found) == [b"claimed", b"delayed"]
        assert [message.claim_id for message in found] == [held.id, None]

    async def test_an_expired_claim_is_not_shown(self, storage: Storage) -> None:
        message_id = await post_one(storage)
        await claim(storage, ttl=60)
        assert (await get_one(storage, message_id, NOW + 59.9)).claim_id is not None
        assert (await get_one(storage, message_id, NOW + 60)).claim_id is None

    # -- lists --------------------------------------------------------------

    async def test_a_missing_queue_lists_nothing(self, storage: Storage) -> None:
        assert await page(storage) == []
        assert await storage.do(QueueGet(PROJECT, QUEUE)) is None

    async def test_pages_follow_each_other(self, storage: Storage) -> None:
        ids = await post(storage, *[b"x"] * 25)
        pages = [await page(storage)]
        while pages[-1]:
            pages.append(await page(storage, marker=pages[-1][-1].id))
        assert [len(one) for one in pages] == [10, 10, 5, 0]
        assert [one.id for each in pages for one in each] == ids

    async def test_a_marker_may_be_of_a_deleted_message(self, storage: Storage) -> None:
        ids = await post(storage, *[b"x"] * 5)
        await storage.do(MessageDelete(PROJECT, QUEUE, ids[2], None, NOW))
        assert ids_of(await page(storage, marker=ids[2])) == ids[3:]

    async def test_a_malformed_marker_gives_nothing(self, storage: Storage) -> None:
        await post_one(storage)
        for marker in ["", "x", "-1", "é"]:
            assert await page(storage, marker=marker) == []

    async def test_paging_misses_nothing_while_others_post_and_delete(
        self, storage: Storage
    ) -> None:
        ids = await post(storage, *[b"x"] * 30)
        seen: list[str] = []
        while found := await page(storage, marker=seen[-1] if seen else None, limit=4):
            seen += ids_of(found)
            ids += await post(storage, b"new") if len(ids) < 40 else []
            await storage.do(MessageDelete(PROJECT, QUEUE, seen[-1], None, NOW))
        assert seen == ids

    async def test_own_messages_can_be_left_out(self, storage: Storage) -> None:
        await post(storage, b"mine", client="me")
        await post(storage, b"other", client="other")
        assert bodies(await page(storage, exclude_client="me")) == [b"other"]
        assert bodies(await page(storage)) == [b"mine", b"other"]

    async def test_claimed_messages_are_listed_on_request(
        self, storage: Storage
    ) -> None:
        await post(storage, b"1", b"2")
        held = await claim(storage, limit=1)
        assert bodies(await page(storage)) == [b"2"]
        both = await page(storage, include_claimed=True)
        assert [(one.body, one.claim_id) for one in both] == [
            (b"1", held.id),
            (b"2", None),
        ]
        later = await page(storage, now=NOW + 100)
        assert [(one.body, one.claim_id) for one in later] == [
            (b"1", None),
            (b"2", None),
        ]

    async def test_delayed_messages_are_listed_on_request(
        self, storage: Storage
    ) -> None:
        await post(storage, b"late", delay=60)
        await post(storage, b"now")
        assert bodies(await page(storage)) == [b"now"]
        assert bodies(await page(storage, include_delayed=True)) == [b"late", b"now"]
        claimed = await page(storage, include_claimed=True)
        assert bodies(claimed) == [b"now"]

    @pytest.mark.parametrize("between", ["own", "claimed", "delayed", "expired"])
    async def test_a_page_is_full_however_many_others_lie_between(
        self, storage: Storage, between: str
    ) -> None:
        await post(storage, b"first", client="other")
        many = [b"x"] * 2500
        if between == "delayed":
            await post(storage, *many, delay=100)
        else:
            ttl = 60 if between == "expired" else 600
            await post(storage, *many, client="me", ttl=ttl)
        if between == "claimed":
            await claim(storage, limit=2501, ttl=400)
            await post(storage, b"first", client="other")
        await post(storage, b"last", client="other")
        now = NOW + (60 if between == "expired" else 0)
        own = "me" if between == "own" else None
        found = await page(storage, limit=2, now=now, exclude_client=own)
        assert bodies(found) == [b"first", b"last"]
