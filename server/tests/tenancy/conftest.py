"""A project that has things, and the ways to be somebody else."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .callers import Answer, Frames, Headers, Rest
from .requests_of_rows import Request, Target

SECRET = "the-secret-of-alpha"
KEY = "one-that-only-tests-know"


class Owner:
    """A project with a queue and a topic, and everything that they can have.

    Attributes:
        target: The names and ids.
        shared: A pre-signed URL for another queue of the project.
    """

    def __init__(self, url: str, project: str, headers: Headers) -> None:
        self._rest = Rest(url)
        self._headers = headers
        self.project = project
        base = uuid.uuid4().hex[:12]
        self.names = {"queue": f"q{base}", "topic": f"t{base}"}
        self.open_queue = f"o{base}"
        found = {kind: self._fill(kind) for kind in self.names}
        self.target = Target(queue=found["queue"], topic=found["topic"])
        self.shared = self._call("POST", f"/v2/queues/{self.open_queue}/share", ALL)
        self.before = self.seen()

    def _call(self, method: str, path: str, document: Any = None) -> Any:
        request = Request("", method, path, document, "application/json", {})
        answer = self._rest.ask(request, self._headers)
        assert answer.status < 300, answer
        text = answer.text.partition(" ")[2]
        return json.loads(text) if text else None

    def _fill(self, kind: str) -> dict[str, Any]:
        root = f"/v2/{kind}s/{self.names[kind]}"
        self._call("PUT", root, {"note": SECRET})
        posted = self._call(
            "POST",
            f"{root}/messages",
            {"messages": [{"body": SECRET, "ttl": 3600} for _ in range(3)]},
        )
        ids = [href.rpartition("/")[2] for href in posted["resources"]]
        subscribed = self._call(
            "POST",
            f"{root}/subscriptions",
            {
                "subscriber": "http://203.0.113.9/owner",
                "options": {"post_headers": {"X-Note": SECRET}},
            },
        )
        values = {
            f"{kind}_name": self.names[kind],
            "message_id": ids[1],
            "message_ids": ids,
            "subscription_id": subscribed["subscription_id"],
            "project_id": self.project,
            "pool_name": self.names[kind],
            "flavor_name": self.names[kind],
        }
        if kind == "queue":
            claimed = self._call("POST", f"{root}/claims?limit=1", {"ttl": 3600})
            held = claimed["messages"][0]["href"].rpartition("=")[2]
            self._call("POST", f"{root}/share", ALL)
            (grant,) = self._call("GET", f"{root}/signed_urls")["signed_urls"]
            values |= {
                "claim_id": held,
                "claim_ids": [held],
                "signed_url_id": grant["id"],
            }
        return values

    def seen(self) -> list[Answer]:
        """Return what the owner sees of all that it has."""
        queue, topic = (f"/v2/{kind}s/{name}" for kind, name in self.names.items())
        claim = self.target.queue["claim_id"]
        every = "messages?echo=true&include_claimed=true&include_delayed=true&limit=20"
        paths = [
            path
            for root in (queue, topic)
            for path in (
                root,
                f"{root}/stats",
                f"{root}/{every}",
                f"{root}/subscriptions?limit=20",
            )
        ]
        paths += [
            f"{queue}/claims/{claim}",
            f"{queue}/signed_urls",
            "/v2/queues?limit=20&detailed=true",
            "/v2/topics?limit=20&detailed=true",
        ]
        nobody = Target(queue={}, topic={})
        return [
            self._rest.ask(
                Request("", "GET", path, None, "application/json", {}), self._headers
            ).without(nobody)
            for path in paths
        ]

    def close(self) -> None:
        """End the connection."""
        self._rest.close()


ALL = {
    "paths": ["messages", "claims", "subscriptions"],
    "methods": ["GET", "POST", "PUT", "PATCH", "DELETE"],
}


@pytest.fixture(scope="module")
def open_server(server_factory: Callable[..., Any]) -> Any:
    """A server without authentication."""
    return server_factory(options=f"[signed_url]\nsecret_key = {KEY}\n")


@pytest.fixture
def owner_of_open_server(open_server: Any) -> Iterator[Owner]:
    """A project on it."""
    project = uuid.uuid4().hex
    owner = Owner(open_server.url, project, [("X-Project-ID", project)])
    yield owner
    owner.close()


@pytest.fixture(scope="module")
def owner_token(keystone: Any) -> str:
    """The token of somebody who works in alpha."""
    token: str = keystone.token("alice", "alpha")
    return token


@pytest.fixture
def owner(keystone: Any, keystone_server: Any, owner_token: str) -> Iterator[Owner]:
    """The project alpha on the server that asks Keystone."""
    headers = [("X-Auth-Token", owner_token)]
    owner = Owner(keystone_server.url, keystone.ids["alpha"], headers)
    yield owner
    owner.close()


@pytest.fixture(scope="module")
def intruder(keystone: Any) -> str:
    """The token of somebody who works in beta only."""
    token: str = keystone.token("bob", "beta")
    return token


@pytest.fixture
def rest(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Rest]]:
    """Make connections for REST."""
    made: list[Rest] = []

    def make(url: str) -> Rest:
        made.append(Rest(url))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def frames() -> Iterator[Callable[[str], Frames]]:
    """Make WebSockets."""
    made: list[Frames] = []

    def make(url: str) -> Frames:
        made.append(Frames(url))
        return made[-1]

    yield make
    for one in made:
        one.close()
