"""Each column of the page of tasks runs as it is written, from top to bottom."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[3] / "doc/source/user/tasks.rst").read_text()
ADDRESS = "http://127.0.0.1:8888"


def column(sync: str) -> list[str]:
    """Return the blocks of the tabs with this key, in order."""
    tab = (
        rf"^      :sync: {sync}\n\n      \.\. code-block:: \w+\n\n"
        r"((?:         .*\n|\n)+)"
    )
    blocks = re.findall(tab, PAGE, re.MULTILINE)
    return [textwrap.dedent(block).strip("\n") for block in blocks]


def commands(block: str) -> str:
    """Return the lines that a reader types: after a prompt, or continuing one."""
    lines = [line.removeprefix("$ ").removeprefix("> ") for line in block.splitlines()]
    return "\n".join(lines)


@pytest.fixture
def run(server_factory: Any, tmp_path: Path) -> Callable[..., str]:
    """Run a program against a server of its own, in an empty directory and home."""
    url = server_factory().url

    def start(*command: str) -> str:
        known = {name: value for name, value in os.environ.items() if name[:3] != "OS_"}
        programs = os.pathsep.join([str(Path(sys.executable).parent), known["PATH"]])
        done = subprocess.run(
            [part.replace(ADDRESS, url) for part in command],
            cwd=tmp_path,
            env={**known, "PATH": programs, "HOME": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return start


@pytest.mark.parametrize("sync", ["command", "curl"])
def test_the_shell_columns_of_the_page_run(run: Any, sync: str) -> None:
    blocks = [commands(block) for block in column(sync)]
    assert len(blocks) > 12
    shown = run("bash", "-xeuo", "pipefail", "-c", "\n".join(blocks))
    assert "tea" in shown


def test_the_python_column_of_the_page_runs(run: Any) -> None:
    blocks = column("python")
    assert len(blocks) > 12
    assert "tea" in run(sys.executable, "-W", "error", "-c", "\n".join(blocks))


def test_every_task_has_a_command_and_python() -> None:
    tasks = PAGE.count(".. tab-set::")
    assert len(column("command")) == len(column("python")) == tasks
