"""Where ``zaqar`` finds the service, and how it proves who asks."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from zaqarclient.tests.http_stub import Answer, HttpStub
from zaqarclient.tests.identity_stub import IdentityStub
from zaqarclient.tests.unit.cli.conftest import Done
from zaqarclient.tests.unit.test_tls import certificate  # noqa: F401 - a fixture
from zaqarclient.tests.ws_stub import WebsocketStub, lists

Run = Callable[..., Done]

LIST = ("queue", "list", "-f", "json")
EMPTY = Answer(200, {"queues": [], "links": []})

# openstacksdk warns of its own past when it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:Support for InfluxDB")


@pytest.fixture
def identity(stub: HttpStub) -> Iterator[IdentityStub]:
    """An identity service whose catalog leads to `stub`."""
    stub.default = EMPTY
    with HttpStub().running() as running:
        yield IdentityStub(running, stub.url)


@pytest.fixture
def write_clouds(
    identity: IdentityStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Write a clouds.yaml with the cloud ``work``: ``write_clouds(interface="x")``."""

    def write(**more: Any) -> None:
        auth = {
            "auth_url": identity.url,
            "username": "alice",
            "password": "secret",
            "project_name": "sales",
            "user_domain_id": "default",
            "project_domain_id": "default",
        }
        file = tmp_path / "clouds.yaml"
        cloud = {"auth": auth, "region_name": "one", **more}
        file.write_text(json.dumps({"clouds": {"work": cloud}}))
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))

    return write


