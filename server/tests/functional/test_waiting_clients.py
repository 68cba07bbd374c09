"""Claims, lists and pops of the SDK wait for messages."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from zaqarserver.testing.server import InProcessServer

from zaqarclient.queues import client as queues_client
from zaqarclient.queues.v2.client import Client

SHORT = {"transport": {"max_wait": 1}}
NONE = {"transport": {"max_wait": 0}}


@pytest.fixture(params=["", "waits", "cannot"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    settings = {"": None, "waits": SHORT, "cannot": NONE}[request.param]
    with InProcessServer(settings) as server:
        conf = {"auth_opts": {"backend": "noauth", "options": {"os_project_id": "p"}}}
        yield queues_client.Client(server.url, 2, conf)


def post_later(client: Client, seconds: float) -> threading.Timer:
    queue = client.queue("orders")
    timer = threading.Timer(seconds, queue.post, [{"body": "tea", "ttl": 600}])
    timer.start()
    return timer


def test_a_claim_waits(client: Client) -> None:
    post_later(client, 1.5)
    claim = client.queue("orders").claim(wait=20)
    assert [message.body for message in claim] == ["tea"]


def test_a_list_waits(client: Client) -> None:
    post_later(client, 1.5)
    found = client.queue("orders").messages(wait=20, echo=True)
    assert [message.body for message in found] == ["tea"]


def test_a_pop_waits(client: Client) -> None:
    post_later(client, 1.5)
    assert [message.body for message in client.queue("orders").pop(wait=20)] == ["tea"]


def test_a_wait_in_vain_ends(client: Client) -> None:
    began = time.monotonic()
    assert list(client.queue("orders").pop(wait=2)) == []
    assert time.monotonic() - began > 1.9
