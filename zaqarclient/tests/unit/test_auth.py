"""Authentication: whose token, from where, and how often."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
from keystoneauth1 import session as ks_session
from keystoneauth1 import token_endpoint
from keystoneauth1.identity import v3

from zaqarclient import auth, errors
from zaqarclient.auth.base import AuthBackend, NoAuth
from zaqarclient.auth.keystone import KeystoneAuth
from zaqarclient.auth.signed_url import SignedURLAuth
from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.http_stub import Answer, HttpStub
from zaqarclient.tests.identity_stub import IdentityStub
from zaqarclient.transport import errors as transport_errors
from zaqarclient.transport.request import Request

MakeClient = Callable[..., Client]


@pytest.fixture
def identity(stub: HttpStub) -> Iterator[IdentityStub]:
    """An identity service whose catalog names the stub."""
    with HttpStub().running() as running:
        yield IdentityStub(running, stub.url)


@pytest.fixture
def make(make_client: MakeClient) -> MakeClient:
    """Make clients with these options of the keystone backend."""

    def make(url: str | None = None, session: Any = None, **options: Any) -> Client:
        return make_client(url, session, auth_opts={"options": options})

    return make


@pytest.fixture
def session(identity: IdentityStub) -> Iterator[ks_session.Session]:
    """The session of a caller."""
    plugin = v3.Password(
        identity.url,
        username="alice",
        password="secret",
        user_domain_id="default",
        project_name="sales",
        project_domain_id="default",
    )
    session = ks_session.Session(auth=plugin, app_name="my-app", app_version="3")
    yield session
    session.session.close()


def test_backends_are_found_by_name() -> None:
    assert type(auth.get_backend()) is KeystoneAuth
    assert type(auth.get_backend("noauth", {"project_id": "p"})) is NoAuth
    assert type(auth.get_backend("signed-url")) is SignedURLAuth
    assert set(auth._BACKENDS) == {"noauth", "keystone", "signed-url"}


def test_an_unknown_backend_is_named() -> None:
    with pytest.raises(errors.ZaqarError, match="'magic'; there are: keystone"):
        auth.get_backend("magic")


def test_password_and_catalog_take_one_token_for_many_calls(
    make: MakeClient, identity: IdentityStub, stub: HttpStub
) -> None:
    client = make(
        os_auth_url=identity.url,
        os_username="alice",
        os_password="secret",
        os_project_name="sales",
        insecure="",
    )
    for _ in range(50):
        client.queue("orders").post({"body": 1})
    assert client.api_url == stub.url
    assert identity.given == 1
    assert (stub.connections, identity.stub.connections) == (1, 1)
    assert {seen.headers["x-auth-token"] for seen in stub.seen} == {"token-1"}
    assert "x-project-id" not in stub.last.headers
    (asked,) = identity.asked
    assert asked["identity"]["password"]["user"] == {
        "name": "alice",
        "password": "secret",
        "domain": {"id": "default"},
    }
    assert asked["scope"] == {"project": {"name": "sales", "domain": {"id": "default"}}}


def test_closing_closes_the_session_that_was_made_for_the_password(
    make: MakeClient, identity: IdentityStub, stub: HttpStub
) -> None:
    client = make(auth_url=identity.url, username="alice", password="secret")
    client.queues()
    client.close()
    client.queues()
    assert (stub.connections, identity.given) == (2, 1)


def test_threads_that_begin_together_take_one_token(
    make: MakeClient, identity: IdentityStub, stub: HttpStub
) -> None:
    client = make(auth_url=identity.url, username="alice", password="secret")
    together = threading.Barrier(8)

    def work() -> None:
        together.wait()
        client.queues()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stub.seen) == 8
    assert identity.given == 1


def test_a_user_id_needs_no_domain(make: MakeClient, identity: IdentityStub) -> None:
    make(
        auth_url=identity.stub.url,
        user_id="u1",
        password="secret",
        project_id="4f2a",
    ).queues()
    (asked,) = identity.asked
    assert asked["identity"]["password"]["user"] == {"id": "u1", "password": "secret"}
    assert asked["scope"] == {"project": {"id": "4f2a"}}


@pytest.mark.parametrize(
    ("options", "method", "said"),
    [
        (
            {"application_credential_id": "a1"},
            "application_credential",
            {"id": "a1", "secret": "secret"},
        ),
        (
            {"os_application_credential_name": "ci", "os_username": "alice"},
            "application_credential",
            {
                "name": "ci",
                "secret": "secret",
                "user": {"name": "alice", "domain": {"id": "default"}},
            },
        ),
    ],
)
def test_an_application_credential_needs_no_scope(
    make: MakeClient,
    identity: IdentityStub,
    options: dict[str, str],
    method: str,
    said: dict[str, Any],
) -> None:
    known = {"auth_url": identity.url, "application_credential_secret": "secret"}
    make(**known, **options).queues()
    (asked,) = identity.asked
    assert asked["identity"][method] == said
    assert "scope" not in asked


@pytest.mark.parametrize(
    ("scope", "asked_for"),
    [
        ({"domain_id": "d1"}, {"domain": {"id": "d1"}}),
        ({"os_system_scope": "all"}, {"system": {"all": True}}),
        ({"trust_id": "t1"}, {"OS-TRUST:trust": {"id": "t1"}}),
        (
            {"project_name": "sales", "os_project_domain_name": "corp"},
            {"project": {"name": "sales", "domain": {"name": "corp"}}},
        ),
    ],
)
def test_a_password_may_have_any_scope(
    make: MakeClient,
    identity: IdentityStub,
    scope: dict[str, str],
    asked_for: dict[str, Any],
) -> None:
    known = {"auth_url": identity.url, "username": "alice", "password": "secret"}
    make(**known, **scope).queues()
    (asked,) = identity.asked
    assert asked["scope"] == asked_for


def test_a_plugin_of_keystoneauth_may_be_named(
    make: MakeClient, identity: IdentityStub, stub: HttpStub
) -> None:
    known = {"os_auth_url": identity.url, "os_username": "alice"}
    make(
        **known,
        os_auth_type="v3password",
        password="secret",
        user_domain_id="default",
        project_id="4f2a",
    ).queues()
    assert stub.last.headers["x-auth-token"] == "token-1"


def test_a_plugin_that_proves_without_a_token_is_let_in_over_http(
    make: MakeClient, stub: HttpStub
) -> None:
    make(
        auth_type="http_basic", username="alice", password="secret", endpoint=stub.url
    ).queues()
    assert stub.last.headers["authorization"] == "Basic YWxpY2U6c2VjcmV0"
    assert "x-auth-token" not in stub.last.headers


def test_a_plugin_that_does_not_exist_is_named_in_the_error(make: MakeClient) -> None:
    client = make("http://127.0.0.1:8888", auth_type="magic")
    with pytest.raises(errors.AuthenticationFailed, match="magic"):
        client.queues()


def test_a_refused_token_is_replaced_once(
    make: MakeClient, identity: IdentityStub, stub: HttpStub
) -> None:
    client = make(auth_url=identity.url, username="alice", password="secret")
    client.queues()
    stub.answers = [Answer(401), Answer(201, {"resources": ["x"]})]
    assert client.queue("q").post({"body": 1}) == {"resources": ["x"]}
    assert identity.given == 2
    assert [seen.headers["x-auth-token"] for seen in stub.seen[1:]] == [
        "token-1",
        "token-2",
    ]
    client.queues()
    assert stub.last.headers["x-auth-token"] == "token-2"
    stub.default = Answer(401)
    with pytest.raises(transport_errors.UnauthorizedError):
        client.queues()
    assert identity.given == 3


def test_a_token_about_to_expire_is_replaced_before_use(
    make: MakeClient, stub: HttpStub
) -> None:
    with HttpStub().running() as running:
        identity = IdentityStub(running, stub.url, seconds=5)
        client = make(auth_url=identity.url, username="alice", password="secret")
        client.queues()
        client.queues()
        assert identity.given > 1
        tokens = [seen.headers["x-auth-token"] for seen in stub.seen]
        assert len(set(tokens)) == 2


def test_a_wrong_password_is_an_error_of_this_client(
    make: MakeClient, identity: IdentityStub, stub: HttpStub
) -> None:
    client = make(auth_url=identity.url, username="alice", password="wrong")
    with pytest.raises(errors.AuthenticationFailed) as caught:
        client.queues()
    assert caught.value.__cause__ is not None
    with pytest.raises(errors.AuthenticationFailed):
        client.ping()
    assert stub.seen == []


def test_an_identity_service_that_is_away_is_a_network_error(
    make: MakeClient, identity: IdentityStub
) -> None:
    identity.stub.default = Answer(0)
    with pytest.raises(transport_errors.ConnectionFailed):
        make(auth_url=identity.url, username="alice", password="secret").queues()


def test_region_and_interface_choose_the_endpoint(
    make: MakeClient, identity: IdentityStub, stub: HttpStub
) -> None:
    known = {"auth_url": identity.url, "username": "alice", "password": "secret"}
    assert make(**known, region_name="two").api_url == f"{stub.url}/two"
    assert make(**known, os_endpoint_type="internalURL").api_url == (
        f"{stub.url}/internal"
    )
    with pytest.raises(errors.EndpointNotFound, match="three region"):
        make(**known, os_region_name="three").queues()
    with pytest.raises(errors.EndpointNotFound, match="mail"):
        make(**known, os_service_type="mail").queues()


def test_token_and_url_need_no_identity_service(
    make: MakeClient, identity: IdentityStub, stub: HttpStub
) -> None:
    client = make(
        stub.url,
        os_auth_token="given",
        os_auth_url=identity.url,
        os_project_id="4f2a",
        os_service_type="messaging",
    )
    client.queues()
    assert stub.last.headers["x-auth-token"] == "given"
    assert stub.last.headers["x-project-id"] == "4f2a"
    assert identity.stub.seen == []


def test_a_token_without_url_is_traded_in(
    make: MakeClient, identity: IdentityStub, stub: HttpStub
) -> None:
    client = make(auth_token="old", auth_url=identity.url, project_id="4f2a")
    client.queues()
    client.queues()
    assert stub.last.headers["x-auth-token"] == "token-1"
    (asked,) = identity.asked
    assert asked["identity"] == {"methods": ["token"], "token": {"id": "old"}}


def test_an_empty_token_counts_as_none(
    make: MakeClient, identity: IdentityStub, stub: HttpStub
) -> None:
    known = {"os_auth_url": identity.url, "os_username": "alice"}
    make(stub.url, **known, os_password="secret", auth_token=None).queues()
    assert stub.last.headers["x-auth-token"] == "token-1"


def test_everything_goes_through_a_given_session(
    make_client: MakeClient,
    session: ks_session.Session,
    identity: IdentityStub,
    stub: HttpStub,
) -> None:
    client = make_client(session=session, auth_opts={})
    with mock.patch.object(session, "request", wraps=session.request) as sent:
        client.queues()
        client.queue("q").post({"body": 1})
    to_service = [
        call for call in sent.call_args_list if call.args[0].startswith(stub.url)
    ]
    assert len(to_service) == 2
    assert all(call.kwargs["timeout"] == (10.0, 60.0) for call in to_service)
    assert client.api_url == stub.url
    assert identity.given == 1
    assert stub.last.headers["x-auth-token"] == "token-1"
    assert stub.last.headers["user-agent"].startswith("my-app/3 python-zaqarclient/")


def test_settings_of_a_given_session_hold_unless_overridden(
    make_client: MakeClient, session: ks_session.Session, stub: HttpStub
) -> None:
    session.timeout, session.verify = 7.0, "/site/ca.pem"
    inner = session.session

    def sent_by(client: Client) -> Any:
        with mock.patch.object(inner, "request", wraps=inner.request) as sent:
            client.queues()
        return sent.call_args.kwargs

    plain = sent_by(make_client(stub.url, session, auth_opts={}))
    assert (plain["timeout"], plain["verify"]) == (7.0, "/site/ca.pem")
    options = {"options": {"insecure": True}}
    other = sent_by(make_client(stub.url, session, auth_opts=options, timeout=3))
    assert (other["timeout"], other["verify"]) == ((3.0, 3.0), False)


def test_headers_of_a_trace_go_with_every_request(
    make: MakeClient, stub: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come from osprofiler, where that is installed and active."""
    tracer = mock.Mock()
    tracer.get_trace_id_headers.return_value = {"X-Trace-Info": "t1"}
    monkeypatch.setattr(ks_session, "osprofiler_web", tracer)
    make(stub.url, auth_token="given").queues()
    assert stub.last.headers["x-trace-info"] == "t1"


