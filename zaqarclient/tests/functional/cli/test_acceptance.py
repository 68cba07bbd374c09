"""The acceptance list of the commands (cli.md 17), and how scripts call them (16).

Items 1 and 7 are in ``unit/cli/test_commands.py`` (names, classes, imports), 2 in
``unit/cli/test_parsers.py``, 5 in ``test_openstack.py``; here are the others.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from zaqarclient.tests.functional.cli.conftest import Run

METADATA = '{"team": "billing"}'


@pytest.fixture(scope="module")
def server(server_factory: Callable[..., Any]) -> Any:
    """A server that does all that there are commands for."""
    return server_factory(
        options="admin_mode = true\npooling = true\n"
        "[pooling:catalog]\nenable_virtual_pool = true\n"
        "[signed_url]\nsecret_key = s3cret"
    )


@pytest.fixture
def ids(zaqar: Run) -> dict[str, str]:
    """A queue with a claimed message, a free one and a subscription; their ids."""
    zaqar("queue", "create", "q")
    zaqar("message", "post", "q", '[{"body": {"n": 1}}, {"body": "two"}]')
    claimed = zaqar("claim", "create", "q", "--limit", "1", "-f", "json").data[0]
    words = ["subscription", "create", "q", "https://hooks.example.com/in", "3600"]
    subscription = zaqar(*words, "-f", "json").data["ID"]
    return {"claim": claimed["Claim_ID"], "subscription": subscription}


COLUMNS: dict[str, tuple[list[str], list[str]]] = {
    "queue list": ([], ["Name"]),
    "queue list --detailed": (["--detailed"], ["Name", "Metadata_Dict", "Href"]),
    "queue create": (["other"], ["Name"]),
    "queue stats": (["q", "-c", "Stats"], ["Stats"]),
    "queue get metadata": (["q"], ["Metadata"]),
    "queue signed url": (
        ["q"],
        ["Paths", "Methods", "Expires", "Signature", "Project ID"],
    ),
    "message list": (
        ["q", "--echo"],
        ["ID", "Body", "TTL", "Age", "Claim ID", "Checksum"],
    ),
    "claim create": (
        ["q", "--limit", "1"],
        ["Claim_ID", "Message_ID", "TTL", "Age", "Messages", "Checksum"],
    ),
    "subscription create": (
        ["q", "https://hooks.example.com/other", "3600"],
        ["ID", "Subscriber", "TTL", "Options"],
    ),
    "subscription list": (
        ["q"],
        ["ID", "Subscriber", "TTL", "Age", "Confirmed", "Options"],
    ),
    "subscription show": (
        ["q", "{subscription}"],
        ["ID", "Subscriber", "TTL", "Age", "Confirmed", "Options"],
    ),
    "subscription update": (
        ["q", "{subscription}", "--ttl", "600"],
        ["ID", "Subscriber", "TTL", "Options"],
    ),
    "ping": ([], ["Pingable"]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_the_columns_are_those_that_scripts_choose_by_name(
    zaqar: Run, ids: dict[str, str], name: str
) -> None:
    """cli.md 17.3: the same column headers by default."""
    words, columns = COLUMNS[name]
    told = [word.format(**ids) for word in words]
    command = name.removesuffix(" --detailed").split()
    done = zaqar(*command, *told, "-f", "json")
    assert (done.status, done.err) == (0, "")
    row = done.data[0] if isinstance(done.data, list) else done.data
    assert list(row) == columns


@pytest.mark.parametrize("command", ["query", "renew"])
def test_a_claim_shows_its_messages_in_the_columns_that_it_had(
    zaqar: Run, ids: dict[str, str], command: str
) -> None:
    """cli.md 17.3, 14.1: the columns stand, and the ids are no longer empty."""
    done = zaqar("claim", command, "q", ids["claim"], "-f", "json")
    row = done.data[0]
    assert list(row)[:4] == ["Message_ID", "Age", "TTL", "Message"]
    assert row["Message_ID"]
    assert row["Message"] == {"n": 1}


def test_values_in_json_have_the_types_that_they_had(
    zaqar: Run, ids: dict[str, str]
) -> None:
    """cli.md 17.3: strings, integers, nested objects and null."""
    zaqar("queue", "set", "metadata", "q", METADATA)
    listed = zaqar("message", "list", "q", "--echo", "--include-claimed", "-f", "json")
    first, second = listed.data
    assert (first["Body"], second["Body"]) == ({"n": 1}, "two")
    assert isinstance(first["ID"], str)
    assert (type(first["TTL"]), type(first["Age"])) == (int, int)
    assert (first["Claim ID"], second["Claim ID"]) == (ids["claim"], None)
    metadata = zaqar("queue", "get", "metadata", "q", "-f", "json").data["Metadata"]
    assert metadata["team"] == "billing"
    shown = zaqar("subscription", "show", "q", ids["subscription"], "-f", "json").data
    assert isinstance(shown["TTL"], int)
    assert shown["Options"] == {}


STATUSES: list[tuple[str, list[str], int]] = [
    ("an empty result", ["queue", "list"], 0),
    ("deleting what is gone", ["queue", "delete", "nope"], 0),
    ("releasing what is gone", ["claim", "release", "nope", "nope"], 0),
    ("deleting what is gone", ["subscription", "delete", "q", "nope"], 0),
    ("purging what is gone", ["queue", "purge", "nope"], 0),
    ("400", ["subscription", "create", "q", "gopher://x", "600"], 1),
    ("400", ["claim", "create", "q", "--ttl", "1"], 1),
    ("403", ["pool", "list"], 4),
    ("404", ["claim", "query", "q", "nope"], 3),
    ("404", ["message", "list", "q", "--message-ids", "nope"], 3),
    ("a bad name", ["queue", "create", "no spaces"], 1),
    ("an empty name", ["queue", "create", ""], 1),
    ("bad metadata", ["queue", "set", "metadata", "q", "{"], 1),
    ("metadata that is no object", ["queue", "set", "metadata", "q", "[]"], 1),
    ("bad messages", ["message", "post", "q", "{"], 2),
    ("bad options", ["subscription", "create", "q", "http://x", "--options", "{"], 2),
    ("bad options", ["pool", "create", "p", "u", "1", "--pool_options", "{"], 2),
    ("bad capabilities", ["flavor", "update", "f", "--capabilities", "{"], 2),
    ("a word too much", ["queue", "create", "q", "r"], 2),
    ("an unknown command", ["queue", "paint"], 2),
    ("an unknown option", ["queue", "list", "--paint"], 2),
    ("an unknown option of credentials", ["--os-paint=1", "queue", "list"], 2),
]


@pytest.mark.parametrize(("_what", "words", "status"), STATUSES)
def test_the_exit_status_says_how_it_went(
    zaqar: Run, _what: str, words: list[str], status: int
) -> None:
    """cli.md 17.4: the exit codes of section 10, told apart by ``zaqar``."""
    done = zaqar("-q", *words)
    assert done.status == status
    assert bool(done.err) == bool(status)
    assert "Traceback" not in done.err
    if status:
        assert not done.out
    if status not in {0, 2}:
        assert len(done.err.splitlines()) == 1
        assert not done.err.strip().endswith("..")  # cli.md 14.27


def test_scripts_of_all_kinds_still_work(zaqar: Run) -> None:
    """cli.md 16: calls that are seen in public."""
    client_id = str(uuid.uuid4())
    assert zaqar("messaging", "queue", "list").status == 0  # the smoke test of guides
    calls = [
        ["queue", "create", "jobs"],
        ["queue", "list"],
        ["message", "post", "jobs", '[{"body": {"step": 1}, "ttl": 3600}]'],
        ["message", "list", "jobs"],
        ["claim", "create", "jobs", "--ttl", "300", "--grace", "60", "--limit", "5"],
        ["subscription", "create", "jobs", "https://hooks.example.com/in", "3600"],
        ["queue", "purge", "jobs", f"--client-id={client_id}"],
        ["queue", "set", "metadata", "jobs", METADATA],
        ["queue", "get", "metadata", "jobs"],
        ["queue", "stats", "jobs"],
        ["queue", "delete", "jobs"],
    ]
    failed = [call for call in calls if zaqar("messaging", *call).status]
    assert failed == []


def test_openstack_takes_the_call_of_the_server_documents(process: Run) -> None:
    """cli.md 16, 11: ``queue list`` without a prefix is a name of its own again."""
    done = process("openstack", "queue", "list", "-f", "json")
    assert (done.status, done.err) == (0, "")
    assert json.loads(done.out) == []
