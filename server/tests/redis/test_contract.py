"""The Redis driver keeps the storage contract."""

from __future__ import annotations

from zaqarserver.storage.testing import StorageContract


class TestRedis(StorageContract):
    """The fixture ``driver`` is that of this directory."""
