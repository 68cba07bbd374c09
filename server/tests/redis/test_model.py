"""The Redis driver agrees with the model of the contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from redis_service import RedisServer
from zaqarserver.storage.redis import RedisStorage
from zaqarserver.storage.testing.machine import state_machine
from zaqarserver.storage.testing.outbox_machine import outbox_machine

SETTINGS = settings(
    max_examples=settings.default.max_examples // 8,
    stateful_step_count=40,
    deadline=None,  # a shared machine is slow at times
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.parametrize("machine", [state_machine, outbox_machine])
@pytest.mark.parametrize("fixture", ["redis_server", "small_pages_of_model"])
def test_every_sequence_of_steps_agrees_with_the_model(
    redis_server: RedisServer,
    request: pytest.FixtureRequest,
    fixture: str,
    machine: Callable[..., Any],
) -> None:
    request.getfixturevalue(fixture)

    def empty(path: Path) -> RedisStorage:
        # A prefix of its own is an empty store.
        return RedisStorage.from_uri(f"{redis_server.uri}?prefix={path.name}", {})

    case = machine(empty).TestCase
    case.settings = SETTINGS
    case().runTest()
