"""How commands end that do not come to their end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zaqarclient.tests.functional.cli.conftest import PROGRAMS, Run

ZAQAR = str(PROGRAMS / "zaqar")

#: Says that it runs, and takes a while to end after SIGTERM.
SLOW_TO_END = """
trap 'echo ending; sleep 1; echo ended; exit 0' TERM
echo started; cat >/dev/null
while :; do sleep 0.1; done
"""


def free(zaqar: Run) -> str:
    return zaqar("queue", "stats", "q", "-f", "value", "-c", "Free").out


@pytest.mark.parametrize("program", [["zaqar"], ["openstack", "messaging"]])
def test_sigterm_lets_the_work_finish_and_takes_no_more(
    running: Callable[..., Any], zaqar: Run, program: list[str], tmp_path: Path
) -> None:
    zaqar("message", "post", "q", "--json-lines", stdin=b"1\n2\n")
    name, *prefix = program
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = f"echo started; cat {fifo}"
    words = [*prefix, "consume", "q", "--follow", "--", "sh", "-c", script]
    with running(
        name, *words, OS_AUTH_TYPE="none", OS_ENDPOINT="http://unused"
    ) as worker:
        assert worker.stdout.readline() == "started\n"
        worker.send_signal(signal.SIGTERM)
        fifo.write_text("ended\n")
        assert worker.stdout.read() == "ended\n"
        assert worker.wait(60) == 0
        assert worker.stderr.read().startswith("Messages handled: 1, failed: 0 (")
    assert free(zaqar) == "1\n"
    assert zaqar("queue", "stats", "q", "-f", "value", "-c", "Total").out == "1\n"


def test_a_worker_that_waits_ends_at_once_by_a_signal(
    running: Callable[..., Any], zaqar: Run
) -> None:
    zaqar("message", "post", "q", "1")
    with running("zaqar", "consume", "q", "--follow", "--", "echo", "done") as worker:
        assert worker.stdout.readline() == "done\n"
        worker.send_signal(signal.SIGTERM)
        # A wait for messages lasts 20 seconds.
        assert worker.wait(15) == 0


def test_ctrl_c_ends_the_work_and_then_gives_the_message_back(
    running: Callable[..., Any], zaqar: Run
) -> None:
    zaqar("message", "post", "q", "1")
    words = ["claim", "run", "q", "--", "sh", "-c", SLOW_TO_END]
    with running("zaqar", *words) as worker:
        assert worker.stdout.readline() == "started\n"
        worker.send_signal(signal.SIGINT)
        assert worker.stdout.readline() == "ending\n"
        # It still works on it.
        assert free(zaqar) == "0\n"
        assert worker.stdout.read() == "ended\n"
        assert worker.wait(60) == 130
        assert "Traceback" not in worker.stderr.read()


def test_further_signals_end_work_that_does_not_end(
    running: Callable[..., Any], zaqar: Run
) -> None:
    zaqar("message", "post", "q", "1")
    deaf = "trap 'echo no' TERM; echo $$; cat >/dev/null; while :; do sleep 0.1; done"
    with running("zaqar", "claim", "run", "q", "--", "sh", "-c", deaf) as worker:
        child = int(worker.stdout.readline())
        worker.send_signal(signal.SIGINT)
        assert worker.stdout.readline() == "no\n"
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 143
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
    assert free(zaqar) == "1\n"


def test_sigterm_ends_a_tail(running: Callable[..., Any], zaqar: Run) -> None:
    zaqar("message", "post", "q", "1")
    with running("zaqar", "message", "tail", "q", "--follow", "-f", "json") as tail:
        assert tail.stdout.readline()
        tail.send_signal(signal.SIGTERM)
        assert tail.wait(60) == 143
        assert tail.stderr.read() == ""


def test_a_signal_in_a_batch_is_told_with_the_line(
    running: Callable[..., Any], zaqar: Run, tmp_path: Path
) -> None:
    zaqar("message", "post", "q", "1")
    lines = tmp_path / "lines"
    lines.write_text("queue exists q\nmessage tail q --follow -f json\n")
    with running("zaqar", "batch", str(lines)) as batch:
        while not batch.stdout.readline().startswith("{"):
            pass
        batch.send_signal(signal.SIGTERM)
        assert batch.wait(60) == 143
        last = "message tail q --follow -f json"
        assert batch.stderr.read() == f"the batch ended in line 2: {last}\n"


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_what_was_done_before_a_signal_is_told(
    environment: dict[str, str], number: int, status: int
) -> None:
    with subprocess.Popen(
        [ZAQAR, "message", "post", "q", "-", "--lines", "-f", "value"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as post:
        assert post.stdin is not None
        assert post.stdout is not None
        assert post.stderr is not None
        post.stdin.write(b"one\ntwo\n")
        post.stdin.flush()
        assert len([post.stdout.readline() for _ in range(2)]) == 2
        post.send_signal(number)
        assert post.wait(60) == status
        assert post.stderr.read() == b"2 messages were posted\n"


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ("queue list", 1, "the standard output is closed\n"),
        ("queue list -f json", 1, "the standard output is closed\n"),
        ("message tail q", 1, "the standard output is closed\n"),
        ("queue delete nosuch", 0, "There is no queue nosuch.\n"),
        ("help", 1, "the standard output is closed\n"),
    ],
)
def test_a_closed_output_is_told(
    zaqar: Run, environment: dict[str, str], words: str, status: int, text: str
) -> None:
    zaqar("message", "post", "q", "1")
    done = subprocess.run(
        ["sh", "-c", f'"{ZAQAR}" {words} >&-'],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert (done.returncode, done.stderr) == (status, text)


def test_a_closed_error_stream_stops_nothing(
    environment: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"{ZAQAR}" queue list -f json 2>&-; "{ZAQAR}" queue paint 2>&-'],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert (done.returncode, done.stdout) == (2, "[]\n")
