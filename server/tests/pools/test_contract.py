"""A store of several pools keeps the storage contract, as one store does."""

from __future__ import annotations

from pathlib import Path

import pytest
from zaqarserver.storage.testing import StorageContract

from .conftest import WithPools, make_pooled


class TestTwoPools(StorageContract):
    @pytest.fixture
    def driver(self, tmp_path: Path) -> WithPools:
        return make_pooled(tmp_path, "first", "second")
