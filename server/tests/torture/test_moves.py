"""The scenario of moves, made small: real processes, killed at steps of a move."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torture_moves

#: Enough pages of each kind, with three records a page.
SIZE = ("--messages", "60", "--claims", "10", "--subscriptions", "8")


def test_a_queue_is_drained_there_and_back_though_the_server_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SMALL_PAGES", "1")
    program = [sys.executable, torture_moves.__file__, "--only", "sqlite-redis"]
    done = subprocess.run(
        [*program, *SIZE, "--steps", "QueueImport:after:25"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert (figures["moves"], figures["kills"], figures["wrong"]) == (4, 2, [])
