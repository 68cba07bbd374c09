"""Queue commands."""

from __future__ import annotations

import json

import pytest

from zaqarclient.tests.functional.cli.conftest import BOTH_WIRES, Run, is_websocket

pytestmark = BOTH_WIRES


def names(run: Run, *words: str) -> list[str]:
    done = run("queue", "list", "-f", "value", *words)
    assert done.status == 0
    return done.out.split()


@pytest.mark.parametrize(
    ("output_format", "out"),
    [("json", "[]\n"), ("csv", '"Name"\n'), ("value", ""), ("table", "\n")],
)
def test_an_empty_list_is_no_error_in_any_format(
    zaqar: Run, output_format: str, out: str
) -> None:
    assert zaqar("queue", "list", "-f", output_format) == (0, out, "")


def test_a_created_queue_is_listed(zaqar: Run) -> None:
    assert zaqar("queue", "create", "orders", "-f", "json").data == {"Name": "orders"}
    assert zaqar("queue", "list", "-f", "json").data == [{"Name": "orders"}]


def test_creating_twice_succeeds_and_keeps_what_is_there(zaqar: Run) -> None:
    zaqar("queue", "create", "q", "--property", "team=a")
    assert zaqar("queue", "create", "q", "--property", "b=1").status == 0
    metadata = zaqar("queue", "get", "metadata", "q", "-f", "json").data["Metadata"]
    assert (metadata["team"], metadata["b"]) == ("a", 1)


def test_attributes_given_at_creation_are_shown(zaqar: Run) -> None:
    options = "--ttl 600 --max-size 4096 --delay 5 --dead-letter-queue bad"
    more = "--dead-letter-ttl 90 --max-claims 3 --property team=x"
    done = zaqar("queue", "create", "q", *options.split(), *more.split())
    assert done.status == 0
    shown = zaqar("queue", "show", "q", "-f", "json").data
    assert shown == {
        "Name": "q",
        "Free": 0,
        "Claimed": 0,
        "Total": 0,
        "Default TTL": 600,
        "Max Post Size": 4096,
        "Default Delay": 5,
        "Dead Letter Queue": "bad",
        "Dead Letter TTL": 90,
        "Max Claims": 3,
        "Encrypted": False,
        "Properties": {"team": "x"},
    }


def test_a_queue_that_does_not_exist_cannot_be_shown(zaqar: Run) -> None:
    assert zaqar("queue", "show", "nope") == (3, "", "there is no queue nope\n")


def test_the_status_says_if_a_queue_exists(zaqar: Run) -> None:
    for name in ("order", "orders.eu", "xorders"):
        zaqar("queue", "create", name)
    missing = zaqar("queue", "exists", "orders", "-f", "json")
    assert (missing.status, missing.data) == (3, {"Exists": False})
    zaqar("queue", "create", "orders")
    there = zaqar("queue", "exists", "orders", "-f", "json")
    assert (there.status, there.data) == (0, {"Exists": True})


def test_the_list_goes_over_pages_and_says_where_the_next_begins(zaqar: Run) -> None:
    every = [f"q{number:02}" for number in range(33)]
    for name in every:
        zaqar("queue", "create", name)
    page = zaqar("queue", "list", "-f", "value")
    assert page.out.split() == every[:10]
    assert page.err == "Next page: --marker q09 (or --all)\n"
    assert names(zaqar, "--marker", "q09", "--limit", "21") == every[10:31]
    assert names(zaqar, "--all") == every
    assert names(zaqar, "--limit", "0") == every
    assert zaqar("-q", "queue", "list").err == ""


def test_the_list_is_filtered_by_name_and_metadata(zaqar: Run) -> None:
    zaqar("queue", "create", "orders", "--property", "team=a", "--property", "n=1")
    zaqar("queue", "create", "orders.eu", "--property", "team=a")
    zaqar("queue", "create", "bills", "--property", "team=b")
    assert names(zaqar, "--name", "ord") == ["orders", "orders.eu"]
    assert names(zaqar, "--filter", "team=a") == ["orders", "orders.eu"]
    assert names(zaqar, "--filter", "team=a", "--filter", "n=1") == ["orders"]
    assert names(zaqar, "--filter", "team=c") == []


