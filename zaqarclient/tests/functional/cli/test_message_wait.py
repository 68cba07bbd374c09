"""``message wait``: the gate of one pipeline on another."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

import pytest

from zaqarclient.queues.v2.cli.statuses import Status
from zaqarclient.tests.functional.cli.conftest import BOTH_WIRES, Run

pytestmark = BOTH_WIRES

Running = Callable[..., AbstractContextManager[subprocess.Popen[str]]]

WAIT = ["message", "wait", "q", "-f", "value", "-c", "Body", "--timeout"]


def post(zaqar: Run, *bodies: int) -> None:
    lines = "".join(f'{{"n": {n}}}\n' for n in bodies).encode()
    done = zaqar("message", "post", "q", "--json-lines", "-f", "value", stdin=lines)
    assert done.status == 0, done.err


def left(zaqar: Run) -> list[int]:
    """Return the numbers that are free."""
    rows = zaqar("message", "list", "q", "--all", "-f", "json").data
    return [row["Body"]["n"] for row in rows]


def test_a_message_that_is_there_is_printed_and_stays(zaqar: Run) -> None:
    post(zaqar, *range(25))
    zaqar("claim", "create", "q", "--limit", "1")
    for n in (0, 23):
        done = zaqar(*WAIT, "1m", "--filter", f"n={n}")
        assert done == (0, f'{{"n":{n}}}\n', "")
    assert zaqar(*WAIT, "1m").out == '{"n":0}\n'
    assert left(zaqar) == list(range(1, 25))


@pytest.mark.parametrize("more", [[], ["--consume"]])
def test_it_waits_until_one_matches(
    zaqar: Run, running: Running, more: list[str]
) -> None:
    post(zaqar, 1)
    with running("zaqar", *WAIT, "1m", "--filter", "n=3", *more) as it:
        post(zaqar, 2)
        post(zaqar, 3)
        assert it.communicate(timeout=50) == ('{"n":3}\n', "")
    assert it.returncode == 0
    assert left(zaqar) == ([1, 2] if more else [1, 2, 3])


@pytest.mark.parametrize("more", [[], ["--consume"]])
def test_the_status_is_8_when_the_time_is_over(zaqar: Run, more: list[str]) -> None:
    post(zaqar, 1)
    done = zaqar(*WAIT, "0.3s", "--filter", "n=2", *more)
    assert done == (Status.TIMED_OUT, "", "no message came that matches\n")
    assert left(zaqar) == [1]


def test_a_filter_that_is_none_is_wrong_usage(zaqar: Run) -> None:
    assert zaqar(*WAIT, "1s", "--filter", "{}").status == Status.USAGE
    assert zaqar(*WAIT, "1s", "--filter", "n").status == Status.USAGE


def test_what_is_taken_is_behind_many_others_which_are_free_again(zaqar: Run) -> None:
    post(zaqar, *range(50))
    done = zaqar(*WAIT, "1m", "--filter", "n=45", "--consume")
    assert done == (0, '{"n":45}\n', "")
    assert left(zaqar) == [n for n in range(50) if n != 45]


def test_no_two_get_the_same_message(zaqar: Run, running: Running) -> None:
    post(zaqar, 0)
    words = [*WAIT, "1m", "--filter", "n>0", "--consume"]
    with ExitStack() as stack:
        waiting = [stack.enter_context(running("zaqar", *words)) for _ in range(4)]
        post(zaqar, 1, 2)
        post(zaqar, 3, 4)
        outs = [it.communicate(timeout=55) for it in waiting]
    assert [it.returncode for it in waiting] == [0] * 4
    assert sorted(out for out, _ in outs) == [f'{{"n":{n}}}\n' for n in range(1, 5)]
    assert left(zaqar) == [0]


def test_one_that_another_claimer_gives_back_is_taken(
    zaqar: Run, running: Running
) -> None:
    post(zaqar, 1)
    claim = zaqar("claim", "create", "q", "-f", "value", "-c", "Claim_ID").out.strip()
    with running("zaqar", *WAIT, "2m", "--consume") as it:
        post(zaqar, 2)
        assert it.communicate(timeout=50)[0] == '{"n":2}\n'
    assert zaqar("claim", "release", "q", claim).status == 0
    assert zaqar(*WAIT, "1m", "--consume").out == '{"n":1}\n'
