"""Programs and services that tests need and a machine may lack."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

#: Set where nothing may be missing (CI): what would be skipped fails.
VARIABLE = "REQUIRE_EVERYTHING"
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"


def lacking(why: object) -> NoReturn:
    """Skip the test, or fail it where nothing may be missing.

    Args:
        why: What is missing and how to get it.
    """
    if os.environ.get(VARIABLE):
        pytest.fail(f"{why} ({VARIABLE} is set)", pytrace=False)
    pytest.skip(str(why))


def program(*names: str, package: str) -> str:
    """Return the path of the first of these programs that is installed.

    Args:
        names: Names of the program.
        package: The Debian package that has it.
    """
    for name in names:
        found = shutil.which(name, path=_PATH)
        if found is not None:
            return found
    lacking(f"{names[0]} is not installed: apt-get install {package}")
