"""The suite: posting, reading, listing."""

from __future__ import annotations

import asyncio
import re

import pytest

from zaqarserver.storage.base import Message, NewMessage
from zaqarserver.storage.commands import (
    MessageDelete,
    MessageGet,
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
    ids_of,
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


class MessageContract(Suite):
    """Posting, reading by id, listing."""

    # -- posting ------------------------------------------------------------

    async def test_posting_makes_the_queue(self) -> None:
        await self.post_one()
        queue = await self.do(QueueGet(PROJECT, QUEUE))
        assert queue is not None
        assert queue.metadata == {}
        assert await self.do(QueueCount(PROJECT)) == 1

    async def test_posting_leaves_metadata_alone(self) -> None:
        await self.do(QueueCreate(PROJECT, QUEUE, {"a": 1}))
        before = await self.do(QueueGet(PROJECT, QUEUE))
        await self.post_one()
        assert await self.do(QueueGet(PROJECT, QUEUE)) == before

    async def test_a_post_returns_an_id_a_message_in_order(self) -> None:
        ids = await self.post(b"1", b"2", b"3")
        found = await self.do(MessageGet(PROJECT, QUEUE, ids, NOW))
        assert bodies(found) == [b"1", b"2", b"3"]
        assert ids_of(found) == ids

    async def test_a_message_comes_back_as_posted(self) -> None:
        sent = NewMessage(b'{"a": 1}', 120, checksum="MD5:0")
        (message_id,) = await self.do(MessagePost(PROJECT, QUEUE, CLIENT, [sent], NOW))
        expected = Message(message_id, sent.body, 120, 0, None, 0, "MD5:0")
        assert await self.get_one(message_id) == expected
        assert await self.page() == [expected]

    @pytest.mark.parametrize(
        "body",
        [b"", b"\0", bytes(range(256)), b"x" * 262_144],
        ids=["empty", "zero", "all bytes", "256 KiB"],
    )
    async def test_a_body_comes_back_unchanged(self, body: bytes) -> None:
        (message_id,) = await self.post(body)
        assert (await self.get_one(message_id)).body == body
        assert bodies((await self.claim()).messages) == [body]

    async def test_ids_are_url_safe_and_sort_in_order(self) -> None:
        ids: list[str] = []
        for turn in range(5):
            ids += await self.post(*[b"x"] * 20, now=NOW + turn)
        assert ids == sorted(ids)
        assert len(set(ids)) == 100
        assert all(re.fullmatch(r"[A-Za-z0-9_-]+", one, re.ASCII) for one in ids)

    async def test_ids_of_other_messages_cannot_be_derived(self) -> None:
        """Two messages of one moment differ in more than a counter."""
        first, second = await self.post(b"1", b"2")
        differing = sum(a != b for a, b in zip(first, second, strict=True))
        assert differing >= 6
        for place in range(len(first)):
            changed = "0" if first[place] != "0" else "1"
            guess = first[:place] + changed + first[place + 1 :]
            assert await self.do(MessageGet(PROJECT, QUEUE, [guess], NOW)) == []

    async def test_a_large_post_keeps_its_order(self) -> None:
        sent = [b"%d" % n for n in range(2500)]
        ids = await self.post(*sent)
        assert ids == sorted(ids)
        assert bodies(await self.everything()) == sent

    async def test_messages_answered_earlier_come_first(self) -> None:
        answered: list[str] = []

        async def producer(number: int) -> None:
            for turn in range(10):
                answered.extend(await self.post(b"%d %d" % (number, turn)))

        await asyncio.gather(*(producer(number) for number in range(10)))
        assert len(set(answered)) == 100
        assert ids_of(await self.everything()) == sorted(answered)
        for number in range(10):
            mine = [b for b in await self.visible() if b.startswith(b"%d " % number)]
            assert mine == [b"%d %d" % (number, turn) for turn in range(10)]

    # -- time ---------------------------------------------------------------

    async def test_age_is_in_whole_seconds_and_never_negative(self) -> None:
        message_id = await self.post_one()
        for elapsed, age in [(-5, 0), (0, 0), (0.99, 0), (1, 1), (61.5, 61)]:
            assert (await self.get_one(message_id, NOW + elapsed)).age == age

    async def test_a_message_ends_exactly_at_its_ttl(self) -> None:
        message_id = await self.post_one(ttl=60)
        assert ids_of(await self.page(now=NOW + 59.99)) == [message_id]
        assert await self.page(now=NOW + 60) == []
        found = await self.do(MessageGet(PROJECT, QUEUE, [message_id], NOW + 60))
        assert found == []
        assert await self.do(MessagePop(PROJECT, QUEUE, 1, NOW + 60)) == []

    async def test_a_delayed_message_shows_exactly_after_its_delay(self) -> None:
        await self.post(b"late", delay=10)
        assert await self.visible(now=NOW + 9.99) == []
        assert await self.visible(now=NOW + 10) == [b"late"]

    async def test_a_delay_that_outlasts_the_ttl_never_shows(self) -> None:
        await self.post(b"never", ttl=60, delay=60)
        assert await self.visible(now=NOW + 59) == []
        assert await self.visible(now=NOW + 60) == []

    # -- by id --------------------------------------------------------------

    async def test_messages_come_in_the_order_asked_for(self) -> None:
        one, two, three = await self.post(b"1", b"2", b"3")
        found = await self.do(MessageGet(PROJECT, QUEUE, [three, one, two], NOW))
        assert bodies(found) == [b"3", b"1", b"2"]

    async def test_an_id_named_twice_is_returned_once(self) -> None:
        one, two = await self.post(b"1", b"2")
        found = await self.do(MessageGet(PROJECT, QUEUE, [two, one, two], NOW))
        assert bodies(found) == [b"2", b"1"]

    async def test_unknown_and_malformed_ids_are_skipped(self) -> None:
        message_id = await self.post_one()
        ids = [*MALFORMED, message_id]
        assert ids_of(await self.do(MessageGet(PROJECT, QUEUE, ids, NOW))) == [
            message_id
        ]
        assert await self.do(MessageGet(PROJECT, "missing", ids, NOW)) == []

    async def test_claimed_and_delayed_messages_are_found_by_id(self) -> None:
        (claimed,) = await self.post(b"claimed")
        held = await self.claim()
        (delayed,) = await self.post(b"delayed", delay=60)
        found = await self.do(MessageGet(PROJECT, QUEUE, [claimed, delayed], NOW))
        assert bodies(found) == [b"claimed", b"delayed"]
        assert [message.claim_id for message in found] == [held.id, None]

    async def test_an_expired_claim_is_not_shown(self) -> None:
        message_id = await self.post_one()
        await self.claim(ttl=60)
        assert (await self.get_one(message_id, NOW + 59.9)).claim_id is not None
        assert (await self.get_one(message_id, NOW + 60)).claim_id is None

    # -- lists --------------------------------------------------------------

    async def test_a_missing_queue_lists_nothing(self) -> None:
        assert await self.page() == []
        assert await self.do(QueueGet(PROJECT, QUEUE)) is None

    async def test_pages_follow_each_other(self) -> None:
        ids = await self.post(*[b"x"] * 25)
        pages = [await self.page()]
        while pages[-1]:
            pages.append(await self.page(marker=pages[-1][-1].id))
        assert [len(one) for one in pages] == [10, 10, 5, 0]
        assert [one.id for each in pages for one in each] == ids

    async def test_a_marker_may_be_of_a_deleted_message(self) -> None:
        ids = await self.post(*[b"x"] * 5)
        await self.do(MessageDelete(PROJECT, QUEUE, ids[2], None, NOW))
        assert ids_of(await self.page(marker=ids[2])) == ids[3:]

    async def test_a_malformed_marker_gives_nothing(self) -> None:
        await self.post_one()
        for marker in ["", "x", "-1", "é"]:
            assert await self.page(marker=marker) == []

    async def test_paging_misses_nothing_while_others_post_and_delete(self) -> None:
        ids = await self.post(*[b"x"] * 30)
        seen: list[str] = []
        while found := await self.page(marker=seen[-1] if seen else None, limit=4):
            seen += ids_of(found)
            ids += await self.post(b"new") if len(ids) < 40 else []
            await self.do(MessageDelete(PROJECT, QUEUE, seen[-1], None, NOW))
        assert seen == ids

    async def test_own_messages_can_be_left_out(self) -> None:
        await self.post(b"mine", client="me")
        await self.post(b"other", client="other")
        assert bodies(await self.page(exclude_client="me")) == [b"other"]
        assert bodies(await self.page()) == [b"mine", b"other"]

    async def test_claimed_messages_are_listed_on_request(self) -> None:
        await self.post(b"1", b"2")
        held = await self.claim(limit=1)
        assert bodies(await self.page()) == [b"2"]
        both = await self.page(include_claimed=True)
        assert [(one.body, one.claim_id) for one in both] == [
            (b"1", held.id),
            (b"2", None),
        ]
        later = await self.page(now=NOW + 100)
        assert [(one.body, one.claim_id) for one in later] == [
            (b"1", None),
            (b"2", None),
        ]

    async def test_delayed_messages_are_listed_on_request(self) -> None:
        await self.post(b"late", delay=60)
        await self.post(b"now")
        assert bodies(await self.page()) == [b"now"]
        assert bodies(await self.page(include_delayed=True)) == [b"late", b"now"]
        claimed = await self.page(include_claimed=True)
        assert bodies(claimed) == [b"now"]

    @pytest.mark.parametrize("between", ["own", "claimed", "delayed", "expired"])
    async def test_a_page_is_full_however_many_others_lie_between(
        self, between: str
    ) -> None:
        await self.post(b"first", client="other")
        many = [b"x"] * 2500
        if between == "delayed":
            await self.post(*many, delay=100)
        else:
            ttl = 60 if between == "expired" else 600
            await self.post(*many, client="me", ttl=ttl)
        if between == "claimed":
            await self.claim(limit=2501, ttl=400)
            await self.post(b"first", client="other")
        await self.post(b"last", client="other")
        now = NOW + (60 if between == "expired" else 0)
        own = "me" if between == "own" else None
        found = await self.page(limit=2, now=now, exclude_client=own)
        assert bodies(found) == [b"first", b"last"]
