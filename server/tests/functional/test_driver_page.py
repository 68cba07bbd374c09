"""The page *Adding a storage driver* is right to the letter."""

from __future__ import annotations

import shutil

from followed_page import ROOT, arguments, blocks, put, run

PAGE = ROOT / "doc/source/contributor/driver.rst"


def test_a_driver_performs_commands_when_the_page_has_been_followed(tmp_path):
    (tmp_path / "shelf").mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for block in blocks(PAGE):
        put(tmp_path, *block)
    path = str(tmp_path / "shelf" / "zaqar_shelf.py")
    run(tmp_path, "ruff", "format", "--check", "--quiet", path)
    options = ("-q", "-n0", "-p", "no:cacheprovider")
    run(tmp_path, "pytest", *options, *arguments(PAGE), path="shelf")
