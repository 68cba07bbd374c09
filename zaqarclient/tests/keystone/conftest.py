"""A project of its own for the client's tests with Keystone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from keystone_service import Keystone
from keystoneauth1 import session as ks_session

from zaqarclient.queues.v2 import client as v2_client
from zaqarclient.tests.functional.consumers.cloud import Cloud

PROJECT = "consumers"


@pytest.fixture(scope="session")
def project_id(keystone: Keystone) -> str:
    """A project of ``alice`` that only these tests use."""
    admin = keystone.token("admin")
    body = {"project": {"name": PROJECT, "domain_id": "default"}}
    made = keystone.call("POST", "/projects", body, token=admin)["project"]["id"]
    roles = keystone.call("GET", "/roles?name=member", token=admin)["roles"]
    grant = f"/projects/{made}/users/{keystone.ids['alice']}/roles/{roles[0]['id']}"
    keystone.call("PUT", grant, token=admin)
    return str(made)


@pytest.fixture(scope="session")
def member(keystone: Keystone, project_id: str) -> Iterator[ks_session.Session]:
    """The session of ``alice`` in the project."""
    session = keystone.session("alice", PROJECT)
    yield session
    session.session.close()


@pytest.fixture
def cloud(
    keystone: Keystone,
    keystone_server: Any,
    project_id: str,
    member: ks_session.Session,
) -> Iterator[Cloud]:
    """The project, without a queue when the test begins."""
    yield Cloud(
        url=keystone_server.url,
        websocket_url=keystone_server.websocket_url,
        auth_url=keystone.url,
        token=member.get_token(),
        project_id=project_id,
        session=member,
    )
    with v2_client.Client(session=member) as client:
        for queue in list(client.iter_queues()):
            queue.delete()


@pytest.fixture
def password_options(cloud: Cloud) -> dict[str, Any]:
    """The options of a program that logs in by itself."""
    return {
        "os_username": "alice",
        "os_password": "alice-secret",
        "os_project_name": PROJECT,
        "os_auth_url": cloud.auth_url,
    }


@pytest.fixture
def bench_backend() -> str:
    """The server asks for tokens: zaqar-bench has but one form here."""
    return "keystone"


@pytest.fixture(scope="session")
def pooled_server(keystone: Keystone, server_factory: Callable[..., Any]) -> Any:
    """A server with pools that asks for tokens."""
    return server_factory(
        options=keystone.server_options("admin_mode = true\npooling = true")
    )


@pytest.fixture
def operator(keystone: Keystone, pooled_server: Any) -> tuple[str, dict[str, Any]]:
    """Where pools are, and the configuration of the administrator."""
    options = {
        "os_auth_token": keystone.token("admin"),
        "os_auth_url": keystone.url,
        "os_service_type": "messaging",
    }
    return pooled_server.url, {"auth_opts": {"options": options}}
