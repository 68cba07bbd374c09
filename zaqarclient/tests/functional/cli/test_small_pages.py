"""Commands that go through many pages, with three items a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from zaqarclient.queues.v2.cli import bodies, paging
from zaqarclient.tests.functional.cli.conftest import BOTH_WIRES, Run

#: More than three pages.
MANY = 11
NAMES = [f"n{number:02}" for number in range(MANY)]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "PAGE_SIZE", 3)
    monkeypatch.setattr(bodies, "MOST_MESSAGES", 3)


def post(zaqar: Run, queue: str, count: int = MANY) -> None:
    lines = "\n".join(str(number) for number in range(count)).encode()
    done = zaqar("message", "post", queue, "-", "--json-lines", stdin=lines)
    assert done.status == 0, done.err


def column(zaqar: Run, name: str, *words: str) -> list[Any]:
    done = zaqar(*words, "--limit", "0", "-f", "json")
    assert done.status == 0, done.err
    return [row[name] for row in done.data]


@BOTH_WIRES
class TestLists:
    def test_queues_and_topics(self, zaqar: Run) -> None:
        for name in NAMES:
            zaqar("queue", "create", name)
            zaqar("topic", "create", name)
        assert column(zaqar, "Name", "queue", "list") == NAMES
        assert column(zaqar, "Name", "topic", "list") == NAMES

    def test_messages_free_and_claimed(self, zaqar: Run) -> None:
        post(zaqar, "q")
        zaqar("claim", "create", "q", "--limit", "7")
        found = column(
            zaqar, "Body", "message", "list", "q", "--echo", "--include-claimed"
        )
        assert found == list(range(MANY))

    def test_subscriptions(self, zaqar: Run) -> None:
        hooks = [f"http://{name}.example/" for name in NAMES]
        for hook in hooks:
            zaqar("subscription", "create", "q", hook, "600")
        assert column(zaqar, "Subscriber", "subscription", "list", "q") == hooks

    def test_a_tail_and_an_export(self, zaqar: Run, tmp_path: Path) -> None:
        post(zaqar, "q")
        shown = zaqar("message", "tail", "q", "--echo", "-f", "json")
        assert [json.loads(line)["Body"] for line in shown.out.splitlines()] == list(
            range(MANY)
        )
        file = str(tmp_path / "q.jsonl")
        assert zaqar("queue", "export", "q", file).status == 0
        assert zaqar("queue", "import", "copy", file).status == 0
        found = column(zaqar, "Body", "message", "list", "copy", "--echo")
        assert found == list(range(MANY))


@pytest.fixture
def admin(
    zaqar: Run, server_factory: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    """The program in the role of an administrator of a server with pools."""
    server = server_factory(options="admin_mode = true\npooling = true")
    monkeypatch.setenv("OS_QUEUES_ENDPOINT", server.url)
    monkeypatch.setenv("OS_QUEUES_ROLES", "admin")
    yield zaqar
    server.stop()


def test_pools_and_flavors_are_listed_over_many_pages(
    admin: Run, tmp_path: Path
) -> None:
    for name in NAMES:
        admin("pool", "create", name, f"sqlite:///{tmp_path}/{name}.db", "1")
        admin("flavor", "create", name, "--pool-list", name)
    assert column(admin, "Name", "pool", "list") == NAMES
    assert column(admin, "Name", "flavor", "list") == NAMES
