"""Following a queue, by processes of their own."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from zaqarclient.tests.functional.cli.conftest import Run

Running = Callable[..., AbstractContextManager[subprocess.Popen[str]]]


def posted(run: Run, *bodies: Any, queue: str = "q") -> list[str]:
    messages = json.dumps([{"body": body} for body in bodies])
    return run("message", "post", queue, messages, "-f", "value").out.split()


def read(process: subprocess.Popen[str], count: int) -> list[Any]:
    """Read so many rows of a process that prints JSON."""
    assert process.stdout is not None
    return [json.loads(process.stdout.readline()) for _ in range(count)]


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def test_what_is_in_the_queue_is_printed_an_object_a_line(zaqar: Run) -> None:
    ids = posted(zaqar, *range(45))
    done = zaqar("message", "tail", "q", "-f", "json")
    assert (done.status, done.err) == (0, "")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["ID"] for row in rows] == ids
    assert [row["Body"] for row in rows] == list(range(45))
    assert list(rows[0]) == ["ID", "Body", "TTL", "Age", "Claim ID", "Checksum"]


def test_an_empty_queue_prints_nothing(zaqar: Run) -> None:
    assert zaqar("message", "tail", "q") == (0, "", "There is no queue q.\n")


def test_rows_are_readable_where_no_format_is_asked_for(zaqar: Run) -> None:
    (first, second) = posted(zaqar, {"sku": 7}, "two\nlines")
    out = zaqar("message", "tail", "q").out.splitlines()
    assert out[0].split() == ["ID", "Age", "Body"]
    assert out[1].startswith(first)
    assert out[1].endswith(' {"sku":7}')
    assert out[2].startswith(second)
    assert out[2].endswith(" two\\nlines")
    assert len(out) == 3


def test_a_run_goes_on_where_another_ended(zaqar: Run) -> None:
    ids = posted(zaqar, *range(30))
    tail = ["message", "tail", "q", "-f", "value", "-c", "ID"]
    first = zaqar(*tail, "--limit", "7").out.split()
    assert first == ids[:7]
    assert zaqar(*tail, "--since", first[-1]).out.split() == ids[7:]
    assert zaqar(*tail, "--since", ids[-1]).out == ""


def test_only_matching_messages_are_printed_and_counted(zaqar: Run) -> None:
    posted(zaqar, *({"n": n} for n in range(50)))
    wanted = ["--filter", '{"/n": {"at_least": 25}}', "--limit", "3"]
    done = zaqar("message", "tail", "q", *wanted, "-f", "value", "-c", "Body")
    assert done.out == '{"n":25}\n{"n":26}\n{"n":27}\n'


def test_claimed_messages_are_printed_too_and_ones_own_unless_unwanted(
    zaqar: Run,
) -> None:
    own = posted(zaqar, 1)
    others = zaqar(
        "message", "post", "q", "2", "-f", "value", "--client-id", "1" * 32
    ).out.split()
    zaqar("claim", "create", "q")
    tail = ["message", "tail", "q", "-f", "value", "-c", "ID"]
    assert zaqar(*tail).out.split() == own + others
    assert zaqar(*tail, "--no-echo").out.split() == others


def test_a_timeout_without_follow_is_wrong_usage(zaqar: Run) -> None:
    assert zaqar("message", "tail", "q", "--timeout", "1").status == 2


def test_a_marker_that_is_no_id_ends_in_one_line(zaqar: Run) -> None:
    posted(zaqar, 1)
    done = zaqar("message", "tail", "q", "--since", "nonsense")
    assert done.status in {0, 1}
    assert "Traceback" not in done.err


def test_messages_are_printed_as_they_come(
    zaqar: Run, running: Running, wire: dict[str, str]
) -> None:
    first = posted(zaqar, "a", "b")
    tail = ["message", "tail", "q", "--follow", "-f", "json", "--limit", "5"]
    with running("zaqar", *tail, **wire) as process:
        assert [row["ID"] for row in read(process, 2)] == first
        second = posted(zaqar, "c")
        assert [row["ID"] for row in read(process, 1)] == second
        posted(zaqar, "d", "e", "f")
        assert [row["Body"] for row in read(process, 2)] == ["d", "e"]
        assert ended(process) == (0, "", "")


def test_only_new_messages_are_printed_if_wanted(
    zaqar: Run, running: Running, wire: dict[str, str]
) -> None:
    posted(zaqar, *["old"] * 25)
    tail = ["message", "tail", "q", "--new", "--follow", "--limit", "1"]
    with running("zaqar", *tail, "-f", "value", "-c", "Body", **wire) as process:
        # When it has read where the queue ends cannot be seen from here.
        while process.poll() is None:
            posted(zaqar, "new")
        assert ended(process) == (0, "new\n", "")


def test_it_ends_when_nothing_came_for_so_long(
    zaqar: Run, process: Run, wire: dict[str, str]
) -> None:
    (only,) = posted(zaqar, 1)
    tail = ["message", "tail", "q", "--follow", "--timeout", "0.3", "-f", "value"]
    assert process("zaqar", *tail, "-c", "ID", **wire) == (0, f"{only}\n", "")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--new"], "No message came in 1 s."),
        (["--filter", "a=1"], "No matching message came in 1 s."),
        (["--limit", "3"], "1 of 3 messages came, then none for 1 s."),
    ],
)
def test_it_says_what_it_waited_for_and_how_long(
    zaqar: Run, options: list[str], why: str
) -> None:
    posted(zaqar, 1)
    tail = ["message", "tail", "q", "--follow", "--timeout", "1", *options]
    assert zaqar(*tail).err == f"{why}\n"


def test_a_filter_that_nothing_matches_is_named(zaqar: Run) -> None:
    posted(zaqar, 1)
    done = zaqar("message", "tail", "q", "--filter", "a=1")
    assert done == (0, "", "No message matches the filter.\n")


def test_nothing_is_said_when_it_is_interrupted(
    zaqar: Run, running: Running, wire: dict[str, str]
) -> None:
    posted(zaqar, 1)
    with running(
        "zaqar", "message", "tail", "q", "--follow", "-f", "json", **wire
    ) as it:
        read(it, 1)
        it.send_signal(signal.SIGINT)
        assert ended(it) == (130, "", "")


def test_nothing_is_said_when_the_reader_goes_away(
    zaqar: Run, running: Running, wire: dict[str, str]
) -> None:
    posted(zaqar, 1)
    with running(
        "zaqar", "message", "tail", "q", "--follow", "-f", "json", **wire
    ) as it:
        read(it, 1)
        assert it.stdout is not None
        it.stdout.close()
        posted(zaqar, 2)
        assert it.wait(timeout=30) == 141
        assert it.stderr is not None
        assert it.stderr.read() == ""


@pytest.mark.parametrize("way", ["http", "ws"])
def test_a_service_that_restarts_loses_and_repeats_nothing(
    way: str,
    server_factory: Callable[..., Any],
    environment: dict[str, str],
    zaqar: Run,
    running: Running,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = server_factory()
    monkeypatch.setenv("OS_QUEUES_ENDPOINT", own.url)
    endpoint = own.url if way == "http" else own.websocket_url
    ids = posted(zaqar, 1, 2)
    tail = ["message", "tail", "q", "--follow", "-f", "json", "--limit", "5"]
    with running("zaqar", *tail, OS_QUEUES_ENDPOINT=endpoint) as process:
        seen = [row["ID"] for row in read(process, 2)]
        own.kill()
        own.start()
        ids += posted(zaqar, 3, 4, 5)
        seen += [row["ID"] for row in read(process, 3)]
        assert ended(process)[0] == 0
    assert seen == ids
