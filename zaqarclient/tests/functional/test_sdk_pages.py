"""Lists of the SDK over more than three pages of three, over HTTP and WebSocket."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from zaqarclient.queues.client import Client
from zaqarclient.queues.v2 import client as v2_client
from zaqarclient.queues.v2.aio import AsyncClient

NUMBERS = range(11)
HOOKS = [f"http://h{number:02}.example/" for number in NUMBERS]
KEY = "one-that-only-tests-know"


@pytest.fixture(scope="module")
def signing_server(server_factory: Callable[..., Any]) -> Any:
    return server_factory(options=f"[signed_url]\nsecret_key = {KEY}")


@pytest.fixture(params=["http", "ws"])
def url(request: pytest.FixtureRequest, signing_server: Any) -> str:
    known = {"http": signing_server.url, "ws": signing_server.websocket_url}
    return str(known[request.param])


@pytest.fixture
def conf() -> dict[str, Any]:
    """A project that no other test uses."""
    options = {"os_project_id": uuid.uuid4().hex}
    return {"auth_opts": {"backend": "noauth", "options": options}}


@pytest.fixture
def client(url: str, conf: dict[str, Any]) -> Iterator[v2_client.Client]:
    made = Client(url, 2, conf)
    yield made
    made.close()


@pytest.fixture
def filled(client: v2_client.Client) -> v2_client.Client:
    """A project with several pages of each kind."""
    queue = client.queue("n00")
    queue.post([{"body": number} for number in NUMBERS])
    for number, hook in zip(NUMBERS, HOOKS, strict=True):
        client.queue(f"n{number:02}", force_create=True)
        client.subscription("n00", subscriber=hook, ttl=600)
    return client


def test_each_list_goes_on_to_its_end(filled: v2_client.Client) -> None:
    queue = filled.queue("n00")
    names = [one.name for one in filled.iter_queues(limit=3)]
    assert names == [f"n{number:02}" for number in NUMBERS]
    messages = queue.messages(limit=3, echo=True).stream()
    assert [one.body for one in messages] == list(NUMBERS)
    hooks = [one.subscriber for one in queue.subscriptions(limit=3).stream()]
    assert hooks == HOOKS


def test_signed_urls_are_listed_to_their_end(filled: v2_client.Client) -> None:
    queue = filled.queue("n00")
    for seconds in NUMBERS:
        queue.signed_url(["messages"], 100 + seconds, ["GET"])
    listed = [one["id"] for one in queue.signed_urls(limit=3).stream()]
    assert len(set(listed)) == len(NUMBERS)
    assert listed == sorted(listed)


def test_each_list_goes_on_to_its_end_in_asyncio(
    filled: v2_client.Client, url: str, conf: dict[str, Any]
) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), AsyncClient(url, 2, conf) as client:
            queue = client.queue("n00")
            walk = queue.iter_messages(limit=3, echo=True)
            assert [one.body async for one in walk] == list(NUMBERS)
            queues = client.iter_queues(limit=3)
            assert [one.name async for one in queues] == [
                f"n{number:02}" for number in NUMBERS
            ]
            subscriptions = (await queue.subscriptions(limit=3)).stream()
            assert [one.subscriber async for one in subscriptions] == HOOKS

    assert filled.queue("n00")
    asyncio.run(main())
