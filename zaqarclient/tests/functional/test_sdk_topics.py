"""Topics in the SDK, over HTTP and over WebSocket, and on asyncio."""

from __future__ import annotations

import asyncio
import re
import textwrap
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zaqarclient.queues.client import Client
from zaqarclient.queues.v2 import client as v2_client
from zaqarclient.queues.v2.aio import AsyncClient
from zaqarclient.queues.v2.topic import Topic
from zaqarclient.transport import errors

HOOK = "http://hooks.example.com/in"


@pytest.fixture
def conf() -> dict[str, Any]:
    """A project that no other test uses."""
    options = {"os_project_id": uuid.uuid4().hex}
    return {"auth_opts": {"backend": "noauth", "options": options}}


@pytest.fixture(params=["http", "ws"])
def url(request: pytest.FixtureRequest, server: Any) -> str:
    known: str = {"http": server.url, "ws": server.websocket_url}[request.param]
    return known


@pytest.fixture
def client(url: str, conf: dict[str, Any]) -> Iterator[v2_client.Client]:
    with Client(url, 2, conf) as made:
        yield made


@pytest.fixture
def topic(client: v2_client.Client) -> Topic:
    return client.topic("news")


def test_a_topic_has_nothing_to_do_with_the_queue_of_its_name(
    client: v2_client.Client, topic: Topic
) -> None:
    queue = client.queue("news")
    queue.post({"body": "for one"})
    assert not topic.is_created()
    assert topic.stats["messages"]["total"] == 0
    topic.post([{"body": "for all"}, {"body": 2}])
    assert topic.is_created()
    assert topic.exists()
    assert [message.body for message in topic.messages(echo=True)] == ["for all", 2]
    assert [message.body for message in queue.messages(echo=True)] == ["for one"]
    topic.delete()
    assert not topic.is_created()
    assert queue.is_created()


def test_messages_lead_back_to_their_topic(topic: Topic) -> None:
    (href,) = topic.post({"body": "x"})["resources"]
    (message,) = topic.messages(echo=True)
    assert message.href == href == f"/v2/topics/news/messages/{message.id}"
    assert topic.message(message.id).body == "x"
    assert [one.id for one in topic.messages(message.id)] == [message.id]
    message.delete()
    with pytest.raises(errors.ResourceNotFound):
        topic.message(message.id)


def test_messages_are_read_to_the_end_popped_and_deleted(topic: Topic) -> None:
    topic.post([{"body": number} for number in range(45)])
    walk = topic.iter_messages(limit=20, echo=True)
    ids = [message.id for message in walk]
    assert len(set(ids)) == 45
    assert [message.body for message in topic.pop(2)] == [0, 1]
    topic.delete_messages(*ids[2:22])
    assert topic.stats["messages"]["total"] == 23
    assert topic.stats["messages"]["oldest"]["href"].endswith(ids[22])
    topic.purge(["messages"])
    assert list(topic.messages(echo=True)) == []


def test_topics_are_listed_by_name_and_metadata(client: v2_client.Client) -> None:
    for number in range(12):
        topic = client.topic(f"t{number:02}", force_create=True)
        topic.metadata({"even": str(number % 2 == 0), "with_count": "no"})
    page = client.topics(limit=5)
    assert [topic.name for topic in page] == [f"t{number:02}" for number in range(5)]
    names = [topic.name for topic in client.iter_topics(limit=5)]
    assert names == [f"t{number:02}" for number in range(12)]
    (first, *rest) = client.topics(name="t0", filters={"even": "True"}, detailed=True)
    assert first.metadata_dict["even"] == "True"
    assert len(rest) == 4
    # There is no count of topics: it is metadata like any other.
    assert len(list(client.iter_topics(filters={"with_count": "no"}))) == 12
    assert list(client.topics(filters={"with_count": True})) == []


def test_metadata_is_replaced_and_patched(topic: Topic) -> None:
    topic.metadata({"team": "press"})
    stored = topic.patch_metadata([{"op": "add", "path": "/metadata/n", "value": 1}])
    assert (stored["team"], stored["n"]) == ("press", 1)
    assert "_max_claim_count" not in stored
    assert topic.metadata({"m": 2}, force_reload=True)["m"] == 2
    assert "team" not in topic.metadata(force_reload=True)


