"""The Redis driver keeps the storage contract."""

from __future__ import annotations

import pytest
from zaqarserver.storage.testing import StorageContract


@pytest.mark.usefixtures("sizes")
class TestRedis(StorageContract):
    """The fixture ``driver`` is that of this directory."""
