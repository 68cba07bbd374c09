"""A part of a deployment stands still for a while: what clients get meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from answers import Load
from ports import free_port
from warm import start_server

_PATIENCE = 60.0

#: Seconds that any answer may take, and after which all is well again.
BOUND = 5.0


@contextlib.contextmanager
def serve(directory: Path, uri: str, options: str = "") -> Iterator[str]:
    """Run a server on a store; give its URL."""
    port = free_port()
    config = directory / f"{port}.conf"
    config.write_text(
        f"[DEFAULT]\n{options}\n[server]\nport = {port}\n[websocket]\nport = 0\n"
        f"[storage]\nuri = {uri}\n"
    )
    log = directory / f"{port}.log"
    process = start_server(config, log)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + _PATIENCE
    try:
        while not _answers(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            # Polling a process that starts, not waiting for a guess to pass.
            time.sleep(0.05)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_PATIENCE)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@dataclass(frozen=True)
class Stop:
    """The result.

    Attributes:
        load: The clients.
        gap: The longest time in which a queue that does not need the part took no
            post.
        well: Seconds from its return until every queue took a post.
    """

    load: Load
    gap: float
    well: float


async def stop(
    urls: Sequence[str],
    pid: int,
    seconds: float,
    queues: Sequence[str],
    untouched: Sequence[str],
) -> Stop:
    """Stop a process under load, and let it go on.

    Args:
        urls: The servers.
        pid: The process.
        seconds: For how long.
        queues: The queues that clients post to.
        untouched: Those of them that do not need the process.
    """
    load = Load(urls, queues)
    async with load.run():
        await load.until_served()
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        try:
            # It is how long the part stands still: nothing is waited for.
            await asyncio.sleep(seconds)
        finally:
            over = time.monotonic()
            os.kill(pid, signal.SIGCONT)
        well = await load.until_served()
    return Stop(load, load.longest_gap(untouched, began, over), well)


def check(found: Stop, *, gap: float = 1.0) -> None:
    """Check what is promised of any part that stands still.

    Every answer comes in time; it is 201, or 503 with a time to come again. Only what
    was under way when the part stopped may have an outcome that nobody knows: one
    answer a client at most.
    """
    load = found.load
    assert load.slowest() < BOUND, load.statuses()
    assert found.well < BOUND
    assert found.gap < gap
    unknown = [one.queue for one in load.bad()]
    assert {one.status for one in load.bad()} <= {504}, load.statuses()
    assert len(unknown) == len(set(unknown)), load.statuses()
