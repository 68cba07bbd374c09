"""Certificates are checked, against the authorities that the caller names."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from keystoneauth1 import session as ks_session

from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.conftest import NOAUTH
from zaqarclient.tests.http_stub import HttpStub
from zaqarclient.tests.ws_stub import WebsocketStub, lists
from zaqarclient.transport import errors

MakeClient = Callable[..., Client]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def service(certificate: Path) -> Iterator[HttpStub]:
    """A stand-in for the service that speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with HttpStub(context).running() as running:
        yield running


def options(**more: Any) -> dict[str, Any]:
    known = NOAUTH["auth_opts"]
    return {**known, "options": {**known["options"], **more}}


def test_an_unknown_certificate_is_refused_at_the_first_attempt(
    service: HttpStub, make_client: MakeClient
) -> None:
    client = make_client(service.url)
    with pytest.raises(errors.ConnectionFailed, match="certificate verify failed"):
        client.queues()
    assert service.connections == 1
    assert service.seen == []


@pytest.mark.parametrize("backend", ["noauth", "keystone"])
def test_a_certificate_is_checked_against_the_named_authority(
    backend: str, service: HttpStub, make_client: MakeClient, certificate: Path
) -> None:
    auth_opts = options(cacert=str(certificate), auth_token="t")
    client = make_client(service.url, auth_opts={**auth_opts, "backend": backend})
    client.queues()
    client.queues()
    assert len(service.seen) == 2
    assert service.connections == 1


@pytest.mark.filterwarnings(
    f"ignore::{urllib3.exceptions.InsecureRequestWarning.__module__}"
    ".InsecureRequestWarning"
)
def test_checking_can_be_switched_off(
    service: HttpStub, make_client: MakeClient
) -> None:
    make_client(service.url, auth_opts=options(insecure=True)).queues()
    assert len(service.seen) == 1


def test_a_given_session_checks_as_it_was_told_to(
    service: HttpStub, make_client: MakeClient, certificate: Path
) -> None:
    session = ks_session.Session(verify=str(certificate))
    make_client(service.url, session=session).queues()
    assert len(service.seen) == 1
    session.session.close()


@pytest.fixture
def demanding(certificate: Path) -> ssl.SSLContext:
    """What a service proves itself with that wants a certificate from callers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture(params=["one file", "two files"])
def shown(
    request: pytest.FixtureRequest, certificate: Path, tmp_path: Path
) -> dict[str, str]:
    """The options of a caller who has a certificate."""
    if request.param == "one file":
        return {"cert": str(certificate)}
    (tmp_path / "key.pem").write_text(certificate.read_text())
    return {"os_cert": str(certificate), "os_key": str(tmp_path / "key.pem")}


@pytest.mark.parametrize("backend", ["noauth", "keystone"])
def test_a_certificate_is_shown_to_a_service_that_asks_for_one(
    backend: str,
    demanding: ssl.SSLContext,
    shown: dict[str, str],
    make_client: MakeClient,
    certificate: Path,
) -> None:
    auth_opts = options(cacert=str(certificate), auth_token="t", **shown)
    with HttpStub(demanding).running() as service:
        make_client(service.url, auth_opts={**auth_opts, "backend": backend}).queues()
        assert len(service.seen) == 1
        nothing = options(cacert=str(certificate))
        with pytest.raises(errors.ConnectionFailed):
            make_client(service.url, auth_opts=nothing, retries=0).queues()
        assert len(service.seen) == 1


# -- WebSocket -----------------------------------------------------------------------


@pytest.fixture
def websocket(certificate: Path) -> Iterator[WebsocketStub]:
    """A stand-in for the service that speaks WebSocket over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with WebsocketStub(context).running() as running:
        running.reply = lists
        yield running


def test_an_unknown_certificate_opens_no_websocket(
    websocket: WebsocketStub, make_client: MakeClient
) -> None:
    client = make_client(websocket.url)
    with pytest.raises(errors.ConnectionFailed, match="certificate verify failed"):
        client.queues()
    assert websocket.frames == []


@pytest.mark.parametrize("backend", ["noauth", "keystone"])
def test_the_certificate_of_a_websocket_is_checked_against_the_named_authority(
    backend: str, websocket: WebsocketStub, make_client: MakeClient, certificate: Path
) -> None:
    auth_opts = options(cacert=str(certificate), auth_token="t")
    make_client(websocket.url, auth_opts={**auth_opts, "backend": backend}).queues()
    assert websocket.actions[-1] == "queue_list"


def test_checking_the_certificate_of_a_websocket_can_be_switched_off(
    websocket: WebsocketStub, make_client: MakeClient
) -> None:
    make_client(websocket.url, auth_opts=options(insecure=True)).queues()
    assert websocket.actions == ["queue_list"]


def test_a_given_session_says_how_to_check_the_certificate_of_a_websocket(
    websocket: WebsocketStub, make_client: MakeClient, certificate: Path
) -> None:
    session = ks_session.Session(verify=str(certificate))
    make_client(websocket.url, session=session).queues()
    assert websocket.actions == ["queue_list"]
    session.session.close()


def test_a_certificate_is_shown_to_a_websocket_that_asks_for_one(
    demanding: ssl.SSLContext,
    shown: dict[str, str],
    make_client: MakeClient,
    certificate: Path,
) -> None:
    auth_opts = options(cacert=str(certificate), **shown)
    with WebsocketStub(demanding).running() as service:
        service.reply = lists
        make_client(service.url, auth_opts=auth_opts).queues()
        assert service.actions == ["queue_list"]


def test_a_given_session_shows_its_certificate_to_a_websocket(
    demanding: ssl.SSLContext, make_client: MakeClient, certificate: Path
) -> None:
    session = ks_session.Session(verify=str(certificate), cert=str(certificate))
    with WebsocketStub(demanding).running() as service:
        service.reply = lists
        make_client(service.url, session=session).queues()
        assert service.actions == ["queue_list"]
    session.session.close()
