"""Claim commands, and the worker."""

from __future__ import annotations

import re
from typing import Any

import pytest

from zaqarclient.tests.functional.cli.conftest import BOTH_WIRES, Run

pytestmark = BOTH_WIRES


@pytest.fixture
def claimed(zaqar: Run) -> dict[str, Any]:
    """A claim on one of two messages."""
    zaqar("message", "post", "q", "--json-lines", stdin=b'{"n": 1}\n{"n": 2}\n')
    done = zaqar("claim", "create", "q", "--ttl", "100", "--limit", "1", "-f", "json")
    assert done.status == 0
    (row,) = done.data
    return dict(row)


def free(run: Run) -> int:
    return int(run("queue", "stats", "q", "-f", "value", "-c", "Free").out)


def total(run: Run) -> int:
    return int(run("queue", "stats", "q", "-f", "value", "-c", "Total").out)


def test_a_new_claim_has_the_columns_of_the_contract(claimed: dict[str, Any]) -> None:
    columns = ["Claim_ID", "Message_ID", "TTL", "Age", "Messages", "Checksum"]
    assert list(claimed) == columns
    assert claimed["Messages"] == {"n": 1}


def test_a_claim_on_nothing_is_empty_and_no_error(zaqar: Run) -> None:
    done = zaqar("claim", "create", "q", "-f", "json")
    assert done == (0, "[]\n", "There is no queue q.\n")


def test_a_claim_tells_its_messages_and_its_own_time(
    zaqar: Run, claimed: dict[str, Any]
) -> None:
    done = zaqar("claim", "query", "q", claimed["Claim_ID"], "-f", "json")
    (row,) = done.data
    assert row["Message_ID"] == claimed["Message_ID"]
    assert row["Message"] == {"n": 1}
    assert row["Claim_TTL"] == 100
    assert list(row)[:4] == ["Message_ID", "Age", "TTL", "Message"]


def test_a_renewal_keeps_the_ttl_unless_another_is_given(
    zaqar: Run, claimed: dict[str, Any]
) -> None:
    claim = claimed["Claim_ID"]
    (row,) = zaqar("claim", "renew", "q", claim, "-f", "json").data
    assert (row["Message_ID"], row["Claim_TTL"]) == (claimed["Message_ID"], 100)
    done = zaqar("claim", "renew", "q", claim, "--ttl", "200", "--grace", "90")
    assert (done.status, done.err) == (0, "")
    (row,) = zaqar("claim", "query", "q", claim, "-f", "json").data
    assert row["Claim_TTL"] == 200


def test_a_renewal_says_that_the_grace_is_reset(
    zaqar: Run, claimed: dict[str, Any]
) -> None:
    done = zaqar("claim", "renew", "q", claimed["Claim_ID"], "--ttl", "60")
    assert "--grace sets it" in done.err


@pytest.mark.parametrize("verb", ["query", "renew"])
def test_an_unknown_claim_is_an_error(zaqar: Run, verb: str) -> None:
    done = zaqar("claim", verb, "q", "unknown")
    assert (done.status, done.out) == (3, "")
    assert "Claim unknown does not exist. (request req-" in done.err


def test_bounds_are_checked_by_the_service(zaqar: Run) -> None:
    assert zaqar("claim", "create", "q", "--ttl", "5").status == 1
    assert zaqar("claim", "create", "q", "--limit", "21").status == 1


def test_released_messages_are_free_again(zaqar: Run, claimed: dict[str, Any]) -> None:
    assert free(zaqar) == 1
    done = zaqar("claim", "release", "q", claimed["Claim_ID"], "unknown")
    assert done == (0, "", "There is no claim unknown.\n")
    assert free(zaqar) == 2


def test_a_worker_gives_each_message_to_the_command_and_deletes_it(
    process: Run,
) -> None:
    process("zaqar", "message", "post", "q", "--json-lines", stdin=b'"a"\n{"n": 1}\n')
    script = 'echo "$ZAQAR_QUEUE $(cat) ${#ZAQAR_MESSAGE_ID} ${ZAQAR_CLAIM_ID:+c}"'
    done = process("zaqar", "claim", "run", "q", "--", "sh", "-c", script)
    assert done.status == 0
    first, second = done.out.splitlines()
    assert first.split()[:2] == ["q", "a"]
    assert second.split()[:2] == ["q", '{"n":1}']
    assert first.split()[-1] == "c"
    assert re.fullmatch(r"Messages handled: 2, failed: 0 \(\d+\.\d/s\)\n", done.err)
    assert total(lambda *words: process("zaqar", *words)) == 0


def test_a_worker_gives_a_failed_message_back_and_ends(process: Run) -> None:
    process("zaqar", "message", "post", "q", "--json-lines", stdin=b"1\n2\n")
    done = process("zaqar", "claim", "run", "q", "--", "sh", "-c", "exit 3")
    assert done.status == 1
    assert "the command ended with 3" in done.err
    assert free(lambda *words: process("zaqar", *words)) == 2


def test_a_failed_message_rests_while_a_worker_keeps_going(zaqar: Run) -> None:
    zaqar("message", "post", "q", "--json-lines", stdin=b"1\n2\n3\n")
    how = ["--keep-going", "--retry-delay", "10m"]
    command = ["sh", "-c", 'test "$(cat)" != 2']
    done = zaqar("claim", "run", "q", *how, "--", *command)
    assert done.status == 1
    assert "Messages handled: 3, failed: 1 (" in done.err
    assert total(zaqar) == 1
    assert zaqar("claim", "create", "q", "-f", "json").out == "[]\n"


@pytest.mark.parametrize(("status", "left"), [(65, 0), (75, 1)])
def test_a_status_buries_or_releases_a_message(
    zaqar: Run, status: int, left: int
) -> None:
    zaqar("queue", "create", "q", "--dead-letter-queue", "dead", "--max-claims", "9")
    zaqar("message", "post", "q", "1")
    words = ["--follow", "--count", "1", "--retry-delay", "10m", "--", "sh", "-c"]
    done = zaqar("claim", "run", "q", *words, f"exit {status}")
    assert done.status == 0
    assert total(zaqar) == left
    buried = zaqar("queue", "stats", "dead", "-f", "value", "-c", "Total").out
    assert int(buried) == 1 - left


def test_a_worker_stops_after_as_many_messages_as_asked(zaqar: Run) -> None:
    zaqar("message", "post", "q", "--json-lines", stdin=b"1\n2\n3\n")
    assert zaqar("claim", "run", "q", "--count", "2", "--", "true").status == 0
    assert total(zaqar) == 1


def test_a_command_that_cannot_be_run_costs_no_message(zaqar: Run) -> None:
    zaqar("message", "post", "q", "1")
    done = zaqar("claim", "run", "q", "/nowhere/at/all")
    assert done.status == 1
    assert "cannot run /nowhere/at/all: No such file or directory\n" in done.err
    assert free(zaqar) == 1


def test_consume_is_another_name_of_the_worker(zaqar: Run) -> None:
    zaqar("message", "post", "q", "1")
    assert zaqar("consume", "q", "--concurrency", "2", "--", "true").status == 0
    assert total(zaqar) == 0
