"""Topic commands."""

from __future__ import annotations

import json

import pytest

from zaqarclient.tests.functional.cli.conftest import BOTH_WIRES, Run

pytestmark = BOTH_WIRES

HOOK = "https://hooks.example.com/in"


def test_topics_are_made_listed_shown_and_deleted(zaqar: Run) -> None:
    attributes = "--ttl 600 --max-size 4096 --delay 5 --property team=a"
    assert zaqar("topic", "create", "news", *attributes.split()).status == 0
    zaqar("queue", "create", "orders")
    assert zaqar("topic", "list", "-f", "json").data == [{"Name": "news"}]
    (listed,) = zaqar("topic", "list", "--detailed", "-f", "json").data
    assert listed["Href"] == "/v2/topics/news"
    assert listed["Metadata_Dict"]["team"] == "a"
    shown = zaqar("topic", "show", "news", "-f", "json").data
    assert shown == {
        "Name": "news",
        "Total": 0,
        "Default TTL": 600,
        "Max Post Size": 4096,
        "Default Delay": 5,
        "Encrypted": False,
        "Properties": {"team": "a"},
    }
    done = zaqar("topic", "delete", "news", "unknown", "--yes")
    assert done == (0, "", "There is no topic unknown.\n")
    assert zaqar("topic", "list", "-f", "json").data == []
    assert zaqar("queue", "list", "-f", "value").out == "orders\n"


def test_pages_and_filters_are_those_of_queues(zaqar: Run) -> None:
    for name in ("a", "b", "c"):
        zaqar("topic", "create", name, "--property", f"team={name}")
    first = zaqar("topic", "list", "--limit", "2", "-f", "value")
    assert (first.out, "--marker b" in first.err) == ("a\nb\n", True)
    assert zaqar("topic", "list", "--marker", "b", "-f", "value").out == "c\n"
    found = zaqar("topic", "list", "--filter", "team=b", "--all", "-f", "value")
    assert found.out == "b\n"


def test_existence_is_an_exit_status(zaqar: Run) -> None:
    zaqar("queue", "create", "news")
    assert zaqar("topic", "exists", "news", "-f", "value") == (3, "False\n", "")
    zaqar("topic", "create", "news")
    assert zaqar("topic", "exists", "news", "-f", "value") == (0, "True\n", "")


@pytest.mark.parametrize(
    "words",
    [
        ["topic", "show", "none"],
        ["topic", "stats", "none", "--check"],
        ["topic", "set", "none", "--ttl", "60"],
    ],
)
def test_a_topic_that_is_not_there_is_named_as_one(
    zaqar: Run, words: list[str]
) -> None:
    done = zaqar(*words)
    assert (done.status, done.out) == (3, "")
    assert "there is no topic none" in done.err


def test_attributes_are_set_and_removed_one_by_one(zaqar: Run) -> None:
    zaqar("topic", "create", "news", "--property", "a=1")
    assert zaqar("topic", "set", "news", "--ttl", "90", "--property", "b=2").status == 0
    assert zaqar("topic", "unset", "news", "--property", "a").status == 0
    shown = zaqar("topic", "show", "news", "-f", "json").data
    assert (shown["Default TTL"], shown["Properties"]) == (90, {"b": 2})


def test_messages_are_posted_counted_read_and_deleted(zaqar: Run) -> None:
    lines = b"one\ntwo\nthree\n"
    words = ["topic", "message", "post", "news", "--lines", "-f", "value"]
    ids = zaqar(*words, "-", stdin=lines).out.split()
    stats = zaqar("topic", "stats", "news", "-f", "json").data
    assert (list(stats), stats["Total"]) == (["Total", "Oldest", "Newest"], 3)
    assert stats["Oldest"]["href"] == f"/v2/topics/news/messages/{ids[0]}"
    listed = zaqar("topic", "message", "list", "news", "--echo", "-f", "json").data
    assert [row["Body"] for row in listed] == ["one", "two", "three"]
    shown = zaqar(
        "topic", "message", "show", "news", ids[1], "-f", "value", "-c", "Body"
    )
    assert shown.out == "two\n"
    assert zaqar("topic", "message", "delete", "news", ids[0]) == (0, "", "")
    tail = zaqar("topic", "message", "tail", "news", "-f", "json").out.splitlines()
    assert [json.loads(line)["Body"] for line in tail] == ["two", "three"]
    assert zaqar("topic", "purge", "news", "--yes") == (0, "", "")
    assert zaqar("topic", "message", "list", "news", "--echo", "-f", "json").data == []


def test_following_a_topic_gives_what_is_posted_to_it(zaqar: Run) -> None:
    zaqar("topic", "message", "post", "news", "--body", "1")
    words = "tail news --follow --limit 1 --timeout 20 -f value -c Body"
    assert zaqar("topic", "message", *words.split()) == (0, "1\n", "")


def test_subscriptions_are_made_shown_changed_confirmed_and_ended(zaqar: Run) -> None:
    words = ["topic", "subscription"]
    made = zaqar(*words, "create", "news", HOOK, "--ttl", "600", "-f", "json").data
    assert (made["Subscriber"], made["TTL"]) == (HOOK, 600)
    again = zaqar(*words, "create", "news", HOOK, "--ttl", "90")
    assert (again.status, '"topic subscription update"' in again.err) in {
        (0, True),
        (5, False),  # over WebSocket a second one is refused
    }
    changed = zaqar(*words, "update", "news", made["ID"], "--ttl", "90", "-f", "json")
    assert changed.data["TTL"] == 90
    assert zaqar(*words, "confirm", "news", made["ID"]) == (0, "", "")
    shown = zaqar(*words, "show", "news", made["ID"], "-f", "json").data
    assert shown["Confirmed"] is True
    assert zaqar(*words, "list", "news", "-f", "json").data == [shown]
    assert zaqar("subscription", "list", "news", "-f", "json").data == []
    assert zaqar(*words, "delete", "news", made["ID"], "--yes") == (0, "", "")
    assert zaqar(*words, "list", "news", "-f", "json").data == []


def test_bad_names_and_values_are_refused_with_a_reason(zaqar: Run) -> None:
    wrong = zaqar("topic", "create", "a b")
    assert (wrong.status, "The topic name may only" in wrong.err) == (1, True)
    low = zaqar("topic", "create", "news", "--ttl", "59")
    assert (low.status, "_default_message_ttl" in low.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("topic list", "--with-count"),
        ("topic create news", "--max-claims=1"),
        ("topic message list news", "--include-claimed"),
        ("topic message delete news m", "--claim-id=c"),
    ],
)
def test_what_is_about_claims_is_no_option(zaqar: Run, words: str, option: str) -> None:
    done = zaqar(*words.split(), option)
    assert (done.status, done.out) == (2, "")


def test_the_help_speaks_of_topics(zaqar: Run) -> None:
    text = zaqar("topic", "message", "post", "--help").out
    assert "<topic_name>" in text
    assert "Name of the topic" in text
    assert "queue" not in text
    assert "topic" in zaqar("help", "--all").out
