"""Signed URLs against a real server: used over both wires, listed, revoked."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from zaqarclient.auth.signed_url import SignedURL, format_signed_url
from zaqarclient.queues import client as factory
from zaqarclient.queues.v2.aio import AsyncClient
from zaqarclient.queues.v2.client import Client
from zaqarclient.transport import errors

SIGNING = "admin_mode = true\n[signed_url]\nsecret_key = s3cret"


@pytest.fixture(scope="module")
def signing_server(server_factory: Callable[..., Any]) -> Any:
    """A server that signs."""
    return server_factory(options=SIGNING)


@pytest.fixture(params=["http", "ws"])
def endpoint(request: pytest.FixtureRequest, signing_server: Any) -> str:
    """Its endpoint on one of the wires."""
    urls = {"http": signing_server.url, "ws": signing_server.websocket_url}
    return urls[request.param]


@pytest.fixture
def conf() -> dict[str, Any]:
    """A project that no other test uses."""
    options = {"os_project_id": uuid.uuid4().hex}
    return {"auth_opts": {"backend": "noauth", "options": options}}


@pytest.fixture
def owner(endpoint: str, conf: dict[str, Any]) -> Iterator[Client]:
    """A client of the queue's owner."""
    with factory.Client(endpoint, conf=conf) as client:
        yield client


def line_of(client: Client, **given: Any) -> str:
    """Sign the queue, and write it as one line."""
    signed = client.queue("builds").signed_url(**given)
    return format_signed_url(SignedURL.of(client.api_url or "", signed))


def test_somebody_posts_with_nothing_but_a_line(owner: Client) -> None:
    line = line_of(owner, methods=["POST", "GET"])
    with factory.Client(line) as guest:
        guest.queue("builds").post({"body": {"build": 7}})
        assert [one.body for one in guest.queue("builds").messages(echo=True)] == [
            {"build": 7}
        ]
    assert next(owner.queue("builds").pop()).body == {"build": 7}


def test_what_was_signed_is_listed_page_by_page(owner: Client) -> None:
    queue = owner.queue("builds")
    for seconds in (100, 200, 300):
        queue.signed_url(["claims", "messages"], seconds, ["GET", "POST"])
    first, *others = list(queue.signed_urls(limit=1).stream())
    assert len(others) == 2
    assert first["paths"] == ["/v2/queues/builds/claims", "/v2/queues/builds/messages"]
    assert first["methods"] == ["GET", "POST"]
    assert first["revoked"] is False
    assert first["created"] < first["expires"]
    assert "signature" not in first
    after = list(queue.signed_urls(marker=first["id"]))
    assert [one["id"] for one in after] == [one["id"] for one in others]
    assert list(owner.queue("other").signed_urls()) == []


def test_a_revoked_url_is_listed_as_such(owner: Client) -> None:
    queue = owner.queue("builds")
    queue.signed_url()
    (known,) = queue.signed_urls()
    queue.revoke_signed_url(known["id"])
    assert [one["revoked"] for one in queue.signed_urls()] == [True]


def test_an_unknown_url_cannot_be_revoked(owner: Client) -> None:
    with pytest.raises(errors.ResourceNotFound, match="no signed URL"):
        owner.queue("builds").revoke_signed_url("0" * 32)


def test_the_asyncio_client_lists_and_revokes(
    endpoint: str, conf: dict[str, Any]
) -> None:
    async def revoke_all() -> list[bool]:
        async with AsyncClient(endpoint, conf=conf) as client:
            queue = client.queue("builds")
            await queue.signed_url()
            async for known in queue.signed_urls():
                await queue.revoke_signed_url(known["id"])
            return [known["revoked"] async for known in queue.signed_urls()]

    assert asyncio.run(revoke_all()) == [True]
