"""Tokens that ``zaqar`` keeps: who may read them, and when they are used."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from zaqarclient.shell import tokens as token_cache
from zaqarclient.tests.http_stub import Answer, HttpStub
from zaqarclient.tests.identity_stub import IdentityStub
from zaqarclient.tests.unit.cli.conftest import Done
from zaqarclient.tests.ws_stub import WebsocketStub, answer

Run = Callable[..., Done]

LIST = ("queue", "list", "-f", "json")
EMPTY = Answer(200, {"queues": [], "links": []})


@pytest.fixture
def identity_stub() -> Iterator[HttpStub]:
    with HttpStub().running() as running:
        yield running


@pytest.fixture
def identity(
    identity_stub: HttpStub, stub: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> IdentityStub:
    """An identity service whose catalog leads to `stub`, and who asks it."""
    stub.default = EMPTY
    identity = IdentityStub(identity_stub, stub.url)
    credentials = {
        "OS_AUTH_URL": identity.url,
        "OS_USERNAME": "alice",
        "OS_PASSWORD": "secret",
        "OS_PROJECT_NAME": "sales",
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_DOMAIN_ID": "default",
        "OS_REGION_NAME": "one",
        "ZAQAR_TOKEN_CACHE": "1",
    }
    for name, value in credentials.items():
        monkeypatch.setenv(name, value)
    return identity


@pytest.fixture
def kept(identity: IdentityStub, run: Run) -> Path:
    """The file of a token, kept by a command that has ended."""
    assert run(*LIST) == (0, "[]\n", "")
    (file,) = token_cache.directory().iterdir()
    assert identity.given == 1
    return file


def tokens(stub: HttpStub) -> list[str | None]:
    return [seen.headers.get("x-auth-token") for seen in stub.seen]


def test_with_a_kept_token_no_identity_service_is_asked(
    identity_stub: HttpStub, kept: Path, stub: HttpStub, run: Run
) -> None:
    before = identity_stub.connections
    for _ in range(3):
        assert run(*LIST) == (0, "[]\n", "")
    assert identity_stub.connections == before
    assert tokens(stub) == ["token-1"] * 4
    assert kept.exists()


def test_a_kept_token_needs_none_of_the_libraries_that_would_get_one(
    kept: Path, stub: HttpStub
) -> None:
    script = (
        "import sys\nfrom zaqarclient.shell import main\n"
        "status = main(['message', 'post', 'q', '1', '-f', 'value'])\n"
        "heavy = ('keystoneauth1', 'openstack', 'osc_lib', 'openstackclient')\n"
        "print([name for name in heavy if name in sys.modules])\nsys.exit(status)\n"
    )
    stub.default = Answer(201, {"resources": ["/v2/queues/q/messages/m1"]})
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "m1\n[]\n"
    assert stub.last.headers["x-auth-token"] == "token-1"
    assert kept.exists()


def test_nothing_is_kept_unless_it_is_asked_for(
    identity: IdentityStub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZAQAR_TOKEN_CACHE")
    assert run(*LIST).status == 0
    assert not token_cache.directory().exists()
    assert run("--os-token-cache", *LIST).status == 0
    assert len(list(token_cache.directory().iterdir())) == 1
    assert identity.given == 2


def test_only_its_owner_can_read_what_is_kept_and_no_password_is(kept: Path) -> None:
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert "secret" not in kept.read_text() + kept.name
    assert json.loads(kept.read_text())["token"] == "token-1"


@pytest.mark.parametrize(
    "words",
    [
        ["--os-password", "secret "],
        ["--os-project-name", "billing"],
        ["--os-region-name", "two"],
        ["--os-interface", "internal"],
        ["--os-default-domain-id", "d"],
        ["--insecure"],
    ],
)
def test_whoever_asks_otherwise_gets_another_token(
    identity_stub: HttpStub, kept: Path, run: Run, words: list[str]
) -> None:
    run(*words, *LIST)
    assert identity_stub.calls().count(("POST", "/v3/auth/tokens")) == 2
    assert json.loads(kept.read_text())["token"] == "token-1"


def test_another_region_leads_to_its_own_endpoint(
    kept: Path, run: Run, stub: HttpStub
) -> None:
    run("--os-region-name", "two", *LIST)
    run("--os-region-name", "two", *LIST)
    assert [seen.path for seen in stub.seen] == [
        "/v2/queues",
        "/two/v2/queues",
        "/two/v2/queues",
    ]
    assert len(list(kept.parent.iterdir())) == 2


@pytest.mark.usefixtures("kept")
def test_a_token_is_renewed_before_it_ends(
    identity: IdentityStub, run: Run, stub: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + 3550
    monkeypatch.setattr(time, "time", lambda: later)
    assert run(*LIST).status == 0
    assert identity.given == 2
    assert tokens(stub) == ["token-1", "token-2"]


def test_a_refused_token_is_forgotten_and_the_request_sent_once_more(
    identity: IdentityStub, kept: Path, run: Run, stub: HttpStub
) -> None:
    stub.answers = [Answer(401, {"error": {"message": "revoked"}})]
    assert run(*LIST) == (0, "[]\n", "")
    assert tokens(stub) == ["token-1", "token-1", "token-2"]
    assert json.loads(kept.read_text())["token"] == "token-2"
    run(*LIST)
    assert identity.given == 2


def test_a_token_that_is_refused_again_is_an_error_and_not_kept(
    identity: IdentityStub, kept: Path, run: Run, stub: HttpStub
) -> None:
    stub.default = Answer(401, {"error": {"message": "go away"}})
    done = run(*LIST)
    assert (done.status, done.out) == (4, "")
    assert "The service does not accept these credentials." in done.err
    assert len(stub.seen) == 3
    assert identity.given == 2
    assert not kept.exists()


def too_open(file: Path) -> None:
    file.chmod(0o640)


def too_open_place(file: Path) -> None:
    file.parent.chmod(0o755)


def a_link(file: Path) -> None:
    elsewhere = file.parent.parent / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)


def damaged(file: Path) -> None:
    file.write_text("{", encoding="ascii")


def incomplete(file: Path) -> None:
    file.write_text('{"token": "stolen"}', encoding="ascii")


@pytest.mark.parametrize(
    ("harm", "text"),
    [
        (too_open, "(chmod 600)"),
        (too_open_place, "(chmod 700)"),
        (a_link, "the cached token cannot be read"),
        (damaged, "the cached token cannot be read"),
        (incomplete, "the cached token cannot be read"),
    ],
)
def test_what_may_not_be_trusted_is_not_used_and_said(
    identity: IdentityStub,
    kept: Path,
    run: Run,
    stub: HttpStub,
    harm: Callable[[Path], None],
    text: str,
) -> None:
    harm(kept)
    done = run(*LIST)
    assert (done.status, done.out) == (0, "[]\n")
    assert text in done.err
    assert identity.given == 2
    assert tokens(stub)[-1] == "token-2"


def test_the_file_of_somebody_else_is_not_used(
    kept: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert token_cache.TokenFile(kept).read() is None
    assert "belongs to another user" in caplog.text


def test_a_place_that_cannot_be_written_to_stops_no_command(
    identity: IdentityStub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    done = run(*LIST)
    assert (done.status, done.out) == (0, "[]\n")
    assert "the token is not cached" in done.err
    assert identity.given == 1


def test_logging_out_removes_all_kept_tokens(
    identity: IdentityStub, kept: Path, run: Run
) -> None:
    run("--os-region-name", "two", *LIST)
    assert run("logout") == (0, "", "")
    assert list(kept.parent.iterdir()) == []
    assert run("logout") == (0, "", "")
    run(*LIST)
    assert identity.given == 3


@pytest.mark.usefixtures("identity")
def test_a_static_token_is_not_kept(run: Run, stub: HttpStub) -> None:
    words = ["--os-auth-type", "admin_token", "--os-token", "t"]
    assert run(*words, "--os-endpoint", stub.url, *LIST).status == 0
    assert not token_cache.directory().exists()


@pytest.mark.usefixtures("kept")
def test_debug_and_timing_tell_requests_but_not_the_token(
    run: Run, stub: HttpStub
) -> None:
    stub.default = Answer(200, EMPTY.body, {"X-OpenStack-Request-ID": "req-7"})
    done = run("--debug", "--timing", *LIST)
    assert done.out == "[]\n"
    assert "curl -g -i -X GET" in done.err
    assert "{SHA256}" in done.err
    assert "req-7" in done.err
    assert "token-1" not in done.err
    assert f"GET {stub.url}/v2/queues" in done.err.splitlines()[-1]


def test_a_kept_token_authenticates_a_websocket_and_is_renewed_there(
    identity: IdentityStub, ws_stub: WebsocketStub, run: Run
) -> None:
    given: list[str] = []

    def reply(frame: dict[str, Any]) -> dict[str, Any]:
        if frame["action"] == "authenticate":
            given.append(frame["headers"]["X-Auth-Token"])
            return answer(frame, 401 if len(given) == 2 else 200)
        return answer(frame, 200, {"queues": []})

    ws_stub.reply = reply
    words = ["--os-queues-endpoint", ws_stub.url, "--timing", *LIST]
    for _ in range(3):
        assert run(*words).out == "[]\n"
    assert given == ["token-1", "token-1", "token-2", "token-2"]
    assert identity.given == 2
    assert ws_stub.frames[-1]["headers"]["X-Project-ID"] == "4f2a"


@pytest.mark.filterwarnings("ignore:Support for InfluxDB")  # of openstacksdk itself
def test_a_changed_clouds_yaml_leads_to_a_new_token(
    identity: IdentityStub,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    identity_stub: HttpStub,
) -> None:
    auth = {
        "auth_url": identity.url,
        "username": "alice",
        "password": "secret",
        "project_name": "sales",
        "user_domain_id": "default",
        "project_domain_id": "default",
    }
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    file = tmp_path / "clouds.yaml"
    cloud = {"auth": auth, "region_name": "one"}
    file.write_text(json.dumps({"clouds": {"work": cloud}}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
    for _ in range(2):
        assert run("--os-cloud", "work", *LIST) == (0, "[]\n", "")
    assert identity.given == 1
    before = identity_stub.connections
    file.write_text(json.dumps({"clouds": {"work": cloud | {"region_name": "two"}}}))
    assert run("--os-cloud", "work", *LIST).status == 0
    assert identity.given == 2
    assert identity_stub.connections > before
