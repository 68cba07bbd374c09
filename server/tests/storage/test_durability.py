"""What was acknowledged is there after the process was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from zaqarserver.storage.sqlite import SQLiteStorage
from zaqarserver.storage.testing.suite import everything

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
        stored = await everything(storage, project="p", queue="q", now=now)
        stats = await storage.queue_stats("p", "q", now)
        await storage.close()
        by_number = {int(message.body): message.id for message in stored}
        assert len(by_number) == len(stored), "a message is there twice"
        assert acknowledged.items() <= by_number.items()
        assert stats.free == len(stored)
        # In order: a message that was acknowledged before another one was sent
        # has the lower id.
        ids = [acknowledged[number] for number in sorted(acknowledged)]
        window = 8
        assert all(a < b for a, b in zip(ids, ids[2 * window :], strict=False))
