"""Callers are let in by what Keystone says of their token, over REST."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
import requests
from keystone_service import Keystone


def call(server: Any, token: str, method: str, path: str, **more: Any) -> Any:
    return requests.request(
        method,
        f"{server.url}/v2{path}",
        headers={"X-Auth-Token": token, "Client-ID": str(uuid4())},
        timeout=30,
        **more,
    )


def test_each_project_sees_its_own_queues(
    keystone: Keystone, keystone_server: Any
) -> None:
    alpha, beta = keystone.token("carol", "alpha"), keystone.token("carol", "beta")
    name = f"q-{uuid4().hex}"
    assert call(keystone_server, alpha, "PUT", f"/queues/{name}").status_code == 201

    def names(token: str) -> list[str]:
        found = call(keystone_server, token, "GET", f"/queues?name={name}").json()
        return [queue["name"] for queue in found["queues"]]

    assert names(alpha) == [name]
    assert names(beta) == []


@pytest.mark.parametrize("token", ["", "gAAAA-not-a-token", "x" * 4000])
def test_what_is_no_token_opens_nothing(keystone_server: Any, token: str) -> None:
    answer = call(keystone_server, token, "GET", "/queues")
    assert answer.status_code == 401
    assert "Keystone uri=" in answer.headers["WWW-Authenticate"]
