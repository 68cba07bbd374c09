"""The stores on which the promises are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def store_uri(tmp_path: Path) -> Callable[[], str]:
    """Return the URI of a store that is empty at first."""
    return lambda: f"sqlite:///{tmp_path}/zaqar.db"
