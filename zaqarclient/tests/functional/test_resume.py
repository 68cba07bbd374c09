"""Listeners that begin with a message, and go on after every reconnection."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import resumed_listeners
from redis_service import RedisServer

from zaqarclient.queues.v2.aio import AsyncClient
from zaqarclient.queues.v2.client import Client
from zaqarclient.queues.v2.pool import Pool

MakeClient = Callable[..., Client]


@pytest.fixture
def client(server: Any, make_client: MakeClient) -> Client:
    """A client of HTTP, in a project of its own."""
    options = {"os_project_id": uuid.uuid4().hex}
    return make_client(server.url, auth_opts={"backend": "noauth", "options": options})


def test_what_is_there_comes_first_and_with_ids(client: Client) -> None:
    queue = client.queue("news")
    ids = queue.post([{"body": number} for number in range(30)]).ids
    with queue.listen(since=ids[4], timeout=30) as listener:
        ids += queue.post([{"body": 30}]).ids
        found = [next(listener) for _ in range(26)]
    assert [(one.message_id, one.body) for one in found] == [
        (id_, number) for number, id_ in enumerate(ids) if number > 4
    ]
    with client.topic("news").listen(since="newest", timeout=30) as listener:
        (id_,) = client.topic("news").post([{"body": 1}]).ids
        assert next(listener).message_id == id_


def test_a_listener_of_asyncio_does_the_same(server: Any) -> None:
    async def listen() -> None:
        async with AsyncClient(server.url, project=uuid.uuid4().hex) as client:
            queue = client.queue("news")
            ids = (await queue.post([{"body": 1}, {"body": 2}])).ids
            async with client.listen("news", since="oldest", timeout=30) as listener:
                found = [await anext(listener) for _ in range(2)]
        assert [one.message_id for one in found] == ids

    asyncio.run(listen())


def test_the_newest_of_nothing_is_resumed_after_a_restart(
    server_factory: Callable[..., Any], make_client: MakeClient
) -> None:
    own = server_factory()
    queue = make_client(own.url).queue("news")
    with queue.listen(since="newest") as listener:
        own.kill()
        own.start()
        # The listener is not back yet: nobody waits for its notifications.
        (id_,) = queue.post([{"body": 1}]).ids
        found = listener.get(60)
        assert found is not None
        assert found.message_id == id_


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_cut_listeners_of_killed_servers_see_each_message_once_in_order(
    server_factory: Callable[..., Any], tmp_path: Path, store: str
) -> None:
    with contextlib.ExitStack() as stack:
        if store == "redis":
            redis = RedisServer(tmp_path / "redis", "--appendonly", "yes")
            redis.start()
            stack.callback(redis.stop)
            servers = [server_factory(uri=redis.uri) for _ in range(2)]
            for server in servers:
                stack.callback(server.stop)
        else:
            servers = [server_factory()]
        resumed_listeners.run(
            servers, messages=600, listeners=6, posters=3, cuts=20, kills=0.5
        )


def _drain(pool: Pool, moved: threading.Event) -> None:
    """Move the queues of a pool to others, and say when it is over."""
    try:
        while (state := pool.drain(wait=5))["queues"]:
            assert state["error"] is None, state
    finally:
        moved.set()


@pytest.mark.parametrize("kinds", ["sqlite sqlite", "sqlite redis", "redis sqlite"])
def test_a_listener_goes_on_when_its_queue_moves_to_another_pool(
    server_factory: Callable[..., Any],
    make_client: MakeClient,
    tmp_path: Path,
    kinds: str,
) -> None:
    redis = RedisServer(tmp_path / "redis", "--appendonly", "yes")
    redis.start()
    own = server_factory(options="admin_mode = true\npooling = true")
    options = {"os_project_id": "p", "roles": "admin"}
    admin = {"backend": "noauth", "options": options}
    client = make_client(own.url, auth_opts=admin)
    places = {
        name: redis.uri if kind == "redis" else f"sqlite:///{tmp_path}/{name}.db"
        for name, kind in zip(("old", "new"), kinds.split(), strict=True)
    }
    client.pool("old", uri=places["old"], weight=100)
    client.pool("new", uri=places["new"], weight=0)
    client.flavor("moving", pool_list=["old", "new"])
    queue = client.queue("news")
    queue.metadata({"_flavor": "moving"})
    ids = queue.post([{"body": number} for number in range(50)]).ids
    with queue.listen(since="oldest", timeout=60) as listener:
        seen = [next(listener).message_id for _ in range(10)]
        client.pool("new", auto_create=False).update({"weight": 1})
        moved = threading.Event()
        drain = threading.Thread(
            target=_drain, args=(client.pool("old", auto_create=False), moved)
        )
        drain.start()
        late = 20
        while late:
            ids += queue.post([{"body": 0}]).ids
            late -= moved.is_set()
        drain.join()
        seen += [next(listener).message_id for _ in range(len(ids) - 10)]
        assert listener.get(0.1) is None
    own.stop()
    redis.stop()
    assert seen == ids
