"""The asyncio client against a real server, over HTTP and over WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import pytest
from tcp_proxy import CountingProxy

from zaqarclient.errors import InvalidOperation
from zaqarclient.queues.client import Client
from zaqarclient.queues.v2.aio import AsyncClient
from zaqarclient.transport import errors

Connect = Callable[..., AsyncClient]


@pytest.fixture(params=["http", "ws"])
def url(request: pytest.FixtureRequest, server: Any) -> str:
    known: str = {"http": server.url, "ws": server.websocket_url}[request.param]
    return known


@pytest.fixture
def conf() -> dict[str, Any]:
    """A project that no other test uses."""
    options = {"os_project_id": uuid.uuid4().hex}
    return {"auth_opts": {"backend": "noauth", "options": options}}


@pytest.fixture
def connect(url: str, conf: dict[str, Any]) -> Connect:
    """Make clients of the server; tests close them."""
    return lambda to=url, **more: AsyncClient(to, 2, conf, **more)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine; it has to end."""

    async def bounded() -> None:
        async with asyncio.timeout(30):
            await main

    asyncio.run(bounded())


def test_messages_are_posted_read_claimed_and_deleted(connect: Connect) -> None:
    async def main() -> None:
        async with connect() as client:
            queue = client.queue("orders")
            posted = await queue.post([{"body": number} for number in range(45)])
            assert len(posted["resources"]) == 45
            page = await queue.messages(limit=20, echo=True)
            assert [message.body async for message in page] == list(range(20))
            walk = queue.iter_messages(limit=20, echo=True)
            assert [message.body async for message in walk] == list(range(45))
            claim = await queue.claim(ttl=300, grace=60, limit=3)
            async for message in claim:
                assert message.claim_id == claim.id
                await message.delete()
            assert await claim.ttl() == 300
            assert (await queue.stats())["messages"]["total"] == 42
            assert [message.body async for message in queue.pop(2)] == [3, 4]

    run(main())


def test_claims_are_renewed_read_and_released(connect: Connect) -> None:
    async def main() -> None:
        async with connect() as client:
            queue = client.queue("orders")
            await queue.post([{"body": 1}, {"body": 2}])
            claim = await queue.claim(ttl=60, grace=60)
            await claim.update(ttl=120, grace=90)
            again = await queue.claim(id=claim.id)
            assert [message.body for message in await again.messages()] == [1, 2]
            assert (await again.ttl(), await again.age()) in {(120, 0), (120, 1)}
            await claim.delete()
            with pytest.raises(errors.ResourceNotFound):
                await (await queue.claim(id=claim.id)).messages()
            claim = await queue.claim()
            assert len(await claim.messages()) == 2
            await claim.delete_messages()
            assert (await queue.stats())["messages"]["total"] == 0

    run(main())


def test_queues_are_made_changed_listed_and_removed(connect: Connect) -> None:
    async def main() -> None:
        async with connect() as client:
            names = [f"q{number:02}" for number in range(12)]
            await asyncio.gather(
                *(client.queue(name).ensure_exists(force_create=True) for name in names)
            )
            assert [queue.name async for queue in client.iter_queues()] == names
            found, count = await client.queues(limit=5, with_count=True)
            assert [queue.name async for queue in found] == names[:5]
            assert count == 12
            queue = client.queue("q03")
            assert (await queue.metadata(new_meta={"team": "a"}))["team"] == "a"
            await queue.delete()
            assert not await queue.is_created()
            assert await client.ping()
            assert "rel/queues" in (await client.homedoc())["resources"]

    run(main())


def test_subscriptions_are_made_changed_and_removed(connect: Connect) -> None:
    async def main() -> None:
        async with connect() as client:
            hook = "https://hooks.example/in"
            made = await client.subscription("orders", subscriber=hook, ttl=600)
            assert (made.subscriber, made.ttl, made.queue_name) == (hook, 600, "orders")
            await made.update({"ttl": 900})
            queue = client.queue("orders")
            assert [s.ttl async for s in queue.subscriptions()] == [900]
            await made.delete()
            assert [s async for s in client.subscriptions("orders")] == []

    run(main())


def test_what_fails_raises_what_it_raises_elsewhere(connect: Connect) -> None:
    async def main() -> None:
        async with connect() as client:
            queue = client.queue("orders")
            with pytest.raises(errors.ResourceNotFound):
                await queue.message("none")
            with pytest.raises(ValueError, match="a message is a dict"):
                await queue.post("text")  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="queue name"):
                client.queue("a b")
            with pytest.raises(AttributeError, match="metadata_dict"):
                queue.metadata_dict  # type: ignore[attr-defined]  # noqa: B018 - it would block
        with pytest.raises(InvalidOperation, match="closed"):
            await client.ping()

    run(main())


