"""What the tests of the notifier share."""

from __future__ import annotations

import pytest

from .doubles import parcel_of


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests run on asyncio."""
    return "asyncio"


@pytest.fixture
def parcel():
    """Make a parcel for a subscriber."""
    return parcel_of
