"""The SQLite driver keeps the storage contract, on disk and in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from zaqarserver.storage.sqlite import SQLiteStorage
from zaqarserver.storage.testing import StorageContract


@pytest.mark.usefixtures("sizes")
class TestSQLiteFile(StorageContract):
    @pytest.fixture
    def driver(self, tmp_path: Path) -> SQLiteStorage:
        return SQLiteStorage.from_uri(f"sqlite://{tmp_path}/store.db", {})


class TestSQLiteMemory(StorageContract):
    @pytest.fixture
    def driver(self) -> SQLiteStorage:
        return SQLiteStorage.from_uri("sqlite://:memory:", {})
