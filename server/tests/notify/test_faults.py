"""All parts together: a real store, real receivers, some of them sick."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from receivers import cut, never, receiving, slam, status
from zaqarserver.notify.settings import NotifySettings
from zaqarserver.notify.worker import Notifier
from zaqarserver.storage.base import NewMessage
from zaqarserver.storage.commands import MessagePost, QueueGet
from zaqarserver.storage.sqlite import SQLiteStorage
from zaqarserver.storage.subscriptions import SubscriptionCreate, SubscriptionGet

from .loops import LOOPS

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LOOPS)
def anyio_backend(request):
    return request.param


POSTS = 10
# Retries at once, as many as it takes.
STUBBORN = {
    "retries_with_no_delay": 100_000,
    "minimum_delay": 0,
}


@pytest.fixture
async def running(tmp_path):
    """Run a store and a notifier; ``crash`` leaves them as a killed process would."""
    stack = contextlib.AsyncExitStack()

    async def queue_metadata(project, source):
        queue = await storage_of[-1].do(QueueGet(project, source))
        return None if queue is None else queue.metadata

    def readable(project, source, message):
        return message.body

    storage_of = []

    async def start(**settings):
        storage = SQLiteStorage.from_uri(f"sqlite:///{tmp_path / 'zaqar.db'}", {})
        storage_of.append(storage)
        notifier = Notifier(
            storage,
            NotifySettings(
                allowed_networks=("127.0.0.0/8",),
                **{"drain_timeout": 0.0, "request_timeout": 60.0, **settings},
            ),
            queue_metadata=queue_metadata,
            readable=readable,
        )
        posted = []  # of volatile subscriptions, which there are none of
        storage.watch(posted.append, notifier.wake)
        await storage.open()
        stack.push_async_callback(storage.close)
        await notifier.start()
        stack.push_async_callback(notifier.stop)
        return storage, notifier

    yield start
    await stack.aclose()


async def subscribe(storage, subscriber, **options):
    made, _ = await storage.do(
        SubscriptionCreate(
            "4f2a",
            "orders",
            subscriber=subscriber,
            ttl=3600,
            options=options,
            now=time.time(),
        )
    )
    return made


async def post(storage, *bodies):
    await storage.do(
        MessagePost(
            "4f2a",
            "orders",
            "client",
            [NewMessage(str(body).encode(), 300) for body in bodies],
            time.time(),
        )
    )


def bodies(receiver):
    return [request.json["body"] for request in receiver.requests]


async def test_sick_receivers_delay_no_healthy_one(running):
    storage, notifier = await running()
    async with contextlib.AsyncExitStack() as stack:
        healthy = [await stack.enter_async_context(receiving()) for _ in range(17)]
        silent, failing, cutting = [
            await stack.enter_async_context(receiving(answer))
            for answer in (never, status(500), cut)
        ]
        for receiver in (silent, failing, cutting, *healthy):
            await subscribe(storage, receiver.url())
        for number in range(POSTS):
            await post(storage, 2 * number, 2 * number + 1)
        await asyncio.gather(*(one.until(2 * POSTS) for one in healthy))
        # By then the one that never answers is still at its first attempt: nobody
        # waited for its end. The others that fail were tried meanwhile.
        assert len(silent.requests) == 1
        assert set(bodies(failing)) == {0}
        assert set(bodies(cutting)) == {0}
        for receiver in healthy:
            assert bodies(receiver) == list(range(2 * POSTS))
        assert notifier.counters()["sent", "http"] == 17 * 2 * POSTS


async def test_a_receiver_that_comes_back_gets_everything_in_order(running):
    storage, _ = await running()
    async with receiving(slam) as receiver:
        url, port = receiver.url(), receiver.port
        await subscribe(storage, url, _retry_policy=STUBBORN)
        for number in range(POSTS):
            await post(storage, number)
        await receiver.until(3)
    async with receiving(port=port) as receiver:
        await receiver.until(POSTS)
    assert bodies(receiver) == list(range(POSTS))


async def test_a_receiver_that_is_gone_is_unsubscribed(running):
    storage, notifier = await running()
    async with receiving(status(410)) as gone, receiving() as other:
        made = await subscribe(storage, gone.url())
        await subscribe(storage, other.url())
        await post(storage, 1)
        await gone.until(1)
        await post(storage, 2)
        await other.until(2)
        await notifier.stop()
        assert await storage.do(SubscriptionGet("4f2a", "orders", made.id, 0.0)) is None
        assert bodies(gone) == [1]


async def test_what_was_not_delivered_is_sent_after_a_restart(running):
    storage, notifier = await running()
    async with receiving(never) as receiver:
        port = receiver.port
        await subscribe(storage, receiver.url())
        await post(storage, 1, 2)
        await receiver.until(1)
        await notifier.stop()
    await storage.close()
    async with receiving(port=port) as receiver:
        await running()
        await receiver.until(2)
    assert bodies(receiver) == [1, 2]
