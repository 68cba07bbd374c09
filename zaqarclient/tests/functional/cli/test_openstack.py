"""The plugin in ``openstack``, in processes of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zaqarclient.queues.v2.cli.commands import COMMANDS
from zaqarclient.tests.functional.cli.conftest import BOTH_WIRES, Run

STORY: list[tuple[str, list[str]]] = [
    ("messaging queue create", ["q", "--property", "a=1"]),
    ("queue list", []),
    ("messaging queue list", ["--detailed"]),
    ("queue show", ["q"]),
    ("queue exists", ["q"]),
    ("queue set", ["q", "--property", "b=2"]),
    ("queue unset", ["q", "--property", "b"]),
    ("messaging queue set metadata", ["q", '{"c": 3}']),
    ("messaging queue get metadata", ["q"]),
    ("messaging message post", ["q", '[{"body": {"n": 1}}, {"body": 2}]']),
    ("message list", ["q", "--echo"]),
    ("message wait", ["q", "--timeout", "1m"]),
    ("messaging queue stats", ["q"]),
    ("queue redrive", ["q", "--to", "r", "--limit", "1"]),
    ("messaging claim create", ["q", "--ttl", "300", "--grace", "60", "--limit", "1"]),
    ("claim release", ["q", "unknown"]),
    ("claim run", ["q", "--", "true"]),
    ("messaging consume", ["q", "--", "true"]),
    ("message pop", ["q"]),
    ("message delete", ["q", "unknown"]),
    ("message tail", ["q", "-f", "json"]),
    ("messaging subscription create", ["q", "https://hooks.example.com/in", "3600"]),
    ("subscription list", ["q"]),
    ("subscription delete", ["q", "unknown"]),
    (
        "subscription explain",
        ["q", "--filter", '{"/a": {"equals": 1}}', "--message", '{"a": 1}'],
    ),
    ("messaging queue purge", ["q", "--client-id=" + "0" * 32]),
    ("messaging queue delete", ["q"]),
    ("queue export", ["q", "{tmp}/q.jsonl"]),
    ("messaging queue import", ["r", "{tmp}/q.jsonl"]),
    ("queue signed url", ["q", "--output", "url"]),
    ("messaging queue signed url list", ["q"]),
    ("pool create", ["ssd", "sqlite:///{tmp}/ssd.db", "100"]),
    ("messaging pool list", ["--detailed"]),
    ("pool show", ["ssd"]),
    ("messaging flavor create", ["fast", "--pool_list", "ssd"]),
    ("messaging flavor show", ["fast"]),
    ("messaging flavor update", ["fast", "--pool-list", "ssd"]),
    ("messaging flavor list", []),
    ("pool update", ["ssd", "--pool_weight", "0"]),
    ("messaging flavor delete", ["fast"]),
    ("pool drain", ["ssd", "--wait"]),
    ("pool delete", ["ssd"]),
    ("messaging quota show", []),
    ("messaging health", []),
    ("messaging limits", []),
    ("messaging ping", []),
    ("messaging homedoc", []),
]

#: These need an id that is known.
REFUSED = {
    "message show": ["q", "unknown"],
    "message release": ["q", "unknown", "--claim-id", "unknown"],
    "messaging message bury": ["q", "unknown", "--claim-id", "unknown"],
    "claim query": ["q", "unknown"],
    "claim renew": ["q", "unknown"],
    "messaging subscription show": ["q", "unknown"],
    "subscription confirm": ["q", "unknown"],
    "subscription update": ["q", "unknown", "--ttl", "60"],
    "queue signed url revoke": ["q", "unknown"],
}

_DRIVER = """
import contextlib, io, json, sys
from openstackclient.shell import OpenStackShell
done = []
for words in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = OpenStackShell().run(words)
        except SystemExit as ended:
            status = ended.code
    done.append([status, out.getvalue(), err.getvalue()])