def test_a_given_session_with_a_given_token_sends_that_token(
    make: MakeClient,
    session: ks_session.Session,
    identity: IdentityStub,
    stub: HttpStub,
) -> None:
    make(session=session, auth_token="given").queues()
    assert stub.last.headers["x-auth-token"] == "given"
    assert identity.given == 1


def test_a_session_without_plugin_has_no_token(
    make: MakeClient, stub: HttpStub
) -> None:
    session = ks_session.Session()
    with pytest.raises(errors.AuthenticationFailed):
        make(stub.url, session).queues()
    empty = ks_session.Session(auth=token_endpoint.Token(stub.url, None))
    with pytest.raises(errors.AuthenticationFailed, match="gives no token"):
        make(stub.url, empty).queues()
    assert stub.seen == []


def test_without_authentication_a_session_may_still_name_the_endpoint(
    make_client: MakeClient, stub: HttpStub
) -> None:
    session = ks_session.Session(auth=token_endpoint.Token(stub.url, "unused"))
    client = make_client(session=session)
    client.queues()
    assert "x-auth-token" not in stub.last.headers
    assert stub.last.headers["x-project-id"] == "4f2a"
    assert client.api_url == stub.url
    session.session.close()


def test_without_a_project_one_is_made_up(
    make_client: MakeClient, stub: HttpStub
) -> None:
    make_client(stub.url, auth_opts={"backend": "noauth"}).queues()
    assert stub.last.headers["x-project-id"] == "fake_project_id_for_noauth"


