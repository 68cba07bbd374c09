"""A store of several pools agrees with the model of the contract."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from zaqarserver.storage.testing.machine import state_machine

from .conftest import WithPools, make_pooled


def two_pools(path: Path) -> WithPools:
    # The machine's time begins here; which pool is chosen must repeat with its seed.
    store = make_pooled(path, "a", "b", now=1_000_000.0)
    store.pools._chance = random.Random(5)
    return store


TestPoolsModel = state_machine(two_pools).TestCase
TestPoolsModel.settings = settings(
    max_examples=settings.default.max_examples // 12,
    stateful_step_count=30,
    deadline=None,  # a shared machine is slow at times
    suppress_health_check=[HealthCheck.too_slow],
)
pytest.mark.usefixtures("small_pages_of_model")(TestPoolsModel)
