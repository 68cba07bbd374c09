"""The imports and look-ups that each warm process starts with."""

import contextlib
import gc
import sys

import pytest  # noqa: F401 - the copies import the program of the tests' process
import zaqarserver.__main__  # noqa: F401
from zaqarserver.common.plugins import installed

for group in ("auth", "notify", "stages", "storage"):
    for plugin in installed(f"zaqarserver.{group}"):
        # Some need what is not installed here, or moved since the installation.
        with contextlib.suppress(ImportError, AttributeError):
            plugin.load()
# It is run, not imported.
del sys.modules["zaqarserver.__main__"]
# So that collections in the copies leave alone, and share, what is here.
gc.freeze()
