"""What others post, as both programs print it for a shell."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from zaqarclient.tests.functional.cli.conftest import Run

BODY = '$(touch PWN) `touch PWN` "; touch PWN; " \\ $HOME'


@pytest.mark.parametrize("program", [["zaqar"], ["openstack", "messaging"]])
def test_a_shell_that_evaluates_a_message_runs_none_of_it(
    process: Run, tmp_path: Path, program: list[str]
) -> None:
    name, *prefix = program
    posted = process(
        "zaqar", "message", "post", "q", "-f", "json", json.dumps({"body": BODY})
    )
    (row,) = posted.data
    words = ["message", "show", "q", row["ID"], "-f", "shell"]
    shown = process(name, *prefix, *words, OS_AUTH_TYPE="none", OS_ENDPOINT="http://x")
    assert shown.status == 0, shown.err
    done = subprocess.run(
        ["sh", "-c", 'eval "$1"; printf %s "$body"', "sh", shown.out],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == BODY
    assert not (tmp_path / "PWN").exists()
