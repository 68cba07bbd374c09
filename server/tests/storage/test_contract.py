"""The SQLite driver keeps the storage contract, on disk and in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from zaqarserver.storage.sqlite import SQLiteStorage
from zaqarserver.storage.testing import StorageContract


class TestSQLiteMemory(StorageContract):
    @pytest.fixture
    def driver(self) -> SQLiteStorage:
        return SQLiteStorage.from_uri("sqlite://:memory:", {})


@pytest.mark.usefixtures("small_pages")
class TestSQLiteFile(StorageContract):
    @pytest.fixture
    def driver(self, tmp_path: Path) -> SQLiteStorage:
        # The disk's own promise is not at stake here, and waiting for it is slow.
        uri = f"sqlite://{tmp_path}/store.db"
        return SQLiteStorage.from_uri(uri, {"synchronous": "normal"})


@pytest.mark.thorough
class TestSQLiteFileAsItIs(StorageContract):
    @pytest.fixture
    def driver(self, tmp_path: Path) -> SQLiteStorage:
        return SQLiteStorage.from_uri(f"sqlite://{tmp_path}/store.db", {})
