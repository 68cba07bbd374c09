"""The SQLite driver agrees with the model of the contract."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from zaqarserver.storage.sqlite import SQLiteStorage
from zaqarserver.storage.testing.machine import state_machine
from zaqarserver.storage.testing.outbox_machine import outbox_machine

SETTINGS = settings(
    max_examples=settings.default.max_examples // 5,
    stateful_step_count=40,
    deadline=None,  # a shared machine is slow at times
    suppress_health_check=[HealthCheck.too_slow],
)


def on_disk(path: Path) -> SQLiteStorage:
    # The disk's own promise is not at stake here, and waiting for it is slow.
    uri = f"sqlite://{path}/store.db"
    return SQLiteStorage.from_uri(uri, {"synchronous": "normal"})


def in_memory(_path: Path) -> SQLiteStorage:
    return SQLiteStorage.from_uri("sqlite://:memory:", {})


TestFileModel = state_machine(on_disk).TestCase
TestFileModel.settings = SETTINGS

TestMemoryModel = state_machine(in_memory).TestCase
TestMemoryModel.settings = SETTINGS
pytest.mark.usefixtures("small_pages_of_model")(TestMemoryModel)

TestFileOutbox = outbox_machine(on_disk).TestCase
TestFileOutbox.settings = SETTINGS

TestMemoryOutbox = outbox_machine(in_memory).TestCase
# Some orders of a post, a settle and a take are rare.
TestMemoryOutbox.settings = settings(
    SETTINGS, max_examples=settings.default.max_examples // 2
)
pytest.mark.usefixtures("small_pages_of_model")(TestMemoryOutbox)
