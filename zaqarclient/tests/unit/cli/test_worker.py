"""The worker while a command runs: input, statuses, a claim that is lost."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from zaqarclient.errors import LeaseLost
from zaqarclient.queues.v2.cli.claim_run import _Failure, _Work
from zaqarclient.queues.v2.cli.output import CommandError
from zaqarclient.queues.v2.message import Message


def message(body: Any) -> Message:
    queue: Any = None
    made = Message(queue, 60, 0, body, id="m", claim_id="c")
    made.lease_lost = threading.Event()
    return made


def work(*command: str) -> _Work:
    return _Work(list(command), "q", "stop")


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def test_a_command_that_lost_its_claim_is_stopped(fifo: Path) -> None:
    lost = message(None)
    lost.lease_lost.set()
    # Nothing ever writes to the fifo.
    working = work("cat", str(fifo))
    with pytest.raises(LeaseLost, match="message m: the claim was lost"):
        working.handle(lost)
    assert working.summary().startswith("Messages handled: 0, failed: 0")


@pytest.mark.parametrize(
    ("body", "text"),
    [("line\n", "line\n"), ({"a": ["é"]}, '{"a":["é"]}'), ("\ud800", "\\ud800")],
)
def test_the_command_gets_the_body_on_its_standard_input(
    tmp_path: Path, body: Any, text: str
) -> None:
    out = tmp_path / "out"
    work("sh", "-c", f'cat > "{out}"').handle(message(body))
    assert out.read_text() == text


def test_a_command_that_reads_late_gets_all_of_its_input(tmp_path: Path) -> None:
    out = tmp_path / "out"
    slow = f'sleep 0.5; cat > "{out}"'
    work("sh", "-c", slow).handle(message("x" * 1_000_000))
    assert out.stat().st_size == 1_000_000


def test_a_command_that_does_not_read_its_input_is_no_failure() -> None:
    working = work("true")
    working.handle(message("x" * 1_000_000))
    assert working.summary().startswith("Messages handled: 1, failed: 0")


@pytest.mark.parametrize(
    ("status", "action"), [(1, "stop"), (65, "bury"), (75, "release"), (255, "stop")]
)
def test_the_exit_status_chooses_what_becomes_of_the_message(
    status: int, action: str
) -> None:
    working = work("sh", "-c", f"exit {status}")
    given = message("")
    with pytest.raises(_Failure) as caught:
        working.handle(given)
    assert working.choose(given, caught.value) == action


def test_a_command_that_cannot_be_started_stops_the_worker() -> None:
    working = _Work(["/nowhere/at/all"], "q", "release")
    with pytest.raises(CommandError, match="No such file") as caught:
        working.handle(message(""))
    assert working.choose(message(""), caught.value) == "stop"