def test_a_detailed_list_has_metadata_and_address(zaqar: Run) -> None:
    zaqar("queue", "create", "q", "--property", "a=1")
    (row,) = zaqar("queue", "list", "--detailed", "-f", "json").data
    assert list(row) == ["Name", "Metadata_Dict", "Href"]
    assert row["Href"] == "/v2/queues/q"
    assert row["Metadata_Dict"]["a"] == 1


def test_the_count_is_told_beside_the_data(zaqar: Run) -> None:
    zaqar("queue", "create", "a")
    zaqar("queue", "create", "b")
    done = zaqar("queue", "list", "--with_count", "--limit", "1", "-f", "json")
    assert done.data == [{"Name": "a"}]
    assert "Queues in the project: 2\n" in done.err


def test_several_queues_are_deleted_and_a_failure_does_not_stop_the_rest(
    zaqar: Run,
) -> None:
    zaqar("queue", "create", "a")
    zaqar("queue", "create", "b")
    done = zaqar("queue", "delete", "a", "not/legal", "b", "unknown")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("queue not/legal: The queue name may only contain")
    assert names(zaqar) == []


def test_stats_are_rows_of_their_own(zaqar: Run) -> None:
    zaqar("message", "post", "q", '[{"body": 1}, {"body": 2}]')
    zaqar("claim", "create", "q", "--limit", "1")
    stats = zaqar("queue", "stats", "q", "-f", "json").data
    assert (stats["Free"], stats["Claimed"], stats["Total"]) == (1, 1, 2)
    assert set(stats["Oldest"]) == {"href", "age", "created"}
    assert list(stats) == ["Free", "Claimed", "Total", "Oldest", "Newest"]
    assert zaqar("queue", "stats", "q", "-f", "value", "-c", "Free").out == "1\n"


def test_stats_as_one_document_are_there_for_who_asks(zaqar: Run) -> None:
    stats = zaqar("queue", "stats", "q", "-c", "Stats", "-f", "json").data
    assert stats == {"Stats": {"messages": {"claimed": 0, "free": 0, "total": 0}}}


def test_stats_of_a_queue_that_does_not_exist_are_zero_or_an_error(zaqar: Run) -> None:
    assert zaqar("queue", "stats", "q").status == 0
    assert zaqar("queue", "stats", "q", "--check").err == "there is no queue q\n"
    assert zaqar("queue", "stats", "q", "--check").status == 3


def test_metadata_are_replaced_as_a_whole_also_of_a_new_queue(zaqar: Run) -> None:
    first = json.dumps({"a": {"b": [1]}, "_max_claim_count": 4})
    assert zaqar("queue", "set", "metadata", "q", first) == (0, "", "")
    got = zaqar("queue", "get", "metadata", "q", "-f", "json").data["Metadata"]
    assert (got["a"], got["_max_claim_count"]) == ({"b": [1]}, 4)
    assert zaqar("queue", "set", "metadata", "q", '{"c": 1}').status == 0
    got = zaqar("queue", "get", "metadata", "q", "-f", "json").data["Metadata"]
    assert "a" not in got
    assert (got["c"], got.get("_max_claim_count")) == (1, None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1]", "metadata must be a JSON object"),
        ('{"a"', "metadata '{\"a\"' is not valid JSON: Expecting ':' delimiter"),
    ],
)
def test_metadata_that_are_no_object_are_refused(
    zaqar: Run, text: str, reason: str
) -> None:
    done = zaqar("queue", "set", "metadata", "q", text)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(reason)


