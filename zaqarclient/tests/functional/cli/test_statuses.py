"""The exit statuses of ``zaqar``, a row of the page each, and why nothing was found."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from zaqarclient.queues.v2.cli.statuses import Status
from zaqarclient.tests.functional.cli.conftest import Run

PAGE = Path(__file__).parents[4] / "doc/source/cli/index.rst"

Running = Callable[..., AbstractContextManager[subprocess.Popen[str]]]


@pytest.fixture(scope="module")
def server(server_factory: Callable[..., Any]) -> Any:
    """A server with a quota, whose pools are for administrators."""
    return server_factory(options="admin_mode = true\n[quota]\nmessages = 3\n")


NOWHERE = ["--os-queues-endpoint", "http://127.0.0.1:9"]

ROWS: list[tuple[Status, list[str]]] = [
    (Status.DONE, ["queue", "list"]),
    (Status.DONE, ["queue", "delete", "nosuch"]),
    (Status.DONE, ["message", "pop", "nosuch"]),
    (Status.DONE, ["message", "tail", "nosuch"]),
    (Status.DONE, ["message", "tail", "q", "--follow", "--timeout", "0.1"]),
    (Status.FAILED, ["claim", "create", "q", "--ttl", "1"]),
    (Status.FAILED, ["claim", "run", "q", "--", "false"]),
    (Status.USAGE, ["message", "list", "q", "--limit", "few"]),
    (Status.USAGE, ["message", "lst"]),
    (Status.NOT_FOUND, ["message", "show", "q", "nosuch"]),
    (Status.NOT_FOUND, ["message", "list", "q", "--message-ids", "nosuch"]),
    (Status.NOT_FOUND, ["claim", "query", "q", "nosuch"]),
    (Status.NOT_FOUND, ["subscription", "show", "q", "nosuch"]),
    (Status.NOT_FOUND, ["queue", "show", "nosuch"]),
    (Status.NOT_FOUND, ["queue", "stats", "nosuch", "--check"]),
    (Status.NOT_FOUND, ["queue", "set", "nosuch", "--ttl", "60"]),
    (Status.NOT_FOUND, ["queue", "exists", "nosuch"]),
    (Status.NOT_ALLOWED, ["health"]),
    (Status.CONFLICT, ["queue", "unset", "q", "--property", "nosuch"]),
    (Status.EMPTY, ["queue", "list", "--name", "nosuch", "--fail-if-empty"]),
    (Status.EMPTY, ["message", "list", "nosuch", "--fail-if-empty"]),
    (Status.EMPTY, ["message", "pop", "nosuch", "--fail-if-empty"]),
    (Status.EMPTY, ["message", "tail", "nosuch", "--fail-if-empty"]),
    (Status.EMPTY, ["claim", "create", "nosuch", "--fail-if-empty"]),
    (Status.EMPTY, ["claim", "run", "nosuch", "--fail-if-empty", "--", "true"]),
    (Status.EMPTY, ["subscription", "list", "q", "--fail-if-empty"]),
    (Status.TIMED_OUT, ["message", "pop", "nosuch", "--wait", "0.1"]),
    (Status.TIMED_OUT, ["message", "wait", "q", "--filter", "a=1", "--timeout", "0"]),
    (Status.TIMED_OUT, ["claim", "create", "nosuch", "--wait", "0.1s"]),
    (
        Status.TIMED_OUT,
        [
            "message",
            "tail",
            "q",
            "--new",
            "--follow",
            "--limit",
            "1",
            "--timeout",
            "0.1",
        ],
    ),
    (
        Status.QUOTA,
        ["message", "post", "q", "--text", "b", "--text", "c", "--text", "d"],
    ),
    (
        Status.UNREACHABLE,
        ["--os-queues-endpoint", "http://127.0.0.1:9", "queue", "list"],
    ),
    (Status.UNREACHABLE, ["--os-queues-endpoint", "http://127.0.0.1:9", "ping"]),
]


@pytest.mark.parametrize(("status", "words"), ROWS)
def test_a_command_ends_with_the_status_of_the_page(
    zaqar: Run, status: Status, words: list[str]
) -> None:
    zaqar("message", "post", "q", "a")
    done = zaqar(*words)
    assert done.status == status, done.err
    assert "Traceback" not in done.err
    if status:
        assert done.out or done.err  # a status never comes alone


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (signal.SIGINT, Status.INTERRUPTED),
        (signal.SIGTERM, Status.TERMINATED),
    ],
)
def test_a_signal_has_its_status(
    zaqar: Run, running: Running, sent: signal.Signals, status: Status
) -> None:
    zaqar("message", "post", "q", "a")
    with running("zaqar", "message", "tail", "q", "--follow", "-f", "json") as it:
        assert it.stdout is not None
        it.stdout.readline()
        it.send_signal(sent)
        assert it.wait(timeout=30) == status


def test_the_page_and_the_help_name_each_status(zaqar: Run) -> None:
    table = PAGE.read_text(encoding="utf-8").partition(".. _cli-status:")[2]
    rows = {
        int(number) for number in re.findall(r"^   \* - (\d+)$", table, re.MULTILINE)
    }
    assert rows == set(Status)
    told = zaqar("help", "--all").out.partition("Exit status:")[2]
    assert {int(number) for number in re.findall(r"\d+", told)} == set(Status) - {141}


def test_openstack_knows_only_failure_and_success(process: Run) -> None:
    assert process("openstack", "queue", "exists", "nosuch").status == 1
    assert process("openstack", "message", "show", "q", "nosuch").status == 1


def test_several_failures_of_one_kind_have_its_status(zaqar: Run) -> None:
    revoke = ["queue", "signed", "url", "revoke", "q", "u", "v"]
    assert zaqar(*revoke).status in {Status.NOT_FOUND, Status.FAILED}


# -- why nothing was found --------------------------------------------------------


def why(zaqar: Run, *words: str) -> str:
    """Return the explanation that a command prints beside nothing."""
    done = zaqar(*words)
    assert done.status == 0, done.err
    return done.err.removeprefix("Messages handled: 0, failed: 0\n").strip()


READS = [
    ["message", "list", "q"],
    ["message", "pop", "q"],
    ["claim", "create", "q"],
    ["claim", "run", "q", "--", "false"],
]


@pytest.mark.parametrize("words", [*READS, ["message", "tail", "q"]])
def test_a_queue_that_does_not_exist_or_is_empty_is_said_to(
    zaqar: Run, words: list[str]
) -> None:
    assert why(zaqar, *words) == "There is no queue q."
    zaqar("queue", "create", "q")
    assert why(zaqar, *words) == "The queue q is empty."
    quiet = zaqar("-q", *words)
    assert (quiet.status, quiet.err) == (0, "")


@pytest.mark.parametrize("words", READS)
def test_claims_are_the_reason_until_the_first_ends(
    zaqar: Run, words: list[str]
) -> None:
    zaqar("message", "post", "q", "--text", "a", "--text", "b")
    zaqar("claim", "create", "q", "--limit", "1", "--ttl", "1h")
    zaqar("claim", "create", "q", "--ttl", "5m")
    said = why(zaqar, *words)
    told = re.fullmatch(
        r"2 of 2 messages are claimed; the first is free again in (.*)\.", said
    )
    assert told, said
    assert re.match("5 min|4 min [0-9]+ s", told[1])


@pytest.mark.parametrize("words", READS)
def test_delays_are_the_reason(zaqar: Run, words: list[str]) -> None:
    zaqar("queue", "create", "q", "--delay", "10m")
    zaqar("message", "post", "q", "a")
    assert why(zaqar, *words) == "The only message is delayed."


def test_ones_own_messages_are_shown_unless_they_are_not_wanted(
    zaqar: Run, process: Run
) -> None:
    zaqar("message", "post", "q", "a")
    assert [
        row["Body"] for row in zaqar("message", "list", "q", "-f", "json").data
    ] == ["a"]
    own = "The only message is this client's own (--echo shows them)."
    assert why(zaqar, "message", "list", "q", "--no-echo") == own
    done = process("openstack", "message", "list", "q", "-f", "json")
    assert (done.data, done.err.strip()) == ([], own)


@pytest.mark.parametrize("words", [["list", "q", "--marker"], ["tail", "q", "--since"]])
def test_a_marker_is_the_reason(zaqar: Run, words: list[str]) -> None:
    last = zaqar("message", "post", "q", "a", "-f", "value").out.strip()
    assert why(zaqar, "message", *words, last) == f"Nothing comes after message {last}."
    gone = f"{last[:-4]}ffff"
    said = f"Nothing comes after {gone}, and no message has this id now."
    assert why(zaqar, "message", *words, gone) == said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["queue", "delete", "nosuch"], "There is no queue nosuch."),
        (["queue", "purge", "nosuch"], "There is no queue nosuch."),
        (["queue", "stats", "nosuch"], "There is no queue nosuch."),
        (["topic", "delete", "nosuch"], "There is no topic nosuch."),
        (["message", "delete", "q", "nosuch"], "There is no message nosuch."),
        (["claim", "release", "q", "nosuch"], "There is no claim nosuch."),
        (["subscription", "delete", "q", "no"], "There is no subscription no."),
    ],
)
def test_what_was_not_there_to_delete_is_said(
    zaqar: Run, words: list[str], said: str
) -> None:
    assert why(zaqar, *words) == said
    assert zaqar("-q", *words).err == ""


def test_a_gate_ends_well_when_the_message_comes(zaqar: Run, running: Running) -> None:
    gate = ["message", "tail", "q", "--follow", "--limit", "1", "--timeout", "1m"]
    with running("zaqar", *gate, "-f", "value", "-c", "Body") as it:
        zaqar("message", "post", "q", "done")
        out, err = it.communicate(timeout=30)
    assert (it.returncode, out, err) == (0, "done\n", "")


def test_the_number_of_queues_is_data_if_it_is_asked_for(zaqar: Run) -> None:
    count = ["queue", "list", "--with-count", "-c", "Count", "-f", "value"]
    assert zaqar(*count).out == "0\n"
    zaqar("queue", "create", "q")
    assert zaqar(*count).out == "1\n"