@pytest.mark.parametrize("way", ["option", "variable"])
def test_a_cloud_is_named_by_option_or_variable(
    run: Run,
    write_clouds: Callable[..., None],
    stub: HttpStub,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    write_clouds()
    if way == "variable":
        monkeypatch.setenv("OS_CLOUD", "work")
    words = ["--os-cloud", "work"] if way == "option" else []
    assert run(*words, *LIST) == (0, "[]\n", "")
    assert stub.last.path == "/v2/queues"
    assert stub.last.headers["x-auth-token"] == "token-1"


@pytest.mark.parametrize(
    ("keys", "words", "path"),
    [
        ({"region_name": "two"}, [], "/two/v2/queues"),
        ({"regions": ["one", "two"]}, ["--os-region-name", "two"], "/two/v2/queues"),
        ({"interface": "internal"}, [], "/internal/v2/queues"),
        ({}, ["--os-interface", "internal"], "/internal/v2/queues"),
        ({"messaging_endpoint_override": "{url}/x"}, [], "/x/v2/queues"),
        ({"queues_endpoint": "{url}/y"}, [], "/y/v2/queues"),
        ({"queues_endpoint": "{url}/y"}, ["--os-queues-endpoint", "{url}/z"], "/z/v2"),
    ],
)
def test_a_cloud_says_where_and_options_go_before_it(
    run: Run,
    write_clouds: Callable[..., None],
    stub: HttpStub,
    keys: dict[str, Any],
    words: list[str],
    path: str,
) -> None:
    write_clouds(**json.loads(json.dumps(keys).replace("{url}", stub.url)))
    told = [word.format(url=stub.url) for word in words]
    assert run("--os-cloud", "work", *told, *LIST) == (0, "[]\n", "")
    assert stub.last.path.startswith(path)
    assert stub.last.headers["x-auth-token"] == "token-1"


@pytest.mark.parametrize("auth", [{}, {"auth_type": "none"}])
def test_a_cloud_without_authentication_needs_only_its_endpoint(
    run: Run, stub: HttpStub, tmp_path: Path, monkeypatch: Any, auth: dict[str, str]
) -> None:
    stub.default = EMPTY
    cloud = {"queues_endpoint": stub.url, "queues_project_id": "p7", **auth}
    file = tmp_path / "clouds.yaml"
    file.write_text(json.dumps({"clouds": {"here": cloud}}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
    assert run("--os-cloud", "here", *LIST) == (0, "[]\n", "")
    assert "x-auth-token" not in stub.last.headers
    assert stub.last.headers["x-project-id"] == "p7"


def test_a_cloud_that_is_nowhere_is_an_error_in_one_line(
    run: Run, write_clouds: Callable[..., None]
) -> None:
    write_clouds()
    done = run("--os-cloud", "play", *LIST)
    assert (done.status, done.out) == (4, "")
    assert done.err == "cloud play: Cloud play was not found.\n"


def test_a_mistake_in_clouds_yaml_is_shown_with_its_place(
    run: Run, tmp_path: Path, monkeypatch: Any
) -> None:
    file = tmp_path / "clouds.yaml"
    file.write_text("clouds:\n  a:\n    auth: {auth_url: x\n    b: 1\n")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
    done = run("--os-cloud", "a", *LIST)
    assert (done.status, done.out) == (4, "")
    assert done.err == (
        f"{file}: line 4 column 6: expected ',' or '}}', but got ':'; "
        "cloud a: Cloud a was not found.\n"
    )


def test_a_service_of_another_type_is_found_in_the_catalog(
    run: Run, write_clouds: Callable[..., None]
) -> None:
    write_clouds()
    done = run("--os-cloud", "work", "--os-service-type", "queuing", *LIST)
    assert (done.status, done.out) == (69, "")
    assert "queuing" in done.err


def test_the_options_of_a_plugin_are_taken_wherever_they_stand(
    run: Run, identity: IdentityStub
) -> None:
    user = ["--os-username", "alice", "--os-password", "secret"]
    words = ["--os-auth-type", "v3password", "--os-auth-url", identity.url, *user]
    done = run(*words, *LIST, "--os-user-domain-id=default", "--os-trust-id", "t1")
    assert done == (0, "[]\n", "")
    assert identity.asked[-1]["scope"] == {"OS-TRUST:trust": {"id": "t1"}}


def test_the_options_of_a_plugin_come_from_variables_too(
    run: Run, identity: IdentityStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {
        "AUTH_TYPE": "v3password",
        "AUTH_URL": identity.url,
        "USERNAME": "alice",
        "PASSWORD": "secret",
        "USER_DOMAIN_ID": "default",
        "TRUST_ID": "t2",
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"OS_{name}", value)
    assert run(*LIST).status == 0
    assert identity.asked[-1]["scope"] == {"OS-TRUST:trust": {"id": "t2"}}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["--os-paint", "red"],
            "--os-paint: a service without authentication has none",
        ),
        (
            ["--os-auth-type", "v3token", "--os-auth-url", "u", "--os-paint=red"],
            "there is no option --os-paint: the plugin v3token has --os-auth-url, ",
        ),
    ],
)
def test_an_option_that_no_plugin_has_is_wrong_usage(
    run: Run, words: list[str], text: str
) -> None:
    done = run(*words, *LIST)
    assert (done.status, done.out) == (2, "")
    assert text in done.err


@pytest.fixture
def demanding(certificate: Path) -> ssl.SSLContext:  # noqa: F811 - the fixture
    """What a service proves itself with that wants its callers to do the same."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture(params=["https", "wss"])
def secure(request: pytest.FixtureRequest, demanding: ssl.SSLContext) -> Iterator[str]:
    """The URL of a service that asks for a certificate, on each wire."""
    if request.param == "https":
        with HttpStub(demanding).running() as stub:
            stub.default = EMPTY
            yield stub.url
    else:
        with WebsocketStub(demanding).running() as ws_stub:
            ws_stub.reply = lists
            yield ws_stub.url


@pytest.mark.parametrize("trust", ["--os-cacert", "--insecure"])
def test_certificates_are_checked_and_shown_on_both_wires(
    run: Run,
    secure: str,
    certificate: Path,  # noqa: F811 - the fixture
    trust: str,
) -> None:
    """cli.md 17.6: insecure, cacert, and a client certificate."""
    trusted = [trust] if trust == "--insecure" else [trust, str(certificate)]
    own = ["--os-cert", str(certificate), "--os-key", str(certificate)]
    words = ["--os-queues-endpoint", secure, *trusted, *own]
    assert run(*words, *LIST) == (0, "[]\n", "")


def test_an_unknown_authority_is_not_trusted_unless_it_is_told_to(
    run: Run,
    secure: str,
    certificate: Path,  # noqa: F811 - the fixture
) -> None:
    own = ["--os-cert", str(certificate), "--os-key", str(certificate)]
    done = run("--os-queues-endpoint", secure, *own, *LIST)
    assert (done.status, done.out) == (69, "")
    assert "certificate verify failed" in done.err
    assert len(done.err.splitlines()) == 1


def test_debug_and_timing_tell_of_frames_with_their_ids(
    run: Run, ws_stub: WebsocketStub
) -> None:
    ws_stub.reply = lists
    words = ["--os-queues-endpoint", ws_stub.url, "--debug", "--timing"]
    done = run(*words, *LIST)
    assert done.out == "[]\n"
    assert '"action": "queue_list"' in done.err
    assert '"X-Request-ID": "req-' in done.err
    seconds, unit, action, url = done.err.splitlines()[-1].split()
    assert float(seconds) < 60
    assert (unit, action, url) == ("s", "queue_list", ws_stub.url)
