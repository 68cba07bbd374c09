"""What the tests of the notifier share."""

from __future__ import annotations

import pytest

from .doubles import notification_of


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests run on asyncio."""
    return "asyncio"


@pytest.fixture
def notification():
    """Make a notification for a subscriber."""
    return notification_of
