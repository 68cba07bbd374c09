"""Quotas and rates against a real server: shown, and what comes of exceeding them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from zaqarclient.queues import client as factory
from zaqarclient.queues.v2.aio import AsyncClient
from zaqarclient.queues.v2.client import Client
from zaqarclient.transport import errors

LIMITED = "[quota]\nqueues = 2\nrequests_per_second = 20\nburst = 5"


@pytest.fixture(scope="module")
def limited_server(server_factory: Callable[..., Any]) -> Any:
    """A server that gives each project little."""
    return server_factory(options=LIMITED)


@pytest.fixture(params=["http", "ws"])
def endpoint(request: pytest.FixtureRequest, limited_server: Any) -> str:
    """Its endpoint on one of the wires."""
    urls = {"http": limited_server.url, "ws": limited_server.websocket_url}
    return urls[request.param]


@pytest.fixture
def conf() -> dict[str, Any]:
    """A project that no other test uses."""
    options = {"os_project_id": uuid.uuid4().hex}
    return {"auth_opts": {"backend": "noauth", "options": options}}


@pytest.fixture
def client(endpoint: str, conf: dict[str, Any]) -> Iterator[Client]:
    """A client of a project that may do little."""
    with factory.Client(endpoint, conf=conf) as client:
        yield client


def test_a_project_is_shown_what_it_may_use_and_uses(client: Client) -> None:
    client.queue("one", force_create=True)
    shown = client.quotas()
    assert shown["quotas"]["queues"] == {"limit": 2, "used": 1}
    assert shown["quotas"]["messages"] == {"limit": -1, "used": 0}
    assert shown["rate"]["requests_per_second"] == 20
    assert shown["rate"]["burst"] == 5


def test_a_client_is_shown_extensions_and_limits(client: Client) -> None:
    shown = client.limits()
    assert shown["limits"]["max_claim_ttl"] == 43200
    assert isinstance(shown["features"], list)


def test_the_asyncio_client_shows_quotas(endpoint: str, conf: dict[str, Any]) -> None:
    async def shown() -> Any:
        async with AsyncClient(endpoint, conf=conf) as client:
            return await client.quotas()

    assert asyncio.run(shown())["quotas"]["queues"]["limit"] == 2


@pytest.mark.parametrize("wire", ["http", "ws"])
def test_another_project_is_shown_to_administrators_only(
    wire: str, server: Any, conf: dict[str, Any]
) -> None:
    url = {"http": server.url, "ws": server.websocket_url}[wire]
    with factory.Client(url, conf=conf) as user:
        user.queue("one", force_create=True)
        with pytest.raises(errors.ForbiddenError):
            user.quotas("somebody-else")
    project = conf["auth_opts"]["options"]["os_project_id"]
    options = {"os_project_id": "admins", "roles": "admin"}
    admin_conf = {"auth_opts": {"backend": "noauth", "options": options}}
    with factory.Client(url, conf=admin_conf) as admin:
        assert admin.quotas(project)["quotas"]["queues"] == {"limit": -1, "used": 1}


def test_a_client_waits_as_long_as_the_rate_wants_and_posts_all(
    client: Client,
) -> None:
    pauses: list[float] = []
    wait = client.transport().sleep

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        wait(seconds)

    client.transport().sleep = sleep
    for number in range(8):
        client.queue("one").post({"body": number})
    assert pauses
    assert client.queue("one").stats["messages"]["total"] == 8


def test_a_client_that_waits_for_nobody_is_told_how_long(
    endpoint: str, conf: dict[str, Any]
) -> None:
    impatient = {**conf, "max_retry_after": 0}

    def post_many() -> None:
        with factory.Client(endpoint, conf=impatient) as client:
            for _ in range(200):
                client.queue("one").post({"body": 1})

    with pytest.raises(errors.TooManyRequests) as caught:
        post_many()
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 1


def test_a_queue_too_many_is_refused_with_the_reason(client: Client) -> None:
    for name in ("one", "two"):
        client.queue(name, force_create=True)
    with pytest.raises(errors.TransportError, match="queues") as caught:
        client.queue("three").post({"body": 1})
    assert caught.value.status in {403, 413}
