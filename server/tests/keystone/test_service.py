"""The identity service of the tests is a real one."""

from __future__ import annotations

import datetime as dt
import time

import pytest
import requests
from keystone_service import Keystone


def test_a_user_gets_tokens_in_the_projects_it_is_a_member_of(
    keystone: Keystone,
) -> None:
    for project in ("alpha", "beta"):
        session = keystone.session("carol", project)
        assert session.get_project_id() == keystone.ids[project]
    with pytest.raises(requests.HTTPError, match="401"):
        keystone.token("alice", "beta")


def test_a_revoked_token_is_no_token(keystone: Keystone) -> None:
    token = keystone.token("alice")
    keystone.call("GET", f"/users/{keystone.ids['alice']}", token=token)

    keystone.revoke(token)

    def use_for_a_while() -> None:
        """Use it until it is refused: a cache may know it for a moment longer."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            keystone.call("GET", f"/users/{keystone.ids['alice']}", token=token)

    with pytest.raises(requests.HTTPError, match="401"):
        use_for_a_while()


def test_a_token_may_be_asked_for_that_expires_soon(keystone: Keystone) -> None:
    token = keystone.token("alice", lifetime=100)

    shown = keystone.call("GET", "/auth/tokens", headers={"X-Subject-Token": token})
    issued, expires = (
        dt.datetime.fromisoformat(shown["token"][name])
        for name in ("issued_at", "expires_at")
    )
    assert expires - issued == dt.timedelta(seconds=100)