json.dump(done, sys.stdout)
"""


@pytest.fixture(scope="module")
def server(server_factory: Callable[..., Any]) -> Any:
    """A server that does all that there are commands for."""
    return server_factory(
        options="admin_mode = true\npooling = true\n"
        "[pooling:catalog]\nenable_virtual_pool = true\n"
        "[signed_url]\nsecret_key = s3cret"
    )


Story = Callable[[list[list[str]]], list[tuple[int, str, str]]]


@pytest.fixture
def openstack(environment: dict[str, str]) -> Story:
    """Run commands of ``openstack`` one after the other in one process."""

    def run(story: list[list[str]]) -> list[tuple[int, str, str]]:
        done = subprocess.run(
            [sys.executable, "-c", _DRIVER],
            input=json.dumps(story).encode(),
            capture_output=True,
            env=environment | {"OS_QUEUES_ROLES": "admin"},
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return [tuple(one) for one in json.loads(done.stdout)]

    return run


@BOTH_WIRES
def test_openstack_runs_every_command_under_long_and_short_names(
    openstack: Story, tmp_path: Path
) -> None:
    told = {name.removeprefix("messaging ") for name, _ in STORY}
    told |= {name.removeprefix("messaging ") for name in REFUSED}
    told |= {name for name in COMMANDS if name.startswith("topic ")}  # below
    assert told == set(COMMANDS)
    done = openstack(
        [
            [*name.split(), *(word.replace("{tmp}", str(tmp_path)) for word in words)]
            for name, words in STORY
        ]
    )
    failed = {
        name: result
        for (name, _), result in zip(STORY, done, strict=True)
        if result[0] != 0
    }
    assert failed == {}


def test_openstack_runs_commands_on_topics(openstack: Story) -> None:
    """All of them are the classes of `zaqar`: here are some, by both names."""
    story = [
        "topic create news --property a=1",
        "messaging topic message post news --body 1",
        "topic subscription create news https://hooks.example.com/in",
        "messaging topic list -f value",
    ]
    done = openstack([line.split() for line in story])
    assert [status for status, _, _ in done] == [0, 0, 0, 0]
    assert done[-1][1] == "news\n"


@BOTH_WIRES
def test_openstack_ends_with_1_and_one_line_where_the_service_refuses(
    openstack: Story,
) -> None:
    done = openstack([[*name.split(), *words] for name, words in REFUSED.items()])
    for status, out, err in done:
        assert (status, out) == (1, "")
        assert "(request req-" in err
        assert len(err.splitlines()) == 1


def test_openstack_tells_timings_also_without_credentials(process: Run) -> None:
    done = process("openstack", "--timing", "queue", "list")
    assert (done.status, done.err) == (0, "")
    assert "/v2/queues" in done.out


def test_openstack_reaches_a_server_without_authentication_as_it_always_could(
    process: Run, server: Any
) -> None:
    words = ["--os-auth-type", "none", "--os-endpoint", server.url]
    done = process("openstack", *words, "queue", "list", OS_QUEUES_ENDPOINT="")
    assert (done.status, done.err) == (0, "")


@pytest.mark.parametrize(
    ("version", "status", "text"),
    [("2.0", 0, ""), ("3", 2, "messaging API version 3 does not exist")],
)
def test_openstack_takes_version_endpoint_and_project_from_clouds_yaml(
    process: Run, server: Any, tmp_path: Path, version: str, status: int, text: str
) -> None:
    clouds = tmp_path / "clouds.yaml"
    cloud = {"queues_endpoint": server.url, "queues_api_version": version}
    clouds.write_text(json.dumps({"clouds": {"here": cloud}}))
    variables = {"OS_CLIENT_CONFIG_FILE": str(clouds), "OS_QUEUES_ENDPOINT": ""}
    done = process("openstack", "--os-cloud", "here", "queue", "list", **variables)
    assert done.status == status
    assert text in done.err


def test_openstack_says_that_an_old_api_version_was_removed(process: Run) -> None:
    done = process("openstack", "--os-queues-api-version", "1.1", "queue", "list")
    assert done.status == 2
    assert "messaging API version 1.1 was removed: use version 2" in done.err
