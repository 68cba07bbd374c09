"""What the tests of the notifier share."""

from __future__ import annotations

import pytest
from zaqarserver.notify import payload
from zaqarserver.notify.deliverer import Parcel
from zaqarserver.storage.subscriptions import Subscription

NOW = 1_000_000.0


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests run on asyncio."""
    return "asyncio"


def subscription_of(subscriber: str, **options) -> Subscription:
    return Subscription(
        id="s1",
        project="4f2a",
        source="backups",
        subscriber=subscriber,
        ttl=3600,
        age=0,
        options=options,
        confirmed=True,
    )


@pytest.fixture
def parcel():
    """Make a parcel for a subscriber."""

    def make(subscriber: str, *, body=b'{"event": "started"}', attempt=1, **options):
        return Parcel(
            subscription=subscription_of(subscriber, **options),
            id="m1",
            payload=payload.notification("backups", body, 300),
            attempt=attempt,
            now=NOW,
        )

    return make
