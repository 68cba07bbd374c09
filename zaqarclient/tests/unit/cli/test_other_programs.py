"""The command classes in programs that have no more than tests of plugins give them.

Suites on osc-lib's base classes call `get_parser` and `take_action` themselves, in a
stand-in of ``openstack`` that has streams and a client manager and nothing else.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.http_stub import Answer, HttpStub
from zaqarclient.tests.mock.message import message

PREFIX = "messaging_"
COMMANDS = {
    entry.name.removeprefix(PREFIX): entry
    for entry in entry_points(group="openstack.messaging.v2")
    if entry.name.startswith(PREFIX)
}

MESSAGE = message(href="/v2/queues/q/messages/7?claim_id=c9", ttl=300, age=2, body=1)
SUBSCRIPTION = {
    "id": "s31",
    "source": "q",
    "subscriber": "http://x",
    "ttl": 600,
    "age": 1,
    "confirmed": True,
    "options": {},
}


def make(name: str, messaging: Any) -> Any:
    """Return a command in a stand-in."""
    app = SimpleNamespace(
        stdin=sys.stdin,
        stdout=io.StringIO(),
        stderr=io.StringIO(),
        log=logging.getLogger("stand-in"),
        client_manager=SimpleNamespace(messaging=messaging),
    )
    return COMMANDS[name].load()(app, None)


def take(name: str, messaging: Any, *words: str) -> Any:
    """Parse the words and act, as `check_parser` and `take_action` do."""
    command = make(name, messaging)
    return command.take_action(command.get_parser("check_parser").parse_args(words))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_a_parser_that_helps(name: str) -> None:
    text = make(name, None).get_parser("x").format_help()
    assert f"Example:\n  openstack {name.replace('_', ' ')}" in text


@pytest.mark.parametrize(
    ("name", "words", "reply", "columns", "rows"),
    [
        ("queue_list", [], {"queues": [{"name": "q"}]}, ("Name",), [("q",)]),
        (
            "message_list",
            ["q", "--message-ids", "7"],
            {"messages": [MESSAGE]},
            ("ID", "Body", "TTL", "Age", "Claim ID", "Checksum"),
            [("7", 1, 300, 2, "c9", None)],
        ),
        (
            "claim_create",
            ["q"],
            {"messages": [MESSAGE]},
            ("Claim_ID", "Message_ID", "TTL", "Age", "Messages", "Checksum"),
            [("c9", "7", 300, 2, 1, None)],
        ),
        (
            "subscription_list",
            ["q"],
            {"subscriptions": [SUBSCRIPTION]},
            ("ID", "Subscriber", "TTL", "Age", "Confirmed", "Options"),
            [("s31", "http://x", 600, 1, True, {})],
        ),
        (
            "pool_list",
            [],
            {"pools": [{"name": "p", "weight": 1, "uri": "u"}]},
            ("Name", "Weight", "URI", "Flavor"),
            [("p", 1, "u", None)],
        ),
        (
            "flavor_list",
            [],
            {"flavors": [{"name": "f", "pool_list": ["p"]}]},
            ("Name", "Pool list"),
            [("f", ["p"])],
        ),
    ],
)
def test_lists_are_given_as_columns_and_rows(
    client: Client,
    stub: HttpStub,
    name: str,
    words: list[str],
    reply: Any,
    columns: tuple[str, ...],
    rows: list[tuple[Any, ...]],
) -> None:
    stub.default = Answer(200, {"links": [], **reply})
    found, data = take(name, client, *words)
    shown = [tuple(getattr(cell, "value", cell) for cell in row) for row in data]
    assert (tuple(found), shown) == (columns, rows)


@pytest.mark.parametrize("kind", ["queue", "topic"])
@pytest.mark.parametrize("what", ["list", "tail"])
def test_nobody_asks_for_the_claimed_messages_of_a_topic(
    run: Callable[..., Any], stub: HttpStub, kind: str, what: str
) -> None:
    stub.default = Answer(200, {"links": [], "messages": []})
    words = (
        ["message", what, "news"] if kind == "queue" else [kind, "message", what, "x"]
    )
    assert run("--os-queues-endpoint", stub.url, *words).status == 0
    query = stub.seen[0].query  # what is asked next is why there is nothing
    assert ("include_claimed" in query) is (kind == "queue")
    assert {"echo", "include_delayed"} <= set(query)


def test_the_client_id_is_set_without_the_run_of_a_program(
    client: Client, stub: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.default = Answer(200, {"links": [], "messages": []})
    list(take("message_list", client, "q", "--client-id", "given")[1])
    assert stub.last.headers["client-id"] == "given"
    monkeypatch.setenv("OS_MESSAGE_CLIENT_ID", "environment")
    list(take("message_list", client, "q")[1])
    assert stub.last.headers["client-id"] == "environment"
    assert client.client_uuid == "environment"


def test_a_client_that_is_a_mock_may_give_plain_lists() -> None:
    messaging = mock.Mock()
    messaging.queues.return_value = ([SimpleNamespace(name="a")], None)
    columns, rows = take("queue_list", messaging, "--limit", "5")
    assert (columns, rows) == (("Name",), [("a",)])
    messaging.queues.assert_called_once_with(limit=5)
    take("queue_delete", messaging, "orders")
    messaging.queue.assert_called_once_with("orders", auto_create=False)
    messaging.queue.return_value.delete.assert_called_once_with()