def test_nested_values_are_compact_json_in_text_formats(zaqar: Run) -> None:
    zaqar("queue", "create", "q", "--property", 'a={"b": [true, null]}')
    for output_format in ("value", "table", "shell"):
        done = zaqar("queue", "show", "q", "-f", output_format, "-c", "Properties")
        unquoted = done.out.replace("\\", "")
        assert '{"a":{"b":[true,null]}}' in unquoted


def test_single_keys_are_set_and_unset_and_the_others_stay(
    zaqar: Run, endpoint: str
) -> None:
    zaqar("queue", "create", "q", "--property", "a=1", "--ttl", "600")
    assert zaqar("queue", "set", "q", "--property", "b=x", "--max-claims", "2") == (
        0,
        "",
        "",
    )
    unset = ["--property", "a", "--property", "_default_message_ttl"]
    assert zaqar("queue", "unset", "q", *unset).status == 0
    shown = zaqar("queue", "show", "q", "-f", "json").data
    assert shown["Properties"] == {"b": "x"}
    # Only HTTP shows the defaults of what is not set.
    default = None if is_websocket(endpoint) else 3600
    assert (shown["Max Claims"], shown["Default TTL"]) == (2, default)


def test_a_queue_that_does_not_exist_cannot_be_changed(zaqar: Run) -> None:
    assert zaqar("queue", "set", "q", "--ttl", "60").err == "there is no queue q\n"
    assert zaqar("queue", "unset", "q", "--property", "a").status == 3


@pytest.mark.parametrize(
    "words",
    [
        ["create", "new", "--property", "_default_message_ttll=100"],
        ["set", "q", "--property", "_default_message_ttll=100"],
        ["set", "metadata", "q", '{"_default_message_ttll": 100}'],
    ],
)
def test_a_key_that_the_service_would_ignore_is_refused(
    zaqar: Run, process: Run, words: list[str]
) -> None:
    zaqar("queue", "create", "q")
    done = zaqar("queue", *words)
    assert (done.status, done.out) == (2, "")
    assert "'_default_message_ttll': did you mean '_default_message_ttl'?" in done.err
    assert zaqar("queue", "exists", "new").status == 3
    old = process("openstack", "messaging", "queue", *words)
    assert old.status == 0
    assert "did you mean '_default_message_ttl'?" in old.err


def test_what_an_option_sets_the_same_option_unsets(zaqar: Run) -> None:
    zaqar("queue", "create", "q", "--ttl", "600", "--max-claims", "2")
    assert zaqar("queue", "unset", "q", "--max-claims", "--ttl") == (0, "", "")
    shown = zaqar("queue", "show", "q", "-f", "json").data
    assert shown.get("Max Claims") is None
    assert shown.get("Default TTL") in {None, 3600}
    assert zaqar("queue", "unset", "q").status == 2


def test_a_missing_name_is_asked_for_once(zaqar: Run) -> None:
    assert zaqar("queue", "delete").err.count("<queue_name>") == 1


def test_set_without_anything_to_set_is_wrong_usage(zaqar: Run) -> None:
    assert zaqar("queue", "set", "q").status == 2


def test_a_value_out_of_bounds_is_refused_by_the_service_in_its_words(
    zaqar: Run,
) -> None:
    done = zaqar("queue", "create", "q", "--ttl", "5")
    assert (done.status, done.out) == (1, "")
    assert "_default_message_ttl" in done.err
    assert not done.err.rstrip().endswith("..")


@pytest.mark.parametrize("option", ["--resource_types", "--resource-type"])
def test_a_purge_keeps_the_queue(zaqar: Run, option: str) -> None:
    zaqar("message", "post", "q", "1")
    assert zaqar(
        "queue", "purge", "q", option, "messages", "--client-id", "0" * 32
    ) == (
        0,
        "",
        "",
    )
    assert zaqar(
        "queue", "stats", "q", "--check", "-f", "value", "-c", "Total"
    ).out == ("0\n")
