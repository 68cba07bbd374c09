"""The plugin module of ``openstack``: versions, options, who needs a token."""

from __future__ import annotations

import argparse
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from zaqarclient.queues import cli

URL = "http://127.0.0.1:9"


@pytest.mark.parametrize("text", ["2", "2.0", "v2", "v2.0", " V2 "])
def test_spellings_of_version_2_are_the_same(text: str) -> None:
    assert cli.api_version(text) == "2"


@pytest.mark.parametrize("version", ["2", "2.0"])
def test_version_2_needs_no_comment(
    version: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert cli.check_api_version(version)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("1", "was removed"),
        ("v1.1", "was removed"),
        ("3", "does not exist"),
        ("v2", "write messaging API version v2 as 2"),
    ],
)
def test_another_version_is_named(
    version: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert cli.check_api_version(version)
    assert text in caplog.text


def test_another_version_is_left_as_it_is() -> None:
    assert cli.api_version("v1.1") == "v1.1"


def parsed(*words: str) -> argparse.Namespace:
    return cli.build_option_parser(argparse.ArgumentParser()).parse_args(words)


def test_the_version_comes_from_option_environment_or_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert parsed().os_queues_api_version is None
    assert cli.DEFAULT_API_VERSION == "2"
    monkeypatch.setenv("OS_QUEUES_API_VERSION", "v2.0")
    assert parsed().os_queues_api_version == "2"
    assert parsed("--os-queues-api-version", "3").os_queues_api_version == "3"


def test_endpoint_and_project_come_from_option_or_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert parsed().os_queues_endpoint is None
    monkeypatch.setenv("OS_QUEUES_ENDPOINT", URL)
    monkeypatch.setenv("OS_QUEUES_PROJECT_ID", "p")
    assert parsed().os_queues_endpoint == URL
    assert parsed("--os-queues-project-id", "q").os_queues_project_id == "q"


@pytest.mark.parametrize(
    ("config", "needed"),
    [
        ({}, True),
        ({"queues_endpoint": URL}, False),
        ({"queues_endpoint": URL, "auth": {"username": "u"}}, False),
        ({"queues_endpoint": URL, "auth": {"auth_url": URL}}, True),
        ({"queues_endpoint": URL, "auth_url": URL, "auth": {"username": "u"}}, True),
        ({"signed_url": "zaqar+http://x", "auth": {"auth_url": URL}}, False),
        ({"queues_endpoint": URL, "auth": {"token": "t", "endpoint": URL}}, True),
    ],
)
def test_an_endpoint_alone_needs_no_credentials(
    config: dict[str, Any], needed: bool
) -> None:
    assert cli.needs_authentication(config) is needed


class Manager:
    """As much of the client manager of ``openstack`` as the plugin uses."""

    region_name = "north"
    interface = "internal"
    verify = "/ca.pem"
    cert = ("/cert.pem", "/key.pem")
    timing = True

    def __init__(self, **config: Any) -> None:
        self._cli_options = SimpleNamespace(config=config)
        self._api_version = {"messaging": "2.0"}
        self.asked: list[tuple[str, str, str]] = []

    def setup_auth(self) -> None:
        self.session = object()

    def get_endpoint_for_service_type(
        self, service_type: str, region_name: str, interface: str
    ) -> str:
        self.asked.append((service_type, region_name, interface))
        return "http://from-catalog"


def test_the_client_uses_session_region_and_interface_of_the_program() -> None:
    manager = Manager(auth={"auth_url": URL, "project_id": "p"})
    client = cli.make_client(manager)
    assert client.session is manager.session
    assert client.api_version == 2
    assert manager.asked == [("messaging", "north", "internal")]
    assert client.conf["auth_opts"]["options"]["os_project_id"] == "p"


def test_each_client_manager_asks_for_its_own_endpoint() -> None:
    first, second = Manager(auth={"auth_url": URL}), Manager(auth={"auth_url": URL})
    cli.make_client(first)
    cli.make_client(second)
    assert first.asked
    assert second.asked


def test_an_endpoint_without_credentials_makes_a_client_without_a_token() -> None:
    manager = Manager(queues_endpoint=URL, queues_project_id="p")
    client = cli.make_client(manager)
    assert client.api_url == URL
    assert client.conf["auth_opts"]["backend"] == "noauth"
    assert client.conf["auth_opts"]["options"]["os_project_id"] == "p"
    assert manager.asked == []


def test_a_session_without_credentials_keeps_to_the_options_of_the_program() -> None:
    manager = Manager(queues_endpoint=URL)
    client = cli.make_client(manager)
    assert client.session is manager.session
    assert (client.session.verify, client.session.cert) == (
        "/ca.pem",
        ("/cert.pem", "/key.pem"),
    )


def test_the_none_plugin_goes_without_a_token_through_the_session() -> None:
    manager = Manager(auth_type="none", auth={"endpoint": URL})
    client = cli.make_client(manager)
    assert client.session is manager.session
    assert client.conf["auth_opts"]["backend"] == "noauth"
