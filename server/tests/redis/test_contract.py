"""The Redis driver keeps the storage contract."""

from __future__ import annotations

import pytest
from zaqarserver.storage.testing import StorageContract


@pytest.mark.usefixtures("small_pages")
class TestRedis(StorageContract):
    """The fixture ``driver`` is that of this directory."""


@pytest.mark.thorough
class TestRedisAsItIs(StorageContract):
    """``test_contract_with_faults.py`` has the usual pages too."""