def test_a_signature_takes_the_place_of_a_token(
    make_client: MakeClient, stub: HttpStub
) -> None:
    options = {
        "paths": ["/v2/queues/orders/claims", "/v2/queues/orders/messages"],
        "methods": ["DELETE", "GET"],
        "expires": "2031-03-03T09:00:00",
        "signature": "5ef3",
        "os_project_id": "4f2a",
    }
    conf = {"backend": "signed-url", "options": options}
    next(make_client(stub.url, auth_opts=conf).queue("orders").pop(), None)
    sent = stub.last.headers
    assert sent["url-paths"] == "/v2/queues/orders/claims,/v2/queues/orders/messages"
    assert sent["url-methods"] == "DELETE,GET"
    assert sent["url-expires"] == "2031-03-03T09:00:00"
    assert sent["url-signature"] == "5ef3"
    assert sent["x-project-id"] == "4f2a"
    assert "x-auth-token" not in sent


def test_missing_parts_of_a_signature_are_named() -> None:
    with pytest.raises(errors.ZaqarError, match="options expires, signature"):
        SignedURLAuth({"paths": ["/x"], "methods": ["GET"]}).authenticate(2, Request())


def test_the_hooks_of_the_keystone_backend_can_be_replaced() -> None:
    """Section 21: ``_get_endpoint`` and ``_get_keystone_session``."""
    backend = KeystoneAuth({"os_username": "alice"})
    with (
        mock.patch.object(backend, "_get_keystone_session") as get_session,
        mock.patch.object(backend, "_get_endpoint") as get_endpoint,
    ):
        get_session.return_value.get_token.return_value = "t"
        get_endpoint.return_value = "http://example.org:8888"
        request = backend.authenticate(2, Request())
    assert request.endpoint == "http://example.org:8888"
    assert request.headers["X-Auth-Token"] == "t"
    assert get_session.call_args.kwargs["username"] == "alice"


@pytest.mark.parametrize(
    ("options", "verify", "cert"),
    [
        ({}, True, None),
        ({"insecure": ""}, True, None),
        ({"insecure": "False"}, True, None),
        ({"os_insecure": True}, False, None),
        ({"insecure": "true"}, False, None),
        ({"cacert": "/ca.pem"}, True, "/ca.pem"),
    ],
)
def test_insecure_and_cacert_reach_request_and_connection(
    options: dict[str, Any], verify: bool, cert: str | None
) -> None:
    backend: AuthBackend = KeystoneAuth({"auth_token": "t", **options})
    request = backend.authenticate(2, Request("http://example.org"))
    assert (request.verify, request.cert) == (verify, cert)
    assert backend.verification() == (cert or verify)
