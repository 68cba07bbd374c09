"""Subscription commands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from zaqarclient.tests.functional.cli.conftest import BOTH_WIRES, Run, is_websocket

pytestmark = BOTH_WIRES

HOOK = "https://hooks.example.com/in"
FILTER = {"/status": {"any_of": ["paid", "sent"]}, "/total": {"at_least": 10}}


def created(run: Run, *words: str, subscriber: str = HOOK) -> Any:
    done = run("subscription", "create", "q", subscriber, *words, "-f", "json")
    assert (done.status, done.err) == (0, "")
    return done.data


def shown(run: Run, subscription_id: str) -> Any:
    return run("subscription", "show", "q", subscription_id, "-f", "json").data


def test_a_subscription_is_shown_as_it_was_created(zaqar: Run) -> None:
    made = created(zaqar, "600", "--options", '{"_retry_policy": {"minimum_delay": 7}}')
    assert list(made) == ["ID", "Subscriber", "TTL", "Options"]
    assert (made["Subscriber"], made["TTL"]) == (HOOK, 600)
    assert made["Options"] == {"_retry_policy": {"minimum_delay": 7}}
    found = shown(zaqar, made["ID"])
    assert list(found) == ["ID", "Subscriber", "TTL", "Age", "Confirmed", "Options"]
    assert {name: found[name] for name in made} == made
    assert found["Confirmed"] is False


def test_the_ttl_may_be_an_option_or_left_to_the_service(zaqar: Run) -> None:
    assert created(zaqar, "--ttl", "90")["TTL"] == 90
    assert created(zaqar, subscriber="mailto:a@example.org")["TTL"] == 3600
    both = zaqar("subscription", "create", "q", HOOK, "90", "--ttl", "91")
    assert both.status == 2
    assert "give <ttl> or --ttl, not both" in both.err


def test_options_of_their_own_become_members(zaqar: Run, tmp_path: Path) -> None:
    file = tmp_path / "filter.json"
    file.write_text(json.dumps(FILTER))
    made = created(
        zaqar,
        "--options",
        '{"subject": "a", "post_data": "old"}',
        "--post-data",
        '{"text": "$zaqar_message$"}',
        "--post-header",
        "X-Key=k=1",
        "--filter",
        f"@{file}",
        "--retry-policy",
        '{"retries_with_no_delay": 1}',
    )
    assert made["Options"] == {
        "subject": "a",
        "post_data": '{"text": "$zaqar_message$"}',
        "post_headers": {"X-Key": "k=1"},
        "filter": FILTER,
        "_retry_policy": {"retries_with_no_delay": 1},
    }


def test_who_is_subscribed_already_keeps_what_it_has_and_is_told(
    zaqar: Run, endpoint: str
) -> None:
    first = created(zaqar, "600")
    again = zaqar("subscription", "create", "q", HOOK, "900", "-f", "json")
    assert shown(zaqar, first["ID"])["TTL"] == 600
    if is_websocket(endpoint):
        # There whoever is subscribed already is a conflict.
        assert (again.status, again.out) == (5, "")
        return
    assert again.status == 0
    assert again.data == first
    assert "was subscribed already" in again.err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["ftp://example.com"], "must be supported in the list"),
        ([HOOK, "59"], "at least 60 seconds"),
        ([HOOK, "--filter", '{"status": {"equals": 1}}'], "must be a JSON pointer"),
        ([HOOK, "--retry-policy", '{"retry_backoff_function": 5}'], "backoff"),
    ],
)
def test_what_the_service_refuses_is_said_in_its_words(
    zaqar: Run, words: list[str], reason: str
) -> None:
    done = zaqar("subscription", "create", "q", *words)
    assert (done.status, done.out) == (1, "")
    assert reason in done.err


def test_an_update_changes_what_is_given_and_shows_the_result(zaqar: Run) -> None:
    made = created(zaqar, "600", "--options", '{"subject": "a"}')
    done = zaqar(
        "subscription", "update", "q", made["ID"], "--ttl", "900", "-f", "json"
    )
    assert done.data == {**made, "TTL": 900}
    done = zaqar(
        "subscription",
        "update",
        "q",
        made["ID"],
        "--subscriber",
        f"{HOOK}2",
        "-f",
        "json",
    )
    assert done.data == {**made, "TTL": 900, "Subscriber": f"{HOOK}2"}
    assert shown(zaqar, made["ID"])["Options"] == {"subject": "a"}


def test_an_update_of_a_member_keeps_the_other_options(zaqar: Run) -> None:
    made = created(zaqar, "--options", '{"subject": "a", "post_data": "x"}')
    words = ["--post-data", "y", "--filter", json.dumps(FILTER), "-f", "json"]
    done = zaqar("subscription", "update", "q", made["ID"], *words)
    assert done.data["Options"] == {"subject": "a", "post_data": "y", "filter": FILTER}


def test_options_are_replaced_and_cleared_as_a_whole(zaqar: Run) -> None:
    made = created(zaqar, "--options", '{"subject": "a"}')
    update = ["subscription", "update", "q", made["ID"], "-f", "json", "--options"]
    assert zaqar(*update, '{"from": "b"}', "--post-data", "x").data["Options"] == {
        "from": "b",
        "post_data": "x",
    }
    assert zaqar(*update, "{}").data["Options"] == {}


@pytest.mark.parametrize(
    "words",
    [
        ["create", "q", HOOK, "--options", '{"post_dat": ""}'],
        ["update", "q", "some", "--options", '{"post_dat": ""}'],
        ["create", "q", HOOK, "--retry-policy", '{"minimum_dela": 7}'],
    ],
)
def test_an_option_that_the_service_would_ignore_is_refused(
    zaqar: Run, words: list[str]
) -> None:
    done = zaqar("subscription", *words)
    assert (done.status, done.out) == (2, "")
    assert re.search("did you mean '(post_data|minimum_delay)'", done.err)


def test_an_update_of_nothing_is_wrong_usage(zaqar: Run) -> None:
    done = zaqar("subscription", "update", "q", "some")
    assert done.status == 2
    assert "give at least one thing to change" in done.err


@pytest.mark.parametrize("verb", [["show"], ["update", "--ttl", "60"], ["confirm"]])
def test_a_subscription_that_does_not_exist_is_an_error(
    zaqar: Run, verb: list[str]
) -> None:
    done = zaqar("subscription", verb[0], "q", "unknown", *verb[1:])
    assert (done.status, done.out) == (3, "")
    assert "unknown" in done.err


def test_confirming_and_refusing_are_shown(zaqar: Run) -> None:
    made = created(zaqar)
    assert zaqar("subscription", "confirm", "q", made["ID"]) == (0, "", "")
    assert shown(zaqar, made["ID"])["Confirmed"] is True
    taken = zaqar("subscription", "create", "q", HOOK)
    assert (taken.status, taken.out) == (5, "")
    assert "already exists" in taken.err or "not created" in taken.err
    assert zaqar("subscription", "confirm", "q", made["ID"], "--refuse").status == 0
    assert shown(zaqar, made["ID"])["Confirmed"] is False


def test_a_list_goes_over_pages_and_names_the_next(zaqar: Run) -> None:
    made = [created(zaqar, subscriber=f"{HOOK}{n:02}")["ID"] for n in range(23)]
    page = zaqar("subscription", "list", "q", "-f", "value", "-c", "ID")
    assert page.out.split() == made[:10]
    assert page.err == f"Next page: --marker {made[9]} (or --all)\n"
    rest = zaqar(
        "subscription", "list", "q", "--marker", made[9], "--all", "-f", "json"
    )
    assert [row["ID"] for row in rest.data] == made[10:]
    assert list(rest.data[0]) == [
        "ID",
        "Subscriber",
        "TTL",
        "Age",
        "Confirmed",
        "Options",
    ]
    some = zaqar("subscription", "list", "q", "--limit", "21", "-f", "json")
    assert [row["ID"] for row in some.data] == made[:21]


@pytest.mark.parametrize(("form", "out"), [("json", "[]\n"), ("value", "")])
def test_no_subscriptions_are_no_error(zaqar: Run, form: str, out: str) -> None:
    assert zaqar("subscription", "list", "q", "-f", form) == (0, out, "")


def test_several_are_deleted_and_a_missing_one_is_no_error(zaqar: Run) -> None:
    made = [created(zaqar, subscriber=f"{HOOK}{n}")["ID"] for n in range(3)]
    done = zaqar("subscription", "delete", "q", *made[:2], "gone")
    assert done == (0, "", "There is no subscription gone.\n")
    left = zaqar("subscription", "list", "q", "-f", "value", "-c", "ID")
    assert left.out.split() == made[2:]


def test_a_filter_is_explained_without_a_service(
    zaqar: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_QUEUES_ENDPOINT", "http://127.0.0.1:9")
    body = json.dumps({"status": "open", "total": 12})
    explain = ["subscription", "explain", "q", "--filter", json.dumps(FILTER)]
    done = zaqar(*explain, "--message", body, "-f", "json")
    assert done.status == 1
    assert done.err == "The message does not match.\n"
    assert done.data == [
        {
            "Member": "/status",
            "Condition": "any_of",
            "Wanted": ["paid", "sent"],
            "Found": "open",
            "Holds": False,
        },
        {
            "Member": "/total",
            "Condition": "at_least",
            "Wanted": 10,
            "Found": 12,
            "Holds": True,
        },
    ]


def test_text_tells_null_from_text_and_from_nothing(zaqar: Run) -> None:
    wanted = {"/a": {"equals": None}, "/b": {"prefix": "x"}, "/c": {"exists": False}}
    words = ["--filter", json.dumps(wanted), "--message", '{"a": null, "b": "xy"}']
    done = zaqar("subscription", "explain", "q", *words, "-f", "value")
    assert (done.status, done.err) == (0, "The message matches.\n")
    assert done.out == (
        "/a equals null null True\n"
        '/b prefix "x" "xy" True\n'
        "/c exists false (missing) True\n"
    )


def test_the_filter_of_a_subscription_is_asked_about_a_message_of_the_queue(
    zaqar: Run, tmp_path: Path
) -> None:
    made = created(zaqar, "--filter", json.dumps(FILTER))
    post = ["message", "post", "q", "-f", "value", "--body"]
    paid = zaqar(*post, '{"status": "paid", "total": 10}').out.strip()
    explain = ["subscription", "explain", "q", made["ID"]]
    assert zaqar(*explain, "--message-id", paid).status == 0
    file = tmp_path / "body.json"
    file.write_text('{"status": "paid"}')
    assert zaqar(*explain, "--message", f"@{file}").status == 1


def test_a_subscription_without_a_filter_gets_everything(zaqar: Run) -> None:
    made = created(zaqar)
    done = zaqar("subscription", "explain", "q", made["ID"], "--message", "1")
    assert done.status == 0
    assert done.err == "The subscription has no filter: every message matches.\n"


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (["--message", "1"], 2, "give either <subscription_id> or --filter"),
        (["s", "--filter", "{}", "--message", "1"], 2, "give either"),
        (["--filter", "{}", "--message", "1"], 1, "1 to 32 conditions"),
        (["--filter", "null", "--message", "1"], 2, "neither a JSON object nor"),
        (["--filter", "[]", "--message", "1"], 2, "a JSON object is expected"),
    ],
)
def test_an_explanation_needs_one_filter_that_is_one(
    zaqar: Run, words: list[str], status: int, reason: str
) -> None:
    done = zaqar("subscription", "explain", "q", *words)
    assert (done.status, done.out) == (status, "")
    assert reason in done.err
