"""The examples of the README work as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.rst").read_text()
ADDRESS = "http://127.0.0.1:8888"


def block(language: str) -> str:
    """Return the text of the README's only code block in a language."""
    found = re.findall(
        rf"^\.\. code-block:: {language}\n\n((?:   .*\n|\n)+)", README, re.MULTILINE
    )
    assert len(found) == 1, f"the README has {len(found)} {language} examples"
    return textwrap.dedent(found[0]).strip()


@pytest.fixture
def run(server_factory, tmp_path):
    """Run a program on an example, against a server that nobody else uses."""
    server = server_factory()

    def start(*command: str) -> str:
        environment = {
            **{name: value for name, value in os.environ.items() if name[:3] != "OS_"},
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
            # Where the commands keep their client id.
            "XDG_STATE_HOME": str(tmp_path),
        }
        # The port is the one thing that cannot be as it stands there.
        arguments = [part.replace(ADDRESS, server.url) for part in command]
        done = subprocess.run(
            arguments,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
        return done.stdout

    return start


def test_the_python_example_prints_what_it_claims_and_counts(run):
    example = block("python")
    assert ADDRESS in example
    assert run(sys.executable, "-c", example) == (
        "working on {'item': 'tea'}\n1 left\n"
    )


def test_each_line_of_the_shell_example_succeeds(run):
    example = block("sh")
    assert ADDRESS in example
    output = run("sh", "-euc", example)
    for text in ("tea", "cake", "scones", "orders"):
        assert text in output


def test_the_examples_are_short():
    assert len(block("python").splitlines()) <= 10
    assert len(block("sh").splitlines()) <= 10


@pytest.mark.thorough  # pip installs for a minute
def test_a_new_user_who_types_the_readme_sees_a_webhook():
    program = ROOT / "benchmarks/new_user.py"
    done = subprocess.run(
        [sys.executable, program],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *typed, last = done.stdout.splitlines()
    assert len(typed) == 10
    assert last.endswith("the webhook was seen")


def test_the_commands_of_make_are_targets_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"``make (\w+)``", README):
        assert re.search(rf"^{target}:.*##", makefile, re.MULTILINE)
