"""What was acknowledged is there after the process was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from zaqarserver.storage.accounts import Usage, UsageGet
from zaqarserver.storage.base import NewMessage
from zaqarserver.storage.commands import MessagePost, QueueStatsGet
from zaqarserver.storage.sqlite import SQLiteStorage
from zaqarserver.storage.subscriptions import (
    DeliveryDue,
    DeliverySettle,
    DeliveryTake,
    SubscriptionCreate,
)
from zaqarserver.storage.testing.suite import Bench

pytestmark = pytest.mark.anyio

ROUNDS = 5
PROGRAM = Path(__file__).with_name("writer_process.py")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def post_until_killed(uri: str, first: int, acknowledgements: int) -> dict[int, str]:
    """Start a writer, kill it in the middle; return what it acknowledged."""
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), uri, str(first)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(acknowledgements)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    pairs = (line.split() for line in lines if line.endswith("\n"))
    return {int(number): message_id for number, message_id in pairs}


async def test_a_killed_writer_loses_nothing_acknowledged(tmp_path: Path) -> None:
    uri = f"sqlite://{tmp_path}/store.db"
    acknowledged: dict[int, str] = {}
    for turn in range(ROUNDS):
        acknowledged |= post_until_killed(uri, turn * 1_000_000, 50 + 37 * turn)
        storage = SQLiteStorage.from_uri(uri, {})
        await storage.open()
        now = time.time()
        stored = await Bench.on(storage).everything(project="p", queue="q", now=now)
        stats = await storage.do(QueueStatsGet("p", "q", now))
        usage = await storage.do(UsageGet("p", now))
        await storage.close()
        by_number = {int(message.body): message.id for message in stored}
        assert len(by_number) == len(stored), "a message is there twice"
        assert acknowledged.items() <= by_number.items()
        assert stats.free == len(stored)
        size = sum(len(message.body) for message in stored)
        assert usage == Usage(1, len(stored), size)
        # In order: a message that was acknowledged before another one was sent
        # has the lower id.
        ids = [acknowledged[number] for number in sorted(acknowledged)]
        window = 8
        assert all(a < b for a, b in zip(ids, ids[2 * window :], strict=False))


async def test_what_was_being_delivered_at_a_crash_is_due_again_at_once(tmp_path):
    path = tmp_path / "zaqar.db"
    store = SQLiteStorage.from_uri(f"sqlite:///{path}", {})
    await store.open()
    await store.do(
        SubscriptionCreate(
            "p", "q", subscriber="http://x/", ttl=60, options={}, now=0.0
        )
    )
    await store.do(MessagePost("p", "q", "c", [NewMessage(b"1", 60)], 0.0))
    (taken,) = await store.do(
        DeliveryTake(0.0, limit=10, lease=30.0, confirmed_only=False)
    )
    await store.close()
    await store.open()
    (again,) = await store.do(
        DeliveryTake(1.0, limit=10, lease=30.0, confirmed_only=False)
    )
    assert again.key == taken.key
    await store.do(DeliverySettle(again.key, position=0, attempt=1, due=20.0))
    await store.close()
    await store.open()
    assert await store.do(DeliveryDue(1.0)) == 20.0
    await store.close()
