"""The page *Adding an operation* is right to the letter."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "doc/source/contributor/operation.rst"
COPIED = (
    "server",
    "zaqarclient",
    "testing",
    "conftest.py",
    "pyproject.toml",
    "setup.cfg",
)
BLOCK = re.compile(
    r"^( *)\.\. code-block:: \w+\n\1   :caption: (.+)\n\n((?:\1   .*\n|\n)+)",
    re.MULTILINE,
)
COMMAND = re.compile(r"^ +\$ \.venv/bin/pytest ((?:.+\\\n)*.+)$", re.MULTILINE)


def blocks() -> list[tuple[str, str]]:
    """Return caption and text of each block that goes into a file."""
    found = []
    for indent, caption, text in BLOCK.findall(PAGE.read_text()):
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


def run(root: Path, *command: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root}:{root / 'server'}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, f"{command}\n{found.stdout}\n{found.stderr}"


def test_the_files_that_the_page_counts_are_there():
    table = PAGE.read_text().partition(".. list-table::")[2]
    rows = re.findall(r"\* - .+\n +- ((?:.+\n)+?) +- (\d+)", table)
    assert len(rows) == 10
    for files, number in rows:
        assert files.count(",") + 1 == int(number)
        for name in re.findall(r"``(.+?)``", files):
            assert (ROOT / name).exists(), name
    total = sum(int(number) for _, number in rows)
    assert f"touches these {total}, " in PAGE.read_text()


def test_an_operation_is_there_when_the_page_has_been_followed(tmp_path):
    root = tmp_path / "copy"
    root.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, root / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, root / name)
    changed = [put(root, *block) for block in blocks()]
    assert len(changed) == 9
    modules = [str(path) for path in changed if path.suffix == ".py"]
    run(root, "ruff", "check", "--quiet", *modules)
    run(root, "ruff", "format", "--check", "--quiet", *modules)
    (arguments,) = COMMAND.findall(PAGE.read_text())
    words = shlex.split(arguments.replace("\\\n", " "))
    run(root, "pytest", "-q", "-p", "no:cacheprovider", *words)
    shutil.rmtree(root)
