"""What the service cannot tell is raised as unknown, and not done a second time."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from redis_service import RedisServer
from tcp_proxy import CountingProxy, Fault

from zaqarclient.queues.client import Client
from zaqarclient.queues.v2.aio import AsyncClient
from zaqarclient.transport import errors

Do = Callable[[Any], Any]


class Services(NamedTuple):
    """Two servers on one Redis.

    Attributes:
        sure: It confirms.
        unsure: It waits for a replica that is not there, and knows of nothing whether
            it will last.
    """

    sure: Any
    unsure: Any


@pytest.fixture(scope="module")
def services(
    server_factory: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    redis = RedisServer(tmp_path_factory.mktemp("redis") / "data")
    redis.start()
    waiting = f"{redis.uri}?wait_replicas=1&wait_timeout=0.02&retry=0.2"
    made = Services(server_factory(uri=redis.uri), server_factory(uri=waiting))
    yield made
    made.unsure.stop()
    made.sure.stop()
    redis.kill()


def conf(project: str) -> dict[str, Any]:
    options = {"os_project_id": project}
    return {"auth_opts": {"backend": "noauth", "options": options}}


@pytest.fixture(params=["http", "ws"])
def scheme(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def url_of(server: Any, scheme: str) -> str:
    known: str = {"http": server.url, "ws": server.websocket_url}[scheme]
    return known


@contextlib.contextmanager
def synchronous(url: str, project: str) -> Iterator[Callable[[Do], Any]]:
    """Do something with a client."""
    with Client(url, 2, conf(project)) as client:
        yield lambda do: do(client)


@contextlib.contextmanager
def in_asyncio(url: str, project: str) -> Iterator[Callable[[Do], Any]]:
    """Do the same with an asyncio client."""
    client = AsyncClient(url, 2, conf(project))

    async def main(do: Do) -> Any:
        return await do(client)

    with asyncio.Runner() as runner:
        yield lambda do: runner.run(main(do))
        runner.run(client.close())


CLIENTS = [synchronous, in_asyncio]


@pytest.mark.parametrize("client", CLIENTS)
def test_what_may_have_been_done_is_raised_as_unknown_and_done_once(
    services: Services, scheme: str, client: Any
) -> None:
    project = uuid.uuid4().hex
    with Client(services.sure.url, 2, conf(project)) as sure:
        queue = sure.queue("q")
        queue.post([{"body": number} for number in range(4)])
        with client(url_of(services.unsure, scheme), project) as unsure:

            def total(kind: str = "total") -> int:
                count: int = queue.stats["messages"][kind]
                return count

            def is_unknown(do: Do) -> None:
                with pytest.raises(errors.GatewayTimeout) as caught:
                    unsure(do)
                assert caught.value.outcome_unknown
                assert caught.value.retry_after is None
                assert "may have been executed" in str(caught.value)

            is_unknown(lambda one: one.queue("q").post({"body": "new"}))
            assert total() == 5
            is_unknown(lambda one: one.queue("q").claim(ttl=300, grace=300, limit=1))
            assert (total(), total("claimed")) == (5, 1)
            is_unknown(lambda one: one.queue("q").pop(1))
            assert total() == 4
            is_unknown(lambda one: one.subscription("q", subscriber="http://h/"))
            assert len(list(queue.subscriptions())) <= 1
            is_unknown(lambda one: one.queue("q").purge(["messages"]))
            assert total() == 0


@pytest.mark.parametrize("client", CLIENTS)
def test_a_post_whose_answer_is_lost_is_sent_again_and_a_pop_is_not(
    services: Services, scheme: str, client: Any
) -> None:
    """The connection to the service breaks after the request was served."""
    project = uuid.uuid4().hex
    server = services.sure
    port = server.port if scheme == "http" else server.websocket_port
    with Client(server.url, 2, conf(project)) as sure:
        queue = sure.queue("q")
        queue.post({"body": "first"})
        with (
            CountingProxy(port).running() as proxy,
            client(proxy.url.replace("http", scheme), project) as cut,
        ):
            cut(
                lambda one: one.queue("q").post({"body": "second"})
            )  # the connection is kept
            # Frames are masked: each of the requests that follow is chosen. A post has
            # a key that the service recognizes when it comes again.
            proxy.inject(Fault.CUT, b"POST" if scheme == "http" else b"")
            cut(lambda one: one.queue("q").post({"body": "third"}))
            assert proxy.injected == 1
            proxy.inject(Fault.CUT, b"DELETE" if scheme == "http" else b"")
            with pytest.raises(errors.ConnectionFailed) as caught:
                cut(lambda one: one.queue("q").pop(1))
            assert proxy.injected == 2
            assert caught.value.outcome_unknown
            cut(lambda one: one.queue("q").post({"body": "fourth"}))
        found = [message.body for message in queue.messages(echo=True)]
        assert [body for body in found if body != "first"] == [
            "second",
            "third",
            "fourth",
        ]
