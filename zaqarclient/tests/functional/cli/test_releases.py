"""Returning claimed messages, dead letters, and redrives."""

from __future__ import annotations

from typing import Any

import pytest

from zaqarclient.tests.functional.cli.conftest import BOTH_WIRES, Run

pytestmark = BOTH_WIRES


@pytest.fixture
def claimed(zaqar: Run) -> list[dict[str, Any]]:
    """Three messages of a queue with a dead letter queue, under a claim."""
    zaqar("queue", "create", "q", "--max-claims", "3", "--dead-letter-queue", "dead")
    lines = b'{"n": 1}\n{"n": 2}\n{"n": 3}\n'
    zaqar("message", "post", "q", "--json-lines", stdin=lines)
    done = zaqar("claim", "create", "q", "-f", "json")
    assert done.status == 0
    return list(done.data)


def listed(run: Run, queue: str, *options: str) -> list[dict[str, Any]]:
    return list(run("message", "list", queue, *options, "-f", "json").data)


def held(rows: list[dict[str, Any]]) -> list[str]:
    return [*(row["Message_ID"] for row in rows), "--claim-id", rows[0]["Claim_ID"]]


def test_released_messages_are_free_and_show_their_reason(
    zaqar: Run, claimed: list[dict[str, Any]]
) -> None:
    some = held(claimed[:1])
    assert zaqar("message", "release", "q", *some, "--reason", "why").status == 0
    (row,) = listed(zaqar, "q")
    assert (row["Body"], row["Reason"], row["Source"]) == ({"n": 1}, "why", None)
    done = zaqar("message", "release", "q", *held(claimed[1:]), "--delay", "15m")
    assert done.status == 0
    assert len(listed(zaqar, "q")) == 1
    assert len(listed(zaqar, "q", "--include-delayed")) == 3


def test_a_claim_is_released_with_a_delay(
    zaqar: Run, claimed: list[dict[str, Any]]
) -> None:
    claim = claimed[0]["Claim_ID"]
    assert zaqar("claim", "release", "q", claim, "--delay", "60").status == 0
    assert listed(zaqar, "q") == []
    assert len(listed(zaqar, "q", "--include-delayed")) == 3


def test_dead_letters_are_listed_with_their_source_and_redriven(
    zaqar: Run, claimed: list[dict[str, Any]]
) -> None:
    done = zaqar("message", "bury", "q", *held(claimed), "--reason", "bad")
    assert done.status == 0
    rows = listed(zaqar, "dead")
    assert [row["Body"]["n"] for row in rows] == [1, 2, 3]
    shown = {(row["Source"], row["Reason"], row["Claims"]) for row in rows}
    assert shown == {("q", "bad", 1)}
    done = zaqar("queue", "redrive", "dead", "--dry-run", "-f", "json")
    assert done.data == {"Moved": 0, "Matched": 3, "Next": None}
    done = zaqar("queue", "redrive", "dead", "--filter", "n>1", "--limit", "1")
    assert done.status == 0
    assert [row["Body"]["n"] for row in listed(zaqar, "q")] == [2]
    done = zaqar("queue", "redrive", "dead", "--rate", "50/s", "--wait", "-f", "json")
    assert done.data == {"Moved": 2, "Matched": 2, "Next": None}
    rows = listed(zaqar, "q")
    assert [row["Body"]["n"] for row in rows] == [1, 2, 3]
    assert "Source" not in rows[0]


def test_messages_are_moved_between_any_queues(zaqar: Run) -> None:
    zaqar("message", "post", "q", "--text", "one")
    refused = zaqar("queue", "redrive", "q")
    assert refused.status == 1
    assert "target is required" in refused.err
    assert zaqar("queue", "redrive", "q", "--to", "other").status == 0
    assert [row["Body"] for row in listed(zaqar, "other")] == ["one"]
