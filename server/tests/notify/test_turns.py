"""Long work takes turns, a slice of time in each turn of the loop."""

from __future__ import annotations

import asyncio
import functools
import time

import pytest
from zaqarserver.common.tasks import SLICE_SECONDS, HalfOfLoop, Turns

pytestmark = pytest.mark.anyio


def busy(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def test_many_works_together_have_one_slice_a_turn():
    shared, done, ticks = Turns(), [], 0

    async def work(name):
        for _ in range(3):
            await shared.pause()
            done.append((name, ticks))
            busy(SLICE_SECONDS)

    works = [asyncio.create_task(work(name)) for name in range(10)]
    while not all(one.done() for one in works):
        await asyncio.sleep(0)
        ticks += 1
    assert [name for name, _ in done] == list(range(10)) * 3
    moments = [tick for _, tick in done]
    assert len(set(moments)) == len(moments) == 30


async def test_work_within_its_slice_goes_on_at_once():
    turns = Turns()
    await turns.pause()
    task = asyncio.current_task()
    asyncio.get_running_loop().call_soon(task.cancel)  # at the next turn, if any
    await turns.pause()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(0)
    task.uncancel()


async def test_work_that_was_cancelled_holds_up_nobody():
    turns = Turns()
    first, second = (asyncio.create_task(turns.pause()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    async with asyncio.timeout(10):
        await second


async def test_callbacks_have_half_of_the_loop_s_time_and_stay_in_order():
    half, done, over = HalfOfLoop(), [], asyncio.Event()
    used = 0.0

    def work(number):
        nonlocal used
        begun = time.perf_counter()
        busy(0.0005)
        used += time.perf_counter() - begun
        done.append(number)
        if number == 99:
            over.set()

    begun = time.perf_counter()
    for number in range(100):
        half.call(functools.partial(work, number), time.perf_counter())
    assert len(done) < 50
    async with asyncio.timeout(30):
        await over.wait()
    assert done == list(range(100))
    assert used < 0.6 * (time.perf_counter() - begun)
