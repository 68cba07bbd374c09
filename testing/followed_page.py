"""Does what a page of the documentation says, to the letter."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(
    r"^( *)\.\. code-block:: \w+\n\1   :caption: (.+)\n\n((?:\1   .*\n|\n)+)",
    re.MULTILINE,
)
COMMAND = re.compile(r"^ +\$ \.venv/bin/pytest ((?:.+\\\n)*.+)$", re.MULTILINE)


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return caption and text of each block of a page that goes into a file."""
    found = []
    for indent, caption, text in BLOCK.findall(page.read_text()):
        block = re.sub(rf"^{indent}   ", "", text, flags=re.MULTILINE)
        found.append((caption, f"{block.rstrip()}\n"))
    return found


def put(root: Path, caption: str, block: str) -> Path:
    """Put a block into its file: a new one, after a line, or at the end."""
    name, _, line = caption.partition(", after ")
    path = root / name
    if line:
        before, found, after = path.read_text().partition(f"{line}\n")
        assert found, f"{name} has no line {line!r}"
        gap = "\n" if block.lstrip().startswith("def ") else ""
        path.write_text(f"{before}{found}{gap}{block}{after}")
    elif path.exists():
        path.write_text(f"{path.read_text()}\n\n{block}")
    else:
        path.write_text(block)
    return path


def arguments(page: Path) -> list[str]:
    """Return the arguments of the one pytest command of a page."""
    (found,) = COMMAND.findall(page.read_text())
    return shlex.split(found.replace("\\\n", " "))


def run(root: Path, *command: str, path: str = "server") -> None:
    """Run a module of Python in a directory; it must succeed.

    Args:
        root: The directory.
        command: The module and its arguments.
        path: The directory of it that modules are imported from, beside itself.
    """
    found = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root}:{root / path}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, f"{command}\n{found.stdout}\n{found.stderr}"