def test_many_calls_run_at_once(connect: Connect, url: str) -> None:
    async def main() -> None:
        with CountingProxy(urlsplit(url).port or 0).running() as proxy:
            scheme = urlsplit(url).scheme
            to = proxy.url.replace("http", scheme)
            async with connect(to, most_calls=4) as client:
                queue = client.queue("orders")
                await asyncio.gather(*(queue.post({"body": n}) for n in range(100)))
                assert (await queue.stats())["messages"]["total"] == 100
        assert proxy.connections <= (1 if scheme == "ws" else 4)

    run(main())


async def free(queue: Any, count: int) -> bool:
    """Return whether a moment comes when so many messages are free."""
    for _ in range(500):
        if (await queue.stats())["messages"]["free"] == count:
            return True
    return False


def test_a_cancelled_claim_leaves_nothing_claimed(connect: Connect) -> None:
    async def main() -> None:
        async with connect() as client, connect() as other:
            queue = client.queue("orders")
            await queue.post([{"body": number} for number in range(5)])
            for turns in range(40):
                task = asyncio.create_task(queue.claim(limit=5))
                # Cancel it before, while and after the answer is under way.
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await (await task).delete()
            await client.close()
            assert await free(other.queue("orders"), 5)

    run(main())


def test_a_claim_whose_answer_comes_after_the_cancellation_is_released(
    connect: Connect, url: str
) -> None:
    async def main() -> None:
        with CountingProxy(urlsplit(url).port or 0).running() as proxy:
            async with (
                connect(proxy.url.replace("http", urlsplit(url).scheme)) as client,
                connect() as other,
            ):
                queue = other.queue("orders")
                await queue.post([{"body": number} for number in range(5)])
                await client.ping()
                proxy.hold_answers()
                task = asyncio.create_task(client.queue("orders").claim(limit=5))
                assert await free(queue, 0), "the server has claimed them"
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                proxy.let_answers_go()
                assert await free(queue, 5)

    run(main())


def test_a_cancelled_call_sends_nothing_further(
    connect: Connect, conf: dict[str, Any], url: str
) -> None:
    """Replacing metadata takes two requests: the first one reads them."""

    async def main() -> None:
        with CountingProxy(urlsplit(url).port or 0).running() as proxy:
            async with connect(
                proxy.url.replace("http", urlsplit(url).scheme)
            ) as client:
                await client.ping()
                queue = client.queue("orders")
                await queue.ensure_exists(force_create=True)
                proxy.hold_answers()
                task = asyncio.create_task(queue.metadata(new_meta={"a": 1}))
                assert await asyncio.to_thread(proxy.answer_is_held.wait, 10)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                proxy.let_answers_go()
                await client.close()
        with Client(url, 2, conf) as checking:
            assert "a" not in checking.queue("orders").metadata()

    run(main())


def test_notifications_are_awaited_and_outlive_a_cancelled_wait(
    server: Any, conf: dict[str, Any]
) -> None:
    async def main() -> None:
        async with AsyncClient(server.websocket_url, 2, conf) as client:
            queue = client.queue("orders")
            async with client.listen("orders", "other", timeout=10) as listener:
                waiting = asyncio.create_task(listener.get())
                await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                await queue.post([{"body": 1}, {"body": 2}])
                await client.queue("other").post({"body": 3})
                found = [(await anext(listener)).body for _ in range(3)]
                assert found == [1, 2, 3]
            assert [n async for n in listener] == []

    run(main())


def test_listening_without_a_block_ends_with_the_client(
    server: Any, conf: dict[str, Any]
) -> None:
    async def main() -> None:
        client = AsyncClient(server.websocket_url, 2, conf)
        queue = client.queue("orders")
        poster = asyncio.create_task(post_until_heard(queue))
        async for notification in queue.listen():
            assert notification.body == "x"
            break
        poster.cancel()
        await client.close()

    async def post_until_heard(queue: Any) -> None:
        while True:
            await queue.post({"body": "x"})

    run(main())


def test_a_client_of_http_listens_over_the_websocket_of_the_same_port(
    server: Any, conf: dict[str, Any]
) -> None:
    async def main() -> None:
        async with (
            AsyncClient(server.url, 2, conf) as client,
            client.listen("orders") as listener,
        ):
            await client.queue("orders").post({"body": "tea"})
            assert (await anext(listener)).body == "tea"

    run(main())
