"""Both programs against a real Keystone, and a server that asks it."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from keystone_service import Keystone, password
from tcp_proxy import CountingProxy

PROGRAMS = Path(sysconfig.get_path("scripts"))


class Done(NamedTuple):
    """A command that has ended."""

    status: int
    out: str
    err: str


class User:
    """Somebody at a terminal.

    Args:
        home: The home directory.
        credentials: The variables.
    """

    def __init__(self, home: Path, credentials: dict[str, str]) -> None:
        self.home = home
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OS_", "XDG_", "ZAQAR_"))
        }
        self.variables = kept | {"HOME": str(home)} | credentials

    def __call__(self, program: str, *words: str, **more: str) -> Done:
        done = subprocess.run(
            [str(PROGRAMS / program), *words],
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            env=self.variables | more,
            timeout=60,
        )
        return Done(done.returncode, done.stdout, done.stderr)


def with_password(keystone: Keystone, home: Path) -> dict[str, str]:
    assert home
    return keystone.environment("alice")


def with_token(keystone: Keystone, home: Path) -> dict[str, str]:
    variables = with_password(keystone, home)
    for name in ("OS_USERNAME", "OS_PASSWORD", "OS_USER_DOMAIN_ID"):
        del variables[name]
    return variables | {
        "OS_AUTH_TYPE": "v3token",
        "OS_TOKEN": keystone.kept_token("alice"),
    }


def with_application_credential(keystone: Keystone, home: Path) -> dict[str, str]:
    assert home
    id_, secret = keystone.application_credential("alice")
    return {
        "OS_AUTH_TYPE": "v3applicationcredential",
        "OS_AUTH_URL": keystone.url,
        "OS_APPLICATION_CREDENTIAL_ID": id_,
        "OS_APPLICATION_CREDENTIAL_SECRET": secret,
        "OS_IDENTITY_API_VERSION": "3",
    }


def with_a_cloud(keystone: Keystone, home: Path) -> dict[str, str]:
    """Write a clouds.yaml, the password in a secure.yaml beside it."""
    place = home / ".config" / "openstack"
    place.mkdir(parents=True)
    clouds = json.loads(keystone.clouds_yaml())
    secret = clouds["clouds"]["alice"]["auth"].pop("password")
    (place / "clouds.yaml").write_text(json.dumps(clouds))
    secure = {"clouds": {"alice": {"auth": {"password": secret}}}}
    (place / "secure.yaml").write_text(json.dumps(secure))
    return {"OS_CLOUD": "alice"}


@pytest.fixture(autouse=True)
def no_queue_stays(keystone: Keystone, keystone_server: Any) -> Iterator[None]:
    """Leave the project of ``alice`` as it was."""
    from zaqarclient.queues.v2.client import Client  # noqa: PLC0415 - only to tidy up

    yield
    with Client(keystone_server.url, session=keystone.session("alice")) as client:
        for queue in list(client.iter_queues()):
            queue.delete()
        client.session.session.close()


@pytest.mark.parametrize("program", ["zaqar", "openstack"])
@pytest.mark.parametrize(
    "ways", [with_password, with_token, with_application_credential, with_a_cloud]
)
@pytest.mark.usefixtures("keystone_server")
def test_whoever_can_prove_who_they_are_is_let_in(
    keystone: Keystone,
    tmp_path: Path,
    program: str,
    ways: Callable[[Keystone, Path], dict[str, str]],
) -> None:
    user = User(tmp_path, ways(keystone, tmp_path))
    done = user(program, "queue", "create", "orders", "-f", "json")
    assert (done.status, done.err) == (0, "")
    assert json.loads(done.out) == {"Name": "orders"}


@pytest.mark.parametrize("program", ["zaqar", "openstack"])
def test_over_websocket_the_same_token_is_taken(
    keystone: Keystone, keystone_server: Any, tmp_path: Path, program: str
) -> None:
    endpoint = {"OS_QUEUES_ENDPOINT": keystone_server.websocket_url}
    user = User(tmp_path, keystone.environment("alice") | endpoint)
    posted = user(program, "message", "post", "orders", '{"body": 1}', "-f", "value")
    assert (posted.status, posted.err) == (0, "")
    listed = user("zaqar", "message", "list", "orders", "--echo", "-f", "json")
    assert [row["Body"] for row in json.loads(listed.out)] == [1]


@pytest.mark.parametrize("program", ["zaqar", "openstack"])
@pytest.mark.usefixtures("keystone_server")
def test_a_wrong_password_ends_with_a_status_and_one_line(
    keystone: Keystone, tmp_path: Path, program: str
) -> None:
    wrong = {"OS_PASSWORD": "not " + password("alice")}
    user = User(tmp_path, keystone.environment("alice") | wrong)
    done = user(program, "queue", "list")
    assert (done.status, done.out) == (4 if program == "zaqar" else 1, "")
    assert "requires authentication" in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.usefixtures("keystone_server")
def test_the_queues_of_another_project_are_not_there(
    keystone: Keystone, tmp_path: Path
) -> None:
    alice = User(tmp_path, keystone.environment("alice"))
    bob = User(tmp_path, keystone.environment("bob"))
    assert alice("zaqar", "queue", "create", "secret-plans").status == 0
    # Other tests may have left queues in the project of bob.
    listing = ("zaqar", "queue", "list", "--all", "-f", "value")
    assert "secret-plans" in alice(*listing).out.split()
    assert "secret-plans" not in bob(*listing).out.split()
    assert bob("zaqar", "queue", "exists", "secret-plans").status == 3
    named = {"OS_QUEUES_PROJECT_ID": keystone.ids["alpha"]}
    assert "secret-plans" not in bob("zaqar", "queue", "list", **named).out


@pytest.mark.parametrize("wire", ["http", "ws"])
def test_with_a_kept_token_keystone_is_not_asked(
    keystone: Keystone, keystone_server: Any, tmp_path: Path, wire: str
) -> None:
    port = int(keystone.url.removesuffix("/v3").rpartition(":")[2])
    with CountingProxy(port).running() as proxy:
        variables = keystone.environment("alice") | {
            "OS_AUTH_URL": f"{proxy.url}/v3",
            "ZAQAR_TOKEN_CACHE": "1",
        }
        if wire == "ws":
            variables["OS_QUEUES_ENDPOINT"] = keystone_server.websocket_url
        user = User(tmp_path, variables)
        words = ["message", "post", "orders", '{"body": 1}', "-f", "value"]
        assert user("zaqar", *words).status == 0
        asked = proxy.connections
        assert asked > 0
        for _ in range(2):
            done = user("zaqar", *words)
            assert (done.status, done.err) == (0, "")
        assert proxy.connections == asked
        assert user("zaqar", "logout").status == 0
        assert user("zaqar", *words).status == 0
        assert proxy.connections > asked


@pytest.mark.usefixtures("keystone_server")
def test_timing_and_debug_tell_of_both_services_but_no_secret(
    keystone: Keystone, tmp_path: Path
) -> None:
    user = User(tmp_path, keystone.environment("alice"))
    done = user("zaqar", "--timing", "--debug", "queue", "list")
    assert done.status == 0
    assert f"POST {keystone.url}/auth/tokens" in done.err
    assert "x-openstack-request-id: req-" in done.err.lower()
    assert password("alice") not in done.err
