"""The worker while a command runs: input, renewals, a claim that is lost."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zaqarclient.queues.v2.cli.claim_run import _MessageRun
from zaqarclient.queues.v2.cli.output import CommandError
from zaqarclient.transport.errors import ResourceNotFound


class Claim:
    """A claim that is renewed by hand."""

    id = "c"

    def __init__(self, renew: Callable[[], None]) -> None:
        self._renew = renew
        self.renewals: list[tuple[float, int]] = []

    def update(self, ttl: float, grace: int) -> None:
        self.renewals.append((ttl, grace))
        self._renew()


def job(claim: Claim, body: Any, ttl: float, *command: str) -> _MessageRun:
    message: Any = SimpleNamespace(id="m", body=body)
    queue: Any = SimpleNamespace(name="q")
    arguments = argparse.Namespace(command=list(command), ttl=ttl, grace=60)
    return _MessageRun(queue, claim, message, arguments)  # type: ignore[arg-type]


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def test_a_claim_is_renewed_for_as_long_as_the_command_runs(fifo: Path) -> None:
    # The command ends when somebody writes to the fifo: the third renewal does.
    def renew() -> None:
        if len(claim.renewals) == 3:
            fifo.write_text("go on")

    claim = Claim(renew)
    script = f'test "$(cat)" = body && cat "{fifo}" >/dev/null'
    assert job(claim, "body", 0.02, "sh", "-c", script).run() == 0
    assert set(claim.renewals) == {(0.02, 60)}
    assert len(claim.renewals) >= 3


def test_a_command_that_lost_its_claim_is_stopped(fifo: Path) -> None:
    def renew() -> None:
        raise ResourceNotFound(description="no live claim 'c'")

    claim = Claim(renew)
    # Nobody ever writes to the fifo.
    working = job(claim, None, 0.02, "cat", str(fifo))
    with pytest.raises(CommandError, match="message m: the claim was lost"):
        working.run()
    # On a slow machine the command takes a while to end, and the claim is held so long.
    assert len(claim.renewals) >= 1


@pytest.mark.parametrize(
    ("body", "text"),
    [("line\n", "line\n"), ({"a": ["é"]}, '{"a":["é"]}'), ("\ud800", "\\ud800")],
)
def test_the_command_gets_the_body_on_its_standard_input(
    tmp_path: Path, body: Any, text: str
) -> None:
    out = tmp_path / "out"
    claim = Claim(lambda: None)
    assert job(claim, body, 300, "sh", "-c", f'cat > "{out}"').run() == 0
    assert out.read_text() == text


def test_a_command_that_does_not_read_its_input_is_no_failure() -> None:
    claim = Claim(lambda: None)
    assert job(claim, "x" * 1_000_000, 300, "true").run() == 0
