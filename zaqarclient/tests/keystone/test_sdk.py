"""The SDK with a real Keystone: plugins, tokens that end, the catalog."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from keystone_service import Keystone
from keystoneauth1 import plugin as ks_plugin
from keystoneauth1 import session as ks_session
from keystoneauth1.identity import v3
from tcp_proxy import CountingProxy

from zaqarclient import errors
from zaqarclient.auth.signed_url import SignedURL, format_signed_url
from zaqarclient.queues import client as factory
from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.functional.consumers.cloud import Cloud
from zaqarclient.transport import errors as transport_errors

MakeClient = Callable[..., Client]


@pytest.fixture
def make() -> Iterator[MakeClient]:
    """Make clients with these options; they are closed after the test."""
    made: list[Client] = []

    def make(url: str | None = None, session: Any = None, **options: Any) -> Client:
        conf = {"auth_opts": {"options": options}}
        made.append(factory.Client(url, conf=conf, session=session))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture(params=["messaging", "messaging-websocket"])
def service_type(request: pytest.FixtureRequest) -> str:
    """The service by its name in the catalog: over HTTP, and over WebSocket."""
    name: str = request.param
    return name


@pytest.fixture
def known(
    service_type: str, password_options: dict[str, Any], keystone_server: Any
) -> dict[str, Any]:
    """What a caller knows who is told nothing of the service."""
    return {**password_options, "os_service_type": service_type}


# -- every way to log in ------------------------------------------------------


def assert_works(client: Client) -> None:
    client.queue("orders").post({"body": {"item": "tea"}})
    assert next(client.queue("orders").pop()).body == {"item": "tea"}


def test_a_password_is_enough(
    make: MakeClient, known: dict[str, Any], cloud: Cloud
) -> None:
    assert_works(make(**known))


def test_a_token_is_traded_for_one_with_a_catalog(
    make: MakeClient, known: dict[str, Any], cloud: Cloud
) -> None:
    kept = ("os_auth_url", "os_service_type")
    options = {name: known[name] for name in kept}
    assert_works(
        make(**options, auth_token=cloud.token, os_project_id=cloud.project_id)
    )


def test_an_application_credential_is_enough(
    make: MakeClient, keystone: Keystone, service_type: str, keystone_server: Any
) -> None:
    identity, secret = keystone.application_credential("alice")
    client = make(
        auth_url=keystone.url,
        application_credential_id=identity,
        application_credential_secret=secret,
        service_type=service_type,
    )
    assert_works(client)
    client.queue("orders").delete()


@pytest.mark.parametrize("auth_type", ["password", "v3password"])
def test_a_plugin_may_be_named(
    make: MakeClient, known: dict[str, Any], cloud: Cloud, auth_type: str
) -> None:
    domains = {"os_user_domain_id": "default", "os_project_domain_id": "default"}
    assert_works(make(**known, **domains, os_auth_type=auth_type))


def test_a_session_is_enough(make: MakeClient, service_type: str, cloud: Cloud) -> None:
    client = make(session=cloud.session, service_type=service_type)
    assert_works(client)
    wanted = {"messaging": cloud.url, "messaging-websocket": cloud.websocket_url}
    assert client.api_url == wanted[service_type]


def test_a_signed_line_needs_no_keystone(make: MakeClient, cloud: Cloud) -> None:
    owner = make(session=cloud.session)
    signed = owner.queue("builds").signed_url(methods=["POST"])
    for url in (cloud.url, cloud.websocket_url):
        with factory.Client(format_signed_url(SignedURL.of(url, signed))) as guest:
            guest.queue("builds").post({"body": {"build": 7}})
    assert len(list(owner.queue("builds").pop(5))) == 2


# -- one token, and when it ends -------------------------------------------------


def test_a_thousand_posts_take_one_token_and_one_connection(
    cloud: Cloud, password_options: dict[str, Any]
) -> None:
    """Acceptance 6; no request is without a timeout."""
    server, identity = urlsplit(cloud.url), urlsplit(cloud.auth_url)
    with (
        CountingProxy(server.port or 0).running() as to_server,
        CountingProxy(identity.port or 0).running() as to_identity,
    ):
        options = {
            **password_options,
            "os_auth_url": f"{to_identity.url}/v3",
        }
        conf = {"auth_opts": {"options": options}}
        with factory.Client(to_server.url, conf=conf) as client:
            queue = client.queue("many")
            session = client._auth_backend()._own_session()
            session._collect_timing = True
            for number in range(1000):
                queue.post({"body": number})
            assert queue.stats["messages"]["total"] == 1000
            asked = [
                timing
                for timing in session.get_timings()
                if timing.url.endswith("/auth/tokens")
            ]
        assert len(asked) == 1
        assert (to_server.connections, to_identity.connections) == (1, 1)


def test_a_token_that_the_service_refuses_is_replaced_once(
    keystone: Keystone, make: MakeClient, service_type: str, cloud: Cloud
) -> None:
    session = keystone.session("alice", "consumers")
    first = session.get_token()
    keystone.revoke(first)
    assert_works(make(session=session, service_type=service_type))
    assert session.get_token() != first
    session.session.close()


def test_a_given_token_that_is_refused_is_the_end(
    make: MakeClient, cloud: Cloud, keystone_server: Any
) -> None:
    """The error has the id under which the log of the service tells of it."""
    client = make(cloud.url, auth_token="gAAAA-no-token")
    with pytest.raises(transport_errors.UnauthorizedError) as caught:
        client.queues()
    assert str(caught.value.request_id) in keystone_server.log.read_text()


class ShortLived(ks_plugin.BaseAuthPlugin):
    """Gives tokens that live for seconds, and another some seconds before.

    Attributes:
        given: When each of them ends, by the monotonic clock.
    """

    def __init__(self, keystone: Keystone, endpoint: str) -> None:
        super().__init__()
        self.given: list[float] = []
        self.seconds, self.ahead = 3, 0
        self._keystone = keystone
        self._endpoint = endpoint
        self._token = ""
        self._refused = False

    def get_token(self, session: Any, **_: Any) -> str:
        now = time.monotonic()
        ends = self.given[-1] if self.given else 0.0
        if self._refused or now > ends - self.ahead:
            self._refused = False
            lived = self.seconds
            self._token = self._keystone.token("alice", "consumers", lifetime=lived)
            self.given.append(now + lived)
        return self._token

    def get_endpoint(self, session: Any, **_: Any) -> str:
        return self._endpoint

    def invalidate(self) -> bool:
        self._refused = True
        return True


@pytest.fixture
def short_lived(
    keystone: Keystone, cloud: Cloud
) -> Iterator[tuple[ks_session.Session, ShortLived]]:
    """A session whose tokens live for seconds."""
    plugin = ShortLived(keystone, cloud.websocket_url)
    session = ks_session.Session(auth=plugin)
    yield session, plugin
    session.session.close()


def test_a_listener_outlives_its_token_on_one_connection(
    make: MakeClient, short_lived: Any, cloud: Cloud
) -> None:
    session, plugin = short_lived
    # A new one every second, so that a busy machine may take its time.
    plugin.seconds, plugin.ahead = 4, 3
    missed: list[str] = []
    poster = make(session=cloud.session)
    client = make(session=session, os_project_id=cloud.project_id)
    with client.listen("alarms", on_reconnect=lambda: missed.append("x")) as listener:
        listener._transport.login_check = 0.2
        while time.monotonic() < plugin.given[0] + 1:
            assert listener.get(0.2) is None
        poster.queue("alarms").post({"body": "still here"})
        heard = listener.get(10)
    assert heard is not None
    assert heard.body == "still here"
    assert missed == []


def test_a_listener_whose_token_ended_logs_in_again_and_says_so(
    make: MakeClient, short_lived: Any, cloud: Cloud
) -> None:
    session, plugin = short_lived
    missed: list[str] = []
    poster = make(session=cloud.session)
    client = make(session=session, os_project_id=cloud.project_id)
    with client.listen("alarms", on_reconnect=lambda: missed.append("x")) as listener:
        listener._transport.login_check = 1000.0
        listener._transport.pause = lambda _times: 0.05
        plugin.seconds = 60
        while not missed:
            assert listener.get(0.2) is None
        poster.queue("alarms").post({"body": "back again"})
        heard = listener.get(10)
    assert heard is not None
    assert heard.body == "back again"
    assert len(plugin.given) == 2


# -- the catalog --------------------------------------------------------------------


def test_a_client_of_http_finds_the_websocket_to_listen_on(
    make: MakeClient, cloud: Cloud
) -> None:
    client = make(session=cloud.session)
    assert client.api_url == cloud.url
    with client.listen("alarms", timeout=10) as listener:
        client.queue("alarms").post({"body": {"alarm": "cpu"}})
        assert next(listener).body == {"alarm": "cpu"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"region_name": "Nowhere"}, "Nowhere"),
        ({"service_type": "mail"}, "mail"),
    ],
)
def test_an_endpoint_that_is_not_in_the_catalog_is_named(
    make: MakeClient, cloud: Cloud, options: dict[str, str], words: str
) -> None:
    with pytest.raises(errors.EndpointNotFound, match=words):
        make(session=cloud.session, **options).queues()


def test_a_wrong_password_is_told_from_a_missing_service(
    make: MakeClient, password_options: dict[str, Any]
) -> None:
    client = make(**{**password_options, "os_password": "wrong"})
    with pytest.raises(errors.AuthenticationFailed, match="401"):
        client.queues()


def test_a_keystone_that_is_not_there_is_a_network_error(
    make: MakeClient, password_options: dict[str, Any]
) -> None:
    options = {**password_options, "os_auth_url": "http://127.0.0.1:9/v3"}
    with pytest.raises(transport_errors.ConnectionFailed):
        make(**options).queues()


def test_two_projects_of_a_user_see_different_queues(
    make: MakeClient, keystone: Keystone, keystone_server: Any
) -> None:
    sessions = [keystone.session("carol", project) for project in ("alpha", "beta")]
    alpha, beta = (make(session=session) for session in sessions)
    alpha.queue("of-alpha").post({"body": 1})
    assert list(beta.iter_queues(name="of-alpha")) == []
    assert [queue.name for queue in alpha.iter_queues(name="of-alpha")] == ["of-alpha"]
    alpha.queue("of-alpha").delete()
    for session in sessions:
        session.session.close()


def test_plugins_of_the_caller_stay_the_callers(
    keystone: Keystone, cloud: Cloud
) -> None:
    plugin = v3.Token(keystone.url, cloud.token, project_id=cloud.project_id)
    session = ks_session.Session(auth=plugin)
    with factory.Client(session=session) as client:
        assert_works(client)
    assert session.get(f"{keystone.url}/auth/projects").status_code == 200
    session.session.close()