def test_subscriptions_of_a_topic_are_its_own(
    client: v2_client.Client, topic: Topic
) -> None:
    made = topic.subscription(HOOK, ttl=600, options={"subject": "a"})
    assert (made.ttl, made.options, made.queue_name) == (600, {"subject": "a"}, "news")
    made.update({"ttl": 900})
    made.confirm()
    again = topic.subscription(id=made.id)
    assert (again.subscriber, again.ttl, again.confirmed) == (HOOK, 900, True)
    (listed,) = topic.subscriptions()
    assert (listed.id, listed.confirmed) == (made.id, True)
    assert list(client.subscriptions("news")) == []
    with pytest.raises(errors.ConflictError):
        topic.subscription(HOOK)
    with pytest.raises(errors.ResourceNotFound):
        client.subscription("news", id=made.id)
    listed.delete()
    assert list(topic.subscriptions()) == []


def test_a_queue_makes_subscriptions_as_a_topic_does(client: v2_client.Client) -> None:
    made = client.queue("orders").subscription(HOOK, ttl=600)
    assert client.subscription("orders", id=made.id).ttl == 600


def test_a_name_that_is_none_is_refused_before_anything_is_sent(
    client: v2_client.Client,
) -> None:
    with pytest.raises(ValueError, match="topic name"):
        client.topic("a b")


def test_what_is_posted_to_a_topic_is_heard_and_not_what_a_queue_gets(
    server: Any, conf: dict[str, Any]
) -> None:
    with Client(server.websocket_url, 2, conf) as client:
        with client.listen("orders", topics=["news"], timeout=10) as listener:
            client.queue("news").post({"body": "to a queue of this name"})
            client.topic("news").post({"body": 1})
            first = next(listener)
            assert (first.queue_name, first.body) == ("news", 1)
            client.queue("orders").post({"body": 2})
            assert next(listener).body == 2
        with client.topic("news").listen(timeout=10) as listener:
            client.topic("news").post({"body": 3})
            assert next(listener).body == 3
        with pytest.raises(ValueError, match="queue or topic"):
            client.listen()


def test_a_subscription_to_a_topic_is_made_again_on_the_next_connection(
    server_factory: Any, conf: dict[str, Any]
) -> None:
    server = server_factory()
    with (
        Client(server.websocket_url, 2, conf) as client,
        client.topic("news").listen(timeout=20) as listener,
    ):
        server.kill()
        server.start()
        assert listener.get(0) is None
        told = [False]
        while not told[0]:
            client.topic("news").post({"body": "after"})
            told[0] = listener.get(1) is not None


def test_the_lines_of_the_guide_do_what_it_says(
    server: Any, conf: dict[str, Any]
) -> None:
    guide = Path(__file__).parents[3] / "doc/source/user/topics.rst"
    (code,) = re.findall(
        r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)",
        guide.read_text(),
        re.MULTILINE,
    )
    project = conf["auth_opts"]["options"]["os_project_id"]
    code = code.replace("http://127.0.0.1:8888", server.url).replace("demo", project)
    names: dict[str, Any] = {}
    exec(textwrap.dedent(code), names)  # noqa: S102 - the guide's own code
    assert (names["titles"], names["names"]) == (["Spring"], ["news"])


def test_topics_on_asyncio(url: str, conf: dict[str, Any]) -> None:
    async def main() -> None:
        async with AsyncClient(url, 2, conf) as client:
            topic = client.topic("news")
            await topic.post([{"body": number} for number in range(25)])
            walk = topic.iter_messages(limit=20, echo=True)
            ids = [message.id async for message in walk]
            assert len(ids) == 25
            await topic.delete_messages(ids[0])
            assert (await topic.stats())["messages"]["total"] == 24
            assert [one.name async for one in client.iter_topics()] == ["news"]
            made = await topic.subscription(HOOK, ttl=600)
            assert [one.id async for one in topic.subscriptions()] == [made.id]
            await made.delete()
            assert await topic.metadata({"a": 1})
            await topic.delete()
            assert not await topic.is_created()
            if url.startswith("ws"):
                async with topic.listen(timeout=10) as listener:
                    await topic.post({"body": "heard"})
                    assert (await anext(listener)).body == "heard"

    asyncio.run(asyncio.wait_for(main(), 30))
