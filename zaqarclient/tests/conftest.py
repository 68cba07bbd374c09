"""Fixtures of the client's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from zaqarclient.queues.v2 import client as v2_client
from zaqarclient.tests.http_stub import HttpStub
from zaqarclient.tests.ws_stub import WebsocketStub
from zaqarclient.transport.ws import WebsocketTransport

NOAUTH: dict[str, Any] = {
    "auth_opts": {"backend": "noauth", "options": {"os_project_id": "4f2a"}}
}


@pytest.fixture
def stub() -> Iterator[HttpStub]:
    """A stand-in for the service, on a real socket."""
    with HttpStub().running() as running:
        yield running


@pytest.fixture
def ws_stub() -> Iterator[WebsocketStub]:
    """A stand-in for the service on WebSocket, on a real socket."""
    with WebsocketStub().running() as running:
        yield running


@pytest.fixture
def ws_transport() -> Iterator[WebsocketTransport]:
    """A transport that does not pause between attempts."""
    with WebsocketTransport(NOAUTH) as transport:
        transport.sleep = lambda _seconds: None
        yield transport


@pytest.fixture
def make_client() -> Iterator[Callable[..., v2_client.Client]]:
    """Make clients without authentication; they are closed after the test."""
    made: list[v2_client.Client] = []

    def make(
        url: str | None = None, session: Any = None, **conf: Any
    ) -> v2_client.Client:
        client = v2_client.Client(url, 2, {**NOAUTH, **conf}, session)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(
    stub: HttpStub, make_client: Callable[..., v2_client.Client]
) -> v2_client.Client:
    """A client of the stub that does not pause between attempts."""
    client = make_client(stub.url)
    client.transport().sleep = lambda _seconds: None
    return client


@pytest.fixture
def queue(client: v2_client.Client) -> Any:
    """A queue of the stub."""
    return client.queue("orders")
