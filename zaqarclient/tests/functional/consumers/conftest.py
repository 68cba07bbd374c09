"""A cloud without authentication for the tests of consumers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from keystoneauth1 import noauth
from keystoneauth1 import session as ks_session

from zaqarclient.tests.functional.consumers.cloud import Cloud

NOBODY = "http://127.0.0.1:9/v3"
"""Asked for anything, it refuses: who has token and URL needs no identity."""


class ProjectPlugin(noauth.NoAuth):
    """Names a project beside a token that nobody checks."""

    def __init__(self, endpoint: str, project: str) -> None:
        super().__init__(endpoint=endpoint)
        self._project = project

    def get_project_id(self, session: Any, **_: Any) -> str:
        return self._project

    def get_headers(self, session: Any, **_: Any) -> dict[str, str]:
        return {"X-Auth-Token": "unchecked", "X-Project-Id": self._project}


@pytest.fixture(scope="session")
def signing_server(server_factory: Callable[..., Any]) -> Any:
    """A server without authentication that signs URLs."""
    return server_factory(
        options="admin_mode = true\n[signed_url]\nsecret_key = s3cret"
    )


@pytest.fixture
def cloud(signing_server: Any) -> Iterator[Cloud]:
    """A project of that server that no other test uses."""
    project = uuid.uuid4().hex
    session = ks_session.Session(auth=ProjectPlugin(signing_server.url, project))
    yield Cloud(
        url=signing_server.url,
        websocket_url=signing_server.websocket_url,
        auth_url=NOBODY,
        token="a-token",
        project_id=project,
        session=session,
    )
    session.session.close()


@pytest.fixture(params=["noauth", "keystone"])
def bench_backend(request: pytest.FixtureRequest) -> str:
    """How zaqar-bench may say who it is here."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def pooled_server(server_factory: Callable[..., Any]) -> Any:
    """A server with pools."""
    return server_factory(options="admin_mode = true\npooling = true")


@pytest.fixture
def operator(pooled_server: Any) -> tuple[str, dict[str, Any]]:
    """Where pools are, and the configuration of who may manage them."""
    options = {"os_project_id": uuid.uuid4().hex, "roles": "admin"}
    return pooled_server.url, {"auth_opts": {"backend": "noauth", "options": options}}
