"""What many parts of the server share: a bounded mapping, waits, single flights."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import threading

import pytest
from zaqarserver.common.lru import LRU
from zaqarserver.common.tasks import SingleFlight, Threads, doubling


def test_the_item_longest_unused_goes_first():
    kept: LRU[str, int] = LRU(2)
    kept["a"], kept["b"] = 1, 2
    assert kept.use("a") == 1
    kept["c"] = 3
    assert dict(kept) == {"a": 1, "c": 3}
    assert kept.use("b") is None


def test_storing_an_item_again_is_a_use_of_it_and_reading_is_not():
    kept: LRU[str, int] = LRU(2)
    kept["a"], kept["b"], kept["a"] = 1, 2, 3
    assert kept["b"] == kept.get("b") == 2
    kept["c"] = 4
    assert dict(kept) == {"a": 3, "c": 4}


def test_waits_double_up_to_their_bound():
    assert list(itertools.islice(doubling(0.5, 3), 5)) == [0.5, 1, 2, 3, 3]


def test_no_more_threads_run_at_once_than_are_allowed():
    running, most, lock = 0, 0, threading.Lock()
    both = threading.Barrier(2, timeout=20)

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait()
        with lock:
            running -= 1

    async def run() -> None:
        threads = Threads("test", 2)
        await asyncio.gather(*(threads.run(work) for _ in range(6)))

    asyncio.run(run())
    assert most == 2


def test_an_error_in_a_thread_reaches_all_that_wait_for_it():
    async def run() -> list[BaseException | None]:
        threads, flights = Threads("test", 1), SingleFlight[str, None]()

        def fail() -> None:
            raise LookupError

        asked = (flights.join("key", lambda: threads.run(fail)) for _ in range(3))
        return await asyncio.gather(*asked, return_exceptions=True)

    assert [type(one) for one in asyncio.run(run())] == [LookupError] * 3


@pytest.mark.parametrize("cancels", [True, False])
def test_a_thread_that_hangs_does_not_hold_up_the_end_of_the_process(cancels):
    program = f"""
import asyncio, threading
from zaqarserver.common.tasks import Threads
async def main():
    task = asyncio.create_task(Threads("test", 1).run(threading.Event().wait))
    await asyncio.sleep(0.01)
    if {cancels}:
        task.cancel()
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=30, check=False)
    assert done.returncode == 0
