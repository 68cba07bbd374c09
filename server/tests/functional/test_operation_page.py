"""The page *Adding an operation* is right to the letter."""

from __future__ import annotations

import re
import shutil

from followed_page import ROOT, arguments, blocks, put, run

PAGE = ROOT / "doc/source/contributor/operation.rst"
COPIED = (
    "server",
    "zaqarclient",
    "testing",
    "conftest.py",
    "pyproject.toml",
    "setup.cfg",
)


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
    changed = [put(root, *block) for block in blocks(PAGE)]
    assert len(changed) == 9
    modules = [str(path) for path in changed if path.suffix == ".py"]
    run(root, "ruff", "check", "--quiet", *modules)
    run(root, "ruff", "format", "--check", "--quiet", *modules)
    run(root, "pytest", "-q", "-p", "no:cacheprovider", *arguments(PAGE))
    shutil.rmtree(root)
