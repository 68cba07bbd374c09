"""Callers with tokens, against a server that asks Keystone about them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import requests
from receivers import Receivers

PATIENCE = 30.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Return what a condition gives once it is true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        # Polling another process, not waiting for a guess to pass.
        time.sleep(0.05)
    raise AssertionError(f"never: {what}")


class Caller:
    """Sends requests with a token."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self._client_id = str(uuid4())

    def __call__(self, method: str, path: str, body: Any = None) -> requests.Response:
        return requests.request(
            method,
            f"{self.url}/v2{path}",
            json=body,
            headers={"X-Auth-Token": self.token, "Client-ID": self._client_id},
            timeout=30,
        )

    def subscribe(self, queue: str, subscriber: str, **more: Any) -> str:
        """Make a subscription and return its id."""
        body = {"subscriber": subscriber, "ttl": 600, **more}
        answer = self("POST", f"/queues/{queue}/subscriptions", body)
        assert answer.status_code == 201, answer.text
        return answer.json()["subscription_id"]

    def subscription(self, queue: str, id_: str) -> dict[str, Any]:
        """Return a subscription."""
        answer = self("GET", f"/queues/{queue}/subscriptions/{id_}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def subscriptions(self, queue: str) -> list[dict[str, Any]]:
        """Return the subscriptions of a queue."""
        return self("GET", f"/queues/{queue}/subscriptions").json()["subscriptions"]

    def post(self, queue: str, *bodies: Any) -> None:
        """Post messages."""
        messages = [{"body": body, "ttl": 300} for body in bodies]
        answer = self("POST", f"/queues/{queue}/messages", {"messages": messages})
        assert answer.status_code == 201, answer.text

    def bodies(self, queue: str) -> list[Any]:
        """Return the bodies of a queue's messages."""
        found = self("GET", f"/queues/{queue}/messages?echo=true").json()
        return [message["body"] for message in found["messages"]]


@pytest.fixture
def caller(keystone: Any, keystone_server: Any) -> Callable[..., Caller]:
    """Make callers: of a user in a project, or with a token."""

    def make(user: str = "alice", project: str | None = None, **more: Any) -> Caller:
        token = more.get("token") or keystone.kept_token(user, project)
        return Caller(more.get("url", keystone_server.url), token)

    return make


@pytest.fixture
def alice(caller: Callable[..., Caller]) -> Caller:
    """A member of the project ``alpha``."""
    return caller("alice")


@pytest.fixture
def queue() -> str:
    """The name of a queue that no other test uses."""
    return f"q-{uuid4().hex}"


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    """Servers that webhooks reach."""
    with Receivers() as made:
        yield made
